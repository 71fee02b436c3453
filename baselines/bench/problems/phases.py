"""An unbalanced feeder as the plain arrays that any three-phase power flow program takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....cases import Feeder
from .balanced import ComplexArray, FloatArray, IntArray
from .trees import feeder_of

BoolArray = NDArray[np.bool_]
HZ = 60.0
_BASE_MVA = 1.0
#: In the place of regulators and closed switches. IEEE 123 has 1e-6 ohm there, with which Newton's method and
#: node equations keep nine digits only: too few to judge the others by.
_WIRE_OHM = 1e-3j


@dataclass(frozen=True, eq=False)
class PhaseProblem:
    """A radial feeder at one voltage: lines with full matrices, wye constant-power loads, wye capacitors.

    Phases A, B, C are the last axis; what does not exist is zero.
    """

    name: str
    kv: float  # line to line
    present: BoolArray  # (n, 3)
    from_row: IntArray  # (m,)
    to_row: IntArray
    z_ohm: ComplexArray  # (m, 3, 3)
    b_us: FloatArray  # (m, 3, 3) total charging, half at each end
    p_mw: FloatArray  # (n, 3)
    q_mvar: FloatArray
    cap_mvar: FloatArray  # (n, 3) at rated voltage
    source: int
    v_source_pu: float

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return int(self.present.shape[0])

    @property
    def n_phase_nodes(self) -> int:
        """Number of phases of all buses together."""
        return int(np.count_nonzero(self.present))

    @property
    def base_mva(self) -> float:
        """Three-phase base."""
        return _BASE_MVA

    @property
    def ohm_per_pu(self) -> float:
        """Base impedance."""
        return self.kv**2 / _BASE_MVA

    @property
    def source_phasor(self) -> ComplexArray:
        """(3,) pu."""
        return np.asarray(self.v_source_pu * np.exp(-2j * np.pi / 3.0 * np.arange(3)))

    @property
    def branch_present(self) -> BoolArray:
        """(m, 3) phases of each branch."""
        return np.asarray(np.abs(np.diagonal(self.z_ohm, axis1=1, axis2=2)) > 0)

    @cached_property
    def node_b_us(self) -> FloatArray:
        """(n, 3, 3) susceptance at each node: halves of line charging, and capacitors."""
        total = np.zeros((self.n_bus, 3, 3))
        np.add.at(total, self.from_row, self.b_us / 2.0)
        np.add.at(total, self.to_row, self.b_us / 2.0)
        siemens = 3.0 * self.cap_mvar / self.kv**2
        total[:, range(3), range(3)] += siemens * 1e6
        return total

    @cached_property
    def net(self) -> physics.Network3:
        """The same as a network of distgrid."""
        return physics.compile_per_phase(_feeder(self), allow_mesh_pruning=False)


def _feeder(problem: PhaseProblem) -> Feeder:
    n, m = problem.n_bus, problem.from_row.size
    ids = [f"n{k}" for k in range(n)]
    loaded = np.argwhere((problem.p_mw != 0) | (problem.q_mvar != 0))
    banks = np.argwhere(problem.cap_mvar != 0)

    def letters(present: BoolArray) -> list[str]:
        return ["".join(np.array(list("ABC"))[row]) for row in present]

    def matrices(blocks: FloatArray) -> list[list[float]]:
        return list(blocks.reshape(m, 9).tolist())

    at, phase = tuple(loaded.T), ["ABC"[j] for _, j in loaded]
    rows: dict[str, dict[str, Any]] = {
        "nodes": {
            "node_id": ids, "phase": letters(problem.present),
            "type": ["source" if k == problem.source else "load" for k in range(n)],
            "base_kv": np.full(n, problem.kv), "v_min": np.full(n, 0.9), "v_max": np.full(n, 1.1),
            "load_p_mw": problem.p_mw.sum(axis=1), "load_q_mvar": problem.q_mvar.sum(axis=1),
        },
        "branches": {
            "branch_id": [f"b{k}" for k in range(m)], "from_node": [ids[k] for k in problem.from_row],
            "to_node": [ids[k] for k in problem.to_row], "type": ["line"] * m,
            "phase": letters(problem.branch_present), "r": np.full(m, 0.01), "x": np.full(m, 0.01),
            "tap": np.ones(m), "status": np.ones(m, dtype=bool), "r_ohm": matrices(problem.z_ohm.real),
            "x_ohm": matrices(problem.z_ohm.imag), "b_us": matrices(problem.b_us),
        },
        "loads": {
            "load_id": [f"l{k}{x}" for (k, _), x in zip(loaded, phase, strict=True)],
            "node_id": [ids[k] for k, _ in loaded], "phase": phase, "connection": ["wye"] * len(phase),
            "p_mw": problem.p_mw[at], "q_mvar": problem.q_mvar[at],
        },
        "sources": {"source_id": ["grid"], "node_id": [ids[problem.source]],
                    "v_pu": [problem.v_source_pu], "v_deg": [0.0]},
    }  # fmt: skip
    if len(banks):
        rows["capacitors"] = {
            "cap_id": [f"c{k}{'ABC'[j]}" for k, j in banks], "node_id": [ids[k] for k, _ in banks],
            "phase": ["ABC"[j] for _, j in banks], "connection": ["wye"] * len(banks),
            "q_mvar": problem.cap_mvar[tuple(banks.T)], "status": np.ones(len(banks), dtype=bool),
        }  # fmt: skip
    return feeder_of(problem.name, _BASE_MVA, rows, "per-phase")


def problem3(feeder: Feeder) -> PhaseProblem:
    """The part of ``feeder`` at its source's voltage, regulators out, every load wye and constant power.

    A load between phases is shared equally by them, a load's power is that at 1 pu. ValueError where
    something is left out that draws power, and where what is left is no tree.
    """
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    (source,) = feeder.sources.to_pylist()
    level = kv[source["node_id"]]
    branches = [b for b in feeder.branches.to_pylist() if b["status"] and kv[b["to_node"]] == level]
    kept = _reached(source["node_id"], branches)
    at = {node: k for k, node in enumerate(n for n in feeder.column("nodes", "node_id") if n in kept)}
    n, m = len(at), len(branches)
    if m != n - 1:
        raise ValueError(f"feeder {feeder.name!r} is no tree: the benchmark compares programs on trees")
    z, b = np.zeros((m, 3, 3), dtype=np.complex128), np.zeros((m, 3, 3))
    for k, branch in enumerate(branches):
        if branch["type"] in ("regulator", "switch"):
            z[k][_diagonal(branch["phase"])] = _WIRE_OHM
        else:
            z[k] = np.reshape(branch["r_ohm"], (3, 3)) + 1j * np.reshape(branch["x_ohm"], (3, 3))
            b[k] = np.reshape(branch["b_us"], (3, 3))
    present = np.zeros((n, 3), dtype=bool)
    power, caps = np.zeros((2, n, 3)), np.zeros((n, 3))
    for row in feeder.nodes.to_pylist():
        if row["node_id"] in at:
            present[at[row["node_id"]], _places(row["phase"])] = True
    for load in feeder.loads.to_pylist():
        where = _place_of(feeder, at, load["node_id"], "a load"), _places(load["phase"])
        share = len(load["phase"])
        power[0][where] += load["p_mw"] / share
        power[1][where] += load["q_mvar"] / share
    for cap in feeder.capacitors.to_pylist():
        if cap["status"]:
            where = _place_of(feeder, at, cap["node_id"], "a capacitor"), _places(cap["phase"])
            caps[where] += cap["q_mvar"] / len(cap["phase"])
    return PhaseProblem(
        name=feeder.name, kv=float(level), present=present,
        from_row=np.array([at[branch["from_node"]] for branch in branches]),
        to_row=np.array([at[branch["to_node"]] for branch in branches]), z_ohm=z, b_us=b, p_mw=power[0],
        q_mvar=power[1], cap_mvar=caps, source=at[source["node_id"]], v_source_pu=float(source["v_pu"]),
    )  # fmt: skip


def _reached(source: str, branches: list[dict[str, Any]]) -> set[str]:
    """Nodes that hang together with the source."""
    found, more = {source}, True
    while more:
        more = False
        for branch in branches:
            ends = {branch["from_node"], branch["to_node"]}
            if len(ends & found) == 1:
                found |= ends
                more = True
    return found


def _places(letters: str) -> list[int]:
    return ["ABC".index(letter) for letter in letters]


def _diagonal(letters: str) -> tuple[list[int], list[int]]:
    return _places(letters), _places(letters)


def _place_of(feeder: Feeder, at: dict[str, int], node: str, what: str) -> int:
    if node not in at:
        raise ValueError(
            f"feeder {feeder.name!r} has {what} at node {node!r}, behind a transformer: the benchmark "
            "compares programs on lines at one voltage; choose another feeder"
        )
    return at[node]
