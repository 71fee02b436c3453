"""Outdoor temperature and wind power on the model year, from a test reference year and from SimBench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Test reference year 2015 of the German weather service: 53.5591 N 8.5872 E (Bremerhaven), extreme winter.
REFERENCE_YEAR = "TRY2015_535591085872_Wint.dat"
_END_OF_FEBRUARY = 59  # days before the leap day
_WIND_SITES = 12


def outdoor_c(folder: Path) -> Array:
    """(35136,) degC of the model year, quarter hour by quarter hour.

    Hour HH of a day (1 to 24, CET, which is the clock of the model) is the one that ends at HH o'clock.
    Dates keep their place; 29 February is the mean of the days before and behind it, hour by hour. Quarter
    hours lie on lines from the middle of one hour to that of the next, the year going round.
    """
    text = (folder / REFERENCE_YEAR).read_text(encoding="latin-1")
    head, _, body = text.partition("***")
    if "extremer Winter" not in head:
        raise ValueError(f"{REFERENCE_YEAR} is no year with an extreme winter")
    rows = [line.split() for line in body.splitlines() if line.strip()]
    clock = [(int(row[2]), int(row[3]), int(row[4])) for row in rows]
    if len(rows) != 365 * 24 or clock != sorted(clock):
        raise ValueError(f"{REFERENCE_YEAR} has {len(rows)} rows, expected every hour of 365 days in order")
    days = np.array([float(row[5]) for row in rows]).reshape(365, 24)
    leap_day = 0.5 * (days[_END_OF_FEBRUARY - 1] + days[_END_OF_FEBRUARY])
    hours = np.insert(days, _END_OF_FEBRUARY, leap_day, axis=0).reshape(-1)
    quarters = np.arange(hours.size * 4)
    return np.interp((quarters + 0.5) / 4, np.arange(hours.size) + 0.5, hours, period=float(hours.size))


def wind_sites(folder: Path) -> dict[str, Array]:
    """Power of SimBench's wind profiles WP1 to WP12, per unit of rated power, 0 to 1; (35136,) each."""
    table = pq.read_table(folder / "profiles_2016_15min_res.parquet")
    names = [f"WP{k}" for k in range(1, _WIND_SITES + 1)]
    return {name: np.clip(table[name].to_numpy().astype(np.float64), 0.0, 1.0) for name in names}
