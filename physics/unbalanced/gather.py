"""Arguments of a batch into working memory, and results out of it."""

from __future__ import annotations

import numpy as np

from .generic import advance, flat, get, get_lane, inline, like, point, put, put_lane
from .program import (
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
    item = tap + TAP_WIDTH * n_tap
    root = item + ITEM_WIDTH * n_item
    bar = root + ROOT_WIDTH * n_root
    constant = get(w, 9)
    cap_b = constant + 2 * m
    return Steps(
        advance(w, N_SIZES), advance(w, node), advance(w, slot), advance(w, cap), advance(w, tap),
        advance(w, item), advance(w, root), advance(w, bar), x, advance(x, constant), advance(x, cap_b),
        advance(x, cap_b + n_cap), advance(x, cap_b + n_cap + n_tap),
        n_segment, n_node, m, n_cap, n_tap, n_item if all_legs else get(w, 8), get(w, 7), n_root,
        get(w, 10), get(w, 11),
    )  # fmt: skip


@inline
def table(array):  # type: ignore[no-untyped-def]
    """An argument as pointer and sizes."""
    return Table(flat(array), array.shape[0], array.shape[1])


@inline
def _row(argument, row):  # type: ignore[no-untyped-def]
    """Pointer to the entries of a row; one row serves all."""
    return advance(argument.data, argument.columns * row if argument.rows > 1 else 0)


@inline
def gather_power(net, cell, p_mw, q_mvar, p_inject, q_inject, row, lane, scale):  # type: ignore[no-untyped-def]
    """Constant power of every conductor in pu, less injections, of one row; whether all is finite."""
    zero = 0.0
    p_row, q_row = _row(p_mw, row), _row(q_mvar, row)
    p_less, q_less = _row(p_inject, row), _row(q_inject, row)
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        power, reactive = 0.0, 0.0
        if slot >= 0:
            power = get(p_row, slot) * get(net.constant, k)
            reactive = get(q_row, slot) * get(net.constant, net.n_conductor + k)
            if p_inject.rows > 0:
                power -= get(p_less, slot)
            if q_inject.rows > 0:
                reactive -= get(q_less, slot)
        put_lane(cell.p, k, lane, power * scale)
        put_lane(cell.q, k, lane, reactive * scale)
        some = power != 0.0 or reactive != 0.0
        put(cell.active, k, some if lane == 0 else some or get(cell.active, k))
        zero += (power + reactive) * 0.0
    return zero == 0.0


@inline
def gather_items(net, cell, first, last, p_mw, q_mvar, p_inject, q_inject, row, lane, scale):  # type: ignore[no-untyped-def]
    """The same for items [first, last): nominal power in pu."""
    zero = 0.0
    p_row, q_row = _row(p_mw, row), _row(q_mvar, row)
    p_less, q_less = _row(p_inject, row), _row(q_inject, row)
    for j in range(first, last):
        item, coef = advance(net.item, ITEM_WIDTH * j), advance(net.item_coef, ITEM_COEFS * j)
        slot = get(item, ITEM_SLOT)
        power = get(p_row, slot) * get(coef, SHARE_P)
        reactive = get(q_row, slot) * get(coef, SHARE_Q)
        if get(item, ITEM_PLAIN) != 0:
            if p_inject.rows > 0:
                power -= get(p_less, slot)
            if q_inject.rows > 0:
                reactive -= get(q_less, slot)
        put_lane(cell.item_p, j, lane, power * scale)
        put_lane(cell.item_q, j, lane, reactive * scale)
        some = power != 0.0 or reactive != 0.0
        put(cell.item_active, j, some if lane == 0 else some or get(cell.item_active, j))
        zero += (power + reactive) * 0.0
    return zero == 0.0


@inline
def barred(net, legs, argument, row):  # type: ignore[no-untyped-def]
    """Whether an argument is zero on every phase, or leg, where no power can be."""
    if argument.rows == 0:
        return True
    data = _row(argument, row)
    first, last = (net.n_bar_wye, net.n_bar_wye + net.n_bar_leg) if legs else (0, net.n_bar_wye)
    clean = True
    for k in range(first, last):
        clean &= get(data, get(net.bar, k)) == 0.0
    return clean


@inline
def gather_states(net, cell, tap, cap_on, row, lane):  # type: ignore[no-untyped-def]
    """Ratio of every tap entry as seen from the parent, what it makes of its impedance, and banks."""
    tap_row, cap_row = _row(tap, row), _row(cap_on, row)
    for j in range(net.n_tap):
        ratio, regulator = get(net.tap_factor, j), get(net.tap, TAP_WIDTH * j)
        if regulator >= 0:
            ratio *= get(tap_row, regulator)
        if get(net.tap, TAP_WIDTH * j + 1) == 0:
            put_lane(cell.ratio, j, lane, ratio)
            put_lane(cell.square, j, lane, ratio * ratio)
        else:
            put_lane(cell.ratio, j, lane, 1.0 / ratio)
            put_lane(cell.square, j, lane, 1.0)
    for j in range(cap_on.columns):
        put_lane(cell.cap_on, j, lane, get(cap_row, j))


@inline
def at_rest(net, cell):  # type: ignore[no-untyped-def]
    """Everything zero, which the first sweep turns into no load."""
    zero = like(cell.v_re, 0.0)
    for k in range(net.n_conductor):
        put(cell.v_re, k, zero)
        put(cell.v_im, k, zero)
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
            put_lane(cell.v_re, k, lane, x + WARM_SHARE * (v.real - x))
            put_lane(cell.v_im, k, lane, y + WARM_SHARE * (v.imag - y))


@inline
def write_row(net, cell, lane, phasors, n_slot):  # type: ignore[no-untyped-def]
    """A finished row into the caller's array: voltages and currents by slot, then those of the sources."""
    phasors[:n_slot] = complex(np.nan, np.nan)
    phasors[n_slot:] = 0.0
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        if slot >= 0:
            phasors[slot] = complex(get_lane(cell.v_re, k, lane), get_lane(cell.v_im, k, lane))
            phasors[n_slot + slot] = complex(get_lane(cell.i_re, k, lane), get_lane(cell.i_im, k, lane))
    for j in range(net.n_root):
        root = advance(net.root, ROOT_WIDTH * j)
        k = get(root, 0)
        place = 2 * n_slot + 3 * get(root, 1) + get(root, 2)
        phasors[place] = complex(get_lane(cell.i_re, k, lane), get_lane(cell.i_im, k, lane))


@inline
def finite(net, cell, lane):  # type: ignore[no-untyped-def]
    """Whether no current of a row is NaN or infinite: ``larger`` passes a NaN by."""
    total = 0.0
    for k in range(net.n_conductor):
        total += get_lane(cell.i_re, k, lane) * 0.0 + get_lane(cell.i_im, k, lane) * 0.0
    return total == 0.0
