"""Series of powers and prices in steps of another length; the energy of every day is kept.

Every value is the mean of its step. Coarser steps take the mean of those that they cover. Finer ones *hold*
a price or a tariff, which is what was published for the whole of its step; load and sun run *linear* inside
each step, with the slope limited so that no value leaves what the steps beside it have (the monotonised
central limiter of van Leer, J. Comput. Phys. 23, 1977) and with the mean of the step kept: no negative sun,
no new peaks. Where neither length is a multiple of the other, the series is made finer to the least common
multiple first.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CaseError, Problem
from .calendar import HOURS_PER_DAY, Calendar
from .tables import frozen

Array = NDArray[np.float64]

#: What happens inside a step that is cut into finer ones.
REFINEMENTS = ("hold", "linear")


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """Values with their time axis: prices, sun, anything that is the mean of its step.

    Attributes:
        values: (n_steps,) or (n_steps, columns), read-only.
        calendar: the time axis; its `n_steps` must be the rows of `values`.

    Raises:
        ValueError: another number of rows.
        CaseError: a value that is no finite number; names the row.
    """

    values: Array
    calendar: Calendar

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64, order="C")
        if values.ndim not in (1, 2) or values.shape[0] != self.calendar.n_steps:
            raise ValueError(
                f"a series from {self.calendar} must have {self.calendar.n_steps} rows, "
                f"got shape {values.shape}"
            )
        if not np.isfinite(values).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            column = "" if len(at) == 1 else f"column {at[1]}"
            raise CaseError([Problem("series", at[0], column, str(values[at]), "a finite number")])
        object.__setattr__(self, "values", frozen(values))

    def resampled(self, dt_h: float, refine: str = "hold") -> TimeSeries:
        """The same span in steps of `dt_h` hours; see `resample`."""
        calendar = self.calendar.resampled(dt_h)
        return TimeSeries(
            resample(self.values, self.calendar.steps_per_day, calendar.steps_per_day, refine), calendar
        )

    def within(self, calendar: Calendar, name: str) -> Array:
        """The rows of `calendar`, which has the same step.

        Raises:
            ValueError: it does not cover them; says by how much it is short, with `name` in front.
        """
        check_cover(self.calendar, calendar, name)
        first = _steps(calendar, calendar.start - self.calendar.start)
        return self.values[first : first + calendar.n_steps]


def check_cover(has: Calendar, wanted: Calendar, name: str) -> None:
    """ValueError where a series does not cover what is played: how many hours are missing, and where."""
    late, early = has.start - wanted.start, wanted.end - has.end
    missing = [
        f"{gap / datetime.timedelta(hours=1):g} h at its {side}"
        for gap, side in ((late, "begin"), (early, "end"))
        if gap > datetime.timedelta(0)
    ]
    if missing:
        raise ValueError(
            f"{name} cover {has.start.isoformat(' ')} to {has.end.isoformat(' ')}, which is short of "
            f"{wanted.start.isoformat(' ')} to {wanted.end.isoformat(' ')} by {' and '.join(missing)}"
        )


def resample(values: ArrayLike, steps_per_day: int, to_steps_per_day: int, refine: str) -> Array:
    """Means over steps of another length; energy is kept to rounding.

    Args:
        values: (n_steps,) or (n_steps, columns), means over `steps_per_day` steps of a day.
        steps_per_day: of `values`.
        to_steps_per_day: of the result.
        refine: "hold" or "linear", see this module.

    Raises:
        ValueError: an unknown refinement, or a span that is no whole number of the new steps.
    """
    if refine not in REFINEMENTS:
        raise ValueError(f"refine {refine!r} is unknown; expected one of {', '.join(REFINEMENTS)}")
    series = np.asarray(values, dtype=np.float64)
    common = math.lcm(steps_per_day, to_steps_per_day)
    finer, blocks = common // steps_per_day, common // to_steps_per_day
    if series.shape[0] * finer % blocks:
        raise ValueError(
            f"{series.shape[0]} steps of {HOURS_PER_DAY / steps_per_day:g} h are no whole number of steps of "
            f"{HOURS_PER_DAY / to_steps_per_day:g} h"
        )
    if finer > 1:
        series = np.repeat(series, finer, axis=0) if refine == "hold" else _linear(series, finer)
    if blocks > 1:
        series = series.reshape(-1, blocks, *series.shape[1:]).mean(axis=1)
    return np.ascontiguousarray(series)


def _linear(series: Array, finer: int) -> Array:
    """Each step as `finer` ones on a line through its middle, with the mean of the step kept."""
    offset = ((np.arange(finer) + 0.5) / finer - 0.5).reshape(1, -1, *[1] * (series.ndim - 1))
    out: Array = series[:, None] + _slopes(series)[:, None] * offset
    return out.reshape(-1, *series.shape[1:])


def _slopes(series: Array) -> Array:
    """Change over each step; 0 at the ends and where a step is higher or lower than both beside it."""
    out = np.zeros_like(series)
    rise = np.diff(series, axis=0)
    before, after = rise[:-1], rise[1:]
    least = np.minimum(2.0 * np.minimum(np.abs(before), np.abs(after)), 0.5 * np.abs(before + after))
    out[1:-1] = np.where(before * after > 0.0, np.sign(before) * least, 0.0)
    return out


def _steps(calendar: Calendar, gap: datetime.timedelta) -> int:
    return round(gap / datetime.timedelta(days=1) * calendar.steps_per_day)
