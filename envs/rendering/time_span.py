"""The hours that an axis of time shows, and what is written at its ticks."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...cases.profiles.calendar import HOURS_PER_DAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_DAYS = 8  # that have a tick each
_HOURLY = 2.0 * HOURS_PER_DAY  # up to here ticks are hours


@dataclass(frozen=True)
class TimeSpan:
    """An episode on an axis whose zero is midnight of its first day.

    Attributes:
        begin_h: first hour of the episode.
        hours: its length.
        first: date of its first day; None: days are numbered.
    """

    begin_h: float = 0.0
    hours: float = HOURS_PER_DAY
    first: datetime.date | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """Hours at the ends of the axis; of an episode inside one day the whole day."""
        end = self.begin_h + self.hours
        return (0.0, HOURS_PER_DAY) if end <= HOURS_PER_DAY else (self.begin_h, end)

    @property
    def title(self) -> str:
        """What stands at the axis."""
        if self.hours <= _HOURLY:
            return "Hour of the day"
        return "Date" if self.first is not None else "Day of the episode"

    def ticks(self, apart_h: int = 6) -> tuple[list[float], list[str]]:
        """Hours of the ticks and their labels: `apart_h` apart, or midnights of a longer episode."""
        low, high = self.limits
        if self.hours <= _HOURLY:
            hours = range(math.ceil(low / apart_h) * apart_h, math.floor(high) + 1, apart_h)
            day = int(HOURS_PER_DAY)
            return [float(h) for h in hours], [str(h if h <= day and high <= day else h % day) for h in hours]
        dated = self.first is not None  # the end of the last day has a date, and no number of its own
        days = range(math.ceil(low / HOURS_PER_DAY), math.floor(high / HOURS_PER_DAY - (not dated)) + 1)
        days = range(days.start, days.stop, math.ceil(len(days) / _MAX_DAYS))
        return [day * HOURS_PER_DAY for day in days], [self._label(day) for day in days]

    def _label(self, day: int) -> str:
        if self.first is None:
            return str(day + 1)
        date = self.first + datetime.timedelta(days=day)
        return f"{date:%a}\n{date.day} {date:%b}"

    def dress(self, ax: Axes, apart_h: int = 6) -> None:
        """Set limits and ticks of the axis of time."""
        ax.set_xlim(*self.limits)
        positions, labels = self.ticks(apart_h)
        ax.set_xticks(positions, labels)
