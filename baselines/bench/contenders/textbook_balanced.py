"""The bar for batches: the sweep of the textbooks in forty lines of Numba, 16 rows side by side.

Nothing of distgrid's is in it: no honest flags, no shunts, taps or voltage-dependent loads, no branch
currents handed out, the fast-math that distgrid denies itself. A block is done when its worst row is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ..problems.balanced import BalancedProblem, ComplexArray, FloatArray
from ..problems.phases import PhaseProblem
from .contender import Contender

NAME = "textbook"
_LANES = 16


def _sweep(order, parent, r, x, p_all, q_all, v_source, scale, tol, max_iter, v_out):  # type: ignore[no-untyped-def]
    m, batch, most = order.size, p_all.shape[0], 0
    v_re, v_im = np.empty((m, _LANES)), np.empty((m, _LANES))
    i_re, i_im = np.empty((m, _LANES)), np.empty((m, _LANES))
    p, q, worst = np.empty((m, _LANES)), np.empty((m, _LANES)), np.empty(_LANES)
    for first in range(0, batch, _LANES):
        for k in range(m):
            for j in range(_LANES):
                row = min(first + j, batch - 1)
                p[k, j], q[k, j] = scale * p_all[row, order[k]], scale * q_all[row, order[k]]
                v_re[k, j], v_im[k, j] = v_source, 0.0
        for sweep in range(max_iter):  # noqa: B007 - read after the loop
            for k in range(m):
                for j in range(_LANES):
                    w = 1.0 / (v_re[k, j] * v_re[k, j] + v_im[k, j] * v_im[k, j])
                    i_re[k, j] = (p[k, j] * v_re[k, j] + q[k, j] * v_im[k, j]) * w
                    i_im[k, j] = (p[k, j] * v_im[k, j] - q[k, j] * v_re[k, j]) * w
            for k in range(m - 1, 0, -1):
                up = parent[k]
                for j in range(_LANES):
                    i_re[up, j] += i_re[k, j]
                    i_im[up, j] += i_im[k, j]
            worst[:] = 0.0
            for k in range(1, m):
                up = parent[k]
                for j in range(_LANES):
                    a = v_re[up, j] - (r[k] * i_re[k, j] - x[k] * i_im[k, j])
                    b = v_im[up, j] - (r[k] * i_im[k, j] + x[k] * i_re[k, j])
                    da, db = a - v_re[k, j], b - v_im[k, j]
                    worst[j] = max(worst[j], da * da + db * db)
                    v_re[k, j], v_im[k, j] = a, b
            if worst.max() < tol * tol:
                break
        most = max(most, sweep + 1)
        for k in range(m):
            for j in range(min(_LANES, batch - first)):
                v_out[first + j, order[k]] = complex(v_re[k, j], v_im[k, j])
    return most


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return numba.njit(fastmath=True, nogil=True, error_model="numpy")(_sweep)


def tree_order(
    problem: BalancedProblem | PhaseProblem,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Node at each position, source first; position of its parent; branch that feeds it (0 at the source)."""
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(problem.n_bus)]
    ends = zip(problem.from_row.tolist(), problem.to_row.tolist(), strict=True)
    for branch, (a, b) in enumerate(ends):
        neighbours[a].append((b, branch))
        neighbours[b].append((a, branch))
    order, parent, feeding = [], [], []
    stack = [(problem.source, 0, 0)]
    seen = np.zeros(problem.n_bus, dtype=bool)
    while stack:
        node, up, branch = stack.pop()
        seen[node] = True
        order.append(node)
        parent.append(up)
        feeding.append(branch)
        here = len(order) - 1
        stack += [(other, here, via) for other, via in neighbours[node] if not seen[other]]
    return np.array(order), np.array(parent), np.array(feeding)


def textbook(problem: BalancedProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Contender:
    """The sweep on (rows, n) loads, into an array that is allocated once."""
    order, parent, branch = tree_order(problem)
    r, x = problem.r_pu[branch], problem.x_pu[branch]
    v = np.empty(p_mw.shape, dtype=np.complex128)
    sweep = _compiled()
    scale = 1.0 / problem.base_mva

    def call(tolerance: float) -> tuple[ComplexArray, int]:
        most = sweep(order, parent, r, x, p_mw, q_mvar, problem.v_source_pu, scale, tolerance, 200, v)
        return v, most

    return Contender(
        NAME, "distgrid", "40 lines of Numba, fastmath, 16 lanes", call,
        lambda result: result[0].copy(), lambda result: float(result[1]),
    )  # fmt: skip
