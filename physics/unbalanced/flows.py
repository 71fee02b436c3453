"""Currents at both ends of every branch, phase by phase, from a solved state."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import lean_kernel
from .elements import Element
from .gather import steps_of
from .generic import advance, flat, get, inline, point, put
from .program import (
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
    TAP,
    TAP_LEG,
    TAP_WIDTH,
    FloatArray,
    IntArray,
    Program,
)
from .segments import Matrix
from .spread import Placed


class FlowTable(NamedTuple):
    """What flows need beside the program."""

    of_segment: IntArray  # flat (n_segment, 2): branch row (-1: a source), 1 where the child is its to end
    ends: IntArray  # flat (n_branch, 2) node rows
    shunt: FloatArray  # flat (n_branch, 2, 3, 3) pu admittance as re, im at both ends of branches in the tree
    has_shunt: NDArray[np.bool_]  # flat (n_branch, 2)


def flow_table(
    elements: list[Element],
    placed: list[Placed],
    further: dict[int, Matrix],
    from_row: IntArray,
    to_row: IntArray,
) -> FlowTable:
    """``further``: what branches show their parent node beside their own shunts."""
    shunt = np.zeros((len(elements), 2, 3, 3), dtype=np.complex128)
    for one in placed:
        if one.branch >= 0:
            element = elements[one.branch]
            shunt[one.branch, 0], shunt[one.branch, 1] = element.y_from, element.y_to
            if one.branch in further:
                shunt[one.branch, 0 if one.child_is_to else 1] += further[one.branch]
    rows = np.array([(p.branch, int(p.child_is_to)) for p in placed], dtype=np.int64).ravel()
    return FlowTable(
        rows,
        np.stack([from_row, to_row], axis=1).ravel(),
        shunt.view(np.float64).ravel(),
        np.asarray(shunt.any(axis=(2, 3))).ravel(),
    )


class Ways(NamedTuple):
    """Pointers to a `FlowTable`, and the number of branches."""

    of_segment: Any
    ends: Any
    shunt: Any
    has_shunt: Any
    n_branch: int


@inline
def ways_of(table):  # type: ignore[no-untyped-def]
    """Pointers to a flow table."""
    return Ways(
        point(table.of_segment), point(table.ends), point(table.shunt), point(table.has_shunt),
        table.has_shunt.size // 2,
    )  # fmt: skip


@inline
def phasor(array, k):  # type: ignore[no-untyped-def]
    """Complex entry k of numbers kept as re, im."""
    return complex(get(array, 2 * k), get(array, 2 * k + 1))


@inline
def _add(side, e, slot, value):  # type: ignore[no-untyped-def]
    if slot >= 0:
        k = 2 * (3 * e + slot % 3)
        put(side, k, get(side, k) + value.real)
        put(side, k + 1, get(side, k + 1) + value.imag)


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
        if kind == SCALED:
            i = phasor(current, c0)
            _add(down, e, c0, -i)
            _add(up, e, p0, complex(get(net.coef, o), -get(net.coef, o + 1)) * i)
        elif kind == TAP or kind == TAP_LEG:
            a = _ratio(net, get(seg, ENTRY), tap)
            i = phasor(current, c0)
            _add(down, e, c0, -i)
            _add(up, e, p0, a * i)
            if kind == TAP_LEG:  # its current enters at the child's other phase and leaves at the parent's
                _add(down, e, get(net.slot, get(seg, REFERENCE)), i)
                _add(up, e, get(net.slot, get(seg, PARENT + 1)), -a * i)
        elif kind == GENERAL or kind == FLOATING or kind == SPLIT:
            _general(net, seg, e, current, up, down)
        else:
            for k in range(nc):
                c = get(net.slot, get(seg, CHILD + k))
                i = phasor(current, c)
                _add(down, e, c, -i)
                _add(up, e, get(net.slot, get(seg, PARENT + k)), i)


@inline
def _general(net, seg, e, current, up, down):  # type: ignore[no-untyped-def]
    """Of a quadruple: I_p = D I_c."""
    nc, n_parent = get(seg, N_CHILD), get(seg, N_PARENT)
    o = get(seg, OFFSET) + 2 * nc * (n_parent + nc)
    for k in range(nc):
        c = get(net.slot, get(seg, CHILD + k))
        _add(down, e, c, -phasor(current, c))
    for j in range(n_parent):
        total = 0.0 + 0.0j
        for k in range(nc):
            c = get(net.slot, get(seg, CHILD + k))
            total += complex(get(net.coef, o), get(net.coef, o + 1)) * phasor(current, c)
            o += 2
        _add(up, e, get(net.slot, get(seg, PARENT + j)), total)


@inline
def _ratio(net, entry, tap):  # type: ignore[no-untyped-def]
    """Ratio of a tap entry as seen from the parent."""
    a, regulator = get(net.tap_factor, entry), get(net.tap, TAP_WIDTH * entry)
    if regulator >= 0:
        a *= get(tap, regulator)
    return 1.0 / a if get(net.tap, TAP_WIDTH * entry + 1) == 1 else a


@inline
def _live(v, k):  # type: ignore[no-untyped-def]
    """Voltage of a slot; 0 where it has none."""
    x, y = get(v, 2 * k), get(v, 2 * k + 1)
    return (x, y) if x == x else (0.0, 0.0)


@inline
def _charging(ways, v, i_from, i_to):  # type: ignore[no-untyped-def]
    """Add the currents of the admittances at both ends."""
    for e in range(ways.n_branch):
        for end in range(2):
            if not get(ways.has_shunt, 2 * e + end):
                continue
            node = get(ways.ends, 2 * e + end)
            block = advance(ways.shunt, 18 * (2 * e + end))
            side = advance(i_from if end == 0 else i_to, 6 * e)
            x0, y0 = _live(v, 3 * node)
            x1, y1 = _live(v, 3 * node + 1)
            x2, y2 = _live(v, 3 * node + 2)
            for j in range(3):
                row = advance(block, 6 * j)
                g0, b0, g1, b1 = get(row, 0), get(row, 1), get(row, 2), get(row, 3)
                g2, b2 = get(row, 4), get(row, 5)
                re = (g0 * x0 - b0 * y0) + (g1 * x1 - b1 * y1) + (g2 * x2 - b2 * y2)
                im = (g0 * y0 + b0 * x0) + (g1 * y1 + b1 * x1) + (g2 * y2 + b2 * x2)
                put(side, 2 * j, get(side, 2 * j) + re)
                put(side, 2 * j + 1, get(side, 2 * j + 1) + im)


@inline
def flow_row(net, ways, tap, v, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """Currents in pu into both ends of every branch, (3 n_branch,), of one row; all pointers."""
    for k in range(6 * ways.n_branch):
        put(i_from, k, 0.0)
        put(i_to, k, 0.0)
    _series(net, ways, tap, current, i_from, i_to)
    _charging(ways, v, i_from, i_to)


@lean_kernel
def flow_rows(  # type: ignore[no-untyped-def]
    whole, number, of_segment, ends, shunt, has_shunt, lo, hi, tap, v, current, i_from, i_to
):
    """The same for rows [lo, hi), (batch, 3 n_branch); takes the fields of Program and FlowTable singly."""
    net, ways = steps_of(Program(whole, number), True), ways_of(FlowTable(of_segment, ends, shunt, has_shunt))
    for row in range(lo, hi):
        flow_row(
            net, ways, advance(flat(tap), tap.shape[1] * row if tap.shape[0] > 1 else 0),
            advance(flat(v), 2 * v.shape[1] * row), advance(flat(current), 2 * current.shape[1] * row),
            advance(flat(i_from), 2 * i_from.shape[1] * row), advance(flat(i_to), 2 * i_to.shape[1] * row),
        )  # fmt: skip
