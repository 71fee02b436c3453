"""The adjoint of a per-phase power flow along its tree: leaves to sources and back, exact in one pass.

The per-phase form of the balanced kernel (physics/balanced/kernels/adjoint_rows.py), node by node instead of
number by number. With the blocks of adjoint_blocks.py, ``V = A u - B i`` and ``i = I(V) + sum of D i_child``,
the multipliers l of the first and m of the second equation obey

    m = D' m_parent - B' l - df/di,        l = F' m - df/dV + sum over children of A' l_child

with F the derivative of the loads' currents I. From the leaves upwards ``l = M m + n``, and with
``t = M m = G (D' m_parent - w)``, ``G = M inverse(1 + B' M)``, ``w = B' n + df/di``, a parent's M grows by
``A' G D'`` and its n by ``A' (n - G w)``. From the sources downwards m follows from t.

M has rows and columns of those conductors alone that a load or a shunt stands behind (``some``): of a feeder
of single-phase customers most eliminations are of 2 x 2 numbers. Behind a delta winding without ground the
mean voltage floats until the currents have no mean: one more multiplier, eliminated with its block.
"""

from __future__ import annotations

from ...numba_tools.jit import inline, lean_kernel
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
    TAPPED,
    A,
    B,
    D,
    N,
    eliminate_1,
    eliminate_2,
    eliminate_3,
)
from .adjoint_ends import of_ends, of_slack, of_voltages, write
from .adjoint_state import begin, currents, from_legs, loads, shunts, through_legs
from .adjoint_tables import EXTRA
from .newton_system import row_of


@inline
def _conjugate_product(table, o, stride, vector, at, n, k):  # type: ignore[no-untyped-def]
    """Entry k of the transposed complex matrix at ``table[o:]`` times ``vector[at]``, n entries."""
    x, y = 0.0, 0.0
    for j in range(n):
        re, im = table[o + stride * j + 2 * k], table[o + stride * j + 2 * k + 1]
        e, f = vector[at, 2 * j], vector[at, 2 * j + 1]
        x += re * e + im * f
        y += re * f - im * e
    return x, y


@inline
def _eliminate(tree, room):  # type: ignore[no-untyped-def]
    """G and w of every block, leaves first."""
    mine, other, third = room.small[0], room.small[1], room.small[2]
    for b in range(tree.block.shape[0] - 1, -1, -1):
        kind = tree.block[b, KIND]
        if kind == ROOT:
            continue
        first, n, some = tree.block[b, FIRST], tree.block[b, N], room.some[b]
        dense = kind != PICKED
        table, o = (room.tapped, DENSE_NUMBERS * b) if kind == TAPPED else (tree.number, tree.block[b, COEF])
        o_b, stride = (o + B, 6) if dense else (o, 2 * n)
        for k in range(n):
            x, y = _conjugate_product(table, o_b, stride, room.n, b, n, k)
            room.w[b, 2 * k] = x + room.by_j[first + k, 0]
            room.w[b, 2 * k + 1] = y + room.by_j[first + k, 1]
        a0, a1, a2, na = _bits(some)
        if na > 0:
            d = 2 * na
            for i in range(na):
                r = a0 if i == 0 else (a1 if i == 1 else a2)
                for k in range(na):
                    c = a0 if k == 0 else (a1 if k == 1 else a2)
                    at, to = 12 * r + 2 * c, 2 * i * d + 2 * k
                    mine[to], mine[to + 1] = room.big[b, at], room.big[b, at + 1]
                    mine[to + d], mine[to + d + 1] = room.big[b, at + 6], room.big[b, at + 7]
                    at = o_b + stride * r + 2 * c
                    other[2 * (na * i + k)], other[2 * (na * i + k) + 1] = table[at], table[at + 1]
            if na == 3:
                eliminate_3(mine, other, third)
            elif na == 2:
                eliminate_2(mine, other, third)
            else:
                eliminate_1(mine, other, third)
            for k in range(d * d):
                room.big[b, k] = mine[k]
        if tree.block[b, FLOATS] == 1:
            _float(room, b, n, na, a0, a1, a2)
        _pass_on(tree, room, b, n, na, a0, a1, a2, dense, table, o)


@inline
def _bits(some):  # type: ignore[no-untyped-def]
    """Places of the bits, and how many there are."""
    a0 = 0 if some & 1 else (1 if some & 2 else 2)
    a2 = 2
    a1 = 1 if (some & 2) and a0 == 0 else 2
    return a0, a1, a2, (some & 1) + (some >> 1 & 1) + (some >> 2 & 1)


@inline
def _float(room, b, n, na, a0, a1, a2):  # type: ignore[no-untyped-def]
    """The mean of the block's voltages is free and its currents have none: l has no sum.

    ``t = G (q - 1 s)`` with ``1' l = 0`` gives s; keeps 1' G, the inverse of 1' G 1 and the sum of n, and
    leaves G - G 1 inverse(1' G 1) 1' G in the place of G (transposed, all of it).
    """
    d = 2 * na
    g, extra = room.big, room.extra
    for j in range(EXTRA):
        extra[b, j] = 0.0
    sums = room.small[3]  # G 1: (d, 2)
    for i in range(d):
        x, y, u, v = 0.0, 0.0, 0.0, 0.0
        for k in range(na):
            x += g[b, d * (2 * k) + i]  # G[i, 2k] = transposed[2k, i]
            y += g[b, d * (2 * k + 1) + i]
            u += g[b, d * i + 2 * k]  # G[2k, i]
            v += g[b, d * i + 2 * k + 1]
        sums[2 * i], sums[2 * i + 1] = x, y
        extra[b, i], extra[b, 6 + i] = u, v
    s11 = s12 = s21 = s22 = 0.0
    for k in range(na):
        s11 += sums[4 * k]
        s12 += sums[4 * k + 1]
        s21 += sums[4 * k + 2]
        s22 += sums[4 * k + 3]
    scale = 1.0 / (s11 * s22 - s12 * s21)
    i11, i12, i21, i22 = s22 * scale, -s12 * scale, -s21 * scale, s11 * scale
    for i in range(d):  # rows of inverse(S) 1' G
        u, v = extra[b, i], extra[b, 6 + i]
        extra[b, i], extra[b, 6 + i] = i11 * u + i12 * v, i21 * u + i22 * v
    x, y = 0.0, 0.0
    for k in range(n):
        x += room.n[b, 2 * k]
        y += room.n[b, 2 * k + 1]
    extra[b, 12], extra[b, 13] = i11 * x + i12 * y, i21 * x + i22 * y
    for i in range(d):  # transposed[k, i] = G[i, k]
        for k in range(d):
            g[b, d * k + i] -= sums[2 * i] * extra[b, k] + sums[2 * i + 1] * extra[b, 6 + k]
    for i in range(na):  # the part of t that does not depend on q goes to n, and is kept
        c = a0 if i == 0 else (a1 if i == 1 else a2)
        for j in range(2):
            k = 2 * i + j
            extra[b, 14 + 2 * c + j] = -(sums[2 * k] * extra[b, 12] + sums[2 * k + 1] * extra[b, 13])
            room.n[b, 2 * c + j] += extra[b, 14 + 2 * c + j]


@inline
def _answer(room, b, na, a0, a1, a2, vector, sign, into):  # type: ignore[no-untyped-def]
    """``into`` (6,) = n + sign G vector."""
    d = 2 * na
    for j in range(6):
        into[j] = room.n[b, j]
    for k in range(na):
        c = a0 if k == 0 else (a1 if k == 1 else a2)
        x, y = sign * vector[2 * c], sign * vector[2 * c + 1]
        for i in range(na):
            r = a0 if i == 0 else (a1 if i == 1 else a2)
            at = d * 2 * k + 2 * i
            into[2 * r] += room.big[b, at] * x + room.big[b, at + d] * y
            into[2 * r + 1] += room.big[b, at + 1] * x + room.big[b, at + d + 1] * y


@inline
def _pass_on(tree, room, b, n, na, a0, a1, a2, dense, table, o):  # type: ignore[no-untyped-def]
    """What the parent's M and n get."""
    up = tree.block[b, PARENT]
    many, d = tree.block[up, N], 2 * na
    left = room.small[3]
    _answer(room, b, na, a0, a1, a2, room.w[b], -1.0, left)
    if not dense:
        for i in range(n):
            p = 2 * tree.block[b, LINK + i]
            room.n[up, p] += left[2 * i]
            room.n[up, p + 1] += left[2 * i + 1]
        for i in range(na):
            r = tree.block[b, LINK + (a0 if i == 0 else (a1 if i == 1 else a2))]
            room.some[up] |= 1 << r
            for k in range(na):
                c = tree.block[b, LINK + (a0 if k == 0 else (a1 if k == 1 else a2))]
                at, to = 2 * i * d + 2 * k, 12 * r + 2 * c
                room.big[up, to] += room.big[b, at]
                room.big[up, to + 1] += room.big[b, at + 1]
                room.big[up, to + 6] += room.big[b, at + d]
                room.big[up, to + 7] += room.big[b, at + d + 1]
        return
    for p in range(many):
        x, y = 0.0, 0.0
        for i in range(n):
            re, im = table[o + A + 6 * i + 2 * p], table[o + A + 6 * i + 2 * p + 1]
            x += re * left[2 * i] + im * left[2 * i + 1]
            y += re * left[2 * i + 1] - im * left[2 * i]
        room.n[up, 2 * p] += x
        room.n[up, 2 * p + 1] += y
    if na == 0:
        return
    room.some[up] = (1 << many) - 1
    wide = room.small[0]  # G transposed times A: (d, 2 many)
    for i in range(d):
        for p in range(many):
            x, y = 0.0, 0.0
            for k in range(na):
                c = a0 if k == 0 else (a1 if k == 1 else a2)
                re, im = table[o + A + 6 * c + 2 * p], table[o + A + 6 * c + 2 * p + 1]
                e, f = room.big[b, d * i + 2 * k], room.big[b, d * i + 2 * k + 1]
                x += e * re + f * im
                y += f * re - e * im
            wide[6 * i + 2 * p], wide[6 * i + 2 * p + 1] = x, y
    for p in range(many):
        for k in range(na):
            c = a0 if k == 0 else (a1 if k == 1 else a2)
            re, im = table[o + D + 6 * p + 2 * c], table[o + D + 6 * p + 2 * c + 1]
            for j in range(2 * many):
                e, f = wide[12 * k + j], wide[12 * k + 6 + j]
                room.big[up, 12 * p + j] += re * e - im * f
                room.big[up, 12 * p + 6 + j] += im * e + re * f


@inline
def _substitute(tree, room):  # type: ignore[no-untyped-def]
    """m of every conductor and l (in the place of n), sources first."""
    q, after = room.small[0], room.small[1]
    for b in range(tree.block.shape[0]):
        kind, first, n = tree.block[b, KIND], tree.block[b, FIRST], tree.block[b, N]
        if kind == ROOT:
            for k in range(n):
                room.m[first + k, 0], room.m[first + k, 1] = (
                    -room.by_j[first + k, 0],
                    -room.by_j[first + k, 1],
                )
            for k in range(n):  # M of a source is as it was added up: full, transposed
                x, y = room.m[first + k, 0], room.m[first + k, 1]
                for i in range(2 * n):
                    room.n[b, i] += room.big[b, 12 * k + i] * x + room.big[b, 12 * k + 6 + i] * y
            continue
        up = tree.block[b, PARENT]
        above, many = tree.block[up, FIRST], tree.block[up, N]
        a0, a1, a2, na = _bits(room.some[b])
        table, o = (room.tapped, DENSE_NUMBERS * b) if kind == TAPPED else (tree.number, tree.block[b, COEF])
        o_b, stride = (o, 2 * n) if kind == PICKED else (o + B, 6)
        for k in range(n):
            if kind == PICKED:
                p = above + tree.block[b, LINK + k]
                x, y = room.m[p, 0], room.m[p, 1]
            else:
                x, y = 0.0, 0.0
                for p in range(many):
                    re, im = table[o + D + 6 * p + 2 * k], table[o + D + 6 * p + 2 * k + 1]
                    e, f = room.m[above + p, 0], room.m[above + p, 1]
                    x += re * e + im * f
                    y += re * f - im * e
            q[2 * k], q[2 * k + 1] = x - room.w[b, 2 * k], y - room.w[b, 2 * k + 1]
        _answer(room, b, na, a0, a1, a2, q, 1.0, after)
        _multipliers(tree, room, b, first, n, na, a0, a1, a2, table, o_b, stride, q, after)


@inline
def _multipliers(tree, room, b, first, n, na, a0, a1, a2, table, o_b, stride, q, after):  # type: ignore[no-untyped-def]
    """``m = q - B' t`` (less what keeps the currents of a floating block without a mean), and l."""
    u, v = 0.0, 0.0
    if tree.block[b, FLOATS] == 1:
        u, v = room.extra[b, 12], room.extra[b, 13]
        for k in range(na):
            c = a0 if k == 0 else (a1 if k == 1 else a2)
            for j in range(2):
                u += room.extra[b, 2 * k + j] * q[2 * c + j]
                v += room.extra[b, 6 + 2 * k + j] * q[2 * c + j]
    t = room.small[2]
    for j in range(2 * n):
        t[j] = after[j] - room.n[b, j]
        if tree.block[b, FLOATS] == 1:
            t[j] += room.extra[b, 14 + j]
    for k in range(n):
        x, y = q[2 * k] - u, q[2 * k + 1] - v
        for i in range(na):
            c = a0 if i == 0 else (a1 if i == 1 else a2)
            re, im = table[o_b + stride * c + 2 * k], table[o_b + stride * c + 2 * k + 1]
            x -= re * t[2 * c] + im * t[2 * c + 1]
            y -= re * t[2 * c + 1] - im * t[2 * c]
        room.m[first + k, 0], room.m[first + k, 1] = x, y
    for j in range(2 * n):
        room.n[b, j] = after[j]


@lean_kernel
def tree_rows(  # type: ignore[no-untyped-def]
    tree, room, given, v_source, tap, cap_on, v, seeds, out, lo, hi, scale, flows
):
    """Gradients of rows [lo, hi) of solved rows; arguments as of `adjoint_rows`."""
    for row in range(lo, hi):
        emf, ratios = v_source[row_of(v_source, row)], tap[row_of(tap, row)]
        begin(tree, room, v[row], emf, ratios)
        loads(tree, room, given, row, scale, cap_on[row_of(cap_on, row)])
        shunts(tree, room)
        out.move[row, 0] = currents(tree, room)
        through_legs(tree, room)
        of_voltages(tree, room, seeds, row)
        if flows:
            of_ends(tree, room, seeds, row, 1.0 / scale)
        p, q = seeds.total[row, 2] / scale, seeds.total[row, 3] / scale
        if p != 0.0 or q != 0.0:
            of_slack(tree, room, p, q)
        from_legs(tree, room)
        _eliminate(tree, room)
        _substitute(tree, room)
        write(tree, room, row, scale, emf, ratios, flows, out)
