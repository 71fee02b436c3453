"""Power flow with loops and held voltages: breakpoint compensation, and Newton's steps from no load.

One row at a time, on the tree of tree.py and the cuts of meshed.py. A few sweeps, each followed by the
compensation of the loop currents, bring an ordinary row close; Newton's steps on voltages and loop currents
together (mesh_newton.py) finish it.

Where the sweeps do not contract, or generators hold voltages, the row climbs from no load (mesh_climb.py):
what is reported as converged is the operable solution.

The Jacobian's determinant is the product of the tree's pivots and the determinant of the dense system of
loops and held voltages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...flags import COLLAPSED, CONVERGED, DIVERGED
from ...numba_tools.jit import inline, kernel
from ..held_voltages import NO_HELD
from ..loops import NO_LOOPS
from .load_continuation import (
    climb,
    compensate,
    correct,
    least_voltage,
    no_load,
    power_at_share,
    relieve,
    stand,
)
from .mesh_newton import gather, newton_step

if TYPE_CHECKING:
    from ..network import SweepTopology

WARM_SHARE = 0.999  # as the sweep: a start on the lower branch is left
SWEEPS = 8
SWEPT_PU = 1e-3  # sweeps stop here: Newton's steps gain more


@inline
def _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power):  # type: ignore[no-untyped-def]
    """One row of (batch, bus) arrays by position, per unit."""
    for k in range(power.size):
        power[k] = scale * complex(p_mw[row, tree.order[k]], q_mvar[row, tree.order[k]])
    for j in range(zip_power.size):
        node = tree.order[tree.zip_pos[j]]
        zip_power[j] = scale * complex(p_zip_mw[row, node], q_zip_mvar[row, node])


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
        compensate(loops, v, loop_current, gap)
        least = min(least, least_voltage(v))
        # The first loop currents come after the first sweep, so the second may move more than the first.
        if not update < last and sweep > 2:
            return sweep, False, least
        if update < SWEPT_PU and sweep > 1:
            return sweep, True, least
        last = update
    return limit, True, least


@kernel
def mesh_rows(  # type: ignore[no-untyped-def]
    tree, loops, held, lo, hi, p_mw, q_mvar, p_zip_mw, q_zip_mvar, v_source, v_start, scale, tol, max_iter,
    v_collapse, v, current, i_source, status, iterations, residual, q_held_mvar,
):  # fmt: skip
    """Solve rows [lo, hi) of a batch.

    ``p_mw, q_mvar`` (batch, bus): constant power less injections; ``p_zip_mw, q_zip_mvar`` (batch, bus):
    power at 1 pu of loads that depend on voltage. ``v_source`` (batch, source) complex, in the order of the
    tree's roots; ``v_start`` (batch or 0, bus) complex; ``scale`` 1 / base MVA. Written: ``v`` (batch, bus),
    series currents ``current`` (batch, branch) and ``i_source`` (batch, source), pu; (batch,) ``status``,
    ``iterations`` and ``residual``, the length of Newton's last step in pu; ``q_held_mvar`` (batch, held),
    what the generators at held nodes inject.
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
    aim, natural = held.v.copy(), np.empty(n_held)
    point = (volt, loop_current, q, aim, mode)
    kept = (volt.copy(), loop_current.copy(), q.copy(), aim.copy(), mode.copy())
    room = (flow, slope, inverse, column, matrix, x, now, zip_now)
    for row in range(lo, hi):
        _gather_row(tree, row, p_mw, q_mvar, p_zip_mw, q_zip_mvar, scale, power, zip_power)
        steps, settled, sunk, length = 0, False, False, np.inf
        mode[:], released[:], q[:] = 0, 0, 0.0
        for attempt in range(2 if n_held == 0 else 0):
            if attempt == 1 and v_start.shape[0] == 0:
                break  # it began at no load already
            no_load(tree, v_source, row, volt)
            loop_current[:] = 0.0
            if attempt == 0 and v_start.shape[0] > 0:
                for k in range(m):
                    if tree.parent[k] >= 0:
                        volt[k] += WARM_SHARE * (v_start[row, tree.order[k]] - volt[k])
            compensate(loops, volt, loop_current, gap)
            limit = min(SWEEPS, max_iter - steps)
            done, gained, least = _sweeps(
                tree, loops, zip_at, power, zip_power, volt, loop_current, flow, slope, gap, limit
            )
            steps += done
            if not gained:
                continue
            settled, steps, _, length, least = correct(
                tree, loops, held, zip_at, 1.0, power, zip_power, tol, True, max_iter - steps, steps, 1.0,
                point, room,
            )  # fmt: skip
            if settled:
                break
        for way in range(2 if n_held else 1):
            if settled or steps >= max_iter:
                break
            most = max_iter // 2 if way == 0 and n_held else max_iter
            settled, steps, length, least = climb(
                tree, loops, held, zip_at, v_source, row, power, zip_power, tol, most, steps, point,
                released, way == 1, gap, kept, natural, room,
            )  # fmt: skip
            sunk |= least < v_collapse
            for _ in range(8 * n_held):
                if not settled or not relieve(held, aim, volt, q, mode, released, tol):
                    break
                for g in range(n_held):
                    stand(held, g, 1.0, mode, q)
                settled, steps, _, length, least = correct(
                    tree, loops, held, zip_at, 1.0, power, zip_power, tol, True, min(12, max_iter - steps),
                    steps, 1.0, point, room,
                )  # fmt: skip
                if not settled:
                    settled, steps, length, least = climb(
                        tree, loops, held, zip_at, v_source, row, power, zip_power, tol, max_iter, steps,
                        point, released, False, gap, kept, natural, room,
                    )  # fmt: skip
            if settled and n_held > 0 and relieve(held, aim, volt, q, mode, released, tol):
                settled = False  # limits and voltages do not come to rest
        power_at_share(held, 1.0, power, zip_power, q, now, zip_now)
        gather(tree, loops, zip_at, now, zip_now, volt, loop_current, flow, slope)
        flags = CONVERGED if settled else DIVERGED
        if least_voltage(volt) < v_collapse or (sunk and not settled):
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
    topology: SweepTopology, inputs: tuple[NDArray[Any], ...], numbers: tuple[float, float, int, float],
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
