"""The fixed day lists of the splits; `distgrid.cases.profiles.splits` says what they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEED = 20160103
N_DAYS = 366
SUITE_DAYS = 14
WEEK = 7
#: 13 to 20 February: the days of the storm of 2021 in the prices.
PRICE_STORM = range(43, 51)


def make_splits(load_p: Array, pv: Array) -> dict[str, list[int]]:
    """Day lists by split.

    Args:
        load_p: (35136,) mean of the load shapes that stand for many customers or one business.
        pv: (35136,) mean over the photovoltaic sites.
    """
    load, sun = load_p.reshape(N_DAYS, 96), pv.reshape(N_DAYS, 96).mean(axis=1)
    first = np.datetime64("2016-01-01")
    month = (first + np.arange(N_DAYS)).astype("datetime64[M]").astype(int) % 12 + 1
    quiet = (month >= 4) & (month <= 9) & (load.mean(axis=1) < np.median(load.mean(axis=1)))
    cold = (month <= 2) | (month >= 11)
    sunny = sorted(np.flatnonzero(quiet), key=lambda d: -sun[d])[:SUITE_DAYS]
    peak = sorted(np.flatnonzero(cold), key=lambda d: -load[d].max())[:SUITE_DAYS]
    suites = {"summer-pv": sunny, "winter-peak": peak}
    week = calendar_weeks()
    role = np.full(53, "train", dtype=object)
    rng = np.random.default_rng(SEED)
    for begin, end in ((1, 14), (14, 27), (27, 40), (40, 52)):
        while True:  # until no two of the four held-out weeks touch, here or across the quarter's end
            weeks = rng.permutation(np.arange(begin, end))[:4]
            held = np.sort(np.append(weeks, np.flatnonzero(role != "train")))
            if (np.diff(held) > 1).all():
                break
        role[weeks[:2]], role[weeks[2:]] = "val", "test"
    taken = {int(d) for days in suites.values() for d in days}
    lists = {name: [d for d in range(N_DAYS) if role[week[d]] == name and d not in taken]
             for name in ("train", "val", "test")}  # fmt: skip
    return {**lists, **{name: sorted(int(d) for d in days) for name, days in suites.items()}}


def make_splits_apart(
    weeks: Mapping[str, Sequence[int]], pv: Array, outdoor_c: Array
) -> dict[str, list[int]]:
    """Day lists by split, with gap days between train, val, test and the suites.

    Args:
        weeks: the lists of `make_splits`.
        pv: (35136, sites) photovoltaic power.
        outdoor_c: (35136,) outdoor temperature.
    """
    week = calendar_weeks()
    held = {week[d] for name in ("val", "test") for d in weeks[name]}
    apart = beside([d for d in range(N_DAYS) if week[d] in held])  # suites leave the held-out weeks alone
    suites: dict[str, list[int]] = {name: list(weeks[name]) for name in ("summer-pv", "winter-peak")}
    suites["price-storm"] = list(PRICE_STORM)
    suites["cloudy"] = cloudy_weeks(pv, apart | {d for days in suites.values() for d in days})
    cold = np.array([outdoor_c.reshape(N_DAYS, 96)[d].mean() for d in range(N_DAYS)])
    spells = {d: cold[d : d + SUITE_DAYS].mean() for d in starts(SUITE_DAYS, apart)}
    coldest = min(spells, key=lambda d: spells[d])
    suites["cold-snap"] = list(range(coldest, coldest + SUITE_DAYS))
    gone = beside(d for days in suites.values() for d in days)
    lists: dict[str, list[int]] = {}
    for name in ("test", "val", "train"):  # the lesser yields
        lists[name] = [d for d in weeks[name] if d not in gone]
        gone |= beside(lists[name])
    return {**{name: lists[name] for name in ("train", "val", "test")}, **suites}


def cloudy_weeks(pv: Array, taken: set[int]) -> list[int]:
    """Two weeks of days in a row whose sun moves most, of those with a middling yield."""
    sun = pv.mean(axis=1).reshape(N_DAYS, 96).mean(axis=1)
    ramp = np.abs(np.diff(pv, axis=0, prepend=0.0)).mean(axis=1).reshape(N_DAYS, 96).sum(axis=1)
    low, high = np.quantile(sun, [1 / 3, 2 / 3])
    chosen: list[int] = []
    for _ in range(2):
        free = [d for d in starts(WEEK, taken | beside(chosen)) if low <= sun[d : d + WEEK].mean() <= high]
        best = max(free, key=lambda d: ramp[d : d + WEEK].mean())
        chosen += range(best, best + WEEK)
    return sorted(chosen)


def calendar_weeks() -> NDArray[np.int64]:
    """(366,) week of each day: 0 is 1 to 3 January, 1 to 51 whole weeks, 52 the last six days."""
    return (np.arange(N_DAYS) + 4) // 7


def starts(length: int, taken: set[int]) -> list[int]:
    """Days from which `length` days in a row are in the year and not `taken`."""
    return [d for d in range(N_DAYS - length + 1) if not taken & set(range(d, d + length))]


def beside(days: Iterable[int]) -> set[int]:
    """The days, the ones before and the ones behind; 31 December lies before 1 January."""
    return {(d + k) % N_DAYS for d in days for k in (-1, 0, 1)}
