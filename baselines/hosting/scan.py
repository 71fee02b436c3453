"""The first crossing where controls act: sizes in a row, smallest first, each followed with its taps held.

Taps move in steps, so what two sizes show says little of those between them. Sizes grow by a third each. From
each of them on, the way to the next is searched with taps and banks as they rest at the first: where a limit
is passed on it, the controls are asked there. That finds crossings which controls undo a little later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .flows import Arguments, Shown
from .search import BoolArray, Bounds, Crossings, FloatArray, IntArray, first_crossings

_RATIO, _SIZES, _AT_ONCE = 4.0 / 3.0, 14, 7


@dataclass(frozen=True)
class ActingControls:
    """Power flows of rows of a scan.

    Attributes:
        rest: Of rows and sizes, with controls at rest; tells where they are.
        held: Of rows, sizes, and where the controls of each are held.
    """

    rest: Callable[[IntArray, FloatArray], Shown]
    held: Callable[[IntArray, FloatArray, Arguments], Shown]


def scanned_crossings(
    controls: ActingControls, base: FloatArray, bounds: Bounds, largest_mw: FloatArray, tol_mw: float
) -> Crossings:
    """See `first_crossings`."""
    scan = _Scan(controls, base, bounds, largest_mw, tol_mw)
    scan.scan()
    scan.bisect()
    return Crossings(scan.lo, scan.hi, scan.x_lo, scan.x_hi, scan.solved, scan.flows)


class _Scan:
    """Rows between the largest size that was feasible and, where one is known, the smallest that was not."""

    def __init__(
        self,
        controls: ActingControls,
        base: FloatArray,
        bounds: Bounds,
        largest_mw: FloatArray,
        tol_mw: float,
    ) -> None:
        n, columns = largest_mw.size, base.shape[1]
        self.controls, self.bounds, self.tol, self.largest = controls, bounds, tol_mw, largest_mw
        self.lo, self.hi = np.zeros(n), np.full(n, np.inf)
        self.x_lo = np.array(np.broadcast_to(base, (n, columns)))
        self.x_hi, self.solved = np.full((n, columns), np.nan), np.zeros(n, dtype=bool)
        self.flows = np.zeros(n, dtype=np.int64)

    def look(self, rows: IntArray, size: FloatArray) -> tuple[Shown, BoolArray]:
        """With controls at rest, and what is feasible."""
        shown = self.controls.rest(rows, size)
        np.add.at(self.flows, rows, 1)
        return shown, self._kept(rows, shown)

    def _kept(self, rows: IntArray, shown: Shown) -> BoolArray:
        return shown.found & self.bounds.of(rows).kept(np.where(shown.found[:, None], shown.x, 0.0))

    def scan(self) -> None:
        """Sizes in a row up to the largest, some at once, until each row has one that is not feasible."""
        rows = np.flatnonzero(self.largest > 0.0)
        if rows.size == 0:
            return
        start, _ = self.look(rows, np.zeros(rows.size))
        state = dict(start.controls)
        share = _RATIO ** np.arange(1 - _SIZES, 1, dtype=np.float64)
        for first in range(0, _SIZES, _AT_ONCE):
            sizes = np.outer(self.largest[rows], share[first : first + _AT_ONCE])
            state = self._block(rows, sizes, state)
            open_rows = np.isinf(self.hi[rows])
            rows, state = rows[open_rows], {name: value[open_rows] for name, value in state.items()}
            if rows.size == 0:
                return

    def _block(self, rows: IntArray, sizes: FloatArray, state: Arguments) -> Arguments:
        """Sizes (rows, some); ``state``: where the controls rest at ``lo``. Returns it for the last size."""
        count = sizes.shape[1]
        many = np.repeat(rows, count)
        shown, kept = self.look(many, sizes.reshape(-1))
        feasible = kept.reshape(sizes.shape)
        reached = np.hstack([np.ones((rows.size, 1), dtype=bool), np.cumprod(feasible, axis=1)[:, :-1] > 0])
        at, k = np.nonzero(reached)
        left = np.hstack([self.lo[rows][:, None], sizes[:, :-1]])
        rests = {
            name: value.reshape(rows.size, count, *value.shape[1:]) for name, value in shown.controls.items()
        }
        before = {name: np.concatenate([state[name][:, None], rests[name][:, :-1]], axis=1) for name in rests}
        early = self._earlier(
            rows[at], left[at, k], sizes[at, k], {name: value[at, k] for name, value in before.items()}
        )
        x = shown.x.reshape(rows.size, count, -1)
        found = shown.found.reshape(rows.size, count)
        for pair in range(at.size):  # in the order of sizes
            self._step(rows[at[pair]], sizes[at[pair], k[pair]], early[pair], feasible[at[pair], k[pair]],
                       x[at[pair], k[pair]], bool(found[at[pair], k[pair]]))  # fmt: skip
        return {name: value[:, -1] for name, value in rests.items()}

    def _step(
        self, row: int, size: float, early: list[tuple[float, bool, FloatArray, bool]], feasible: bool,
        x: FloatArray, found: bool,
    ) -> None:  # fmt: skip
        """What a row learns from one size, and from those before it that were looked at for its sake."""
        for at, kept, x_at, found_at in [*early, (size, feasible, x, found)]:
            if self.hi[row] < np.inf or at <= self.lo[row]:
                continue
            if kept:
                self.lo[row], self.x_lo[row] = at, x_at
            else:
                self.hi[row], self.solved[row] = at, found_at
                self.x_hi[row] = x_at if found_at else np.nan

    def _earlier(
        self, rows: IntArray, left: FloatArray, right: FloatArray, state: Arguments
    ) -> list[list[tuple[float, bool, FloatArray, bool]]]:
        """Of each way from left to right: the sizes on both sides of where a limit is passed with controls
        held, as they are with controls at rest; empty where none is.
        """
        result: list[list[tuple[float, bool, FloatArray, bool]]] = [[] for _ in rows]
        shown = self.controls.held(rows, right, state)
        np.add.at(self.flows, rows, 1)
        passes = np.flatnonzero(~self._kept(rows, shown))
        if passes.size == 0:
            return result
        some = rows[passes]

        def held(at: NDArray[np.int64], size: FloatArray) -> tuple[FloatArray, BoolArray]:
            part = {name: value[passes[at]] for name, value in state.items()}
            found = self.controls.held(some[at], size, part)
            return found.x, found.found

        bounds = self.bounds.of(some)
        near = first_crossings(
            held, self.x_lo[some], bounds, right[passes], right[passes], self.tol,
            (left[passes], right[passes]),
        )  # fmt: skip
        np.add.at(self.flows, some, near.power_flows)
        pair = np.flatnonzero(np.isfinite(near.passed_mw))
        for sizes in (near.kept_mw, near.passed_mw):
            rest, kept = self.look(some[pair], sizes[pair])
            for k, at in enumerate(pair.tolist()):
                result[passes[at]].append((float(sizes[at]), bool(kept[k]), rest.x[k], bool(rest.found[k])))
        return result

    def bisect(self) -> None:
        """Between the last size that was feasible and the first that was not."""
        while True:
            rows = np.flatnonzero(np.isfinite(self.hi) & (self.hi - self.lo > self.tol * (1.0 + 1e-9)))
            if rows.size == 0:
                return
            size = 0.5 * (self.lo[rows] + self.hi[rows])
            shown, kept = self.look(rows, size)
            low, high = rows[kept], rows[~kept]
            self.lo[low], self.x_lo[low] = size[kept], shown.x[kept]
            self.hi[high], self.solved[high] = size[~kept], shown.found[~kept]
            self.x_hi[high] = np.where(shown.found[~kept][:, None], shown.x[~kept], np.nan)
