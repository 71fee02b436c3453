"""Currents at both ends of every branch, phase by phase, from solved states: of a row or of a block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...numba_tools.jit import inline, lean_kernel
from ...numba_tools.pointers import advance, flat, get, like, point, put
from ..assembly.elements import Element
from ..assembly.forest import Placed
from ..assembly.segments import Matrix, sub_block
from ..kernel_tables import (
    ADMITTANCE,
    CHILD,
    ENTRY,
    FLOATING,
    GENERAL,
    KIND,
    N_CHILD,
    N_PARENT,
    OFFSET,
    PARENT,
    REFERENCE,
    SCALED,
    SEGMENT_WIDTH,
    SPLIT,
    SUSCEPTANCE,
    TAP,
    TAP_LEG,
    TAP_WIDTH,
    ComplexArray,
    FloatArray,
    IntArray,
    SweepPlan,
)
from .row_io import steps_of


class FlowTable(NamedTuple):
    """What flows need beside the program."""

    of_segment: IntArray  # flat (n_segment, 2): branch row (-1: a source), 1 where the child is its to end
    charging: IntArray  # flat (n, 9): columns below, of every end of a branch in the tree with an admittance
    admittance: FloatArray  # its blocks row by row: susceptances, or pairs of re, im


#: Columns of ``charging``: 1 at the to end, first slot of the branch, first slot of the node, kind and place
#: of the block, number of phases, their places.
CHARGING_WIDTH = 9
_SIDE, _BRANCH, _NODE, _KIND, _BLOCK, _SIZE, _PLACE = 0, 1, 2, 3, 4, 5, 6


def flow_table(
    elements: list[Element],
    placed: list[Placed],
    further: dict[int, Matrix],
    hung: dict[tuple[int, int], Matrix],
    from_row: IntArray,
    to_row: IntArray,
) -> FlowTable:
    """``further``: what branches show their parent node beside their own shunts; ``hung``: what lines that
    are open at one end show the other, by branch row and side.
    """
    shunt: dict[tuple[int, int], Matrix] = dict(hung)
    for one in placed:
        if one.branch >= 0:
            element = elements[one.branch]
            ends = [element.y_from, element.y_to]
            if one.branch in further:
                up = 0 if one.child_is_to else 1
                ends[up] = ends[up] + further[one.branch]
            shunt |= {(one.branch, side): block for side, block in enumerate(ends)}
    charging: list[int] = []
    admittance: list[float] = []
    for (branch, side), block in sorted(shunt.items(), key=lambda item: item[0]):
        at = np.flatnonzero(block.any(axis=0) | block.any(axis=1)).tolist() if block.any() else []
        if at:
            kind, numbers = _block(sub_block(block, at))
            node = (from_row, to_row)[side][branch]
            charging += [
                side,
                3 * branch,
                3 * int(node),
                kind,
                len(admittance),
                len(at),
                *at,
                *[0] * (3 - len(at)),
            ]
            admittance += numbers
    rows = np.array([(p.branch, int(p.child_is_to)) for p in placed], dtype=np.int64).ravel()
    return FlowTable(rows, np.array(charging, dtype=np.int64), np.array(admittance, dtype=np.float64))


def _block(block: ComplexArray) -> tuple[int, list[float]]:
    """Kind and numbers of a block: the lines' are susceptances."""
    if not block.real.any():
        return SUSCEPTANCE, block.imag.ravel().tolist()
    return ADMITTANCE, np.ascontiguousarray(block).view(np.float64).ravel().tolist()


class Ways(NamedTuple):
    """Pointers to a `FlowTable`, and how many ends it has."""

    of_segment: Any
    charging: Any
    admittance: Any
    n_end: int


@inline
def ways_of(table):  # type: ignore[no-untyped-def]
    """Pointers to a flow table."""
    return Ways(
        point(table.of_segment), point(table.charging), point(table.admittance),
        table.charging.size // CHARGING_WIDTH,
    )  # fmt: skip


@inline
def _add(side, e, slot, x, y):  # type: ignore[no-untyped-def]
    if slot >= 0:
        k = 2 * (3 * e + slot % 3)
        put(side, k, get(side, k) + x)
        put(side, k + 1, get(side, k + 1) + y)


@inline
def _series(net, ways, tap, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """Currents of the series elements into the branch at both ends."""
    for s in range(net.n_segment):
        e = get(ways.of_segment, 2 * s)
        if e < 0:
            continue
        forward = get(ways.of_segment, 2 * s + 1) == 1
        up, down = (i_from, i_to) if forward else (i_to, i_from)
        seg = advance(net.segment, SEGMENT_WIDTH * s)
        kind, nc, o = get(seg, KIND), get(seg, N_CHILD), get(seg, OFFSET)
        c0, p0 = get(net.slot, get(seg, CHILD)), get(net.slot, get(seg, PARENT))
        x, y = get(current, 2 * c0), get(current, 2 * c0 + 1)
        if kind == SCALED:
            a, b = get(net.coef, o), get(net.coef, o + 1)
            _add(down, e, c0, 0.0 - x, 0.0 - y)
            _add(up, e, p0, a * x + b * y, a * y - b * x)
        elif kind == TAP or kind == TAP_LEG:
            r = _ratio(net, get(seg, ENTRY), tap)
            _add(down, e, c0, 0.0 - x, 0.0 - y)
            _add(up, e, p0, r * x, r * y)
            if kind == TAP_LEG:  # its current enters at the child's other phase and leaves at the parent's
                _add(down, e, get(net.slot, get(seg, REFERENCE)), x, y)
                _add(up, e, get(net.slot, get(seg, PARENT + 1)), 0.0 - r * x, 0.0 - r * y)
        elif kind == GENERAL or kind == FLOATING or kind == SPLIT:
            _general(net, seg, e, current, up, down)
        else:
            for k in range(nc):
                c = get(net.slot, get(seg, CHILD + k))
                x, y = get(current, 2 * c), get(current, 2 * c + 1)
                _add(down, e, c, 0.0 - x, 0.0 - y)
                _add(up, e, get(net.slot, get(seg, PARENT + k)), x, y)


@inline
def _general(net, seg, e, current, up, down):  # type: ignore[no-untyped-def]
    """Of a quadruple: I_p = D I_c."""
    nc, n_parent = get(seg, N_CHILD), get(seg, N_PARENT)
    o = get(seg, OFFSET) + 2 * nc * (n_parent + nc)
    for k in range(nc):
        c = get(net.slot, get(seg, CHILD + k))
        _add(down, e, c, 0.0 - get(current, 2 * c), 0.0 - get(current, 2 * c + 1))
    for j in range(n_parent):
        re, im = like(current, 0.0), like(current, 0.0)
        for k in range(nc):
            c = get(net.slot, get(seg, CHILD + k))
            a, b, x, y = get(net.coef, o), get(net.coef, o + 1), get(current, 2 * c), get(current, 2 * c + 1)
            re = re + (a * x - b * y)
            im = im + (a * y + b * x)
            o += 2
        _add(up, e, get(net.slot, get(seg, PARENT + j)), re, im)


@inline
def _ratio(net, entry, tap):  # type: ignore[no-untyped-def]
    """Ratio of a tap entry as seen from the parent."""
    ratio, regulator = like(tap, get(net.tap_factor, entry)), get(net.tap, TAP_WIDTH * entry)
    if regulator >= 0:
        ratio = ratio * get(tap, regulator)
    return like(tap, 1.0) / ratio if get(net.tap, TAP_WIDTH * entry + 1) == 1 else ratio


@inline
def _charging(ways, v, i_from, i_to):  # type: ignore[no-untyped-def]
    """Add the currents of the admittances at both ends."""
    for k in range(ways.n_end):
        end = advance(ways.charging, CHARGING_WIDTH * k)
        side = advance(i_from if get(end, _SIDE) == 0 else i_to, 2 * get(end, _BRANCH))
        at, block, n = (
            advance(v, 2 * get(end, _NODE)),
            advance(ways.admittance, get(end, _BLOCK)),
            get(end, _SIZE),
        )
        plain = get(end, _KIND) == SUSCEPTANCE
        for i in range(n):
            to = 2 * get(end, _PLACE + i)
            re, im = get(side, to), get(side, to + 1)
            for j in range(n):
                o = 2 * get(end, _PLACE + j)
                x, y = get(at, o), get(at, o + 1)
                if plain:
                    b = get(block, n * i + j)
                    re = re - b * y
                    im = im + b * x
                else:
                    g, b = get(block, 2 * (n * i + j)), get(block, 2 * (n * i + j) + 1)
                    re = re + (g * x - b * y)
                    im = im + (g * y + b * x)
            put(side, to, re)
            put(side, to + 1, im)


@inline
def flow_row(net, ways, n_branch, tap, v, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """Currents in pu into both ends of every branch, (3 n_branch,), of one row or of a block; all pointers.

    ``v, current`` by slot, 0 where there is none; complex numbers are pairs of entries.
    """
    zero = like(v, 0.0)
    for k in range(6 * n_branch):
        put(i_from, k, zero)
        put(i_to, k, zero)
    _series(net, ways, tap, current, i_from, i_to)
    _charging(ways, v, i_from, i_to)


@lean_kernel
def flow_rows(  # type: ignore[no-untyped-def]
    whole, number, of_segment, charging, admittance, lo, hi, tap, v, current, i_from, i_to
):
    """The same for rows [lo, hi), (batch, 3 n_branch); takes the fields of SweepPlan and FlowTable singly."""
    net, ways = steps_of(SweepPlan(whole, number), True), ways_of(FlowTable(of_segment, charging, admittance))
    n_branch = i_from.shape[1] // 3
    for row in range(lo, hi):
        flow_row(
            net, ways, n_branch, advance(flat(tap), tap.shape[1] * row if tap.shape[0] > 1 else 0),
            advance(flat(v), 2 * v.shape[1] * row), advance(flat(current), 2 * current.shape[1] * row),
            advance(flat(i_from), 2 * i_from.shape[1] * row), advance(flat(i_to), 2 * i_to.shape[1] * row),
        )  # fmt: skip
