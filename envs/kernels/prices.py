"""The cheapest plan of a car's stay, at prices as a day-ahead market announces them.

Prices are of consecutive intervals. The market publishes those of a day in some interval of the day before;
what is not published yet is as at the same time a day earlier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import inline, lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@inline
def _last_known(now: int, per_day: int, published: float) -> int:
    """The last day whose prices are published in interval ``now``."""
    return now // per_day + (1 if now % per_day >= published else 0)


@inline
def _announced(price: Floats, at: int, known: int, per_day: int) -> float:
    """What the price of interval ``at`` is thought to be while day ``known`` is the last one known."""
    while at // per_day > known or at >= price.size:
        at -= per_day
    return price[at]


@lean_kernel
def plan_now(
    price: Floats,  # (steps,)
    t_index: Ints,  # (rows,) the first interval of the stay
    until_h: Floats,  # (rows, n) hours that are left
    wanted: Floats,  # (rows, n) intervals at full power that are to be bought
    per_day: int,
    published: float,  # steps after midnight at which the next day is told
    dt_h: float,
    out: Floats,  # (rows, n) the share of the first interval that is used
) -> None:
    """Whether the first interval is among the cheapest, of those of one price among the earliest."""
    for row in range(out.shape[0]):
        now = t_index[row] % price.size
        known = _last_known(now, per_day, published)
        for k in range(out.shape[1]):
            left = wanted[row, k]
            if left > 0.0:
                for at in range(now + 1, now + round(until_h[row, k] / dt_h)):
                    if _announced(price, at, known, per_day) < price[now]:
                        left -= 1.0
                        if left <= 0.0:
                            break
            out[row, k] = min(max(left, 0.0), 1.0)


@lean_kernel
def plan_price(
    price: Floats,
    t_index: Ints,
    until_h: Floats,
    wanted: Floats,
    missing: Floats,  # (n,) price of an interval that does not fit into the stay
    per_day: int,
    published: float,
    dt_h: float,
    out: Floats,  # (rows, n) prices times intervals at full power
) -> None:
    """What the cheapest plan pays; the rest as in `plan_now`."""
    for row in range(out.shape[0]):
        now = t_index[row] % price.size
        known = _last_known(now, per_day, published)
        for k in range(out.shape[1]):
            left, paid, below = wanted[row, k], 0.0, -np.inf
            stay = round(until_h[row, k] / dt_h)
            while left > 0.0:  # price by price, from the lowest on
                lowest, count = np.inf, 0
                for at in range(now, now + stay):
                    one = _announced(price, at, known, per_day)
                    if one > below and one <= lowest:
                        count = count + 1 if one == lowest else 1
                        lowest = one
                if count == 0:
                    break
                used = min(left, float(count))
                paid += used * lowest
                left -= used
                below = lowest
            out[row, k] = paid + max(left, 0.0) * missing[k]
