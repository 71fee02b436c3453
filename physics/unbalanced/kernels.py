"""The three-phase power flow of a range of rows: one at a time, or in blocks of lanes.

A row is done when a sweep moved every voltage by less than ``tol``, left a power mismatch below ``10 tol``,
and either moved them less than half as far as the sweep before (so what is left is below ``tol``) or was the
second in a row that did so. What is returned is the state after it, with currents gathered from exactly that
state.
"""

from __future__ import annotations

import numpy as np

from .._jit import lean_kernel
from ..lanes import LANES
from .drawn import bank_currents, item_currents
from .gather import (
    at_rest,
    barred,
    finite,
    gather_items,
    gather_power,
    gather_source,
    gather_states,
    steps_of,
    table,
    warm,
    write_row,
)
from .generic import advance, get, get_lane, inline, point, width_of
from .program import COLLAPSED, CONVERGED, DIVERGED, Cell, Inputs, Outputs, Program, Room
from .steps import V_FLOOR_PU, backward, node_currents
from .sweep import forward

ALL_GOOD, SOME_BAD = 0, 1  # what `solve_rows` answers
RUNAWAY_PU = 100.0  # an update of this size has grown without bound


@inline
def _cell(net, n_cap, room, flags):  # type: ignore[no-untyped-def]
    """Working memory cut from one array: see `room_for`."""
    m, items, taps = net.n_conductor, net.n_item, net.n_tap
    after_items = 6 * m + 2 * items
    after_taps = after_items + 2 * taps
    return Cell(
        room, advance(room, m), advance(room, 2 * m), advance(room, 3 * m), advance(room, 4 * m),
        advance(room, 5 * m), advance(room, 6 * m), advance(room, 6 * m + items), advance(room, after_items),
        advance(room, after_items + taps), advance(room, after_taps), advance(room, after_taps + n_cap),
        advance(room, after_taps + n_cap + 3), flags, advance(flags, m),
    )  # fmt: skip


@inline
def _begin(net, cell, arguments, inputs, row, width, scale):  # type: ignore[no-untyped-def]
    """Arguments of the rows into the cell, then the first voltages and currents; False where one is wrong."""
    p, q, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, tap, cap_on = arguments
    at_rest(net, cell)
    good = True
    for lane in range(width):
        at = row + lane
        good &= gather_power(net, cell, p, q, p_in, q_in, at, lane, scale)
        good &= gather_items(net, cell, 0, net.n_wye_item, p, q, p_in, q_in, at, lane, scale)
        good &= gather_items(
            net, cell, net.n_wye_item, net.n_item, p_leg, q_leg, p_leg_in, q_leg_in, at, lane, scale
        )
        good &= barred(net, False, p, at) and barred(net, False, q, at)
        good &= barred(net, False, p_in, at) and barred(net, False, q_in, at)
        good &= barred(net, True, p_leg, at) and barred(net, True, q_leg, at)
        good &= barred(net, True, p_leg_in, at) and barred(net, True, q_leg_in, at)
        gather_states(net, cell, tap, cap_on, at, lane)
        gather_source(net, cell, inputs.v_source, at, lane)
    forward(net, cell)
    if inputs.v_start.shape[0] > 0:
        for lane in range(width):
            warm(net, cell, inputs.v_start, row + lane, lane)
        for k in range(net.n_node):
            node_currents(net, cell, k, get(cell.track, 1), get(cell.track, 2))
    bank_currents(net, cell)
    item_currents(net, cell)
    return good


@inline
def _judge(streak, d2, before, v2_min, i2_max, tol):  # type: ignore[no-untyped-def]
    """Sweeps in a row that met the criterion; 2: enough."""
    close = d2 < tol * tol and d2 * i2_max < 100.0 * tol * tol and v2_min > V_FLOOR_PU * V_FLOOR_PU
    if not close:
        return 0
    return 2 if d2 <= 0.25 * before else min(streak + 1, 2)


@inline
def _flags(settled, sunk, v2_min, v_collapse):  # type: ignore[no-untyped-def]
    flags = CONVERGED if settled else DIVERGED
    if v2_min < v_collapse * v_collapse or (sunk and not settled):
        flags |= COLLAPSED
    return flags


@inline
def _block(net, cell, arguments, inputs, row, width, scale, tol, max_iter, v_collapse, out, notes):  # type: ignore[no-untyped-def]
    """Solve ``width`` rows beside each other; False where an argument is wrong.

    ``notes`` (4, LANES): streak (-1: written), update before, whether it sank, update.
    """
    if not _begin(net, cell, arguments, inputs, row, width, scale):
        return False
    n_slot = inputs.p_mw.shape[1]
    streak, before, sunk, update = notes[0], notes[1], notes[2], notes[3]
    for lane in range(width):
        streak[lane], before[lane], sunk[lane], update[lane] = 0.0, 0.0, 0.0, 0.0
    left = width
    for sweep in range(1, max_iter + 2):
        backward(net, cell)
        for lane in range(width):
            if streak[lane] < 0.0:
                continue
            settled = streak[lane] >= 2.0 and finite(net, cell, lane)
            runaway = update[lane] > RUNAWAY_PU * RUNAWAY_PU
            if not (settled or runaway or sweep == max_iter + 1):
                continue
            v2_min = get_lane(cell.track, 1, lane)
            out.notes[row + lane, 0] = _flags(settled, sunk[lane] > 0.0, v2_min, v_collapse)
            out.notes[row + lane, 1] = sweep - 1
            out.notes[row + lane, 2] = np.sqrt(update[lane])
            write_row(net, cell, lane, out.phasors[row + lane], n_slot)
            streak[lane] = -1.0
            left -= 1
        if left == 0:
            return True
        forward(net, cell)
        bank_currents(net, cell)
        item_currents(net, cell)
        for lane in range(width):
            if streak[lane] < 0.0:
                continue
            before[lane], update[lane] = update[lane], get_lane(cell.track, 0, lane)
            v2_min = get_lane(cell.track, 1, lane)
            if v2_min < v_collapse * v_collapse:
                sunk[lane] = 1.0
            streak[lane] = _judge(
                int(streak[lane]), update[lane], before[lane], v2_min, get_lane(cell.track, 2, lane), tol
            )
    return True


@lean_kernel
def first_bad(array, allowed):  # type: ignore[no-untyped-def]
    """Flat place of the first entry that is not finite, or not zero where nothing may be; -1: none."""
    for row in range(array.shape[0]):
        for k in range(array.shape[1]):
            x = array[row, k]
            if not np.isfinite(x) or (x != 0.0 and not allowed[k]):
                return row * array.shape[1] + k
    return -1


def room_for(program: Program, n_cap: int, rows: int) -> Room:
    """Room for the work of :func:`solve_rows` on so many rows; a thread needs its own.

    Its shape decides what is compiled: a lone row needs no lanes.
    """
    m, n_tap, n_item = (int(size) for size in program.whole[[2, 4, 5]])
    entries = 6 * m + 2 * n_item + 2 * n_tap + n_cap + 8
    lanes = () if rows == 1 else (LANES,)
    return Room(np.zeros((entries, *lanes)), np.zeros(m + n_item, dtype=np.bool_), np.zeros((4, LANES)))


@lean_kernel
def solve_rows(  # type: ignore[no-untyped-def]
    whole, number, p_mw, q_mvar, p_inject_mw, q_inject_mvar, p_delta_mw, q_delta_mvar, p_delta_inject_mw,
    q_delta_inject_mvar, v_source, v_start, tap, cap_on, all_legs, lo, hi, scale, tol, max_iter, v_collapse,
    cells, flags, lane_notes, phasors, notes,
):  # fmt: skip
    """Solve rows [lo, hi) of a batch; ``scale`` is 1 over the base of one phase in MVA.

    Takes the fields of Program, Inputs, Room and Outputs one by one: tuples cost three times as much to pass.
    ``all_legs``: legs without a nominal load can draw power, because legs have arguments. A room for one row
    gives the scalar form of the same code, with the same bits. Answers ``SOME_BAD`` where power is not finite
    or stands where none can be.
    """
    net = steps_of(Program(whole, number), all_legs)
    inputs = Inputs(
        p_mw, q_mvar, p_inject_mw, q_inject_mvar, p_delta_mw, q_delta_mvar, p_delta_inject_mw,
        q_delta_inject_mvar, v_source, v_start, tap, cap_on,
    )  # fmt: skip
    arguments = (
        table(p_mw), table(q_mvar), table(p_inject_mw), table(q_inject_mvar),
        table(p_delta_mw), table(q_delta_mvar), table(p_delta_inject_mw),
        table(q_delta_inject_mvar), table(tap), table(cap_on),
    )  # fmt: skip
    out = Outputs(phasors, notes)
    cell = _cell(net, cap_on.shape[1], point(cells), point(flags))
    step = width_of(cell.v_re)
    for row in range(lo, hi, step):
        if not _block(
            net, cell, arguments, inputs, row, min(step, hi - row), scale, tol, max_iter, v_collapse, out,
            lane_notes,
        ):  # fmt: skip
            return SOME_BAD
    return ALL_GOOD
