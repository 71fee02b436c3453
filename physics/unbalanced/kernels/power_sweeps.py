"""Sweeps that sum powers: few of them are needed, as loads of constant power enter without any error.

Leaves first, the power sent into a segment is what arrives and what is lost on the way, with the drop D:

    I = conj(S / V),  D = Z I,  S_parent += S + D conj(I)

Sources first, the same power sent from the parent's new voltage makes another current, per phase in the ratio
``conj((V + D) / V_parent)`` with the child's voltage V of before. To first order

    V_new = V_parent - D - D conj((V + D - V_parent) / V)

with which drops are taken to change phase by phase. What that and the losses get wrong is some fifty times
smaller than the update before, against ten times in sweeps that sum currents, and no division and no matrix
is in the way from one voltage to the next. Windings whose power is not conserved phase by phase keep the
current of the sweep before. A lone row has its phases beside each other, more are lanes: the same arithmetic,
sum by sum.
"""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from ...numba_tools.jit import inline
from ...numba_tools.pointers import (
    advance,
    get,
    get_quad,
    larger,
    larger_quad,
    like,
    pick,
    put,
    put_quad,
    quad,
)
from ..kernel_tables import (
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
from .current_sweeps import clear_roots, current_at
from .node_power import node_power, quad_power, triple_power
from .segment_laws import drop, ends_of, move, place, quad_drop


@inline
def _sent(cell, c, p, e, f, a, b):  # type: ignore[no-untyped-def]
    """p sends what c gets, with its current a + jb, and what its drop e + jf loses; c keeps the drop."""
    put(cell.p_sum, p, get(cell.p_sum, p) + (get(cell.p_sum, c) + (e * a + f * b)))
    put(cell.q_sum, p, get(cell.q_sum, p) + (get(cell.q_sum, c) + (f * a - e * b)))
    put(cell.p_sum, c, e)
    put(cell.q_sum, c, f)


@inline
def _received(cell, c, u, v, d2_max):  # type: ignore[no-untyped-def]
    """The voltage of conductor c, fed from u + jv over the drop that it keeps."""
    e, f, w = get(cell.p_sum, c), get(cell.q_sum, c), get(cell.w, c)
    x, y = get(cell.v_re, c), get(cell.v_im, c)
    g, h = (e * x - f * y) * w, (e * y + f * x) * w
    s, t = (x + e) - u, (y + f) - v
    return place(cell, c, (u - e) - (g * s + h * t), (v - f) - (h * s - g * t), d2_max)


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
    elif kind <= TAP:
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
    if kind <= SINGLE:
        return _received(cell, c, get(cell.v_re, p), get(cell.v_im, p), d2_max)
    if kind <= TAP:
        a_re, a_im, _, _ = _ratio(net, cell, seg, kind)
        u, v = get(cell.v_re, p), get(cell.v_im, p)
        return _received(cell, c, a_re * u - a_im * v, a_re * v + a_im * u, d2_max)
    if kind == PAIR:
        c1, p1 = get(seg, CHILD + 1), get(seg, PARENT + 1)
        d2_max = _received(cell, c, get(cell.v_re, p), get(cell.v_im, p), d2_max)
        return _received(cell, c1, get(cell.v_re, p1), get(cell.v_im, p1), d2_max)
    return move(ends_of(net, cell), seg, kind, d2_max)


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
def _on_triple(cell, seg, d2_max):  # type: ignore[no-untyped-def]
    c, p = get(seg, CHILD), get(seg, PARENT)
    d2_max = _received(cell, c, get(cell.v_re, p), get(cell.v_im, p), d2_max)
    d2_max = _received(cell, c + 1, get(cell.v_re, p + 1), get(cell.v_im, p + 1), d2_max)
    return _received(cell, c + 2, get(cell.v_re, p + 2), get(cell.v_im, p + 2), d2_max)


@inline
def _back_quad(net, cell, seg):  # type: ignore[no-untyped-def]
    """`_back_triple` of one row, its phases beside each other: the same sums."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    power, reactive = get_quad(cell.p_sum, c), get_quad(cell.q_sum, c)
    x, y, w = get_quad(cell.v_re, c), get_quad(cell.v_im, c), get_quad(cell.w, c)
    a, b = (power * x + reactive * y) * w, (power * y - reactive * x) * w
    e, f = quad_drop(advance(net.coef, get(seg, OFFSET)), a, b)
    put_quad(cell.p_sum, p, get_quad(cell.p_sum, p) + (power + (e * a + f * b)))
    put_quad(cell.q_sum, p, get_quad(cell.q_sum, p) + (reactive + (f * a - e * b)))
    put_quad(cell.p_sum, c, e)
    put_quad(cell.q_sum, c, f)


@inline
def _on_quad(cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """`_on_triple` of one row, its phases beside each other: the same sums."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    u, v = get_quad(cell.v_re, p), get_quad(cell.v_im, p)
    e, f, w = get_quad(cell.p_sum, c), get_quad(cell.q_sum, c), get_quad(cell.w, c)
    x, y = get_quad(cell.v_re, c), get_quad(cell.v_im, c)
    g, h = (e * x - f * y) * w, (e * y + f * x) * w
    s, t = (x + e) - u, (y + f) - v
    new_x, new_y = (u - e) - (g * s + h * t), (v - f) - (h * s - g * t)
    dx, dy = new_x - x, new_y - y
    put_quad(cell.v_re, c, new_x)
    put_quad(cell.v_im, c, new_y)
    return larger_quad(dx * dx + dy * dy, d2_max), new_x, new_y


def sum_powers(net: Any, cell: Any) -> None:
    """One sweep: powers sent from the leaves up, then new voltages and the nodes' own powers there."""
    raise NotImplementedError("only inside compiled kernels")


@overload(sum_powers, jit_options={"error_model": "numpy"})
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
            d2_max = _on_triple(cell, seg, d2_max)
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
            d2_quad, x, y = _on_quad(cell, seg, d2_quad)
            if node >= 0:
                quad_power(net, cell, node, get(seg, CHILD), x, y)
            continue
        d2_max = _on_any(net, cell, seg, kind, d2_max)
        if node >= 0:
            node_power(net, cell, node)
    for j in range(3):
        d2_max = larger(pick(d2_quad, j), d2_max)
    put(cell.track, D2_MOST, d2_max)
