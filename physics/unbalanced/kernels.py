"""The three-phase power flow of a range of rows: one at a time, or in blocks of lanes.

A row is done when a sweep moved every voltage by less than ``tol``, left a power mismatch below ``10 tol``,
and either moved them less than half as far as the sweep before (so what is left is below ``tol``) or was the
second in a row that did so. What is returned is the state after it, with currents gathered from exactly that
state.
"""

from __future__ import annotations

import numpy as np

from .._jit import kernel
from ..lanes import LANES
from .drawn import bank_currents, item_currents
from .gather import (
    at_rest,
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
from .generic import advance, get, get_lane, inline, point
from .program import COLLAPSED, CONVERGED, DIVERGED, Cell
from .steps import V_FLOOR_PU, backward, forward, node_currents

RUNAWAY_PU = 100.0  # an update of this size has grown without bound


@inline
def _cell(net, n_cap, room, flags):  # type: ignore[no-untyped-def]
    """Working memory cut from one array: see `_entries`."""
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
def _entries(net, n_cap):  # type: ignore[no-untyped-def]
    return 6 * net.n_conductor + 2 * net.n_item + 2 * net.n_tap + n_cap + 6


@inline
def _begin(net, cell, arguments, inputs, row, width, scale):  # type: ignore[no-untyped-def]
    """Arguments of the rows into the cell, then the first voltages and currents."""
    p, q, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, tap, cap_on = arguments
    at_rest(net, cell)
    for lane in range(width):
        gather_power(net, cell, p, q, p_in, q_in, row + lane, lane, scale)
        gather_items(net, cell, 0, min(net.n_item, net.n_wye_item), p, q, p_in, q_in, row + lane, lane, scale)
        gather_items(
            net, cell, net.n_wye_item, net.n_item, p_leg, q_leg, p_leg_in, q_leg_in, row + lane, lane, scale
        )
        gather_states(net, cell, tap, cap_on, row + lane, lane)
        gather_source(net, cell, inputs.v_source, row + lane, lane)
    forward(net, cell)
    if inputs.v_start.shape[0] > 0:
        for lane in range(width):
            warm(net, cell, inputs.v_start, row + lane, lane)
        for k in range(net.n_node):
            node_currents(net, cell, k, get(cell.track, 1), get(cell.track, 2))
    bank_currents(net, cell)
    item_currents(net, cell)


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
    """Solve ``width`` rows beside each other. ``notes`` (4, LANES): streak (-1: written), last update, sunk."""
    _begin(net, cell, arguments, inputs, row, width, scale)
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
            return
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


@kernel
def solve_rows(prog, inputs, all_legs, lo, hi, scale, tol, max_iter, v_collapse, out):  # type: ignore[no-untyped-def]
    """Solve rows [lo, hi) of ``inputs`` into ``out``; ``scale`` is 1 over the base of one phase in MVA.

    ``all_legs``: legs without a nominal load can draw power, because legs have arguments.
    A row that is left alone takes the scalar form of the same code, which gives the same bits.
    """
    net = steps_of(prog, all_legs)
    n_cap = inputs.cap_on.shape[1]
    arguments = (
        table(inputs.p_mw), table(inputs.q_mvar), table(inputs.p_inject_mw), table(inputs.q_inject_mvar),
        table(inputs.p_delta_mw), table(inputs.q_delta_mvar), table(inputs.p_delta_inject_mw),
        table(inputs.q_delta_inject_mvar), table(inputs.tap), table(inputs.cap_on),
    )  # fmt: skip
    flags = np.zeros(net.n_conductor + net.n_item, dtype=np.bool_)
    notes = np.zeros((4, LANES))
    row = lo
    if hi - lo >= 2:
        wide = np.zeros((_entries(net, n_cap), LANES))
        lanes = _cell(net, n_cap, point(wide), point(flags))
        while hi - row >= 2:
            width = min(LANES, hi - row)
            _block(net, lanes, arguments, inputs, row, width, scale, tol, max_iter, v_collapse, out, notes)
            row += width
        notes[0, 0] += wide[0, 0] * 0.0  # the memory behind the pointers lives until here
    if row < hi:
        narrow = np.zeros(_entries(net, n_cap))
        one = _cell(net, n_cap, point(narrow), point(flags))
        _block(net, one, arguments, inputs, row, 1, scale, tol, max_iter, v_collapse, out, notes)
        notes[0, 0] += narrow[0] * 0.0
    return flags.size + int(notes[0, 0] * 0.0)
