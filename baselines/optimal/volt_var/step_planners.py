"""The best action of one interval alone: by the relaxation, or per phase by descents on the AC power flow."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .... import physics
from ....envs.core.planning import PlannedScenario, Window
from ...errors import RunError
from ..affine import FloatArray, IntArray
from ..conic import clarabel
from ..day import check_covered, plan_window
from ..integer_search import descended_together
from ..phase_day.fleet import check_fleet
from ..phase_day.network import Moved, PhaseNetwork, Setpoints, per_phase
from ..phase_day.terms import Look, NetworkTerms

_LEVELS = 10  # of reactive power, either way


class StepPlanner(ABC):
    """Decides an interval in the reward of the task, as if the episode ended with it."""

    @abstractmethod
    def decide(self, window: Window) -> FloatArray:
        """(n_actions,) floats in [-1, 1] for a window of one interval."""


def step_planner(scenario: PlannedScenario) -> StepPlanner:
    """The planner that covers an environment.

    Raises:
        RunError: what neither covers, by name; nothing that moves voltages.
    """
    kinds = {unit.kind for unit in scenario.units if unit.action_q is not None}
    if not kinds and not scenario.fleet.units("tap_changer") and not scenario.fleet.units("capacitor_bank"):
        raise RunError(
            "this environment has neither inverters, tap changers nor banks to set: choose another policy"
        )
    return PhaseSteps(scenario) if isinstance(scenario.network, physics.Network3) else RelaxedSteps(scenario)


class RelaxedSteps(StepPlanner):
    """Of a balanced feeder: the branch flow relaxation of the interval, whole positions rounded and held."""

    def __init__(self, scenario: PlannedScenario) -> None:
        """RunError for what the relaxation does not cover."""
        clarabel()
        check_covered(scenario)
        self._scenario = scenario

    def decide(self, window: Window) -> FloatArray:
        """See `StepPlanner`."""
        return np.asarray(plan_window(self._scenario, window)[0])


class PhaseSteps(StepPlanner):
    """Of a per-phase feeder: a descent over positions and levels of reactive power, on the AC power flow.

    Tap changers go as far as they can in an interval; inverters choose among tenths of what they have;
    storage rests.
    """

    def __init__(self, scenario: PlannedScenario) -> None:
        """RunError for a device or a term of the reward that is not covered."""
        check_fleet(scenario)
        per_phase(scenario)
        self._scenario = scenario
        self._terms = NetworkTerms(scenario.task.rewards)
        self._price = -sum(term.weight for term in scenario.task.rewards if term.of.name == "switchings")
        self._set = [unit for unit in scenario.units if unit.action_q is not None and unit.q_max_mvar > 0.0]

    def decide(self, window: Window) -> FloatArray:
        """See `StepPlanner`."""
        network = PhaseNetwork(self._scenario, window)
        p_mw = self._offered(window)
        at = np.array([unit.index for unit in self._set], dtype=np.int64)
        rated, s_mva = np.array([(unit.q_max_mvar, unit.s_mva) for unit in self._set]).reshape(-1, 2).T
        most = np.minimum(rated, np.sqrt(np.maximum(s_mva**2 - p_mw[at] ** 2, 0.0)))
        now = np.array([one.now for one in network.moved], dtype=np.int64)
        choices = [_positions(one) for one in network.moved]
        choices += [np.arange(-_LEVELS, _LEVELS + 1) for _ in self._set]
        n = len(network.moved)

        def judged(values: IntArray) -> tuple[FloatArray, FloatArray]:
            rows = len(values)
            q = np.zeros((rows, len(p_mw)))
            q[:, at] = most * values[:, n:] / _LEVELS
            setpoints = Setpoints(np.repeat(p_mw[None], rows, axis=0), q, values[:, :n].astype(np.float64))
            steps = np.zeros(rows, dtype=np.int64)
            cost = self._terms.cost(Look(network, network.solve(setpoints, steps), steps))
            return np.zeros(rows), cost + self._price * np.abs(values[:, :n] - now).sum(axis=1)

        start = np.concatenate([now, np.zeros(len(self._set), dtype=np.int64)])
        found = descended_together(choices, judged, start).setting
        action = self._scenario.neutral_action.astype(np.float64)
        for one, position in zip(network.moved, found[:n].tolist(), strict=True):
            action[one.action] = 2.0 * (position - one.low) / (one.high - one.low) - 1.0
        for unit, q_mvar in zip(self._set, (most * found[n:] / _LEVELS).tolist(), strict=True):
            assert unit.action_q is not None
            action[unit.action_q] = q_mvar / unit.q_max_mvar
        return action

    def _offered(self, window: Window) -> FloatArray:
        """(n_units,) all that sun and wind offer; 0, or as near to it as can be, of others."""
        index = {unit.name: unit.index for unit in self._scenario.units}
        p_mw = np.zeros(len(self._scenario.units))
        for outlook in window.outlooks.values():
            for k, name in enumerate(outlook.units):
                low, high = float(outlook.p_min_mw[0, k]), float(outlook.p_max_mw[0, k])
                p_mw[index[name]] = high if outlook.available_mw is not None else min(max(0.0, low), high)
        return p_mw


def _positions(one: Moved) -> IntArray:
    """Those that can be reached in an interval."""
    most = min(one.most, one.left, float(one.high - one.low))
    return np.arange(max(one.low, int(one.now - most)), min(one.high, int(one.now + most)) + 1)
