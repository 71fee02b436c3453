"""Time series over a calendar: loads, sun, prices, vehicles, and the days of each split; a year is shipped.

from distgrid.cases import profiles
year = profiles.load_profiles()
loads = profiles.assignment(feeder)
day = int(profiles.split_days("test")[0])
begin = day * year.steps_per_day
p_mw, q_mvar = loads.node_series(feeder, year, slice(begin, begin + year.steps_per_day))
"""

from __future__ import annotations

from .calendar import (
    DT_H,
    MODEL_YEAR,
    N_DAYS,
    N_STEPS,
    ONE_DAY,
    STEPS_PER_DAY,
    Calendar,
    Duration,
    check_day,
    checked_duration,
    day_label,
    month,
    weekday,
)
from .derived import series_profiles
from .load_assignment import Assignment, assignment, stored_feeders
from .resampling import TimeSeries, check_cover, resample
from .splits import SPLIT_HASHES, SPLIT_SETS, SPLITS, split_days, split_hash
from .store import Profiles, load_profiles
from .tariffs import TARIFFS, Season, Tariff, find_tariff
from .vehicles import CHARGER_SITES, ChargerDays, charger_days

__all__ = [
    "CHARGER_SITES",
    "DT_H",
    "MODEL_YEAR",
    "N_DAYS",
    "N_STEPS",
    "ONE_DAY",
    "SPLITS",
    "SPLIT_HASHES",
    "SPLIT_SETS",
    "STEPS_PER_DAY",
    "TARIFFS",
    "Assignment",
    "Calendar",
    "ChargerDays",
    "Duration",
    "Profiles",
    "Season",
    "Tariff",
    "TimeSeries",
    "assignment",
    "charger_days",
    "check_cover",
    "check_day",
    "checked_duration",
    "day_label",
    "find_tariff",
    "load_profiles",
    "month",
    "resample",
    "series_profiles",
    "split_days",
    "split_hash",
    "stored_feeders",
    "weekday",
]
