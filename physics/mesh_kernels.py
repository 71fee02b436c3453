"""Power flow with loops: sweeps with breakpoint compensation, finished by Newton's steps.

One row at a time, on the tree of tree.py and the cuts of meshed.py. A few sweeps, each followed by the
compensation of the loop currents, bring a row close; Newton's steps on voltages and loop currents together
(mesh_newton.py) finish it.

The Jacobian's determinant is the product of the tree's pivots and the determinant of the dense system of the
loops. It is positive without load and vanishes at the nose, so a solution where it is negative is not on the
operable branch and is not reported as converged.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .kernels import COLLAPSED, CONVERGED, DIVERGED
from .mesh_newton import cut_voltage, gather, kirchhoff, newton_step
from .power_sweeps import V_FLOOR_PU

WARM_SHARE = 0.999  # as the sweep: a start on the lower branch is left
SWEEPS = 8
SWEPT_PU = 1e-3  # sweeps stop here: Newton's steps gain more
NEWTON_STEPS = 40
STEP_LIMIT_PU = 0.3


@inline
def _compensate(loops, v, loop_current, gap):  # type: ignore[no-untyped-def]
    for i in range(gap.size):
        gap[i] = cut_voltage(loops, i, v, loop_current)
    for i in range(gap.size):
        for j in range(gap.size):
            loop_current[i] += loops.inverse[i, j] * gap[j]


@inline
def _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power):  # type: ignore[no-untyped-def]
    """One row of (batch, bus) arrays by position, per unit."""
    for k in range(power.size):
        power[k] = scale * complex(p_mw[row, tree.order[k]], q_mvar[row, tree.order[k]])
    for j in range(zip_power.size):
        node = tree.order[tree.zip_pos[j]]
        zip_power[j] = scale * complex(p_zip_mw[row, node], q_zip_mvar[row, node])


@inline
def _no_load(tree, v_source, row, v):  # type: ignore[no-untyped-def]
    """Sources at their set voltage, the rest as without any current."""
    source = 0
    for k in range(v.size):
        up = tree.parent[k]
        if up < 0:
            v[k] = v_source[row, source]
            source += 1
        else:
            v[k] = complex(tree.a_re[k], tree.a_im[k]) * v[up]


@inline
def _least_voltage(v):  # type: ignore[no-untyped-def]
    least = np.inf
    for k in range(v.size):
        least = min(least, abs(v[k]))
    return least


@inline
def _sweeps(tree, loops, zip_at, power, zip_power, v, loop_current, current, slope, gap, limit):  # type: ignore[no-untyped-def]
    """Compensated sweeps until they are close or stop gaining. Returns (sweeps, gained, least |V| seen)."""
    last, least = np.inf, np.inf
    for sweep in range(1, limit + 1):
        gather(tree, loops, zip_at, power, zip_power, v, loop_current, current, slope)
        update = 0.0
        for k in range(v.size):
            up = tree.parent[k]
            if up < 0:
                continue
            a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
            now = a * v[up] - z * current[k]
            update = max(update, abs(now - v[k]))
            v[k] = now
        _compensate(loops, v, loop_current, gap)
        least = min(least, _least_voltage(v))
        # The first loop currents come after the first sweep, so the second may move more than the first.
        if not update < last and sweep > 2:
            return sweep, False, least
        if update < SWEPT_PU and sweep > 1:
            return sweep, True, least
        last = update
    return limit, True, least


@inline
def _apply_step(v, loop_current, column, x):  # type: ignore[no-untyped-def]
    """Move by Newton's step, shortened where it is too long. Returns (length of the step, whether it was)."""
    length = 0.0
    for k in range(v.size):
        size = abs(column[k, 0])
        if not size < np.inf:
            return np.inf, True
        length = max(length, size)
    share = min(1.0, STEP_LIMIT_PU / max(length, 1e-300))
    for k in range(v.size):
        v[k] += share * column[k, 0]
    for i in range(loop_current.size):
        loop_current[i] += share * complex(x[2 * i], x[2 * i + 1])
    return length, share < 1.0


@kernel
def mesh_rows(  # type: ignore[no-untyped-def]
    tree, loops, lo, hi, p_mw, q_mvar, p_zip_mw, q_zip_mvar, v_source, v_start, scale, tol, max_iter,
    v_collapse, v, current, i_source, status, iterations, residual,
):  # fmt: skip
    """Solve rows [lo, hi) of a batch.

    ``p_mw, q_mvar`` (batch, bus): constant power less injections; ``p_zip_mw, q_zip_mvar`` (batch, bus):
    power at 1 pu of loads that depend on voltage. ``v_source`` (batch, source) complex, in the order of the
    tree's roots; ``v_start`` (batch or 0, bus) complex; ``scale`` 1 / base MVA. Written: ``v`` (batch, bus),
    series currents ``current`` (batch, branch) and ``i_source`` (batch, source), pu; (batch,) ``status``,
    ``iterations`` and ``residual``, the length of Newton's last step in pu.
    """
    m, n_loop = tree.parent.size, loops.start.size
    zip_at = np.full(m, -1, dtype=np.int64)
    zip_at[tree.zip_pos] = np.arange(tree.zip_pos.size)
    power, zip_power = np.empty(m, dtype=np.complex128), np.empty(tree.zip_pos.size, dtype=np.complex128)
    volt, flow = np.empty(m, dtype=np.complex128), np.empty(m, dtype=np.complex128)
    loop_current, gap = np.empty(n_loop, dtype=np.complex128), np.empty(n_loop, dtype=np.complex128)
    slope, inverse = np.empty((m, 2), dtype=np.complex128), np.empty((m, 2), dtype=np.complex128)
    column = np.empty((m, 1 + 2 * n_loop), dtype=np.complex128)
    matrix, x = np.empty((2 * n_loop, 2 * n_loop)), np.empty(2 * n_loop)
    for row in range(lo, hi):
        _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power)
        steps, settled, sunk, length = 0, False, False, np.inf
        for attempt in range(2):
            if attempt == 1 and v_start.shape[0] == 0:
                break  # it began at no load already
            _no_load(tree, v_source, row, volt)
            loop_current[:] = 0.0
            if attempt == 0 and v_start.shape[0] > 0:
                for k in range(m):
                    if tree.parent[k] >= 0:
                        volt[k] += WARM_SHARE * (v_start[row, tree.order[k]] - volt[k])
            _compensate(loops, volt, loop_current, gap)
            limit = min(SWEEPS, max_iter - steps)
            done, gained, least = _sweeps(
                tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope, gap, limit
            )
            steps += done
            sunk |= least < v_collapse
            if not gained:
                _no_load(tree, v_source, row, volt)
                loop_current[:] = 0.0
                _compensate(loops, volt, loop_current, gap)
            close = False
            for _ in range(NEWTON_STEPS):
                largest = gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
                if close:
                    settled = kirchhoff(tree, loops, volt, loop_current, flow) < tol
                    if settled:
                        break
                if steps >= max_iter:
                    break
                sign = newton_step(tree, loops, volt, loop_current, flow, slope, inverse, column, matrix, x)
                length, shortened = _apply_step(volt, loop_current, column, x)
                steps += 1
                if length == np.inf:
                    break
                least = _least_voltage(volt)
                sunk |= least < v_collapse
                close = (
                    sign > 0.0 and not shortened and length < tol
                    and length * largest < 10.0 * tol and least > V_FLOOR_PU
                )  # fmt: skip
            if settled:
                break
        gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
        flags = CONVERGED if settled else DIVERGED
        if _least_voltage(volt) < v_collapse or (sunk and not settled):
            flags |= COLLAPSED
        status[row], iterations[row], residual[row] = flags, steps, length
        _write_row(tree, loops, row, volt, flow, loop_current, v, current, i_source)


@inline
def _write_row(tree, loops, row, volt, flow, loop_current, v, current, i_source):  # type: ignore[no-untyped-def]
    """Voltages and branch currents into the caller's arrays, in feeder order."""
    source = 0
    for k in range(volt.size):
        v[row, tree.order[k]] = volt[k]
        if tree.parent[k] < 0:
            i_source[row, source] = flow[k]
            source += 1
        else:
            current[row, tree.branch[k]] = flow[k]
    for i in range(loop_current.size):
        current[row, loops.branch[i]] = loop_current[i]


@kernel
def judge_rows(  # type: ignore[no-untyped-def]
    tree, loops, lo, hi, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, v, current, length, sign
):
    """How far Newton's next step would go from a solution found elsewhere, and the determinant's sign there.

    ``v`` (batch, bus), ``current`` (batch, branch; only those of the loop branches are read), written:
    ``length`` (batch,) pu, ``sign`` (batch,) above 0 on the operable branch.
    """
    m, n_loop = tree.parent.size, loops.start.size
    zip_at = np.full(m, -1, dtype=np.int64)
    zip_at[tree.zip_pos] = np.arange(tree.zip_pos.size)
    power, zip_power = np.empty(m, dtype=np.complex128), np.empty(tree.zip_pos.size, dtype=np.complex128)
    volt, flow = np.empty(m, dtype=np.complex128), np.empty(m, dtype=np.complex128)
    loop_current = np.empty(n_loop, dtype=np.complex128)
    slope, inverse = np.empty((m, 2), dtype=np.complex128), np.empty((m, 2), dtype=np.complex128)
    column = np.empty((m, 1 + 2 * n_loop), dtype=np.complex128)
    matrix, x = np.empty((2 * n_loop, 2 * n_loop)), np.empty(2 * n_loop)
    for row in range(lo, hi):
        _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power)
        for k in range(m):
            volt[k] = v[row, tree.order[k]]
        for i in range(n_loop):
            loop_current[i] = current[row, loops.branch[i]]
        gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
        sign[row] = newton_step(tree, loops, volt, loop_current, flow, slope, inverse, column, matrix, x)
        length[row] = 0.0
        for k in range(m):
            length[row] = max(length[row], abs(column[k, 0]))
