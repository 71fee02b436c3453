"""Series of limits of power, by telemetry id."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..profiles.calendar import Calendar
from ..profiles.resampling import TimeSeries
from .cells import Cells
from .checks import rows_by_key
from .stamps import NO_STAMP, calendar_of, check_order, read_stamps

LIMITS = ("p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar")


def telemetry_columns(cells: Cells, zone: datetime.tzinfo | None) -> dict[str, Any]:
    """The columns of a telemetry table, checked; problems go into the cells."""
    keys = cells.texts("telemetry_id", required=True)
    columns: dict[str, Any] = {"telemetry_id": keys, "ts": read_stamps(cells, keys, zone)}
    columns.update({name: cells.numbers(name, required=False) for name in LIMITS})
    for quantity, unit in (("p", "mw"), ("q", "mvar")):
        low, high = f"{quantity}_min_{unit}", f"{quantity}_max_{unit}"
        for row in np.flatnonzero(columns[low] > columns[high]).tolist():
            expected = f"{high} ({columns[high][row]:g}) or less"
            cells.wrong(row, low, f"{columns[low][row]:g}", expected)
    for rows in rows_by_key(keys).values():
        if (columns["ts"][rows] != NO_STAMP).all():
            check_order(cells, columns["ts"], rows)
            _check_whole(cells, columns, rows)
    return columns


def _check_whole(cells: Cells, columns: dict[str, Any], rows: NDArray[np.int64]) -> None:
    """A limit is given in all steps of a series, or in none."""
    for name in LIMITS:
        absent = np.isnan(columns[name][rows])
        if absent.any() and not absent.all():
            cells.wrong(int(rows[absent][0]), name, "nothing", "a number, as in other steps of the series")


def series_of(telemetry: pa.Table, telemetry_id: str) -> dict[str, TimeSeries]:
    """The limits that a series gives, by column of `LIMITS`; empty where there is no such series.

    Raises:
        CaseError: steps that do not divide a day.
    """
    import pyarrow.compute as pc

    rows = telemetry.filter(pc.equal(telemetry.column("telemetry_id"), telemetry_id))
    if not rows.num_rows:
        return {}
    stamps = rows.column("ts").cast(pa.int64()).to_numpy()
    try:
        calendar = _calendar(stamps)
    except ValueError as error:
        raise CaseError([Problem("telemetry", None, "ts", telemetry_id, str(error))]) from None
    found = {}
    for name in LIMITS:
        values = rows.column(name).to_numpy()
        if not np.isnan(values).any():
            found[name] = TimeSeries(values, calendar)
    return found


def _calendar(stamps: NDArray[np.int64]) -> Calendar:
    step = int(stamps[1] - stamps[0]) if len(stamps) > 1 else 3_600_000_000
    return calendar_of(int(stamps[0]), step, len(stamps))
