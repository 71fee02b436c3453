"""Reading the shipped tables: quantised columns to checked, read-only arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..storage.parquet_reader import read_parquet

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
        Problem(
            str(path), None, name, f"there {count} times" if count else "missing", "a column of that name"
        )
        for name in columns
        if (count := table.column_names.count(name)) != 1
    ]
    if rows is not None and table.num_rows != rows:
        problems.append(Problem(str(path), None, "", f"{table.num_rows} rows", f"{rows} rows"))
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")
    return table


def check_texts(table: pa.Table, names: tuple[str, ...], path: Path, unique: bool = False) -> None:
    """Check that columns hold a text in each row, and in `unique` ones no text twice.

    Raises:
        CaseError: names row and column of the first that is wrong in each.
    """
    problems = []
    for name in names:
        column, expected = table.column(name), "a text that no earlier row has" if unique else "a text"
        if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
            problems.append(Problem(str(path), None, name, str(column.type), "a column of texts"))
            continue
        seen: set[str] = set()
        for row, text in enumerate(column.to_pylist()):
            if not text or text in seen:
                problems.append(
                    Problem(str(path), row, name, "null" if text is None else repr(text), expected)
                )
                break
            if unique:
                seen.add(text)
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")


def check_numbers(table: pa.Table, limits: Mapping[str, tuple[float, float]], path: Path) -> None:
    """Check that columns hold a finite number within its limits in each row.

    Raises:
        CaseError: names row and column of the first that is wrong in each.
    """
    problems = []
    for name, (low, high) in limits.items():
        column = table.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            problems.append(Problem(str(path), None, name, str(column.type), "a column of numbers"))
            continue
        values = np.asarray(_values(column), dtype=np.float64)
        good = np.isfinite(values) & (values >= low) & (values <= high)
        if not good.all():
            row = int((~good).argmax())
            shown, expected = str(column[row].as_py()), f"a finite number in [{low:g}, {high:g}]"
            problems.append(Problem(str(path), row, name, "null" if shown == "None" else shown, expected))
    if problems:
        raise CaseError(problems, f"{path.name} is not usable:")


def check_rows(table: pa.Table, path: Path) -> None:
    """Check that a table is not empty."""
    if not table.num_rows:
        raise CaseError([Problem(str(path), None, "", "0 rows", "at least one row")])


def matrix(
    table: pa.Table, names: list[str], path: Path, low: float, high: float, per_unit: float = 1e4
) -> Array:
    """Columns as one C-contiguous, read-only (rows, columns) array of float64.

    An integer column holds ten-thousandths, or 1 / `per_unit` (Parquet metadata "distgrid.quantum" says so
    too); a floating one holds the values themselves.

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
    whole = [pa.types.is_integer(column.type) for column in columns]
    out /= np.where(whole, per_unit, 1.0)
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
