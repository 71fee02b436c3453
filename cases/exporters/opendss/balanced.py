"""A balanced feeder as three phases without coupling, each with the positive-sequence impedances.

Their zero sequence is the positive one: while loads and sources are balanced none of it flows, and the
voltages of each phase are the feeder's. Once they are not, the mutual impedances are missing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...errors import CaseError, Problem
from ...graph import breadth_first_forest, joins
from ...model.feeder import Feeder
from .circuit import Circuit, Row, amps_of, node_shunts, title

#: pu of a branch that has no impedance: so small that no current makes a difference on it.
NEARLY_NOTHING_PU = 1e-9
_PLAIN, _ROTATED = "ABC", {0.0: "ABC", -120.0: "BCA", 120.0: "CAB"}
_MIXED_DEG = 30.0
_SAME_DEG = 1e-9


class _Turn(NamedTuple):
    """How three windings make a phase shift: unlike windings by 30 degrees, other terminals by 120."""

    lag_deg: float
    to_phase: str


def balanced_circuit(feeder: Feeder) -> Circuit:
    """The rows of a balanced feeder, phase by phase.

    Raises:
        CaseError: a generator that holds a voltage, or a phase shift that no windings make.
    """
    held = feeder.column("loads", "v_set_pu")
    for row in np.flatnonzero(~np.isnan(held)).tolist():
        name = feeder.column("loads", "load_id")[row]
        expected = "constant power: generators of OpenDSS come only near the voltage that they hold"
        raise CaseError([Problem(f"loads, {name!r}", row, "v_set_pu", f"{held[row]:g}", expected)])
    wires, units, shunts = _branches(feeder)
    loads = [row | {"connection": "wye", "v_low_pu": None, "v_high_pu": None, "v_rated_pu": None}
             for row in feeder.loads.to_pylist()]  # fmt: skip
    banks = [row | {"connection": "wye"} for row in feeder.capacitors.to_pylist()]
    regulators = [row | {"transformer_id": row["branch_id"]} for row in feeder.regulators.to_pylist()]
    sources = [row | {"r_ohm": None, "x_ohm": None} for row in feeder.sources.to_pylist()]
    return Circuit(
        feeder.name, title(feeder), feeder.nodes.to_pylist(), wires, units, regulators, loads, banks, [],
        sources, node_shunts(feeder) + shunts,
    )  # fmt: skip


def _branches(feeder: Feeder) -> tuple[list[Row], list[Row], list[Row]]:
    """Wires, transformer units, and the charging of branches that are such."""
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    gains = {row["branch_id"]: 1.0 + row["tap_pos"] * row["tap_step_pu"]
             for row in feeder.regulators.to_pylist()}  # fmt: skip
    plates = {row["branch_id"]: row["s_mva"] for row in feeder.transformers.to_pylist()}
    switched = set(feeder.column("switches", "branch_id").tolist())
    depth = _depths(feeder)
    wires: list[Row] = []
    units: list[Row] = []
    shunts: list[Row] = []
    for at, branch in enumerate(feeder.branches.to_pylist()):
        name, ends = branch["branch_id"], (branch["from_node"], branch["to_node"])
        turned = branch["tap"] != 1 or branch["shift_deg"] != 0 or name in gains
        if not turned and branch["type"] not in ("transformer", "regulator") and kv[ends[0]] == kv[ends[1]]:
            wires.append(_wire(feeder, branch, kv[ends[0]], name in switched))
            continue
        upstream = depth[ends[1]] < depth[ends[0]]
        size = plates.get(name) or branch["thermal_limit_mva"] or feeder.base_mva
        unit = _unit(feeder, at, branch, (size, gains.get(name, 1.0)), fed_at_to=upstream)
        units.append(unit | {"hv_kv": kv[ends[0]], "lv_kv": kv[ends[1]]})
        if branch["b"] and branch["status"]:
            shunts += _charging(feeder, branch, gains.get(name, 1.0))
    return wires, units, shunts


def _depths(feeder: Feeder) -> dict[str, int]:
    """How many branches from a source each node is."""
    rows = feeder.node_index
    pairs = zip(feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), strict=True)
    ends = np.array([(rows[a], rows[b]) for a, b in pairs], dtype=np.intp).reshape(-1, 2)
    roots = [rows[node] for node in feeder.column("sources", "node_id")]
    depth = breadth_first_forest(feeder.n_nodes, ends[joins(feeder.branches)], roots)[2]
    return {node: int(depth[row]) for node, row in rows.items()}


def _impedance(branch: Row) -> complex:
    return complex(branch["r"], branch["x"]) or complex(0.0, NEARLY_NOTHING_PU)


def _wire(feeder: Feeder, branch: Row, kv: float, switched: bool) -> Row:
    base, z = kv**2 / feeder.base_mva, _impedance(branch)
    each = np.eye(3)
    return branch | {
        "r_ohm": each * (z.real * base), "x_ohm": each * (z.imag * base),
        "b_us": each * (branch["b"] / base * 1e6), "letters": _PLAIN,
        "switch": switched or branch["type"] == "switch", "closed": branch["status"],
        "amps": amps_of(branch["thermal_limit_mva"], kv),
    }  # fmt: skip


def _unit(
    feeder: Feeder, at: int, branch: Row, plate: tuple[float, float], *, fed_at_to: bool
) -> dict[str, Any]:
    """A three-phase transformer; of unlike windings the delta is where it is fed: loads have a ground."""
    size, gain = plate
    turn = _turn(at, branch)
    kinds = ("wye-delta" if fed_at_to else "delta-wye") if turn.lag_deg else "wye-wye"
    percent = 100.0 * _impedance(branch) * size / feeder.base_mva / gain**2
    return {
        "transformer_id": branch["branch_id"], "branch_id": branch["branch_id"], "s_mva": size,
        "from_node": branch["from_node"], "to_node": branch["to_node"], "closed": branch["status"],
        "connection": kinds, "from_phase": _PLAIN, "to_phase": turn.to_phase,
        "r_pct": percent.real, "x_pct": percent.imag, "tap_from": branch["tap"], "tap_to": 1.0,
        "lag_deg": turn.lag_deg, "noload_pct": None, "imag_pct": None, "antifloat_ppm": None,
    }  # fmt: skip


def _turn(at: int, branch: Row) -> _Turn:
    shift = float(branch["shift_deg"])
    for lag in (0.0, _MIXED_DEG, -_MIXED_DEG):
        for more, letters in _ROTATED.items():
            if abs((shift - lag - more + 180.0) % 360.0 - 180.0) < _SAME_DEG:
                return _Turn(lag, letters)
    where = f"branches, {branch['branch_id']!r}"
    expected = "0, 30, 90, 120 or 150 degrees either way, as windings of three phases make them"
    raise CaseError([Problem(where, at, "shift_deg", f"{shift:g}", expected)])


def _charging(feeder: Feeder, branch: Row, gain: float) -> list[Row]:
    """Half of it behind the ratio, half at the to end."""
    half = 0.5 * branch["b"] * feeder.base_mva
    squares = {"from": (gain / branch["tap"]) ** 2, "to": 1.0}
    return [
        {"shunt_id": f"{branch['branch_id']}_{end}", "node_id": branch[f"{end}_node"], "g_mw": 0.0,
         "b_mvar": half * square}
        for end, square in squares.items()
    ]  # fmt: skip
