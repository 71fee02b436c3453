"""The model year: 2016, 366 days of 96 quarter hours, local standard time (UTC+1, no daylight saving)."""

from __future__ import annotations

import datetime
import operator
from typing import SupportsIndex

N_DAYS = 366
STEPS_PER_DAY = 96
N_STEPS = N_DAYS * STEPS_PER_DAY
DT_H = 0.25
_FIRST = datetime.date(2016, 1, 1)


def check_day(day: SupportsIndex) -> int:
    """The day as a plain int, if the data hold it.

    Raises:
        ValueError: not one of 0..365.
        TypeError: not an integer.
    """
    try:
        number = operator.index(day)
    except TypeError as error:
        raise TypeError(f"day must be an integer from 0 to {N_DAYS - 1}, not {day!r}") from error
    if not 0 <= number < N_DAYS:
        raise ValueError(
            f"day {number} is outside the data: valid days are 0 ({_FIRST.isoformat()}) "
            f"to {N_DAYS - 1} ({day_label(N_DAYS - 1)})"
        )
    return number


def day_label(day: SupportsIndex) -> str:
    """Calendar date of a day, such as "2016-06-21" for day 172.

    Raises:
        ValueError: a day outside the data.
    """
    return (_FIRST + datetime.timedelta(days=check_day(day))).isoformat()


def weekday(day: SupportsIndex) -> int:
    """0 for Monday to 6 for Sunday; day 0 is a Friday."""
    return (_FIRST.weekday() + check_day(day)) % 7


def month(day: SupportsIndex) -> int:
    """1 for January to 12 for December."""
    return (_FIRST + datetime.timedelta(days=check_day(day))).month
