"""Cells of a CSV or Parquet table as a person wrote them, and what is wrong with each.

Nothing is raised for a cell: problems are collected, so that one look at a file shows all that is wrong.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..storage.parquet_reader import MAX_FILE_BYTES, read_parquet
from ..storage.regular_files import read_regular
from .schema import ALIASES

FORMATS = (".parquet", ".csv")


@dataclass
class Cells:
    """A table that was read, column by column.

    Attributes:
        origin: file, for messages.
        columns: texts (CSV), or Arrow arrays (Parquet), by name of the schema.
        rows: what messages call each row: a line of a CSV file, the zero-based row of a table.
        problems: found so far.
    """

    origin: str
    columns: Mapping[str, Sequence[str] | pa.Array]
    rows: Sequence[int]
    problems: list[Problem] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def wrong(self, row: int | None, name: str, value: object, expected: str) -> None:
        """Take down a problem of the row at a position (None: of the whole column)."""
        at = None if row is None else self.rows[row]
        self.problems.append(Problem(self.origin, at, name, str(value), expected))

    def shown(self, row: int, name: str) -> str:
        """A cell as it is written."""
        cell = self.columns[name][row]
        return str(cell.as_py() if isinstance(cell, pa.Scalar) else cell)

    # -- columns ---------------------------------------------------------------------------------------------

    def texts(self, name: str, required: bool) -> list[str]:
        """(n_rows,) texts, "" where nothing stands, which is a problem where one is ``required``."""
        column = self.columns.get(name)
        if column is None:
            return [""] * self.n_rows
        if isinstance(column, pa.Array):
            kind = column.type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
                self.wrong(None, name, kind, "texts, or whole numbers")
                return [""] * self.n_rows
            found = ["" if one is None else str(one) for one in column.to_pylist()]
        else:
            found = list(column)
        if required:
            for row, text in enumerate(found):
                if not text.strip():
                    self.wrong(row, name, "nothing", "a text")
        return found

    def numbers(self, name: str, required: bool) -> NDArray[np.float64]:
        """(n_rows,) finite numbers, NaN where nothing stands or a problem was found."""
        column = self.columns.get(name)
        if column is None:
            return np.full(self.n_rows, np.nan)
        if isinstance(column, pa.Array):
            return self._arrow_numbers(name, column, required)
        found = np.full(self.n_rows, np.nan)
        for row, text in enumerate(column):
            if text == "":
                if required:
                    self.wrong(row, name, "nothing", "a finite number")
                continue
            number = _number(text)
            if math.isfinite(number):
                found[row] = number
            else:
                self.wrong(row, name, text, "a finite number")
        return found

    def _arrow_numbers(self, name: str, column: pa.Array, required: bool) -> NDArray[np.float64]:
        kind = column.type
        if pa.types.is_null(kind):
            column = column.cast(pa.float64())
        elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            self.wrong(None, name, kind, "a column of numbers (double)")
            return np.full(self.n_rows, np.nan)
        absent = np.asarray(column.is_null())
        found = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        for row in np.flatnonzero(~np.isfinite(found) & ~absent):
            self.wrong(int(row), name, found[row], "a finite number")
            found[row] = np.nan
        for row in np.flatnonzero(absent) if required else ():
            self.wrong(int(row), name, "nothing", "a finite number")
        return found

    def whole_numbers(self, name: str) -> list[int | None]:
        """(n_rows,) whole numbers, None where nothing stands or a problem was found."""
        found: list[int | None] = []
        for row, number in enumerate(self.numbers(name, required=False)):
            whole = not math.isnan(number) and number == math.floor(number) and abs(number) < 2**53
            if not whole and not math.isnan(number):
                self.wrong(row, name, f"{number:g}", "a whole number")
            found.append(int(number) if whole else None)
        return found

    def raise_if_any(self) -> None:
        """CaseError with all problems."""
        if self.problems:
            raise CaseError(self.problems)


def _number(text: str) -> float:
    if "_" in text:  # Python's own spelling of numbers, nobody else's
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_cells(path: Path, schema: pa.Schema) -> Cells:
    """Read a table whose columns are those of ``schema``, some perhaps under their `ALIASES`.

    Columns that may be null may be missing. Wrong, missing and doubled columns are problems of the result.

    Raises:
        CaseError: no such file, another format, or a file that cannot be read.
    """
    if path.suffix.lower() not in FORMATS:
        raise CaseError([Problem(str(path), None, "", path.suffix or "no suffix", " or ".join(FORMATS))])
    names, columns, rows, problems = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
    header = 1 if path.suffix.lower() == ".csv" else None
    own = [ALIASES.get(name, name) if ALIASES.get(name) in schema.names else name for name in names]
    problems = list(_header_problems(str(path), header, names, own, schema)) + problems
    return Cells(str(path), dict(zip(own, columns, strict=True)), rows, problems)


def _header_problems(
    origin: str, row: int | None, names: Sequence[str], own: Sequence[str], schema: pa.Schema
) -> Iterator[Problem]:
    for name, mine in zip(names, own, strict=True):
        if mine not in schema.names:
            yield Problem(origin, row, "column", name, f"one of {', '.join(schema.names)}")
    for mine in dict.fromkeys(own):
        if own.count(mine) > 1:
            yield Problem(origin, row, "column", mine, "each column once")
    for one in schema:
        if not one.nullable and one.name not in own:
            yield Problem(origin, row, "column", one.name, "a column of this name (it is missing)")


_Read = tuple[list[str], list[Any], Sequence[int], list[Problem]]


def _csv(path: Path) -> _Read:
    """Names, columns of texts, lines and problems."""
    rows: list[list[str]] = []
    lines: list[int] = []
    problems: list[Problem] = []
    try:
        text = read_regular(path, MAX_FILE_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = [name.strip() for name in next(reader, [])]
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if len(cells) == len(names):
                rows.append([cell.strip() for cell in cells])
                lines.append(line)
            elif any(cells):
                expected = f"{len(names)} values, as the header has"
                problems.append(Problem(str(path), line, "row", f"{len(cells)} values", expected))
    except OSError as error:
        raise _unreadable(path, f"a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"text in UTF-8 ({error.reason})") from None
    except csv.Error as error:
        raise _unreadable(path, f"a CSV file ({error})") from None
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return names, columns, lines, problems


def _parquet(path: Path) -> _Read:
    """Names, Arrow arrays, rows and no problems."""
    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, f"a Parquet file that can be read ({error})") from None
    columns = [table.column(k).combine_chunks() for k in range(table.num_columns)]
    return list(table.column_names), columns, range(table.num_rows), []


def _unreadable(path: Path, expected: str) -> CaseError:
    return CaseError([Problem(str(path), None, "", "", expected)])
