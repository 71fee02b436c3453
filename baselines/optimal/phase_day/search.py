"""The search for a plan of some intervals on a per-phase feeder: where it stands, and how it goes on."""

from __future__ import annotations

import numpy as np

from ....envs.core.planning import PlannedScenario, Window
from ...errors import RunError
from ..affine import FloatArray
from ..devices import Decided
from .fleet import NOTHING_DECIDED, FleetRows, Leaving
from .model import LocalModel, ModelMaker
from .network import PhaseNetwork, Setpoints
from .steps import Step, free_columns, nearest, stepped
from .taps import Walk, moves_cost, swept
from .terms import NetworkTerms

_ROUNDS = 6
_BETWEEN = 2  # steps between looks at positions
_REACHES = (6, 4, 3)  # positions of tap changers either way that rounds look at
_BENT = 2  # rounds that look at the curvature anew
_ENOUGH = 1e-4  # share of all that was gained that a step or a round must bring
_REFUSED = 2  # steps in turn that bring nothing
_SHARES = (1.0, 0.5, 0.5)  # of what is left of a step, that are tried where intervals depend on each other
_SMALLEST = 1e-4  # of the trust region, as a share of reach


class PhaseSearch:
    """Where a search stands: setpoints, what they cost, how far steps may go."""

    at: Setpoints
    of_steps: FloatArray
    radius: FloatArray

    def __init__(
        self, scenario: PlannedScenario, window: Window, start: Setpoints | None = None, *,
        decided: Decided = NOTHING_DECIDED, leaving: Leaving | None = None, margin_pu: float = 0.0,
    ) -> None:  # fmt: skip
        """Stand at the better of doing nothing and of ``start``.

        Args:
            scenario: Of the environment.
            window: Its intervals.
            start: Setpoints; None: the fleet does nothing.
            decided: What is decided of devices that have a choice.
            leaving: What the fleet is to do, and what it costs to do otherwise.
            margin_pu: By how much voltages are to keep within the band.

        Raises:
            RunError: the power flow of an idle fleet has no solution.
        """
        self.scenario, self.window = scenario, window
        self._decided, self._leaving = decided, leaving
        self.network = PhaseNetwork(scenario, window, margin_pu)
        reach = np.array([max(unit.s_mva, 0.0) for unit in scenario.units])
        most_q = np.array([unit.q_max_mvar for unit in scenario.units])
        columns = free_columns(self._fleet(), reach)
        self.maker = ModelMaker(self.network, NetworkTerms(scenario.task.rewards), columns, most_q)
        price = -sum(term.weight for term in scenario.task.rewards if term.of.name == "switchings")
        day = round(24.0 / scenario.calendar.dt_h)
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
        return FleetRows(self.scenario, self.window, self._decided, self._leaving)

    def _stand(self, at: Setpoints) -> None:
        """At these setpoints, or as near as the fleet can be where intervals depend on each other."""
        fleet = self._fleet()
        if not fleet.apart:
            self.step = nearest(fleet, self.maker.columns, at, self._worth)
            at = Setpoints(*fleet.delivered(self.step.p_mw, self.step.q_mvar), at.position)
        self.at, self.of_steps = at, self.maker.cost(at)
        self.radius = np.full(self.network.steps, np.inf)

    @property
    def held(self) -> Decided:
        """What is decided of devices."""
        return self._decided

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
            self.convex_steps(_BETWEEN if self.network.moved else most, bend=number < _BENT)
            if not self.network.moved:
                return number + 1
            far = _REACHES[min(number, len(_REACHES) - 1)]
            self.at = swept(self.maker, self.at, self._fleet().apart, self.walk, far)
            self.of_steps = self.maker.cost(self.at)
            self.radius = np.maximum(self.radius, 0.05)
            if number and before - self.cost < self._enough:
                break
        self.convex_steps(most, bend=False)
        return number + 1

    def convex_steps(self, most: int, bend: bool) -> None:
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
