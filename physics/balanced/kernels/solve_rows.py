"""The balanced power flow of a range of rows.

A batch is solved in blocks of ``LANES`` rows, a lone row by itself; one source serves both (lanes.py) and a
row's arithmetic never touches its neighbours', so a row has the same bits in any batch.

Every row begins with sweeps that sum powers (power_sweeps.py). Where those contract, the complex voltages
that follow from them are held against Kirchhoff's laws: the currents of exactly these voltages are gathered,
and the row is done when a further sweep would move no voltage by ``tol`` and the power mismatch is below
``10 tol``. Where not, the row goes on with sweeps that sum currents (current_sweeps.py), after
``PLAIN_SWEEPS`` of them with Newton's steps on the tree (newton_tree.py). It is then done when two in a row
met the criterion, and, after Newton's steps, only on the operable branch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...flags import COLLAPSED, CONVERGED, DIVERGED
from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline
from ...numba_tools.lanes import (
    LANES,
    aligned,
    choose,
    every,
    from_rows,
    larger,
    load,
    pick,
    put,
    root,
    store,
    to_rows,
    width,
)
from ..plan import SweepPlan
from .adjusted import N_ADJUSTED, BlockPlan
from .current_sweeps import (
    D2_MOST,
    FINITE,
    I2_MOST,
    IM,
    PIVOT,
    RE,
    V2_LEAST,
    currents_of_voltages,
    gather_and_check,
    gather_currents,
    newton_forward,
    sweep_forward,
    voltages_of_powers,
)
from .power_sweeps import (
    COLD_RATE,
    MOST_SWEEPS,
    N_TRACKED,
    SOUND,
    SWEEPS,
    V_FLOOR_PU,
    WARM_RATE,
    U,
    dependent_power,
    own_power,
    raised,
    sum_powers,
)
from .tree_newton import N_FIELDS

WARM_SHARE = 0.999  # a start on the lower branch, an unstable fixed point, is left for the upper one
RUNAWAY_PU = 100.0  # an update of this size has grown without bound
PLAIN_SWEEPS = 16  # a row that needs more is near the nose: Newton's steps take over
NEWTON_STEPS = 40  # a row that needs more has no solution there

# Fields of ``seen`` beyond those of current_sweeps.py.
STREAK, SUNK, WRITTEN, SETTLED, VERDICT, UPDATE = 5, 6, 7, 8, 9, 10
_N_SEEN = 11


class Inputs(NamedTuple):
    """Power per bus in MW and Mvar, (batch, n_bus) each; injections (0, 0) where there are none."""

    load_p_mw: NDArray[np.float64]  # at 1 pu, positive when it consumes
    load_q_mvar: NDArray[np.float64]
    inject_p_mw: NDArray[np.float64]  # constant power, positive when it injects
    inject_q_mvar: NDArray[np.float64]


class Outputs(NamedTuple):
    """What the power flow writes, batch first."""

    v: NDArray[np.complex128]  # (batch, n_bus) pu
    current: NDArray[np.complex128]  # (batch or 0, n_branch) series current into the child end, pu
    s_source_mva: NDArray[np.complex128]  # (batch, n_source) delivered by each source
    ended: NDArray[np.int64]  # (batch, 2 or more): status bits, iterations
    measured: NDArray[np.float64]  # (batch, 1 or more): the last voltage update in pu


class Workspace(NamedTuple):
    """Where rows are worked on: (position, field) of a lone one, (position, field, lane) of several."""

    draw: NDArray[np.float64]  # constant power
    nominal: NDArray[np.float64]  # of loads that depend on voltage
    volt: NDArray[np.float64]
    flow: NDArray[np.float64]
    track: NDArray[np.float64]
    seen: NDArray[np.float64]
    work: NDArray[np.float64]  # of Newton's steps: most calls never touch it
    adjusted: NDArray[np.float64]  # what taps and banks of these rows make of the plan; no rows: nothing


def workspace_for(plan: SweepPlan, rows: int, n_adjusted: int = 0) -> Workspace:
    """Room for the work of :func:`sweep_rows` on so many rows; a thread needs its own.

    Its shape decides what is compiled: a lone row needs no lanes. ``n_adjusted``: positions with taps or
    banks of each row; see adjusted.py, which fills ``adjusted``.
    """
    m, n_zip = plan.link.shape[0], plan.zip_pos.size
    lanes = () if rows == 1 else (LANES,)
    blocks = -(-rows // (1 if rows == 1 else LANES)) if n_adjusted else 0
    fields = (
        (m, 2), (n_zip, 2), (m, 2), (m, 4), (1, N_TRACKED), (1, _N_SEEN), (m, N_FIELDS),
        (blocks, N_ADJUSTED * n_adjusted),
    )  # fmt: skip
    return Workspace(*(aligned(shape + lanes) for shape in fields))


@inline
def _net_loads(plan, row, last, inputs, scale, draw):  # type: ignore[no-untyped-def]
    """Load less injection of rows [row, last], per unit; lanes beyond repeat the last row.

    In the order of the feeder: the tables are read in streams, which memory is quick at.
    """
    injected = inputs.inject_p_mw.shape[0] > 0
    if last - row + 1 == width(draw):
        for node in range(plan.at_node.size):
            k = plan.at_node[node]
            if k < 0:
                continue
            p, q = (
                from_rows(draw, inputs.load_p_mw, row, node),
                from_rows(draw, inputs.load_q_mvar, row, node),
            )
            if injected:
                p = p - from_rows(draw, inputs.inject_p_mw, row, node)
                q = q - from_rows(draw, inputs.inject_q_mvar, row, node)
            store(draw, k, 0, p * scale)
            store(draw, k, 1, q * scale)
        return
    for node in range(plan.at_node.size):
        k = plan.at_node[node]
        if k < 0:
            continue
        for lane in range(width(draw)):
            r = min(row + lane, last)
            one_p, one_q = inputs.load_p_mw[r, node], inputs.load_q_mvar[r, node]
            if injected:
                one_p -= inputs.inject_p_mw[r, node]
                one_q -= inputs.inject_q_mvar[r, node]
            put(draw, k, 0, lane, one_p * scale)
            put(draw, k, 1, lane, one_q * scale)


@inline
def _no_load(plan, row, last, v_source, draw, volt, flow):  # type: ignore[no-untyped-def]
    """Sources at their set voltage, |V|^2 of no load elsewhere, every node's own power at it."""
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        if up < 0:
            for lane in range(width(volt)):
                v = v_source[min(row + lane, last), -1 - plan.link[k, 2]]
                put(volt, k, RE, lane, v.real)
                put(volt, k, IM, lane, v.imag)
            x, y = load(volt, k, RE), load(volt, k, IM)
            u = x * x + y * y
        else:
            u = raised(plan, k, load(flow, up, U), flow)
        store(flow, k, U, u)
        own_power(plan, draw, flow, k, u)


@inline
def _warm(plan, row, last, v_start, draw, flow):  # type: ignore[no-untyped-def]
    """Move |V|^2 nearly all the way to that of ``v_start``."""
    for k in range(plan.link.shape[0]):
        if plan.link[k, 0] >= 0:
            for lane in range(width(flow)):
                v = v_start[min(row + lane, last), plan.link[k, 1]]
                u = pick(flow, k, U, lane)
                put(flow, k, U, lane, u + WARM_SHARE * (v.real * v.real + v.imag * v.imag - u))
        own_power(plan, draw, flow, k, load(flow, k, U))


@inline
def _begin(plan, row, last, inputs, v_source, v_start, scale, state):  # type: ignore[no-untyped-def]
    """Rows [row, last] by position, per unit, and where their sweeps start."""
    draw, nominal, volt, flow = state.draw, state.nominal, state.volt, state.flow
    _net_loads(plan, row, last, inputs, scale, draw)
    _no_load(plan, row, last, v_source, draw, volt, flow)
    if v_start.shape[0] > 0:
        _warm(plan, row, last, v_start, draw, flow)
    injected = inputs.inject_p_mw.shape[0] > 0
    for j in range(plan.zip_pos.size):
        k = plan.zip_pos[j]
        node = plan.link[k, 1]
        for lane in range(width(draw)):
            r = min(row + lane, last)
            put(nominal, j, 0, lane, inputs.load_p_mw[r, node] * scale)
            put(nominal, j, 1, lane, inputs.load_q_mvar[r, node] * scale)
            put(draw, k, 0, lane, -inputs.inject_p_mw[r, node] * scale if injected else 0.0)
            put(draw, k, 1, lane, -inputs.inject_q_mvar[r, node] * scale if injected else 0.0)
        own_power(plan, draw, flow, k, load(flow, k, U))
    dependent_power(plan, nominal, flow)


@inline
def _write(plan, row, first, last, scale, volt, flow, outputs):  # type: ignore[no-untyped-def]
    """Voltages, branch currents and source powers of lanes [first, last), in the order of the feeder.

    NaN at nodes and 0 on branches where the sweep does not come.
    """
    every_lane = last - first == width(flow)
    for node in range(plan.at_node.size):
        k = plan.at_node[node]
        if k >= 0 and every_lane:
            to_rows(outputs.v, row, node, load(volt, k, RE), load(volt, k, IM))
            continue
        for lane in range(first, last):
            v = complex(np.nan, 0.0)
            if k >= 0:
                v = complex(pick(volt, k, RE, lane), pick(volt, k, IM, lane))
            outputs.v[row + lane, node] = v
    for branch in range(plan.at_branch.size if outputs.current.shape[0] > 0 else 0):
        k = plan.at_branch[branch]
        if k >= 0 and every_lane:
            to_rows(outputs.current, row, branch, load(flow, k, RE), load(flow, k, IM))
            continue
        for lane in range(first, last):
            i = complex(0.0, 0.0)
            if k >= 0:
                i = complex(pick(flow, k, RE, lane), pick(flow, k, IM, lane))
            outputs.current[row + lane, branch] = i
    for k in range(outputs.s_source_mva.shape[1]):  # breadth first: the sources come first
        for lane in range(first, last):
            v = complex(pick(volt, k, RE, lane), pick(volt, k, IM, lane))
            i = complex(pick(flow, k, RE, lane), pick(flow, k, IM, lane))
            outputs.s_source_mva[row + lane, -1 - plan.link[k, 2]] = v * np.conj(i) / scale


@inline
def _close(seen, tol):  # type: ignore[no-untyped-def]
    """1 where the last update and the power mismatch that it stands for are small, away from the floor."""
    zero, d2 = every(seen, 0.0), load(seen, 0, D2_MOST)
    small = choose(tol * tol - d2, every(seen, 1.0), zero)
    small = choose(100.0 * tol * tol - d2 * load(seen, 0, I2_MOST), small, zero)
    return choose(load(seen, 0, V2_LEAST) - V_FLOOR_PU * V_FLOOR_PU, small, zero)


@inline
def _where_finite(seen, settled):  # type: ignore[no-untyped-def]
    """``settled`` where all currents are finite, else 0."""
    total = load(seen, 0, FINITE)
    return choose(1.0 - (total - total), settled, every(seen, 0.0))


@inline
def _conclude(seen, settled, v_collapse):  # type: ignore[no-untyped-def]
    """Verdicts as they are if the rows end now: of the solution where settled, of any iterate otherwise."""
    zero, one = every(seen, 0.0), every(seen, 1.0)
    low = choose(v_collapse * v_collapse - load(seen, 0, V2_LEAST), one, zero)
    ever_low = choose(low, one, load(seen, 0, SUNK))
    store(seen, 0, SUNK, ever_low)
    good, bad = every(seen, float(CONVERGED)), every(seen, float(DIVERGED))
    if_low = every(seen, float(COLLAPSED))
    store(seen, 0, VERDICT, choose(settled, good + if_low * low, bad + if_low * ever_low))
    store(seen, 0, UPDATE, root(load(seen, 0, D2_MOST)))


@inline
def _end(seen, row, lane, iterations, outputs):  # type: ignore[no-untyped-def]
    outputs.ended[row + lane, 0] = int(pick(seen, 0, VERDICT, lane))
    outputs.ended[row + lane, 1] = iterations
    outputs.measured[row + lane, 0] = pick(seen, 0, UPDATE, lane)
    put(seen, 0, WRITTEN, lane, 1.0)


@inline
def _first_verdicts(  # type: ignore[no-untyped-def]
    plan, row, count, scale, tol, max_iter, v_collapse, volt, flow, track, seen, outputs
):
    """End the lanes whose powers led to a solution; returns how many are left."""
    zero, left = every(seen, 0.0), count
    settled = _where_finite(seen, choose(load(track, 0, SOUND), _close(seen, tol), zero))
    for field in (STREAK, SUNK, WRITTEN):
        store(seen, 0, field, zero)
    _conclude(seen, settled, v_collapse)
    store(seen, 0, SUNK, zero)  # what the first voltages of a hard row were tells nothing
    store(seen, 0, SETTLED, settled)
    for lane in range(count):
        iterations = int(pick(track, 0, SWEEPS, lane)) + 1
        if pick(seen, 0, SETTLED, lane) > 0.0 or iterations >= max_iter:
            _end(seen, row, lane, iterations, outputs)
            left -= 1
    together = count if left == 0 else 1
    for lane in range(0, count, together):
        if pick(seen, 0, WRITTEN, lane) > 0.0:
            _write(plan, row, lane, lane + together, scale, volt, flow, outputs)
    return left


@inline
def _insist(  # type: ignore[no-untyped-def]
    plan, row, count, left, scale, tol, max_iter, v_collapse, state, track, seen, outputs
):
    """Current sweeps, then Newton's steps, until every lane has ended."""
    draw, nominal, volt, flow, work = state
    zero = every(seen, 0.0)
    store(seen, 0, PIVOT, every(seen, 1.0))
    last = PLAIN_SWEEPS + NEWTON_STEPS
    for sweep in range(1, last + 1):
        if sweep <= PLAIN_SWEEPS:
            sweep_forward(plan, draw, nominal, volt, flow, seen)
        else:
            newton_forward(plan, draw, nominal, volt, flow, work, seen)
        gather_currents(plan, flow, seen)
        streak = choose(_close(seen, tol), load(seen, 0, STREAK) + 1.0, zero)
        store(seen, 0, STREAK, streak)
        settled = _where_finite(seen, choose(load(seen, 0, PIVOT), larger(streak - 1.0, zero), zero))
        _conclude(seen, settled, v_collapse)
        store(seen, 0, SETTLED, settled)
        for lane in range(count):
            if pick(seen, 0, WRITTEN, lane) > 0.0:
                continue
            runaway = pick(seen, 0, UPDATE, lane) > RUNAWAY_PU
            iterations = int(pick(track, 0, SWEEPS, lane)) + 1 + sweep
            ended = pick(seen, 0, SETTLED, lane) > 0.0 or runaway
            if ended or sweep == last or iterations >= max_iter:
                _end(seen, row, lane, iterations, outputs)
                _write(plan, row, lane, lane + 1, scale, volt, flow, outputs)
                left -= 1
        if left == 0:
            return


@inline
def solve_block(  # type: ignore[no-untyped-def]
    plan, row, count, inputs, v_source, v_start, scale, tol, max_iter, v_collapse, state, outputs
):
    """Rows [row, row + count) side by side; whether ``state`` still holds what was written to ``answer``."""
    draw, nominal, volt, flow, track, seen, work, _ = state
    first_rate = WARM_RATE if v_start.shape[0] > 0 else COLD_RATE
    _begin(plan, row, row + count - 1, inputs, v_source, v_start, scale, state)
    sum_powers(plan, draw, nominal, flow, track, min(MOST_SWEEPS, max_iter - 1), tol, first_rate)
    voltages_of_powers(plan, draw, nominal, flow, volt, track, seen)
    gather_and_check(plan, volt, flow, seen)
    left = _first_verdicts(
        plan, row, count, scale, tol, max_iter, v_collapse, volt, flow, track, seen, outputs
    )
    if left:
        _insist(
            plan, row, count, left, scale, tol, max_iter, v_collapse,
            (draw, nominal, volt, flow, work), track, seen, outputs,
        )  # fmt: skip
    return left == 0


@inline
def reload(plan, row, count, state, outputs):  # type: ignore[no-untyped-def]
    """A block whose rows ended at different times back into ``state``: voltages, and currents of these."""
    for k in range(plan.link.shape[0]):
        for lane in range(width(state.flow)):
            v = outputs.v[row + min(lane, count - 1), plan.link[k, 1]]
            put(state.volt, k, RE, lane, v.real)
            put(state.volt, k, IM, lane, v.imag)
    currents_of_voltages(plan, state.draw, state.nominal, state.volt, state.flow, state.seen)


@flattened(plan=SweepPlan, state=Workspace, inputs=Inputs, outputs=Outputs)
def sweep_rows(  # type: ignore[no-untyped-def]
    plan, state, v_source, v_start, inputs, outputs, lo, hi, scale, tol, max_iter, v_collapse
):
    """Solve rows [lo, hi) of a batch.

    ``v_source`` (batch, source) complex in the order of the feeder's sources; ``v_start`` (batch or 0, bus)
    complex; ``scale`` 1 / base MVA.
    """
    for row in range(lo, hi, width(state.flow)):
        count, block = min(width(state.flow), hi - row), (row - lo) // width(state.flow)
        here = BlockPlan(
            plan.link, plan.at_node, plan.at_branch, plan.z, plan.side, plan.zip_pos, plan.zip_coef,
            plan.ratios, plan.shunts, state.adjusted, block,
        )  # fmt: skip
        solve_block(
            here, row, count, inputs, v_source, v_start, scale, tol, max_iter, v_collapse, state, outputs
        )
