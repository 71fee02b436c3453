"""Small dense blocks of the adjoint of a tree: the coefficients of a node's segments and its elimination.

A *block* is a node with its one to three conductors. From the voltages u of its parent's conductors and the
currents i into its own, its voltages are ``V = A u - B i``, and it takes ``D i`` from its parent. Complex
matrices act on pairs (re, im); products with their transposes are products with conjugates. Matrices that
act on pairs without being complex, M and G of adjoint_tree.py, are kept transposed, row by row.
"""

from __future__ import annotations

from typing import Any

from ...numba_tools.jit import inline
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
#: Numbers of a dense block: A and D (3 x 3 each), B (3 x 3), row by row, re and im.
A, B, D, DENSE_NUMBERS = 0, 18, 36, 54


@inline
def dense_of_taps(tree, block, ratio, square, into, o):  # type: ignore[no-untyped-def]
    """A, B and D of a tapped block at ``into[o:]``, from the ratios of its tap entries."""
    for k in range(DENSE_NUMBERS):
        into[o + k] = 0.0
    for s in range(tree.block[block, STEP], tree.block[block, STEP] + tree.block[block, N_STEP]):
        kind, c, p = tree.step[s, S_KIND], tree.step[s, S_CHILD], tree.step[s, S_PARENT]
        x = tree.step[s, S_COEF]
        a_re, a_im, z_re, z_im = tree.number[x], tree.number[x + 1], tree.number[x + 2], tree.number[x + 3]
        if kind == TAP or kind == TAP_LEG:
            entry = tree.step[s, S_ENTRY]
            a_re, a_im = ratio[entry], 0.0
            z_re, z_im = square[entry] * z_re, square[entry] * z_im
        if kind == TAP_LEG:
            q, r = tree.step[s, S_OTHER], tree.step[s, S_REFERENCE]
            for k in range(3):  # its current flows through what feeds the reference, too
                for j in range(2):
                    into[o + B + 6 * k + 2 * c + j] += into[o + B + 6 * k + 2 * r + j]
                    into[o + D + 6 * k + 2 * c + j] += into[o + D + 6 * k + 2 * r + j]
            for k in range(6):
                into[o + A + 6 * c + k] += into[o + A + 6 * r + k]
                into[o + B + 6 * c + k] += into[o + B + 6 * r + k]
            into[o + A + 6 * c + 2 * q] -= a_re
            into[o + D + 6 * q + 2 * c] -= a_re
        into[o + A + 6 * c + 2 * p] += a_re
        into[o + A + 6 * c + 2 * p + 1] += a_im
        into[o + D + 6 * p + 2 * c] += a_re
        into[o + D + 6 * p + 2 * c + 1] -= a_im
        into[o + B + 6 * c + 2 * c] += z_re
        into[o + B + 6 * c + 2 * c + 1] += z_im


SIMPLE = (WIRE, SINGLE, SCALED, TAP, TAP_LEG)  # what a tapped block may be made of


def _solver(d: int) -> Any:
    """A function that replaces ``m`` by the solution of ``p g = m``, both (d, d) row by row.

    Without pivoting: p is the unit matrix but for what the loads behind a block do to its voltage.
    """
    half = d // 2

    def solve(p, m):  # type: ignore[no-untyped-def]
        for k in range(d):
            scale = 1.0 / p[d * k + k]
            for j in range(k + 1, d):
                p[d * k + j] *= scale
            for j in range(d):
                m[d * k + j] *= scale
            for i in range(k + 1, d):
                f = p[d * i + k]
                for j in range(k + 1, d):
                    p[d * i + j] -= f * p[d * k + j]
                for j in range(d):
                    m[d * i + j] -= f * m[d * k + j]
        for k in range(d - 1, 0, -1):
            for i in range(k):
                f = p[d * i + k]
                for j in range(d):
                    m[d * i + j] -= f * m[d * k + j]

    def product(m, b, p):  # type: ignore[no-untyped-def]
        """p = 1 + m B; ``b`` complex (d/2, d/2) row by row."""
        for i in range(d):
            for k in range(half):
                x, y = 0.0, 0.0
                for j in range(half):
                    re, im = b[2 * (half * j + k)], b[2 * (half * j + k) + 1]
                    e, f = m[d * i + 2 * j], m[d * i + 2 * j + 1]
                    x += e * re + f * im
                    y += f * re - e * im
                p[d * i + 2 * k] = x
                p[d * i + 2 * k + 1] = y
            p[d * i + i] += 1.0

    solve, product = inline(solve), inline(product)

    def eliminate(m, b, p):  # type: ignore[no-untyped-def]
        product(m, b, p)
        solve(p, m)

    return inline(eliminate)


eliminate_1, eliminate_2, eliminate_3 = _solver(2), _solver(4), _solver(6)
