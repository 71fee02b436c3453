"""When a series begins, how long its steps are and how many there are; and how long an episode lasts.

The shipped data are those of the model year: 2016, 366 days of 96 quarter hours, local standard time (UTC+1,
no daylight saving). Times of day are those of the data: local standard time without a time zone.
"""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

HOURS_PER_DAY = 24.0
MAX_STEPS_PER_DAY = 86_400  # steps of a second
_DAY = datetime.timedelta(days=1)
_NEAR = 1e-6  # share of a step by which a time or a length may miss the whole number that it means

When = str | datetime.datetime | datetime.date | np.datetime64


@dataclass(frozen=True, init=False)
class Calendar:
    """The time axis of a series: step k begins `k * dt_h` hours after `start`.

    Attributes:
        start: begin of the first step, without a time zone; also a text such as "2016-06-21 06:00".
        dt_h: hours of a step; a day must be a whole number of them.
        n_steps: number of steps, at least 1.

    Raises:
        ValueError: a step that does not divide the day, a start between two steps of its day, no steps.
        TypeError: a start that is no time.
    """

    start: datetime.datetime
    dt_h: float
    n_steps: int

    def __init__(self, start: When, dt_h: float, n_steps: int) -> None:
        per_day, time = steps_per_day_of(dt_h), instant(start, "start")
        whole = isinstance(n_steps, int | np.integer) and not isinstance(n_steps, bool)
        if not whole or n_steps < 1:
            raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps!r}")
        midnight = datetime.datetime.combine(time.date(), datetime.time())
        steps = (time - midnight) / _DAY * per_day
        if abs(_whole(steps) - steps) > _NEAR:
            raise ValueError(f"start {time.isoformat(' ')} is no whole number of steps after midnight")
        object.__setattr__(self, "start", time)
        object.__setattr__(self, "dt_h", HOURS_PER_DAY / per_day)
        object.__setattr__(self, "n_steps", int(n_steps))

    @property
    def steps_per_day(self) -> int:
        """Number of steps of a day."""
        return steps_per_day_of(self.dt_h)

    @property
    def n_days(self) -> int:
        """Number of whole days' worth of steps."""
        return self.n_steps // self.steps_per_day

    @property
    def whole_days(self) -> bool:
        """Whether it begins at midnight and ends at midnight."""
        return self.start.time() == datetime.time() and self.n_steps % self.steps_per_day == 0

    @property
    def whole_years(self) -> bool:
        """Whether it ends at the date of its begin, one or more years later, so that it can go round."""
        first, end = self.start, self.end
        return end.year > first.year and (end.month, end.day, end.time()) == (
            first.month, first.day, first.time(),
        )  # fmt: skip

    @property
    def end(self) -> datetime.datetime:
        """End of the last step."""
        return self.time(self.n_steps)

    @property
    def steps_per_year(self) -> int:
        """Number of steps of the year in which it begins."""
        first = datetime.datetime(self.start.year, 1, 1)
        return self.steps_per_day * (first.replace(year=self.start.year + 1) - first).days

    @property
    def first_of_year(self) -> int:
        """Steps from the begin of the year to `start`."""
        return _whole((self.start - datetime.datetime(self.start.year, 1, 1)) / _DAY * self.steps_per_day)

    def time(self, index: SupportsIndex) -> datetime.datetime:
        """Begin of a step; of `n_steps` the end of the last."""
        return self.start + operator.index(index) / self.steps_per_day * _DAY

    def weekday(self, day: SupportsIndex) -> int:
        """0 for Monday to 6 for Sunday, of the day that many days after the first."""
        return (self.start.weekday() + operator.index(day)) % 7

    def check_day(self, day: SupportsIndex) -> int:
        """The day as a plain int.

        Raises:
            ValueError: not one of the whole days.
            TypeError: not an integer.
        """
        last = self.n_days - 1
        try:
            number = operator.index(day)
        except TypeError as error:
            raise TypeError(f"day must be an integer from 0 to {last}, not {day!r}") from error
        if not 0 <= number <= last:
            raise ValueError(
                f"day {number} is outside the data: valid days are 0 ({self.day_label(0)}) "
                f"to {last} ({self.day_label(last)})"
            )
        return number

    def day_label(self, day: SupportsIndex) -> str:
        """Date of a day, such as "2016-06-21"."""
        return (self.start.date() + datetime.timedelta(days=operator.index(day))).isoformat()

    def index(self, when: When | SupportsIndex) -> int:
        """Step that begins at `when`: a time, or its number.

        Raises:
            ValueError: no step of this calendar begins then.
            TypeError: no time and no whole number.
        """
        if not isinstance(when, str | datetime.date | np.datetime64):
            try:
                number = operator.index(when)
            except TypeError as error:
                expected = "a step, or a time such as '2016-06-21 06:00'"
                raise TypeError(f"start must be {expected}, got {when!r}") from error
            return self._inside(number, f"step {number}")
        time = instant(when, "start")
        steps = (time - self.start) / _DAY * self.steps_per_day
        if abs(steps - _whole(steps)) > _NEAR:
            raise ValueError(
                f"no step begins at {time.isoformat(' ')}: steps are {self.dt_h:g} h long, from "
                f"{self.start.isoformat(' ')} on"
            )
        return self._inside(_whole(steps), time.isoformat(" "))

    def _inside(self, number: int, what: str) -> int:
        if not 0 <= number < self.n_steps:
            raise ValueError(
                f"{what} is outside the data: expected step 0 ({self.start.isoformat(' ')}) to step "
                f"{self.n_steps - 1} ({self.time(self.n_steps - 1).isoformat(' ')})"
            )
        return number

    def resampled(self, dt_h: float) -> Calendar:
        """The same span in steps of `dt_h` hours. ValueError where that is no whole number of them."""
        per_day = steps_per_day_of(dt_h)
        steps = self.n_steps * per_day / self.steps_per_day
        if abs(steps - _whole(steps)) > _NEAR:
            raise ValueError(f"{self} is no whole number of steps of {dt_h:g} h")
        return replace(self, dt_h=dt_h, n_steps=_whole(steps))

    def part(self, start: datetime.datetime, end: datetime.datetime) -> Calendar:
        """The steps from `start` to `end`, which lie on the borders of steps."""
        return replace(self, start=start, n_steps=_whole((end - start) / _DAY * self.steps_per_day))

    def days(self) -> NDArray[np.int64]:
        """(n_days,) all whole days, from 0; read-only."""
        every = np.arange(self.n_days)
        every.flags.writeable = False
        return every

    def __str__(self) -> str:
        return f"{self.start.isoformat(' ')} to {self.end.isoformat(' ')} in steps of {self.dt_h:g} h"


@dataclass(frozen=True)
class Duration:
    """How long an episode lasts: `Duration(hours=24)`, `Duration(hours=7 * 24)`.

    Attributes:
        hours: above 0, up to a year of 366 days.

    Raises:
        ValueError: no such number.
    """

    hours: float = HOURS_PER_DAY

    def __post_init__(self) -> None:
        hours, most = self.hours, HOURS_PER_DAY * 366
        number = isinstance(hours, int | float | np.number) and not isinstance(hours, bool)
        if not number or not math.isfinite(hours) or not 0.0 < hours <= most:
            raise ValueError(f"hours of a duration must be above 0 and at most {most:g}, got {hours!r}")
        object.__setattr__(self, "hours", float(hours))

    def steps(self, dt_h: float) -> int:
        """Number of steps of `dt_h` hours. ValueError where it is not whole."""
        steps = self.hours / dt_h
        whole = _whole(steps)
        if whole < 1 or abs(steps - whole) > _NEAR:
            raise ValueError(
                f"an episode of {self.hours:g} h is no whole number of steps of {dt_h:g} h: "
                f"{max(whole, 1) * dt_h:g} h is the nearest"
            )
        return whole

    def __str__(self) -> str:
        return f"{self.hours:g} h"


#: How long episodes are where nothing else is said.
ONE_DAY = Duration(hours=HOURS_PER_DAY)


def checked_duration(name: str, value: object) -> Duration:
    """The duration; a mapping, as JSON has it, becomes the one it was. TypeError for other things."""
    if isinstance(value, Mapping) and set(value) == {"hours"}:
        return Duration(value["hours"])
    if isinstance(value, Duration):
        return value
    raise TypeError(f"{name} must be a Duration such as Duration(hours=24), got {value!r}")


def steps_per_day_of(dt_h: float) -> int:
    """Number of steps of `dt_h` hours in a day.

    Raises:
        ValueError: not a number of hours that divides the day, or less than a second.
    """
    number = isinstance(dt_h, int | float | np.number) and not isinstance(dt_h, bool)
    if number and math.isfinite(dt_h) and 0.0 < dt_h <= HOURS_PER_DAY:
        per_day = HOURS_PER_DAY / dt_h
        if abs(per_day - _whole(per_day)) <= _NEAR and per_day <= MAX_STEPS_PER_DAY + _NEAR:
            return _whole(per_day)
    raise ValueError(
        "dt_h must be hours that divide a day, such as 1, 0.25 or 5 / 60, and no less than a second, "
        f"got {dt_h!r}"
    )


def instant(when: object, name: str) -> datetime.datetime:
    """A time of the data.

    Raises:
        ValueError: a text that is none, or a time with a zone.
        TypeError: anything else.
    """
    if isinstance(when, np.datetime64):
        when = when.astype("datetime64[us]").item()
    if isinstance(when, str):
        try:
            when = datetime.datetime.fromisoformat(when)
        except ValueError as error:
            raise ValueError(f"{name} must be a time such as '2016-06-21 06:00', got {when!r}") from error
    if isinstance(when, datetime.date) and not isinstance(when, datetime.datetime):
        when = datetime.datetime.combine(when, datetime.time())
    if not isinstance(when, datetime.datetime):
        raise TypeError(f"{name} must be a time such as '2016-06-21 06:00', got {when!r}")
    if when.tzinfo is not None:
        raise ValueError(f"{name} must be local standard time without a time zone, got {when.isoformat()}")
    return when


def _whole(number: float) -> int:
    return round(number)


#: Time axis of the shipped data.
MODEL_YEAR = Calendar(datetime.datetime(2016, 1, 1), 0.25, 366 * 96)
N_DAYS = MODEL_YEAR.n_days
STEPS_PER_DAY = MODEL_YEAR.steps_per_day
N_STEPS = MODEL_YEAR.n_steps
DT_H = MODEL_YEAR.dt_h


def check_day(day: SupportsIndex) -> int:
    """The day of the model year as a plain int.

    Raises:
        ValueError: not one of 0..365.
        TypeError: not an integer.
    """
    return MODEL_YEAR.check_day(day)


def day_label(day: SupportsIndex) -> str:
    """Calendar date of a day of the model year, such as "2016-06-21" for day 172.

    Raises:
        ValueError: a day outside the data.
    """
    return MODEL_YEAR.day_label(check_day(day))


def weekday(day: SupportsIndex) -> int:
    """0 for Monday to 6 for Sunday; day 0 is a Friday."""
    return MODEL_YEAR.weekday(check_day(day))


def month(day: SupportsIndex) -> int:
    """1 for January to 12 for December."""
    return (MODEL_YEAR.start + check_day(day) * _DAY).month
