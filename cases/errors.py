"""What is wrong with a case, said so that it can be repaired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN_PROBLEMS = 20
KEPT_PROBLEMS = 10_000  # of a text file; each takes many times its row
SHOWN_CHARACTERS = 300  # of one part of a message; a file may hold a text of any length
TEXT_FILES = (".m", ".case", ".dss", ".txt", ".dat", ".csv", ".inc")  # whose rows are counted in lines


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one value of a case.

    Attributes:
        file: file (or, for tables built in memory, the table's name) the value stands in.
        row: zero-based row of the table, or the line of a text file; None when the whole file is meant.
        field: column or statement; empty when the whole row is meant.
        value: the offending value as text.
        expected: what would have been accepted.
    """

    file: str
    row: int | None
    field: str
    value: str
    expected: str

    def __str__(self) -> str:
        place = self.file
        if self.row is not None:
            place += f":{self.row}" if self.file.lower().endswith(TEXT_FILES) else f", row {self.row}"
        field, value, expected = map(_shortened, (self.field, self.value, self.expected))
        what = f"{field} = {value}" if field and value else field or value
        return f"{place}: {what}: expected {expected}" if what else f"{place}: expected {expected}"


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"


class CaseError(ValueError):
    """A case, table or case file is not usable.

    `problems` holds everything that was found, in the order of the file; the message lists the first 20.
    """

    def __init__(self, problems: Iterable[Problem], heading: str = "") -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.heading = heading
        lines = [heading] if heading else []
        lines += [str(problem) for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f"... and {len(self.problems) - SHOWN_PROBLEMS} more")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[CaseError], tuple[tuple[Problem, ...], str]]:
        return type(self), (self.problems, self.heading)
