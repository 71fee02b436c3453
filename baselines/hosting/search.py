"""The first crossing of many candidates at once: bracketed from small sizes, then closed in on.

Feasibility is not monotone: far out, losses of reverse flow pull down voltages that a smaller plant lifts too
high. So a row starts small and grows by what it has seen: each quantity is extrapolated by the secant of the
last two sizes that were feasible, and the next size is where the first of them would reach its limit, at most
``GROWTH`` times the last one. Where three sizes show that a quantity has turned between them, the size at the
turn is looked at before anything beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: How much larger the next size may be than the last that was feasible, while none is known that is not.
GROWTH = 4.0
#: Power flows that closing in on a known bracket may take beyond bisection.
SLACK = 2
#: How often a row goes back to a size at which a quantity seemed to turn.
_TURNS = 8

Evaluate = Callable[[IntArray, FloatArray], tuple[FloatArray, BoolArray]]


@dataclass(frozen=True)
class Bounds:
    """What quantities may be: rows or 1, by quantities."""

    low: FloatArray
    high: FloatArray

    def of(self, rows: IntArray) -> Bounds:
        """Those of some rows."""
        if self.low.shape[0] == 1:
            return self
        return Bounds(self.low[rows], self.high[rows])

    def kept(self, x: FloatArray) -> BoolArray:
        """(rows,) whether ``x`` (rows, quantities) is inside, the bounds included."""
        return np.asarray(((x <= self.high) & (x >= self.low)).all(axis=1))


@dataclass(frozen=True)
class Crossings:
    """Where each row passes its first limit.

    Attributes:
        kept_mw: (rows,) the largest size found feasible.
        passed_mw: (rows,) the size found infeasible next to it, at most the tolerance away; inf: none.
        x_kept, x_passed: (rows, quantities) at both; NaN where no power flow was found.
        solved: (rows,) whether a power flow was found at ``passed_mw``.
        power_flows: (rows,) how many were solved, the common base not counted.
    """

    kept_mw: FloatArray
    passed_mw: FloatArray
    x_kept: FloatArray
    x_passed: FloatArray
    solved: BoolArray
    power_flows: IntArray

    def binding(self, bounds: Bounds) -> tuple[IntArray, BoolArray]:
        """(rows,) the quantity that passes its limit first, -1 where none does or nothing solves; and whether
        it is its upper limit.
        """
        up, down = crossing_shares(self.x_kept, self.x_passed, bounds)
        up, down = (np.where(np.isnan(share), np.inf, share) for share in (up, down))
        best_up, best_down = up.min(axis=1), down.min(axis=1)
        above = best_up <= best_down
        column = np.where(above, up.argmin(axis=1), down.argmin(axis=1))
        found = np.isfinite(np.minimum(best_up, best_down)) & self.solved & np.isfinite(self.passed_mw)
        return np.where(found, column, -1), above


def crossing_shares(x: FloatArray, y: FloatArray, bounds: Bounds) -> tuple[FloatArray, FloatArray]:
    """How far from ``x`` to ``y`` each quantity passes its upper, and its lower bound; inf: not on the way.

    Straight lines; above 1 is an extrapolation beyond ``y``.
    """
    rise = y - x
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(rise > 0.0, (bounds.high - x) / rise, np.inf)
        down = np.where(rise < 0.0, (bounds.low - x) / rise, np.inf)
    return up, down


def first_crossings(
    evaluate: Evaluate,
    base: FloatArray,
    bounds: Bounds,
    largest_mw: FloatArray,
    first_mw: FloatArray,
    tol_mw: float,
    bracket_mw: tuple[FloatArray, FloatArray] | None = None,
    growth: float = GROWTH,
) -> Crossings:
    """The first size of each row at which a quantity leaves its bounds, to ``tol_mw``.

    Args:
        evaluate: Quantities (k, quantities) and whether the power flow was found (k,), of k rows at k sizes.
        base: (rows or 1, quantities) quantities at size 0, inside ``bounds``.
        bounds: Of the quantities.
        largest_mw: (rows,) no size beyond it is tried; 0: nothing is tried.
        first_mw: (rows,) the size that is tried first.
        tol_mw: How close a feasible and an infeasible size must be.
        bracket_mw: A feasible and an infeasible size of each row, where known: at most
            ceil(log2(range / tol)) + 4 power flows then, the two ends included.
        growth: See ``GROWTH``.
    """
    run = _Search(evaluate, base, bounds, largest_mw, first_mw, tol_mw, growth)
    if bracket_mw is not None:
        run.begin_in(*bracket_mw)
    while run.step():
        pass
    return run.result()


class _Search:
    """Rows on their way."""

    def __init__(
        self, evaluate: Evaluate, base: FloatArray, bounds: Bounds, largest_mw: FloatArray,
        first_mw: FloatArray, tol_mw: float, growth: float,
    ) -> None:  # fmt: skip
        n = largest_mw.size
        self.evaluate, self.bounds, self.tol, self.growth = evaluate, bounds, tol_mw, growth
        self.largest = largest_mw
        self.lo, self.prev, self.hi = np.zeros(n), np.full(n, np.nan), np.full(n, np.inf)
        self.next = np.minimum(first_mw, largest_mw)
        self.x_lo = np.array(np.broadcast_to(base, (n, base.shape[1])))
        self.x_prev, self.x_hi = self.x_lo.copy(), np.full_like(self.x_lo, np.nan)
        self.solved = np.zeros(n, dtype=bool)
        self.flows = np.zeros(n, dtype=np.int64)
        self.left = np.zeros(n, dtype=np.int64)  # power flows that closing in may still take
        self.turns = np.zeros(n, dtype=np.int64)
        self.small = np.zeros(n, dtype=np.int64)  # steps in a row that were no longer than the tolerance
        self.active = largest_mw > 0.0
        self.again = np.empty(0, dtype=np.int64)  # rows that go back to a turn: their next size is set

    def begin_in(self, low_mw: FloatArray, high_mw: FloatArray) -> None:
        """Rows that know sizes on both sides; what the power flow says of them counts."""
        rows = np.flatnonzero(self.active)
        for size in (low_mw, high_mw):
            at = rows[(size[rows] > self.lo[rows]) & (size[rows] < self.hi[rows])]
            if at.size:
                self.next[at] = size[at]
                self._look(at)
        self._propose(rows)

    def step(self) -> bool:
        """One power flow for each row that is not at its end; False when all are."""
        rows = np.flatnonzero(self.active)
        if rows.size == 0:
            return False
        self._look(rows)
        self._propose(rows)
        return True

    def _look(self, rows: IntArray) -> None:
        size = self.next[rows]
        x, found = self.evaluate(rows, size)
        self.flows[rows] += 1
        self.left[rows] -= 1
        x[~found] = np.nan
        kept = found & self.bounds.of(rows).kept(x)
        self._shrink(rows[~kept], size[~kept], x[~kept], found[~kept])
        self._grow(rows[kept], size[kept], x[kept])

    def _shrink(self, rows: IntArray, size: FloatArray, x: FloatArray, found: BoolArray) -> None:
        """Sizes that pass a limit."""
        self.hi[rows], self.x_hi[rows], self.solved[rows] = size, x, found
        width = np.maximum((size - self.lo[rows]) / self.tol, 1.0)
        fresh = np.ceil(np.log2(width)).astype(np.int64) + SLACK
        known = self.left[rows] > 0
        self.left[rows] = np.where(known, np.minimum(self.left[rows], fresh), fresh)

    def _grow(self, rows: IntArray, size: FloatArray, x: FloatArray) -> None:
        """Sizes that are feasible; where a quantity turned beyond its bound on the way, that comes first."""
        self.again = rows[:0]
        turn = self._turned(rows, size, x)
        back = np.isfinite(turn)
        again, at = rows[back], turn[back]
        self.next[again] = at
        self.turns[again] += 1
        earlier = again[at < self.lo[again]]
        self.lo[earlier], self.x_lo[earlier] = self.prev[earlier], self.x_prev[earlier]
        self.prev[earlier] = np.nan
        on = rows[~back]
        step = size[~back] - self.lo[on]
        self.small[on] = np.where(step <= self.tol, self.small[on] + 1, 0)
        self.prev[on], self.x_prev[on] = self.lo[on], self.x_lo[on]
        self.lo[on], self.x_lo[on] = size[~back], x[~back]
        self.again = again

    def _turned(self, rows: IntArray, size: FloatArray, x: FloatArray) -> FloatArray:
        """(rows,) the size where a parabola through three sizes passes a bound between them; NaN: nowhere."""
        turn = np.full(rows.size, np.nan)
        look = np.isfinite(self.prev[rows]) & np.isinf(self.hi[rows]) & (self.turns[rows] < _TURNS)
        k = np.flatnonzero(look)
        if k.size == 0:
            return turn
        at = rows[k]
        a, b, c = self.prev[at][:, None], self.lo[at][:, None], size[k][:, None]
        xa, xb, xc = self.x_prev[at], self.x_lo[at], x[k]
        bent = ((xb - xa) * (xc - xb)) < 0.0
        some = np.flatnonzero(bent.any(axis=1))
        if some.size == 0:
            return turn
        a, b, c = a[some], b[some], c[some]
        xa, xb, xc, bent = xa[some], xb[some], xc[some], bent[some]
        first, second = (xb - xa) / (b - a), (xc - xb) / (c - b)
        curve = (second - first) / (c - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = 0.5 * (a + b) - first / (2.0 * curve)
            peak = xa + first * (vertex - a) + curve * (vertex - a) * (vertex - b)
        bounds = self.bounds.of(at[some])
        beyond = bent & (vertex > a) & (vertex < c) & ((peak > bounds.high) | (peak < bounds.low))
        where = np.where(beyond, vertex, np.inf).min(axis=1)
        good = np.isfinite(where) & (np.abs(where - b[:, 0]) > self.tol)
        turn[k[some[good]]] = where[good]
        return turn

    def _propose(self, rows: IntArray) -> None:
        """The next size of rows that have more to look for."""
        closed = self.hi[rows] - self.lo[rows] <= self.tol
        most = np.isinf(self.hi[rows]) & (self.lo[rows] >= self.largest[rows])
        self.active[rows[closed | most]] = False
        rows = rows[~(closed | most)]
        rows = np.setdiff1d(rows, self.again)
        open_rows = rows[np.isinf(self.hi[rows])]
        self.next[open_rows] = self._onwards(open_rows)
        shut = rows[np.isfinite(self.hi[rows])]
        self.next[shut] = self._between(shut)

    def _onwards(self, rows: IntArray) -> FloatArray:
        """Sizes beyond the last: where the first quantity would reach its bound, a little more."""
        lo, prev = self.lo[rows], self.prev[rows]
        up, down = crossing_shares(self.x_prev[rows], self.x_lo[rows], self.bounds.of(rows))
        share = np.fmin(up, down).min(axis=1)
        reach = np.maximum(prev + share * (lo - prev), lo)
        ahead = np.maximum(reach - lo, 0.0)
        push = 0.5 * self.tol * 2.0 ** self.small[rows]  # creeping ends: the next one is beyond
        near = ahead <= self.tol
        step = np.where(near, ahead + push, ahead)
        step = np.minimum(step, np.maximum((self.growth - 1.0) * lo, self.tol))
        return np.minimum(lo + step, self.largest[rows])

    def _between(self, rows: IntArray) -> FloatArray:
        """Sizes inside the bracket: the estimated crossing, as far from the middle as bisection allows."""
        lo, hi, tol = self.lo[rows], self.hi[rows], self.tol
        guess = self._estimate(rows)
        aim = guess - 0.4 * tol
        aim = np.where(guess - lo <= 0.6 * tol, lo + 0.9 * tol, aim)
        aim = np.where((hi - guess <= 0.6 * tol) & (guess - lo > 0.6 * tol), hi - 0.9 * tol, aim)
        widest = tol * 2.0 ** np.maximum(self.left[rows] - 1, 0)  # what may be left after this power flow
        middle = 0.5 * (lo + hi)
        aim = np.clip(aim, np.minimum(hi - widest, middle), np.maximum(lo + widest, middle))
        inside = np.clip(aim, lo + 0.25 * tol, hi - 0.25 * tol)
        return np.where(np.isfinite(inside), inside, middle)

    def _estimate(self, rows: IntArray) -> FloatArray:
        """(rows,) where the first quantity that is beyond its bound at the far end passes it: straight lines,
        bent by the size before where that is known.
        """
        lo, hi = self.lo[rows], self.hi[rows]
        bounds, x_lo, x_hi = self.bounds.of(rows), self.x_lo[rows], self.x_hi[rows]
        up, down = crossing_shares(x_lo, x_hi, bounds)
        up, down = (np.where(np.isfinite(share), share, np.inf) for share in (up, down))
        best_up, best_down = up.min(axis=1), down.min(axis=1)
        above = best_up <= best_down
        column = np.where(above, up.argmin(axis=1), down.argmin(axis=1))
        share = np.minimum(best_up, best_down)
        lane = np.arange(rows.size)
        wide = bounds.low.shape[0] > 1
        pick = lane if wide else np.zeros_like(lane)
        bound = np.where(above, bounds.high[pick, column], bounds.low[pick, column])
        known = np.isfinite(self.prev[rows])
        a, xa = np.where(known, self.prev[rows], lo - 1.0), self.x_prev[rows][lane, column]
        f_lo, f_hi, f_a = (z - bound for z in (x_lo[lane, column], x_hi[lane, column], xa))
        with np.errstate(divide="ignore", invalid="ignore"):  # inverse quadratic through three sizes
            root = (
                a * f_lo * f_hi / ((f_a - f_lo) * (f_a - f_hi))
                + lo * f_a * f_hi / ((f_lo - f_a) * (f_lo - f_hi))
                + hi * f_a * f_lo / ((f_hi - f_a) * (f_hi - f_lo))
            )
        line = lo + share * (hi - lo)
        good = known & np.isfinite(root) & (root > lo) & (root < hi)
        guess = np.where(good, root, line)
        return np.where((guess >= lo) & (guess <= hi), guess, 0.5 * (lo + hi))

    def result(self) -> Crossings:
        """Where all rows ended."""
        return Crossings(self.lo, self.hi, self.x_lo, self.x_hi, self.solved, self.flows)
