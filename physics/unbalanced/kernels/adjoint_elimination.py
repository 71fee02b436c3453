"""The elimination of the adjoint of a per-phase tree, from the leaves upwards; see adjoint_tree.py."""

from __future__ import annotations

from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, load, store
from .adjoint_blocks import (
    COEF,
    FIRST,
    FLOATS,
    KIND,
    LINK,
    PARENT,
    PICKED,
    ROOT,
    A,
    B,
    D,
    N,
    eliminate_1,
    eliminate_2,
    eliminate_3,
)
from .adjoint_state import open_all, open_row
from .adjoint_tables import EXTRA


@inline
def entry_of_b(tree, room, b, row, column):  # type: ignore[no-untyped-def]
    """An entry of B of a block."""
    if tree.block[b, KIND] == PICKED:
        o = tree.block[b, COEF] + 2 * (tree.block[b, N] * row + column)
        return every(room.note, tree.number[o]), every(room.note, tree.number[o + 1])
    o = B + 6 * row + 2 * column
    return load(room.dense, b, o), load(room.dense, b, o + 1)


@inline
def active(a, i):  # type: ignore[no-untyped-def]
    """The i-th of three places."""
    return a[0] if i == 0 else (a[1] if i == 1 else a[2])


@inline
def bits(some):  # type: ignore[no-untyped-def]
    """Places of the bits, and how many there are."""
    one, two = some & 1, some >> 1 & 1
    return ((1 - one) * (2 - two), 2 - one * two, 2), one + two + (some >> 2 & 1)


@inline
def eliminate(tree, room):  # type: ignore[no-untyped-def]
    """G and w of every block, leaves first."""
    for b in range(tree.block.shape[0] - 1, -1, -1):
        if tree.block[b, KIND] == ROOT:
            continue
        first, n = tree.block[b, FIRST], tree.block[b, N]
        if n == 3 and tree.block[b, KIND] == PICKED:
            _drop_of_three(tree, room, b, first)
        else:
            _drop(tree, room, b, first, n)
        a, na = bits(room.some[b])
        if n == 3 and tree.block[b, KIND] == PICKED:
            _pick_three(tree, room, b, a, na)
            continue
        if na > 0:
            _solve(tree, room, b, a, na)
        if tree.block[b, FLOATS] == 1:
            _float(room, b, n, a, na)
        if tree.block[b, KIND] == PICKED:
            _pass_on(tree, room, b, n, a, na)
        else:
            _pass_on_dense(tree, room, b, n, a, na)


@inline
def _pick_three(tree, room, b, a, na):  # type: ignore[no-untyped-def]
    """A line of three phases: the same, by numbers of conductors that the compiler knows."""
    if na == 1:
        _solve(tree, room, b, a, 1)
        _pass_on(tree, room, b, 3, a, 1)
    elif na == 3:
        _solve(tree, room, b, (0, 1, 2), 3)
        _pass_on(tree, room, b, 3, (0, 1, 2), 3)
    elif na == 2:
        _solve(tree, room, b, a, 2)
        _pass_on(tree, room, b, 3, a, 2)
    else:
        _pass_on(tree, room, b, 3, a, 0)


@inline
def _drop(tree, room, b, first, n):  # type: ignore[no-untyped-def]
    """w of any block."""
    for k in range(n):
        x, y = load(room.by_j, first + k, 0), load(room.by_j, first + k, 1)
        for j in range(n):
            re, im = entry_of_b(tree, room, b, j, k)
            e, f = load(room.n, b, 2 * j), load(room.n, b, 2 * j + 1)
            x, y = x + (re * e + im * f), y + (re * f - im * e)
        store(room.w, b, 2 * k, x)
        store(room.w, b, 2 * k + 1, y)


@inline
def _drop_of_three(tree, room, b, first):  # type: ignore[no-untyped-def]
    """w of a line of three phases: the same sums without loops."""
    o = tree.block[b, COEF]
    e0, f0, e1, f1 = load(room.n, b, 0), load(room.n, b, 1), load(room.n, b, 2), load(room.n, b, 3)
    e2, f2 = load(room.n, b, 4), load(room.n, b, 5)
    for k in range(3):
        at = o + 2 * k
        r0, i0, r1, i1 = tree.number[at], tree.number[at + 1], tree.number[at + 6], tree.number[at + 7]
        r2, i2 = tree.number[at + 12], tree.number[at + 13]
        x = load(room.by_j, first + k, 0) + (r0 * e0 + i0 * f0)
        y = load(room.by_j, first + k, 1) + (r0 * f0 - i0 * e0)
        x, y = x + (r1 * e1 + i1 * f1), y + (r1 * f1 - i1 * e1)
        x, y = x + (r2 * e2 + i2 * f2), y + (r2 * f2 - i2 * e2)
        store(room.w, b, 2 * k, x)
        store(room.w, b, 2 * k + 1, y)


@inline
def _solve(tree, room, b, a, na):  # type: ignore[no-untyped-def]
    """M of the active conductors becomes G."""
    d, small = 2 * na, room.small
    for i in range(na):
        r = active(a, i)
        for k in range(na):
            c = active(a, k)
            at, to = 12 * r + 2 * c, 2 * i * d + 2 * k
            store(small, 0, to, load(room.big, b, at))
            store(small, 0, to + 1, load(room.big, b, at + 1))
            store(small, 0, to + d, load(room.big, b, at + 6))
            store(small, 0, to + d + 1, load(room.big, b, at + 7))
            re, im = entry_of_b(tree, room, b, r, c)
            store(small, 0, 36 + 2 * (na * i + k), re)
            store(small, 0, 36 + 2 * (na * i + k) + 1, im)
    if na == 3:
        eliminate_3(small)
    elif na == 2:
        eliminate_2(small)
    else:
        eliminate_1(small)
    for k in range(d * d):
        store(room.big, b, k, load(small, 0, k))


@inline
def _float(room, b, n, a, na):  # type: ignore[no-untyped-def]
    """The mean of the block's voltages is free and its currents have none: l has no sum.

    ``t = G (q - 1 s)`` with ``1' l = 0`` gives s. Keeps R = inverse(1' G 1) 1' G and the same of n, leaves
    G - (G 1) R in the place of G, and adds to n the part of t that does not depend on q.
    """
    d, g, extra, sums = 2 * na, room.big, room.extra, room.small
    zero = every(g, 0.0)
    for j in range(EXTRA):
        store(extra, b, j, zero)
    for i in range(d):  # rows of G 1 in ``small``, columns of 1' G in ``extra``; G[i, k] is at (k, i)
        x, y, u, v = zero, zero, zero, zero
        for k in range(na):
            x, y = x + load(g, b, d * 2 * k + i), y + load(g, b, d * (2 * k + 1) + i)
            u, v = u + load(g, b, d * i + 2 * k), v + load(g, b, d * i + 2 * k + 1)
        store(sums, 0, 108 + 2 * i, x)
        store(sums, 0, 108 + 2 * i + 1, y)
        store(extra, b, i, u)
        store(extra, b, 6 + i, v)
    s11, s12, s21, s22 = zero, zero, zero, zero
    for k in range(na):
        s11, s12 = s11 + load(sums, 0, 108 + 4 * k), s12 + load(sums, 0, 108 + 4 * k + 1)
        s21, s22 = s21 + load(sums, 0, 108 + 4 * k + 2), s22 + load(sums, 0, 108 + 4 * k + 3)
    scale = 1.0 / (s11 * s22 - s12 * s21)
    i11, i12, i21, i22 = s22 * scale, 0.0 - s12 * scale, 0.0 - s21 * scale, s11 * scale
    for i in range(d):
        u, v = load(extra, b, i), load(extra, b, 6 + i)
        store(extra, b, i, i11 * u + i12 * v)
        store(extra, b, 6 + i, i21 * u + i22 * v)
    x, y = zero, zero
    for k in range(n):
        x, y = x + load(room.n, b, 2 * k), y + load(room.n, b, 2 * k + 1)
    store(extra, b, 12, i11 * x + i12 * y)
    store(extra, b, 13, i21 * x + i22 * y)
    for i in range(d):
        e, f = load(sums, 0, 108 + 2 * i), load(sums, 0, 108 + 2 * i + 1)
        for k in range(d):
            less = e * load(extra, b, k) + f * load(extra, b, 6 + k)
            store(g, b, d * k + i, load(g, b, d * k + i) - less)
    for i in range(d):
        at = 2 * active(a, i // 2) + i % 2
        part = load(sums, 0, 108 + 2 * i) * load(extra, b, 12) + load(sums, 0, 108 + 2 * i + 1) * load(
            extra, b, 13
        )
        store(extra, b, 14 + at, 0.0 - part)
        store(room.n, b, at, load(room.n, b, at) - part)


@inline
def answer(room, b, a, na, vector, at, sign, into):  # type: ignore[no-untyped-def]
    """From ``into`` in ``small`` on: n + sign G vector, of the vector in row ``at`` of a table."""
    d, small = 2 * na, room.small
    for j in range(6):
        store(small, 0, into + j, load(room.n, b, j))
    for k in range(na):
        c = 2 * active(a, k)
        x, y = sign * load(vector, at, c), sign * load(vector, at, c + 1)
        for i in range(na):
            r, o = into + 2 * active(a, i), d * 2 * k + 2 * i
            e = load(room.big, b, o) * x + load(room.big, b, o + d) * y
            f = load(room.big, b, o + 1) * x + load(room.big, b, o + d + 1) * y
            store(small, 0, r, load(small, 0, r) + e)
            store(small, 0, r + 1, load(small, 0, r + 1) + f)


@inline
def more(table, k, f, value):  # type: ignore[no-untyped-def]
    """Add to an entry."""
    store(table, k, f, load(table, k, f) + value)


@inline
def _pass_on(tree, room, b, n, a, na):  # type: ignore[no-untyped-def]
    """What the parent's M and n get, where A and D pick."""
    up, d, big = tree.block[b, PARENT], 2 * na, room.big
    answer(room, b, a, na, room.w, b, -1.0, 108)
    for i in range(n):
        p = 2 * tree.block[b, LINK + i]
        more(room.n, up, p, load(room.small, 0, 108 + 2 * i))
        more(room.n, up, p + 1, load(room.small, 0, 108 + 2 * i + 1))
    for i in range(na):
        r = tree.block[b, LINK + active(a, i)]
        open_row(room, up, r)
    for i in range(na):
        r = tree.block[b, LINK + active(a, i)]
        for k in range(na):
            at, to = 2 * i * d + 2 * k, 12 * r + 2 * tree.block[b, LINK + active(a, k)]
            more(big, up, to, load(big, b, at))
            more(big, up, to + 1, load(big, b, at + 1))
            more(big, up, to + 6, load(big, b, at + d))
            more(big, up, to + 7, load(big, b, at + d + 1))


@inline
def _pass_on_dense(tree, room, b, n, a, na):  # type: ignore[no-untyped-def]
    """The same with dense A and D."""
    up, d, small, dense = tree.block[b, PARENT], 2 * na, room.small, room.dense
    many, zero = tree.block[up, N], every(room.note, 0.0)
    answer(room, b, a, na, room.w, b, -1.0, 108)
    for p in range(many):
        x, y = zero, zero
        for i in range(n):
            re, im = load(dense, b, A + 6 * i + 2 * p), load(dense, b, A + 6 * i + 2 * p + 1)
            e, f = load(small, 0, 108 + 2 * i), load(small, 0, 108 + 2 * i + 1)
            x, y = x + (re * e + im * f), y + (re * f - im * e)
        more(room.n, up, 2 * p, x)
        more(room.n, up, 2 * p + 1, y)
    if na == 0:
        return
    open_all(room, up, many)
    for i in range(d):  # G transposed times A
        for p in range(many):
            x, y = zero, zero
            for k in range(na):
                o = A + 6 * active(a, k) + 2 * p
                re, im = load(dense, b, o), load(dense, b, o + 1)
                e, f = load(room.big, b, d * i + 2 * k), load(room.big, b, d * i + 2 * k + 1)
                x, y = x + (e * re + f * im), y + (f * re - e * im)
            store(small, 0, 6 * i + 2 * p, x)
            store(small, 0, 6 * i + 2 * p + 1, y)
    for p in range(many):
        for k in range(na):
            o = D + 6 * p + 2 * active(a, k)
            re, im = load(dense, b, o), load(dense, b, o + 1)
            for j in range(2 * many):
                e, f = load(small, 0, 12 * k + j), load(small, 0, 12 * k + 6 + j)
                more(room.big, up, 12 * p + j, re * e - im * f)
                more(room.big, up, 12 * p + 6 + j, im * e + re * f)
