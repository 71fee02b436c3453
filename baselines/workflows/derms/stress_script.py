"""Scenarios of a file: what happens in each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ....cases import CaseError
from ....cases.model.edit import nearest
from ...jobs.manifest import InputRecord
from ...optimal.scheduling.case import ScheduleCase
from ...optimal.scheduling.worlds import (
    ASSET,
    COMMUNICATION,
    DAY_H,
    KINDS,
    LINE,
    OF_ELEMENT,
    Event,
)
from ..csv_rows import RowChecks, read_csv_rows

_COLUMNS = ("scenario", "kind", "element", "from_h", "to_h", "factor")


def read_script(
    path: Path, case: ScheduleCase
) -> tuple[tuple[tuple[int, tuple[Event, ...]], ...], InputRecord]:
    """Events of each scenario, by number in rising order, and the hash of the file.

    Args:
        path: CSV: scenario, kind [, element] [, from_h] [, to_h] [, factor].
        case: Whose branches, assets and aggregators may be named.

    Raises:
        CaseError: unknown kinds and elements, numbers that are none, hours out of order, a factor below 0.
    """
    rows = read_csv_rows(path, _COLUMNS, ("scenario", "kind"))
    checks = RowChecks(str(path))
    speakers = dict.fromkeys(name for asset in case.assets for name in (asset.name, asset.agg) if name)
    known = {LINE: dict.fromkeys(case.branch_ids), ASSET: speakers, COMMUNICATION: speakers}
    found: dict[int, list[Event]] = {}
    for line, row in zip(rows.lines, rows.rows, strict=True):
        event = _event(row, line, known, checks)
        number = row["scenario"]
        if not number.isdigit():
            checks.wrong(line, "scenario", number, "a whole number, 0 or more")
        if not checks.problems:
            found.setdefault(int(number), []).append(event)
    checks.raise_if_any()
    if not found:
        checks.wrong(1, "rows", "none", "at least one event")
        raise CaseError(checks.problems)
    return tuple((number, tuple(found[number])) for number in sorted(found)), rows.record("script")


def _event(
    row: Mapping[str, str], line: int, known: Mapping[str, Mapping[str, None]], checks: RowChecks
) -> Event:
    """Of a row; what is wrong with it goes to ``checks``."""
    kind, element = row["kind"], row.get("element", "")
    if kind not in KINDS:
        checks.wrong(line, "kind", kind, f"one of {', '.join(KINDS)}; {nearest(kind, KINDS)}")
    elif kind in OF_ELEMENT and element not in known[kind]:
        what = "a branch" if kind == LINE else "an asset or an aggregator"
        checks.wrong(line, "element", element, f"{what}; {nearest(element, known[kind])}")
    elif kind not in OF_ELEMENT and element:
        checks.wrong(line, "element", element, f"nothing: {kind} is of the whole feeder")
    first, last = (
        checks.number(row, line, name, empty) for name, empty in (("from_h", 0.0), ("to_h", DAY_H))
    )
    if not 0.0 <= first < last <= DAY_H:
        checks.wrong(line, "to_h", f"{first:g} to {last:g}", "hours from 0 to 24, in order")
    factor = 0.0 if kind in OF_ELEMENT else checks.number(row, line, "factor")
    if factor < 0.0:
        checks.wrong(line, "factor", factor, "0 or more")
    return Event(kind, element, first, last, factor)
