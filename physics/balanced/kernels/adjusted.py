"""Taps and banks of each row: ratio, impedance and shunt where these are not the same for all rows.

Few positions of a tree have a tap changer or a bank. A sweep reads theirs from ``adjusted`` (block, entry),
or (block, entry, lane), which `adjust_rows` fills before a block is solved; ``plan.link[k, 3]`` is a mark
(`mark_of`) of what of position k is of each row, so that a bank costs no ratio and a tap no shunt. The
numbers are those of a feeder that was edited so, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numba_tools.jit import inline, lean_kernel
from ...numba_tools.lanes import choose, every, from_rows, larger, load, put, store, width

#: What a position has in ``adjusted``: the ratio a and z of ``V_child = a V_parent - z I_child``, the
#: susceptance to ground, and the ratio of the branch as it is written.
A_RE, A_IM, R, X, B, RATIO_RE, RATIO_IM = 0, 1, 2, 3, 4, 5, 6
N_ADJUSTED = 7
#: What a mark says beside the place in ``adjusted``: ratio and impedance, or susceptance, are of each row.
TAPPED, BANKED, _BITS = 1, 2, 2
_ROWS_AT_ONCE = 32
#: Kinds of terms of a susceptance.
CONSTANT, BANK, CHARGING = 0, 1, 2


class BlockPlan(NamedTuple):
    """A SweepPlan with what one block of rows has of its own."""

    link: NDArray[np.int32]
    at_node: NDArray[np.int32]
    at_branch: NDArray[np.int32]
    z: NDArray[np.float64]
    side: NDArray[np.float64]
    zip_pos: NDArray[np.int64]
    zip_coef: NDArray[np.float64]
    ratios: bool
    shunts: bool
    adjusted: NDArray[np.float64]
    block: int  # row of ``adjusted``


class AdjustmentPlan(NamedTuple):
    """How `adjust_rows` makes ``adjusted`` of the taps and states of a row."""

    place: NDArray[np.int32]  # (n, 3): column of its tap (-1: none), whether the to end is the child, where
    # its terms end (where those of the one before do: none)
    branch: NDArray[np.float64]  # (n, 4): turn (re, im), r, x as written
    term: NDArray[np.int32]  # (k, 3): kind, column, of charging the entry of its branch in ``place``
    value: NDArray[np.float64]  # (k,) pu


def mark_of(entry: int, tapped: bool, banked: bool) -> int:
    """The mark of a position whose numbers are those of an entry; 0: all are those of the plan."""
    return (N_ADJUSTED * entry << _BITS) | TAPPED * tapped | BANKED * banked


@inline
def _mark(plan, k):  # type: ignore[no-untyped-def]
    if plan.adjusted.shape[0] == 0:
        return 0
    return plan.link[k, 3]


@inline
def impedance(plan, k, like):  # type: ignore[no-untyped-def]
    """r and x of position k, of the kind that the array ``like`` holds."""
    mark = _mark(plan, k)
    if mark & TAPPED:
        at = mark >> _BITS
        return load(plan.adjusted, plan.block, at + R), load(plan.adjusted, plan.block, at + X)
    return every(like, plan.z[k, 0]), every(like, plan.z[k, 1])


@inline
def ratio(plan, k, like):  # type: ignore[no-untyped-def]
    """a (re, im) of position k."""
    mark = _mark(plan, k)
    if mark & TAPPED:
        at = mark >> _BITS
        return load(plan.adjusted, plan.block, at + A_RE), load(plan.adjusted, plan.block, at + A_IM)
    return every(like, plan.side[k, 0]), every(like, plan.side[k, 1])


@inline
def admittance(plan, k, like):  # type: ignore[no-untyped-def]
    """g and b to ground of position k."""
    mark = _mark(plan, k)
    g, b = every(like, plan.side[k, 2]), every(like, plan.side[k, 3])
    if mark & BANKED:
        b = load(plan.adjusted, plan.block, (mark >> _BITS) + B)
    return g, b


@inline
def written_ratio(plan, k, ends, e, like):  # type: ignore[no-untyped-def]
    """Ratio of branch e, which feeds position k, as it is written, and 1 over its squared size."""
    mark = _mark(plan, k)
    if mark & TAPPED:
        at = mark >> _BITS
        re = load(plan.adjusted, plan.block, at + RATIO_RE)
        im = load(plan.adjusted, plan.block, at + RATIO_IM)
        return re, im, 1.0 / (re * re + im * im)
    return every(like, ends.pi[e, 0]), every(like, ends.pi[e, 1]), every(like, ends.pi[e, 2])


@inline
def has_ratio(plan, k):  # type: ignore[no-untyped-def]
    """Whether voltages of position k's parent need to be turned."""
    return plan.ratios or (_mark(plan, k) & TAPPED) != 0


@inline
def has_shunt(plan, k):  # type: ignore[no-untyped-def]
    """Whether position k may have an admittance to ground."""
    return plan.shunts or (_mark(plan, k) & BANKED) != 0


@inline
def _setting(settings, row, hi, column, adjusted, block, at):  # type: ignore[no-untyped-def]
    """A column of the rows of a block; lanes beyond repeat the last row. ``at`` of ``adjusted`` serves."""
    if row + width(adjusted) <= hi:
        return from_rows(adjusted, settings, row, column)
    for lane in range(width(adjusted)):
        put(adjusted, block, at, lane, settings[min(row + lane, hi - 1), column])
    return load(adjusted, block, at)


@inline
def _susceptance(term, value, first, last, row, hi, settings, adjusted, block, at):  # type: ignore[no-untyped-def]
    """Sum of the terms [first, last) in the order in which compiling a feeder adds them."""
    zero = every(adjusted, 0.0)
    total = zero
    for t in range(first, last):
        if term[t, 0] == CONSTANT:
            total = total + value[t]
        elif term[t, 0] == BANK:
            state = _setting(settings, row, hi, term[t, 1], adjusted, block, at)
            total = total + choose(larger(state, 0.0 - state), every(adjusted, value[t]), zero)
        else:
            of = N_ADJUSTED * term[t, 2]
            re, im = load(adjusted, block, of + RATIO_RE), load(adjusted, block, of + RATIO_IM)
            total = total + value[t] * (1.0 / (re * re + im * im))
    return total


@inline
def _tapped(adjusted, block, at, tap, forward, branch, j):  # type: ignore[no-untyped-def]
    """Ratio and impedance of entry j from its tap."""
    re, im = tap * branch[j, 0], tap * branch[j, 1]
    store(adjusted, block, at + RATIO_RE, re)
    store(adjusted, block, at + RATIO_IM, im)
    r, x = every(adjusted, branch[j, 2]), every(adjusted, branch[j, 3])
    if not forward:
        squared = re * re + im * im
        r, x = squared * r, squared * x
    elif branch[j, 1] == 0.0:
        re, im = 1.0 / re, every(adjusted, 0.0)
    elif abs(branch[j, 0]) >= abs(branch[j, 1]):  # 1 / (re + j im), rounded as NumPy rounds it
        share = im / re
        scale = 1.0 / (re + im * share)
        re, im = scale, (0.0 - share) * scale
    else:
        share = re / im
        scale = 1.0 / (im + re * share)
        re, im = share * scale, 0.0 - scale
    store(adjusted, block, at + A_RE, re)
    store(adjusted, block, at + A_IM, im)
    store(adjusted, block, at + R, r)
    store(adjusted, block, at + X, x)


@lean_kernel
def adjust_rows(place, branch, term, value, lo, hi, settings, adjusted):  # type: ignore[no-untyped-def]
    """Fill ``adjusted`` for rows [lo, hi); lanes beyond repeat the last row.

    Takes the fields of an AdjustmentPlan one by one; ``settings`` (batch, columns): ratios of branches, and
    states of banks, 0 for off.
    """
    for row in range(lo, hi, width(adjusted)):
        block, first = (row - lo) // width(adjusted), 0
        for j in range(place.shape[0]):
            if place[j, 0] >= 0:
                at = N_ADJUSTED * j
                tap = _setting(settings, row, hi, place[j, 0], adjusted, block, at)
                _tapped(adjusted, block, at, tap, place[j, 1], branch, j)
        for j in range(place.shape[0]):  # charging has the ratios of other entries, too
            last, at = place[j, 2], N_ADJUSTED * j + B
            if last > first:
                b = _susceptance(term, value, first, last, row, hi, settings, adjusted, block, at)
                store(adjusted, block, at, b)
            first = last


@lean_kernel
def ratios_of(neutral, tap, lo, hi, values):  # type: ignore[no-untyped-def]
    """Ratio of branches (n,) at the neutral position over ``tap`` (batch, n), to the first of ``values``."""
    for row in range(lo, hi):
        for j in range(neutral.size):
            values[row, j] = neutral[j] / tap[row, j]


@lean_kernel
def take_ratios(rows, exact, stored, columns, values, bits):  # type: ignore[no-untyped-def]
    """Copy ``columns`` of ``rows`` (batch or 1, n) to the first of ``values`` (batch, k), in one pass.

    Adds to ``bits`` (n,) int64 those in which a row differs from ``stored`` (n,) int64; ``exact`` are the
    rows as int64. Answers whether all that was copied is finite and above 0. A few rows at a time: they are
    read from memory once.
    """
    least, finite, n, batch = np.inf, 0.0, rows.shape[0], values.shape[0]
    for lo in range(0, batch, _ROWS_AT_ONCE):
        hi = min(lo + _ROWS_AT_ONCE, batch)
        if lo < n:
            _differences(exact, stored, lo, min(hi, n), bits)
        for j in range(columns.size):
            column = columns[j]
            for row in range(lo, hi):
                value = rows[row if n > 1 else 0, column]
                finite += value - value  # NaN where it is not
                least = value if value < least else least
                values[row, j] = value
    return least > 0.0 and finite == 0.0


@inline
def _differences(rows, stored, lo, hi, bits):  # type: ignore[no-untyped-def]
    row = lo
    while row + 4 <= hi:
        for e in range(stored.size):
            s = stored[e]
            bits[e] |= (
                (rows[row, e] ^ s) | (rows[row + 1, e] ^ s) | (rows[row + 2, e] ^ s) | (rows[row + 3, e] ^ s)
            )
        row += 4
    for last in range(row, hi):
        for e in range(stored.size):
            bits[e] |= rows[last, e] ^ stored[e]
