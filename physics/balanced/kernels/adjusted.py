"""Taps and banks of each row: ratio, impedance and shunt where these are not the same for all rows.

Few positions of a tree have a tap changer or a bank. A sweep reads theirs from ``adjusted`` (block, entry),
or (block, entry, lane), which `adjust_rows` fills before a block is solved; ``plan.link[k, 3]`` says whether
position k has any. The numbers are those of a feeder that was edited so, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numba_tools.jit import inline, lean_kernel
from ...numba_tools.lanes import every, load, put, store, width

#: What a position has in ``adjusted``: the ratio a and z of ``V_child = a V_parent - z I_child``, the
#: susceptance to ground, and the ratio of the branch as it is written.
A_RE, A_IM, R, X, B, RATIO_RE, RATIO_IM = 0, 1, 2, 3, 4, 5, 6
N_ADJUSTED = 7
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

    place: NDArray[np.int32]  # (n, 3): column of its tap (-1: none), whether the to end is the child, terms
    branch: NDArray[np.float64]  # (n, 8): turn (re, im), r, x as written; or _, _, A_RE..X, RATIO_RE.. stored
    term: NDArray[np.int32]  # (k, 3): kind, column, of charging the entry of its branch in ``place``
    value: NDArray[np.float64]  # (k,) pu


@inline
def adjusted_at(plan, k):  # type: ignore[no-untyped-def]
    """Where the numbers of position k begin in a row of ``adjusted``; below 0: they are those of the plan."""
    if plan.adjusted.shape[0] == 0:
        return -1
    return N_ADJUSTED * plan.link[k, 3]


@inline
def impedance(plan, k, like):  # type: ignore[no-untyped-def]
    """r and x of position k, of the kind that the array ``like`` holds."""
    at = adjusted_at(plan, k)
    if at >= 0:
        return load(plan.adjusted, plan.block, at + R), load(plan.adjusted, plan.block, at + X)
    return every(like, plan.z[k, 0]), every(like, plan.z[k, 1])


@inline
def ratio(plan, k, like):  # type: ignore[no-untyped-def]
    """a (re, im) of position k."""
    at = adjusted_at(plan, k)
    if at >= 0:
        return load(plan.adjusted, plan.block, at + A_RE), load(plan.adjusted, plan.block, at + A_IM)
    return every(like, plan.side[k, 0]), every(like, plan.side[k, 1])


@inline
def admittance(plan, k, like):  # type: ignore[no-untyped-def]
    """g and b to ground of position k."""
    at = adjusted_at(plan, k)
    g, b = every(like, plan.side[k, 2]), every(like, plan.side[k, 3])
    if at >= 0:
        b = load(plan.adjusted, plan.block, at + B)
    return g, b


@inline
def written_ratio(plan, k, ends, e, like):  # type: ignore[no-untyped-def]
    """Ratio of branch e, which feeds position k, as it is written, and 1 over its squared size."""
    at = adjusted_at(plan, k)
    if at >= 0:
        re = load(plan.adjusted, plan.block, at + RATIO_RE)
        im = load(plan.adjusted, plan.block, at + RATIO_IM)
        return re, im, 1.0 / (re * re + im * im)
    return every(like, ends.pi[e, 0]), every(like, ends.pi[e, 1]), every(like, ends.pi[e, 2])


@inline
def has_ratio(plan, k):  # type: ignore[no-untyped-def]
    """Whether voltages of position k's parent need to be turned."""
    return plan.ratios or adjusted_at(plan, k) >= 0


@inline
def has_shunt(plan, k):  # type: ignore[no-untyped-def]
    """Whether position k may have an admittance to ground."""
    return plan.shunts or adjusted_at(plan, k) >= 0


@inline
def _susceptance(term, value, first, last, row, settings, branch):  # type: ignore[no-untyped-def]
    """Sum of the terms [first, last) in the order in which compiling a feeder adds them."""
    total = 0.0
    for t in range(first, last):
        kind, column = term[t, 0], term[t, 1]
        if kind == CONSTANT:
            total += value[t]
        elif kind == BANK:
            total += value[t] if settings[row, column] != 0.0 else 0.0
        else:
            of, tap = term[t, 2], settings[row, column]
            re, im = tap * branch[of, 0], tap * branch[of, 1]
            total += value[t] * (1.0 / (re * re + im * im))
    return total


@inline
def _tapped(adjusted, block, at, forward, branch, j):  # type: ignore[no-untyped-def]
    """Ratio and impedance of entry j from its tap, which stands in the field of the written ratio."""
    tap = load(adjusted, block, at + RATIO_RE)
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
            column, last, at = place[j, 0], place[j, 2], N_ADJUSTED * j
            if column < 0:
                for field in range(4):
                    store(adjusted, block, at + A_RE + field, every(adjusted, branch[j, 2 + field]))
                for field in range(2):
                    store(adjusted, block, at + RATIO_RE + field, every(adjusted, branch[j, 6 + field]))
            else:
                for lane in range(width(adjusted)):
                    put(adjusted, block, at + RATIO_RE, lane, settings[min(row + lane, hi - 1), column])
                _tapped(adjusted, block, at, place[j, 1], branch, j)
            if last == first + 1:  # a constant: nothing of each row
                store(adjusted, block, at + B, every(adjusted, value[first]))
            else:
                for lane in range(width(adjusted)):
                    r = min(row + lane, hi - 1)
                    b = _susceptance(term, value, first, last, r, settings, branch)
                    put(adjusted, block, at + B, lane, b)
            first = last


@lean_kernel
def differences(rows, stored, found):  # type: ignore[no-untyped-def]
    """Bits in which a row of ``rows`` (batch, n) differs from ``stored`` (n,), into ``found`` (n,); int64."""
    for row in range(rows.shape[0]):
        for e in range(rows.shape[1]):
            found[e] |= rows[row, e] ^ stored[e]


@lean_kernel
def take_ratios(rows, columns, values):  # type: ignore[no-untyped-def]
    """Copy ``columns`` of ``rows`` (batch or 1, n) to the first of ``values`` (batch, k).

    Answers whether all of them are finite and above 0.
    """
    good = True
    for row in range(values.shape[0]):
        source = row if rows.shape[0] > 1 else 0
        for j in range(columns.size):
            ratio = rows[source, columns[j]]
            good &= (ratio > 0.0) & (ratio < np.inf)
            values[row, j] = ratio
    return good
