"""Model predictive control: the relaxation's plan of the next hours, made again as time goes on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.core.planning import PlannedScenario, Window
from ...envs.resources.ev import EV
from ...envs.resources.outlook import Outlook
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of
from .conic import clarabel
from .day import check_covered, plan_window

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class _Rolling(Policy):
    """Plans a window from now on, plays its first intervals, and plans anew (rolling horizon).

    What storage holds is settled at the end of each window as if the episode ended there; a window ends with
    the episode at the latest. It must be played on the environment that it was made for, whose rows it looks
    at.
    """

    transient = ("_plan", "_at", "_step", "_new")

    def __init__(
        self, env: AnyEnv, horizon_h: float = 12.0, every_h: float = 1.0, margin_pu: float = 0.0
    ) -> None:
        """Look at feeder, fleet and reward.

        Args:
            env: Single or vector.
            horizon_h: Hours that are planned; the rest of the episode where that is shorter.
            every_h: Hours of a plan that are played before the next is made; an interval at least.
            margin_pu: By how much plans keep within the band of the task at either end.

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
        check_covered(self._scenario)
        self._margin_pu = margin_pu
        dt_h = self._scenario.calendar.dt_h
        self._horizon, self._every = (max(round(hours / dt_h), 1) for hours in (horizon_h, every_h))
        self._actions, self._observations = RuleActions(env), RuleObservations(env)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Horizon, and after how long a plan is made anew; in intervals."""
        return {"horizon": self._horizon, "every": self._every, "margin_pu": self._margin_pu}

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Forget the plans."""
        rows = self._observations.batch(obs)[0].shape[0]
        self._plan: list[FloatArray] = [np.empty((0, 0))] * rows
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
                window = self._window(self._scenario, min(self._horizon, left), row)
                self._plan[row] = self._corrected(
                    plan_window(self._scenario, window, self._margin_pu), window
                )
            self._at[row] = 0
        self._new[:] = False
        action = self._actions.neutral(len(batch))
        for row, plan in enumerate(self._plan):
            if self._at[row] < len(plan):
                action[row] = plan[self._at[row]]
        self._at += 1
        self._step += 1
        return self._actions.coded(action, single)

    def _corrected(self, plan: FloatArray, window: Window) -> FloatArray:
        """What is played of a plan."""
        return plan

    @abstractmethod
    def _window(self, scenario: PlannedScenario, horizon: int, row: int) -> Window:
        """What the row knows of its next intervals."""


class PerfectForesight(_Rolling):
    """Rolling horizon with the true loads, sun, prices and cars to come."""

    name = "mpc-perfect"

    def _window(self, scenario: PlannedScenario, horizon: int, row: int) -> Window:
        return scenario.window(horizon=horizon, row=row)


class OnForecasts(_Rolling):
    """Rolling horizon with what the environment's forecaster says now, as its observation shows it.

    At the level "oracle" without a forecaster forecasts are the truth; at others they err as those of weather
    services do. Of cars it knows those that are there, with their departure and their need; the next ones
    come as a surprise, and charge at once until a plan knows of them.
    """

    name = "mpc"

    def __init__(
        self, env: AnyEnv, horizon_h: float = 12.0, every_h: float = 1.0, margin_pu: float = 0.01
    ) -> None:
        """As `PerfectForesight`, with a margin for what forecasts do not know."""
        super().__init__(env, horizon_h, every_h, margin_pu)

    def _window(self, scenario: PlannedScenario, horizon: int, row: int) -> Window:
        window = scenario.window(horizon=horizon, row=row, forecast=scenario.forecasts)
        return replace(window, outlooks={kind: present(told) for kind, told in window.outlooks.items()})

    def _corrected(self, plan: FloatArray, window: Window) -> FloatArray:
        units = {unit.name: unit for unit in self._scenario.units}
        for outlook in window.outlooks.values():
            if outlook.units and units[outlook.units[0]].kind != EV.kind:
                continue
            for name, there in zip(outlook.units, occupied(outlook).T, strict=True):
                column = units[name].action_p
                if column is not None:
                    plan[~there, column] = self._actions.neutral_action[column]
        return plan


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
