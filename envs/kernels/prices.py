"""The cheapest plan of a car's stay, at prices as a day-ahead market announces them.

Prices are of consecutive intervals. The market publishes those of a day in some interval of the day before;
what is not published yet is as at the same time a day earlier.
"""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import inline, lean_kernel


@inline
def _last_known(now, per_day, published):  # type: ignore[no-untyped-def]
    """The last day whose prices are published in interval ``now``."""
    return now // per_day + (1 if now % per_day >= published else 0)


@inline
def _announced(price, at, known, per_day):  # type: ignore[no-untyped-def]
    """What the price of interval ``at`` is thought to be while day ``known`` is the last one known."""
    while at // per_day > known or at >= price.size:
        at -= per_day
    return price[at]


@lean_kernel
def plan_now(price, t_index, until_h, wanted, per_day, published, dt_h, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (rows, n) with the share of interval ``t_index`` (rows,) that is used.

    ``wanted`` (rows, n) intervals at full power are to be bought within ``until_h`` hours (rows, n), in the
    cheapest ones, and in the earliest of those of one price.
    """
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
def plan_price(price, t_index, until_h, wanted, missing, per_day, published, dt_h, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (rows, n) with what the cheapest plan pays, in prices times intervals at full power.

    As in `plan_now`; each interval that does not fit into the stay costs ``missing`` (n,).
    """
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
