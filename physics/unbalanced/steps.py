"""One sweep over the segments and nodes of a three-phase network, for a row or for a block of lanes.

Backward, leaves first: ``I_p += D I_c``; forward, sources first: ``V_c = A V_p - B I_c`` with the new node
currents in the same pass (Kersting, Distribution System Modeling and Analysis). Every kind of segment has
code for exactly the products it needs.
"""

from __future__ import annotations

import numpy as np

from .._jit import inline
from .generic import get, larger, like, put, smaller
from .program import (
    ADMITTANCE,
    CHILD,
    FLOATING,
    GENERAL,
    KIND,
    N_CHILD,
    N_PARENT,
    NO_SHUNT,
    NODE,
    OFFSET,
    PAIR,
    PARENT,
    SCALED,
    SINGLE,
    SUSCEPTANCE,
    TAP,
    TAP_LEG,
    TRIPLE,
    WIRE,
)

V_FLOOR_PU = 0.05  # keeps numbers finite; a row that touches it is never reported as converged
SQRT3 = float(np.sqrt(3.0))


@inline
def _add(array, k, value):  # type: ignore[no-untyped-def]
    put(array, k, get(array, k) + value)


@inline
def backward(prog, taps, i_re, i_im):  # type: ignore[no-untyped-def]
    """Gather node currents into the currents of the conductors that feed them, leaves first."""
    seg, coef = prog.segment, prog.coef
    for s in range(seg.shape[0] - 1, -1, -1):
        kind = seg[s, KIND]
        c0, p0 = seg[s, CHILD], seg[s, PARENT]
        if kind == TRIPLE or kind == PAIR or kind == WIRE or kind == SINGLE:
            for j in range(seg[s, N_CHILD]):
                c, p = seg[s, CHILD + j], seg[s, PARENT + j]
                _add(i_re, p, get(i_re, c))
                _add(i_im, p, get(i_im, c))
        elif kind == SCALED:
            o = seg[s, OFFSET]
            a_re, a_im = coef[o], coef[o + 1]
            x, y = get(i_re, c0), get(i_im, c0)
            _add(i_re, p0, a_re * x + a_im * y)
            _add(i_im, p0, a_re * y - a_im * x)
        elif kind == TAP:
            a = get(taps[0], seg[s, CHILD + 1])
            _add(i_re, p0, a * get(i_re, c0))
            _add(i_im, p0, a * get(i_im, c0))
        elif kind == TAP_LEG:
            a = get(taps[0], seg[s, CHILD + 2])
            r, q = seg[s, CHILD + 1], seg[s, PARENT + 1]
            x, y = get(i_re, c0), get(i_im, c0)
            _add(i_re, p0, a * x)
            _add(i_im, p0, a * y)
            put(i_re, q, get(i_re, q) - a * x)
            put(i_im, q, get(i_im, q) - a * y)
            _add(i_re, r, x)
            _add(i_im, r, y)
        else:
            _backward_general(seg, coef, s, i_re, i_im)


@inline
def _backward_general(seg, coef, s, i_re, i_im):  # type: ignore[no-untyped-def]
    nc, np_ = seg[s, N_CHILD], seg[s, N_PARENT]
    o = seg[s, OFFSET] + 2 * nc * (np_ + nc)  # D follows A and B
    for j in range(np_):
        p = seg[s, PARENT + j]
        x, y = get(i_re, p), get(i_im, p)
        for k in range(nc):
            d_re, d_im = coef[o], coef[o + 1]
            c, d = get(i_re, seg[s, CHILD + k]), get(i_im, seg[s, CHILD + k])
            x = x + (d_re * c - d_im * d)
            y = y + (d_re * d + d_im * c)
            o += 2
        put(i_re, p, x)
        put(i_im, p, y)


@inline
def _place(v_re, v_im, k, x, y, d2_max):  # type: ignore[no-untyped-def]
    """Write the voltage of conductor k; returns the largest squared update so far."""
    dx, dy = x - get(v_re, k), y - get(v_im, k)
    put(v_re, k, x)
    put(v_im, k, y)
    return larger(dx * dx + dy * dy, d2_max)


@inline
def _single(seg, coef, s, taps, v_re, v_im, i_re, i_im, d2_max):  # type: ignore[no-untyped-def]
    """Segments that feed one conductor."""
    kind, o = seg[s, KIND], seg[s, OFFSET]
    c0, p0 = seg[s, CHILD], seg[s, PARENT]
    x, y = get(v_re, p0), get(v_im, p0)
    if kind == WIRE:
        return _place(v_re, v_im, c0, x, y, d2_max)
    c, d = get(i_re, c0), get(i_im, c0)
    if kind == SINGLE:
        z_re, z_im = coef[o], coef[o + 1]
        return _place(v_re, v_im, c0, x - (z_re * c - z_im * d), y - (z_re * d + z_im * c), d2_max)
    if kind == SCALED:
        a_re, a_im, z_re, z_im = coef[o], coef[o + 1], coef[o + 2], coef[o + 3]
        e = (a_re * x - a_im * y) - (z_re * c - z_im * d)
        f = (a_re * y + a_im * x) - (z_re * d + z_im * c)
        return _place(v_re, v_im, c0, e, f, d2_max)
    z_re, z_im = coef[o], coef[o + 1]
    if kind == TAP:
        r = seg[s, CHILD + 1]
        a, m = get(taps[0], r), get(taps[1], r)
        e = a * x - m * (z_re * c - z_im * d)
        f = a * y - m * (z_re * d + z_im * c)
        return _place(v_re, v_im, c0, e, f, d2_max)
    r, ref, q = seg[s, CHILD + 2], seg[s, CHILD + 1], seg[s, PARENT + 1]
    a, m = get(taps[0], r), get(taps[1], r)
    e = get(v_re, ref) + a * (x - get(v_re, q)) - m * (z_re * c - z_im * d)
    f = get(v_im, ref) + a * (y - get(v_im, q)) - m * (z_re * d + z_im * c)
    return _place(v_re, v_im, c0, e, f, d2_max)


@inline
def _pair(seg, coef, s, v_re, v_im, i_re, i_im, d2_max):  # type: ignore[no-untyped-def]
    o = seg[s, OFFSET]
    c0, c1 = seg[s, CHILD], seg[s, CHILD + 1]
    a0, b0, a1, b1 = get(i_re, c0), get(i_im, c0), get(i_re, c1), get(i_im, c1)
    for j in range(2):
        p = seg[s, PARENT + j]
        k = o + 4 * j
        x = get(v_re, p) - (coef[k] * a0 - coef[k + 1] * b0) - (coef[k + 2] * a1 - coef[k + 3] * b1)
        y = get(v_im, p) - (coef[k] * b0 + coef[k + 1] * a0) - (coef[k + 2] * b1 + coef[k + 3] * a1)
        d2_max = _place(v_re, v_im, seg[s, CHILD + j], x, y, d2_max)
    return d2_max


@inline
def _triple(seg, coef, s, v_re, v_im, i_re, i_im, d2_max):  # type: ignore[no-untyped-def]
    o = seg[s, OFFSET]
    c0, c1, c2 = seg[s, CHILD], seg[s, CHILD + 1], seg[s, CHILD + 2]
    a0, b0, a1, b1 = get(i_re, c0), get(i_im, c0), get(i_re, c1), get(i_im, c1)
    a2, b2 = get(i_re, c2), get(i_im, c2)
    for j in range(3):
        p = seg[s, PARENT + j]
        k = o + 6 * j
        r0, x0, r1, x1, r2, x2 = coef[k], coef[k + 1], coef[k + 2], coef[k + 3], coef[k + 4], coef[k + 5]
        x = get(v_re, p) - (r0 * a0 - x0 * b0) - (r1 * a1 - x1 * b1) - (r2 * a2 - x2 * b2)
        y = get(v_im, p) - (r0 * b0 + x0 * a0) - (r1 * b1 + x1 * a1) - (r2 * b2 + x2 * a2)
        d2_max = _place(v_re, v_im, seg[s, CHILD + j], x, y, d2_max)
    return d2_max


@inline
def _general(seg, coef, s, v_re, v_im, i_re, i_im, d2_max):  # type: ignore[no-untyped-def]
    """Any quadruple; of a floating one the mean voltage moves by its mean current over the zone's shunts."""
    nc, np_ = seg[s, N_CHILD], seg[s, N_PARENT]
    a, b = seg[s, OFFSET], seg[s, OFFSET] + 2 * nc * np_
    move_re, move_im = like(i_re, 0.0), like(i_re, 0.0)
    if seg[s, KIND] == FLOATING:
        o = b + 2 * nc * nc + 2 * nc * np_
        g_re, g_im = coef[o], coef[o + 1]
        mean_re, mean_im = like(i_re, 0.0), like(i_re, 0.0)
        for k in range(nc):
            c, d = get(i_re, seg[s, CHILD + k]), get(i_im, seg[s, CHILD + k])
            move_re = move_re - (g_re * c - g_im * d)
            move_im = move_im - (g_re * d + g_im * c)
            mean_re = mean_re + get(v_re, seg[s, CHILD + k])
            mean_im = mean_im + get(v_im, seg[s, CHILD + k])
        move_re, move_im = move_re + mean_re * (1.0 / nc), move_im + mean_im * (1.0 / nc)
    for j in range(nc):
        x, y = move_re, move_im
        for k in range(np_):
            e, f = get(v_re, seg[s, PARENT + k]), get(v_im, seg[s, PARENT + k])
            x = x + (coef[a] * e - coef[a + 1] * f)
            y = y + (coef[a] * f + coef[a + 1] * e)
            a += 2
        for k in range(nc):
            c, d = get(i_re, seg[s, CHILD + k]), get(i_im, seg[s, CHILD + k])
            x = x - (coef[b] * c - coef[b + 1] * d)
            y = y - (coef[b] * d + coef[b + 1] * c)
            b += 2
        d2_max = _place(v_re, v_im, seg[s, CHILD + j], x, y, d2_max)
    return d2_max


@inline
def _shunt_current(node, coef, k, j, v_re, v_im):  # type: ignore[no-untyped-def]
    """Current of the admittance block of node k into its j-th conductor."""
    n, kind = node[k, 0], node[k, 4]
    c, d = like(v_re, 0.0), like(v_re, 0.0)
    if kind == NO_SHUNT:
        return c, d
    if kind == SUSCEPTANCE:
        o = node[k, 5] + j * n
        for other in range(n):
            b = coef[o + other]
            c = c - b * get(v_im, node[k, 1 + other])
            d = d + b * get(v_re, node[k, 1 + other])
        return c, d
    o = node[k, 5] + 2 * j * n
    for other in range(n):
        g, b = coef[o + 2 * other], coef[o + 2 * other + 1]
        x, y = get(v_re, node[k, 1 + other]), get(v_im, node[k, 1 + other])
        c = c + (g * x - b * y)
        d = d + (g * y + b * x)
    return c, d


@inline
def node_currents(prog, k, active, p, q, v_re, v_im, i_re, i_im, v2_min, i2_max):  # type: ignore[no-untyped-def]
    """Currents drawn at node k by shunts and constant power at its new voltages."""
    node, coef = prog.node, prog.coef
    floor2 = like(v_re, V_FLOOR_PU * V_FLOOR_PU)
    for j in range(node[k, 0]):
        m = node[k, 1 + j]
        c, d = _shunt_current(node, coef, k, j, v_re, v_im)
        x, y = get(v_re, m), get(v_im, m)
        v2 = x * x + y * y
        v2_min = smaller(v2, v2_min)
        if active[m]:
            w = 1.0 / larger(v2, floor2)
            power, reactive = get(p, m), get(q, m)
            c = c + (power * x + reactive * y) * w
            d = d + (power * y - reactive * x) * w
        put(i_re, m, c)
        put(i_im, m, d)
        i2_max = larger(c * c + d * d, i2_max)
    return v2_min, i2_max


@inline
def forward(prog, taps, active, p, q, v_re, v_im, i_re, i_im, track):  # type: ignore[no-untyped-def]
    """New voltages from the currents, then new node currents, sources first.

    ``track``: largest squared voltage update, smallest |V|^2, largest |I|^2 of a conductor.
    """
    seg, coef = prog.segment, prog.coef
    d2_max, v2_min, i2_max = like(v_re, 0.0), like(v_re, np.inf), like(v_re, 0.0)
    for j in range(prog.root.shape[0]):
        put(i_re, prog.root[j, 0], like(i_re, 0.0))
        put(i_im, prog.root[j, 0], like(i_im, 0.0))
    for s in range(seg.shape[0]):
        kind = seg[s, KIND]
        if kind == TRIPLE:
            d2_max = _triple(seg, coef, s, v_re, v_im, i_re, i_im, d2_max)
        elif kind < PAIR:
            d2_max = _single(seg, coef, s, taps, v_re, v_im, i_re, i_im, d2_max)
        elif kind == PAIR:
            d2_max = _pair(seg, coef, s, v_re, v_im, i_re, i_im, d2_max)
        else:
            d2_max = _general(seg, coef, s, v_re, v_im, i_re, i_im, d2_max)
        if seg[s, NODE] >= 0:
            v2_min, i2_max = node_currents(
                prog, seg[s, NODE], active, p, q, v_re, v_im, i_re, i_im, v2_min, i2_max
            )
    put(track, 0, d2_max)
    put(track, 1, v2_min)
    put(track, 2, i2_max)
