"""The best windows of a flexible load at prices: what its rows leave open."""

from __future__ import annotations

import heapq

import numpy as np

from ....envs.resources.outlook import Flexibility
from ..affine import Affine, FloatArray, IntArray
from .planned import Decided, Setting


def present_mw(flex: Flexibility, load_p_mw: FloatArray) -> FloatArray:
    """(steps, n_units) MW that may be taken away at all."""
    out = np.zeros((load_p_mw.shape[0], flex.share.size))
    for u, groups in enumerate(flex.columns):
        for group in groups:
            out[:, u] += group.size * load_p_mw[:, group].min(axis=1)
    return np.asarray(flex.share * np.maximum(out, 0.0))


class Windows:
    """Windows that open with the first energy taken and close in time do not overlap.

    The best windows are a shortest path over the intervals, whose arcs are windows; the best that can be made
    of one is found by a greedy method that takes back what turns out worse.
    """

    def __init__(
        self, of: Setting, flex: Flexibility, moved: tuple[Affine, Affine, Affine],
        sums: tuple[Affine, Affine],
    ) -> None:  # fmt: skip
        """``moved``: taken, returned and curtailed; ``sums``: owed, and taken so far."""
        self._of, self._flex, self._moved, self._sums = of, flex, moved, sums

    def least(self, prices: FloatArray) -> tuple[float, Decided] | None:
        """See `planned.Choice`; None where a window is open already, or none rolls."""
        of, flex, shape = self._of, self._flex, self._of.shape
        shifts = flex.shift_mw > 0.0
        if (flex.owed_mwh > 0.0).any() or not flex.rolling[shifts].all():
            return None
        take, back, curtailed = (prices[part.column].reshape(shape) for part in self._moved)
        owed, taken = (of.dt_h * prices[_columns(part)].reshape(shape) for part in self._sums)
        owed, taken = (part[::-1].cumsum(axis=0)[::-1] for part in (owed, taken))
        most, returned, cut = self._most()
        total, found = float(np.minimum(curtailed, 0.0).ravel() @ cut.ravel()), {}
        for u, name in enumerate(of.outlook.units):
            if shifts[u]:
                costs = take[:, u] + owed[:, u] + taken[:, u], back[:, u] - owed[:, u]
                part, found[name] = best_windows(*costs, most[:, u], float(returned[u]), int(flex.window[u]))
                total += part
        return total, found

    def _most(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        flex = self._flex
        present = present_mw(flex, self._of.load_p_mw)
        return np.minimum(flex.shift_mw, present), flex.return_mw, np.minimum(flex.curtail_mw, present)


def _columns(part: Affine) -> IntArray:
    """Columns of an array that is one column each, and constants."""
    return part.column


def best_windows(
    take: FloatArray, back: FloatArray, most: FloatArray, most_back: float, length: int
) -> tuple[float, IntArray]:
    """(cost, (steps,) number of the window of each interval) of the best windows.

    Args:
        take: (steps,) cost of a MW that is taken away.
        back: (steps,) of a MW that is returned.
        most: (steps,) that may be taken away.
        most_back: Most that may be returned.
        length: Intervals of a window at most.
    """
    steps = take.size
    value, until = np.zeros(steps + 1), np.arange(1, steps + 2)
    for first in range(steps - 1, -1, -1):
        value[first] = value[first + 1]
        for stop, cost in _window(take, back, most, most_back, first, min(first + length, steps)):
            if cost + value[stop] < value[first] - 1e-12:
                value[first], until[first] = cost + value[stop], stop
    number, at, windows = np.zeros(steps, dtype=np.int64), 0, 0
    while at < steps:
        if until[at] > at + 1 or value[at] < value[at + 1] - 1e-12:
            windows += 1
            number[at : until[at]] = windows
        at = int(until[at])
    return float(value[0]), number


def _window(
    take: FloatArray, back: FloatArray, most: FloatArray, most_back: float, first: int, last: int
) -> list[tuple[int, float]]:
    """(stop, least cost) of windows [first, stop); one that lasts to the end may leave energy owed."""
    open_: list[tuple[float, float]] = []  # cost of what may be returned, MW: taken, or returned before
    cost, out = 0.0, []
    for t in range(first, last):
        left, given = most_back, []
        while left > 0.0 and open_ and open_[0][0] + back[t] < 0.0:
            price, amount = heapq.heappop(open_)
            part = min(amount, left)
            cost, left = cost + part * (price + float(back[t])), left - part
            given.append((-float(back[t]), part))
            if amount > part:
                heapq.heappush(open_, (price, amount - part))
        for one in given:
            heapq.heappush(open_, one)
        heapq.heappush(open_, (float(take[t]), float(most[t])))
        rest = sum(price * amount for price, amount in open_ if price < 0.0) if t + 1 == take.size else 0.0
        out.append((t + 1, cost + rest))
    return out
