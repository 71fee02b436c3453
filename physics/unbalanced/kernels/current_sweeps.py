"""Currents of powers, the check of Kirchhoff's laws, and sweeps that sum currents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from ...numba_tools.jit import inline
from ...numba_tools.pointers import (
    advance,
    get,
    get_lane,
    get_quad,
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
from ..kernel_tables import (
    CHILD,
    D2_MOST,
    I2_MOST,
    KIND,
    OFFSET,
    PARENT,
    ROOT_WIDTH,
    SEGMENT_WIDTH,
    SINGLE,
    TRIPLE,
    V2_LEAST,
)
from .node_power import node_power
from .segment_laws import collect, ends_of, move, place, quad_drop


@inline
def current_at(cell, c, at):  # type: ignore[no-untyped-def]
    """conj(S / V) of the power that stands at conductor c, at the voltage of conductor ``at``."""
    power, reactive = get(cell.p_sum, c), get(cell.q_sum, c)
    x, y, w = get(cell.v_re, at), get(cell.v_im, at), get(cell.w, at)
    return (power * x + reactive * y) * w, (power * y - reactive * x) * w


@inline
def clear_roots(net, cell):  # type: ignore[no-untyped-def]
    """Sources draw nothing themselves."""
    zero = like(cell.v_re, 0.0)
    for j in range(net.n_root):
        k = get(net.root, ROOT_WIDTH * j)
        put(cell.p_sum, k, zero)
        put(cell.q_sum, k, zero)


@inline
def _first(net):  # type: ignore[no-untyped-def]
    """The first conductor behind the sources' impedances, or a number left out before it."""
    return get(net.root, ROOT_WIDTH * (net.n_root - 1)) + 1 if net.n_root > 0 else 0


def own_currents(net: Any, cell: Any) -> None:
    """What every conductor draws itself, from its power; smallest |V|^2 and largest |I|^2."""
    raise NotImplementedError("only inside compiled kernels")


@overload(own_currents, jit_options={"error_model": "numpy"})
def _own_currents(net, cell):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _own_one if cell.types[0].entry == "number" else _own_lanes


@inline
def _own(cell, first, last, v2_least, i2_most):  # type: ignore[no-untyped-def]
    for k in range(first, last):
        a, b = current_at(cell, k, k)
        put(cell.i_re, k, a)
        put(cell.i_im, k, b)
        x, y = get(cell.v_re, k), get(cell.v_im, k)
        v2_least, i2_most = smaller(x * x + y * y, v2_least), larger(a * a + b * b, i2_most)
    put(cell.track, V2_LEAST, v2_least)
    put(cell.track, I2_MOST, i2_most)


@inline
def _roots_at_rest(cell, first):  # type: ignore[no-untyped-def]
    zero = like(cell.v_re, 0.0)
    for k in range(first):
        put(cell.i_re, k, zero)
        put(cell.i_im, k, zero)


def _own_lanes(net, cell):  # type: ignore[no-untyped-def]
    first = _first(net)
    _roots_at_rest(cell, first)
    _own(cell, first, net.n_conductor, like(cell.v_re, np.inf), like(cell.v_re, 0.0))


def _own_one(net, cell):  # type: ignore[no-untyped-def]
    first, m = _first(net), net.n_conductor
    _roots_at_rest(cell, first)
    v2_quad, i2_quad = quad(np.inf), quad(0.0)
    whole = first + (m - first) // 4 * 4
    for k in range(first, whole, 4):
        power, reactive = get_quad(cell.p_sum, k), get_quad(cell.q_sum, k)
        x, y, w = get_quad(cell.v_re, k), get_quad(cell.v_im, k), get_quad(cell.w, k)
        a, b = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        put_quad(cell.i_re, k, a)
        put_quad(cell.i_im, k, b)
        v2_quad, i2_quad = smaller_quad(x * x + y * y, v2_quad), larger_quad(a * a + b * b, i2_quad)
    v2_least, i2_most = np.inf, 0.0
    for j in range(4):
        v2_least, i2_most = smaller(pick(v2_quad, j), v2_least), larger(pick(i2_quad, j), i2_most)
    _own(cell, whole, m, v2_least, i2_most)


def gather_and_check(net: Any, cell: Any) -> None:
    """Add up the currents, leaves first, and tell how far a sweep with them would move a voltage.

    For lanes that do not move on.
    """
    raise NotImplementedError("only inside compiled kernels")


@overload(gather_and_check, jit_options={"error_model": "numpy"})
def _gather_and_check(net, cell):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _check_one if cell.types[0].entry == "number" else _check_lanes


@inline
def _check_single(net, cell, seg, d2_most):  # type: ignore[no-untyped-def]
    """A segment of one conductor without a ratio, which most segments are."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    coef = advance(net.coef, get(seg, OFFSET))
    r, i = get(coef, 0), get(coef, 1)
    a, b = get(cell.i_re, c), get(cell.i_im, c)
    put(cell.i_re, p, get(cell.i_re, p) + a)
    put(cell.i_im, p, get(cell.i_im, p) + b)
    x, y = get(cell.v_re, p) - (r * a - i * b), get(cell.v_im, p) - (r * b + i * a)
    return place(cell, c, x, y, d2_most)


def _check_lanes(net, cell):  # type: ignore[no-untyped-def]
    ends = ends_of(net, cell)
    d2_most = like(cell.v_re, 0.0)
    for s in range(net.n_segment - 1, -1, -1):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind = get(seg, KIND)
        if kind == SINGLE:
            d2_most = _check_single(net, cell, seg, d2_most)
        else:
            d2_most = move(ends, seg, kind, d2_most)
            collect(ends, seg, kind)
    put(cell.track, D2_MOST, d2_most)


@inline
def _check_quad(net, cell, seg, d2_most):  # type: ignore[no-untyped-def]
    """`triple` and `gather` of one row, its phases beside each other: the same sums."""
    c, p = get(seg, CHILD), get(seg, PARENT)
    a, b = get_quad(cell.i_re, c), get_quad(cell.i_im, c)
    e, f = quad_drop(advance(net.coef, get(seg, OFFSET)), a, b)
    dx = get_quad(cell.v_re, p) - e - get_quad(cell.v_re, c)
    dy = get_quad(cell.v_im, p) - f - get_quad(cell.v_im, c)
    put_quad(cell.i_re, p, get_quad(cell.i_re, p) + a)
    put_quad(cell.i_im, p, get_quad(cell.i_im, p) + b)
    return larger_quad(dx * dx + dy * dy, d2_most)


def _check_one(net, cell):  # type: ignore[no-untyped-def]
    ends = ends_of(net, cell)
    d2_most, d2_quad = 0.0, quad(0.0)
    for s in range(net.n_segment - 1, -1, -1):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        kind = get(seg, KIND)
        if kind == TRIPLE:
            d2_quad = _check_quad(net, cell, seg, d2_quad)
        elif kind == SINGLE:
            d2_most = _check_single(net, cell, seg, d2_most)
        else:
            d2_most = move(ends, seg, kind, d2_most)
            collect(ends, seg, kind)
    for j in range(3):
        d2_most = larger(pick(d2_quad, j), d2_most)
    put(cell.track, D2_MOST, d2_most)


@inline
def move_on(net, cell):  # type: ignore[no-untyped-def]
    """New voltages from the currents, and the nodes' own powers there, sources first."""
    clear_roots(net, cell)
    ends = ends_of(net, cell)
    for s in range(net.n_segment):
        seg = advance(net.segment, s * SEGMENT_WIDTH)
        move(ends, seg, get(seg, KIND), like(cell.v_re, 0.0))
    for k in range(net.n_node):
        node_power(net, cell, k)


@inline
def finite(net, cell, lane):  # type: ignore[no-untyped-def]
    """Whether the currents of the sources are: a NaN or an infinity anywhere ends there."""
    total = 0.0
    for j in range(net.n_root):
        k = get(net.root, ROOT_WIDTH * j)
        total += get_lane(cell.i_re, k, lane) * 0.0 + get_lane(cell.i_im, k, lane) * 0.0
    return total == 0.0
