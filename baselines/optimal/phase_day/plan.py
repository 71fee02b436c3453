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
from ..devices import Decided
from .fleet import FleetRows, check_fleet
from .model import LocalModel, ModelMaker
from .network import PhaseNetwork, Setpoints, per_phase
from .start import Start
from .steps import Step, free_columns, nearest, stepped
from .taps import Walk, moves_cost, swept
from .terms import NetworkTerms

_STEPS, _ROUNDS = 12, 6
_ROUGH = 4  # steps before devices decide
_BETWEEN = 2  # steps between looks at positions
_REACHES = (6, 4, 3)  # positions of tap changers either way that rounds look at
_BENT = 2  # rounds that look at the curvature anew
_ENOUGH = 1e-4  # share of all that was gained that a step or a round must bring
_REFUSED = 2  # steps in turn that bring nothing
_SHARES = (1.0, 0.5, 0.5)  # of what is left of a step, that are tried where intervals depend on each other
_SMALLEST = 1e-4  # of the trust region, as a share of reach


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


def plan_phase_day(scenario: PlannedScenario, row: int = 0, start: Start | None = None) -> PhaseDayPlan:
    """A plan of the intervals that are left of a row's episode, as it will meet them.

    The same scenario gives the same plan, to the last bit. Devices that are on or off, or shift load within
    windows, do so by shares at first; what they decide at the prices of that plan is then held.

    Args:
        scenario: ``env.scenario`` of a per-phase environment.
        row: Of a vector environment.
        start: What somebody did on that day. The search begins with it where it is better than doing
            nothing, and ends with it where nothing better is found.

    Raises:
        RunError: a balanced feeder, a device or a term of the reward that is not covered, or a power flow
            without a solution where the search begins.
    """
    begun = time.perf_counter()
    check_fleet(scenario)
    search, rounds = _searched(scenario, scenario.window(row=row), None if start is None else start.setpoints)
    actions, value = search.actions(), -search.cost
    if start is not None and start.value > value:
        actions, value = start.actions, start.value
    return PhaseDayPlan(actions, value, rounds, time.perf_counter() - begun)


def plan_phase_window(scenario: PlannedScenario, window: Window) -> FloatArray:
    """(steps, n_actions) the plan of a window, from the present on, true or foretold.

    What is owed and stored is settled at the end of the window, as if the episode ended there.

    Args:
        scenario: Of the environment.
        window: Its next intervals.

    Raises:
        RunError: as `plan_phase_day`.
    """
    return _searched(scenario, window, None)[0].actions()


def _searched(scenario: PlannedScenario, window: Window, start: Setpoints | None) -> tuple[_Search, int]:
    """A search at its end, and its rounds; what devices decide at first is then held."""
    search, rounds = _Search(scenario, window, start), 0
    if search.choosing:
        rounds = search.run(_ROUGH)
        search.hold(search.decided())
    return search, rounds + search.run(_STEPS)


class _Search:
    """Where a search stands: setpoints, what they cost, how far steps may go."""

    at: Setpoints
    of_steps: FloatArray
    radius: FloatArray

    def __init__(self, scenario: PlannedScenario, window: Window, start: Setpoints | None) -> None:
        self.scenario, self.window = scenario, window
        self._decided: Decided = {}
        self.network = PhaseNetwork(scenario, window)
        reach = np.array([max(unit.s_mva, 0.0) for unit in scenario.units])
        most_q = np.array([unit.q_max_mvar for unit in scenario.units])
        columns = free_columns(self._fleet(), reach)
        self.maker = ModelMaker(self.network, NetworkTerms(scenario.task.rewards), columns, most_q)
        price = -sum(term.weight for term in scenario.task.rewards if term.of.name == "switchings")
        day = round(24.0 / window.dt_h)
        self.walk = Walk(price, window.t_index % day == 0)
        self.step: Step | None = None
        idle_costs = self.maker.cost(self._idle())
        if not np.isfinite(idle_costs).all():
            raise RunError("the power flow of an idle fleet has no solution in some interval of the day")
        self._worth = float(np.abs(idle_costs).mean()) + 1e-9
        self._stand(self._idle())
        idle, self._idle_cost = (self.at, self.step, self.of_steps), self.cost
        if start is not None:
            self._stand(start)
            if not self.cost < self._idle_cost:
                self.at, self.step, self.of_steps = idle

    def _idle(self) -> Setpoints:
        steps = self.network.steps
        position = np.repeat([[float(one.now) for one in self.network.moved]], steps, axis=0)
        none = np.zeros((steps, len(self.scenario.units)))
        return Setpoints(self._fleet().offered_mw, none, position.reshape(steps, -1))

    def _fleet(self) -> FleetRows:
        return FleetRows(self.scenario, self.window, self._decided)

    def _stand(self, at: Setpoints) -> None:
        """At these setpoints, or as near as the fleet can be where intervals depend on each other."""
        fleet = self._fleet()
        if not fleet.apart:
            self.step = nearest(fleet, self.maker.columns, at, self._worth)
            at = Setpoints(*fleet.delivered(self.step.p_mw, self.step.q_mvar), at.position)
        self.at, self.of_steps = at, self.maker.cost(at)
        self.radius = np.full(self.network.steps, np.inf)

    @property
    def choosing(self) -> bool:
        """Whether devices decide anything but their power."""
        return any(one.choice is not None for one in self._fleet().planned)

    def decided(self) -> Decided:
        """What devices decide at the prices that the plan makes."""
        model = self.maker.model(self.at, bend=False)
        return stepped(self._fleet(), self.maker.columns, model, np.full(self.network.steps, np.inf)).decided

    def hold(self, decided: Decided) -> None:
        """Go on where devices have decided so."""
        self._decided = decided
        self._stand(self.at)

    @property
    def cost(self) -> float:
        """Of the setpoints, everything in it."""
        fleet = 0.0 if self.step is None else self.step.fleet_cost
        moves = moves_cost(self.network.moved, self.at.position, self.walk.price)
        return float(self.of_steps.sum()) + fleet + moves

    @property
    def _enough(self) -> float:
        return _ENOUGH * max(self._idle_cost - self.cost, 1e-2 * abs(self.cost))

    def run(self, most: int) -> int:
        """Rounds until one brings nothing; ``most``: steps at the most where positions stay."""
        for number in range(_ROUNDS):
            before = self.cost
            self._convex_steps(_BETWEEN if self.network.moved else most, bend=number < _BENT)
            if not self.network.moved:
                return number + 1
            far = _REACHES[min(number, len(_REACHES) - 1)]
            self.at = swept(self.maker, self.at, self._fleet().apart, self.walk, far)
            self.of_steps = self.maker.cost(self.at)
            self.radius = np.maximum(self.radius, 0.05)
            if number and before - self.cost < self._enough:
                break
        self._convex_steps(most, bend=False)
        return number + 1

    def _convex_steps(self, most: int, bend: bool) -> None:
        """``most``: at the most so many; ``bend``: look at the curvature anew."""
        if not self.maker.columns.size:
            return
        model, refused = self.maker.model(self.at, bend), 0
        for _ in range(most):
            step = stepped(self._fleet(), self.maker.columns, model, self.radius)
            gained = self._take(model, step)
            refused = 0 if gained > 0.0 else refused + 1
            if refused == _REFUSED or self.radius.max() < _SMALLEST or 0.0 < gained < self._enough:
                return
            if gained > 0.0:
                model = self.maker.model(self.at, bend=False)

    def _take(self, model: LocalModel, step: Step) -> float:
        """Take a step where it costs less; what was gained, 0 where none was taken.

        Where intervals leave each other alone each decides for itself; else the best part of the step counts.
        """
        columns, before, old = self.maker.columns, self.cost, self.step
        p, q = step.fleet.delivered(step.p_mw, step.q_mvar)
        tried = Setpoints(p, q, self.at.position)
        x = columns.of(p, q)
        expected, after = model.predicted(x) - self.of_steps, self.maker.cost(tried)
        gained = self.of_steps - after
        honest = np.abs(gained + expected) <= 0.4 * np.abs(expected) + 1e-12
        size = (np.abs(x - model.x) / columns.reach).max(axis=1)
        wide = np.where(np.isfinite(self.radius), self.radius, np.maximum(size, 0.05))
        self.radius = np.minimum(np.where(honest, 2.0 * wide, np.maximum(0.3 * size, 0.25 * wide)), 4.0)
        if old is None:
            better = (gained > 0.0)[:, None]
            self.at = Setpoints(
                np.where(better, p, self.at.p_mw), np.where(better, q, self.at.q_mvar), self.at.position
            )
            self.of_steps = np.where(better[:, 0], after, self.of_steps)
            return before - self.cost
        for share in _SHARES:
            if share < 1.0:
                step = old.toward(step, share)
                tried = Setpoints(*step.fleet.delivered(step.p_mw, step.q_mvar), self.at.position)
                after = self.maker.cost(tried)
            if float(after.sum()) + step.fleet_cost < float(self.of_steps.sum()) + old.fleet_cost:
                self.at, self.of_steps, self.step = tried, after, step
                return before - self.cost
        self.radius = np.minimum(self.radius, 0.5 * wide)
        return 0.0

    def actions(self) -> FloatArray:
        """That ask for the setpoints."""
        step = self.step
        if step is None:
            step = nearest(self._fleet(), self.maker.columns, self.at)
        return step.fleet.actions(step.x, self.network.moved, self.at.position)
