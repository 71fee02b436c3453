"""What every kind of segment does with currents and voltages, for a row or for a block of lanes.

Leaves first: ``I_p += D I_c``; sources first: ``V_c = A V_p - B I_c`` (Kersting, Distribution System Modeling
and Analysis). Every kind has code for exactly the products it needs. Arguments: ``net`` a `program.Steps`,
``cell`` a `program.Cell`; where its lanes do not move on, one learns how far they would.
"""

from __future__ import annotations

from ...numba_tools.jit import inline
from ...numba_tools.lanes import choose
from ...numba_tools.pointers import advance, get, get_quad, larger, like, pick, put, quad
from ..kernel_tables import (
    CHILD,
    ENTRY,
    FLOATING,
    GOING,
    N_CHILD,
    N_PARENT,
    NO_SHUNT,
    OFFSET,
    PAIR,
    PARENT,
    REFERENCE,
    SCALED,
    SINGLE,
    SPLIT,
    SUSCEPTANCE,
    TAP,
    TAP_LEG,
    TRIPLE,
    WIRE,
    SegmentEnds,
)

V_FLOOR_PU = 0.05  # keeps numbers finite; a row that touches it is never reported as converged


@inline
def _add(array, k, value):  # type: ignore[no-untyped-def]
    put(array, k, get(array, k) + value)


@inline
def gather(net, cell, seg, kind):  # type: ignore[no-untyped-def]
    """Add the currents of a segment's children to those of its parents."""
    i_re, i_im = cell.i_re, cell.i_im
    c, p = get(seg, CHILD), get(seg, PARENT)
    if kind == TRIPLE:
        p1, p2 = get(seg, PARENT + 1), get(seg, PARENT + 2)
        _add(i_re, p, get(i_re, c))
        _add(i_im, p, get(i_im, c))
        _add(i_re, p1, get(i_re, c + 1))
        _add(i_im, p1, get(i_im, c + 1))
        _add(i_re, p2, get(i_re, c + 2))
        _add(i_im, p2, get(i_im, c + 2))
    elif kind <= SINGLE:
        _add(i_re, p, get(i_re, c))
        _add(i_im, p, get(i_im, c))
    elif kind == PAIR:
        c1, p1 = get(seg, CHILD + 1), get(seg, PARENT + 1)
        _add(i_re, p, get(i_re, c))
        _add(i_im, p, get(i_im, c))
        _add(i_re, p1, get(i_re, c1))
        _add(i_im, p1, get(i_im, c1))
    elif kind == TAP:
        a = get(cell.ratio, get(seg, ENTRY))
        _add(i_re, p, a * get(i_re, c))
        _add(i_im, p, a * get(i_im, c))
    elif kind == SCALED:
        a_re, a_im = get(net.coef, get(seg, OFFSET)), get(net.coef, get(seg, OFFSET) + 1)
        x, y = get(i_re, c), get(i_im, c)
        _add(i_re, p, a_re * x + a_im * y)
        _add(i_im, p, a_re * y - a_im * x)
    elif kind == TAP_LEG:
        a, r, q = get(cell.ratio, get(seg, ENTRY)), get(seg, REFERENCE), get(seg, PARENT + 1)
        x, y = get(i_re, c), get(i_im, c)
        _add(i_re, p, a * x)
        _add(i_im, p, a * y)
        put(i_re, q, get(i_re, q) - a * x)
        put(i_im, q, get(i_im, q) - a * y)
        _add(i_re, r, x)
        _add(i_im, r, y)
    elif kind == SPLIT:
        coef = advance(net.coef, get(seg, OFFSET) + 12)
        c1 = get(seg, CHILD + 1)
        a0, b0, a1, b1 = get(i_re, c), get(i_im, c), get(i_re, c1), get(i_im, c1)
        d0, e0, d1, e1 = get(coef, 0), get(coef, 1), get(coef, 2), get(coef, 3)
        _add(i_re, p, (d0 * a0 - e0 * b0) + (d1 * a1 - e1 * b1))
        _add(i_im, p, (d0 * b0 + e0 * a0) + (d1 * b1 + e1 * a1))
    else:
        _backward_general(net.coef, seg, i_re, i_im)


@inline
def _backward_general(coef, seg, i_re, i_im):  # type: ignore[no-untyped-def]
    nc, n_parent = get(seg, N_CHILD), get(seg, N_PARENT)
    o = get(seg, OFFSET) + 2 * nc * (n_parent + nc)  # D follows A and B
    for j in range(n_parent):
        p = get(seg, PARENT + j)
        x, y = get(i_re, p), get(i_im, p)
        for k in range(nc):
            d_re, d_im = get(coef, o), get(coef, o + 1)
            c, d = get(i_re, get(seg, CHILD + k)), get(i_im, get(seg, CHILD + k))
            x = x + (d_re * c - d_im * d)
            y = y + (d_re * d + d_im * c)
            o += 2
        put(i_re, p, x)
        put(i_im, p, y)


@inline
def place(cell, k, x, y, d2_max):  # type: ignore[no-untyped-def]
    """Move conductor k to x + jy in lanes that move on; returns the largest squared move, made or not."""
    was_x, was_y, going = get(cell.v_re, k), get(cell.v_im, k), get(cell.track, GOING)
    put(cell.v_re, k, choose(going, x, was_x))
    put(cell.v_im, k, choose(going, y, was_y))
    dx, dy = x - was_x, y - was_y
    return larger(dx * dx + dy * dy, d2_max)


@inline
def single(net, cell, seg, kind, d2_max):  # type: ignore[no-untyped-def]
    """Segments that feed one conductor."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    x, y = get(cell.v_re, p), get(cell.v_im, p)
    if kind == WIRE:
        return place(cell, c, x, y, d2_max)
    coef = advance(net.coef, get(seg, OFFSET))
    e, f = get(cell.i_re, c), get(cell.i_im, c)
    if kind == SINGLE:
        r, i = get(coef, 0), get(coef, 1)
        return place(cell, c, x - (r * e - i * f), y - (r * f + i * e), d2_max)
    if kind == SCALED:
        a_re, a_im, r, i = get(coef, 0), get(coef, 1), get(coef, 2), get(coef, 3)
        g = (a_re * x - a_im * y) - (r * e - i * f)
        h = (a_re * y + a_im * x) - (r * f + i * e)
        return place(cell, c, g, h, d2_max)
    r, i, entry = get(coef, 0), get(coef, 1), get(seg, ENTRY)
    a, m = get(cell.ratio, entry), get(cell.square, entry)
    if kind == TAP:
        return place(cell, c, a * x - m * (r * e - i * f), a * y - m * (r * f + i * e), d2_max)
    ref, q = get(seg, REFERENCE), get(seg, PARENT + 1)
    g = get(cell.v_re, ref) + a * (x - get(cell.v_re, q)) - m * (r * e - i * f)
    h = get(cell.v_im, ref) + a * (y - get(cell.v_im, q)) - m * (r * f + i * e)
    return place(cell, c, g, h, d2_max)


@inline
def pair(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """Two coupled conductors."""
    coef = advance(net.coef, get(seg, OFFSET))
    c0, c1 = get(seg, CHILD), get(seg, CHILD + 1)
    a0, b0, a1, b1 = get(cell.i_re, c0), get(cell.i_im, c0), get(cell.i_re, c1), get(cell.i_im, c1)
    for j in range(2):
        r0, x0, r1, x1 = get(coef, 4 * j), get(coef, 4 * j + 1), get(coef, 4 * j + 2), get(coef, 4 * j + 3)
        p = get(seg, PARENT + j)
        x = get(cell.v_re, p) - ((r0 * a0 - x0 * b0) + (r1 * a1 - x1 * b1))
        y = get(cell.v_im, p) - ((r0 * b0 + x0 * a0) + (r1 * b1 + x1 * a1))
        d2_max = place(cell, get(seg, CHILD + j), x, y, d2_max)
    return d2_max


@inline
def split(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """Two conductors from one: A, then B."""
    coef = advance(net.coef, get(seg, OFFSET))
    c0, c1, p = get(seg, CHILD), get(seg, CHILD + 1), get(seg, PARENT)
    a0, b0, a1, b1 = get(cell.i_re, c0), get(cell.i_im, c0), get(cell.i_re, c1), get(cell.i_im, c1)
    u, w = get(cell.v_re, p), get(cell.v_im, p)
    for j in range(2):
        g, h = get(coef, 2 * j), get(coef, 2 * j + 1)
        row = advance(coef, 4 + 4 * j)
        r0, x0, r1, x1 = get(row, 0), get(row, 1), get(row, 2), get(row, 3)
        x = (g * u - h * w) - ((r0 * a0 - x0 * b0) + (r1 * a1 - x1 * b1))
        y = (g * w + h * u) - ((r0 * b0 + x0 * a0) + (r1 * b1 + x1 * a1))
        d2_max = place(cell, get(seg, CHILD + j), x, y, d2_max)
    return d2_max


@inline
def triple(net, cell, seg, d2_max):  # type: ignore[no-untyped-def]
    """Three coupled conductors."""
    coef = advance(net.coef, get(seg, OFFSET))
    c, p = get(seg, CHILD), get(seg, PARENT)
    now = (
        get(cell.i_re, c), get(cell.i_im, c), get(cell.i_re, c + 1), get(cell.i_im, c + 1),
        get(cell.i_re, c + 2), get(cell.i_im, c + 2),
    )  # fmt: skip
    e, f = drop(coef, now)
    x0, y0 = get(cell.v_re, p) - e, get(cell.v_im, p) - f
    e, f = drop(advance(coef, 1), now)
    x1, y1 = get(cell.v_re, p + 1) - e, get(cell.v_im, p + 1) - f
    e, f = drop(advance(coef, 2), now)
    x2, y2 = get(cell.v_re, p + 2) - e, get(cell.v_im, p + 2) - f
    d2_max = place(cell, c, x0, y0, d2_max)
    d2_max = place(cell, c + 1, x1, y1, d2_max)
    d2_max = place(cell, c + 2, x2, y2, d2_max)
    return d2_max


@inline
def drop(coef, now):  # type: ignore[no-untyped-def]
    """One row of Z times the currents of three conductors; Z by columns of four, R before X."""
    a0, b0, a1, b1, a2, b2 = now
    r0, r1, r2 = get(coef, 0), get(coef, 4), get(coef, 8)
    i0, i1, i2 = get(coef, 12), get(coef, 16), get(coef, 20)
    return (
        ((r0 * a0 - i0 * b0) + (r1 * a1 - i1 * b1)) + (r2 * a2 - i2 * b2),
        ((r0 * b0 + i0 * a0) + (r1 * b1 + i1 * a1)) + (r2 * b2 + i2 * a2),
    )


@inline
def quad_drop(coef, a, b):  # type: ignore[no-untyped-def]
    """Z times the currents of three conductors of one row, its phases beside each other: the same sums."""
    a0, b0, a1, b1 = quad(pick(a, 0)), quad(pick(b, 0)), quad(pick(a, 1)), quad(pick(b, 1))
    a2, b2 = quad(pick(a, 2)), quad(pick(b, 2))
    r0, r1, r2 = get_quad(coef, 0), get_quad(coef, 4), get_quad(coef, 8)
    i0, i1, i2 = get_quad(coef, 12), get_quad(coef, 16), get_quad(coef, 20)
    return (
        ((r0 * a0 - i0 * b0) + (r1 * a1 - i1 * b1)) + (r2 * a2 - i2 * b2),
        ((r0 * b0 + i0 * a0) + (r1 * b1 + i1 * a1)) + (r2 * b2 + i2 * a2),
    )


@inline
def general(net, cell, seg, kind, d2_max):  # type: ignore[no-untyped-def]
    """Any quadruple; of a floating one the mean voltage moves by its mean current over the zone's shunts."""
    nc, n_parent = get(seg, N_CHILD), get(seg, N_PARENT)
    coef = net.coef
    a = get(seg, OFFSET)
    b = a + 2 * nc * n_parent
    move_re, move_im = like(cell.i_re, 0.0), like(cell.i_re, 0.0)
    if kind == FLOATING:
        o = b + 2 * nc * nc + 2 * nc * n_parent
        g_re, g_im = get(coef, o), get(coef, o + 1)
        share = 1.0 / nc
        for k in range(nc):
            at = get(seg, CHILD + k)
            c, d = get(cell.i_re, at), get(cell.i_im, at)
            move_re = move_re + share * get(cell.v_re, at) - (g_re * c - g_im * d)
            move_im = move_im + share * get(cell.v_im, at) - (g_re * d + g_im * c)
    for j in range(nc):
        x, y = move_re, move_im
        for k in range(n_parent):
            at = get(seg, PARENT + k)
            e, f = get(cell.v_re, at), get(cell.v_im, at)
            x = x + (get(coef, a) * e - get(coef, a + 1) * f)
            y = y + (get(coef, a) * f + get(coef, a + 1) * e)
            a += 2
        for k in range(nc):
            at = get(seg, CHILD + k)
            c, d = get(cell.i_re, at), get(cell.i_im, at)
            x = x - (get(coef, b) * c - get(coef, b + 1) * d)
            y = y - (get(coef, b) * d + get(coef, b + 1) * c)
            b += 2
        d2_max = place(cell, get(seg, CHILD + j), x, y, d2_max)
    return d2_max


@inline
def shunt_current(cell, coef, kind, n, first, j):  # type: ignore[no-untyped-def]
    """Current of a node's admittance block into its j-th conductor."""
    c, d = like(cell.v_re, 0.0), like(cell.v_re, 0.0)
    if kind == SUSCEPTANCE:
        for k in range(n):
            b = get(coef, j + 4 * k)
            c = c - b * get(cell.v_im, first + k)
            d = d + b * get(cell.v_re, first + k)
    elif kind != NO_SHUNT:
        for k in range(n):
            g, b = get(coef, 2 * (j * n + k)), get(coef, 2 * (j * n + k) + 1)
            x, y = get(cell.v_re, first + k), get(cell.v_im, first + k)
            c = c + (g * x - b * y)
            d = d + (g * y + b * x)
    return c, d


@inline
def ends_of(net, cell):  # type: ignore[no-untyped-def]
    """What the functions below take."""
    return SegmentEnds(
        net.coef, cell.ratio, cell.square, cell.v_re, cell.v_im, cell.i_re, cell.i_im, cell.track
    )


@inline
def move(ends, seg, kind, d2_max):  # type: ignore[no-untyped-def]
    """New voltages of a segment's children from their currents, whatever its kind."""
    if kind == TRIPLE:
        return triple(ends, ends, seg, d2_max)
    if kind < PAIR:
        return single(ends, ends, seg, kind, d2_max)
    if kind == PAIR:
        return pair(ends, ends, seg, d2_max)
    if kind == SPLIT:
        return split(ends, ends, seg, d2_max)
    return general(ends, ends, seg, kind, d2_max)


@inline
def collect(ends, seg, kind):  # type: ignore[no-untyped-def]
    """`gather` of any kind."""
    gather(ends, ends, seg, kind)
