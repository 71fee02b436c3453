"""Power flow with loops: sweeps with breakpoint compensation, finished by Newton's steps.

One row at a time, in complex numbers, on the tree of physics/tree.py and the cuts of physics/meshed.py. A few
sweeps, each followed by the compensation of the loop currents, bring a row close; Newton's steps on voltages
and loop currents together finish it. A step eliminates the tree from the leaves (as physics/newton_tree.py
does) with two more right-hand sides per loop, for the real and the imaginary part of its current; what is
left is a small dense system that closes the cuts.

A node's current is a function of V and its conjugate, so every derivative is a pair (A, B) that stands for
``A dV + B conj(dV)``.

The Jacobian's determinant is the product of the tree's pivots and the determinant of that small system. It is
positive without load and vanishes at the nose, so a solution where it is negative is not on the operable
branch and is not reported as converged.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .kernels import COLLAPSED, CONVERGED, DIVERGED

V_FLOOR_PU = 0.05  # keeps numbers finite; a row that touches it is never reported as converged
WARM_SHARE = 0.999  # as the sweep: a start on the lower branch is left
SWEEPS = 8
SWEPT_PU = 1e-3  # sweeps stop here: Newton's steps gain more
NEWTON_STEPS = 40
STEP_LIMIT_PU = 0.3


@inline
def _node_current(tree, zip_at, power, zip_power, k, v):  # type: ignore[no-untyped-def]
    """Current drawn at position k at voltage v, and its derivative (A, B)."""
    size = max(abs(v), V_FLOOR_PU)
    s = power[k]
    slope = 0j  # dS / d|V|
    j = zip_at[k]
    if j >= 0:
        c = tree.zip_coef[j]
        p, q = zip_power[j].real, zip_power[j].imag
        if np.isnan(c[4]):
            s += p * (c[0] * size * size + c[1] * size + 1.0 - c[0] - c[1])
            slope += p * (2.0 * c[0] * size + c[1])
        else:
            s += p * size ** c[4]
            slope += p * c[4] * size ** (c[4] - 1.0)
        if np.isnan(c[5]):
            s += 1j * q * (c[2] * size * size + c[3] * size + 1.0 - c[2] - c[3])
            slope += 1j * q * (2.0 * c[2] * size + c[3])
        else:
            s += 1j * q * size ** c[5]
            slope += 1j * q * c[5] * size ** (c[5] - 1.0)
    y = complex(tree.y_re[k], tree.y_im[k])
    per_v = np.conj(s) / (size * size)
    turn = v / size
    current = per_v * v + y * v
    bend = np.conj(slope) / (2.0 * size)
    return current, y + bend, (bend - per_v) * turn * turn


@inline
def _gather(tree, loops, zip_at, power, zip_power, v, loop_current, current, slope):  # type: ignore[no-untyped-def]
    """Branch currents of exactly these voltages and loop currents; the largest |I| of a node."""
    largest = 0.0
    for k in range(v.size):
        current[k], slope[k, 0], slope[k, 1] = _node_current(tree, zip_at, power, zip_power, k, v[k])
        largest = max(largest, abs(current[k]))
    for i in range(loops.start.size):
        current[loops.start[i]] += np.conj(loops.a[i]) * loop_current[i]
        current[loops.end[i]] -= loop_current[i]
    for k in range(v.size - 1, -1, -1):
        up = tree.parent[k]
        if up >= 0:
            current[up] += complex(tree.a_re[k], -tree.a_im[k]) * current[k]
    return largest


@inline
def _cut_voltage(loops, i, v, loop_current):  # type: ignore[no-untyped-def]
    """What is left of the voltage across cut i."""
    return loops.a[i] * v[loops.start[i]] - loops.z[i] * loop_current[i] - v[loops.end[i]]


@inline
def _compensate(loops, v, loop_current, gap):  # type: ignore[no-untyped-def]
    for i in range(gap.size):
        gap[i] = _cut_voltage(loops, i, v, loop_current)
    for i in range(gap.size):
        for j in range(gap.size):
            loop_current[i] += loops.inverse[i, j] * gap[j]


@inline
def _kirchhoff(tree, loops, v, loop_current, current):  # type: ignore[no-untyped-def]
    """Largest voltage that is missing around a branch or a loop."""
    worst = 0.0
    for k in range(v.size):
        up = tree.parent[k]
        if up >= 0:
            a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
            worst = max(worst, abs(v[k] - a * v[up] + z * current[k]))
    for i in range(loops.start.size):
        worst = max(worst, abs(_cut_voltage(loops, i, v, loop_current)))
    return worst


@inline
def _eliminate(tree, loops, v, current, slope, inverse, column):  # type: ignore[no-untyped-def]
    """Tree part of Newton's step: ``column`` (position, 1 + 2 loops) becomes the answer of each voltage to

    the residual (column 0) and to 1 and 1j of each loop current. Returns the parity of negative pivots.
    """
    column[:, :] = 0.0
    for i in range(loops.start.size):
        for part in range(2):
            unit = 1j if part else 1.0 + 0j
            column[loops.start[i], 1 + 2 * i + part] += np.conj(loops.a[i]) * unit
            column[loops.end[i], 1 + 2 * i + part] -= unit
    sign = 1.0
    for k in range(v.size - 1, -1, -1):
        up = tree.parent[k]
        if up < 0:
            continue
        a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
        alpha, beta = slope[k, 0], slope[k, 1]
        p, q = 1.0 + z * alpha, z * beta
        pivot = p.real * p.real + p.imag * p.imag - q.real * q.real - q.imag * q.imag
        if pivot < 0.0:
            sign = -sign
        k_p, k_q = np.conj(p) / pivot, -q / pivot
        inverse[k, 0], inverse[k, 1] = k_p, k_q
        b_p, b_q = alpha * k_p + beta * np.conj(k_q), alpha * k_q + beta * np.conj(k_p)
        residual = v[k] - a * v[up] + z * current[k]
        for c in range(column.shape[1]):
            drawn = column[k, c]
            w = z * drawn
            if c == 0:
                w += residual
            column[k, c] = w
            column[up, c] += np.conj(a) * (drawn - b_p * w - b_q * np.conj(w))
        slope[up, 0] += (a.real * a.real + a.imag * a.imag) * b_p
        slope[up, 1] += np.conj(a) * np.conj(a) * b_q
    for k in range(v.size):
        up = tree.parent[k]
        for c in range(column.shape[1]):
            if up < 0:
                column[k, c] = 0.0
                continue
            d = complex(tree.a_re[k], tree.a_im[k]) * column[up, c] - column[k, c]
            column[k, c] = inverse[k, 0] * d + inverse[k, 1] * np.conj(d)
    return sign


@inline
def _solve_dense(matrix, x):  # type: ignore[no-untyped-def]
    """Gauss with row pivoting, in place: ``x`` becomes the solution. Returns the determinant's sign."""
    n = x.size
    sign = 1.0
    for i in range(n):
        best = i
        for r in range(i + 1, n):
            if abs(matrix[r, i]) > abs(matrix[best, i]):
                best = r
        if best != i:
            sign = -sign
            for c in range(i, n):
                matrix[i, c], matrix[best, c] = matrix[best, c], matrix[i, c]
            x[i], x[best] = x[best], x[i]
        if matrix[i, i] < 0.0:
            sign = -sign
        for r in range(i + 1, n):
            factor = matrix[r, i] / matrix[i, i]
            for c in range(i + 1, n):
                matrix[r, c] -= factor * matrix[i, c]
            x[r] -= factor * x[i]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            x[i] -= matrix[i, c] * x[c]
        x[i] /= matrix[i, i]
    return sign


@inline
def _newton_step(tree, loops, v, loop_current, current, slope, inverse, column, matrix, x):  # type: ignore[no-untyped-def]
    """Step of the voltages into ``column[:, 0]`` and of the loop currents into ``x``; the determinant's sign."""
    sign = _eliminate(tree, loops, v, current, slope, inverse, column)
    for i in range(loops.start.size):
        for c in range(column.shape[1]):
            d = loops.a[i] * column[loops.start[i], c] - column[loops.end[i], c]
            if c == 0:
                d += _cut_voltage(loops, i, v, loop_current)
                x[2 * i], x[2 * i + 1] = -d.real, -d.imag
                continue
            if c == 2 * i + 1:
                d -= loops.z[i]
            elif c == 2 * i + 2:
                d -= 1j * loops.z[i]
            matrix[2 * i, c - 1], matrix[2 * i + 1, c - 1] = d.real, d.imag
    sign *= _solve_dense(matrix, x)
    for k in range(v.size):
        for c in range(x.size):
            column[k, 0] += x[c] * column[k, 1 + c]
    return sign


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
        _gather(tree, loops, zip_at, power, zip_power, v, loop_current, current, slope)
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
    """Solve rows [lo, hi) of a batch; arguments as :func:`distgrid.physics.kernels.sweep_rows`."""
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
                largest = _gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
                if close:
                    settled = _kirchhoff(tree, loops, volt, loop_current, flow) < tol
                    if settled:
                        break
                if steps >= max_iter:
                    break
                sign = _newton_step(tree, loops, volt, loop_current, flow, slope, inverse, column, matrix, x)
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
        _gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
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
        _gather(tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope)
        sign[row] = _newton_step(tree, loops, volt, loop_current, flow, slope, inverse, column, matrix, x)
        length[row] = 0.0
        for k in range(m):
            length[row] = max(length[row], abs(column[k, 0]))
