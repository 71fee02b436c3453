"""OpenDSS in the same process, on circuits written element by element from a feeder's tables.

Only the tables are shared with the package: every line goes in as its matrices, every transformer unit as a
transformer, every phase of a load as a load.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distgrid.cases.model.feeder import Feeder

HZ = 60.0
_DIGIT = {"A": 1, "B": 2, "C": 3, "1": 1, "2": 2}


class Outputs(NamedTuple):
    """OpenDSS's solution in the feeder's order."""

    v: NDArray[np.complex128]  # (n_bus, 3) pu, NaN where absent
    loss_mva: complex
    source_mva: complex


def _bus(node: str, letters: str) -> str:
    return f"b_{node}." + ".".join(str(_DIGIT[x]) for x in letters)


def _matrix(flat: list[float], letters: str) -> str:
    at = [_DIGIT[x] - 1 for x in letters]
    full = np.array(flat).reshape(3, 3)[np.ix_(at, at)]
    return "[" + " | ".join(" ".join(f"{x:.17g}" for x in row[: k + 1]) for k, row in enumerate(full)) + "]"


def script(feeder: Feeder, *, bands: bool = False) -> list[str]:
    """The circuit as OpenDSS commands."""
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    lines = ["clear", f"set defaultbasefrequency={HZ}"]
    lines += _sources(feeder, kv)
    units: dict[str, list[dict[str, Any]]] = {}
    for unit in feeder.transformers.to_pylist():
        units.setdefault(unit["branch_id"], []).append(unit)
    taps = {
        row["transformer_id"]: 1.0 + row["tap_pos"] * row["tap_step_pu"]
        for row in feeder.regulators.to_pylist()
    }
    for branch in feeder.branches.to_pylist():
        if not branch["status"]:
            continue
        if branch["r_ohm"] is not None:
            lines.append(_line(branch))
            if branch["open_ends"]:
                lines.append(f"open line.{branch['branch_id']} {1 if branch['open_ends'] == 'from' else 2}")
        for unit in units.get(branch["branch_id"], []):
            lines += _transformer(branch, unit, taps.get(unit["transformer_id"], 1.0))
    for load in feeder.loads.to_pylist():
        lines += _load(load, kv, bands)
    for cap in feeder.capacitors.to_pylist():
        lines += _capacitor(cap, kv) if cap["status"] else []
    return [*lines, "set controlmode=off", "set tolerance=1e-11", "set maxiterations=1000"]


def _sources(feeder: Feeder, kv: dict[str, float]) -> list[str]:
    lines = []
    for k, source in enumerate(feeder.sources.to_pylist()):
        r, x = (np.array(source[c] or [0.0] * 9).reshape(3, 3) for c in ("r_ohm", "x_ohm"))
        z = r + 1j * x
        one, zero = z[0, 0] - z[0, 1], z[0, 0] + 2 * z[0, 1]
        one, zero = (value or 1e-9j for value in (one, zero))
        head = "new circuit.test" if k == 0 else f"new vsource.s{k}"
        lines.append(
            f"{head} bus1={_bus(source['node_id'], 'ABC')} phases=3 basekv={kv[source['node_id']]:.17g} "
            f"pu={source['v_pu']:.17g} angle={source['v_deg']:.17g} "
            f"R1={one.real:.17g} X1={one.imag:.17g} R0={zero.real:.17g} X0={zero.imag:.17g}"
        )
    return lines


def _line(branch: dict[str, Any]) -> str:
    z = np.array(branch["r_ohm"]).reshape(3, 3) + 1j * np.array(branch["x_ohm"]).reshape(3, 3)
    letters = "".join(x for x in branch["phase"] if z[_DIGIT[x] - 1, _DIGIT[x] - 1] != 0)
    nano = (np.array(branch["b_us"]) * 1e3 / (2 * np.pi * HZ)).tolist()
    return (
        f"new line.{branch['branch_id']} phases={len(letters)} bus1={_bus(branch['from_node'], letters)} "
        f"bus2={_bus(branch['to_node'], letters)} length=1 units=none "
        f"rmatrix={_matrix(branch['r_ohm'], letters)} xmatrix={_matrix(branch['x_ohm'], letters)} "
        f"cmatrix={_matrix(nano, letters)}"
    )


def _transformer(branch: dict[str, Any], unit: dict[str, Any], tap: float) -> list[str]:
    conns = unit["connection"].split("-")
    name, kva = f"new transformer.{unit['transformer_id']}", unit["s_mva"] * 1e3
    common = (
        f"ppm_antifloat={unit['antifloat_ppm'] or 0.0:.17g} %noloadloss={unit['noload_pct'] or 0.0:.17g} "
        f"%imag={unit['imag_pct'] or 0.0:.17g}"
    )
    start, end = branch["from_node"], branch["to_node"]
    if conns[0] == "centre":
        text = (
            f"{name} phases=1 windings=3 xhl={unit['x_pct']:.17g} xht={unit['x_h2_pct']:.17g} "
            f"xlt={unit['x_12_pct']:.17g} {common} "
            f"wdg=1 conn={'delta' if len(unit['from_phase']) == 2 else 'wye'} "
            f"bus={_bus(start, unit['from_phase'])} kv={unit['hv_kv']:.17g} kva={kva:.17g} "
            f"%r={unit['r_h_pct']:.17g} tap={unit['tap_from']:.17g} "
            f"wdg=2 bus=b_{end}.1.0 kv={unit['lv_kv']:.17g} kva={kva:.17g} %r={unit['r_1_pct']:.17g} "
            f"wdg=3 bus=b_{end}.0.2 kv={unit['lv_kv']:.17g} kva={kva:.17g} %r={unit['r_2_pct']:.17g}"
        )
        return [text]
    phases = 3 if len(unit["from_phase"]) == 3 else 1
    behind = (unit["lag_deg"] or 0.0) * (1 if unit["hv_kv"] >= unit["lv_kv"] else -1)
    lead = "lead" if behind < 0 else "lag"  # of the lower voltage to the higher one
    windings = (
        (start, unit["from_phase"], conns[0], unit["hv_kv"], unit["tap_from"]),
        (end, unit["to_phase"], conns[1], unit["lv_kv"], unit["tap_to"] * tap),
    )
    text = f"{name} phases={phases} windings=2 leadlag={lead} xhl={unit['x_pct']:.17g} {common}"
    for k, (node, letters, conn, kv, ratio) in enumerate(windings):
        text += (
            f" wdg={k + 1} bus={_bus(node, letters)} conn={conn} kv={kv:.17g} kva={kva:.17g} "
            f"%r={unit['r_pct'] / 2:.17g} tap={ratio:.17g}"
        )
    return [text]


def _legs(letters: str) -> list[str]:
    return ["AB", "BC", "CA"] if len(letters) == 3 else [letters]


def _load(load: dict[str, Any], kv: dict[str, float], bands: bool) -> list[str]:
    delta = load["connection"] == "delta"
    parts = _legs(load["phase"]) if delta else list(load["phase"])
    rated = (load["v_rated_pu"] or 1.0) if bands else 1.0
    volts = rated * kv[load["node_id"]] * _rated_share(load["phase"], delta)
    low, high = (load["v_low_pu"], load["v_high_pu"]) if bands else (None, None)
    low, high = (low / rated if low else None), (high / rated if high else None)
    power = []
    for k, share_z, share_i, cvr in (
        ("p_mw", "p_z_frac", "p_i_frac", "cvr_p"),
        ("q_mvar", "q_z_frac", "q_i_frac", "cvr_q"),
    ):
        parts_of = (load[share_z] * rated**2, load[share_i] * rated, 1.0 - load[share_z] - load[share_i])
        factor = sum(parts_of) if load[cvr] is None else rated ** load[cvr]
        power.append((load[k] * factor, *(part / factor for part in parts_of)))
    (p, z, i, p_rest), (q, q_z, q_i, q_rest) = power
    if load["cvr_p"] is not None:
        model = f"model=4 cvrwatts={load['cvr_p']:.17g} cvrvars={load['cvr_q']:.17g}"
    elif (z, i) in ((0, 0), (1, 0), (0, 1)) and (q_z, q_i) == (z, i):
        model = {(0, 0): "model=1", (1, 0): "model=2", (0, 1): "model=5"}[z, i]
    else:
        shares = [z, i, p_rest, q_z, q_i, q_rest, 0]
        model = "model=8 zipv=[" + " ".join(f"{s:.17g}" for s in shares) + "]"
    return [
        f"new load.{load['load_id']}_{part} phases=1 bus1={_bus(load['node_id'], part)} "
        f"conn={'delta' if delta else 'wye'} kv={volts:.17g} kw={p / len(parts) * 1e3:.17g} "
        f"kvar={q / len(parts) * 1e3:.17g} vminpu={low or 0.01:.17g} vmaxpu={high or 10.0:.17g} "
        f"vlowpu={0.5 if low else 0.001} {model}"
        for part in parts
    ]


def _rated_share(letters: str, between: bool) -> float:
    """Rated voltage across a load over ``base_kv``: two hot legs are 180 degrees apart, phases 120."""
    if not between:
        return 1.0 / float(np.sqrt(3.0))
    return 2.0 / float(np.sqrt(3.0)) if "1" in letters else 1.0


def _capacitor(cap: dict[str, Any], kv: dict[str, float]) -> list[str]:
    node, volts = cap["node_id"], kv[cap["node_id"]]
    if cap["connection"] == "delta":
        parts = _legs(cap["phase"])
        return [
            f"new capacitor.{cap['cap_id']}_{p} phases=1 bus1={_bus(node, p[0])} bus2={_bus(node, p[1])} "
            f"kv={volts * _rated_share(cap['phase'], True):.17g} "
            f"kvar={cap['q_mvar'] / len(parts) * 1e3:.17g}"
            for p in parts
        ]
    return [
        f"new capacitor.{cap['cap_id']}_{p} phases=1 bus1={_bus(node, p)} kv={volts / np.sqrt(3.0):.17g} "
        f"kvar={cap['q_mvar'] / len(cap['phase']) * 1e3:.17g}"
        for p in cap["phase"]
    ]


def solve(feeder: Feeder, *, bands: bool = False) -> Outputs:
    """Run OpenDSS on the feeder."""
    from dss import DSS

    for command in script(feeder, bands=bands):
        DSS.Text.Command = command
    DSS.Text.Command = "solve"
    circuit = DSS.ActiveCircuit
    assert circuit.Solution.Converged
    raw = np.asarray(circuit.AllBusVolts, dtype=float)
    volts = dict(zip((n.lower() for n in circuit.AllNodeNames), raw[::2] + 1j * raw[1::2], strict=True))
    v = np.full((feeder.n_nodes, 3), np.nan + 0j)
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    for n, (node, letters) in enumerate(
        zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    ):
        for letter in letters:
            key = f"b_{node}.{_DIGIT[letter]}".lower()
            if key in volts:
                v[n, _DIGIT[letter] - 1] = volts[key] / base[n]
    losses = np.asarray(circuit.Losses, dtype=float)
    power = np.asarray(circuit.TotalPower, dtype=float)
    return Outputs(v, complex(*losses) / 1e6, -complex(*power) / 1e3)
