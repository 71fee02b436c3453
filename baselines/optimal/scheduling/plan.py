"""The optimum of a schedule: stages of the relaxation or of a search on the AC power flow, and the replay."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import unknown
from ..affine import FloatArray
from ..radial import not_covered
from ..verdict import KEPT, REPLAY_PU, allowed_gap
from .assets import followed
from .balanced import BalancedProgram, Relaxation, Stage
from .case import Excess, ScheduleCase
from .linearised import AcSearch
from .objectives import OBJECTIVES, Played, sign_of, value_of
from .rows import stores

_TOGETHER = 1e-6  # MW drawn and given at once that count as nothing

#: Words of `AssetSchedule.status`.
OPTIMAL, FEASIBLE, BEST_KNOWN, INEXACT, PLAYED = "optimal", "feasible", "best known", "inexact", "played"


@dataclass(frozen=True, eq=False)
class AssetSchedule:
    """Setpoints of all steps, replayed through the AC power flow.

    Attributes:
        case: What was asked for.
        objective: Name.
        p_mw, q_mvar: (steps, n_assets), positive when fed in.
        stored_mwh: (steps, n_assets) after each step; NaN without a reservoir.
        solution: The AC power flow of each step.
        value: The objective by the AC power flow, in its unit.
        bound: Nothing that keeps the limits is better; NaN: none is proved.
        gap: Between them, at least 0 up to rounding; NaN without a bound.
        status: "optimal" (limits are kept, the gap is within the tolerance), "feasible" (they are kept),
            "best known" (they are kept, no bound), "inexact" (they are not), "played" (of rules).
        exceeded: Limits that the replay exceeds, the largest first.
        lmp_usd_mwh: (steps, n_bus) duals of the nodal balance; None where there are none.
        seconds: It took.
    """

    case: ScheduleCase
    objective: str
    p_mw: FloatArray
    q_mvar: FloatArray
    stored_mwh: FloatArray
    solution: Any
    value: float
    bound: float
    gap: float
    status: str
    exceeded: tuple[Excess, ...]
    lmp_usd_mwh: FloatArray | None
    seconds: float

    @property
    def head_mw(self) -> FloatArray:
        """(steps,) power of all sources."""
        return np.asarray(self.solution.p_slack_mw)

    def value_of(self, objective: str) -> float:
        """Another objective of the same schedule."""
        return value_of(objective, self.case, Played(self.p_mw, self.head_mw))


def replayed(
    case: ScheduleCase, objective: str, p_mw: FloatArray, q_mvar: FloatArray, *, bound: float = np.nan,
    tolerance: float = 1e-4, status: str | None = None, lmp_usd_mwh: FloatArray | None = None,
    begun: float | None = None,
) -> AssetSchedule:  # fmt: skip
    """Any setpoints as a schedule: brought inside the assets' own limits, and through the AC power flow.

    Args:
        case: Of them.
        objective: That they are judged by.
        p_mw: (steps, n_assets) wanted.
        q_mvar: The same of reactive power.
        bound: Of the objective.
        tolerance: Relative gap up to which a schedule is called optimal.
        status: In place of what gap and limits say.
        lmp_usd_mwh: Prices that go with it.
        begun: `time.perf_counter` when the search began.
    """
    ways = [followed(a, p_mw[:, k], case.dt_h) for k, a in enumerate(case.assets)]
    p, stored = (np.stack([way[part] for way in ways], axis=1) for part in (0, 1))
    q = np.stack([_q_within(a, p[:, k], q_mvar[:, k]) for k, a in enumerate(case.assets)], axis=1)
    solution = case.solve(p, q)
    solved = bool(np.asarray(solution.converged).all())
    exceeded = tuple(case.exceeded(solution)) if solved else ()
    value = value_of(objective, case, Played(p, np.asarray(solution.p_slack_mw)))
    gap = sign_of(objective) * (value - bound)
    if not solved or exceeded:
        found = INEXACT
    elif np.isnan(bound):
        found = BEST_KNOWN
    else:
        found = OPTIMAL if gap <= allowed_gap(bound, tolerance) else FEASIBLE
    took = 0.0 if begun is None else time.perf_counter() - begun
    return AssetSchedule(
        case,
        objective,
        p,
        q,
        stored,
        solution,
        value,
        bound,
        gap,
        status or found,
        exceeded,
        lmp_usd_mwh,
        took,
    )


def _q_within(asset: Any, p_mw: FloatArray, q_mvar: FloatArray) -> FloatArray:
    most = np.sqrt(np.maximum(asset.s_mva**2 - p_mw**2, 0.0)) if np.isfinite(asset.s_mva) else np.inf
    return np.clip(q_mvar, np.maximum(asset.q_min_mvar, -most), np.minimum(asset.q_max_mvar, most))


def best_schedule(case: ScheduleCase, objective: str = "cost", *, tolerance: float = 1e-4) -> AssetSchedule:
    """The best schedule with perfect foresight.

    Radial balanced feeders: the branch flow relaxation of all steps, whose dual is a bound; a reservoir that
    draws and gives in one step is told which way to go and the program is solved again; where the replay
    breaks a limit, voltages without losses are held below it. Per-phase feeders, and those with loops or
    loads that the relaxation does not cover: a local optimum on the AC power flow, without a bound. Among
    equal schedules (of all objectives but cost) the cheapest is taken.

    Args:
        case: Feeder, assets, loads, prices.
        objective: One of `objectives.OBJECTIVES`.
        tolerance: Relative gap up to which it is called optimal.

    Raises:
        OverLimitsError: no schedule keeps the limits: by how much and where they must give way.
        RunError: an unknown objective, a feeder that is not covered.
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    begun = time.perf_counter()
    if not_covered(case.net) is not None:
        return _on_ac(case, objective, tolerance, begun)
    program = BalancedProgram(case)
    first = program.solved(Stage(objective, {}))
    bound = sign_of(objective) * first.found.bound.value

    def judged(stage: Stage, plan: Relaxation) -> AssetSchedule:
        lmp = plan.duals_per_mw() / case.dt_h if stage.objective == "cost" else None
        return replayed(
            case, objective, plan.p_mw, plan.q_mvar, bound=bound, tolerance=tolerance, lmp_usd_mwh=lmp,
            begun=begun,
        )  # fmt: skip

    stage = Stage(objective, {})
    if objective != "cost":
        stage = stage.with_ceiling(first.found.objective, "cost")
    best, plan = _settled(program, stage, first if objective == "cost" else None, judged)
    if best.exceeded and _error_pu(program, plan, best) > REPLAY_PU:
        tight = replace(stage, lossless=True)
        if objective != "cost":
            own = _tried(program, Stage(objective, {}, lossless=True))
            if own is None:
                return best
            tight = replace(Stage(objective, {}).with_ceiling(own.found.objective, "cost"), lossless=True)
        again = _tried(program, tight)
        if again is not None:
            other, _ = _settled(program, tight, again, judged)
            best = other if _better(other, best) else best
    return best


def _settled(
    program: BalancedProgram, stage: Stage, plan: Relaxation | None,
    judged: Callable[[Stage, Relaxation], AssetSchedule],
) -> tuple[AssetSchedule, Relaxation]:  # fmt: skip
    """The plan of a stage, with reservoirs that go one way in each step."""
    plan = program.solved(stage) if plan is None else plan
    best = judged(stage, plan)
    if stores(program.case.assets).size and plan.both_mw.max(initial=0.0) > _TOGETHER:
        again = _tried(program, replace(stage, gives=plan.gives))
        if again is not None:
            other = judged(stage, again)
            if _better(other, best):
                return other, again
    return best, plan


def _tried(program: BalancedProgram, stage: Stage) -> Relaxation | None:
    from ...errors import RunError

    try:
        return program.solved(stage)
    except RunError:
        return None


def _better(new: AssetSchedule, old: AssetSchedule) -> bool:
    worst = [sum(one.excess for one in s.exceeded) for s in (new, old)]
    if max(worst) > KEPT:
        return worst[0] < worst[1]
    return sign_of(new.objective) * (new.value - old.value) < 0.0


def _error_pu(program: BalancedProgram, plan: Relaxation, played: AssetSchedule) -> float:
    v = np.asarray(played.solution.v_pu)[:, program.network.node]
    return float(np.abs(v - plan.v_pu()).max())


def _on_ac(case: ScheduleCase, objective: str, tolerance: float, begun: float) -> AssetSchedule:
    search = AcSearch(case)
    stage = Stage(objective, {})
    point = search.run(stage)
    if objective != "cost":
        value = sign_of(objective) * value_of(objective, case, Played(point.p_mw, point.head_mw))
        point = search.run(stage.with_ceiling(value, "cost"))
    return replayed(case, objective, point.p_mw, point.q_mvar, tolerance=tolerance, begun=begun)
