"""Reading the shipped tables: quantised columns to checked, read-only arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..reading import read_parquet

Array = NDArray[np.float64]

SHIPPED = Path(__file__).resolve().parent.parent / "data"


def read_table(path: Path, columns: tuple[str, ...], rows: int | None = None) -> pa.Table:
    """Whole table, with its columns and number of rows checked.

    Raises:
        CaseError: the file is missing, not a Parquet file, truncated, or lacks a column or rows.
    """
    try:
        table = read_parquet(path)
    except FileNotFoundError as error:
        raise CaseError([Problem(str(path), None, "", "no such file", "the table, as installed")]) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        expected = "a complete Parquet file; restore it from the package"
        raise CaseError([Problem(str(path), None, "", reason, expected)]) from error
    problems = [
        Problem(str(path), None, name, "missing", "a column of that name")
        for name in columns
        if name not in table.column_names
    ]
    if rows is not None and table.num_rows != rows:
        problems.append(Problem(str(path), None, "", f"{table.num_rows} rows", f"{rows} rows"))
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")
    return table


def matrix(table: pa.Table, names: list[str], path: Path, low: float, high: float) -> Array:
    """Columns as one C-contiguous, read-only (rows, columns) array of float64.

    An integer column holds ten-thousandths (Parquet metadata "distgrid.quantum" says so too); a floating one
    holds the values themselves.

    Raises:
        CaseError: names row and column of each null, NaN or value outside [low, high] (first per column).
    """
    columns = [table.column(name) for name in names]
    problems = [
        Problem(str(path), None, name, str(column.type), "a column of numbers")
        for name, column in zip(names, columns, strict=True)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    ]
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")
    out = np.empty((table.num_rows, len(names)))
    # Row blocks keep both sides of the transposition in the cache.
    values = [_values(column) for column in columns]
    for begin in range(0, table.num_rows, 512):
        for j, value in enumerate(values):
            out[begin : begin + 512, j] = value[begin : begin + 512]
    out /= [1e4 if pa.types.is_integer(column.type) and not column.null_count else 1.0 for column in columns]
    # Nulls became NaN; a comparison with NaN is false, so this finds both.
    good = (out >= low) & (out <= high)
    if not good.all():
        for j in np.flatnonzero(~good.all(axis=0)).tolist():
            row = int((~good[:, j]).argmax())
            shown = "null" if columns[j][row].as_py() is None else str(out[row, j])
            problems.append(
                Problem(str(path), row, names[j], shown, f"a finite number in [{low:g}, {high:g}]")
            )
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")
    return frozen(out)


def _values(column: pa.ChunkedArray) -> np.ndarray:
    # to_numpy imports pandas where it is installed (0.3 s); only a column with nulls has to go that way.
    if column.null_count:
        return np.asarray(column.to_numpy())
    return np.from_dlpack(column.combine_chunks())


def frozen(array: np.ndarray) -> np.ndarray:
    """The same array, read-only."""
    array.flags.writeable = False
    return array
