"""The plan of a whole day on a per-phase feeder, for those who know it: the best that a search finds.

Sequential convex programming on the true power flow (R. Fletcher, Practical Methods of Optimization, 1987,
chapter 14): the cost of every interval is modelled about its AC solution with slopes by adjoint sweeps, the
rows of devices hold exactly, a trust region keeps the model honest, and a step is taken where the cost
after the power flow is less. Positions of tap changers and banks are searched in turn with it. No bound is
proved: the plan is the best known, not the optimum.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ....envs.core.planning import PlannedScenario, Window
from ...errors import RunError
from ..affine import FloatArray
from .fleet import FleetRows, check_fleet
from .model import LocalModel, ModelMaker
from .network import PhaseNetwork, Setpoints, per_phase
from .steps import Step, free_columns, nearest, stepped
from .taps import Walk, moves_cost, swept
from .terms import NetworkTerms

_STEPS, _ROUNDS = 12, 6
_ENOUGH = 1e-5  # share of the cost that a round must bring


@dataclass(frozen=True, eq=False)
class PhaseDayPlan:
    """The best plan found of the rest of an episode.

    Attributes:
        actions: (steps, n_actions) floats in [-1, 1].
        value: Its return by the power flow of the plan; what the environment pays may differ a little.
        rounds: Of the search.
        seconds: It took.
    """

    actions: FloatArray
    value: float
    rounds: int
    seconds: float


def check_phase_day(scenario: PlannedScenario) -> None:
    """RunError for a feeder, a device or a term of the reward that is not planned here."""
    check_fleet(scenario)
    per_phase(scenario)


def plan_phase_day(scenario: PlannedScenario, row: int = 0) -> PhaseDayPlan:
    """A plan of the intervals that are left of a row's episode, as it will meet them.

    The same scenario gives the same plan, to the last bit.

    Args:
        scenario: ``env.scenario`` of a per-phase environment.
        row: Of a vector environment.

    Raises:
        RunError: a balanced feeder, a device or a term of the reward that is not covered, or a power flow
            without a solution where the search begins.
    """
    begun = time.perf_counter()
    check_fleet(scenario)
    search = _Search(scenario, scenario.window(row=row))
    rounds = search.run()
    return PhaseDayPlan(search.actions(), -search.cost, rounds, time.perf_counter() - begun)


class _Search:
    """Where a search stands: setpoints, what they cost, how far steps may go."""

    def __init__(self, scenario: PlannedScenario, window: Window) -> None:
        self.scenario, self.window = scenario, window
        self.network = PhaseNetwork(scenario, window)
        reach = np.array([max(unit.s_mva, 0.0) for unit in scenario.units])
        most_q = np.array([unit.q_max_mvar for unit in scenario.units])
        columns = free_columns(self._fleet(), reach)
        self.maker = ModelMaker(self.network, NetworkTerms(scenario.task.rewards), columns, most_q)
        price = -sum(term.weight for term in scenario.task.rewards if term.of.name == "switchings")
        day = round(24.0 / window.dt_h)
        self.walk = Walk(price, window.t_index % day == 0)
        steps = self.network.steps
        position = np.repeat([[float(one.now) for one in self.network.moved]], steps, axis=0)
        none = np.zeros((steps, len(scenario.units)))
        self.at = Setpoints(self._fleet().offered_mw, none, position.reshape(steps, -1))
        self.step: Step | None = None
        self.of_steps = self.maker.cost(self.at)
        if not np.isfinite(self.of_steps).all():
            raise RunError("the power flow of an idle fleet has no solution in some interval of the day")
        self.radius = np.full(steps, np.inf)

    def _fleet(self) -> FleetRows:
        return FleetRows(self.scenario, self.window)

    @property
    def cost(self) -> float:
        """Of the setpoints, everything in it."""
        fleet = 0.0 if self.step is None else self.step.fleet_cost
        moves = moves_cost(self.network.moved, self.at.position, self.walk.price)
        return float(self.of_steps.sum()) + fleet + moves

    def run(self) -> int:
        """Rounds until one brings nothing."""
        for number in range(_ROUNDS):
            before = self.cost
            self._convex_steps()
            if not self.network.moved:
                return number + 1
            self.at = swept(self.maker, self.at, self._fleet().apart, self.walk)
            self.of_steps = self.maker.cost(self.at)
            self.radius = np.maximum(self.radius, 0.05)
            if number and before - self.cost < _ENOUGH * abs(before):
                break
        self._convex_steps()
        return number + 1

    def _convex_steps(self) -> None:
        if not self.maker.columns.size:
            return
        for _ in range(_STEPS):
            model = self.maker.model(self.at)
            fleet = self._fleet()
            step = stepped(fleet, self.maker.columns, model, self.radius)
            gained = self._take(model, step)
            if self.radius.max() < 1e-4 or 0.0 <= gained < _ENOUGH * abs(self.cost) * 0.3:
                return

    def _take(self, model: LocalModel, step: Step) -> float:
        """Take a step where it costs less; what was gained, below 0 where none was taken.

        Where intervals leave each other alone each decides for itself.
        """
        columns, first = self.maker.columns, self.step is None
        p, q = step.fleet.delivered(step.p_mw, step.q_mvar)
        tried = Setpoints(p, q, self.at.position)
        x = columns.of(p, q)
        expected, after = model.predicted(x) - self.of_steps, self.maker.cost(tried)
        gained = self.of_steps - after
        honest = np.abs(gained + expected) <= 0.4 * np.abs(expected) + 1e-12
        size = (np.abs(x - model.x) / columns.reach).max(axis=1)
        wide = np.where(np.isfinite(self.radius), self.radius, np.maximum(size, 0.05))
        self.radius = np.minimum(np.where(honest, 2.0 * wide, np.maximum(0.3 * size, 0.25 * wide)), 4.0)
        before = self.cost
        if step.fleet.apart:
            better = gained > 0.0
            rows = np.where(better[:, None], True, False)
            self.at = Setpoints(
                np.where(rows, p, self.at.p_mw), np.where(rows, q, self.at.q_mvar), self.at.position
            )
            self.of_steps = np.where(better, after, self.of_steps)
            return before - self.cost
        fleet_before = np.inf if first else self.step.fleet_cost if self.step else 0.0
        whole = float(gained.sum()) + fleet_before - step.fleet_cost
        if first or whole > 0.0:
            self.at, self.of_steps, self.step = tried, after, step
            return whole if not first else np.inf
        self.radius = np.minimum(self.radius, 0.5 * wide)
        return -1.0

    def actions(self) -> FloatArray:
        """That ask for the setpoints."""
        step = self.step
        if step is None:
            step = nearest(self._fleet(), self.maker.columns, self.at)
        return step.fleet.actions(step.x, self.network.moved, self.at.position)
