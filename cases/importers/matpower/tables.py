"""Feeder tables from the matrices of a MATPOWER case; see `matpower` for the rules."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import KEPT_PROBLEMS, CaseError, Problem
from ...model.edit import node_loads
from ...model.feeder import Feeder
from ...schema import table
from .evaluator import CaseData

# Zero-based columns of the matrices.
BUS_I, TYPE, PD, QD, GS, BS, VM, VA, KV, VMAX, VMIN = 0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12
GEN_BUS, PG, QG, QMAX, QMIN, VG, GEN_STATUS = 0, 1, 2, 3, 4, 5, 7
FROM, TO, R, X, B, RATE, TAP, SHIFT, STATUS = 0, 1, 2, 3, 4, 5, 8, 9, 10
USED = {
    "bus": {BUS_I: "bus_i", TYPE: "type", PD: "Pd", QD: "Qd", GS: "Gs", BS: "Bs", VM: "Vm", VA: "Va",
            KV: "baseKV", VMAX: "Vmax", VMIN: "Vmin"},
    "gen": {GEN_BUS: "bus", PG: "Pg", QG: "Qg", VG: "Vg", GEN_STATUS: "status"},  # Qmin, Qmax may be Inf
    "branch": {FROM: "fbus", TO: "tbus", R: "r", X: "x", B: "b", RATE: "rateA", TAP: "ratio",
               SHIFT: "angle", STATUS: "status"},
}  # fmt: skip
COMPLETE = "nothing is left out"  # how a note ends that no power flow need repeat
HOLDS, REFERENCE, ISOLATED = 2, 3, 4  # types of buses
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
        self.lines: dict[str, Sequence[int] | np.ndarray] = {}
        self._check()
        self.node_ids = _names(self.bus[:, BUS_I])
        self.is_source = self.bus[:, TYPE] == REFERENCE
        self.running = self.gen[:, GEN_STATUS] > 0
        self.gen_row = self.rows_of(self.gen[:, GEN_BUS])
        self.from_ids, self.to_ids = _names(self.branch[:, FROM]), _names(self.branch[:, TO])
        self.branch_ids = numbered(pc.binary_join_element_wise(self.from_ids, self.to_ids, "-"))
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
            return file, None if row is None else int(lines[table_name][row])

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
        if len(self.problems) >= KEPT_PROBLEMS:
            return
        data = {"bus": self.bus, "gen": self.gen, "branch": self.branch}[matrix]
        known = USED[matrix] | ({QMIN: "Qmin", QMAX: "Qmax"} if matrix == "gen" else {})
        column = next(at for at, title in known.items() if title == field)
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
            self.report("bus", row, "type", "1, 2, 3 or 4")
        if not (types == REFERENCE).any():
            expected = "at least one reference bus (type 3), which feeds the network"
            self.problems.append(Problem(self.case.file, None, "mpc.bus", "", expected))
        if self.problems:
            raise CaseError(self.problems)

    def rows_of(self, numbers: np.ndarray) -> np.ndarray:
        """Row in bus of each number (the last one of those that share it); -1 where there is none."""
        known = self.bus[:, BUS_I]
        order = np.argsort(known, kind="stable")
        at = np.maximum(np.searchsorted(known, numbers, side="right", sorter=order) - 1, 0)
        rows: np.ndarray = order[at] if len(known) else np.full(len(numbers), -1)
        return np.where(known[rows] == numbers, rows, -1) if len(known) else rows

    def lines_of(self, matrix: str, rows: np.ndarray) -> np.ndarray:
        """Line of the file of each of these rows."""
        return np.array([self.case.lines[matrix][row] for row in rows], dtype=np.int64)

    def ids_at(self, rows: np.ndarray) -> list[str]:
        """Ids of the first five of these buses."""
        found: list[str] = self.node_ids.take(pa.array(rows[:5], type=pa.int64())).to_pylist()
        return found

    # -- tables ----------------------------------------------------------------------------------------

    def nodes(self, feeder_id: str) -> pa.Table:
        """Nodes, with zero loads."""
        bus, count = self.bus, len(self.bus)
        self.lines["nodes"] = self.case.lines["bus"]
        pinned = np.flatnonzero((bus[:, VMIN] == bus[:, VMAX]) & ~self.is_source)
        if len(pinned):
            which = ", ".join(self.ids_at(pinned)) + ("..." if len(pinned) > 5 else "")
            self.notes.append(
                f"Vmin = Vmax at {len(pinned)} load buses ({which}): kept, but not usable as voltage limits: "
                f"{COMPLETE}"
            )
        types = ((bus[:, PD] != 0) | (bus[:, QD] != 0)).astype(np.int8)
        types[self.gen_row[self.running]] = 2
        types[self.is_source] = 3
        columns = {
            "node_id": self.node_ids,
            "phase": pa.repeat("ABC", count),
            "type": pa.array(["junction", "load", "der", "source"]).take(pa.array(types)),
            "base_kv": bus[:, KV],
            "v_min": bus[:, VMIN],
            "v_max": bus[:, VMAX],
            "load_p_mw": np.zeros(count),
            "load_q_mvar": np.zeros(count),
            "shunt_g_mw": bus[:, GS],
            "shunt_b_mvar": bus[:, BS],
            "feeder_id": pa.repeat(feeder_id, count),
        }
        return table("nodes", columns)

    def branches(self, feeder_id: str) -> pa.Table:
        """Branches, with null where the file gives no rating."""
        branch, count = self.branch, len(self.branch)
        self.lines["branches"] = self.case.lines["branch"]
        rated = (branch[:, RATE] != 0) & (branch[:, RATE] < UNLIMITED)
        solid = (branch[:, R] == 0) & (branch[:, X] == 0)
        types = np.where(self.is_transformer(), 2, solid).astype(np.int8)
        columns = {
            "branch_id": self.branch_ids,
            "from_node": self.from_ids,
            "to_node": self.to_ids,
            "type": pa.array(["line", "switch", "transformer"]).take(pa.array(types)),
            "phase": pa.repeat("ABC", count),
            "r": branch[:, R],
            "x": branch[:, X],
            "b": branch[:, B],
            "tap": np.where(branch[:, TAP] == 0, 1.0, branch[:, TAP]),
            "shift_deg": branch[:, SHIFT],
            "status": self.closed,
            "thermal_limit_mva": pa.array(branch[:, RATE], mask=~rated),
            "rating_source": pa.array(["source"]).take(pa.array(np.zeros(count, dtype=np.int8), mask=~rated)),
            "feeder_id": pa.repeat(feeder_id, count),
        }
        return table("branches", columns)

    def is_transformer(self) -> np.ndarray:
        """(branches,) whether the row is one: a ratio, a shift, or different voltages at its ends."""
        from_kv, to_kv = self.end_kv()
        differs = (from_kv != to_kv) & ~np.isnan(from_kv) & ~np.isnan(to_kv)
        ratio = (self.branch[:, TAP] != 0) | (self.branch[:, SHIFT] != 0)
        return np.asarray(differs | ratio)

    def end_kv(self) -> list[np.ndarray]:
        """Base kV at both ends of each branch, NaN where there is no such bus."""
        if not len(self.bus):
            return [np.full(len(self.branch), np.nan)] * 2
        rows = [self.rows_of(self.branch[:, column]) for column in (FROM, TO)]
        return [np.where(row < 0, np.nan, self.bus[row, KV]) for row in rows]

    def transformers(self, feeder_id: str) -> pa.Table:
        """One row per transformer branch; s_mva is its rating where it has one."""
        rows = np.flatnonzero(self.is_transformer())
        kv = [np.nan_to_num(end[rows], nan=1.0) for end in self.end_kv()]
        rating = self.branch[rows, RATE]
        branch_ids = self.branch_ids.take(pa.array(rows))
        self.lines["transformers"] = self.lines_of("branch", rows)
        columns = {
            "transformer_id": _prefixed("t", branch_ids),
            "branch_id": branch_ids,
            "s_mva": pa.array(rating, mask=~((rating > 0) & (rating < UNLIMITED))),
            "hv_kv": np.maximum(*kv),
            "lv_kv": np.minimum(*kv),
            "feeder_id": pa.repeat(feeder_id, len(rows)),
        }
        return table("transformers", columns)

    def switches(self, feeder_id: str) -> pa.Table:
        """One tie per open branch."""
        rows = np.flatnonzero(~self.closed)
        branch_ids = self.branch_ids.take(pa.array(rows))
        self.lines["switches"] = self.lines_of("branch", rows)
        columns = {
            "switch_id": _prefixed("s", branch_ids),
            "branch_id": branch_ids,
            "type": pa.repeat("tie", len(rows)),
            "normally_closed": pa.repeat(False, len(rows)),
            "feeder_id": pa.repeat(feeder_id, len(rows)),
        }
        return table("switches", columns)

    def loads(self, feeder_id: str) -> pa.Table:
        """Loads of the buses, and generators that are no source as negative loads."""
        rows = np.flatnonzero((self.bus[:, PD] != 0) | (self.bus[:, QD] != 0))
        other = self.running & ~self.is_source[self.gen_row]
        holds, q_mvar = self._holding(other)
        if holds.any():
            which = ", ".join(self.ids_at(self.gen_row[holds]))
            self.notes.append(
                f"{int(holds.sum())} generators besides the sources (bus {which}) hold their voltage Vg: "
                f"{COMPLETE}"
            )
        if (other & ~holds).any():
            which = ", ".join(self.ids_at(self.gen_row[other & ~holds]))
            self.notes.append(
                f"{int((other & ~holds).sum())} generators besides the sources (bus {which}) inject their Pg "
                "and Qg and do not hold their voltage"
            )
        units = np.flatnonzero(holds | (other & ((self.gen[:, PG] != 0) | (q_mvar != 0))))
        at = np.concatenate([rows, self.gen_row[units]])
        node_ids = self.node_ids.take(pa.array(at))
        kinds = pa.array(["load", "gen"]).take(pa.array((np.arange(len(at)) >= len(rows)).astype(np.int8)))
        self.lines["loads"] = np.concatenate([self.lines_of("bus", rows), self.lines_of("gen", units)])
        zero, free = np.zeros(len(at)), np.concatenate([np.ones(len(rows), dtype=bool), ~holds[units]])
        settings = {}
        for column, name in ((VG, "v_set_pu"), (QMIN, "q_min_mvar"), (QMAX, "q_max_mvar")):
            values = np.concatenate([np.zeros(len(rows)), self.gen[units, column]])
            settings[name] = pa.array(values, mask=free | np.isinf(values))
        columns = {
            "load_id": numbered(pc.binary_join_element_wise(kinds, node_ids, "")),
            "node_id": node_ids,
            "phase": pa.repeat("ABC", len(at)),
            "p_mw": np.concatenate([self.bus[rows, PD], 0.0 - self.gen[units, PG]]),
            "q_mvar": np.concatenate([self.bus[rows, QD], 0.0 - q_mvar[units]]),
            **dict.fromkeys(("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"), zero),
            **settings,
            "feeder_id": pa.repeat(feeder_id, len(at)),
        }
        return table("loads", columns)

    def _holding(self, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the generators ``other`` hold their voltage, and the Mvar that the rest inject."""
        gen, q_mvar = self.gen, self.gen[:, QG].copy()
        at_held = other & (self.bus[self.gen_row, TYPE] == HOLDS)
        low, high = gen[:, QMIN], gen[:, QMAX]
        for row in np.flatnonzero(at_held & ~(low <= high)).tolist():
            self.report("gen", row, "Qmax", f"a limit that is not below Qmin ({low[row]:g})")
        for row in np.flatnonzero(at_held & ~(gen[:, VG] > 0)).tolist():
            self.report("gen", row, "Vg", "a voltage > 0 pu")
        first: dict[int, float] = {}
        for row in np.flatnonzero(at_held).tolist():
            wanted = first.setdefault(int(self.gen_row[row]), float(gen[row, VG]))
            if gen[row, VG] != wanted:
                self.report("gen", row, "Vg", f"the Vg of the other generators of this bus ({wanted:g})")
        q_mvar[at_held] = 0.0
        return at_held, q_mvar

    def sources(self, feeder_id: str) -> pa.Table:
        """One source per reference bus, at Vg of its generator, else at its Vm."""
        rows = np.flatnonzero(self.is_source)
        node_ids = self.node_ids.take(pa.array(rows))
        voltages = array("d")
        running = np.flatnonzero(self.running)
        running = running[
            np.argsort(self.gen_row[running], kind="stable")
        ]  # by bus, in the order of the file
        ends = np.searchsorted(self.gen_row[running], [rows, rows + 1])
        for row, node, start, end in zip(rows.tolist(), node_ids, *ends.tolist(), strict=True):
            units = running[start:end]
            settings = self.gen[units, VG]
            for k in units[settings != settings[:1]].tolist() if len(units) else ():
                self.report("gen", k, "Vg", f"the Vg of the other generators of this bus ({settings[0]:g})")
            if not len(units):
                self.notes.append(f"bus {node} has no generator in service: its voltage is taken from Vm")
            voltages.append(settings[0] if len(units) else self.bus[row, VM])
        self.lines["sources"] = self.lines_of("bus", rows)
        columns = {
            "source_id": _prefixed("source", node_ids),
            "node_id": node_ids,
            "v_pu": np.frombuffer(voltages),
            "v_deg": self.bus[rows, VA],
            "feeder_id": pa.repeat(feeder_id, len(rows)),
        }
        return table("sources", columns)


def _names(numbers: np.ndarray) -> pa.Array:
    """Whole numbers as texts."""
    return pa.array(numbers.astype(np.int64)).cast(pa.string())


def _prefixed(prefix: str, names: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.repeat(prefix, len(names)), names, "")


def numbered(names: pa.Array) -> pa.Array:
    """The names, the second and later uses of one with "#2", "#3" and so on behind it."""
    codes = names.dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    use = np.empty(len(codes), dtype=np.int64)  # from 1 on, in the order of the names
    use[order] = np.arange(1, len(codes) + 1) - np.searchsorted(ranked, ranked)
    if (use == 1).all():
        return names
    marked = pc.binary_join_element_wise(names, _names(use), "#")
    return pc.if_else(pa.array(use == 1), names, marked)
