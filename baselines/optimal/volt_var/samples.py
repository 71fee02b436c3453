"""Which intervals of a year stand for a level of load and sun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST_ROWS = 600


def intervals_of_levels(
    load_level: FloatArray, sun: FloatArray, loads: FloatArray, levels: tuple[FloatArray, FloatArray], n: int
) -> dict[tuple[int, int], IntArray]:
    """Of each level the intervals that differ most among those that are nearest to it.

    The first is the one nearest to their mean, each further one the one whose loads and sun are furthest from
    those chosen before: what is planned for them has met the corners of the level.

    Args:
        load_level: (m,) of the intervals.
        sun: (m,) share of the rated power.
        loads: (m, k) what tells intervals apart, such as each load's power over the nominal total.
        levels: Of load and of sun, ascending.
        n: How many of each level at most.

    Returns:
        By the places of load and sun; a level that no interval is nearest to is left out.
    """
    given = zip((load_level, sun), levels, strict=True)
    at = [np.abs(x[:, None] - level[None]).argmin(axis=1) for x, level in given]
    found: dict[tuple[int, int], IntArray] = {}
    for a in range(levels[0].size):
        for b in range(levels[1].size):
            rows = np.flatnonzero((at[0] == a) & (at[1] == b))
            if rows.size:
                found[a, b] = rows[that_differ(loads[rows], sun[rows], n)]
    return found


def that_differ(loads: FloatArray, sun: FloatArray, n: int) -> IntArray:
    """Rows of intervals, the one nearest to the mean first, then always the furthest from all before.

    Of many rows some hundred, evenly spread, are looked at; of equal ones one is taken.
    """
    seen = np.arange(0, len(sun), -(-len(sun) // _MOST_ROWS))
    points = np.hstack([loads[seen], sun[seen, None]])
    chosen = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    away = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(n, len(points)) and away.max() > 0.0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return seen[chosen]
