"""Rows of a CSV file, and numbers in them: what is wrong is told by file, line, field and expectation."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...cases import CaseError, Problem
from ..errors import RunError
from ..jobs.manifest import InputRecord

FIRST_LINE = 2  # of the rows: the header is the first


@dataclass(frozen=True)
class CsvRows:
    """A file that was read.

    Attributes:
        path: Of the file.
        sha256: Of its bytes.
        columns: Of its header.
        rows: Texts by column, stripped; empty lines are left out.
        lines: Of the rows in the file.
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]

    def record(self, name: str) -> InputRecord:
        """For run.json."""
        return InputRecord(name=name, sha256=self.sha256)


def read_csv_rows(path: Path, known: Sequence[str], required: Sequence[str]) -> CsvRows:
    """Read a CSV file with a header.

    Args:
        path: Of the file, UTF-8.
        known: Columns that it may have.
        required: Columns that it must have.

    Raises:
        RunError: It cannot be read.
        CaseError: It is no text, or columns are unknown, missing or there twice, or a row is too long.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CaseError([Problem(str(path), None, "", "", f"text in UTF-8 ({error.reason})")]) from None
    table = list(csv.reader(lines))
    names = tuple(name.strip() for name in (table[0] if table else ()))
    _check_header(path, names, known, required)
    problems: list[Problem] = []
    rows: list[Mapping[str, str]] = []
    at: list[int] = []
    for line, cells in enumerate(table[1:], start=FIRST_LINE):
        if not any(cells):
            continue
        if len(cells) != len(names):
            problems.append(Problem(str(path), line, "row", f"{len(cells)} values", f"{len(names)} values"))
            continue
        rows.append(dict(zip(names, (cell.strip() for cell in cells), strict=True)))
        at.append(line)
    if problems:
        raise CaseError(problems)
    return CsvRows(path, hashlib.sha256(content).hexdigest(), names, tuple(rows), tuple(at))


def _check_header(path: Path, names: Sequence[str], known: Sequence[str], required: Sequence[str]) -> None:
    foreign = [name for name in names if name not in known]
    twice = [name for name in names if list(names).count(name) > 1]
    missing = [name for name in required if name not in names]
    if foreign:
        expected = f"columns among {', '.join(known)}"
        raise CaseError([Problem(str(path), 1, "column", foreign[0], expected)])
    if twice:
        raise CaseError([Problem(str(path), 1, "column", twice[0], "each column once")])
    if missing:
        expected = f"a column {missing[0]}; required are {', '.join(required)}"
        raise CaseError([Problem(str(path), 1, "columns", ", ".join(names), expected)])


@dataclass
class RowChecks:
    """Reads fields of the rows of one file and collects what is wrong."""

    origin: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, line: int, name: str, value: object, expected: str) -> None:
        """Take down a problem."""
        self.problems.append(Problem(self.origin, line, name, str(value), expected))

    def number(self, row: Mapping[str, str], line: int, name: str, empty: float = math.nan) -> float:
        """A finite number; ``empty`` where nothing stands. NaN, and a problem, where it is none."""
        text = row.get(name, "")
        if text == "" and not math.isnan(empty):
            return empty
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            self.wrong(line, name, text, "a finite number")
            return math.nan
        return found

    def raise_if_any(self) -> None:
        """CaseError with all problems."""
        if self.problems:
            raise CaseError(self.problems)
