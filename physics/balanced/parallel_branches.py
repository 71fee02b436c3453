"""Branches between the same two nodes as one: what the tree sees of them, and what each of them carries.

Seen from the first of them, its lead, every member k joins the voltages of the two ends by

    V_to = a_k V_from - z_k I_k,        I_from,k = conj(a_k) I_k,

so the currents add to those of one branch (a, z) with an admittance at either end, exactly, where all ratios
turn the voltage by the same angle: with y_k = 1 / z_k, Y their sum and M the sum of |a_k| y_k,

    a = sum(|y_k| a_k) / sum(|y_k|),    1 / z = M / |a|,
    y_from = sum(|a_k|^2 y_k) - |a| M,  y_to = Y - M / |a|,

both zero where the ratios are equal. Members that turn it by other angles make a loop of their own, which is
solved as one (meshed.py). Beside a member without impedance the voltages of both ends are tied whatever the
others are: several such share alike what is left by the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .tree import BoolArray, IntArray

ComplexArray = NDArray[np.complex128]
_ANGLE_DIGITS = 9  # of degrees: shifts that differ by less are the same
_RESONANT = 1e-12  # a sum of admittances this small beside its terms is zero


class Bundles(NamedTuple):
    """Members of bundles of parallel branches, leads included; (n_member,) each.

    The current of a member is ``share`` of the series current of its lead's branch, plus ``turn`` times the
    voltage at the lead's from end; it flows into the lead's to end.
    """

    member: IntArray  # branch rows
    lead: IntArray  # branch row of the lead
    start: IntArray  # node row of the lead's from end
    end: IntArray  # node row of the lead's to end
    same_way: BoolArray  # the member is written in the direction of its lead
    share: ComplexArray
    turn: ComplexArray  # pu
    a: ComplexArray  # ratio of the member in the lead's direction
    z: ComplexArray  # pu, likewise
    back: ComplexArray  # what turns the lead's current in the sweep into that at its to end


class Merged(NamedTuple):
    """Branches as the tree sees them: a lead stands for its bundle, the others are gone; (n_branch,) each."""

    ratio: ComplexArray
    z: ComplexArray  # series impedance, pu
    y_from: ComplexArray  # admittance at the ends beside the charging of the branches, pu
    y_to: ComplexArray
    alone: BoolArray  # not merged into another
    bundles: Bundles


class ParallelError(ValueError):
    """How current divides between parallel branches is not defined; ``rows`` are theirs."""

    def __init__(self, rows: IntArray, reason: str) -> None:
        super().__init__(reason)
        self.rows = rows


def parallel_groups(from_row: IntArray, to_row: IntArray) -> tuple[IntArray, ...]:
    """Rows of the branches, open ones too, that share both ends with another; ascending in each group."""
    low, high = np.minimum(from_row, to_row), np.maximum(from_row, to_row)
    order = np.lexsort((high, low))  # stable: rows ascend within a pair
    new = np.ones(order.size, dtype=bool)
    new[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    if new.all():
        return ()
    return tuple(group for group in np.split(order, np.flatnonzero(new)[1:]) if group.size > 1)


def merge(
    groups: Sequence[IntArray], closed: BoolArray, from_row: IntArray, to_row: IntArray,
    ratio: ComplexArray, z: ComplexArray, angle_deg: NDArray[np.float64],
) -> Merged | None:  # fmt: skip
    """The closed branches of ``groups`` merged; None where no two of a group are closed.

    ``ratio`` (n_branch,) complex tap, ``angle_deg`` its angle. ParallelError where ideal branches have
    different ratios or admittances cancel.
    """
    parts: list[tuple[IntArray, _Equivalent]] = []
    for group in groups:
        rows = group[closed[group]]
        if rows.size < 2:
            continue
        same_way = from_row[rows] == from_row[rows[0]]
        angle = np.round(np.where(same_way, -angle_deg[rows], angle_deg[rows]) % 360.0, _ANGLE_DIGITS) % 360.0
        kinds = np.zeros(rows.size) if (z[rows] == 0.0).any() else angle
        for kind in np.unique(kinds):
            mine = rows[kinds == kind]
            if mine.size > 1:
                parts.append((mine, _equivalent(mine, from_row, ratio, z)))
    if not parts:
        return None
    new_ratio, new_z = ratio.copy(), z.copy()
    y_from, y_to = np.zeros_like(z), np.zeros_like(z)
    alone = np.ones(ratio.size, dtype=bool)
    for rows, eq in parts:
        lead = rows[0]
        new_ratio[lead], new_z[lead], y_from[lead], y_to[lead] = 1.0 / eq.a, eq.z, eq.y_from, eq.y_to
        alone[rows[1:]] = False
    member = np.concatenate([rows for rows, _ in parts])
    lead = np.concatenate([np.full(rows.size, rows[0]) for rows, _ in parts])
    share, turn, each_a, each_z = (
        np.concatenate([getattr(eq, name) for _, eq in parts])
        for name in ("share", "turn", "each_a", "each_z")
    )
    bundles = Bundles(
        member, lead, from_row[lead], to_row[lead], from_row[member] == from_row[lead], share, turn, each_a,
        each_z, np.ones(member.size, dtype=np.complex128),
    )  # fmt: skip
    return Merged(new_ratio, new_z, y_from, y_to, alone, bundles)


class _Equivalent(NamedTuple):
    a: complex
    z: complex
    y_from: complex
    y_to: complex
    share: ComplexArray  # of each member
    turn: ComplexArray
    each_a: ComplexArray
    each_z: ComplexArray


def _equivalent(rows: IntArray, from_row: IntArray, ratio: ComplexArray, z: ComplexArray) -> _Equivalent:
    """One branch for the parallel branches ``rows``, in the direction of the first."""
    same_way = from_row[rows] == from_row[rows[0]]
    a = np.where(same_way, 1.0 / ratio[rows], ratio[rows])
    own = np.where(same_way, z[rows], np.abs(ratio[rows]) ** 2 * z[rows])
    ideal = own == 0.0
    y = np.where(ideal, 0.0, 1.0 / np.where(ideal, 1.0, own))
    if ideal.any():
        through = complex(a[ideal][0])
        if (np.abs(a[ideal] - through) > 1e-12).any():
            raise ParallelError(rows[ideal], "they have no impedance, and different ratios")
        turn = y * (a - through)
        turn = np.where(ideal, -turn.sum() / ideal.sum(), turn)
        y_from = complex((np.abs(a - through) ** 2 * y).sum())
        return _Equivalent(through, 0j, y_from, 0j, ideal / ideal.sum() + 0j, turn, a, own)
    if (a == a[0]).all():
        total = complex(y.sum())
        _refuse_resonance(rows, total, y)
        return _Equivalent(complex(a[0]), 1.0 / total, 0j, 0j, y / total, np.zeros_like(y), a, own)
    size, weight = np.abs(a), np.abs(y)
    mean = float((weight * size).sum() / weight.sum())
    through = mean * complex(a[0]) / float(size[0])
    mutual = complex((size * y).sum())
    _refuse_resonance(rows, mutual, y)
    one = mean / mutual
    y_from = complex((size**2 * y).sum()) - mean * mutual
    return _Equivalent(
        through, one, y_from, complex(y.sum()) - mutual / mean, y * one, y * (a - through), a, own
    )


def _refuse_resonance(rows: IntArray, total: complex, y: ComplexArray) -> None:
    if abs(total) <= _RESONANT * np.abs(y).sum():
        raise ParallelError(rows, "their admittances cancel")


def with_members(leads: IntArray, merged: Merged | None) -> IntArray:
    """Branch rows with those merged into them."""
    if merged is None or not leads.size:
        return leads
    mine = merged.bundles.member[np.isin(merged.bundles.lead, leads)]
    return np.union1d(leads, mine)


def twins_of(
    groups: Sequence[IntArray], dropped: IntArray, parent_branch: IntArray, n_branch: int
) -> tuple[IntArray, IntArray]:
    """Of the branches beside the tree those that are parallel to one of it, and the others."""
    if not (dropped.size and groups):
        return dropped[:0], dropped
    tree = np.zeros(n_branch, dtype=bool)
    tree[parent_branch[parent_branch >= 0]] = True
    twin = np.zeros(n_branch, dtype=bool)
    for group in groups:
        twin[group] = tree[group].any()
    return dropped[twin[dropped]], dropped[~twin[dropped]]


def split_currents(bundles: Bundles, v: ComplexArray, current: ComplexArray) -> None:
    """Give every member its current, in place of the leads' that carry all.

    ``v`` (batch, n_bus), ``current`` (batch, n_branch), in pu.
    """
    whole = bundles.back * current[:, bundles.lead]
    current[:, bundles.member] = bundles.share * whole + bundles.turn * v[:, bundles.start]
