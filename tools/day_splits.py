"""The fixed day lists of the splits; `distgrid.cases.profiles.splits` says what they are for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEED = 20160103
N_DAYS = 366
SUITE_DAYS = 14


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
    week = (np.arange(N_DAYS) + 4) // 7  # 0 is 1 to 3 January, 1 to 51 whole weeks, 52 the last six days
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
