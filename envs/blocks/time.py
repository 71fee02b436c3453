"""Blocks that depend on nothing but the interval that is decided: the clock and prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .base import BlockContext, FloatArray, SeriesBlock


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
    meaning = "energy price, during the interval that is decided"

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


#: Shipped blocks of time.
TIME = (Clock(), Price())
