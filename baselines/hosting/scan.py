"""The first crossing where controls act: sizes in a row, smallest first, then bisection.

Taps move in steps, so what two sizes show says little of those between them. Sizes grow by a quarter each;
that no crossing is missed holds to that resolution.
"""

from __future__ import annotations

import numpy as np

from .search import Bounds, Crossings, Evaluate, FloatArray, IntArray

_RATIO, _SIZES, _AT_ONCE = 1.25, 24, 6


def scanned_crossings(
    evaluate: Evaluate, base: FloatArray, bounds: Bounds, largest_mw: FloatArray, tol_mw: float
) -> Crossings:
    """See `first_crossings`; between the last feasible size and the first that is not, bisection."""
    n = largest_mw.size
    columns = base.shape[1]
    x_base = np.broadcast_to(base, (n, columns))
    lo, hi = np.zeros(n), np.full(n, np.inf)
    x_lo, x_hi, solved = x_base.copy(), np.full((n, columns), np.nan), np.zeros(n, dtype=bool)
    flows = np.zeros(n, dtype=np.int64)

    def look(rows: IntArray, size: FloatArray) -> None:
        x, found = evaluate(rows, size)
        kept = found & bounds.of(rows).kept(np.where(found[:, None], x, 0.0))
        np.add.at(flows, rows, 1)
        for k in np.flatnonzero(size < hi[rows]).tolist():
            row = rows[k]
            if size[k] >= hi[row]:
                continue
            if kept[k]:
                if size[k] > lo[row]:
                    lo[row], x_lo[row] = size[k], x[k]
            else:
                hi[row], x_hi[row], solved[row] = size[k], np.where(found[k], x[k], np.nan), found[k]

    share = _RATIO ** np.arange(1 - _SIZES, 1, dtype=np.float64)
    for first in range(0, _SIZES, _AT_ONCE):
        rows = np.flatnonzero(np.isinf(hi) & (largest_mw > 0.0))
        if rows.size == 0:
            break
        some = share[first : first + _AT_ONCE]
        look(np.repeat(rows, some.size), np.outer(largest_mw[rows], some).reshape(-1))
    while True:
        rows = np.flatnonzero(np.isfinite(hi) & (hi - lo > tol_mw))
        if rows.size == 0:
            return Crossings(lo, hi, x_lo, x_hi, solved, flows)
        look(rows, 0.5 * (lo[rows] + hi[rows]))
