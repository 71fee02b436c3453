"""Arguments of a batch into working memory, and results out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from ...numba_tools.jit import inline
from ...numba_tools.lanes import to_rows
from ...numba_tools.pointers import (  # fmt: skip
    across,
    advance,
    flat,
    get,
    get_lane,
    like,
    point,
    put,
    put_lane,
    width_of,
)
from ..kernel_tables import (
    CAP_WIDTH,
    ITEM_COEFS,
    ITEM_PLAIN,
    ITEM_SLOT,
    ITEM_WIDTH,
    N_SIZES,
    NODE_WIDTH,
    ROOT_WIDTH,
    SEGMENT_WIDTH,
    SHARE_P,
    SHARE_Q,
    TAP_WIDTH,
    Steps,
    Table,
)
from .segment_laws import V_FLOOR_PU

WARM_SHARE = 0.999  # a start on the lower branch, an unstable fixed point, is left for the upper one


@inline
def steps_of(prog, all_legs):  # type: ignore[no-untyped-def]
    """Pointers to a program; ``all_legs``: legs without a nominal load can draw power, too."""
    w, x = point(prog.whole), point(prog.number)
    n_segment, n_node, m, n_cap, n_tap = get(w, 0), get(w, 1), get(w, 2), get(w, 3), get(w, 4)
    n_item, n_root = get(w, 5), get(w, 6)
    node = N_SIZES + SEGMENT_WIDTH * n_segment
    slot = node + NODE_WIDTH * n_node
    cap = slot + m
    tap = cap + CAP_WIDTH * n_cap
    zone = tap + TAP_WIDTH * n_tap
    item = zone + m + n_tap
    root = item + ITEM_WIDTH * n_item
    bar = root + ROOT_WIDTH * n_root
    constant = get(w, 9)
    cap_b = constant + 2 * m
    start = cap_b + n_cap + n_tap + ITEM_COEFS * n_item
    return Steps(
        advance(w, N_SIZES), advance(w, node), advance(w, slot), advance(w, cap), advance(w, tap),
        advance(w, zone), advance(w, item), advance(w, root), advance(w, bar),
        advance(w, bar + get(w, 10) + get(w, 11)), x, advance(x, constant), advance(x, cap_b),
        advance(x, cap_b + n_cap), advance(x, cap_b + n_cap + n_tap),
        advance(x, start), advance(x, start + 6 * m + 2),
        n_segment, n_node, m, n_cap, n_tap, n_item if all_legs else get(w, 8), get(w, 7), n_root,
        get(w, 10), get(w, 11), get(w, 12), get(w, 13),
    )  # fmt: skip


@inline
def table(array, columns):  # type: ignore[no-untyped-def]
    """An argument as pointer and sizes."""
    return Table(flat(array), array.size // columns if columns > 0 else array.shape[0], columns)


@inline
def _row(argument, row):  # type: ignore[no-untyped-def]
    """Pointer to the entries of a row; one row serves all."""
    return advance(argument.data, argument.columns * row if argument.rows > 1 else 0)


@inline
def _column(argument, row, last, width, pointer, slot):  # type: ignore[no-untyped-def]
    """Entry ``slot`` of rows [row, row + width) as ``pointer`` holds it; rows after ``last`` repeat that."""
    stride = argument.columns if argument.rows > 1 else 0
    data = advance(argument.data, stride * row + slot)
    return across(pointer, data, stride, min(width, last - row + 1))


@inline
def gather_power(net, cell, p_mw, q_mvar, p_inject, q_inject, row, last, scale):  # type: ignore[no-untyped-def]
    """Constant power of every conductor in pu, less injections, of rows [row, last]."""
    m, width = net.n_conductor, width_of(cell.p)
    zero = like(cell.p, 0.0)
    for k in range(m):
        slot = get(net.slot, k)
        power, reactive = zero, zero
        if slot >= 0:
            power = _column(p_mw, row, last, width, cell.p, slot) * get(net.constant, k)
            reactive = _column(q_mvar, row, last, width, cell.q, slot) * get(net.constant, m + k)
            if p_inject.rows > 0:
                power = power - _column(p_inject, row, last, width, cell.p, slot)
            if q_inject.rows > 0:
                reactive = reactive - _column(q_inject, row, last, width, cell.q, slot)
        put(cell.p, k, power * scale)
        put(cell.q, k, reactive * scale)


@inline
def gather_items(  # type: ignore[no-untyped-def]
    net, cell, first, end, p_mw, q_mvar, p_inject, q_inject, row, last, scale
):
    """The same for items [first, end): nominal power in pu. Those that draw any are listed as live."""
    live, width = get(cell.live, 0), width_of(cell.p)
    for j in range(first, end):
        item, coef = advance(net.item, ITEM_WIDTH * j), advance(net.item_coef, ITEM_COEFS * j)
        slot = get(item, ITEM_SLOT)
        power = _column(p_mw, row, last, width, cell.p, slot) * get(coef, SHARE_P)
        reactive = _column(q_mvar, row, last, width, cell.q, slot) * get(coef, SHARE_Q)
        if get(item, ITEM_PLAIN) != 0:
            if p_inject.rows > 0:
                power = power - _column(p_inject, row, last, width, cell.p, slot)
            if q_inject.rows > 0:
                reactive = reactive - _column(q_inject, row, last, width, cell.q, slot)
        put(cell.item_p, j, power * scale)
        put(cell.item_q, j, reactive * scale)
        some = False
        for lane in range(width):
            some |= get_lane(cell.item_p, j, lane) != 0.0 or get_lane(cell.item_q, j, lane) != 0.0
        if some:
            live += 1
            put(cell.live, live, j)
    put(cell.live, 0, live)


@inline
def arguments_finite(net, cell, lane):  # type: ignore[no-untyped-def]
    """Whether the powers that were gathered are numbers."""
    total = 0.0
    for k in range(net.n_conductor):
        total += get_lane(cell.p, k, lane) * 0.0 + get_lane(cell.q, k, lane) * 0.0
    for j in range(net.n_item):
        total += get_lane(cell.item_p, j, lane) * 0.0 + get_lane(cell.item_q, j, lane) * 0.0
    return total == 0.0


@inline
def barred(bar, count, argument, row):  # type: ignore[no-untyped-def]
    """Whether an argument is zero at ``count`` slots where no power can be."""
    if argument.rows == 0:
        return True
    data = _row(argument, row)
    clean = True
    for k in range(count):
        clean &= get(data, get(bar, k)) == 0.0
    return clean


@inline
def gather_states(net, cell, tap, cap_on, row, lane):  # type: ignore[no-untyped-def]
    """Ratio of every tap entry as seen from the parent, what it makes of its impedance, and banks."""
    tap_row, cap_row = _row(tap, row), _row(cap_on, row)
    put_lane(cell.lift, 0, lane, 1.0)
    for j in range(net.n_tap):
        ratio, regulator = get(net.tap_factor, j), get(net.tap, TAP_WIDTH * j)
        if regulator >= 0:
            ratio *= get(tap_row, regulator)
        if get(net.tap, TAP_WIDTH * j + 1) == 0:
            put_lane(cell.square, j, lane, ratio * ratio)
        else:
            ratio = 1.0 / ratio
            put_lane(cell.square, j, lane, 1.0)
        put_lane(cell.ratio, j, lane, ratio)
        neutral = (
            get(net.tap_factor, j) if get(net.tap, TAP_WIDTH * j + 1) == 0 else 1.0 / get(net.tap_factor, j)
        )
        before = get_lane(cell.lift, get(net.zone, net.n_conductor + j), lane)
        put_lane(cell.lift, j + 1, lane, before * (ratio / neutral))
    for j in range(cap_on.columns):
        put_lane(cell.cap_on, j, lane, get(cap_row, j))


@inline
def at_rest(net, cell):  # type: ignore[no-untyped-def]
    """No voltage at any node and no current, which the first sweep turns into no load."""
    zero, one = like(cell.v_re, 0.0), like(cell.v_re, 1.0)
    for k in range(net.n_conductor):
        put(cell.v_re, k, zero if get(net.slot, k) >= 0 else one)  # numbers left out have 1 pu
        put(cell.v_im, k, zero)
        put(cell.w, k, one)
        put(cell.p_sum, k, zero)
        put(cell.q_sum, k, zero)
        put(cell.i_re, k, zero)
        put(cell.i_im, k, zero)


@inline
def gather_source(net, cell, v_source, row, lane):  # type: ignore[no-untyped-def]
    """Sources at their voltage."""
    for j in range(net.n_root):
        root = advance(net.root, ROOT_WIDTH * j)
        v = v_source[row if v_source.shape[0] > 1 else 0, 3 * get(root, 1) + get(root, 2)]
        put_lane(cell.v_re, get(root, 0), lane, v.real)
        put_lane(cell.v_im, get(root, 0), lane, v.imag)
        size = v.real * v.real + v.imag * v.imag
        put_lane(cell.w, get(root, 0), lane, 1.0 / max(size, V_FLOOR_PU * V_FLOOR_PU))


@inline
def warm(net, cell, v_start, row, lane):  # type: ignore[no-untyped-def]
    """Move nearly all the way to ``v_start``; entries that are not finite are no start."""
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        if slot < 0:
            continue
        v = v_start[row if v_start.shape[0] > 1 else 0, slot]
        if np.isfinite(v.real) and np.isfinite(v.imag):
            x, y = get_lane(cell.v_re, k, lane), get_lane(cell.v_im, k, lane)
            x, y = x + WARM_SHARE * (v.real - x), y + WARM_SHARE * (v.imag - y)
            put_lane(cell.v_re, k, lane, x)
            put_lane(cell.v_im, k, lane, y)
            put_lane(cell.w, k, lane, 1.0 / max(x * x + y * y, V_FLOOR_PU * V_FLOOR_PU))


@inline
def write_row(net, cell, lane, phasors):  # type: ignore[no-untyped-def]
    """A finished row into the caller's array: voltages and currents by slot, then those of the sources."""
    n = net.n_slot
    with_currents = phasors.size > n
    phasors[:n] = complex(np.nan, np.nan)
    phasors[n:] = 0.0
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        if slot >= 0:
            phasors[slot] = complex(get_lane(cell.v_re, k, lane), get_lane(cell.v_im, k, lane))
            if with_currents:
                phasors[n + slot] = complex(get_lane(cell.i_re, k, lane), get_lane(cell.i_im, k, lane))
    for j in range(net.n_root if with_currents else 0):
        root = advance(net.root, ROOT_WIDTH * j)
        k = get(root, 0)
        place = 2 * n + 3 * get(root, 1) + get(root, 2)
        phasors[place] = complex(get_lane(cell.i_re, k, lane), get_lane(cell.i_im, k, lane))


def write_rows(net: Any, cell: Any, row: Any, phasors: Any) -> None:
    """`write_row` of all lanes of a block that begins at ``row``."""
    raise NotImplementedError("only inside compiled kernels")


@overload(write_rows, jit_options={"error_model": "numpy"})
def _write_rows(net, cell, row, phasors):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _write_one if cell.types[0].entry == "number" else _write_lanes


def _write_one(net, cell, row, phasors):  # type: ignore[no-untyped-def]
    pass  # a lone row is never a whole block


def _write_lanes(net, cell, row, phasors):  # type: ignore[no-untyped-def]
    n, width = net.n_slot, width_of(cell.v_re)
    with_currents = phasors.shape[1] > n
    for j in range(row, row + width):
        phasors[j, :n] = complex(np.nan, np.nan)
        phasors[j, n:] = 0.0
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        if slot >= 0:
            to_rows(phasors, row, slot, get(cell.v_re, k), get(cell.v_im, k))
            if with_currents:
                to_rows(phasors, row, n + slot, get(cell.i_re, k), get(cell.i_im, k))
    for j in range(net.n_root if with_currents else 0):
        root = advance(net.root, ROOT_WIDTH * j)
        k = get(root, 0)
        to_rows(phasors, row, 2 * n + 3 * get(root, 1) + get(root, 2), get(cell.i_re, k), get(cell.i_im, k))
