"""Power flow with loops and held voltages: breakpoint compensation, and Newton's steps from no load.

One row at a time, on the tree of tree.py and the cuts of meshed.py. A few sweeps, each followed by the
compensation of the loop currents, bring an ordinary row close; Newton's steps on voltages and loop currents
together (mesh_newton.py) finish it.

Where the sweeps do not contract, or generators hold voltages, the row climbs: from no load, where nothing but
the one solution is, to all of its load, in strides that keep Newton's method on the branch of solutions. That
is the operable branch, by definition; where it ends before all of the load is there, the row has diverged.
The Jacobian's determinant is the product of the tree's pivots and the determinant of the dense system of
loops and held voltages: along the branch it keeps its sign, and it vanishes at the nose. Alone it would not
do: where two eigenvalues have changed sign it is positive again, on a solution that no operator reaches.

A generator beyond a reactive limit stops holding and gives what the limit allows; it holds again where it
would otherwise push the voltage beyond what it is set to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._jit import inline, kernel
from .held import NO_HELD
from .kernels import COLLAPSED, CONVERGED, DIVERGED
from .mesh_newton import cut_voltage, gather, held_step, kirchhoff, newton_step
from .meshed import NO_LOOPS
from .power_sweeps import V_FLOOR_PU

if TYPE_CHECKING:
    from .network import Topology

WARM_SHARE = 0.999  # as the sweep: a start on the lower branch is left
SWEEPS = 8
SWEPT_PU = 1e-3  # sweeps stop here: Newton's steps gain more
STEP_LIMIT_PU = 0.3
LEAP_PU = 0.2  # a longer first step of Newton's method may leave the branch of solutions
LEAST_STRIDE = 1e-6  # of the load: what a climb cannot take in such strides is beyond the nose


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


@inline
def _demand(held, share, power, zip_power, q, now, zip_now):  # type: ignore[no-untyped-def]
    """``share`` of the loads, less what the held nodes' generators give."""
    for k in range(power.size):
        now[k] = share * power[k]
    for j in range(zip_power.size):
        zip_now[j] = share * zip_power[j]
    for g in range(held.at.size):
        now[held.at[g]] -= 1j * q[g]


@inline
def _copy(source, target):  # type: ignore[no-untyped-def]
    """Voltages, loop currents and held nodes' reactive power."""
    for k in range(source[0].size):
        target[0][k] = source[0][k]
    for i in range(source[1].size):
        target[1][i] = source[1][i]
    for g in range(source[2].size):
        target[2][g] = source[2][g]


@inline
def _correct(  # type: ignore[no-untyped-def]
    tree, loops, held, zip_at, share, power, zip_power, tol, strict, limit, steps, wanted, point, mode, room
):
    """Newton's method at ``share`` of the loads. Returns (arrived, steps, sign, last length, least |V|).

    ``strict``: only where every step stays on the branch of solutions on which it begins: the first one is
    short, each is less than half of the one before, and the determinant keeps the sign ``wanted``.
    """
    volt, loop_current, q = point
    flow, slope, inverse, column, matrix, x, now, zip_now = room
    first = 2 * loops.start.size
    last, length, sign, close, least = np.inf, np.inf, wanted, False, np.inf
    for turn in range(limit + 1):
        _demand(held, share, power, zip_power, q, now, zip_now)
        largest = gather(tree, loops, zip_at, now, zip_now, volt, loop_current, flow, slope)
        if close:
            worst = kirchhoff(tree, loops, volt, loop_current, flow)
            for g in range(held.at.size):
                if mode[g] == 0:
                    worst = max(worst, abs(abs(volt[held.at[g]]) - held.v[g]))
            if worst < tol:
                return True, steps, sign, length, least
        if turn == limit:
            break
        sign = held_step(tree, loops, held, mode, volt, loop_current, flow, slope, inverse, column, matrix, x)
        if strict and not sign * wanted > 0.0:
            break
        length, shortened = _apply_step(volt, loop_current, column, x)
        steps += 1
        if not length < np.inf:
            break
        if strict and length > min(LEAP_PU, 0.5 * last) and length > tol:  # below tol rounding rules
            break
        for g in range(held.at.size):
            q[g] += x[first + g] * (min(1.0, STEP_LIMIT_PU / max(length, 1e-300)) if shortened else 1.0)
        last = length
        least = min(least, _least_voltage(volt))
        close = (
            not shortened and length < tol and length * largest < 10.0 * tol
            and _least_voltage(volt) > V_FLOOR_PU
        )  # fmt: skip
    return False, steps, sign, length, least


@inline
def _climb(  # type: ignore[no-untyped-def]
    tree, loops, held, zip_at, v_source, row, power, zip_power, tol, max_iter, steps, point, mode, gap, kept,
    limit_q, room,
):  # fmt: skip
    """From no load up to all of it, along the branch of solutions that begins there.

    Returns (arrived, steps, last length, least |V| seen). Without load the currents are linear in the
    voltages, so there is one solution, but for held voltages.
    """
    volt, loop_current, q = point
    _no_load(tree, v_source, row, volt)
    loop_current[:] = 0.0
    _compensate(loops, volt, loop_current, gap)
    for g in range(held.at.size):
        limit_q[g] = held.q_max[g] if mode[g] > 0 else held.q_min[g]
        q[g] = 0.0
    arrived, steps, wanted, length, least = _correct(
        tree, loops, held, zip_at, 0.0, power, zip_power, tol, False, min(20, max_iter - steps), steps, 1.0,
        point, mode, room,
    )  # fmt: skip
    if not arrived:
        return False, steps, length, least
    share, stride, sunk = 0.0, 1.0, least
    while share < 1.0:
        _copy(point, kept)
        goal = min(1.0, share + stride)
        for g in range(held.at.size):
            if mode[g] != 0:
                q[g] = goal * limit_q[g]
        arrived, steps, _, length, least = _correct(
            tree, loops, held, zip_at, goal, power, zip_power, tol, True, min(12, max_iter - steps), steps,
            wanted, point, mode, room,
        )  # fmt: skip
        if arrived:
            share, stride, sunk = goal, 1.5 * stride, min(sunk, least)
            continue
        stride *= 0.5
        if stride < LEAST_STRIDE or steps >= max_iter:
            return False, steps, length, min(sunk, least)
        _copy(kept, point)
    return True, steps, length, sunk


@inline
def _relieve(held, volt, q, mode, released, tol):  # type: ignore[no-untyped-def]
    """Generators beyond a limit stop at it, and those that need not hold again; whether any changed."""
    changed = False
    for g in range(held.at.size):
        size = abs(volt[held.at[g]])
        if mode[g] == 0:
            room = 1e-9 * max(1.0, abs(q[g]))
            if q[g] > held.q_max[g] + room:
                mode[g], changed = 1, True
            elif q[g] < held.q_min[g] - room:
                mode[g], changed = -1, True
        elif released[g] < 3 and (size - held.v[g]) * mode[g] > 10.0 * tol:
            mode[g], changed = 0, True
            released[g] += 1
    return changed


@kernel
def mesh_rows(  # type: ignore[no-untyped-def]
    tree, loops, held, lo, hi, p_mw, q_mvar, p_zip_mw, q_zip_mvar, v_source, v_start, scale, tol, max_iter,
    v_collapse, v, current, i_source, status, iterations, residual, q_held_mvar,
):  # fmt: skip
    """Solve rows [lo, hi) of a batch; arguments as :func:`distgrid.physics.kernels.sweep_rows`.

    ``q_held_mvar`` (batch, held): what the generators at held nodes inject.
    """
    m, n_loop, n_held = tree.parent.size, loops.start.size, held.at.size
    zip_at = np.full(m, -1, dtype=np.int64)
    zip_at[tree.zip_pos] = np.arange(tree.zip_pos.size)
    power, zip_power = np.empty(m, dtype=np.complex128), np.empty(tree.zip_pos.size, dtype=np.complex128)
    now, zip_now = np.empty_like(power), np.empty_like(zip_power)
    volt, flow = np.empty(m, dtype=np.complex128), np.empty(m, dtype=np.complex128)
    loop_current, gap = np.empty(n_loop, dtype=np.complex128), np.empty(n_loop, dtype=np.complex128)
    slope, inverse = np.empty((m, 2), dtype=np.complex128), np.empty((m, 2), dtype=np.complex128)
    size = 2 * n_loop + n_held
    column = np.empty((m, 1 + size), dtype=np.complex128)
    matrix, x = np.empty((size, size)), np.empty(size)
    q, mode, released = np.zeros(n_held), np.zeros(n_held, np.int64), np.zeros(n_held, np.int64)
    kept, limit_q = (np.empty_like(volt), np.empty_like(loop_current), np.empty_like(q)), np.empty_like(q)
    point = (volt, loop_current, q)
    room = (flow, slope, inverse, column, matrix, x, now, zip_now)
    for row in range(lo, hi):
        _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power)
        steps, settled, sunk, length = 0, False, False, np.inf
        mode[:], released[:], q[:] = 0, 0, 0.0
        for attempt in range(2 if n_held == 0 else 0):
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
            if not gained:
                continue
            settled, steps, _, length, least = _correct(
                tree, loops, held, zip_at, 1.0, power, zip_power, tol, True, max_iter - steps, steps, 1.0,
                point, mode, room,
            )  # fmt: skip
            if settled:
                break
        if not settled and steps < max_iter:
            settled, steps, length, least = _climb(
                tree, loops, held, zip_at, v_source, row, power, zip_power, tol, max_iter, steps, point,
                mode, gap, kept, limit_q, room,
            )  # fmt: skip
            sunk |= least < v_collapse
        for _ in range(8 * n_held):
            if not settled or not _relieve(held, volt, q, mode, released, tol):
                break
            for g in range(n_held):
                if mode[g] != 0:
                    q[g] = held.q_max[g] if mode[g] > 0 else held.q_min[g]
            settled, steps, _, length, least = _correct(
                tree, loops, held, zip_at, 1.0, power, zip_power, tol, True, min(12, max_iter - steps),
                steps, 1.0, point, mode, room,
            )  # fmt: skip
            if not settled:
                settled, steps, length, least = _climb(
                    tree, loops, held, zip_at, v_source, row, power, zip_power, tol, max_iter, steps, point,
                    mode, gap, kept, limit_q, room,
                )  # fmt: skip
        if settled and n_held > 0 and _relieve(held, volt, q, mode, released, tol):
            settled = False  # limits and voltages do not come to rest
        _demand(held, 1.0, power, zip_power, q, now, zip_now)
        gather(tree, loops, zip_at, now, zip_now, volt, loop_current, flow, slope)
        flags = CONVERGED if settled else DIVERGED
        if _least_voltage(volt) < v_collapse or (sunk and not settled):
            flags |= COLLAPSED
        status[row], iterations[row], residual[row] = flags, steps, length
        for g in range(n_held):
            q_held_mvar[row, held.row[g]] = q[g] / scale
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


def solve_rows(
    topology: Topology, inputs: tuple[NDArray[Any], ...], numbers: tuple[float, float, int, float],
    out: tuple[NDArray[Any], ...],
) -> None:  # fmt: skip
    """All rows of a batch on one topology.

    ``inputs``: load P and Q, constant P and Q, source voltages in sweep order, start; ``out``: voltages,
    branch currents, source currents, status, iterations, last step, reactive power of held nodes.
    """
    load_p, load_q, const_p, const_q, v_source, v_start = inputs
    given = (const_p, const_q, load_p, load_q, v_source, v_start)
    # Read-only arrays are another type to Numba: one compilation serves single rows and batches.
    arguments = tuple(a if a.flags.writeable else a.copy() for a in given)
    loops = NO_LOOPS if topology.loops is None else topology.loops
    held = NO_HELD if topology.held is None else topology.held
    rows: Callable[..., None] = mesh_rows
    rows(topology.tree, loops, held, 0, out[0].shape[0], *arguments, *numbers, *out)


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
