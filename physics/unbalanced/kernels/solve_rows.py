"""The three-phase power flow of a range of rows: one at a time, or in blocks of lanes.

Every row begins with sweeps that sum powers (power_sums.py). Where those contract, the currents of exactly
these voltages are gathered and held against Kirchhoff's laws: the row is done when a further sweep would
move no voltage by ``tol`` / 2 and the power mismatch is below ``10 tol``. Where they do not contract as they
should, the row begins again at no load with sweeps that sum currents (sweep.py). It is then done when a sweep
met that criterion and would move voltages by half of what the one before would, or was the second to meet it.
What is returned is that state, with the currents of exactly its voltages.
"""

from __future__ import annotations

import numpy as np

from ...flags import COLLAPSED, CONVERGED, DIVERGED, UNSETTLED
from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline, lean_kernel
from ...numba_tools.lanes import LANES, aligned
from ...numba_tools.pointers import advance, get_lane, point, put, put_lane, width_of
from ..kernel_tables import (
    D2_MOST,
    GOING,
    I2_MOST,
    N_TRACKED,
    V2_LEAST,
    Cell,
    Inputs,
    Outputs,
    SweepPlan,
    Workspace,
)
from .current_sweeps import finite, gather_and_check, move_on, own_currents
from .load_power import bank_powers, item_powers
from .power_sweeps import sum_powers
from .row_io import (
    arguments_finite,
    at_rest,
    barred,
    gather_items,
    gather_power,
    gather_source,
    gather_states,
    steps_of,
    table,
    warm,
    write_row,
    write_rows,
)
from .segment_laws import V_FLOOR_PU
from .start_voltages import guess

ALL_GOOD, SOME_BAD, SOME_LEFT = 0, 1, 2  # what `solve_rows` answers: the last, rows for Newton's method
RUNAWAY_PU = 100.0  # an update of this size has grown without bound
MOST_SWEEPS = 40  # of those that sum powers
FEWEST = 4  # sweeps that must be allowed to try them
CONTRACTION = 0.8  # an update above this share of the one before: a hard case. The lower branch repels
SURE_RATE = 0.5  # an update that shrinks by less says little of the distance to the solution
STILL = 1e-13  # an update of this size says that the solution is there
NEWTON_FROM = 12  # sweeps that must be allowed before Newton's method goes on
LONG = 100  # sweeps after which a row that hardly contracts is left to Newton's method
COLD_RATE = 0.05  # the rate after one sweep; a warm start says nothing of it
_ROUNDING = 1e-15  # updates of this size no longer shrink

# Rows of ``Workspace.lane_notes``. HOW: what a lane is about.
HOW, BEFORE, SWEEPS, TARGET, SUNK, STREAK, RATE = 0, 1, 2, 3, 4, 5, 6
N_NOTES = 7
SWEEPING, ARRIVED, HARD, ENDED, WRITTEN = 0.0, 1.0, 2.0, 3.0, 4.0


@inline
def cell_of(net, n_cap, room, live):  # type: ignore[no-untyped-def]
    """Working memory cut from one array: see `workspace_for`."""
    m, items, taps = net.n_conductor, net.n_item, net.n_tap
    lists = 9 * m + 2 * items
    lift = lists + 2 * taps
    cap = lift + taps + 1
    bank = cap + n_cap
    track = bank + 3 * net.n_cap
    return Cell(
        room, advance(room, m), advance(room, 2 * m), advance(room, 3 * m), advance(room, 4 * m),
        advance(room, 5 * m), advance(room, 6 * m), advance(room, 7 * m), advance(room, 8 * m),
        advance(room, 9 * m), advance(room, 9 * m + items), advance(room, lists), advance(room, lists + taps),
        advance(room, lift), advance(room, cap), advance(room, bank), advance(room, track),
        advance(room, track + N_TRACKED), live,
    )  # fmt: skip


@inline
def _begin(net, cell, arguments, inputs, row, last, scale):  # type: ignore[no-untyped-def]
    """Arguments of the rows into the cell and a first guess; False where power stands where none can be."""
    p, q, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, tap, cap_on = arguments
    good = True
    ground, wye, between, legs = net.bar, net.n_bar_wye, advance(net.bar, net.n_bar_wye), net.n_bar_leg
    for at in range(row, last + 1):
        good &= barred(ground, wye, p, at) and barred(ground, wye, q, at)
        good &= barred(ground, wye, p_in, at) and barred(ground, wye, q_in, at)
        good &= barred(between, legs, p_leg, at) and barred(between, legs, q_leg, at)
        good &= barred(between, legs, p_leg_in, at) and barred(between, legs, q_leg_in, at)
    gather_power(net, cell, p, q, p_in, q_in, row, last, scale)
    put(cell.live, 0, 0)
    items = net.n_wye_item
    gather_items(net, cell, 0, items, p, q, p_in, q_in, row, last, scale)
    gather_items(net, cell, items, net.n_item, p_leg, q_leg, p_leg_in, q_leg_in, row, last, scale)
    for lane in range(width_of(cell.v_re)):
        gather_states(net, cell, tap, cap_on, min(row + lane, last), lane)
    guess(net, cell)
    for lane in range(width_of(cell.v_re)):
        at = min(row + lane, last)
        gather_source(net, cell, inputs.v_source, at, lane)
        if inputs.v_start.shape[0] > 0:
            warm(net, cell, inputs.v_start, at, lane)
    return good


@inline
def _step_on(cell, notes, lane, limit, warm_start):  # type: ignore[no-untyped-def]
    """After a sweep that summed powers: whether the lane needs another, has arrived, or is a hard case."""
    moved, before = np.sqrt(get_lane(cell.track, D2_MOST, lane)), notes[BEFORE, lane]
    sweeps = notes[SWEEPS, lane] + 1.0
    known = sweeps > 1.0 or not warm_start
    rate = moved / before if sweeps > 1.0 else COLD_RATE
    notes[BEFORE, lane], notes[SWEEPS, lane], notes[RATE, lane] = moved, sweeps, rate
    left = 1.5 * moved * rate / max(1.0 - rate, 0.1)
    if moved <= _ROUNDING or (known and left < notes[TARGET, lane]):
        notes[HOW, lane] = ARRIVED
    elif sweeps >= limit or (sweeps > 1.0 and not rate <= CONTRACTION):
        notes[HOW, lane] = HARD


@inline
def _close(net, cell, lane, tol):  # type: ignore[no-untyped-def]
    """Whether a further sweep would move little and the mismatch is small, away from the floor."""
    d2, i2 = get_lane(cell.track, D2_MOST, lane), get_lane(cell.track, I2_MOST, lane)
    small = d2 < 0.25 * tol * tol and d2 * i2 < 100.0 * tol * tol
    return (
        small and get_lane(cell.track, V2_LEAST, lane) > V_FLOOR_PU * V_FLOOR_PU and finite(net, cell, lane)
    )


@inline
def _end(cell, notes, row, lane, settled, sure, v_collapse, out):  # type: ignore[no-untyped-def]
    """The verdict on a lane; where it is not sure, Newton's method has the last word."""
    flags = CONVERGED if settled else DIVERGED
    if not sure:
        flags |= UNSETTLED
    sunk = get_lane(cell.track, V2_LEAST, lane) < v_collapse * v_collapse
    if sunk or (notes[SUNK, lane] > 0.0 and not settled):
        flags |= COLLAPSED
    out.notes[row + lane, 0] = flags
    out.notes[row + lane, 1] = notes[SWEEPS, lane]
    out.notes[row + lane, 2] = np.sqrt(get_lane(cell.track, D2_MOST, lane))
    notes[HOW, lane] = ENDED


@inline
def _verdict(net, cell, notes, row, lane, tol, max_iter, v_collapse, out):  # type: ignore[no-untyped-def]
    """After a check of Kirchhoff's laws: the lane is done, goes on, or is a hard case."""
    notes[SWEEPS, lane] += 1.0
    close = _close(net, cell, lane, tol)
    if notes[HOW, lane] == ARRIVED:
        if close:
            sure = notes[RATE, lane] <= SURE_RATE or max_iter < NEWTON_FROM
            _end(cell, notes, row, lane, True, sure, v_collapse, out)
        elif notes[TARGET, lane] > 1e-3 * tol:
            notes[SWEEPS, lane] -= 1.0
            notes[TARGET, lane] *= 0.05
            notes[HOW, lane] = SWEEPING
        else:
            notes[HOW, lane] = HARD
        return
    d2, before = get_lane(cell.track, D2_MOST, lane), notes[BEFORE, lane]
    notes[BEFORE, lane] = d2
    if get_lane(cell.track, V2_LEAST, lane) < v_collapse * v_collapse:
        notes[SUNK, lane] = 1.0
    streak = notes[STREAK, lane] + 1.0 if close else 0.0
    notes[STREAK, lane] = streak
    sure = close and (d2 <= SURE_RATE * SURE_RATE * before or d2 < STILL * STILL)
    settled = streak >= 2.0 or sure
    slow = notes[SWEEPS, lane] >= LONG and d2 > 0.64 * before
    if settled or slow or before > RUNAWAY_PU * RUNAWAY_PU or notes[SWEEPS, lane] >= max_iter:
        _end(cell, notes, row, lane, settled, sure or max_iter < NEWTON_FROM, v_collapse, out)


@inline
def _count(notes, width, how):  # type: ignore[no-untyped-def]
    found = 0
    for lane in range(width):
        found += notes[HOW, lane] == how
    return found


@inline
def _write(net, cell, notes, row, width, out):  # type: ignore[no-untyped-def]
    """The numbers of lanes that have ended to where the caller wants them."""
    together = _count(notes, width, ENDED) == LANES
    if together:
        write_rows(net, cell, row, out.phasors)
    for lane in range(width):
        if notes[HOW, lane] == ENDED:
            if not together:
                write_row(net, cell, lane, out.phasors[row + lane])
            notes[HOW, lane] = WRITTEN


@inline
def _let_go(cell, going):  # type: ignore[no-untyped-def]
    """Mark every lane: at 1 its voltages move with the next update, at 0 they are held."""
    for lane in range(width_of(cell.v_re)):
        put_lane(cell.track, GOING, lane, going)


@inline
def solve_block(  # type: ignore[no-untyped-def]
    net, cell, arguments, inputs, row, width, scale, tol, max_iter, v_collapse, out, notes
):
    """Solve ``width`` rows beside each other; answers as `solve_rows`."""
    if not _begin(net, cell, arguments, inputs, row, row + width - 1, scale):
        return SOME_BAD
    for lane in range(width_of(cell.v_re)):
        put_lane(cell.track, GOING, lane, 1.0 if lane < width else 0.0)
    summing = max_iter >= FEWEST and 2 * net.n_ungrounded <= net.n_node  # where most float, it gains nothing
    for lane in range(width):
        notes[:, lane] = 0.0
        notes[HOW, lane] = SWEEPING if summing else HARD
        notes[TARGET, lane] = 0.3 * tol
    limit, warm_start = min(MOST_SWEEPS, max_iter - 2), inputs.v_start.shape[0] > 0
    by_powers, fresh, sweeping, began = True, True, _count(notes, width, SWEEPING) > 0, False
    while True:
        if fresh:
            bank_powers(net, cell, began and sweeping)
            item_powers(net, cell)
        fresh = True
        if sweeping:
            sum_powers(net, cell)
            began = True
            for lane in range(width):
                if notes[HOW, lane] == SWEEPING:
                    _step_on(cell, notes, lane, limit, warm_start)
                put_lane(cell.track, GOING, lane, 1.0 if notes[HOW, lane] == SWEEPING else 0.0)
            sweeping = _count(notes, width, SWEEPING) > 0
            continue
        own_currents(net, cell)
        _let_go(cell, 0.0)
        gather_and_check(net, cell)
        for lane in range(width):
            if notes[HOW, lane] == ARRIVED or (notes[HOW, lane] == HARD and not by_powers):
                _verdict(net, cell, notes, row, lane, tol, max_iter, v_collapse, out)
        _write(net, cell, notes, row, width, out)
        sweeping = _count(notes, width, SWEEPING) > 0
        if sweeping:
            fresh = False
            for lane in range(width):
                put_lane(cell.track, GOING, lane, 1.0 if notes[HOW, lane] == SWEEPING else 0.0)
            continue
        if _count(notes, width, WRITTEN) == width:
            left = False
            for lane in range(width):
                left |= int(out.notes[row + lane, 0]) & UNSETTLED != 0
            return SOME_LEFT if left else ALL_GOOD
        if by_powers:
            by_powers = False
            at_rest(net, cell)
            for lane in range(width):
                if notes[HOW, lane] == HARD and not arguments_finite(net, cell, lane):
                    return SOME_BAD
                notes[BEFORE, lane] = 0.0
                gather_source(net, cell, inputs.v_source, row + lane, lane)
        _let_go(cell, 1.0)
        move_on(net, cell)


@inline
def power_tables(inputs, n):  # type: ignore[no-untyped-def]
    """Power by slot, ``n`` of them, taps and banks of Inputs as tables."""
    return (
        table(inputs.p_mw, n), table(inputs.q_mvar, n),
        table(inputs.p_inject_mw, n), table(inputs.q_inject_mvar, n),
        table(inputs.p_delta_mw, n), table(inputs.q_delta_mvar, n),
        table(inputs.p_delta_inject_mw, n), table(inputs.q_delta_inject_mvar, n),
        table(inputs.tap, inputs.tap.shape[1]), table(inputs.cap_on, inputs.cap_on.shape[1]),
    )  # fmt: skip


@lean_kernel
def first_bad(array, allowed):  # type: ignore[no-untyped-def]
    """Flat place of the first entry that is not finite, or not zero where nothing may be; -1: none."""
    for row in range(array.shape[0]):
        for k in range(array.shape[1]):
            x = array[row, k]
            if not np.isfinite(x) or (x != 0.0 and not allowed[k]):
                return row * array.shape[1] + k
    return -1


def workspace_for(plan: SweepPlan, n_cap: int, rows: int) -> Workspace:
    """Workspace for the work of :func:`solve_rows` on so many rows; a thread needs its own.

    Its shape decides what is compiled: a lone row needs no lanes.
    """
    m, n_bank, n_tap, n_item = (int(size) for size in plan.whole[2:6])
    entries = 9 * m + 2 * n_item + 3 * n_tap + n_cap + 3 * n_bank + N_TRACKED + 9
    lanes = () if rows == 1 else (LANES,)
    cells = aligned((entries, *lanes))
    cells.fill(0.0)
    return Workspace(cells, np.zeros(1 + n_item, dtype=np.int64), np.zeros((N_NOTES, LANES)))


@flattened(plan=SweepPlan, state=Workspace, inputs=Inputs, out=Outputs)
def solve_rows(  # type: ignore[no-untyped-def]
    plan, state, inputs, out, all_legs, lo, hi, scale, tol, max_iter, v_collapse
):
    """Solve rows [lo, hi) of a batch; ``scale`` is 1 over the base of one phase in MVA.

    ``all_legs``: legs without a nominal load can draw power, because legs have arguments. Memory for one row
    gives the scalar form of the same code, with the same bits. Answers ``SOME_BAD`` where power is not finite
    or stands where none can be.
    """
    net = steps_of(plan, all_legs)
    arguments, n_cap = power_tables(inputs, net.n_slot), inputs.cap_on.shape[1]
    cell = cell_of(net, n_cap, point(state.cells), point(state.live))
    step, answer = width_of(cell.v_re), ALL_GOOD
    for row in range(lo, hi, step):
        here = solve_block(
            net, cell, arguments, inputs, row, min(step, hi - row), scale, tol, max_iter, v_collapse, out,
            state.lane_notes,
        )  # fmt: skip
        if here == SOME_BAD:
            return SOME_BAD
        answer = max(answer, here)
    return answer
