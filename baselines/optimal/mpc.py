"""Model predictive control: the relaxation's plan of the next hours, made again as time goes on."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ...envs.core.forecasts import Forecasts
from ...envs.core.planning import PlannedScenario, Window
from ...envs.resources.ev import EV
from ...envs.resources.outlook import Outlook
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of
from .conic import clarabel
from .day import check_covered, plan_window
from .rolling.caution import EXPECTED, Caution, Errors
from .rolling.interval import IntervalDispatch
from .rolling.schedule import Schedule, scheduled, times_of

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Plan = TypeVar("Plan")


class Rolling(Policy, Generic[Plan]):
    """Plans a window from now on, plays its first intervals, and plans anew (rolling horizon).

    What storage holds is settled at the end of each window as if the episode ended there; a window ends with
    the episode at the latest. It must be played on the environment that it was made for, whose rows it looks
    at.
    """

    transient = ("_plan", "_at", "_step", "_new")

    def __init__(self, env: AnyEnv, horizon_h: float = 12.0, every_h: float = 1.0) -> None:
        """Look at feeder, fleet and reward.

        Args:
            env: Single or vector.
            horizon_h: Hours that are planned; the rest of the episode where that is shorter.
            every_h: Hours of a plan that are played before the next is made; an interval at least.

        Raises:
            RunError: what the relaxation does not cover, by name; numbers that make no plan.
        """
        clarabel()
        for name, value in (("horizon_h", horizon_h), ("every_h", every_h)):
            if not 0.0 < value < np.inf:
                raise RunError(f"{self.name}: {name} must be above 0 and finite, got {value!r}")
        if every_h > horizon_h:
            raise RunError(
                f"{self.name}: every_h {every_h:g} is above horizon_h {horizon_h:g}: plans would have ended"
            )
        self._scenario = scenario_of(env)
        self._check()
        dt_h = self._scenario.calendar.dt_h
        self._horizon, self._every = (max(round(hours / dt_h), 1) for hours in (horizon_h, every_h))
        self._actions, self._observations = RuleActions(env), RuleObservations(env)

    def _check(self) -> None:
        """RunError for what no plan covers."""
        check_covered(self._scenario)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Horizon, and after how long a plan is made anew; in intervals."""
        return {"horizon": self._horizon, "every": self._every}

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Forget the plans."""
        rows = self._observations.batch(obs)[0].shape[0]
        self._plan: list[Plan | None] = [None] * rows
        self._at: IntArray = np.zeros(rows, dtype=np.int64)
        self._step: IntArray = np.zeros(rows, dtype=np.int64)
        self._new: BoolArray = np.ones(rows, dtype=np.bool_)

    def restart(self, rows: BoolArray) -> None:
        """These rows begin another episode."""
        self._new |= rows

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The next action of each row's plan, which is made where it is due."""
        batch, single = self._observations.batch(obs)
        self._step[self._new] = 0
        for row in np.flatnonzero(self._new | (self._at == self._every)).tolist():
            left = self._scenario.episode_steps - int(self._step[row])
            if left > 0:  # a row whose episode is over waits for its reset
                self._plan[row] = self._planned(row, min(self._horizon, left))
            self._at[row] = 0
        self._new[:] = False
        action = self._actions.neutral(len(batch))
        for row, plan in enumerate(self._plan):
            if plan is not None and self._step[row] < self._scenario.episode_steps:
                action[row] = self._decided(row, plan, int(self._at[row]))
        self._at += 1
        self._step += 1
        return self._actions.coded(action, single)

    def _surprised(self, action: FloatArray, window: Window) -> FloatArray:
        """With the neutral action of cars that no plan knew of; ``window`` begins with the interval."""
        units = {unit.name: unit for unit in self._scenario.units}
        for outlook in window.outlooks.values():
            if not outlook.units or units[outlook.units[0]].kind != EV.kind:
                continue
            for name, there in zip(outlook.units, occupied(outlook)[0], strict=True):
                column = units[name].action_p
                if column is not None and not there:
                    action[column] = self._actions.neutral_action[column]
        return action

    @abstractmethod
    def _planned(self, row: int, horizon: int) -> Plan:
        """The plan of a row's next intervals."""

    @abstractmethod
    def _decided(self, row: int, plan: Plan, at: int) -> FloatArray:
        """(n_actions,) what is done in an interval of its plan."""


class PerfectForesight(Rolling[FloatArray]):
    """Rolling horizon with the true loads, sun, prices and cars to come: the relaxation's plan as it is."""

    name = "mpc-perfect"

    def _planned(self, row: int, horizon: int) -> FloatArray:
        return plan_window(self._scenario, self._scenario.window(horizon=horizon, row=row))

    def _decided(self, row: int, plan: FloatArray, at: int) -> FloatArray:
        return np.asarray(plan[at])


class OnForecasts(Rolling[Schedule]):
    """Two layers on what the environment's forecaster says now, as its observation shows it.

    A *schedule* of the next hours, in steps of an hour, says what storage, cars, loads, generators, taps and
    banks do. Each interval by itself then decides reactive power and how much sun and wind feed in, on what
    is known just before it, and keeps voltages so far within the band as that may be off (`Errors`).

    At the level "oracle" without a forecaster forecasts are the truth; at others they err as those of weather
    services do. Of cars it knows those that are there, with their departure and their need; the next ones
    come as a surprise, and charge at once until a plan knows of them.
    """

    name = "mpc"

    def __init__(
        self, env: AnyEnv, horizon_h: float = 24.0, every_h: float = 1.0, errors: Errors = EXPECTED
    ) -> None:
        """As `PerfectForesight`; ``errors``: by how much forecasts are taken to be off, where they err."""
        super().__init__(env, horizon_h, every_h)
        scenario = self._scenario
        forecasts = cast(Forecasts, scenario.forecasts)
        self._times = math.gcd(times_of(scenario), self._every, self._horizon)
        self._lead_h = 0.0 if forecasts.exact else scenario.calendar.dt_h
        self._errors = errors if forecasts.random else replace(errors, deviations=0.0)
        self._dispatch = IntervalDispatch(scenario, Caution(scenario, self._errors))

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Beside horizon and interval of planning, in intervals: what forecasts are taken to be off by."""
        errors = self._errors
        return {
            **super().config(), "load_std": errors.load.std, "load_hours": errors.load.hours,
            "pv_std": errors.pv.std, "pv_hours": errors.pv.hours, "wind_std": errors.wind.std,
            "wind_hours": errors.wind.hours, "deviations": errors.deviations, "least_pu": errors.least_pu,
        }  # fmt: skip

    def _planned(self, row: int, horizon: int) -> Schedule:
        return scheduled(self._scenario, self._window(row, horizon), self._times)

    def _decided(self, row: int, plan: Schedule, at: int) -> FloatArray:
        window = self._window(row, 1)
        action = self._dispatch.action(window, plan, at // self._times, self._lead_h)
        return self._surprised(action, window)

    def _window(self, row: int, horizon: int) -> Window:
        return known(self._scenario, row, horizon)


def known(scenario: PlannedScenario, row: int, horizon: int) -> Window:
    """What a row knows of its next intervals: forecasts, and the cars that are there."""
    window = scenario.window(horizon=horizon, row=row, forecast=scenario.forecasts)
    return replace(window, outlooks={kind: present(told) for kind, told in window.outlooks.items()})


def occupied(outlook: Outlook) -> BoolArray:
    """(horizon, n_units) whether a car is known to be there."""
    there = np.zeros(outlook.p_max_mw.shape, dtype=np.bool_)
    for stay in outlook.sessions:
        there[stay.first : stay.stop, stay.unit] = True
    return there


def present(outlook: Outlook) -> Outlook:
    """An outlook that knows of no car but those that are there when the window begins."""
    if not outlook.sessions:
        return outlook
    known = replace(outlook, sessions=tuple(stay for stay in outlook.sessions if stay.first == 0))
    there = occupied(known)
    low, high = (np.where(there, bound, 0.0) for bound in (outlook.p_min_mw, outlook.p_max_mw))
    return replace(known, p_min_mw=low, p_max_mw=high)
