"""Feeder tables from the matrices of a MATPOWER case; see `matpower` for the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from .edit import node_loads
from .errors import CaseError, Problem
from .feeder import Feeder
from .meval import CaseData
from .schema import table

# Zero-based columns of the matrices.
BUS_I, TYPE, PD, QD, GS, BS, VM, VA, KV, VMAX, VMIN = 0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12
GEN_BUS, PG, QG, VG, GEN_STATUS = 0, 1, 2, 5, 7
FROM, TO, R, X, B, RATE, TAP, SHIFT, STATUS = 0, 1, 2, 3, 4, 5, 8, 9, 10
USED = {
    "bus": {BUS_I: "bus_i", TYPE: "type", PD: "Pd", QD: "Qd", GS: "Gs", BS: "Bs", VM: "Vm", VA: "Va",
            KV: "baseKV", VMAX: "Vmax", VMIN: "Vmin"},
    "gen": {GEN_BUS: "bus", PG: "Pg", QG: "Qg", VG: "Vg", GEN_STATUS: "status"},
    "branch": {FROM: "fbus", TO: "tbus", R: "r", X: "x", B: "b", RATE: "rateA", TAP: "ratio",
               SHIFT: "angle", STATUS: "status"},
}  # fmt: skip
REFERENCE, ISOLATED = 3, 4
UNLIMITED = 1e10  # MATPOWER itself ignores ratings from here on


@dataclass(frozen=True)
class Matrices:
    """The matrices of a case in three-phase quantities, and what was changed on the way."""

    case: CaseData
    bus: np.ndarray
    gen: np.ndarray
    branch: np.ndarray
    base: float
    notes: list[str]


class Builder:
    """Builds the tables and remembers the line of the file that each of their rows came from."""

    def __init__(self, data: Matrices) -> None:
        self.case, self.bus, self.gen, self.branch = data.case, data.bus, data.gen, data.branch
        self.base, self.notes = data.base, data.notes
        self.problems: list[Problem] = []
        self.lines: dict[str, list[int]] = {}
        self._check()
        self.node_ids = [str(int(number)) for number in self.bus[:, BUS_I]]
        self.row_of = {int(number): row for row, number in enumerate(self.bus[:, BUS_I])}
        self.is_source = self.bus[:, TYPE] == REFERENCE
        self.running = self.gen[:, GEN_STATUS] > 0
        self.gen_row = np.array([self.row_of[int(b)] for b in self.gen[:, GEN_BUS]], dtype=np.intp)
        ends = zip(self.branch[:, FROM], self.branch[:, TO], strict=True)
        self.branch_ids = numbered(f"{int(f)}-{int(t)}" for f, t in ends)
        self.closed = self.branch[:, STATUS] == 1

    def build(self, name: str, feeder_id: str, title: str) -> Feeder:
        """The feeder; raises CaseError with lines of the file."""
        sources = self.sources(feeder_id)
        loads = self.loads(feeder_id)
        if self.problems:
            raise CaseError(self.problems)
        tables = {
            "nodes": node_loads(self.nodes(feeder_id), loads),
            "branches": self.branches(feeder_id),
            "loads": loads,
            "capacitors": table("capacitors", {}),
            "regulators": table("regulators", {}),
            "transformers": self.transformers(feeder_id),
            "switches": self.switches(feeder_id),
            "sources": sources,
        }
        lines, file = self.lines, self.case.file

        def place(table_name: str, row: int | None) -> tuple[str, int | None]:
            return file, None if row is None else lines[table_name][row]

        metadata = {"source": f"MATPOWER case file {Path(file).name}"}
        if title:
            metadata["title"] = title
        if self.notes:
            metadata["notes"] = "; ".join(self.notes)
        return Feeder(
            name=name, base_mva=self.base, feeder_id=feeder_id, metadata=metadata, place=place, **tables
        )

    # -- checks ----------------------------------------------------------------------------------------

    def report(self, matrix: str, row: int, field: str, expected: str) -> None:
        """Record that one number of a matrix is wrong."""
        data = {"bus": self.bus, "gen": self.gen, "branch": self.branch}[matrix]
        column = next(at for at, title in USED[matrix].items() if title == field)
        line, shown = self.case.lines[matrix][row], f"{data[row, column]:.15g}"
        self.problems.append(Problem(self.case.file, line, f"{matrix} {field}", shown, expected))

    def _check(self) -> None:
        """What the tables cannot show: bus numbers, types, generators on unknown buses, states."""
        for matrix, data, column in (
            ("bus", self.bus, BUS_I),
            ("gen", self.gen, GEN_BUS),
            ("branch", self.branch, FROM),
            ("branch", self.branch, TO),
        ):
            numbers = data[:, column]
            whole = (numbers == np.round(numbers)) & (numbers >= 1) & (numbers < 2**53)
            for row in np.flatnonzero(~whole).tolist():
                self.report(matrix, row, USED[matrix][column], "a whole number >= 1")
        for row in np.flatnonzero(~np.isin(self.gen[:, GEN_BUS], self.bus[:, BUS_I])).tolist():
            self.report("gen", row, "bus", "the number of a bus")
        for row in np.flatnonzero(~np.isin(self.branch[:, STATUS], (0, 1))).tolist():
            self.report("branch", row, "status", "1 (closed) or 0 (open)")
        types = self.bus[:, TYPE]
        for row in np.flatnonzero(~np.isin(types, (1, 2, REFERENCE))).tolist():
            hint = " (delete isolated buses and their branches)" if types[row] == ISOLATED else ""
            self.report("bus", row, "type", f"1, 2 or 3{hint}")
        if not (types == REFERENCE).any():
            expected = "at least one reference bus (type 3), which feeds the network"
            self.problems.append(Problem(self.case.file, None, "mpc.bus", "", expected))
        if self.problems:
            raise CaseError(self.problems)

    # -- tables ----------------------------------------------------------------------------------------

    def nodes(self, feeder_id: str) -> pa.Table:
        """Nodes, with zero loads."""
        bus, count = self.bus, len(self.bus)
        self.lines["nodes"] = list(self.case.lines["bus"])
        pinned = np.flatnonzero((bus[:, VMIN] == bus[:, VMAX]) & ~self.is_source).tolist()
        if pinned:
            which = ", ".join(self.node_ids[row] for row in pinned[:5]) + ("..." if len(pinned) > 5 else "")
            self.notes.append(
                f"Vmin = Vmax at {len(pinned)} load buses ({which}): kept, but not usable as voltage limits"
            )
        types = np.where((bus[:, PD] != 0) | (bus[:, QD] != 0), "load", "junction").astype(object)
        types[self.gen_row[self.running]] = "der"
        types[self.is_source] = "source"
        columns = {
            "node_id": self.node_ids,
            "phase": ["ABC"] * count,
            "type": types,
            "base_kv": bus[:, KV],
            "v_min": bus[:, VMIN],
            "v_max": bus[:, VMAX],
            "load_p_mw": np.zeros(count),
            "load_q_mvar": np.zeros(count),
            "shunt_g_mw": bus[:, GS],
            "shunt_b_mvar": bus[:, BS],
            "feeder_id": [feeder_id] * count,
        }
        return table("nodes", columns)

    def branches(self, feeder_id: str) -> pa.Table:
        """Branches, with null where the file gives no rating."""
        branch, count = self.branch, len(self.branch)
        self.lines["branches"] = list(self.case.lines["branch"])
        rated = (branch[:, RATE] != 0) & (branch[:, RATE] < UNLIMITED)
        solid = (branch[:, R] == 0) & (branch[:, X] == 0)
        types = np.where(self.is_transformer(), "transformer", np.where(solid, "switch", "line"))
        columns = {
            "branch_id": self.branch_ids,
            "from_node": [str(int(number)) for number in branch[:, FROM]],
            "to_node": [str(int(number)) for number in branch[:, TO]],
            "type": types.astype(object),
            "phase": ["ABC"] * count,
            "r": branch[:, R],
            "x": branch[:, X],
            "b": branch[:, B],
            "tap": np.where(branch[:, TAP] == 0, 1.0, branch[:, TAP]),
            "shift_deg": branch[:, SHIFT],
            "status": self.closed,
            "thermal_limit_mva": pa.array(branch[:, RATE], mask=~rated),
            "rating_source": ["source" if has else None for has in rated],
            "feeder_id": [feeder_id] * count,
        }
        return table("branches", columns)

    def is_transformer(self) -> np.ndarray:
        """(branches,) whether the row is one: a ratio, a shift, or different voltages at its ends."""
        kv = {int(number): level for number, level in self.bus[:, [BUS_I, KV]]}
        ends = self.branch[:, [FROM, TO]]
        differs = [kv.get(int(f)) != kv.get(int(t)) and int(f) in kv and int(t) in kv for f, t in ends]
        ratio = (self.branch[:, TAP] != 0) | (self.branch[:, SHIFT] != 0)
        return np.array(differs, dtype=bool) | ratio

    def transformers(self, feeder_id: str) -> pa.Table:
        """One row per transformer branch; s_mva is its rating where it has one."""
        rows = np.flatnonzero(self.is_transformer()).tolist()
        kv = {int(number): level for number, level in self.bus[:, [BUS_I, KV]]}
        ends = [sorted(kv.get(int(end), 1.0) for end in self.branch[k, [FROM, TO]]) for k in rows]
        rating = self.branch[:, RATE]
        self.lines["transformers"] = [self.case.lines["branch"][k] for k in rows]
        columns = {
            "transformer_id": [f"t{self.branch_ids[k]}" for k in rows],
            "branch_id": [self.branch_ids[k] for k in rows],
            "s_mva": [rating[k] if 0 < rating[k] < UNLIMITED else None for k in rows],
            "hv_kv": [pair[1] for pair in ends],
            "lv_kv": [pair[0] for pair in ends],
            "feeder_id": [feeder_id] * len(rows),
        }
        return table("transformers", columns)

    def switches(self, feeder_id: str) -> pa.Table:
        """One tie per open branch."""
        rows = np.flatnonzero(~self.closed).tolist()
        self.lines["switches"] = [self.case.lines["branch"][k] for k in rows]
        columns = {
            "switch_id": [f"s{self.branch_ids[k]}" for k in rows],
            "branch_id": [self.branch_ids[k] for k in rows],
            "type": ["tie"] * len(rows),
            "normally_closed": [False] * len(rows),
            "feeder_id": [feeder_id] * len(rows),
        }
        return table("switches", columns)

    def loads(self, feeder_id: str) -> pa.Table:
        """Loads of the buses, and generators that are no source as negative loads."""
        rows = np.flatnonzero((self.bus[:, PD] != 0) | (self.bus[:, QD] != 0)).tolist()
        names = [f"load{self.node_ids[row]}" for row in rows]
        p, q = self.bus[rows, PD].tolist(), self.bus[rows, QD].tolist()
        lines = [self.case.lines["bus"][row] for row in rows]
        at = list(rows)
        other = self.running & ~self.is_source[self.gen_row]
        if other.any():
            which = ", ".join(self.node_ids[row] for row in self.gen_row[other][:5])
            self.notes.append(
                f"{int(other.sum())} generators besides the sources (bus {which}) inject their Pg and Qg and "
                "do not hold their voltage"
            )
        for k in np.flatnonzero(other & ((self.gen[:, PG] != 0) | (self.gen[:, QG] != 0))).tolist():
            at.append(int(self.gen_row[k]))
            names.append(f"gen{self.node_ids[at[-1]]}")
            p.append(-self.gen[k, PG])
            q.append(-self.gen[k, QG])
            lines.append(self.case.lines["gen"][k])
        self.lines["loads"] = lines
        zero = np.zeros(len(at))
        columns = {
            "load_id": numbered(names),
            "node_id": [self.node_ids[row] for row in at],
            "phase": ["ABC"] * len(at),
            "p_mw": p,
            "q_mvar": q,
            **dict.fromkeys(("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"), zero),
            "feeder_id": [feeder_id] * len(at),
        }
        return table("loads", columns)

    def sources(self, feeder_id: str) -> pa.Table:
        """One source per reference bus, at Vg of its generator, else at its Vm."""
        rows = np.flatnonzero(self.is_source).tolist()
        voltages = []
        for row in rows:
            units = np.flatnonzero(self.running & (self.gen_row == row))
            settings = self.gen[units, VG]
            for k in units[settings != settings[:1]].tolist() if len(units) else ():
                self.report("gen", k, "Vg", f"the Vg of the other generators of this bus ({settings[0]:g})")
            if not len(units):
                node = self.node_ids[row]
                self.notes.append(f"bus {node} has no generator in service: its voltage is taken from Vm")
            voltages.append(settings[0] if len(units) else self.bus[row, VM])
        self.lines["sources"] = [self.case.lines["bus"][row] for row in rows]
        columns = {
            "source_id": [f"source{self.node_ids[row]}" for row in rows],
            "node_id": [self.node_ids[row] for row in rows],
            "v_pu": voltages,
            "v_deg": self.bus[rows, VA],
            "feeder_id": [feeder_id] * len(rows),
        }
        return table("sources", columns)


def numbered(names: Iterable[str]) -> list[str]:
    """The names, the second and later uses of one with "#2", "#3" and so on behind it."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
