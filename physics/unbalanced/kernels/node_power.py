"""What stands at a node in powers: constant power, and what shunts draw at the node's new voltages."""

from __future__ import annotations

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
from ..kernel_tables import FIRST, N_CONDUCTOR, NO_SHUNT, NODE_WIDTH, SHUNT, SHUNT_KIND, SUSCEPTANCE
from .segment_laws import V_FLOOR_PU, shunt_current

FLOOR2 = V_FLOOR_PU * V_FLOOR_PU


@inline
def _own(cell, k, x, y, g, h):  # type: ignore[no-untyped-def]
    """Power of conductor k at the voltage x + jy with the shunt current g + jh, and 1 / |V|^2."""
    put(cell.w, k, 1.0 / larger(x * x + y * y, like(cell.v_re, FLOOR2)))
    put(cell.p_sum, k, get(cell.p, k) + (x * g + y * h))
    put(cell.q_sum, k, get(cell.q, k) + (y * g - x * h))


@inline
def node_power(net, cell, number):  # type: ignore[no-untyped-def]
    """The powers of a node's conductors at their voltages."""
    node = advance(net.node, number * NODE_WIDTH)
    n, first, kind = get(node, N_CONDUCTOR), get(node, FIRST), get(node, SHUNT_KIND)
    coef = advance(net.coef, get(node, SHUNT))
    if n == 1 and kind <= SUSCEPTANCE:
        x, y = get(cell.v_re, first), get(cell.v_im, first)
        b = get(coef, 0) if kind == SUSCEPTANCE else 0.0
        v2 = x * x + y * y
        put(cell.w, first, 1.0 / larger(v2, like(cell.v_re, FLOOR2)))
        put(cell.p_sum, first, get(cell.p, first))
        put(cell.q_sum, first, get(cell.q, first) - b * v2)
        return
    for j in range(n):
        g, h = shunt_current(cell, coef, kind, n, first, j)
        _own(cell, first + j, get(cell.v_re, first + j), get(cell.v_im, first + j), g, h)


@inline
def _charging(coef, zero, x0, y0, x1, y1, x2, y2):  # type: ignore[no-untyped-def]
    """One row of a block of susceptances, kept by columns of four, times the voltages of three conductors."""
    b0, b1, b2 = get(coef, 0), get(coef, 4), get(coef, 8)
    return ((zero - b0 * y0) - b1 * y1) - b2 * y2, ((zero + b0 * x0) + b1 * x1) + b2 * x2


@inline
def triple_power(net, cell, number, c):  # type: ignore[no-untyped-def]
    """`node_power` of a node that a triple feeds: the same sums without loops."""
    x0, y0 = get(cell.v_re, c), get(cell.v_im, c)
    x1, y1 = get(cell.v_re, c + 1), get(cell.v_im, c + 1)
    x2, y2 = get(cell.v_re, c + 2), get(cell.v_im, c + 2)
    node = advance(net.node, number * NODE_WIDTH)
    kind, coef = get(node, SHUNT_KIND), advance(net.coef, get(node, SHUNT))
    g0 = h0 = g1 = h1 = g2 = h2 = like(cell.v_re, 0.0)
    if kind == SUSCEPTANCE:
        zero = like(cell.v_re, 0.0)
        g0, h0 = _charging(coef, zero, x0, y0, x1, y1, x2, y2)
        g1, h1 = _charging(advance(coef, 1), zero, x0, y0, x1, y1, x2, y2)
        g2, h2 = _charging(advance(coef, 2), zero, x0, y0, x1, y1, x2, y2)
    elif kind != NO_SHUNT:
        g0, h0 = shunt_current(cell, coef, kind, 3, c, 0)
        g1, h1 = shunt_current(cell, coef, kind, 3, c, 1)
        g2, h2 = shunt_current(cell, coef, kind, 3, c, 2)
    _own(cell, c, x0, y0, g0, h0)
    _own(cell, c + 1, x1, y1, g1, h1)
    _own(cell, c + 2, x2, y2, g2, h2)


@inline
def quad_power(net, cell, number, c, x, y):  # type: ignore[no-untyped-def]
    """`triple_power` of one row, its phases beside each other: the same sums."""
    node = advance(net.node, number * NODE_WIDTH)
    kind, coef = get(node, SHUNT_KIND), advance(net.coef, get(node, SHUNT))
    g = h = quad(0.0)
    if kind == SUSCEPTANCE:
        b0, b1, b2 = get_quad(coef, 0), get_quad(coef, 4), get_quad(coef, 8)
        g = ((g - b0 * quad(pick(y, 0))) - b1 * quad(pick(y, 1))) - b2 * quad(pick(y, 2))
        h = ((h + b0 * quad(pick(x, 0))) + b1 * quad(pick(x, 1))) + b2 * quad(pick(x, 2))
    elif kind != NO_SHUNT:
        for j in range(3):
            e, f = shunt_current(cell, coef, kind, 3, c, j)
            put(cell.p_sum, c + j, e)
            put(cell.q_sum, c + j, f)
        g, h = get_quad(cell.p_sum, c), get_quad(cell.q_sum, c)
    put_quad(cell.w, c, quad(1.0) / larger_quad(x * x + y * y, quad(FLOOR2)))
    put_quad(cell.p_sum, c, get_quad(cell.p, c) + (x * g + y * h))
    put_quad(cell.q_sum, c, get_quad(cell.q, c) + (y * g - x * h))
