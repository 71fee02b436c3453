"""Volt/VAR optimisation as policies: the optimum of every interval, and a table of settings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....envs.core.planning import PlannedScenario, Window
from ....envs.resources.outlook import Outlook
from ...policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of
from .step_planners import StepPlanner, step_planner

LOAD_LEVELS = (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
SUN_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
_EVERY = 16  # of the training days one is looked at for the mean load


class _Stepwise(Policy):
    """Looks at what its rows meet in the coming interval, each for itself."""

    def __init__(self, env: AnyEnv) -> None:
        """Look at feeder, fleet and reward. RunError for what is not covered."""
        self._scenario = scenario_of(env)
        self._planner: StepPlanner = step_planner(self._scenario)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing is remembered of an episode."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """What is best for the coming interval of each row; neutral where its episode is over."""
        batch, single = self._observations.batch(obs)
        action = self._actions.neutral(len(batch))
        for row in range(len(batch)):
            window = self._window(row)
            if window is not None:
                action[row] = self._decided(window)
        return self._actions.coded(action, single)

    @abstractmethod
    def _window(self, row: int) -> Window | None:
        """The interval that the row decides, as far as it is known; None: there is none."""

    @abstractmethod
    def _decided(self, window: Window) -> FloatArray:
        """(n_actions,) for it."""


class VoltVarOptimal(_Stepwise):
    """The optimum of each interval by itself, whose loads and sun are known; what comes later is not.

    Balanced: the branch flow relaxation in the reward of the task; per phase: descents on the AC power flow.
    It must be played on the environment that it was made for.
    """

    name = "vvo-optimal"

    def _window(self, row: int) -> Window | None:
        return next_interval(self._scenario, row)

    def _decided(self, window: Window) -> FloatArray:
        return self._planner.decide(window)


class VoltVarTable(_Stepwise):
    """Looks settings up in a table over load and sun, which it makes when it is first asked.

    A point of the table is the best action at the mean load of the training days, scaled to the level, with
    all tap changers free to move; between points it is interpolated, and devices that store rest. Load and
    sun of the coming interval are those that the environment's forecaster says.
    """

    name = "vvo-plan"
    transient = ("_table",)

    def __init__(self, env: AnyEnv) -> None:
        """As `VoltVarOptimal`."""
        super().__init__(env)
        self._table: FloatArray | None = None
        load = self._scenario.load
        days = _training_days(self._scenario)
        per_day = self._scenario.calendar.steps_per_day
        steps = (days[:, None] * per_day + np.arange(per_day)).reshape(-1)
        p, q = (np.empty((steps.size, load.s_max_mva.size)) for _ in range(2))
        load.fill(steps, p, q)
        self._most_mw = float(p.sum(axis=1).max())
        scale = self._most_mw / p.sum(axis=1).mean()
        self._p_mw, self._q_mvar = scale * p.mean(axis=0), scale * q.mean(axis=0)
        self._unit_mw = {unit.name: unit.p_mw for unit in self._scenario.units}
        self._rests = [
            column for unit in self._scenario.units if unit.energy_mwh is not None
            for column in (unit.action_p,) if column is not None
        ]  # fmt: skip

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Levels of the table."""
        return {"load_levels": str(LOAD_LEVELS), "sun_levels": str(SUN_LEVELS)}

    def _window(self, row: int) -> Window | None:
        return next_interval(self._scenario, row, forecast=True)

    def _decided(self, window: Window) -> FloatArray:
        if self._table is None:
            self._table = self._made(window)
        load = float(window.load_p_mw.sum()) / self._most_mw
        return interpolated(self._table, load, self._sun_of(window))

    def _made(self, like: Window) -> FloatArray:
        """(load levels, sun levels, n_actions)."""
        table = np.empty((len(LOAD_LEVELS), len(SUN_LEVELS), self._scenario.neutral_action.size))
        for a, load in enumerate(LOAD_LEVELS):
            for b, sun in enumerate(SUN_LEVELS):
                outlooks = {name: self._at_level(told, sun) for name, told in like.outlooks.items()}
                window = replace(
                    like, load_p_mw=load * self._p_mw[None], load_q_mvar=load * self._q_mvar[None],
                    outlooks=outlooks,
                )  # fmt: skip
                table[a, b] = self._planner.decide(window)
        table[..., self._rests] = self._actions.neutral_action[self._rests]
        return table

    def _rated_mw(self, told: Outlook) -> FloatArray:
        return np.array([self._unit_mw[name] for name in told.units])

    def _sun_of(self, window: Window) -> float:
        """What of their rated power sun and wind offer, all units together."""
        offered = [(told, told.available_mw) for told in window.outlooks.values()]
        most = sum(float(self._rated_mw(told).sum()) for told, given in offered if given is not None)
        now = sum(float(given[0].sum()) for _, given in offered if given is not None)
        return now / most if most > 0.0 else 0.0

    def _at_level(self, told: Outlook, sun: float) -> Outlook:
        """An outlook at a share of the sun; what moves may go anywhere."""
        if told.positions is not None:
            free = np.full(told.positions.low.size, np.inf)
            return replace(told, positions=replace(told.positions, max_steps=free, steps_left=free))
        if told.available_mw is None:
            return told
        offered = sun * self._rated_mw(told)[None]
        curtails = told.p_min_mw < told.available_mw
        least = np.where(curtails.any(axis=0), 0.0, offered)
        return replace(told, available_mw=offered, p_max_mw=offered, p_min_mw=least)


def next_interval(scenario: PlannedScenario, row: int, forecast: bool = False) -> Window | None:
    """The interval that a row decides, true or as it is foretold; None where its episode is over."""
    try:
        return scenario.window(horizon=1, row=row, forecast=scenario.forecasts if forecast else None)
    except ValueError:
        return None


def interpolated(table: FloatArray, load: float, sun: float) -> FloatArray:
    """(n_actions,) between the four points around a level; beyond the table its edge."""
    places = []
    for levels, value in ((LOAD_LEVELS, load), (SUN_LEVELS, sun)):
        k = int(np.clip(np.searchsorted(levels, value) - 1, 0, len(levels) - 2))
        share = float(np.clip((value - levels[k]) / (levels[k + 1] - levels[k]), 0.0, 1.0))
        places.append((k, share))
    (a, x), (b, y) = places
    low, high = ((1.0 - y) * table[k, b] + y * table[k, b + 1] for k in (a, a + 1))
    return np.asarray((1.0 - x) * low + x * high)


def _training_days(scenario: PlannedScenario) -> NDArray[np.int64]:
    """Days of the training split, some of them; those that episodes begin on where there is no split."""
    try:
        days = np.asarray(scenario.profiles.split_days("train"), dtype=np.int64)
    except ValueError:
        days = np.unique(scenario.starts // scenario.calendar.steps_per_day)
    last = scenario.calendar.n_steps // scenario.calendar.steps_per_day
    return days[days < last][::_EVERY]
