"""What the checks of a feeder's tables share: the tables under examination, and how problems are noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Problem
from ..schema import in_one

ID_COLUMN = {
    "nodes": "node_id",
    "branches": "branch_id",
    "loads": "load_id",
    "capacitors": "cap_id",
    "regulators": "reg_id",
    "transformers": "transformer_id",
    "switches": "switch_id",
    "sources": "source_id",
    "cap_controls": "control_id",
}
SLOTS = "ABC12"  # a bit for each phase and each leg of split-phase wires


@dataclass
class Check:
    """The tables under examination and what was found so far.

    `place` maps (table, row) to the file and row that the reader of the message can look up.
    """

    tables: Mapping[str, pa.Table]
    place: Callable[[str, int | None], tuple[str, int | None]]
    problems: list[Problem] = field(default_factory=list)

    def array(self, table: str, column: str) -> pa.Array:
        """The column as one Arrow array."""
        return in_one(self.tables[table].column(column))

    def numbers(self, table: str, column: str) -> np.ndarray:
        """(rows,) float64, NaN where null."""
        return np.asarray(self.array(table, column).to_numpy(zero_copy_only=False), dtype=np.float64)

    def report(self, table: str, column: str, bad: np.ndarray, expected: str) -> None:
        """Record one problem per row where `bad` holds."""
        for row in np.flatnonzero(bad).tolist():
            value = self.tables[table].column(column)[row].as_py() if column else ""
            shown = repr(value) if isinstance(value, str) and value else str(value)
            file, at = self.place(table, row)
            self.problems.append(Problem(file, at, column, shown, expected))

    def rows_of(self, table: str, column: str, target: str) -> np.ndarray:
        """Row in `target` that each id in the column names; -1 where there is none (and that is reported)."""
        ids = self.array(target, ID_COLUMN[target])
        rows = pc.fill_null(pc.index_in(self.array(table, column), value_set=ids), -1)
        found = np.asarray(rows.to_numpy(zero_copy_only=False), dtype=np.intp)
        self.report(table, column, found < 0, f"the id of a row of the {target} table")
        return found


def is_true(mask: pa.Array) -> np.ndarray:
    """A mask of Arrow as one of NumPy."""
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def choice(run: Check, table: str, column: str, allowed: Sequence[str]) -> None:
    """Report every value of a column that is none of `allowed` and not null."""
    values = run.array(table, column)
    known = pc.is_in(values, value_set=pa.array(allowed, type=pa.string()))
    bad = is_true(pc.and_(pc.invert(known), pc.is_valid(values)))
    run.report(table, column, bad, f"one of {', '.join(allowed)}")


def phase_bits(run: Check, table: str, column: str = "phase") -> np.ndarray:
    """(rows,) bit mask of the phases present; 0 where the text is null or not made of phases."""
    encoded = run.array(table, column).fill_null("").dictionary_encode()
    masks = [
        sum(1 << SLOTS.index(p) for p in set(text)) if set(text) <= set(SLOTS) else 0
        for text in encoded.dictionary.to_pylist()
    ]
    return np.array([*masks, 0], dtype=np.int8)[encoded.indices.to_numpy(zero_copy_only=False)]


def on_phases(run: Check, table: str, at: np.ndarray, target: str, what: str, column: str = "phase") -> None:
    """The phases of each row exist in the row of `target` that `at` points to."""
    mine, theirs = phase_bits(run, table, column), phase_bits(run, target)
    missing = (at >= 0) & ((mine & ~theirs[at]) != 0) if len(theirs) else np.zeros(len(mine), dtype=bool)
    run.report(table, column, missing, f"phases that {what} has")
