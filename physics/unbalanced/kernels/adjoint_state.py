"""Loads, shunts, currents and their slopes at a solved state, block by block."""

from __future__ import annotations

import numpy as np

from ...load_models import load_power as model_power
from ...load_models import load_power_slope
from ...numba_tools.jit import inline
from ..kernel_tables import (
    CONSTANT,
    CVR_P,
    CVR_Q,
    HIGH,
    I_P,
    I_Q,
    LOW,
    MODEL,
    SCALE,
    SHARE_P,
    SHARE_Q,
    TAP_LEG,
    Z_P,
    Z_Q,
)
from .adjoint_blocks import (
    COEF,
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
from .newton_system import LEAST_PU, SLOPE_PU, load_power, row_of


@inline
def begin(tree, room, v, emf, tap):  # type: ignore[no-untyped-def]
    """Voltages, ratios, and everything else to zero."""
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot >= 0:
            z = v[slot]
            room.v[k, 0], room.v[k, 1] = z.real, z.imag
        for j in range(2):
            room.j[k, j] = 0.0
            room.by_j[k, j] = 0.0
    for k in range(tree.root.shape[0]):
        z = emf[3 * tree.root[k, 1] + tree.root[k, 2]]
        room.v[tree.root[k, 0], 0], room.v[tree.root[k, 0], 1] = z.real, z.imag
    for b in range(tree.block.shape[0]):
        room.some[b] = 0
        for j in range(36):
            room.big[b, j] = 0.0
        for j in range(6):
            room.n[b, j] = 0.0
    for e in range(tree.tap.shape[0]):
        ratio = tree.tap_factor[e]
        if tree.tap[e, 0] >= 0:
            ratio *= tap[tree.tap[e, 0]]
        room.square[e] = ratio * ratio
        room.ratio[e] = ratio
        if tree.tap[e, 1] == 1:
            room.ratio[e], room.square[e] = 1.0 / ratio, 1.0
    for b in range(tree.block.shape[0]):
        if tree.block[b, KIND] == TAPPED:
            dense_of_taps(tree, b, room.ratio, room.square, room.tapped, DENSE_NUMBERS * b)


@inline
def _slope(tree, room, a, c, xx, xy, yx, yy):  # type: ignore[no-untyped-def]
    """The current at conductor a answers to the voltage at conductor c of its block."""
    b, i, k = tree.place[a, 0], tree.place[a, 1], tree.place[c, 1]
    o = 12 * i + 2 * k
    room.big[b, o] += xx
    room.big[b, o + 1] += xy
    room.big[b, o + 6] += yx
    room.big[b, o + 7] += yy
    room.some[b] |= (1 << i) | (1 << k)


@inline
def _draw(tree, room, a, c, p, q, dp, dq, scale):  # type: ignore[no-untyped-def]
    """Power p + jq with slopes dp and dq by |V| / scale, between conductor a and c or ground (c < 0)."""
    x, y = room.v[a, 0], room.v[a, 1]
    if c >= 0:
        x -= room.v[c, 0]
        y -= room.v[c, 1]
    v2 = max(x * x + y * y, 1e-12)
    w = 1.0 / v2
    e, f = (p * x + q * y) * w, (p * y - q * x) * w
    h_re, h_im = (e * x - f * y) * w, (e * y + f * x) * w  # I / conj(V)
    xx, xy, yx, yy = -h_re, -h_im, -h_im, h_re
    if dp != 0.0 or dq != 0.0:
        s = scale / np.sqrt(v2)
        s_re, s_im = (dp * x + dq * y) * w * s, (dp * y - dq * x) * w * s
        xx, xy, yx, yy = xx + s_re * x, xy + s_re * y, yx + s_im * x, yy + s_im * y
    _stamp(tree, room, a, c, e, f, xx, xy, yx, yy)


@inline
def _stamp(tree, room, a, c, e, f, xx, xy, yx, yy):  # type: ignore[no-untyped-def]
    """A current e + jf out of a into c, and its slope by the voltage across them."""
    room.j[a, 0] += e
    room.j[a, 1] += f
    _slope(tree, room, a, a, xx, xy, yx, yy)
    if c >= 0:
        room.j[c, 0] -= e
        room.j[c, 1] -= f
        _slope(tree, room, c, c, xx, xy, yx, yy)
        _slope(tree, room, a, c, -xx, -xy, -yx, -yy)
        _slope(tree, room, c, a, -xx, -xy, -yx, -yy)


@inline
def _power_of(tree, k, p, q, u):  # type: ignore[no-untyped-def]
    """P, Q of an item at ``u`` pu, and their slopes."""
    coef = tree.item_coef[k]
    if coef[MODEL] == CONSTANT and u >= LEAST_PU:
        return p, q, 0.0, 0.0
    if u < LEAST_PU or not coef[LOW] < u < coef[HIGH]:
        now = load_power(coef, p, q, u)
        up, down = load_power(coef, p, q, u + SLOPE_PU), load_power(coef, p, q, u - SLOPE_PU)
        return now[0], now[1], (up[0] - down[0]) / (2 * SLOPE_PU), (up[1] - down[1]) / (2 * SLOPE_PU)
    return (
        model_power(p, coef[Z_P], coef[I_P], coef[CVR_P], u),
        model_power(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], u),
        load_power_slope(p, coef[Z_P], coef[I_P], coef[CVR_P], u),
        load_power_slope(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], u),
    )


@inline
def _given(array, row, slot):  # type: ignore[no-untyped-def]
    return array[row_of(array, row), slot] if array.shape[0] > 0 else 0.0


@inline
def loads(tree, room, given, row, scale, cap_on):  # type: ignore[no-untyped-def]
    """Currents and slopes of all that stands at the nodes."""
    p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in = given
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        p = (p_mw[row_of(p_mw, row), slot] * tree.constant[0, k] - _given(p_in, row, slot)) * scale
        q = (q_mvar[row_of(q_mvar, row), slot] * tree.constant[1, k] - _given(q_in, row, slot)) * scale
        if p != 0.0 or q != 0.0:
            _draw(tree, room, k, -1, p, q, 0.0, 0.0, 1.0)
    for k in range(tree.item.shape[0]):
        a, c, slot = tree.item[k, 0], tree.item[k, 1], tree.item[k, 2]
        p_of, q_of = (p_mw, q_mvar) if c < 0 else (p_leg, q_leg)
        p, q = p_of[row_of(p_of, row), slot], q_of[row_of(q_of, row), slot]
        p, q = p * tree.item_coef[k, SHARE_P], q * tree.item_coef[k, SHARE_Q]
        if tree.item[k, 3] == 1:
            p_of, q_of = (p_in, q_in) if c < 0 else (p_leg_in, q_leg_in)
            p, q = p - _given(p_of, row, slot), q - _given(q_of, row, slot)
        if p == 0.0 and q == 0.0:
            continue
        x, y = room.v[a, 0], room.v[a, 1]
        if c >= 0:
            x, y = x - room.v[c, 0], y - room.v[c, 1]
        u = np.sqrt(max(x * x + y * y, 1e-12)) * tree.item_coef[k, SCALE]
        p, q, dp, dq = _power_of(tree, k, p * scale, q * scale, u)
        _draw(tree, room, a, c, p, q, dp, dq, tree.item_coef[k, SCALE])
    for k in range(tree.cap.shape[0]):
        b = tree.cap_b[k] * cap_on[tree.cap[k, 2]]
        if b == 0.0:
            continue
        a, c = tree.cap[k, 0], tree.cap[k, 1]
        x, y = room.v[a, 0], room.v[a, 1]
        if c >= 0:
            x, y = x - room.v[c, 0], y - room.v[c, 1]
        _stamp(tree, room, a, c, -b * y, b * x, 0.0, -b, b, 0.0)


@inline
def shunts(tree, room):  # type: ignore[no-untyped-def]
    """Admittance blocks of the nodes."""
    for b in range(tree.block.shape[0]):
        o = tree.block[b, SHUNT]
        if o < 0:
            continue
        first, n = tree.block[b, FIRST], tree.block[b, N]
        room.some[b] = (1 << n) - 1
        for i in range(n):
            for k in range(n):
                g, s = tree.number[o], tree.number[o + 1]
                o += 2
                x, y = room.v[first + k, 0], room.v[first + k, 1]
                room.j[first + i, 0] += g * x - s * y
                room.j[first + i, 1] += g * y + s * x
                at = 12 * i + 2 * k
                room.big[b, at] += g
                room.big[b, at + 1] -= s
                room.big[b, at + 6] += s
                room.big[b, at + 7] += g


@inline
def currents(tree, room):  # type: ignore[no-untyped-def]
    """Currents of all segments, leaves first, and how far Ohm's law fails."""
    worst = 0.0
    for b in range(tree.block.shape[0] - 1, -1, -1):
        kind = tree.block[b, KIND]
        if kind == ROOT:
            continue
        first, n, up = tree.block[b, FIRST], tree.block[b, N], tree.block[b, PARENT]
        above, many = tree.block[up, FIRST], tree.block[up, N]
        if kind == PICKED:
            o = tree.block[b, COEF]
            for i in range(n):
                p = above + tree.block[b, LINK + i]
                x, y = room.v[p, 0] - room.v[first + i, 0], room.v[p, 1] - room.v[first + i, 1]
                for k in range(n):
                    re, im = tree.number[o], tree.number[o + 1]
                    o += 2
                    e, f = room.j[first + k, 0], room.j[first + k, 1]
                    x -= re * e - im * f
                    y -= re * f + im * e
                worst = max(worst, x * x + y * y)
            for i in range(n):
                p = above + tree.block[b, LINK + i]
                room.j[p, 0] += room.j[first + i, 0]
                room.j[p, 1] += room.j[first + i, 1]
            continue
        table, o = (room.tapped, DENSE_NUMBERS * b) if kind == TAPPED else (tree.number, tree.block[b, COEF])
        for p in range(many):
            for i in range(n):
                re, im = table[o + D + 6 * p + 2 * i], table[o + D + 6 * p + 2 * i + 1]
                x, y = room.j[first + i, 0], room.j[first + i, 1]
                room.j[above + p, 0] += re * x - im * y
                room.j[above + p, 1] += re * y + im * x
        if tree.block[b, FLOATS] == 0:
            worst = max(worst, _mismatch(room, table, o, first, n, above, many))
    return np.sqrt(worst)


@inline
def _mismatch(room, table, o, first, n, above, many):  # type: ignore[no-untyped-def]
    """Largest squared residual of ``V = A u - B i`` of a dense block."""
    worst = 0.0
    for i in range(n):
        x, y = -room.v[first + i, 0], -room.v[first + i, 1]
        for p in range(many):
            re, im = table[o + A + 6 * i + 2 * p], table[o + A + 6 * i + 2 * p + 1]
            x += re * room.v[above + p, 0] - im * room.v[above + p, 1]
            y += re * room.v[above + p, 1] + im * room.v[above + p, 0]
        for k in range(n):
            re, im = table[o + B + 6 * i + 2 * k], table[o + B + 6 * i + 2 * k + 1]
            x -= re * room.j[first + k, 0] - im * room.j[first + k, 1]
            y -= re * room.j[first + k, 1] + im * room.j[first + k, 0]
        worst = max(worst, x * x + y * y)
    return worst


@inline
def through_legs(tree, room):  # type: ignore[no-untyped-def]
    """From currents into conductors to those of segments: a leg's flows through its reference, too."""
    for s in range(tree.step.shape[0] - 1, -1, -1):
        if tree.step[s, S_KIND] == TAP_LEG:
            first = tree.block[tree.step[s, S_BLOCK], FIRST]
            c, r = first + tree.step[s, S_CHILD], first + tree.step[s, S_REFERENCE]
            room.j[r, 0] += room.j[c, 0]
            room.j[r, 1] += room.j[c, 1]


@inline
def from_legs(tree, room):  # type: ignore[no-untyped-def]
    """From what f has of currents of segments to that of currents into conductors."""
    for s in range(tree.step.shape[0]):
        if tree.step[s, S_KIND] == TAP_LEG:
            first = tree.block[tree.step[s, S_BLOCK], FIRST]
            c, r = first + tree.step[s, S_CHILD], first + tree.step[s, S_REFERENCE]
            room.by_j[c, 0] += room.by_j[r, 0]
            room.by_j[c, 1] += room.by_j[r, 1]
