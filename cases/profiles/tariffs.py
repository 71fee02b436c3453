"""Two published time-of-use tariffs. `series` holds energy prices; demand charges are stated beside them.

Figures from the utilities' tariff books: Southern California Edison, schedule TOU-EV-4, effective 2019-03-01
(Cal. PUC sheet CE141-12); Pacific Gas and Electric, schedule A-10 TOU, secondary voltage, effective
2019-07-01. The weekday of the model year decides; holidays count as the weekdays they fall on, and the clock
of the model (standard time all year) stands for the local clock.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .calendar import HOURS_PER_DAY, MODEL_YEAR, Calendar
from .unknown_names import choose_one

Steps = tuple[tuple[float, float], ...]
_CHANGES_PER_DAY = 48  # prices change on half hours


@dataclass(frozen=True)
class Season:
    """Prices of one season.

    Attributes:
        months: 1..12, the months in it.
        weekday, weekend: (hour from which it holds, USD/kWh) in rising order, first hour 0.
        demand_usd_kw: monthly charge on the highest demand, USD/kW; not part of the energy price.
    """

    months: tuple[int, ...]
    weekday: Steps
    weekend: Steps
    demand_usd_kw: float


@dataclass(frozen=True)
class Tariff:
    """A time-of-use tariff with its source; `series` is its energy price over the model year."""

    name: str
    title: str
    effective: str
    source: str
    seasons: tuple[Season, ...]

    def series(self, calendar: Calendar = MODEL_YEAR) -> NDArray[np.float64]:
        """(n_steps,) USD/MWh, the mean of each step of `calendar`, which covers whole days from midnight."""
        per_day = math.lcm(calendar.steps_per_day, _CHANGES_PER_DAY)
        hour = np.arange(per_day) * (HOURS_PER_DAY / per_day)
        by_month = {month: season for season in self.seasons for month in season.months}
        out = np.empty((calendar.n_days, per_day))
        for day in range(calendar.n_days):
            season = by_month[(calendar.start + datetime.timedelta(days=day)).month]
            steps = season.weekday if calendar.weekday(day) < 5 else season.weekend
            starts = np.array([start for start, _ in steps])
            prices = np.array([price for _, price in steps])
            out[day] = 1000.0 * prices[np.searchsorted(starts, hour, side="right") - 1]
        finer = per_day // calendar.steps_per_day
        return out.reshape(-1) if finer == 1 else out.reshape(-1, finer).mean(axis=1)


_SCE = Tariff(
    "sce-tou-ev-4",
    "Southern California Edison TOU-EV-4 (2019)",
    "2019-03-01",
    "https://www1.sce.com/NR/sc3/tm2/pdf/ce141-12.pdf",
    (
        Season(
            (6, 7, 8, 9),
            ((0.0, 0.05623), (8.0, 0.0925), (12.0, 0.26668), (18.0, 0.0925), (23.0, 0.05623)),
            ((0.0, 0.05623),),
            15.51,
        ),
        Season(
            (10, 11, 12, 1, 2, 3, 4, 5),
            ((0.0, 0.06087), (8.0, 0.07492), (12.0, 0.0869), (18.0, 0.07492), (23.0, 0.06087)),
            ((0.0, 0.06087),),
            15.51,
        ),
    ),
)
_PGE = Tariff(
    "pge-a10-tou",
    "Pacific Gas and Electric A-10 TOU (2019)",
    "2019-07-01",
    "https://www.pge.com/tariffs/assets/pdf/tariffbook/ELEC_SCHEDS_A-10.pdf",
    (
        Season(
            (5, 6, 7, 8, 9, 10),
            ((0.0, 0.14903), (8.5, 0.1771), (12.0, 0.23223), (18.0, 0.1771), (21.5, 0.14903)),
            ((0.0, 0.14903),),
            19.99,
        ),
        Season(
            (11, 12, 1, 2, 3, 4),
            ((0.0, 0.13064), (8.5, 0.1477), (21.5, 0.13064)),
            ((0.0, 0.13064),),
            11.66,
        ),
    ),
)
TARIFFS: dict[str, Tariff] = {tariff.name: tariff for tariff in (_SCE, _PGE)}


def find_tariff(name: str) -> Tariff:
    """The tariff of that name.

    Raises:
        ValueError: unknown; the nearest name is suggested.
    """
    if name in TARIFFS:
        return TARIFFS[name]
    raise ValueError(f"unknown tariff {name!r}{choose_one(name, TARIFFS)}")
