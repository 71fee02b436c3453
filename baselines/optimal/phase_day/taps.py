"""Tap changers and banks of a day, one after the other: the best walk over positions on the AC model.

For one of them, with all others held, intervals depend on each other only by its own moves: dynamic
programming finds its best walk exactly (R. Bellman, Dynamic Programming, 1957), within its daily budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..affine import FloatArray, IntArray
from .model import ModelMaker
from .network import Moved, Setpoints


@dataclass(frozen=True)
class Walk:
    """What holds for moves.

    Attributes:
        price: Of one step.
        begins: (steps,) where a day begins and budgets are whole again.
    """

    price: float
    begins: NDArray[np.bool_]


def best_walk(
    cost: FloatArray, low: int, now: int, most: float, left: float, budget: float, walk: Walk
) -> IntArray:
    """(steps,) positions with the least cost.

    Args:
        cost: (steps, positions) of standing at ``low``, ``low`` + 1, ...; inf: not there.
        low: Position of the first column.
        now: Where it stands before.
        most: Steps in one interval.
        left: Steps until the first day ends.
        budget: Of each later day.
        walk: Price of a step, and where days begin.
    """
    steps, n = cost.shape
    rationed = bool(np.isfinite(budget))
    room = int(max(left, budget)) + 1 if rationed else 1
    far = int(min(most, n))
    value = np.zeros((n, room))  # to go, by position before the interval and steps left
    choice = np.zeros((steps, n, room), dtype=np.int64)
    for t in range(steps - 1, -1, -1):
        after = value
        value = np.full((n, room), np.inf)
        for move in range(-far, far + 1):
            size = abs(move)
            if rationed and size >= room:
                continue
            to = np.arange(n) + move
            inside = (to >= 0) & (to < n)
            at = to[inside]
            paid = np.full((int(inside.sum()), room), np.inf)
            paid[:, size if rationed else 0 :] = after[at][:, : room - size if rationed else room]
            paid += cost[t, at][:, None] + walk.price * size
            better = paid < value[inside]
            value[inside] = np.where(better, paid, value[inside])
            choice[t][inside] = np.where(better, at[:, None], choice[t][inside])
        if rationed and walk.begins[t] and t > 0:
            value = np.repeat(value[:, int(budget)][:, None], room, axis=1)
    place, rest, path = now - low, int(left) if rationed else 0, np.zeros(steps, dtype=np.int64)
    for t in range(steps):
        if rationed and walk.begins[t] and t > 0:
            rest = int(budget)
        there = int(choice[t, place, rest])
        rest -= abs(there - place) if rationed else 0
        place = path[t] = there
    return path + low


def swept(maker: ModelMaker, at: Setpoints, response: bool, walk: Walk, reach: int) -> Setpoints:
    """Every tap changer and bank once, each with its best walk beside the others.

    ``response``: reactive power may follow a move, as far as inverters can, where that costs less;
    ``reach``: positions either way that are looked at.
    """
    for k in range(len(maker.network.moved)):
        at = _walked(maker, at, k, response, walk, reach)
    return at


def _walked(maker: ModelMaker, at: Setpoints, k: int, response: bool, walk: Walk, reach: int) -> Setpoints:
    one, steps = maker.network.moved[k], at.position.shape[0]
    path = at.position[:, k].astype(np.int64)
    shifts = np.arange(-reach, reach + 1) if one.is_tap else np.array([-1, 0, 1])
    rows, shift = np.repeat(np.arange(steps), shifts.size), np.tile(shifts, steps)
    target = path[rows] + shift
    inside = (target >= one.low) & (target <= one.high)
    rows, shift, target = rows[inside], shift[inside], target[inside]
    position = at.position[rows].copy()
    position[:, k] = target
    tried = [Setpoints(at.p_mw[rows], at.q_mvar[rows], position)]
    if response and maker.columns.q.size:
        tried.append(_answered(maker, at, k, rows, shift, position))
    costs = np.array([maker.cost(each, rows) for each in tried])
    cheapest = costs.argmin(axis=0)
    table = np.full((steps, one.high - one.low + 1), np.inf)
    table[rows, target - one.low] = costs.min(axis=0)
    table[~np.isfinite(table)] = np.inf
    # A walk through positions that were not looked at is none; where it stands first is not judged.
    found = best_walk(table, one.low, one.now, one.most, one.left, one.budget, walk)
    pick = np.full((steps, one.high - one.low + 1), -1)
    pick[rows, target - one.low] = np.arange(rows.size)
    row = pick[np.arange(steps), found - one.low]
    if (row < 0).any():
        return at
    q = np.array([tried[cheapest[r]].q_mvar[r] for r in row])
    moved = at.position.copy()
    moved[:, k] = found
    return Setpoints(at.p_mw, q, moved)


def _answered(
    maker: ModelMaker, at: Setpoints, k: int, rows: IntArray, shift: IntArray, position: FloatArray
) -> Setpoints:
    """Where Q goes when the position moves, by Newton's step of the smooth cost."""
    columns, n_p = maker.columns, maker.columns.p.size
    steps = np.arange(at.position.shape[0])
    one = maker.network.moved[k]
    way = np.where(at.position[:, k] < one.high, 1.0, -1.0)
    moved = at.position.copy()
    moved[:, k] += way
    slope = (
        maker.smooth_slope(Setpoints(at.p_mw, at.q_mvar, moved), steps) - maker.smooth_slope(at, steps)
    ) * way[:, None]
    bend = maker.curvature[:, n_p:, n_p:]
    ridge = 1e-6 * np.trace(bend, axis1=1, axis2=2)[:, None, None] * np.eye(columns.q.size) + 1e-12 * np.eye(
        columns.q.size
    )
    follow = -np.linalg.solve(bend + ridge, slope[:, n_p:, None])[..., 0]
    q = at.q_mvar[rows].copy()
    free = np.sqrt(np.maximum(columns.reach[n_p:] ** 2 - at.p_mw[:, columns.q] ** 2, 0.0))[rows]
    most = np.minimum(free, maker.most_q[columns.q])
    q[:, columns.q] = np.clip(q[:, columns.q] + follow[rows] * shift[:, None], -most, most)
    return Setpoints(at.p_mw[rows], q, position)


def moves_cost(moved: tuple[Moved, ...], position: FloatArray, price: float) -> float:
    """Of all steps from where they stand first."""
    first = np.array([[one.now for one in moved]], dtype=np.float64)
    return price * float(np.abs(np.diff(np.concatenate([first, position]), axis=0)).sum())
