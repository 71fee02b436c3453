"""The records of a PSS/E RAW file, versions 30 to 35, section by section, with their lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import CaseError, Problem
from ...storage.regular_files import read_regular

MAX_BYTES = 200 * 2**20
VERSIONS = range(30, 36)
_LATER = (
    *("area", "two-terminal DC", "VSC DC", "impedance correction", "multi-terminal DC", "multi-section line"),
    *("zone", "inter-area transfer", "owner", "FACTS", "switched shunt"),
)
_SECTIONS = {
    30: (
        *("bus", "load", "generator", "branch", "transformer", "area", "two-terminal DC", "VSC DC"),
        *("switched shunt", "impedance correction", "multi-terminal DC", "multi-section line", "zone"),
        *("inter-area transfer", "owner", "FACTS"),
    ),
    31: ("bus", "load", "fixed shunt", "generator", "branch", "transformer", *_LATER),
    34: (
        *("system-wide", "bus", "load", "fixed shunt", "generator", "branch", "system switching device"),
        *("transformer", *_LATER),
    ),
}
NO_LIMIT = 9998.0  # 9999 is the format's own word for no limit
_NEEDED = ("bus", "load", "generator", "branch", "transformer")


@dataclass(frozen=True)
class Record:
    """One record: the fields of its line, or of its lines."""

    file: str
    section: str
    line: int
    fields: tuple[str, ...]

    def problem(self, field: str, value: str, expected: str) -> Problem:
        """What is wrong with a field of this record."""
        return Problem(self.file, self.line, f"{self.section} {field}", value, expected)

    def number(self, at: int, name: str, default: float | None = None) -> float:
        """Field `at` as a number; CaseError where it is none, and where it is empty without a default."""
        text = self.fields[at] if at < len(self.fields) else ""
        if not text and default is not None:
            return default
        try:
            value = float(text.replace("D", "E").replace("d", "e"))
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e30:
            raise CaseError([self.problem(name, repr(text) if text else "", "a finite number")])
        return value

    def limit(self, at: int, name: str) -> float | None:
        """Field `at` as a limit: None where it is empty, or so far off that it says there is none."""
        text = self.fields[at] if at < len(self.fields) else ""
        try:
            far = not text or abs(float(text)) >= NO_LIMIT
        except ValueError:
            far = False
        return None if far else self.number(at, name)

    def whole(self, at: int, name: str, default: int | None = None) -> int:
        """Field `at` as a whole number."""
        value = self.number(at, name, None if default is None else float(default))
        if value != int(value):
            raise CaseError([self.problem(name, f"{value:g}", "a whole number")])
        return int(value)

    def text(self, at: int, default: str = "") -> str:
        """Field `at` as text."""
        return (self.fields[at].strip("'\" ") if at < len(self.fields) else "") or default


@dataclass(frozen=True)
class RawFile:
    """The sections of a file."""

    file: str
    version: int
    base_mva: float
    hz: float
    title: str
    sections: dict[str, list[Record]]

    def of(self, section: str) -> list[Record]:
        """The records of a section; none where the file has no such section."""
        return self.sections.get(section, [])


def read_raw(path: Path) -> RawFile:
    """The records of a file.

    Raises:
        CaseError: it cannot be read, is of another version, or ends in the middle.
    """
    try:
        text = read_regular(path, MAX_BYTES).decode("latin-1")
    except OSError as error:
        problem = Problem(str(path), None, "", "", f"a readable file ({error.strerror or error})")
        raise CaseError([problem]) from error
    lines = text.splitlines()
    head = Record(str(path), "header", 1, _fields(lines[0]) if lines else ())
    base, version = head.number(1, "SBASE"), head.whole(2, "REV")
    if version not in VERSIONS:
        raise CaseError([head.problem("REV", str(version), f"{VERSIONS[0]} to {VERSIONS[-1]}")])
    if not base > 0:
        raise CaseError([head.problem("SBASE", f"{base:g}", "a base above 0 MVA")])
    layout = _SECTIONS[30 if version == 30 else 31 if version < 34 else 34]
    title = " ".join(part.strip() for part in lines[1:3] if part.strip())
    return RawFile(
        str(path), version, base, head.number(5, "BASFRQ", 60.0) or 60.0, title,
        _sections(str(path), lines, layout),
    )  # fmt: skip


def _sections(file: str, lines: list[str], layout: tuple[str, ...]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {name: [] for name in layout}
    rest = iter(enumerate(lines[3:], 4))
    for place, name in enumerate(layout):
        ended = False
        for line, text in rest:
            fields = _fields(text)
            if not fields or text.startswith("@!"):
                continue
            if fields[0].upper() == "Q" or fields[0] == "0":
                ended = True
                break
            if name == "system-wide" and not fields[0].lstrip("-").isdigit():
                continue
            found[name].append(Record(file, name, line, _whole_record(file, name, line, fields, rest)))
        if not ended and any(one in _NEEDED for one in layout[place:]):
            expected = f"the end of the section {name} (a record 0): the file is cut off"
            raise CaseError([Problem(file, len(lines), "", "", expected)])
        if not ended:
            break
    return found


def _whole_record(
    file: str, section: str, line: int, fields: tuple[str, ...], rest: Iterator[tuple[int, str]]
) -> tuple[str, ...]:
    """A transformer's record takes four lines, or five with three windings; fields are joined with marks."""
    if section != "transformer":
        return fields
    three = len(fields) > 2 and fields[2] not in ("0", "")
    for _ in range(4 if three else 3):
        following = next(rest, None)
        if following is None:
            expected = "all lines of the transformer: the file is cut off"
            raise CaseError([Problem(file, line, "transformer", "", expected)])
        fields += ("|", *_fields(following[1]))
    return fields


def _fields(line: str) -> tuple[str, ...]:
    """Fields of a line: by commas or blanks outside of quotes; what follows a slash is a comment."""
    found, current, quoted = [], "", ""
    for character in line:
        if quoted:
            current += character
            quoted = "" if character == quoted else quoted
        elif character in "'\"":
            quoted = character
            current += character
        elif character == "/":
            break
        elif character == ",":
            found.append(current.strip())
            current = ""
        else:
            current += character
    found.append(current.strip())
    if len(found) == 1:
        found = found[0].split() if "'" not in found[0] else found
    return tuple(found) if any(found) else ()
