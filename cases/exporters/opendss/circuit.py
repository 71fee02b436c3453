"""What a script says of a feeder: its tables as rows, phase by phase, whatever the feeder is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import CaseError, Problem
from ...model.feeder import Feeder
from ...phases import places

Row = dict[str, Any]
MATRICES = ("r_ohm", "x_ohm", "b_us")


@dataclass(frozen=True)
class Circuit:
    """Rows with the columns of the tables, and with what is theirs to say in a script.

    Attributes:
        name: of the feeder.
        title: what it is, in words.
        nodes: rows of the nodes table.
        wires: rows of branches with 3x3 matrices; `letters` are their phases, `switch` says whether they are
            one, `amps` what they may carry (None: unknown).
        units: rows of the transformers table with `from_node`, `to_node` and `closed`.
        regulators: rows of the regulators table, all with a `transformer_id`.
        loads, capacitors, cap_controls, sources: rows of the tables of these names.
        shunts: constant admittances to ground: `shunt_id`, `node_id`, `g_mw`, `b_mvar` at 1 pu.
    """

    name: str
    title: str
    nodes: list[Row]
    wires: list[Row]
    units: list[Row]
    regulators: list[Row]
    loads: list[Row]
    capacitors: list[Row]
    cap_controls: list[Row]
    sources: list[Row]
    shunts: list[Row] = field(default_factory=list)

    def kv(self) -> dict[str, float]:
        """Base voltage of each node, line to line."""
        return {row["node_id"]: row["base_kv"] for row in self.nodes}


def per_phase_circuit(feeder: Feeder) -> Circuit:
    """The rows of a per-phase feeder.

    Raises:
        CaseError: a branch with charging on a phase that it has not.
    """
    branches = {row["branch_id"]: row for row in feeder.branches.to_pylist()}
    switched = set(feeder.column("switches", "branch_id").tolist())
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    wires = [
        _wire(at, row, switched, kv[row["from_node"]])
        for at, row in enumerate(branches.values())
        if row["r_ohm"] is not None
    ]
    units = []
    for unit in feeder.transformers.to_pylist():
        branch = branches[unit["branch_id"]]
        ends = {key: branch[key] for key in ("from_node", "to_node")}
        units.append(unit | ends | {"closed": branch["status"]})
    return Circuit(
        feeder.name, title(feeder), feeder.nodes.to_pylist(), wires, units, feeder.regulators.to_pylist(),
        feeder.loads.to_pylist(), feeder.capacitors.to_pylist(), feeder.cap_controls.to_pylist(),
        feeder.sources.to_pylist(), node_shunts(feeder),
    )  # fmt: skip


def title(feeder: Feeder) -> str:
    """What the feeder is, in one line."""
    return " ".join(feeder.metadata.get("title", f"{feeder.phases} feeder").split())


def amps_of(limit_mva: float | None, kv: float) -> float | None:
    """A of each phase of a rating."""
    return None if limit_mva is None else limit_mva * 1000.0 / (np.sqrt(3.0) * kv)


def node_shunts(feeder: Feeder) -> list[Row]:
    """What stands fixed at the nodes."""
    names = ("node_id", "shunt_g_mw", "shunt_b_mvar")
    return [
        {"shunt_id": f"shunt_{node}", "node_id": node, "g_mw": g, "b_mvar": b}
        for node, g, b in zip(*(feeder.column("nodes", name) for name in names), strict=True)
        if g or b
    ]


def _wire(at: int, branch: Row, switched: set[str], kv: float) -> Row:
    matrices = {name: np.array(branch[name] or [0.0] * 9).reshape(3, 3) for name in MATRICES}
    size = np.abs(matrices["r_ohm"]) + np.abs(matrices["x_ohm"])
    letters = "".join(x for x in branch["phase"] if size[places(x)[0], places(x)[0]] > 0)
    own = np.isin(np.arange(3), places(letters))
    if matrices["b_us"][~own].any():
        expected = "no charging on a phase without an impedance, as a line of OpenDSS has both"
        raise CaseError([Problem("branches", at, "b_us", repr(branch["branch_id"]), expected)])
    return branch | matrices | {
        "letters": letters,
        "switch": branch["type"] == "switch" or branch["branch_id"] in switched,
        "closed": branch["status"],
        "amps": amps_of(branch["thermal_limit_mva"], kv),
    }  # fmt: skip
