"""Prices and loads with time stamps, from Parquet and CSV files, as series on a calendar.

Stamps say when a step begins; see `stamps` for zones and changes of clocks. They must be in order, without
one missing or doubled. The calendar is in local standard time of the shipped data, as that of all profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..profiles.calendar import Calendar
from ..profiles.resampling import TimeSeries
from .cells import Cells, read_cells
from .checks import rows_by_key
from .schema import LOAD_PHASES, LOADS, PRICES
from .stamps import NO_STAMP, Stamps, calendar_of, check_order, read_stamps, stamp_text, zone_of

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LoadTable:
    """Loads of buses over time, positive as loads.

    Attributes:
        calendar: the time axis.
        buses: (n_columns,) node of each column.
        phases: (n_columns,) its phase; "" for all that the bus has.
        p_mw: (n_steps, n_columns), read-only.
        q_mvar: the same of reactive power; None where power factors are those of the case.
        origin: file, for messages.
    """

    calendar: Calendar
    buses: tuple[str, ...]
    phases: tuple[str, ...]
    p_mw: Floats
    q_mvar: Floats | None
    origin: str


def read_prices(path: str | Path, *, zone: str | None = None) -> TimeSeries:
    """Read a table of prices, columns `ts` and `price_usd_mwh`.

    Args:
        path: Parquet or CSV.
        zone: of stamps without one, such as "Europe/Berlin"; None: local standard time of the shipped data.

    Raises:
        CaseError: names every cell that is wrong: file, row, column, value and what was expected.
        ValueError: an unknown zone.
    """
    cells = read_cells(Path(path), PRICES)
    stamps = read_stamps(cells, [""] * cells.n_rows, zone_of(zone))
    prices = cells.numbers("price_usd_mwh", required=True)
    calendar = _common_calendar(cells, stamps, {"": np.arange(cells.n_rows)})
    return TimeSeries(prices, calendar)


def read_loads(path: str | Path, *, zone: str | None = None) -> LoadTable:
    """Read a table of loads, measured or forecast: columns `ts`, `bus_id`, `p_mw`, perhaps `phase`, `q_mvar`.

    Rows of several buses may be mixed; each bus has the same stamps, in order.

    Args:
        path: Parquet or CSV.
        zone: of stamps without one, such as "Europe/Berlin"; None: local standard time of the shipped data.

    Raises:
        CaseError: names every cell that is wrong: file, row, column, value and what was expected.
        ValueError: an unknown zone.
    """
    cells = read_cells(Path(path), LOADS)
    buses, phases = cells.texts("bus_id", required=True), cells.texts("phase", required=False)
    for row, phase in enumerate(phases):
        if phase and phase not in LOAD_PHASES:
            cells.wrong(row, "phase", phase, f"one of {', '.join(LOAD_PHASES)}, or nothing")
    keys = [f"{bus} {phase}" if bus else "" for bus, phase in zip(buses, phases, strict=True)]
    stamps = read_stamps(cells, keys, zone_of(zone))
    power = cells.numbers("p_mw", required=True)
    reactive = cells.numbers("q_mvar", required=False)
    given = ~np.isnan(reactive)
    if given.any() and not given.all():
        row = int(np.argmin(given))
        cells.wrong(row, "q_mvar", "nothing", "a number, as in other rows")
    columns = rows_by_key(keys)
    calendar = _common_calendar(cells, stamps, columns)
    rows = np.array(list(columns.values()))
    first = rows[:, 0].tolist()
    return LoadTable(
        calendar, tuple(buses[k] for k in first), tuple(phases[k] for k in first), _frozen(power[rows].T),
        _frozen(reactive[rows].T) if given.any() else None, str(path),
    )  # fmt: skip


def _frozen(values: Floats) -> Floats:
    found = np.ascontiguousarray(values)
    found.flags.writeable = False
    return found


def _common_calendar(cells: Cells, stamps: Stamps, columns: dict[str, Rows]) -> Calendar:
    """The time axis that all columns have. CaseError with all problems of the cells, these among them."""
    if not cells.n_rows and not cells.problems:
        cells.wrong(None, "ts", "no rows", "one row or more")
    if cells.n_rows and (stamps != NO_STAMP).all():
        steps = [check_order(cells, stamps, rows) for rows in columns.values()]
        if not cells.problems:
            _check_same(cells, stamps, list(columns.values()))
        if not cells.problems:
            try:
                return _calendar(stamps, next(iter(columns.values())), steps[0])
            except ValueError as error:
                cells.wrong(0, "ts", cells.shown(0, "ts"), str(error))
    cells.raise_if_any()
    raise AssertionError("a table without a calendar has problems")


def _calendar(stamps: Stamps, rows: Rows, step: int) -> Calendar:
    if not step:
        raise ValueError("two stamps or more: one does not say how long a step is")
    return calendar_of(int(stamps[rows[0]]), step, len(rows))


def _check_same(cells: Cells, stamps: Stamps, columns: Sequence[Rows]) -> None:
    """Every column begins and ends with the first one."""
    first = columns[0]
    for rows in columns[1:]:
        for end in (0, -1):
            if stamps[rows[end]] != stamps[first[end]]:
                expected = f"{stamp_text(int(stamps[first[end]]))}, as other series of the file have"
                cells.wrong(int(rows[end]), "ts", cells.shown(int(rows[end]), "ts"), expected)
        if not cells.problems and len(rows) != len(first):
            expected = f"{len(first)} stamps, as other series of the file have"
            cells.wrong(int(rows[0]), "ts", f"{len(rows)} stamps", expected)
