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

from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, load, store, width
from .adjoint_blocks import FIRST, FLOATS, KIND, LINK, PARENT, PICKED, ROOT, D, N
from .adjoint_elimination import active, answer, bits, eliminate, entry_of_b, more
from .adjoint_ends import emit, of_ends, of_slack, of_voltages, write
from .adjoint_state import begin, currents, from_legs, loads, shunts, through_legs
from .adjoint_tables import Adjoints, AdjointTree, Powers, Seeds, TreeRoom


@inline
def _of_source(tree, room, b):  # type: ignore[no-untyped-def]
    """m of a source's conductors, and l."""
    first, n = tree.block[b, FIRST], tree.block[b, N]
    for k in range(n):
        x, y = 0.0 - load(room.by_j, first + k, 0), 0.0 - load(room.by_j, first + k, 1)
        store(room.m, first + k, 0, x)
        store(room.m, first + k, 1, y)
        for i in range(2 * n):
            more(room.n, b, i, load(room.big, b, 12 * k + i) * x + load(room.big, b, 12 * k + 6 + i) * y)


@inline
def _substitute(tree, room):  # type: ignore[no-untyped-def]
    """m of every conductor and l (in the place of n), sources first."""
    for b in range(tree.block.shape[0]):
        if tree.block[b, KIND] == ROOT:
            _of_source(tree, room, b)
            continue
        up, n = tree.block[b, PARENT], tree.block[b, N]
        above = tree.block[up, FIRST]
        a, na = bits(room.some[b])
        if n == 3 and tree.block[b, KIND] == PICKED:
            _from_above(tree, room, b, 3, above)
            _answer_three(tree, room, b, a, na)
            continue
        if tree.block[b, KIND] == PICKED:
            _from_above(tree, room, b, n, above)
        else:
            _from_above_dense(room, b, n, above, tree.block[up, N])
        answer(room, b, a, na, room.small, 0, 1.0, 36)
        _multipliers(tree, room, b, n, a, na)


@inline
def _answer_three(tree, room, b, a, na):  # type: ignore[no-untyped-def]
    """A line of three phases: the same, by numbers of conductors that the compiler knows."""
    if na == 1:
        answer(room, b, a, 1, room.small, 0, 1.0, 36)
        _multipliers(tree, room, b, 3, a, 1)
    elif na == 3:
        answer(room, b, (0, 1, 2), 3, room.small, 0, 1.0, 36)
        _multipliers(tree, room, b, 3, (0, 1, 2), 3)
    else:
        answer(room, b, a, na, room.small, 0, 1.0, 36)
        _multipliers(tree, room, b, 3, a, na)


@inline
def _from_above(tree, room, b, n, above):  # type: ignore[no-untyped-def]
    """``q = D' m_parent - w`` where D picks."""
    for k in range(n):
        p = above + tree.block[b, LINK + k]
        store(room.small, 0, 2 * k, load(room.m, p, 0) - load(room.w, b, 2 * k))
        store(room.small, 0, 2 * k + 1, load(room.m, p, 1) - load(room.w, b, 2 * k + 1))


@inline
def _from_above_dense(room, b, n, above, many):  # type: ignore[no-untyped-def]
    """The same with a dense D."""
    for k in range(n):
        x, y = every(room.note, 0.0), every(room.note, 0.0)
        for p in range(many):
            o = D + 6 * p + 2 * k
            re, im = load(room.dense, b, o), load(room.dense, b, o + 1)
            e, f = load(room.m, above + p, 0), load(room.m, above + p, 1)
            x, y = x + (re * e + im * f), y + (re * f - im * e)
        store(room.small, 0, 2 * k, x - load(room.w, b, 2 * k))
        store(room.small, 0, 2 * k + 1, y - load(room.w, b, 2 * k + 1))


@inline
def _multipliers(tree, room, b, n, a, na):  # type: ignore[no-untyped-def]
    """``m = q - B' t`` (less what keeps the currents of a floating block without a mean), and l."""
    small, extra, first = room.small, room.extra, tree.block[b, FIRST]
    u, v = every(room.note, 0.0), every(room.note, 0.0)
    floats = tree.block[b, FLOATS] == 1
    if floats:
        u, v = load(extra, b, 12), load(extra, b, 13)
        for i in range(2 * na):
            q = load(small, 0, 2 * active(a, i // 2) + i % 2)
            u, v = u + load(extra, b, i) * q, v + load(extra, b, 6 + i) * q
    for k in range(n):
        x, y = load(small, 0, 2 * k) - u, load(small, 0, 2 * k + 1) - v
        for i in range(na):
            c = active(a, i)
            re, im = entry_of_b(tree, room, b, c, k)
            e = load(small, 0, 36 + 2 * c) - load(room.n, b, 2 * c)
            f = load(small, 0, 36 + 2 * c + 1) - load(room.n, b, 2 * c + 1)
            if floats:
                e, f = e + load(extra, b, 14 + 2 * c), f + load(extra, b, 15 + 2 * c)
            x, y = x - (re * e + im * f), y - (re * f - im * e)
        store(room.m, first + k, 0, x)
        store(room.m, first + k, 1, y)
    for j in range(2 * n):
        store(room.n, b, j, load(small, 0, 36 + j))


@flattened(tree=AdjointTree, room=TreeRoom, given=Powers, seeds=Seeds, out=Adjoints)
def tree_rows(  # type: ignore[no-untyped-def]
    tree, room, given, v_source, tap, cap_on, v, seeds, out, lo, hi, scale, flows, slack, all_legs
):
    """Gradients of rows [lo, hi) of solved rows, in blocks of lanes where ``room`` has them.

    ``v_source, v``: pairs of real columns; ``tap, cap_on`` (batch or 1, columns), as of an `Inputs`;
    ``scale`` 1 over the base of a phase in MVA; ``flows``: f has branch flows or losses; ``slack``: powers of
    sources; ``all_legs``: powers of legs were told.
    """
    for row in range(lo, hi, width(room.note)):
        last = min(row + width(room.note), hi) - 1
        begin(tree, room, row, last, v, v_source, tap)
        loads(tree, room, row, last, given, scale, cap_on, all_legs)
        shunts(tree, room)
        emit(room, out.move, row, last, 0, currents(tree, room))
        through_legs(tree, room)
        of_voltages(tree, room, seeds, row, last)
        if flows:
            of_ends(tree, room, seeds, row, last, 1.0 / scale)
        if slack:
            of_slack(tree, room, seeds, row, last, 1.0 / scale)
        from_legs(tree, room)
        eliminate(tree, room)
        _substitute(tree, room)
        write(tree, room, row, last, scale, tap, flows, out)
