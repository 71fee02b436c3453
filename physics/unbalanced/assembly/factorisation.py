"""Where the factors of a sparse system have entries: pivots chosen once, for every row of a batch.

SuperLU picks pivots that are large and cause little fill, at nominal values. Other taps, banks and loads keep
the order: the pivots it prefers are the ones and ratios of Kirchhoff's laws, which do not depend on them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Factor:
    """Pattern of L and U together, row by row in the order of pivots."""

    pivot: IntArray  # (2, n) place of every equation and of every unknown
    start: IntArray  # (n + 1,) first entry of each row
    column: IntArray  # (entries,) place of the unknown, rising within a row
    diagonal: IntArray  # (n,) entry of each row's pivot
    rows: list[list[int]]  # the columns again, as lists

    def place(self, equation: int, unknown: int) -> int:
        """Entry of the factors that a coefficient goes to."""
        row, column = int(self.pivot[0, equation]), int(self.pivot[1, unknown])
        return int(self.start[row]) + bisect_left(self.rows[row], column)


def factor_pattern(n: int, at: IntArray, value: NDArray[np.complex128]) -> Factor:
    """Order and pattern for coefficients ``value`` at (equation, unknown) ``at``; doubled ones add up.

    Raises:
        ValueError: the system is singular at these values.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    matrix = coo_matrix((value, (at[:, 0], at[:, 1])), shape=(n, n)).tocsc()
    try:
        lu = splu(matrix, permc_spec="COLAMD", diag_pivot_thresh=0.5)
    except RuntimeError:
        raise ValueError("its equations do not fix every voltage and current") from None
    pivot = np.stack([lu.perm_r, lu.perm_c]).astype(np.int64)
    rows: list[set[int]] = [{k} for k in range(n)]
    for row, column in zip(pivot[0, at[:, 0]].tolist(), pivot[1, at[:, 1]].tolist(), strict=True):
        rows[row].add(column)
    filled = _fill(rows)
    start = np.concatenate([[0], np.cumsum([len(row) for row in filled])]).astype(np.int64)
    diagonal = np.array([start[k] + bisect_left(row, k) for k, row in enumerate(filled)], dtype=np.int64)
    column_of = np.array([c for row in filled for c in row], dtype=np.int64)
    return Factor(pivot, start, column_of, diagonal, filled)


def _fill(rows: list[set[int]]) -> list[list[int]]:
    """Entries that elimination brings, row by row."""
    upper: list[list[int]] = []
    filled = []
    for k, pattern in enumerate(rows):
        waiting = [j for j in pattern if j < k]
        heapify(waiting)
        while waiting:
            for m in upper[heappop(waiting)]:
                if m not in pattern:
                    pattern.add(m)
                    if m < k:
                        heappush(waiting, m)
        row = sorted(pattern)
        filled.append(row)
        upper.append(row[bisect_left(row, k) + 1 :])
    return filled
