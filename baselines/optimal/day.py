"""The plan of an episode by the relaxation, and the least that the episode can cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...envs.core.planning import PlannedScenario, Window
from ...envs.resources.base import UnitInfo
from ..errors import RunError
from .affine import Affine, FloatArray, IntArray
from .branch_flow import BranchFlow, Demand, NetworkLimits, add_branch_flow
from .conic import ALMOST, SOLVED, Compiled, ConicSolution
from .devices import Planned, check_kinds, planned_fleet, undelivered_prices
from .program import Program
from .radial import radial_network
from .rewards import PlannedEpisode, check_terms, cost_of
from .taps import KINDS, SwitchedDay, check_ends, put_positions

_TOLERANCE = 1e-9
_CAPPED = "voltage_violation_capped_pu"


@dataclass(frozen=True, eq=False)
class DayPlan:
    """What the relaxation says of the rest of an episode.

    Attributes:
        actions: (steps, n_actions) floats in [-1, 1].
        bound: No policy has a return above it.
        seconds: Of the solver.
    """

    actions: FloatArray
    bound: float
    seconds: float


def check_covered(scenario: PlannedScenario) -> None:
    """RunError unless feeder, devices and reward of an environment are covered by the relaxation."""
    radial_network(scenario.network)
    check_kinds(scenario.fleet, beside=KINDS)
    check_ends(scenario)
    check_terms(scenario.task.rewards)


def plan_day(scenario: PlannedScenario, row: int = 0) -> DayPlan:
    """The plan of the intervals that are left of a row's episode, as it will meet them.

    What lies outside the band counts in a step up to a ceiling, which is not convex. No step of a play is
    beyond it, and then the bound without a ceiling holds; or one is, which costs the ceiling beside what all
    else costs at the least: the lower of the two bounds holds for both.

    Raises:
        RunError: a feeder, a device or a term of the reward that the relaxation does not cover.
    """
    window = scenario.window(row=row)
    owed_mwh = float(scenario.fleet.accounts.total("owed_mwh")[row])
    full = _relaxed(scenario, window, owed_mwh)
    least, seconds = full.found.bound.value, full.found.seconds
    capped = [term for term in scenario.task.rewards if term.of.name == _CAPPED and term.weight]
    if capped:
        without = _relaxed(scenario, window, owed_mwh, leave_out=_CAPPED).found
        ceiling = {**capped[0].of.parameters, **dict(capped[0].parameters)}["most_pu"]
        least = min(least, without.bound.value - capped[0].weight * ceiling)
        seconds += without.seconds
    whole: Mapping[str, FloatArray] = {}
    if full.switched.any:
        whole = full.switched.rounded(full.flow, full.found.x)
        full = _relaxed(scenario, window, owed_mwh, held=whole)
        seconds += full.found.seconds
    return DayPlan(_actions(scenario, window.t_index.size, full.fleet, full.found.x, whole), -least, seconds)


@dataclass(frozen=True, eq=False)
class _Relaxed:
    """The relaxation of a window, solved."""

    fleet: list[Planned]
    switched: SwitchedDay
    flow: BranchFlow
    found: ConicSolution


def _relaxed(
    scenario: PlannedScenario, window: Window, owed_mwh: float, leave_out: str | None = None,
    held: Mapping[str, FloatArray] | None = None,
) -> _Relaxed:  # fmt: skip
    """``leave_out``: a quantity that is not charged; ``held``: positions, see `SwitchedDay`."""
    program = Program()
    switched = SwitchedDay(scenario, radial_network(scenario.network), window, held)
    network = switched.network
    prices = undelivered_prices(scenario.fleet)
    outlooks = {kind: told for kind, told in window.outlooks.items() if told.positions is None}
    fleet = planned_fleet(program, outlooks, scenario.units, prices, window.dt_h)
    feeding = [*fleet, *switched.bank_columns(program)]
    steps, m = window.t_index.size, network.size
    units = {unit.name: unit for unit in scenario.units}
    reach = np.zeros(m)
    for one in feeding:
        at = np.array([network.position[units[name].node_row] for name in one.names], dtype=np.int64)
        np.add.at(reach, at, one.reach_mva)
    p, q = _injected(feeding, units, network.position, steps, m)
    source = scenario.network.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
    demand = Demand(
        window.load_p_mw[:, network.node], window.load_q_mvar[:, network.node],
        np.repeat(source[None], steps, axis=0),
    )  # fmt: skip
    # The band and the ratings are the task's to charge, not limits of the plan.
    limits = NetworkLimits(None, None)
    flow = add_branch_flow(program, network, demand, p, q, limits, reach, switched.gains())
    moves = switched.add_rows(program, flow, demand.v_source_pu)
    episode = PlannedEpisode(
        program, flow, fleet, window.dt_h, scenario.task.v_band, window.price_usd_mwh, owed_mwh, moves
    )
    program.minimise(cost_of(episode, scenario.task.rewards, leave_out=leave_out))
    found = Compiled(program, tolerance=_TOLERANCE).solve()
    if found.status not in (SOLVED, ALMOST):
        raise RunError(f"the relaxation of the day ended with {found.solver_status!r}")
    return _Relaxed(fleet, switched, flow, found)


def _injected(
    fleet: list[Planned], units: Mapping[str, UnitInfo], position: IntArray, steps: int, m: int
) -> tuple[Affine, Affine]:
    """(steps, m) P and Q that the fleet feeds in at each position."""
    p, q = Affine(np.zeros((steps, m))), Affine(np.zeros((steps, m)))
    for one in fleet:
        at = np.array([position[units[name].node_row] for name in one.names], dtype=np.int64)
        p, q = p + one.p_mw.scattered(at, m), q + one.q_mvar.scattered(at, m)
    return p, q


def _actions(
    scenario: PlannedScenario, steps: int, fleet: list[Planned], x: FloatArray,
    whole: Mapping[str, FloatArray],
) -> FloatArray:  # fmt: skip
    """The plan in the floats of the action space."""
    units = {unit.name: unit for unit in scenario.units}
    actions = np.repeat(scenario.neutral_action[None].astype(np.float64), steps, axis=0)
    put_positions(scenario, whole, actions)
    for one in fleet:
        p, q = one.p_mw.at(x), one.q_mvar.at(x)
        for k, name in enumerate(one.names):
            unit = units[name]
            if unit.action_p is not None:
                low, high = one.low_mw[:, k], one.high_mw[:, k]
                span = np.where(high > low, high - low, 1.0)
                actions[:, unit.action_p] = np.where(high > low, 2.0 * (p[:, k] - low) / span - 1.0, 1.0)
            if unit.action_q is not None:
                actions[:, unit.action_q] = q[:, k] / unit.q_max_mvar
    return np.clip(actions, -1.0, 1.0)
