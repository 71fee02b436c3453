"""Newton's method on the admittance matrix that OpenDSS builds: close to the nose its own iteration ends.

Lines, transformers, capacitors and sources are OpenDSS's (`dss_oracle.script` without loads); loads are added
here, from the tables, as every load keeps its model at every voltage.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distgrid.cases.model.feeder import Feeder

from .dss_oracle import _DIGIT, script

Complex = NDArray[np.complex128]
_BETWEEN = {"ABC": ("AB", "BC", "CA"), "12": ("12",)}


class Circuit(NamedTuple):
    """The network without loads: volts and amperes."""

    names: dict[str, int]
    y: Complex
    rest: Complex  # (n,) volts without load
    base: NDArray[np.float64]  # (n_bus,) volts to ground at 1 pu
    rated: NDArray[np.float64]  # (n,) the same of every row


class _Load(NamedTuple):
    a: int
    b: int
    p: float
    q: float
    rated: float  # volts across at 1 pu
    row: dict[str, Any]


def circuit(feeder: Feeder) -> Circuit:
    """OpenDSS's matrix of everything but the loads, and its solution without them."""
    from dss import DSS

    for command in script(feeder):
        if not command.startswith("new load."):
            DSS.Text.Command = command
    DSS.Text.Command = "solve"
    names = [n.lower() for n in DSS.ActiveCircuit.YNodeOrder]
    n = len(names)
    flat = np.asarray(DSS.ActiveCircuit.SystemY, dtype=float)
    y = (flat[::2] + 1j * flat[1::2]).reshape(n, n)
    raw = np.asarray(DSS.ActiveCircuit.YNodeVarray, dtype=float)[: 2 * n]
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    for row in feeder.loads.to_pylist():  # phases that nothing but loads is connected to
        more = {f"b_{row['node_id']}.{_DIGIT[letter]}".lower() for letter in row["phase"]} - set(names)
        names += sorted(more)
    wide = np.zeros((len(names), len(names)), dtype=np.complex128)
    wide[:n, :n] = y
    rest = np.zeros(len(names), dtype=np.complex128)
    rest[:n] = raw[::2] + 1j * raw[1::2]
    of_bus = {
        str(node).lower(): volts for node, volts in zip(feeder.column("nodes", "node_id"), base, strict=True)
    }
    rated = np.array([of_bus[name[2:].split(".")[0]] for name in names])
    return Circuit({name: k for k, name in enumerate(names)}, wide, rest, base, rated)


def _loads(feeder: Feeder, net: Circuit) -> list[_Load]:
    found = []
    for row in feeder.loads.to_pylist():
        node = row["node_id"]
        volts = float(net.base[feeder.node_index[node]])
        delta = row["connection"] == "delta"
        parts = _BETWEEN.get(row["phase"], (row["phase"],)) if delta else tuple(row["phase"])
        for part in parts:
            ends = [net.names.get(f"b_{node}.{_DIGIT[letter]}".lower(), -1) for letter in part]
            rated = volts * ((2.0 if "1" in part else np.sqrt(3.0)) if delta else 1.0)
            power = row["p_mw"] / len(parts) * 1e6, row["q_mvar"] / len(parts) * 1e6
            rest = net.rest[ends[0]] - (net.rest[ends[1]] if delta and min(ends) >= 0 else 0.0)
            if min(ends) >= 0 and abs(rest) > 1e-4 * rated:  # elsewhere no source reaches
                found.append(_Load(ends[0], ends[1] if delta else -1, *power, rated, row))
    return found


def _power(load: _Load, v: float) -> tuple[complex, complex]:
    """Power at ``v`` pu and its derivative."""
    row, parts = load.row, []
    for nominal, z, i, cvr in (
        (load.p, row["p_z_frac"], row["p_i_frac"], row["cvr_p"]),
        (load.q, row["q_z_frac"], row["q_i_frac"], row["cvr_q"]),
    ):
        if cvr is not None:
            parts.append((nominal * v**cvr, nominal * cvr * v ** (cvr - 1.0)))
        else:
            parts.append((nominal * (z * v * v + i * v + 1.0 - z - i), nominal * (2.0 * z * v + i)))
    (p, dp), (q, dq) = parts
    return complex(p, q), complex(dp, dq)


def _step(net: Circuit, loads: list[_Load], share: float, v: Complex, live: NDArray[np.int64]) -> Complex:
    """One step of Newton at ``share`` of the loads."""
    n = live.size
    rest = net.y @ (net.rest - v)
    wirtinger = [net.y.copy(), np.zeros_like(net.y)]  # derivatives by V and by conj(V)
    for load in loads:
        u = v[load.a] - (v[load.b] if load.b >= 0 else 0.0)
        size = abs(u)
        s, ds = _power(load, size / load.rated)
        s, ds = share * s, share * ds / load.rated
        current = np.conj(s / u)
        by_v = np.conj(ds) * u / (2.0 * size * u.conjugate()) * u.conjugate() / u
        by_conj = np.conj(ds) * u / (2.0 * size * u.conjugate()) - current / u.conjugate()
        ends = [(load.a, 1.0)] if load.b < 0 else [(load.a, 1.0), (load.b, -1.0)]
        for one, sign in ends:
            rest[one] -= sign * current
            for other, other_sign in ends:
                wirtinger[0][one, other] += sign * other_sign * by_v
                wirtinger[1][one, other] += sign * other_sign * by_conj
    a, b = (w[np.ix_(live, live)] for w in wirtinger)
    jacobian = np.block([[(a + b).real, (b - a).imag], [(a + b).imag, (a - b).real]])
    right = np.concatenate([rest[live].real, rest[live].imag])
    step = np.linalg.solve(jacobian, right)
    return np.asarray(step[:n] + 1j * step[n:])


def solve(feeder: Feeder, shares: list[float], net: Circuit | None = None) -> list[Complex | None]:
    """(n_bus, 3) pu voltages at rising shares of all loads; None where Newton finds none."""
    net = net or circuit(feeder)
    loads = _loads(feeder, net)
    touched = [end for load in loads for end in (load.a, load.b) if end >= 0]
    live = np.union1d(np.flatnonzero(np.abs(net.y).sum(axis=1) > 0), np.array(touched, dtype=np.int64))
    v, answers, before = net.rest.copy(), [], 0.0
    for share in shares:
        here: Complex | None = v
        for part in np.linspace(before, share, 5)[1:]:
            here = _settled(net, loads, float(part), v, live)
            if here is None:
                break
            v = here
        before = share
        answers.append(None if here is None else _pu(feeder, net, here))
        if here is None:
            answers += [None] * (len(shares) - len(answers))
            break
    return answers


def _settled(
    net: Circuit, loads: list[_Load], share: float, start: Complex, live: NDArray[np.int64]
) -> Complex | None:
    v = start.copy()
    for _ in range(30):
        step = _step(net, loads, share, v, live)
        most = float(np.abs(step / net.rated[live]).max())
        v[live] += step * min(1.0, 0.3 / max(most, 1e-30))
        if most < 1e-11:
            return v
    return v if most < 1e-7 else None  # zones that only parts per million ground stay noisy


def _pu(feeder: Feeder, net: Circuit, v: Complex) -> Complex:
    out = np.full((feeder.n_nodes, 3), np.nan + 0j)
    for n, (node, letters) in enumerate(
        zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    ):
        for letter in letters:
            at = net.names.get(f"b_{node}.{_DIGIT[letter]}".lower())
            if at is not None:
                out[n, _DIGIT[letter] - 1] = v[at] / net.base[n]
    return out
