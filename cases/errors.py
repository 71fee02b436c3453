"""What is wrong with a case, said so that it can be repaired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN_PROBLEMS = 20
TEXT_FILES = (".m", ".case", ".dss", ".txt", ".dat", ".csv", ".inc")  # whose rows are counted in lines


@dataclass(frozen=True)
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
        what = f"{self.field} = {self.value}" if self.field and self.value else self.field or self.value
        return f"{place}: {what}: expected {self.expected}" if what else f"{place}: expected {self.expected}"


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
