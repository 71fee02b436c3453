"""Sweeps that sum powers: few of them are needed, as loads of constant power enter without any error.

Leaves first, the power sent into a segment is what arrives and what is lost on the way; sources first, the
current follows from the power sent and the parent's new voltage, and with it the child's voltage:

    I = conj(S / V_c),  S_p += S + (Z I) conj(I)        then        I = conj(S_p / V_p),  V_c = V_p - Z I

Only the losses depend on the voltages of the sweep before, so that an update is some hundred times smaller than
the one before, against ten times in sweeps that sum currents. Windings whose power is not conserved phase by
phase keep the current of the sweep before. One row has its phases beside each other; eight or more are lanes:
the same arithmetic sum by sum.
"""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from .generic import (
    advance,
    get,
    get_quad,
    inline,
    larger,
    larger_quad,
    like,
    pick,
    put,
    put_quad,
    quad,
)
from .nodes import FLOOR2, node_power, quad_power, triple_power
from .program import (
    CHILD,
    D2_MOST,
    ENTRY,
    KIND,
    N_CHILD,
    N_PARENT,
    NODE,
    OFFSET,
    PAIR,
    PARENT,
    REFERENCE,
    SCALED,
    SEGMENT_WIDTH,
    SINGLE,
    TAP,
    TAP_LEG,
    TRIPLE,
    WIRE,
)
from .steps import any_but_triple, drop, place, quad_drop
from .sweep import clear_roots, current_at


@inline
def _sent(cell, c, p, e, f, a, b):  # type: ignore[no-untyped-def]
    """Power sent to conductor c with its current a + jb and voltage drop e + jf; p sends it."""
    power = get(cell.p_sum, c) + (e * a + f * b)
    reactive = get(cell.q_sum, c) + (f * a - e * b)
    put(cell.p_sum, c, power)
    put(cell.q_sum, c, reactive)
    put(cell.p_sum, p, get(cell.p_sum, p) + power)
    put(cell.q_sum, p, get(cell.q_sum, p) + reactive)


@inline
def _ratio(net, cell, seg, kind):  # type: ignore[no-untyped-def]
    """Complex ratio and impedance of a kind that feeds one conductor from one."""
    one, zero = like(cell.v_re, 1.0), like(cell.v_re, 0.0)
    if kind == WIRE:
        return one, zero, zero, zero
    coef = advance(net.coef, get(seg, OFFSET))
    if kind == SCALED:
        return one * get(coef, 0), one * get(coef, 1), one * get(coef, 2), one * get(coef, 3)
    square = get(cell.square, get(seg, ENTRY))
    return get(cell.ratio, get(seg, ENTRY)), zero, square * get(coef, 0), square * get(coef, 1)


@inline
def _back_any(net, cell, seg, kind):  # type: ignore[no-untyped-def]
    """Any kind but triples, leaves first."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    if kind == SINGLE:
        coef = advance(net.coef, get(seg, OFFSET))
        r, i = get(coef, 0), get(coef, 1)
        a, b = current_at(cell, c, c)
        _sent(cell, c, p, r * a - i * b, r * b + i * a, a, b)
    elif kind < SINGLE or kind == SCALED or kind == TAP:
        _, _, r, i = _ratio(net, cell, seg, kind)
        a, b = current_at(cell, c, c)
        _sent(cell, c, p, r * a - i * b, r * b + i * a, a, b)
    elif kind == PAIR:
        coef = advance(net.coef, get(seg, OFFSET))
        c1 = get(seg, CHILD + 1)
        a0, b0 = current_at(cell, c, c)
        a1, b1 = current_at(cell, c1, c1)
        e, f = _pair_drop(coef, a0, b0, a1, b1)
        _sent(cell, c, p, e, f, a0, b0)
        e, f = _pair_drop(advance(coef, 4), a0, b0, a1, b1)
        _sent(cell, c1, get(seg, PARENT + 1), e, f, a1, b1)
    else:
        _back_by_current(net, cell, seg, kind)


@inline
def _pair_drop(coef, a0, b0, a1, b1):  # type: ignore[no-untyped-def]
    r0, x0, r1, x1 = get(coef, 0), get(coef, 1), get(coef, 2), get(coef, 3)
    return (r0 * a0 - x0 * b0) + (r1 * a1 - x1 * b1), (r0 * b0 + x0 * a0) + (r1 * b1 + x1 * a1)


@inline
def _take(cell, k, a, b):  # type: ignore[no-untyped-def]
    """Add the power that the current a + jb takes from conductor k."""
    x, y = get(cell.v_re, k), get(cell.v_im, k)
    put(cell.p_sum, k, get(cell.p_sum, k) + (x * a + y * b))
    put(cell.q_sum, k, get(cell.q_sum, k) + (y * a - x * b))


@inline
def _back_by_current(net, cell, seg, kind):  # type: ignore[no-untyped-def]
    """Kinds that mix phases: the currents into the children are kept for the way forward."""
    nc, n_parent = get(seg, N_CHILD), get(seg, N_PARENT)
    for j in range(nc):
        c = get(seg, CHILD + j)
        a, b = current_at(cell, c, c)
        put(cell.i_re, c, a)
        put(cell.i_im, c, b)
    if kind == TAP_LEG:
        c, ratio = get(seg, CHILD), get(cell.ratio, get(seg, ENTRY))
        a, b = get(cell.i_re, c), get(cell.i_im, c)
        _take(cell, get(seg, PARENT), ratio * a, ratio * b)
        _take(cell, get(seg, PARENT + 1), -1.0 * (ratio * a), -1.0 * (ratio * b))
        _take(cell, get(seg, REFERENCE), a, b)
        return
    o = get(seg, OFFSET) + 2 * nc * (n_parent + nc)  # D follows A and B
    for j in range(n_parent):
        e, f = like(cell.v_re, 0.0), like(cell.v_re, 0.0)
        for k in range(nc):
            d_re, d_im = get(net.coef, o), get(net.coef, o + 1)
            a, b = get(cell.i_re, get(seg, CHILD + k)), get(cell.i_im, get(seg, CHILD + k))
            e = e + (d_re * a - d_im * b)
            f = f + (d_re * b + d_im * a)
            o += 2
        _take(cell, get(seg, PARENT + j), e, f)


@inline
def _on_any(net, cell, seg, kind, d2_max):  # type: ignore[no-untyped-def]
    """Any kind but triples, sources first."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    if kind == SINGLE:
        coef = advance(net.coef, get(seg, OFFSET))
        r, i = get(coef, 0), get(coef, 1)
        a, b = current_at(cell, c, p)
        x, y = get(cell.v_re, p) - (r * a - i * b), get(cell.v_im, p) - (r * b + i * a)
        d2_max = place(cell, c, x, y, d2_max)
    elif kind < SINGLE or kind == SCALED or kind == TAP:
        a_re, a_im, r, i = _ratio(net, cell, seg, kind)
        u, v = get(cell.v_re, p), get(cell.v_im, p)
        x, y = a_re * u - a_im * v, a_re * v + a_im * u
        w = 1.0 / larger(x * x + y * y, like(cell.v_re, FLOOR2))
        power, reactive = get(cell.p_sum, c), get(cell.q_sum, c)
        a, b = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        d2_max = place(cell, c, x - (r * a - i * b), y - (r * b + i * a), d2_max)
    elif kind == PAIR:
        coef = advance(net.coef, get(seg, OFFSET))
        c1, p1 = get(seg, CHILD + 1), get(seg, PARENT + 1)
        a0, b0 = current_at(cell, c, p)
        a1, b1 = current_at(cell, c1, p1)
        e, f = _pair_drop(coef, a0, b0, a1, b1)
        d2_max = place(cell, c, get(cell.v_re, p) - e, get(cell.v_im, p) - f, d2_max)
        e, f = _pair_drop(advance(coef, 4), a0, b0, a1, b1)
        d2_max = place(cell, c1, get(cell.v_re, p1) - e, get(cell.v_im, p1) - f, d2_max)
    else:
        d2_max = any_but_triple(net, cell, seg, kind, d2_max)
    return d2_max


@inline
def _back_triple(net, cell, seg):  # type: ignore[no-untyped-def]
    coef = advance(net.coef, get(seg, OFFSET))
    c, p = get(seg, CHILD), get(seg, PARENT)
    a0, b0 = current_at(cell, c, c)
    a1, b1 = current_at(cell, c + 1, c + 1)
    a2, b2 = current_at(cell, c + 2, c + 2)
    now = a0, b0, a1, b1, a2, b2
    e, f = drop(coef, now)
    _sent(cell, c, p, e, f, a0, b0)
    e, f = drop(advance(coef, 1), now)
    _sent(cell, c + 1, p + 1, e, f, a1, b1)
    e, f = drop(advance(coef, 2), now)
    _sent(cell, c + 2, p + 2, e, f, a2, b2)


@inline
def _on_triple(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    coef = advance(net.coef, get(seg, OFFSET))
    c, p = get(seg, CHILD), get(seg, PARENT)
    a0, b0 = current_at(cell, c, p)
    a1, b1 = current_at(cell, c + 1, p + 1)
    a2, b2 = current_at(cell, c + 2, p + 2)
    now = a0, b0, a1, b1, a2, b2
    for j in range(3):
        e, f = drop(advance(coef, j), now)
        d2_max = place(cell, c + j, get(cell.v_re, p + j) - e, get(cell.v_im, p + j) - f, d2_max)
    return d2_max


@inline
def _quad_current(power, reactive, x, y, w):  # type: ignore[no-untyped-def]
    return (power * x + reactive * y) * w, (power * y - reactive * x) * w


@inline
def _back_quad(net, cell, seg):  # type: ignore[no-untyped-def]
    """`_back_triple` of one row, its phases beside each other: the same sums."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    power, reactive = get_quad(cell.p_sum, c), get_quad(cell.q_sum, c)
    x, y, w = get_quad(cell.v_re, c), get_quad(cell.v_im, c), get_quad(cell.w, c)
    a, b = _quad_current(power, reactive, x, y, w)
    e, f = quad_drop(advance(net.coef, get(seg, OFFSET)), a, b)
    power, reactive = power + (e * a + f * b), reactive + (f * a - e * b)
    put_quad(cell.p_sum, c, power)
    put_quad(cell.q_sum, c, reactive)
    put_quad(cell.p_sum, p, get_quad(cell.p_sum, p) + power)
    put_quad(cell.q_sum, p, get_quad(cell.q_sum, p) + reactive)


@inline
def _on_quad(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """`_on_triple` of one row, its phases beside each other: the same sums."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    x, y, w = get_quad(cell.v_re, p), get_quad(cell.v_im, p), get_quad(cell.w, p)
    a, b = _quad_current(get_quad(cell.p_sum, c), get_quad(cell.q_sum, c), x, y, w)
    e, f = quad_drop(advance(net.coef, get(seg, OFFSET)), a, b)
    x, y = x - e, y - f
    dx, dy = x - get_quad(cell.v_re, c), y - get_quad(cell.v_im, c)
    put_quad(cell.v_re, c, x)
    put_quad(cell.v_im, c, y)
    return larger_quad(dx * dx + dy * dy, d2_max), x, y


def sum_powers(net: Any, cell: Any) -> None:
    """One sweep: powers sent from the leaves up, then new voltages and the nodes' own powers there."""
    raise NotImplementedError("only inside compiled kernels")


@overload(sum_powers, jit_options={"forceinline": True, "error_model": "numpy"})
def _sum_powers(net, cell):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _sum_one if cell.types[0].entry == "number" else _sum_lanes


def _sum_lanes(net, cell):  # type: ignore[no-untyped-def]
    for s in range(net.n_segment - 1, -1, -1):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind = get(seg, KIND)
        if kind == TRIPLE:
            _back_triple(net, cell, seg)
        else:
            _back_any(net, cell, seg, kind)
    clear_roots(net, cell)
    d2_max = like(cell.v_re, 0.0)
    for s in range(net.n_segment):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind, node = get(seg, KIND), get(seg, NODE)
        if kind == TRIPLE:
            d2_max = _on_triple(net, cell, seg, d2_max)
            if node >= 0:
                triple_power(net, cell, node, get(seg, CHILD))
            continue
        d2_max = _on_any(net, cell, seg, kind, d2_max)
        if node >= 0:
            node_power(net, cell, node)
    put(cell.track, D2_MOST, d2_max)


def _sum_one(net, cell):  # type: ignore[no-untyped-def]
    for s in range(net.n_segment - 1, -1, -1):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind = get(seg, KIND)
        if kind == TRIPLE:
            _back_quad(net, cell, seg)
        else:
            _back_any(net, cell, seg, kind)
    clear_roots(net, cell)
    d2_max, d2_quad = 0.0, quad(0.0)
    for s in range(net.n_segment):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind, node = get(seg, KIND), get(seg, NODE)
        if kind == TRIPLE:
            d2_quad, x, y = _on_quad(net, cell, seg, d2_quad)
            if node >= 0:
                quad_power(net, cell, node, get(seg, CHILD), x, y)
            continue
        d2_max = _on_any(net, cell, seg, kind, d2_max)
        if node >= 0:
            node_power(net, cell, node)
    for j in range(3):
        d2_max = larger(pick(d2_quad, j), d2_max)
    put(cell.track, D2_MOST, d2_max)
