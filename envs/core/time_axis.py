"""Which steps of which days an environment plays: its series on one time axis, and where episodes begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...cases import profiles as prof
from ...cases.profiles import Calendar, Profiles, TimeSeries, check_cover
from .load_source import LoadSource

IntArray = NDArray[np.int64]
#: What ``prices`` takes.
Prices = TimeSeries | ArrayLike | str


def checked_profiles(profiles: object) -> Profiles | None:
    """The profiles, or None; TypeError for other things."""
    if profiles is None or isinstance(profiles, Profiles):
        return profiles
    raise TypeError(
        f"profiles must be Profiles, such as load_profiles().resampled(1.0), got {type(profiles).__name__}"
    )


def checked_prices(prices: object) -> Prices | None:
    """The prices; numbers as a read-only array. TypeError for other things."""
    if prices is None or isinstance(prices, TimeSeries | str):
        return prices
    try:
        values = np.array(prices, dtype=np.float64)
    except (TypeError, ValueError) as error:
        expected = "a TimeSeries, one number for each step, or the name of a tariff"
        raise TypeError(f"prices must be {expected}, got {type(prices).__name__}") from error
    values.setflags(write=False)
    return values


def played_profiles(profiles: Profiles | None, prices: Prices | None, load: LoadSource | None) -> Profiles:
    """The profiles of an environment, in the steps of its load and from its first day on.

    Without a load they cover the days that the profiles and the prices have in common.

    Args:
        profiles: the user's, None: the shipped year.
        prices: in place of theirs: a ``TimeSeries``, one number for each step, or the name of a tariff.
        load: the user's, which says what days and steps are played; None: that of the profiles.

    Raises:
        ValueError: something covers less than the load; says what, and by how much.
    """
    found = prof.load_profiles() if profiles is None else profiles
    if prices is not None:
        series = _priced(found, prices)
        if load is not None:
            check_cover(series.calendar, load.calendar, "prices")
        found = found.with_series(price_usd_mwh=series)
    if load is None:
        return found
    wanted = load.calendar
    check_cover(found.calendar, wanted, "sun, prices, sessions and clock")
    if wanted.dt_h != found.dt_h:
        found = found.resampled(wanted.dt_h)
    if wanted.start > found.calendar.start:
        found = found.between(wanted.start, found.calendar.end)
    return found


def _priced(profiles: Profiles, prices: Prices) -> TimeSeries:
    if isinstance(prices, TimeSeries):
        return prices
    if isinstance(prices, str):
        return TimeSeries(profiles.tariff(prices), profiles.calendar)
    values = np.asarray(prices, dtype=np.float64)
    if values.shape != (profiles.n_steps,):
        raise ValueError(
            f"prices must be one number for each of {profiles.n_steps} steps from {profiles.calendar}, got "
            f"shape {values.shape}: for other steps or days give TimeSeries(prices, Calendar(...))"
        )
    return TimeSeries(values, profiles.calendar)


def goes_round(profiles: Profiles, load: LoadSource) -> bool:
    """Whether the first interval follows the last: the data are whole years, and the load has all of them."""
    return profiles.calendar.whole_years and load.calendar == profiles.calendar


def days_of_episode(calendar: Calendar, start: int, steps: int) -> range:
    """The days that an episode touches."""
    return range(start // calendar.steps_per_day, (start + steps - 1) // calendar.steps_per_day + 1)


def first_days(calendar: Calendar, days: IntArray, steps: int, split: str) -> IntArray:
    """Of the days of a split, in their order, those from whose midnight an episode stays inside the split.

    Raises:
        ValueError: there are none; says how many days in a row the split has.
    """
    many = len(days_of_episode(calendar, 0, steps))
    if many == 1:
        return days
    inside = set(days.tolist())
    fits = [all(day + k in inside for k in range(many)) for day in days.tolist()]
    if not any(fits):
        raise ValueError(
            f"an episode of {many} days does not fit inside split {split!r}, which has at most "
            f"{_longest_run(sorted(inside))} days in a row: choose a shorter episode or another split"
        )
    found: IntArray = days[np.array(fits)]
    found.setflags(write=False)
    return found


def _longest_run(days: list[int]) -> int:
    ends = np.flatnonzero(np.diff(np.array(days)) != 1) + 1
    return int(np.diff(np.concatenate(([0], ends, [len(days)]))).max())


def checked_start(calendar: Calendar, when: Any, steps: int, split: str, days: IntArray) -> int:
    """The interval of ``reset(options={"start": when})``, where the episode stays inside its split.

    Raises:
        ValueError: no interval begins then, the data end before the episode does, or it leaves the split.
        TypeError: no time and no number.
    """
    if isinstance(when, bool | np.bool_):
        raise TypeError(f"start must be a step, or a time such as '2016-06-21 06:00', got {when!r}")
    start = calendar.index(when)
    check_fits(calendar, start, steps)
    inside = set(days.tolist())
    for day in days_of_episode(calendar, start, steps):
        if day not in inside:
            raise ValueError(
                f"an episode of {steps} steps from {calendar.time(start).isoformat(' ')} leaves split "
                f"{split!r} on day {day} ({calendar.day_label(day)}): choose one of the starts of the "
                "scenario, or a day of any split by options={'day': d}"
            )
    return start


def check_fits(calendar: Calendar, start: int, steps: int) -> None:
    """ValueError where the data end before an episode from ``start`` on does."""
    if start + steps > calendar.n_steps:
        raise ValueError(
            f"an episode of {steps} steps from {calendar.time(start).isoformat(' ')} is longer than the "
            f"data, which end at {calendar.end.isoformat(' ')}"
        )


def chosen_start(options: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What ``reset`` was given: ("day", d), ("start", s) or nothing. ValueError for both."""
    given = [(name, options[name]) for name in ("day", "start") if name in options]
    if len(given) > 1:
        raise ValueError("options 'day' and 'start' both say where an episode begins: give one of them")
    return given[0] if given else None
