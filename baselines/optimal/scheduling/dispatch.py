"""A setpoint of P and Q at the head, given to assets: by priority and cost, within the limits of the network.

At once, or by way of aggregators in the order of FAST-DERMS (National Renewable Energy Laboratory: Federated
Architecture for Secure and Transactive Distributed Energy Resource Management Solutions, 2022): what assets
offer goes up as regions, setpoints of groups come down, and each group gives its own to its assets without
knowing the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .... import physics
from ...errors import RunError
from ..affine import Affine, FloatArray, stacked
from ..conic import Compiled
from ..program import Program
from .assets import Asset
from .case import Excess, ScheduleCase
from .linearised import AcSearch, Point, dot
from .rows import AssetColumns, add_assets
from .rules import idle

_ROUNDS, _ENOUGH = 12, 1e-7  # MVA at the head
_TRACK, _LIMIT = 1e3, 1e5  # prices of a MVA beside the setpoint, and of a limit by its scale
_STEP_OF_PRIORITY, _OF_REACTIVE = 3.0, 0.1
_STILL = 1e-3
_DIRECTIONS = 32


@dataclass(frozen=True, eq=False)
class Tracked:
    """Setpoints of assets for a setpoint of the head, by the AC power flow.

    Attributes:
        p_mw, q_mvar: (steps, n_assets), positive when fed in.
        head_mw, head_mvar: (steps,) that the sources deliver.
        error: (steps,) distance from the setpoint, of its apparent power.
        exceeded: Limits that are exceeded, the largest first.
        groups_mw, groups_mvar: Group to (steps,) of its setpoint; empty where assets were set at once.
        solution: Of the power flow.
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    head_mw: FloatArray
    head_mvar: FloatArray
    error: FloatArray
    exceeded: tuple[Excess, ...]
    groups_mw: Mapping[str, FloatArray]
    groups_mvar: Mapping[str, FloatArray]
    solution: Any


def disaggregate(case: ScheduleCase, p_mw: FloatArray, q_mvar: FloatArray) -> Tracked:
    """Setpoints of assets that bring the head to P and Q.

    Assets are called in the order of their priority, among equals in that of their marginal cost, from what
    they do where nobody asks (sun and wind give what they offer, all else rests). Successive linear programs
    on the power flow with exact slopes keep band, ratings and caps.

    Args:
        case: Feeder, assets, loads; its prices do not count.
        p_mw: (steps,) that sources deliver.
        q_mvar: (steps,).

    Raises:
        RunError: setpoints of another length, a feeder whose power flow has no slopes.
    """
    search, wanted = AcSearch(case), _setpoint(case, p_mw, q_mvar)
    for number in range(_ROUNDS):
        program = Program()
        columns = add_assets(program, case.assets, case.dt_h)
        move = _move(columns, search.point)
        total = _off(program, search, wanted, move) + _called(program, case, columns)
        if number > 1:  # equals must not take turns from round to round
            total = total + (_STILL * 2.0**number) * _absolute(program, move).sum()
        found = Compiled(_minimised(program, total), tolerance=1e-9).solve()
        if not found.solved:
            break
        search.point = search.at(columns.p.at(found.x), columns.q.at(found.x), search.point.state.v)
        if (
            _distance(search.point, wanted).max() < _ENOUGH
            and not (search.point.state.excess > _ENOUGH).any()
        ):
            break
    return _tracked(case, search.point, wanted, {}, {})


# -- by way of aggregators -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Offer:
    """What a group of assets can do together, as it is told upwards.

    Attributes:
        name: Of the group. members: Places of its assets.
        normal: (directions, 2) of P and Q. reach_mva: (steps, directions) the most in each direction.
        share: (n_members,) of what a change is split into, told for the model of the network.
    """

    name: str
    members: tuple[int, ...]
    normal: FloatArray
    reach_mva: FloatArray
    share: FloatArray


def offers(case: ScheduleCase, groups: Mapping[str, Sequence[int]]) -> tuple[Offer, ...]:
    """The sum of what the assets of each group can do: the support of boxes and circles, in 32 directions."""
    angle = 2.0 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = []
    for name, members in groups.items():
        mine = [case.assets[k] for k in members]
        reach = np.stack([sum(_support(a, c, s) for a in mine) for c, s in normal.tolist()], axis=1)
        size = np.array([float((a.p_max_mw - a.p_min_mw).max()) + 1e-9 for a in mine])
        found.append(Offer(name, tuple(members), normal, np.asarray(reach), size / size.sum()))
    return tuple(found)


def by_aggregators(case: ScheduleCase) -> dict[str, list[int]]:
    """Places of assets by aggregator; those without one are groups of their own."""
    found: dict[str, list[int]] = {}
    for k, asset in enumerate(case.assets):
        found.setdefault(asset.agg or asset.name, []).append(k)
    return found


def through_aggregators(
    case: ScheduleCase, p_mw: FloatArray, q_mvar: FloatArray,
    groups: Mapping[str, Sequence[int]] | None = None, rounds: int = 8,
) -> Tracked:  # fmt: skip
    """The same by way of groups: offers up, setpoints down, and again from what was measured at the head.

    Who operates the feeder knows network and offers, and of assets only their buses and shares; a group knows
    its assets alone.

    Args:
        case: Feeder, assets, loads.
        p_mw: (steps,) that sources deliver.
        q_mvar: (steps,).
        groups: Places of assets by group, each in one; None: aggregators.
        rounds: Of setpoints, at most.

    Raises:
        RunError: as `disaggregate`; an asset in no group or in two.
    """
    told = by_aggregators(case) if groups is None else groups
    places = sorted(k for members in told.values() for k in members)
    if places != list(range(len(case.assets))):
        raise RunError("groups must hold each asset once")
    up, search, wanted = offers(case, told), AcSearch(case), _setpoint(case, p_mw, q_mvar)
    best, down = search.point, _sums(up, search.point)
    for _ in range(rounds):
        down = _group_setpoints(search, up, wanted)
        p, q = search.point.p_mw.copy(), search.point.q_mvar.copy()
        for offer, (group_p, group_q) in zip(up, down, strict=True):
            at = list(offer.members)
            p[:, at], q[:, at] = _within_group(case, offer, group_p, group_q)
        search.point = search.at(p, q, search.point.state.v)
        if _distance(search.point, wanted).max() < _distance(best, wanted).max() or best is search.point:
            best = search.point
        if _distance(best, wanted).max() < _ENOUGH:
            break
    names = [offer.name for offer in up]
    return _tracked(
        case, best, wanted, dict(zip(names, (p for p, _ in down), strict=True)),
        dict(zip(names, (q for _, q in down), strict=True)),
    )  # fmt: skip


def _sums(up: Sequence[Offer], point: Point) -> list[tuple[FloatArray, FloatArray]]:
    return [
        (point.p_mw[:, list(o.members)].sum(axis=1), point.q_mvar[:, list(o.members)].sum(axis=1)) for o in up
    ]


def _group_setpoints(
    search: AcSearch, up: Sequence[Offer], wanted: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """P and Q of every group, within its offer, by the model of the network about what is played now."""
    case, program, now = search.case, Program(), _sums(up, search.point)
    n, steps = len(case.assets), case.steps
    reach = max(float(np.abs(o.reach_mva).max()) for o in up)
    p, q = (program.columns((steps, len(up)), reach + 1e-9) for _ in range(2))
    columns = [Affine(np.zeros(steps))] * (2 * n)
    smallest = Affine(0.0)
    for g, offer in enumerate(up):
        for d, (c, s) in enumerate(offer.normal.tolist()):
            program.nonneg(offer.reach_mva[:, d] - (c * p[:, g] + s * q[:, g]))
        change = (p[:, g] - now[g][0], q[:, g] - now[g][1])
        for part, moved in enumerate(change):
            smallest = smallest + _absolute(program, moved).sum()
            for k, share in zip(offer.members, offer.share.tolist(), strict=True):
                columns[part * n + k] = share * moved
    total = _off(program, search, wanted, stacked(columns)) + 1e-3 * smallest
    found = Compiled(_minimised(program, total), tolerance=1e-9).solve()
    if not found.solved:
        return now
    return [(p[:, g].at(found.x), q[:, g].at(found.x)) for g in range(len(up))]


def _within_group(
    case: ScheduleCase, offer: Offer, p_mw: FloatArray, q_mvar: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(steps, n_members) P and Q that add up to the group's, in the order of priority and cost."""
    mine = replace(case, assets=tuple(case.assets[k] for k in offer.members))
    program = Program()
    columns = add_assets(program, mine.assets, case.dt_h)
    off = _absolute(program, columns.p.sum(axis=1) - p_mw).sum()
    off = off + _absolute(program, columns.q.sum(axis=1) - q_mvar).sum()
    found = Compiled(
        _minimised(program, _TRACK * off + _called(program, mine, columns)), tolerance=1e-9
    ).solve()
    if not found.solved:
        raise RunError(f"group {offer.name!r} cannot follow: {found.solver_status}")
    return columns.p.at(found.x), columns.q.at(found.x)


# -- parts ---------------------------------------------------------------------------------------------------


def _setpoint(case: ScheduleCase, p_mw: FloatArray, q_mvar: FloatArray) -> FloatArray:
    """(steps, 2)."""
    parts = []
    for name, given in (("p_mw", p_mw), ("q_mvar", q_mvar)):
        array = np.broadcast_to(np.asarray(given, dtype=np.float64), (case.steps,))
        if not np.isfinite(array).all():
            raise RunError(f"setpoint: {name} must be {case.steps} finite numbers")
        parts.append(array)
    return np.stack(parts, axis=1)


def _move(columns: AssetColumns, point: Point) -> Affine:
    n = point.p_mw.shape[1]
    together = stacked([*(columns.p[:, k] for k in range(n)), *(columns.q[:, k] for k in range(n))])
    return together - np.concatenate([point.p_mw, point.q_mvar], axis=1).T


def _off(program: Program, search: AcSearch, wanted: FloatArray, move: Affine) -> Affine:
    """() what it costs to miss the setpoint and to exceed limits, by the model about the present point."""
    head_p, over = search.linear(program, move)
    by = physics.gradient(search.point.state.solution, q_slack_mvar=np.ones(search.case.steps))
    share, steps = search.problem.share, search.case.steps
    slope = [
        np.nan_to_num(np.asarray(part).reshape(steps, -1)) @ share.T
        for part in (by.p_inject_mw, by.q_inject_mvar)
    ]
    now = np.asarray(search.point.state.solution.q_slack_mvar)
    head_q = now + dot(np.concatenate(slope, axis=1), move, np.arange(steps))
    off = _absolute(program, head_p - wanted[:, 0]).sum() + _absolute(program, head_q - wanted[:, 1]).sum()
    return _TRACK * off + _LIMIT * over


def _called(program: Program, case: ScheduleCase, columns: AssetColumns) -> Affine:
    """() price of calling assets: a step of three for each level of priority, cost among equals."""
    base, order = idle(case), sorted({asset.priority for asset in case.assets})
    slopes = np.array([_dearest(asset) for asset in case.assets])
    part = slopes / max(float(slopes.max()), 1e-9)
    total = Affine(0.0)
    for k, asset in enumerate(case.assets):
        weight = _STEP_OF_PRIORITY ** order.index(asset.priority) * (1.0 + 0.5 * part[k])
        moved = _absolute(program, columns.p[:, k] - base[:, k]).sum()
        reactive = _absolute(program, columns.q[:, k]).sum()
        total = total + weight * (moved + _OF_REACTIVE * reactive)
    return total


def _dearest(asset: Asset) -> float:
    points = np.array(asset.points, dtype=np.float64).reshape(-1, 2)
    slope = np.abs(np.diff(points[:, 1]) / np.diff(points[:, 0])) if len(points) > 1 else np.zeros(1)
    return float(slope.max()) + (0.0 if asset.reservoir is None else asset.reservoir.wear_usd_mwh)


def _absolute(program: Program, expression: Affine) -> Affine:
    """(its shape) an upper bound of the size of each expression, tight where it is minimised."""
    top = program.columns(expression.shape, program.reach_of(expression) + 1e-9)
    program.nonneg(top - expression)
    program.nonneg(top + expression)
    return top


def _minimised(program: Program, total: Affine) -> Program:
    program.minimise(total)
    return program


def _support(asset: Asset, c: float, s: float) -> FloatArray:
    """(steps,) the most of c P + s Q within box and circle."""
    p = np.where(c >= 0.0, asset.p_max_mw, asset.p_min_mw)
    q = np.where(s >= 0.0, asset.q_max_mvar, asset.q_min_mvar)
    if not np.isfinite(asset.s_mva):
        return np.asarray(c * p + s * q)
    # within the circle the best point is on it, or at an edge of the box: try the corners of that arc
    size = asset.s_mva
    best = np.full(asset.steps, -np.inf)
    for pp, qq in ((c * size, s * size), (p, None), (None, q)):
        if qq is None:
            room = np.sqrt(np.maximum(size**2 - np.asarray(pp) ** 2, 0.0))
            at = (
                np.asarray(pp),
                np.clip(np.where(s >= 0.0, room, -room), asset.q_min_mvar, asset.q_max_mvar),
            )
        elif pp is None:
            room = np.sqrt(np.maximum(size**2 - np.asarray(qq) ** 2, 0.0))
            at = (np.clip(np.where(c >= 0.0, room, -room), asset.p_min_mw, asset.p_max_mw), np.asarray(qq))
        else:
            at = (np.full(asset.steps, pp), np.full(asset.steps, qq))
        inside = (at[0] >= asset.p_min_mw - 1e-12) & (at[0] <= asset.p_max_mw + 1e-12)
        inside &= (at[1] >= asset.q_min_mvar - 1e-12) & (at[1] <= asset.q_max_mvar + 1e-12)
        inside &= np.hypot(*at) <= size * (1.0 + 1e-9)
        best = np.maximum(best, np.where(inside, c * at[0] + s * at[1], -np.inf))
    return best


def _distance(point: Point, wanted: FloatArray) -> FloatArray:
    sol = point.state.solution
    return np.hypot(np.asarray(sol.p_slack_mw) - wanted[:, 0], np.asarray(sol.q_slack_mvar) - wanted[:, 1])


def _tracked(
    case: ScheduleCase, point: Point, wanted: FloatArray, p: Mapping[str, FloatArray],
    q: Mapping[str, FloatArray],
) -> Tracked:  # fmt: skip
    sol = case.solve(point.p_mw, point.q_mvar)
    head_p, head_q = np.asarray(sol.p_slack_mw), np.asarray(sol.q_slack_mvar)
    size = np.maximum(np.hypot(*wanted.T), 1e-3)
    error = np.hypot(head_p - wanted[:, 0], head_q - wanted[:, 1]) / size
    return Tracked(
        point.p_mw, point.q_mvar, head_p, head_q, error, tuple(case.exceeded(sol)), p, q, sol
    )  # fmt: skip
