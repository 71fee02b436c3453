"""Loads, shunts, currents and their slopes at a solved state, block by block."""

from __future__ import annotations

from ...load_models import load_power_slope
from ...numba_tools.jit import inline
from ...numba_tools.lanes import anywhere, every, from_rows, larger, load, pick, put, root, store, width
from ..kernel_tables import (
    CONSTANT,
    CURVED,
    CVR_P,
    CVR_Q,
    HIGH,
    I_P,
    I_Q,
    LOW,
    MODEL,
    RATED,
    SCALE,
    SHARE_P,
    SHARE_Q,
    TAP_LEG,
    Z_P,
    Z_Q,
)
from .adjoint_blocks import (
    COEF,
    DENSE,
    DENSE_NUMBERS,
    FIRST,
    FLOATS,
    KIND,
    LINK,
    PARENT,
    PICKED,
    ROOT,
    S_BLOCK,
    S_CHILD,
    S_KIND,
    S_REFERENCE,
    SHUNT,
    TAPPED,
    A,
    B,
    D,
    N,
    dense_of_taps,
)
from .load_power import banded

SLOPE_PU = 1e-6  # distance over which the slope of a load outside its band is taken
FAINT = 1e-200  # squared voltage that divides


@inline
def take(room, table, row, last, column):  # type: ignore[no-untyped-def]
    """A column of rows [row, last] of a table, whose single row may serve all; 0 where it has none.

    Lanes beyond repeat the last row.
    """
    if table.shape[0] <= 1:
        return every(room.note, table[0, column] if table.shape[0] == 1 else 0.0)
    if last - row + 1 == width(room.note):
        return from_rows(room.note, table, row, column)
    for lane in range(width(room.note)):
        put(room.note, 0, 0, lane, table[min(row + lane, last), column])
    return load(room.note, 0, 0)


@inline
def add(table, k, x, y):  # type: ignore[no-untyped-def]
    """Add x + jy to a pair."""
    store(table, k, 0, load(table, k, 0) + x)
    store(table, k, 1, load(table, k, 1) + y)


@inline
def open_row(room, b, i):  # type: ignore[no-untyped-def]
    """Zeros in row and column i of a block's M, beside those that it has."""
    some, zero = room.some[b], every(room.note, 0.0)
    if some >> i & 1:
        return
    room.some[b] = some | 1 << i
    if some == 0:  # the most common by far
        for o in (14 * i, 14 * i + 6):
            store(room.big, b, o, zero)
            store(room.big, b, o + 1, zero)
        return
    some |= 1 << i
    for k in range(3):
        if some >> k & 1:
            for o in (12 * i + 2 * k, 12 * k + 2 * i):
                store(room.big, b, o, zero)
                store(room.big, b, o + 1, zero)
                store(room.big, b, o + 6, zero)
                store(room.big, b, o + 7, zero)


@inline
def open_all(room, b, n):  # type: ignore[no-untyped-def]
    """The same of all conductors of a block."""
    for i in range(n):
        open_row(room, b, i)


@inline
def begin(tree, room, row, last, v, v_source, tap):  # type: ignore[no-untyped-def]
    """Voltages, ratios, and everything else to zero. ``v, v_source``: pairs of columns."""
    zero = every(room.note, 0.0)
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot >= 0:
            store(room.v, k, 0, take(room, v, row, last, 2 * slot))
            store(room.v, k, 1, take(room, v, row, last, 2 * slot + 1))
        for j in range(2):
            store(room.j, k, j, zero)
            store(room.by_j, k, j, zero)
    for k in range(tree.root.shape[0]):
        c, column = tree.root[k, 0], 2 * (3 * tree.root[k, 1] + tree.root[k, 2])
        store(room.v, c, 0, take(room, v_source, row, last, column))
        store(room.v, c, 1, take(room, v_source, row, last, column + 1))
    for b in range(tree.block.shape[0]):
        room.some[b] = 0
        if tree.block[b, KIND] == ROOT:
            open_all(room, b, tree.block[b, N])
        for j in range(6):
            store(room.n, b, j, zero)
    _ratios(tree, room, row, last, tap)


@inline
def _ratios(tree, room, row, last, tap):  # type: ignore[no-untyped-def]
    """Tap entries as seen from the parent, and the dense blocks of the row."""
    one = every(room.note, 1.0)
    for e in range(tree.tap.shape[0]):
        ratio = every(room.note, tree.tap_factor[e])
        if tree.tap[e, 0] >= 0:
            ratio = ratio * take(room, tap, row, last, tree.tap[e, 0])
        square = ratio * ratio
        if tree.tap[e, 1] == 1:
            ratio, square = one / ratio, one
        store(room.ratio, e, 0, ratio)
        store(room.ratio, e, 1, square)
    for b in range(tree.block.shape[0]):
        if tree.block[b, KIND] == TAPPED:
            dense_of_taps(tree, b, room)
        elif tree.block[b, KIND] == DENSE:
            for k in range(DENSE_NUMBERS):
                store(room.dense, b, k, every(room.note, tree.number[tree.block[b, COEF] + k]))


@inline
def _slope(tree, room, a, c, xx, xy, yx, yy):  # type: ignore[no-untyped-def]
    """The current at conductor a answers to the voltage at conductor c of its block."""
    b, i, k = tree.place[a, 0], tree.place[a, 1], tree.place[c, 1]
    open_row(room, b, i)
    open_row(room, b, k)
    o = 12 * i + 2 * k
    store(room.big, b, o, load(room.big, b, o) + xx)
    store(room.big, b, o + 1, load(room.big, b, o + 1) + xy)
    store(room.big, b, o + 6, load(room.big, b, o + 6) + yx)
    store(room.big, b, o + 7, load(room.big, b, o + 7) + yy)


@inline
def _stamp(tree, room, a, c, e, f, xx, xy, yx, yy):  # type: ignore[no-untyped-def]
    """A current e + jf out of a into c (ground: c < 0), and its slope by the voltage across them."""
    add(room.j, a, e, f)
    _slope(tree, room, a, a, xx, xy, yx, yy)
    if c >= 0:
        add(room.j, c, 0.0 - e, 0.0 - f)
        _slope(tree, room, c, c, xx, xy, yx, yy)
        _slope(tree, room, a, c, 0.0 - xx, 0.0 - xy, 0.0 - yx, 0.0 - yy)
        _slope(tree, room, c, a, 0.0 - xx, 0.0 - xy, 0.0 - yx, 0.0 - yy)


@inline
def _across(room, a, c):  # type: ignore[no-untyped-def]
    x, y = load(room.v, a, 0), load(room.v, a, 1)
    if c >= 0:
        x, y = x - load(room.v, c, 0), y - load(room.v, c, 1)
    return x, y


@inline
def _draw(tree, room, a, c, x, y, p, q, s_re, s_im):  # type: ignore[no-untyped-def]
    """Power p + jq across x + jy; ``s``: conj of its slope by |V|, over |V|^2 / V."""
    w = 1.0 / larger(x * x + y * y, every(room.note, FAINT))
    e, f = (p * x + q * y) * w, (p * y - q * x) * w
    h_re, h_im = (e * x - f * y) * w, (e * y + f * x) * w  # I / conj(V)
    _stamp(
        tree, room, a, c, e, f, s_re * x - h_re, s_re * y - h_im, s_im * x - h_im, s_im * y + h_re
    )  # fmt: skip


@inline
def _constant(tree, room, row, last, given, scale):  # type: ignore[no-untyped-def]
    """What draws constant power from phase to ground."""
    p_mw, q_mvar, p_in, q_in = given[0], given[1], given[2], given[3]
    zero = every(room.note, 0.0)
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        p = take(room, p_mw, row, last, slot) * tree.constant[0, k] - take(room, p_in, row, last, slot)
        q = take(room, q_mvar, row, last, slot) * tree.constant[1, k] - take(room, q_in, row, last, slot)
        if anywhere(p * p + q * q):
            x, y = load(room.v, k, 0), load(room.v, k, 1)
            _draw(tree, room, k, -1, x, y, p * scale, q * scale, zero, zero)


@inline
def _curved(coef, u, p, q):  # type: ignore[no-untyped-def]
    """P, Q of a load at ``u`` pu and their slopes; outside its band by a difference."""
    low, high, rated = coef[LOW], coef[HIGH], coef[RATED]
    now_p = banded(p, coef[Z_P], coef[I_P], coef[CVR_P], low, high, rated, u)
    now_q = banded(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], low, high, rated, u)
    if low < u < high:
        dp = load_power_slope(p, coef[Z_P], coef[I_P], coef[CVR_P], u)
        dq = load_power_slope(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], u)
        return now_p, now_q, dp, dq
    h = SLOPE_PU
    dp = banded(p, coef[Z_P], coef[I_P], coef[CVR_P], low, high, rated, u + h)
    dp -= banded(p, coef[Z_P], coef[I_P], coef[CVR_P], low, high, rated, u - h)
    dq = banded(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], low, high, rated, u + h)
    dq -= banded(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], low, high, rated, u - h)
    return now_p, now_q, dp / (2.0 * h), dq / (2.0 * h)


@inline
def _items(tree, room, row, last, given, scale, many):  # type: ignore[no-untyped-def]
    """The first ``many`` of the loads that depend on voltage and of what stands between two phases."""
    p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in = given
    zero = every(room.note, 0.0)
    for k in range(many):
        a, c, slot = tree.item[k, 0], tree.item[k, 1], tree.item[k, 2]
        coef = tree.item_coef[k]
        p_of, q_of = (p_mw, q_mvar) if c < 0 else (p_leg, q_leg)
        p = take(room, p_of, row, last, slot) * coef[SHARE_P]
        q = take(room, q_of, row, last, slot) * coef[SHARE_Q]
        if tree.item[k, 3] == 1:
            p_of, q_of = (p_in, q_in) if c < 0 else (p_leg_in, q_leg_in)
            p, q = p - take(room, p_of, row, last, slot), q - take(room, q_of, row, last, slot)
        if not anywhere(p * p + q * q):
            continue
        p, q = p * scale, q * scale
        x, y = _across(room, a, c)
        if coef[MODEL] == CONSTANT:
            _draw(tree, room, a, c, x, y, p, q, zero, zero)
            continue
        v2 = larger(x * x + y * y, every(room.note, FAINT))
        v = root(v2)
        u = v * coef[SCALE]
        if coef[MODEL] == CURVED:
            store(room.small, 0, 0, p)
            store(room.small, 0, 1, q)
            store(room.small, 0, 2, u)
            for lane in range(width(room.note)):
                each = pick(room.small, 0, 0, lane), pick(room.small, 0, 1, lane)
                found = _curved(coef, pick(room.small, 0, 2, lane), each[0], each[1])
                for f in range(4):
                    put(room.small, 0, 36 + f, lane, found[f])
            p, q = load(room.small, 0, 36), load(room.small, 0, 37)
            dp, dq = load(room.small, 0, 38), load(room.small, 0, 39)
        else:
            dp, dq = p * (2.0 * coef[Z_P] * u + coef[I_P]), q * (2.0 * coef[Z_Q] * u + coef[I_Q])
            p = p * (coef[Z_P] * u * u + coef[I_P] * u + (1.0 - coef[Z_P] - coef[I_P]))
            q = q * (coef[Z_Q] * u * u + coef[I_Q] * u + (1.0 - coef[Z_Q] - coef[I_Q]))
        s = coef[SCALE] / (v2 * v)
        _draw(tree, room, a, c, x, y, p, q, (dp * x + dq * y) * s, (dp * y - dq * x) * s)


@inline
def loads(tree, room, row, last, given, scale, cap_on, all_legs):  # type: ignore[no-untyped-def]
    """Currents and slopes of all that stands at the nodes but for fixed shunts.

    ``all_legs``: legs without a nominal load may draw power.
    """
    _constant(tree, room, row, last, given, scale)
    _items(tree, room, row, last, given, scale, tree.item.shape[0] if all_legs else tree.n_nominal)
    zero = every(room.note, 0.0)
    for k in range(tree.cap.shape[0]):
        a, c = tree.cap[k, 0], tree.cap[k, 1]
        b = take(room, cap_on, row, last, tree.cap[k, 2]) * tree.cap_b[k]
        x, y = _across(room, a, c)
        _stamp(tree, room, a, c, 0.0 - b * y, b * x, zero, 0.0 - b, b, zero)


@inline
def shunts(tree, room):  # type: ignore[no-untyped-def]
    """Admittance blocks of the nodes."""
    for b in range(tree.block.shape[0]):
        o = tree.block[b, SHUNT]
        if o < 0:
            continue
        first, n = tree.block[b, FIRST], tree.block[b, N]
        open_all(room, b, n)
        for i in range(n):
            e, f = load(room.j, first + i, 0), load(room.j, first + i, 1)
            for k in range(n):
                g, s = tree.number[o], tree.number[o + 1]
                o += 2
                x, y = load(room.v, first + k, 0), load(room.v, first + k, 1)
                e, f = e + (g * x - s * y), f + (g * y + s * x)
                at = 12 * i + 2 * k
                store(room.big, b, at, load(room.big, b, at) + g)
                store(room.big, b, at + 1, load(room.big, b, at + 1) - s)
                store(room.big, b, at + 6, load(room.big, b, at + 6) + s)
                store(room.big, b, at + 7, load(room.big, b, at + 7) + g)
            store(room.j, first + i, 0, e)
            store(room.j, first + i, 1, f)


@inline
def currents(tree, room):  # type: ignore[no-untyped-def]
    """Currents of all segments, leaves first, and how far Ohm's law fails."""
    worst = every(room.note, 0.0)
    for b in range(tree.block.shape[0] - 1, -1, -1):
        kind = tree.block[b, KIND]
        if kind == ROOT:
            continue
        first, n, up = tree.block[b, FIRST], tree.block[b, N], tree.block[b, PARENT]
        above = tree.block[up, FIRST]
        if kind == PICKED:
            if n == 3:
                worst = _through_picked(tree, room, b, first, 3, above, worst)
            else:
                worst = _through_picked(tree, room, b, first, n, above, worst)
        else:
            worst = _through_dense(tree, room, b, first, n, above, tree.block[up, N], worst)
    return root(worst)


@inline
def _through_picked(tree, room, b, first, n, above, worst):  # type: ignore[no-untyped-def]
    """A block whose A and D pick: its currents are its parent's, and their drop is missing."""
    o = tree.block[b, COEF]
    for i in range(n):
        p = above + tree.block[b, LINK + i]
        x = load(room.v, p, 0) - load(room.v, first + i, 0)
        y = load(room.v, p, 1) - load(room.v, first + i, 1)
        for k in range(n):
            re, im = tree.number[o], tree.number[o + 1]
            o += 2
            e, f = load(room.j, first + k, 0), load(room.j, first + k, 1)
            x, y = x - (re * e - im * f), y - (re * f + im * e)
        worst = larger(x * x + y * y, worst)
        add(room.j, p, load(room.j, first + i, 0), load(room.j, first + i, 1))
    return worst


@inline
def _through_dense(tree, room, b, first, n, above, many, worst):  # type: ignore[no-untyped-def]
    """The same of a dense block; what floats is not held against Ohm's law."""
    for p in range(many):
        x, y = load(room.j, above + p, 0), load(room.j, above + p, 1)
        for i in range(n):
            re, im = load(room.dense, b, D + 6 * p + 2 * i), load(room.dense, b, D + 6 * p + 2 * i + 1)
            e, f = load(room.j, first + i, 0), load(room.j, first + i, 1)
            x, y = x + (re * e - im * f), y + (re * f + im * e)
        store(room.j, above + p, 0, x)
        store(room.j, above + p, 1, y)
    if tree.block[b, FLOATS] == 1:
        return worst
    for i in range(n):
        x, y = 0.0 - load(room.v, first + i, 0), 0.0 - load(room.v, first + i, 1)
        for p in range(many):
            re, im = load(room.dense, b, A + 6 * i + 2 * p), load(room.dense, b, A + 6 * i + 2 * p + 1)
            e, f = load(room.v, above + p, 0), load(room.v, above + p, 1)
            x, y = x + (re * e - im * f), y + (re * f + im * e)
        for k in range(n):
            re, im = load(room.dense, b, B + 6 * i + 2 * k), load(room.dense, b, B + 6 * i + 2 * k + 1)
            e, f = load(room.j, first + k, 0), load(room.j, first + k, 1)
            x, y = x - (re * e - im * f), y - (re * f + im * e)
        worst = larger(x * x + y * y, worst)
    return worst


@inline
def through_legs(tree, room):  # type: ignore[no-untyped-def]
    """From currents into conductors to those of segments: a leg's flows through its reference, too."""
    for s in range(tree.step.shape[0] - 1, -1, -1):
        if tree.step[s, S_KIND] == TAP_LEG:
            first = tree.block[tree.step[s, S_BLOCK], FIRST]
            c, r = first + tree.step[s, S_CHILD], first + tree.step[s, S_REFERENCE]
            add(room.j, r, load(room.j, c, 0), load(room.j, c, 1))


@inline
def from_legs(tree, room):  # type: ignore[no-untyped-def]
    """From what f has of currents of segments to that of currents into conductors."""
    for s in range(tree.step.shape[0]):
        if tree.step[s, S_KIND] == TAP_LEG:
            first = tree.block[tree.step[s, S_BLOCK], FIRST]
            c, r = first + tree.step[s, S_CHILD], first + tree.step[s, S_REFERENCE]
            add(room.by_j, c, load(room.by_j, r, 0), load(room.by_j, r, 1))
