"""Blocks that depend on nothing but the interval that is decided: the clock and prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...cases.profiles.calendar import HOURS_PER_DAY
from ..resources.base import check_number
from ..resources.times import announced
from .base import SeriesBlock
from .view import BlockContext, FloatArray

_PUBLISHED_H = 13.0  # when a day-ahead market has told the prices of the next day


def steps_to_publication(per_day: int) -> float:
    """Steps after midnight, of ``per_day``, from which on a market has told the prices of the next day."""
    return _PUBLISHED_H * per_day / HOURS_PER_DAY


class Clock(SeriesBlock):
    """Time of day and time of year as points on circles."""

    name, unit = "clock", "1"
    meaning = "sine and cosine of the time of day and of the day of the year"

    def size(self, counts: Mapping[str, int]) -> int:
        """Two circles."""
        return 4

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Circle and coordinate."""
        return [f"clock.{label}" for label in ("day_sin", "day_cos", "year_sin", "year_cos")]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Of sine and cosine."""
        return -1.0, 1.0

    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, 4)."""
        calendar = context.profiles.calendar
        t = (np.arange(calendar.n_steps) + calendar.first_of_year) * (2.0 * np.pi)
        angles = (t / calendar.steps_per_day, t / calendar.steps_per_year)
        return np.stack([f(a) for a in angles for f in (np.sin, np.cos)], axis=1)


class Price(SeriesBlock):
    """Energy price."""

    name, unit = "price_usd_mwh", "USD/MWh"
    meaning = "energy price"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Lowest and highest of the year."""
        price = context.profiles.price_usd_mwh
        return float(price.min()), float(price.max())

    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, 1). ValueError where there is not one price a step."""
        profiles = context.profiles
        if profiles.price_usd_mwh.shape != (profiles.n_steps,):
            raise ValueError(
                f"prices have shape {profiles.price_usd_mwh.shape}, expected one for {profiles.n_steps} steps"
            )
        return np.asarray(profiles.price_usd_mwh, dtype=np.float64)[:, None]


@dataclass(frozen=True)
class PriceAhead(SeriesBlock):
    """Energy prices 1, 2, ... ``hours`` hours behind the decided interval, as a day-ahead market tells them.

    Prices of a day are published at 13:00 of the day before. Until then its entries hold the price at the
    same time of the day before, which is known.
    """

    hours: int = 23
    name = "price_ahead_usd_mwh"
    looks_ahead = True
    unit = "USD/MWh"
    meaning = "day-ahead energy price; where it is not published yet, that of the same time a day earlier"

    def __post_init__(self) -> None:
        check_number("PriceAhead", "hours", self.hours, 1.0, HOURS_PER_DAY - 1.0)
        if self.hours != int(self.hours):
            raise ValueError(f"PriceAhead: hours must be a whole number, got {self.hours!r}")

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each hour."""
        return self.hours

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name and hours ahead."""
        return [f"{self.name}[+{k}h]" for k in range(1, self.hours + 1)]

    def times(self, context: BlockContext) -> Sequence[str]:
        """Hours behind the decided interval."""
        return [announced(k) for k in range(1, self.hours + 1)]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Lowest and highest of the year."""
        return Price().bounds(context)

    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, hours)."""
        price = Price().series(context)[:, 0]
        day = context.profiles.calendar.steps_per_day
        now = np.arange(price.size)[:, None]
        wanted = now + np.rint(np.arange(1, self.hours + 1) * day / HOURS_PER_DAY).astype(np.int64)
        published = now // day + (now % day >= steps_to_publication(day))  # the last day that is
        known = (wanted // day <= published) & (wanted < price.size)
        return np.asarray(price[np.where(known, wanted, wanted - day)])


#: Shipped blocks of time.
TIME = (Clock(), Price())
