"""The voltages where sweeps that sum powers begin, from the numbers that `start_profile` laid down."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from ...numba_tools.jit import inline
from ...numba_tools.pointers import advance, get, get_quad, larger, like, pick, put, put_quad, quad, smaller
from .node_power import node_power

LEAST_SHARE, MOST_SHARE = -1.0, 1.5  # of the nominal loads


@inline
def _share(net, cell, total):  # type: ignore[no-untyped-def]
    """The share of the nominal loads that the power ``total`` stands for."""
    scale = advance(net.start, 6 * net.n_conductor)
    share = total * get(scale, 0) + get(scale, 1)
    return larger(smaller(share, like(cell.p, MOST_SHARE)), like(cell.p, LEAST_SHARE))


@inline
def _at(net, cell, k, share):  # type: ignore[no-untyped-def]
    m = net.n_conductor
    put(cell.v_re, k, get(net.start, k) + share * get(net.start, 2 * m + k))
    put(cell.v_im, k, get(net.start, m + k) + share * get(net.start, 3 * m + k))
    put(cell.p_sum, k, get(cell.p, k) + get(net.start, 4 * m + k))
    put(cell.q_sum, k, get(cell.q, k) + get(net.start, 5 * m + k))


@inline
def _lifted(net, cell):  # type: ignore[no-untyped-def]
    """Behind regulators voltages are higher or lower."""
    for k in range(net.n_conductor):
        zone = get(net.zone, k)
        if zone > 0:
            lift = get(cell.lift, zone)
            put(cell.v_re, k, lift * get(cell.v_re, k))
            put(cell.v_im, k, lift * get(cell.v_im, k))


@inline
def _size(cell, k):  # type: ignore[no-untyped-def]
    x, y = get(cell.v_re, k), get(cell.v_im, k)
    put(cell.w, k, 1.0 / (x * x + y * y))


def guess(net: Any, cell: Any) -> None:
    """Voltages of no load, moved as nominal loads would move them; what nodes draw there; 1 / |V|^2."""
    raise NotImplementedError("only inside compiled kernels")


@overload(guess, jit_options={"error_model": "numpy"})
def _guess(net, cell):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return _guess_one if cell.types[0].entry == "number" else _guess_lanes


@inline
def _ungrounded(net, cell):  # type: ignore[no-untyped-def]
    """A small error of the shunts of a floating zone would be a large one of its potential."""
    for j in range(net.n_ungrounded):
        node_power(net, cell, get(net.ungrounded, j))


def _guess_lanes(net, cell):  # type: ignore[no-untyped-def]
    m = net.n_conductor
    whole = m // 4 * 4
    zero = like(cell.p, 0.0)
    a, b, c, d, rest = zero, zero, zero, zero, zero
    for k in range(0, whole, 4):
        a, b = a + get(cell.p, k), b + get(cell.p, k + 1)
        c, d = c + get(cell.p, k + 2), d + get(cell.p, k + 3)
    for k in range(whole, m):
        rest = rest + get(cell.p, k)
    share = _share(net, cell, ((a + b) + (c + d)) + rest)
    for k in range(m):
        _at(net, cell, k, share)
    _lifted(net, cell)
    for k in range(m):
        _size(cell, k)
    _ungrounded(net, cell)


def _guess_one(net, cell):  # type: ignore[no-untyped-def]
    m = net.n_conductor
    whole = m // 4 * 4
    sums, rest = quad(0.0), 0.0
    for k in range(0, whole, 4):
        sums = sums + get_quad(cell.p, k)
    for k in range(whole, m):
        rest = rest + get(cell.p, k)
    share = _share(net, cell, ((pick(sums, 0) + pick(sums, 1)) + (pick(sums, 2) + pick(sums, 3))) + rest)
    shares = quad(share)
    start = net.start
    for k in range(0, whole, 4):
        put_quad(cell.v_re, k, get_quad(start, k) + shares * get_quad(start, 2 * m + k))
        put_quad(cell.v_im, k, get_quad(start, m + k) + shares * get_quad(start, 3 * m + k))
        put_quad(cell.p_sum, k, get_quad(cell.p, k) + get_quad(start, 4 * m + k))
        put_quad(cell.q_sum, k, get_quad(cell.q, k) + get_quad(start, 5 * m + k))
    for k in range(whole, m):
        _at(net, cell, k, share)
    _lifted(net, cell)
    for k in range(0, whole, 4):
        x, y = get_quad(cell.v_re, k), get_quad(cell.v_im, k)
        put_quad(cell.w, k, quad(1.0) / (x * x + y * y))
    for k in range(whole, m):
        _size(cell, k)
    _ungrounded(net, cell)
