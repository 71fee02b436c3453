"""The forward half of a sweep: eight rows beside each other, or one with the phases of a node beside each
other.

The arithmetic of both is that of `steps`, sum by sum: a row has the same bits in either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
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
    smaller,
    smaller_quad,
)
from .program import (
    CHILD,
    KIND,
    NO_SHUNT,
    NODE,
    NODE_WIDTH,
    OFFSET,
    PAIR,
    PARENT,
    ROOT_WIDTH,
    SEGMENT_WIDTH,
    SHUNT,
    SHUNT_KIND,
    SPLIT,
    SUSCEPTANCE,
    TRIPLE,
)
from .steps import V_FLOOR_PU, general, node_currents, pair, shunt_current, single, split, triple, triple_node


@inline
def _quad_node(net, cell, number, c, x, y, v2_min, i2_max):  # type: ignore[no-untyped-def]
    """`triple_node` of one row, its phases beside each other: the same sums."""
    node = advance(net.node, number * NODE_WIDTH)
    kind, coef = get(node, SHUNT_KIND), advance(net.coef, get(node, SHUNT))
    e = f = quad(0.0)
    if kind == SUSCEPTANCE:
        b0, b1, b2 = get_quad(coef, 0), get_quad(coef, 4), get_quad(coef, 8)
        e = ((e - b0 * quad(pick(y, 0))) - b1 * quad(pick(y, 1))) - b2 * quad(pick(y, 2))
        f = ((f + b0 * quad(pick(x, 0))) + b1 * quad(pick(x, 1))) + b2 * quad(pick(x, 2))
    elif kind != NO_SHUNT:
        for j in range(3):
            g, h = shunt_current(cell, coef, kind, 3, c, j)
            put(cell.i_re, c + j, g)
            put(cell.i_im, c + j, h)
        e, f = get_quad(cell.i_re, c), get_quad(cell.i_im, c)
    v2 = x * x + y * y
    if get(cell.active, c) or get(cell.active, c + 1) or get(cell.active, c + 2):
        w = quad(1.0) / larger_quad(v2, quad(V_FLOOR_PU * V_FLOOR_PU))
        power, reactive = get_quad(cell.p, c), get_quad(cell.q, c)
        e = e + (power * x + reactive * y) * w
        f = f + (power * y - reactive * x) * w
    put_quad(cell.i_re, c, e)
    put_quad(cell.i_im, c, f)
    return smaller_quad(v2, v2_min), larger_quad(e * e + f * f, i2_max)


@inline
def _quad_triple(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """`triple` of one row, its phases beside each other: the same sums."""
    coef = advance(net.coef, get(seg, OFFSET))
    c, p = get(seg, CHILD), get(seg, PARENT)
    a0, b0 = quad(get(cell.i_re, c)), quad(get(cell.i_im, c))
    a1, b1 = quad(get(cell.i_re, c + 1)), quad(get(cell.i_im, c + 1))
    a2, b2 = quad(get(cell.i_re, c + 2)), quad(get(cell.i_im, c + 2))
    r0, r1, r2 = get_quad(coef, 0), get_quad(coef, 4), get_quad(coef, 8)
    i0, i1, i2 = get_quad(coef, 12), get_quad(coef, 16), get_quad(coef, 20)
    x = get_quad(cell.v_re, p) - (((r0 * a0 - i0 * b0) + (r1 * a1 - i1 * b1)) + (r2 * a2 - i2 * b2))
    y = get_quad(cell.v_im, p) - (((r0 * b0 + i0 * a0) + (r1 * b1 + i1 * a1)) + (r2 * b2 + i2 * a2))
    dx, dy = x - get_quad(cell.v_re, c), y - get_quad(cell.v_im, c)
    put_quad(cell.v_re, c, x)
    put_quad(cell.v_im, c, y)
    return larger_quad(dx * dx + dy * dy, d2_max), x, y


@inline
def _start_forward(net, cell):  # type: ignore[no-untyped-def]
    zero = like(cell.v_re, 0.0)
    for j in range(net.n_root):
        put(cell.i_re, get(net.root, ROOT_WIDTH * j), zero)
        put(cell.i_im, get(net.root, ROOT_WIDTH * j), zero)


@inline
def _any_but_triple(net, cell, seg, kind, d2_max):  # type: ignore[no-untyped-def]
    if kind < PAIR:
        return single(net, cell, seg, kind, d2_max)
    if kind == PAIR:
        return pair(net, cell, seg, d2_max)
    if kind == SPLIT:
        return split(net, cell, seg, d2_max)
    return general(net, cell, seg, kind, d2_max)


def forward(net: Any, cell: Any) -> None:
    """New voltages from the currents, then new node currents, sources first.

    ``cell.track``: largest squared voltage update, smallest |V|^2, largest |I|^2 of a conductor.
    """
    raise NotImplementedError("only inside compiled kernels")


@overload(forward, jit_options={"forceinline": True, "error_model": "numpy"})
def _forward(net, cell):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _forward_one if cell.types[0].entry == "number" else _forward_lanes


def _forward_lanes(net, cell):  # type: ignore[no-untyped-def]
    _start_forward(net, cell)
    d2_max, v2_min, i2_max = like(cell.v_re, 0.0), like(cell.v_re, np.inf), like(cell.v_re, 0.0)
    for s in range(net.n_segment):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind, node = get(seg, KIND), get(seg, NODE)
        if kind == TRIPLE:
            d2_max, x0, y0, x1, y1, x2, y2 = triple(net, cell, seg, d2_max)
            if node >= 0:
                c = get(seg, CHILD)
                v2_min, i2_max = triple_node(net, cell, node, c, x0, y0, x1, y1, x2, y2, v2_min, i2_max)
            continue
        d2_max = _any_but_triple(net, cell, seg, kind, d2_max)
        if node >= 0:
            v2_min, i2_max = node_currents(net, cell, node, v2_min, i2_max)
    put(cell.track, 0, d2_max)
    put(cell.track, 1, v2_min)
    put(cell.track, 2, i2_max)


def _forward_one(net, cell):  # type: ignore[no-untyped-def]
    _start_forward(net, cell)
    d2_max, v2_min, i2_max = 0.0, np.inf, 0.0
    d2_quad, v2_quad, i2_quad = quad(0.0), quad(np.inf), quad(0.0)
    for s in range(net.n_segment):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind, node = get(seg, KIND), get(seg, NODE)
        if kind == TRIPLE:
            d2_quad, x, y = _quad_triple(net, cell, seg, d2_quad)
            if node >= 0:
                v2_quad, i2_quad = _quad_node(net, cell, node, get(seg, CHILD), x, y, v2_quad, i2_quad)
            continue
        d2_max = _any_but_triple(net, cell, seg, kind, d2_max)
        if node >= 0:
            v2_min, i2_max = node_currents(net, cell, node, v2_min, i2_max)
    for j in range(3):
        d2_max = larger(pick(d2_quad, j), d2_max)
        v2_min = smaller(pick(v2_quad, j), v2_min)
        i2_max = larger(pick(i2_quad, j), i2_max)
    put(cell.track, 0, d2_max)
    put(cell.track, 1, v2_min)
    put(cell.track, 2, i2_max)
