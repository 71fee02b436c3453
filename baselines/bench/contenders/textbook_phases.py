"""The three-phase bar: the textbook's sweep with 3x3 matrices in fifty lines of Numba.

As in `textbook`, nothing of distgrid's is in it: no flags, transformers, regulators, delta or
voltage-dependent loads, no currents handed out, phases that do not exist are computed like the others, and
fast-math. It knows line charging and capacitors, without which it would not find the same voltages.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np

from ..problems.balanced import ComplexArray, FloatArray
from ..problems.phases import PhaseProblem
from .contender import Contender, walking
from .textbook_balanced import tree_order

NAME = "textbook, three-phase"
_LANES = 16


@lru_cache(maxsize=2)
def _compiled(lanes: int) -> Any:
    def sweep(order, parent, z_re, z_im, b, p_all, q_all, source, scale, tol, max_iter, v_out):  # type: ignore[no-untyped-def]
        m, batch, most = order.size, p_all.shape[0], 0
        v_re, v_im = np.empty((m, 3, lanes)), np.empty((m, 3, lanes))
        i_re, i_im = np.empty((m, 3, lanes)), np.empty((m, 3, lanes))
        p, q, worst = np.empty((m, 3, lanes)), np.empty((m, 3, lanes)), np.empty(lanes)
        for first in range(0, batch, lanes):
            for k in range(m):
                for a in range(3):
                    for j in range(lanes):
                        row = min(first + j, batch - 1)
                        p[k, a, j] = scale * p_all[row, order[k], a]
                        q[k, a, j] = scale * q_all[row, order[k], a]
                        v_re[k, a, j], v_im[k, a, j] = source[a].real, source[a].imag
            for count in range(max_iter):  # noqa: B007 - read after the loop
                for k in range(m):
                    for a in range(3):
                        b0, b1, b2 = b[k, a, 0], b[k, a, 1], b[k, a, 2]
                        for j in range(lanes):
                            x, y = v_re[k, a, j], v_im[k, a, j]
                            w = 1.0 / (x * x + y * y)
                            c = b0 * v_im[k, 0, j] + b1 * v_im[k, 1, j] + b2 * v_im[k, 2, j]
                            d = b0 * v_re[k, 0, j] + b1 * v_re[k, 1, j] + b2 * v_re[k, 2, j]
                            i_re[k, a, j] = (p[k, a, j] * x + q[k, a, j] * y) * w - c
                            i_im[k, a, j] = (p[k, a, j] * y - q[k, a, j] * x) * w + d
                for k in range(m - 1, 0, -1):
                    for a in range(3):
                        for j in range(lanes):
                            i_re[parent[k], a, j] += i_re[k, a, j]
                            i_im[parent[k], a, j] += i_im[k, a, j]
                worst[:] = 0.0
                for k in range(1, m):
                    for a in range(3):
                        r0, r1, r2 = z_re[k, a, 0], z_re[k, a, 1], z_re[k, a, 2]
                        x0, x1, x2 = z_im[k, a, 0], z_im[k, a, 1], z_im[k, a, 2]
                        for j in range(lanes):
                            e0, e1, e2 = i_re[k, 0, j], i_re[k, 1, j], i_re[k, 2, j]
                            f0, f1, f2 = i_im[k, 0, j], i_im[k, 1, j], i_im[k, 2, j]
                            c = r0 * e0 + r1 * e1 + r2 * e2 - x0 * f0 - x1 * f1 - x2 * f2
                            d = r0 * f0 + r1 * f1 + r2 * f2 + x0 * e0 + x1 * e1 + x2 * e2
                            x, y = v_re[parent[k], a, j] - c, v_im[parent[k], a, j] - d
                            dx, dy = x - v_re[k, a, j], y - v_im[k, a, j]
                            worst[j] = max(worst[j], dx * dx + dy * dy)
                            v_re[k, a, j], v_im[k, a, j] = x, y
                if worst.max() < tol * tol:
                    break
            most = max(most, count + 1)
            for k in range(m):
                for a in range(3):
                    for j in range(min(lanes, batch - first)):
                        v_out[first + j, order[k], a] = complex(v_re[k, a, j], v_im[k, a, j])
        return most

    return numba.njit(fastmath=True, nogil=True, error_model="numpy")(sweep)


def _sweep_of(problem: PhaseProblem, lanes: int) -> Any:
    """``sweep(p_mw, q_mvar, tolerance, v)`` of the problem."""
    order, parent, branch = tree_order(problem)
    z = problem.z_ohm[branch] / problem.ohm_per_pu
    tables = (order, parent, np.ascontiguousarray(z.real), np.ascontiguousarray(z.imag),
              problem.node_b_us[order] * 1e-6 * problem.ohm_per_pu)  # fmt: skip
    sweep, source, scale = _compiled(lanes), problem.source_phasor, 3.0 / problem.base_mva

    def solve(p_mw: FloatArray, q_mvar: FloatArray, tolerance: float, v: ComplexArray) -> int:
        return int(sweep(*tables, p_mw, q_mvar, source, scale, tolerance, 200, v))

    return solve


def single(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Contender:
    """One row a call, of loads (steps, n, 3)."""
    solve, v = _sweep_of(problem, 1), np.empty((1, problem.n_bus, 3), dtype=np.complex128)
    rows = [(p[None], q[None]) for p, q in zip(p_mw, q_mvar, strict=True)]
    return walking(
        NAME, "distgrid", "50 lines of Numba, fastmath", len(rows),
        lambda step, tol: solve(*rows[step], tol, v), lambda _: v[0, problem.present], iterations=float,
    )  # fmt: skip


def batch(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> Contender:
    """All rows of loads (rows, n, 3), several beside each other."""
    solve, v = _sweep_of(problem, _LANES), np.empty(p_mw.shape, dtype=np.complex128)
    return Contender(
        NAME, "distgrid", f"50 lines of Numba, fastmath, {_LANES} lanes",
        lambda tol: solve(p_mw, q_mvar, tol, v), lambda _: v[:, problem.present], float,
    )  # fmt: skip
