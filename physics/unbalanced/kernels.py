"""The three-phase power flow of a range of rows: one at a time, or in blocks of lanes.

A row is done when a sweep moved every voltage by less than ``tol``, left a power mismatch below ``10 tol``,
and either moved them less than half as far as the sweep before (so what is left is below ``tol``) or was the
second in a row that did so. What is returned is the state after it, with currents gathered from exactly that
state.
"""

from __future__ import annotations

import numpy as np

from .._jit import inline, kernel
from ..lanes import LANES
from .drawn import bank_currents, item_currents
from .generic import get, get_lane, put, put_lane
from .program import COLLAPSED, CONVERGED, DIVERGED, SHARE_P, SHARE_Q, Cell
from .steps import V_FLOOR_PU, backward, forward, node_currents

WARM_SHARE = 0.999  # a start on the lower branch, an unstable fixed point, is left for the upper one
RUNAWAY_PU = 100.0  # an update of this size has grown without bound


@inline
def _at(array, row, column):  # type: ignore[no-untyped-def]
    """Entry of a (batch or 1 or 0, columns) argument; 0 where nothing is given."""
    if array.shape[0] == 0:
        return 0.0
    return array[row if array.shape[0] > 1 else 0, column]


@inline
def _gather_power(prog, inputs, row, width, scale, p, q, active):  # type: ignore[no-untyped-def]
    """Constant power of every conductor in pu, less injections; which conductors have any."""
    injects = inputs.p_inject_mw.shape[0] > 0 or inputs.q_inject_mvar.shape[0] > 0
    for k in range(prog.slot.size):
        slot = prog.slot[k]
        active[k] = False
        if slot < 0:
            continue
        for lane in range(width):
            power = _at(inputs.p_mw, row + lane, slot) * prog.constant[0, k]
            reactive = _at(inputs.q_mvar, row + lane, slot) * prog.constant[1, k]
            if injects:
                power -= _at(inputs.p_inject_mw, row + lane, slot)
                reactive -= _at(inputs.q_inject_mvar, row + lane, slot)
            active[k] |= power != 0.0 or reactive != 0.0
            put_lane(p, k, lane, power * scale)
            put_lane(q, k, lane, reactive * scale)


@inline
def _gather_items(prog, inputs, n_item, row, width, scale, p, q, active):  # type: ignore[no-untyped-def]
    """The same for items: nominal power in pu."""
    for j in range(n_item):
        slot, injects = prog.item[j, 2], prog.item[j, 3] != 0
        share_p, share_q = prog.item_coef[j, SHARE_P], prog.item_coef[j, SHARE_Q]
        active[j] = False
        for lane in range(width):
            if j < prog.n_item[0]:
                power = _at(inputs.p_mw, row + lane, slot) * share_p
                reactive = _at(inputs.q_mvar, row + lane, slot) * share_q
            else:
                power = _at(inputs.p_delta_mw, row + lane, slot) * share_p
                reactive = _at(inputs.q_delta_mvar, row + lane, slot) * share_q
                if injects:
                    power -= _at(inputs.p_delta_inject_mw, row + lane, slot)
                    reactive -= _at(inputs.q_delta_inject_mvar, row + lane, slot)
            active[j] |= power != 0.0 or reactive != 0.0
            put_lane(p, j, lane, power * scale)
            put_lane(q, j, lane, reactive * scale)


@inline
def _gather_states(prog, inputs, row, width, taps, cap_on):  # type: ignore[no-untyped-def]
    """Ratio of every regulator winding as seen from the parent, and what it makes of its impedance."""
    for j in range(prog.tap.shape[0]):
        for lane in range(width):
            ratio = prog.tap_factor[j]
            if prog.tap[j, 0] >= 0:
                ratio *= _at(inputs.tap, row + lane, prog.tap[j, 0])
            if prog.tap[j, 1] == 0:
                put_lane(taps[0], j, lane, ratio)
                put_lane(taps[1], j, lane, ratio * ratio)
            else:
                put_lane(taps[0], j, lane, 1.0 / ratio)
                put_lane(taps[1], j, lane, 1.0)
    for j in range(inputs.cap_on.shape[1]):
        for lane in range(width):
            put_lane(cap_on, j, lane, _at(inputs.cap_on, row + lane, j))


@inline
def _start(prog, inputs, row, width, v_re, v_im, i_re, i_im):  # type: ignore[no-untyped-def]
    """Sources at their voltage; everything else zero, which the first sweep turns into no load."""
    v_re[:] = 0.0
    v_im[:] = 0.0
    i_re[:] = 0.0
    i_im[:] = 0.0
    for j in range(prog.root.shape[0]):
        k, column = prog.root[j, 0], 3 * prog.root[j, 1] + prog.root[j, 2]
        for lane in range(width):
            v = inputs.v_source[row + lane if inputs.v_source.shape[0] > 1 else 0, column]
            put_lane(v_re, k, lane, v.real)
            put_lane(v_im, k, lane, v.imag)


@inline
def _warm(prog, inputs, row, width, v_re, v_im):  # type: ignore[no-untyped-def]
    """Move nearly all the way to ``v_start``; entries that are not finite are no start."""
    for k in range(prog.slot.size):
        slot = prog.slot[k]
        if slot < 0:
            continue
        for lane in range(width):
            v = inputs.v_start[row + lane if inputs.v_start.shape[0] > 1 else 0, slot]
            if np.isfinite(v.real) and np.isfinite(v.imag):
                x, y = get_lane(v_re, k, lane), get_lane(v_im, k, lane)
                put_lane(v_re, k, lane, x + WARM_SHARE * (v.real - x))
                put_lane(v_im, k, lane, y + WARM_SHARE * (v.imag - y))


@inline
def _write(prog, row, lane, v_re, v_im, i_re, i_im, out):  # type: ignore[no-untyped-def]
    """A finished row into the caller's arrays, in feeder order."""
    out.v[row, :] = complex(np.nan, np.nan)
    out.current[row, :] = 0.0
    out.i_source[row, :] = 0.0
    for k in range(prog.slot.size):
        if prog.slot[k] >= 0:
            out.v[row, prog.slot[k]] = complex(get_lane(v_re, k, lane), get_lane(v_im, k, lane))
            out.current[row, prog.slot[k]] = complex(get_lane(i_re, k, lane), get_lane(i_im, k, lane))
    for j in range(prog.root.shape[0]):
        k, column = prog.root[j, 0], 3 * prog.root[j, 1] + prog.root[j, 2]
        out.i_source[row, column] = complex(get_lane(i_re, k, lane), get_lane(i_im, k, lane))


@inline
def _finite(i_re, i_im, lane):  # type: ignore[no-untyped-def]
    """Whether no current of a row is NaN or infinite: ``larger`` passes a NaN by."""
    for k in range(i_re.shape[0]):
        if not (np.isfinite(get_lane(i_re, k, lane)) and np.isfinite(get_lane(i_im, k, lane))):
            return False
    return True


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
def _sweep(prog, n_item, cell, active, item_active):  # type: ignore[no-untyped-def]
    """New voltages, then the currents they draw."""
    forward(prog, cell.taps, active, cell.p, cell.q, cell.v_re, cell.v_im, cell.i_re, cell.i_im, cell.track)
    _others(prog, n_item, cell, item_active)


@inline
def _others(prog, n_item, cell, item_active):  # type: ignore[no-untyped-def]
    """Currents of what is not constant power from a phase to ground."""
    i2_max = get(cell.track, 2)
    if prog.cap.shape[0] > 0:
        i2_max = bank_currents(prog, cell.cap_on, cell.v_re, cell.v_im, cell.i_re, cell.i_im, i2_max)
    if n_item > 0:
        i2_max = item_currents(
            prog, n_item, item_active, cell.item_p, cell.item_q, cell.room,
            cell.v_re, cell.v_im, cell.i_re, cell.i_im, i2_max,
        )  # fmt: skip
    put(cell.track, 2, i2_max)


@inline
def _begin(prog, inputs, n_item, row, width, scale, cell, active, item_active):  # type: ignore[no-untyped-def]
    """Arguments of the rows into the cell, then the first voltages and currents."""
    _gather_power(prog, inputs, row, width, scale, cell.p, cell.q, active)
    _gather_items(prog, inputs, n_item, row, width, scale, cell.item_p, cell.item_q, item_active)
    _gather_states(prog, inputs, row, width, cell.taps, cell.cap_on)
    _start(prog, inputs, row, width, cell.v_re, cell.v_im, cell.i_re, cell.i_im)
    forward(prog, cell.taps, active, cell.p, cell.q, cell.v_re, cell.v_im, cell.i_re, cell.i_im, cell.track)
    if inputs.v_start.shape[0] > 0:
        _warm(prog, inputs, row, width, cell.v_re, cell.v_im)
        for k in range(prog.node.shape[0]):
            node_currents(
                prog, k, active, cell.p, cell.q, cell.v_re, cell.v_im, cell.i_re, cell.i_im,
                get(cell.track, 1), get(cell.track, 2),
            )  # fmt: skip
    _others(prog, n_item, cell, item_active)


@inline
def _row(prog, inputs, n_item, row, scale, tol, max_iter, v_collapse, cell, active, item_active, out):  # type: ignore[no-untyped-def]
    """Solve one row."""
    _begin(prog, inputs, n_item, row, 1, scale, cell, active, item_active)
    track = cell.track
    streak, before, sunk = 0, 0.0, False
    d2, v2_min = 0.0, 1.0
    for sweep in range(1, max_iter + 2):
        backward(prog, cell.taps, cell.i_re, cell.i_im)
        settled = streak >= 2 and _finite(cell.i_re, cell.i_im, 0)
        runaway = sweep > 1 and d2 > RUNAWAY_PU * RUNAWAY_PU
        if settled or runaway or sweep == max_iter + 1:
            out.status[row] = _flags(settled, sunk, v2_min, v_collapse)
            out.iterations[row] = sweep - 1
            out.v_update_pu[row] = np.sqrt(d2)
            _write(prog, row, 0, cell.v_re, cell.v_im, cell.i_re, cell.i_im, out)
            return
        _sweep(prog, n_item, cell, active, item_active)
        before, d2, v2_min = d2, track[0], track[1]
        sunk |= v2_min < v_collapse * v_collapse
        streak = _judge(streak, d2, before, v2_min, track[2], tol)


@inline
def _block(prog, inputs, n_item, row, width, scale, tol, max_iter, v_collapse, cell, active, item_active, out):  # type: ignore[no-untyped-def]
    """Solve ``width`` rows beside each other; the same decisions as in `_row`, lane by lane."""
    _begin(prog, inputs, n_item, row, width, scale, cell, active, item_active)
    streak = np.zeros(LANES, dtype=np.int64)  # -1: row written
    before = np.zeros(LANES)
    sunk = np.zeros(LANES, dtype=np.bool_)
    d2_max, v2_min, i2_max = cell.track[0], cell.track[1], cell.track[2]
    d2_max[:] = 0.0
    left = width
    for sweep in range(1, max_iter + 2):
        backward(prog, cell.taps, cell.i_re, cell.i_im)
        for lane in range(width):
            if streak[lane] < 0:
                continue
            settled = streak[lane] >= 2 and _finite(cell.i_re, cell.i_im, lane)
            runaway = sweep > 1 and d2_max[lane] > RUNAWAY_PU * RUNAWAY_PU
            before[lane] = d2_max[lane]
            if not (settled or runaway or sweep == max_iter + 1):
                continue
            out.status[row + lane] = _flags(settled, sunk[lane], v2_min[lane], v_collapse)
            out.iterations[row + lane] = sweep - 1
            out.v_update_pu[row + lane] = np.sqrt(d2_max[lane])
            _write(prog, row + lane, lane, cell.v_re, cell.v_im, cell.i_re, cell.i_im, out)
            streak[lane] = -1
            left -= 1
        if left == 0:
            return
        _sweep(prog, n_item, cell, active, item_active)
        for lane in range(width):
            if streak[lane] < 0:
                continue
            sunk[lane] |= v2_min[lane] < v_collapse * v_collapse
            streak[lane] = _judge(streak[lane], d2_max[lane], before[lane], v2_min[lane], i2_max[lane], tol)


@kernel
def solve_rows(prog, inputs, n_item, lo, hi, scale, tol, max_iter, v_collapse, out):  # type: ignore[no-untyped-def]
    """Solve rows [lo, hi) of ``inputs`` into ``out``; ``scale`` is 1 over the base of one phase in MVA.

    ``n_item`` is how many items can draw power: those with a nominal load, or all where legs have arguments.
    A row alone takes the scalar code, which gives the same bits.
    """
    m = prog.slot.size
    n_tap, n_cap = prog.tap.shape[0], inputs.cap_on.shape[1]
    active = np.empty(m, dtype=np.bool_)
    item_active = np.empty(n_item, dtype=np.bool_)
    row = lo
    if hi - lo >= 2:
        room = np.zeros((6 * m + 2 * n_item + 2 * n_tap + n_cap + 6, LANES))
        a, b = 6 * m, 6 * m + 2 * n_item
        c = b + 2 * n_tap
        cell = Cell(
            room[:m], room[m : 2 * m], room[2 * m : 3 * m], room[3 * m : 4 * m], room[4 * m : 5 * m],
            room[5 * m : a], room[a : a + n_item], room[a + n_item : b],
            (room[b : b + n_tap], room[b + n_tap : c]), room[c : c + n_cap],
            room[c + n_cap : c + n_cap + 3], room[c + n_cap + 3 :],
        )  # fmt: skip
        while hi - row >= 2:
            width = min(LANES, hi - row)
            _block(
                prog, inputs, n_item, row, width, scale, tol, max_iter, v_collapse, cell, active, item_active,
                out,
            )  # fmt: skip
            row += width
    if row < hi:
        line = np.empty(6 * m + 2 * n_item + 2 * n_tap + n_cap + 6)
        a, b = 6 * m, 6 * m + 2 * n_item
        c = b + 2 * n_tap
        single = Cell(
            line[:m], line[m : 2 * m], line[2 * m : 3 * m], line[3 * m : 4 * m], line[4 * m : 5 * m],
            line[5 * m : a], line[a : a + n_item], line[a + n_item : b],
            (line[b : b + n_tap], line[b + n_tap : c]), line[c : c + n_cap],
            line[c + n_cap : c + n_cap + 3], line[c + n_cap + 3 :],
        )  # fmt: skip
        _row(
            prog, inputs, n_item, row, scale, tol, max_iter, v_collapse, single, active, item_active, out
        )
