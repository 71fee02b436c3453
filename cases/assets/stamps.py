"""Time stamps of series: read as instants, in order, and none missing.

A stamp with a zone or an offset ("2016-06-21T06:00Z", "...+02:00") is that instant. One without is a time of
a clock: in the zone that the reader names, such as "Europe/Berlin", or else local standard time of the
shipped data, which is UTC+1 all the year, without daylight saving. In a zone the hour that a change of clocks
leaves out does not exist, and is refused; the hour that comes twice is read in the order of the file, first
as summer time.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..profiles.calendar import Calendar
from .cells import Cells

Stamps = NDArray[np.int64]

#: Of local standard time of the shipped data.
STANDARD_UTC_OFFSET_H = 1.0
_UTC = datetime.UTC
_STANDARD = datetime.timezone(datetime.timedelta(hours=STANDARD_UTC_OFFSET_H))
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=_UTC)
_US = datetime.timedelta(microseconds=1)
_US_PER_H = 3_600_000_000
#: In place of a stamp that cannot be read.
NO_STAMP = np.iinfo(np.int64).min
_EXPECTED = "a time such as 2016-06-21T06:00Z or 2016-06-21 07:00"


def zone_of(name: str | None) -> datetime.tzinfo | None:
    """The zone of the IANA database, None for None. ValueError for a name that it does not have."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone {name!r} is unknown; expected one such as 'Europe/Berlin' or 'UTC'") from None


def read_stamps(cells: Cells, keys: Sequence[str], zone: datetime.tzinfo | None, name: str = "ts") -> Stamps:
    """(n_rows,) microseconds since 1970 UTC of the stamps of a table; `NO_STAMP` where there is a problem.

    Args:
        cells: the table; problems go there.
        keys: (n_rows,) the series that each row belongs to: an hour that comes twice is told by what its
            series had before.
        zone: of stamps without one; None: local standard time of the shipped data.
        name: the column.
    """
    column = cells.columns.get(name)
    if isinstance(column, pa.Array) and pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return _instants(cells, name, column)
    times = _times(cells, name)
    aware = [time is not None and time.tzinfo is not None for time in times]
    mixed = any(aware) and not all(one or time is None for one, time in zip(aware, times, strict=True))
    found = np.full(cells.n_rows, NO_STAMP, dtype=np.int64)
    last: dict[str, int] = {}
    for row, (time, key) in enumerate(zip(times, keys, strict=True)):
        if time is None:
            continue
        if mixed and time.tzinfo is None:
            cells.wrong(
                row, name, cells.shown(row, name), "a zone or offset, as other stamps of the file have"
            )
            continue
        stamp = _instant(time, zone, last.get(key))
        if stamp is None:
            expected = f"a time that clocks of {zone} show: they skip this one"
            cells.wrong(row, name, cells.shown(row, name), expected)
            continue
        found[row] = last[key] = stamp
    return found


def _times(cells: Cells, name: str) -> list[datetime.datetime | None]:
    column = cells.columns.get(name)
    if isinstance(column, pa.Array) and pa.types.is_timestamp(column.type):
        start = _EPOCH.replace(tzinfo=None)
        found = _instants(cells, name, column).tolist()
        return [None if one == NO_STAMP else start + one * _US for one in found]
    return [_time(cells, row, name, text) for row, text in enumerate(cells.texts(name, required=True))]


def _instants(cells: Cells, name: str, column: pa.Array) -> Stamps:
    """Microseconds since 1970, in UTC or of the clock that the column has."""
    numbers = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    for row in np.flatnonzero(numbers.is_null().to_numpy(zero_copy_only=False)).tolist():
        cells.wrong(row, name, "nothing", _EXPECTED)
    return np.array(numbers.fill_null(NO_STAMP).to_numpy(zero_copy_only=False), dtype=np.int64)


def _time(cells: Cells, row: int, name: str, text: str) -> datetime.datetime | None:
    if not text.strip():
        return None  # told by the cells
    try:
        return datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        cells.wrong(row, name, text, _EXPECTED)
        return None


def _instant(time: datetime.datetime, zone: datetime.tzinfo | None, before: int | None) -> int | None:
    """Microseconds since 1970 UTC; None for a time that clocks of the zone skip."""
    if time.tzinfo is not None:
        return _microseconds(time)
    if zone is None:
        return _microseconds(time.replace(tzinfo=_STANDARD))
    first, second = (_microseconds(time.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    shown = (_EPOCH + first * _US).astimezone(zone).replace(tzinfo=None)
    if shown != time.replace(fold=0):
        return None
    return second if before is not None and first <= before < second else first


def _microseconds(time: datetime.datetime) -> int:
    return (time - _EPOCH) // _US


def stamp_text(stamp: int) -> str:
    """A stamp for messages, in UTC."""
    return (_EPOCH + stamp * _US).replace(tzinfo=None).isoformat(" ", "minutes") + "Z"


def check_order(cells: Cells, stamps: Stamps, rows: NDArray[np.int64], name: str = "ts") -> int:
    """The step of one series in microseconds: the difference that most of its stamps have; 0 for one stamp.

    Doubled, unordered, missing and uneven stamps are problems of `cells`.

    Args:
        cells: the table.
        stamps: (n_rows,) of all its rows, without `NO_STAMP`.
        rows: of the series, in the order of the table.
        name: the column.
    """
    own = stamps[rows]
    gaps = np.diff(own)
    rising = gaps[gaps > 0]
    if not rising.size:
        step = 0
    else:
        lengths, counts = np.unique(rising, return_counts=True)
        step = int(lengths[np.argmax(counts)])
    seen: dict[int, int] = {}
    last = int(own[0])
    for row, stamp in zip(rows.tolist(), own.tolist(), strict=True):
        if stamp in seen:
            expected = f"each stamp once (it is in row {cells.rows[seen[stamp]]})"
            cells.wrong(row, name, cells.shown(row, name), expected)
        elif stamp < last:
            cells.wrong(row, name, cells.shown(row, name), f"stamps in order (after {stamp_text(last)})")
        elif step and stamp - last > step:
            cells.wrong(row, name, cells.shown(row, name), _missing(last, stamp, step))
        elif step and 0 < stamp - last < step:
            cells.wrong(row, name, cells.shown(row, name), f"steps of {step / _US_PER_H:g} h, as most have")
        seen.setdefault(stamp, row)
        last = max(last, stamp)
    return step


def _missing(last: int, stamp: int, step: int) -> str:
    count = -(-(stamp - last) // step) - 1
    return f"{stamp_text(last + step)} before it ({count} stamp{'s' if count > 1 else ''} missing)"


def calendar_of(start: int, step: int, n_steps: int) -> Calendar:
    """The time axis in local standard time of the shipped data. ValueError for steps that fit no day."""
    time = (_EPOCH + start * _US).astimezone(_STANDARD).replace(tzinfo=None)
    return Calendar(time, step / _US_PER_H, n_steps)


def stamps_of(calendar: Calendar) -> Stamps:
    """(n_steps,) microseconds since 1970 UTC of the begins of the steps of a calendar."""
    first = _microseconds(calendar.start.replace(tzinfo=_STANDARD))
    return first + np.round(np.arange(calendar.n_steps) * calendar.dt_h * _US_PER_H).astype(np.int64)
