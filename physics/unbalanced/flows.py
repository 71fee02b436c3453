"""Currents at both ends of every branch, phase by phase, from a solved state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel
from .elements import Element
from .gather import steps_of
from .generic import advance, get, inline
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
    IntArray,
)
from .segments import Matrix
from .spread import Placed


class FlowTable(NamedTuple):
    """What flows need beside the program."""

    of_segment: IntArray  # (n_segment, 2): branch row (-1: a source), 1 where the child is its to end
    ends: IntArray  # (n_branch, 2) node rows
    shunt: NDArray[np.complex128]  # (n_branch, 2, 3, 3) pu admittance at both ends of branches in the tree
    has_shunt: NDArray[np.bool_]  # (n_branch, 2)


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
    rows = np.array([(p.branch, int(p.child_is_to)) for p in placed], dtype=np.int64).reshape(-1, 2)
    return FlowTable(rows, np.stack([from_row, to_row], axis=1), shunt, np.asarray(shunt.any(axis=(2, 3))))


@inline
def _add(side, e, slot, value):  # type: ignore[no-untyped-def]
    if slot >= 0:
        side[3 * e + slot % 3] += value


@inline
def _series(net, table, tap, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """Currents of the series elements into the branch at both ends."""
    for s in range(net.n_segment):
        e = table.of_segment[s, 0]
        if e < 0:
            continue
        up, down = (i_from, i_to) if table.of_segment[s, 1] == 1 else (i_to, i_from)
        seg = advance(net.segment, SEGMENT_WIDTH * s)
        kind, nc, o = get(seg, KIND), get(seg, N_CHILD), get(seg, OFFSET)
        c0, p0 = get(net.slot, get(seg, CHILD)), get(net.slot, get(seg, PARENT))
        if kind == SCALED:
            i = current[c0]
            _add(down, e, c0, -i)
            _add(up, e, p0, complex(get(net.coef, o), -get(net.coef, o + 1)) * i)
        elif kind == TAP or kind == TAP_LEG:
            a = _ratio(net, get(seg, ENTRY), tap)
            i = current[c0]
            _add(down, e, c0, -i)
            _add(up, e, p0, a * i)
            if (
                kind == TAP_LEG
            ):  # the leg's current enters at the child's other phase and leaves at the parent's
                _add(down, e, get(net.slot, get(seg, REFERENCE)), i)
                _add(up, e, get(net.slot, get(seg, PARENT + 1)), -a * i)
        elif kind == GENERAL or kind == FLOATING or kind == SPLIT:
            n_parent = get(seg, N_PARENT)
            o += 2 * nc * (n_parent + nc)
            for k in range(nc):
                c = get(net.slot, get(seg, CHILD + k))
                _add(down, e, c, -current[c])
            for j in range(n_parent):
                total = 0.0 + 0.0j
                for k in range(nc):
                    c = get(net.slot, get(seg, CHILD + k))
                    total += complex(get(net.coef, o), get(net.coef, o + 1)) * current[c]
                    o += 2
                _add(up, e, get(net.slot, get(seg, PARENT + j)), total)
        else:
            for k in range(nc):
                c = get(net.slot, get(seg, CHILD + k))
                _add(down, e, c, -current[c])
                _add(up, e, get(net.slot, get(seg, PARENT + k)), current[c])


@inline
def _ratio(net, entry, tap):  # type: ignore[no-untyped-def]
    """Ratio of a tap entry as seen from the parent."""
    a, regulator = get(net.tap_factor, entry), get(net.tap, TAP_WIDTH * entry)
    if regulator >= 0:
        a *= tap[regulator]
    return 1.0 / a if get(net.tap, TAP_WIDTH * entry + 1) == 1 else a


@inline
def _charging(table, v, i_from, i_to):  # type: ignore[no-untyped-def]
    for e in range(table.ends.shape[0]):
        for end in range(2):
            if not table.has_shunt[e, end]:
                continue
            node = table.ends[e, end]
            side = i_from if end == 0 else i_to
            for j in range(3):
                total = 0.0 + 0.0j
                for k in range(3):
                    y = table.shunt[e, end, j, k]
                    if y != 0.0 and np.isfinite(v[3 * node + k].real):
                        total += y * v[3 * node + k]
                if np.isfinite(v[3 * node + j].real):
                    side[3 * e + j] += total


@inline
def flow_row(net, table, tap, v, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """Currents in pu into both ends of every branch, (3 n_branch,), of one row."""
    i_from[:] = 0.0
    i_to[:] = 0.0
    _series(net, table, tap, current, i_from, i_to)
    _charging(table, v, i_from, i_to)


@kernel
def flow_rows(prog, table, lo, hi, tap, v, current, i_from, i_to):  # type: ignore[no-untyped-def]
    """The same for rows [lo, hi), (batch, 3 n_branch)."""
    net = steps_of(prog, True)
    for row in range(lo, hi):
        flow_row(
            net, table, tap[row if tap.shape[0] > 1 else 0], v[row], current[row], i_from[row], i_to[row]
        )
