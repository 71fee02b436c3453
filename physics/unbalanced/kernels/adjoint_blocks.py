"""Small dense blocks of the adjoint of a tree: the coefficients of a node's segments and its elimination.

A *block* is a node with its one to three conductors. From the voltages u of its parent's conductors and the
currents i into its own, its voltages are ``V = A u - B i``, and it takes ``D i`` from its parent. Complex
matrices act on pairs (re, im); products with their transposes are products with conjugates. Matrices that
act on pairs without being complex, M and G of adjoint_tree.py, are kept transposed, row by row.
"""

from __future__ import annotations

from typing import Any

from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, load, store
from ..kernel_tables import SCALED, SINGLE, TAP, TAP_LEG, WIRE

# Columns of the table of blocks. LINK: the parent's conductor of each, where A and D only pick.
FIRST, N, PARENT, KIND, FLOATS, LINK, COEF, SHUNT, STEP, N_STEP = 0, 1, 2, 3, 4, 5, 8, 9, 10, 11
BLOCK_WIDTH = 12
#: Kinds of blocks: of a source, one whose A and D only pick, one with dense ones, and with some of taps.
ROOT, PICKED, DENSE, TAPPED = 0, 1, 2, 3
#: Columns of the table of steps, the segments of tapped blocks: kind, places of its child, its parents and
#: its reference in their blocks, tap entry, place of its numbers.
S_KIND, S_CHILD, S_PARENT, S_OTHER, S_REFERENCE, S_ENTRY, S_COEF, S_BLOCK = 0, 1, 2, 3, 4, 5, 6, 7
STEP_WIDTH = 8
#: Numbers of a dense block: A, B and D (3 x 3 each), row by row, re and im.
A, B, D, DENSE_NUMBERS = 0, 18, 36, 54


@inline
def _add(table, k, f, value):  # type: ignore[no-untyped-def]
    store(table, k, f, load(table, k, f) + value)


@inline
def dense_of_taps(tree, b, room):  # type: ignore[no-untyped-def]
    """A, B and D of a tapped block, from the ratios of its tap entries."""
    into = room.dense
    for k in range(DENSE_NUMBERS):
        store(into, b, k, every(into, 0.0))
    for s in range(tree.block[b, STEP], tree.block[b, STEP] + tree.block[b, N_STEP]):
        kind, c, p = tree.step[s, S_KIND], tree.step[s, S_CHILD], tree.step[s, S_PARENT]
        x = tree.step[s, S_COEF]
        a_re, a_im = every(into, tree.number[x]), every(into, tree.number[x + 1])
        z_re, z_im = every(into, tree.number[x + 2]), every(into, tree.number[x + 3])
        if kind == TAP or kind == TAP_LEG:
            entry = tree.step[s, S_ENTRY]
            a_re, a_im, square = load(room.ratio, entry, 0), every(into, 0.0), load(room.ratio, entry, 1)
            z_re, z_im = square * z_re, square * z_im
        if kind == TAP_LEG:
            q, r = tree.step[s, S_OTHER], tree.step[s, S_REFERENCE]
            for k in range(3):  # its current flows through what feeds the reference, too
                for j in range(2):
                    _add(into, b, B + 6 * k + 2 * c + j, load(into, b, B + 6 * k + 2 * r + j))
                    _add(into, b, D + 6 * k + 2 * c + j, load(into, b, D + 6 * k + 2 * r + j))
            for k in range(6):
                _add(into, b, A + 6 * c + k, load(into, b, A + 6 * r + k))
                _add(into, b, B + 6 * c + k, load(into, b, B + 6 * r + k))
            _add(into, b, A + 6 * c + 2 * q, 0.0 - a_re)
            _add(into, b, D + 6 * q + 2 * c, 0.0 - a_re)
        _add(into, b, A + 6 * c + 2 * p, a_re)
        _add(into, b, A + 6 * c + 2 * p + 1, a_im)
        _add(into, b, D + 6 * p + 2 * c, a_re)
        _add(into, b, D + 6 * p + 2 * c + 1, 0.0 - a_im)
        _add(into, b, B + 6 * c + 2 * c, z_re)
        _add(into, b, B + 6 * c + 2 * c + 1, z_im)


SIMPLE = (WIRE, SINGLE, SCALED, TAP, TAP_LEG)  # what a tapped block may be made of


def _solver(d: int) -> Any:
    """A function that solves ``p g = m`` with ``p = 1 + m B``, all (d, d) row by row; g replaces m.

    In ``small``: m, from 36 on complex B (d/2, d/2), from 72 on p; one row, so that the compiler sees what
    stands beside what. Without pivoting: p is the unit matrix but for what the
    loads behind a block do to its voltage.
    """
    half = d // 2

    def product(small):  # type: ignore[no-untyped-def]
        for i in range(d):
            for k in range(half):
                x, y = every(small, 0.0), every(small, 0.0)
                for j in range(half):
                    o = 36 + 2 * (half * j + k)
                    re, im = load(small, 0, o), load(small, 0, o + 1)
                    e, f = load(small, 0, d * i + 2 * j), load(small, 0, d * i + 2 * j + 1)
                    x = x + (e * re + f * im)
                    y = y + (f * re - e * im)
                if i == 2 * k:
                    x = x + 1.0
                if i == 2 * k + 1:
                    y = y + 1.0
                store(small, 0, 72 + d * i + 2 * k, x)
                store(small, 0, 72 + d * i + 2 * k + 1, y)

    def less(small, to, f, of):  # type: ignore[no-untyped-def]
        store(small, 0, to, load(small, 0, to) - f * load(small, 0, of))

    def forwards(small):  # type: ignore[no-untyped-def]
        for k in range(d):
            scale = 1.0 / load(small, 0, 72 + d * k + k)
            for j in range(k + 1, d):
                store(small, 0, 72 + d * k + j, load(small, 0, 72 + d * k + j) * scale)
            for j in range(d):
                store(small, 0, d * k + j, load(small, 0, d * k + j) * scale)
            for i in range(k + 1, d):
                f = load(small, 0, 72 + d * i + k)
                for j in range(k + 1, d):
                    less(small, 72 + d * i + j, f, 72 + d * k + j)
                for j in range(d):
                    less(small, d * i + j, f, d * k + j)

    def backwards(small):  # type: ignore[no-untyped-def]
        for k in range(d - 1, 0, -1):
            for i in range(k):
                f = load(small, 0, 72 + d * i + k)
                for j in range(d):
                    less(small, d * i + j, f, d * k + j)

    less = inline(less)
    product, forwards, backwards = inline(product), inline(forwards), inline(backwards)

    def eliminate(small):  # type: ignore[no-untyped-def]
        product(small)
        forwards(small)
        backwards(small)

    return inline(eliminate)


eliminate_1, eliminate_2, eliminate_3 = _solver(2), _solver(4), _solver(6)
