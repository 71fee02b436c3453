"""Model predictive control per phase: a plan on the power flow itself, made again and again."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...envs.core.planning import Window
from ..policy import AnyEnv, FloatArray, scenario_of
from .mpc import Rolling, known
from .phase_day.fleet import is_momentary
from .phase_day.plan import check_phase_day
from .phase_day.window import PhaseSchedule, decided_now, phase_schedule
from .rolling.schedule import times_of

_AHEAD_H, _MOMENTARY_H = 24.0, 6.0  # planned where devices carry energy on; where they do not


class _OnPhases(Rolling[PhaseSchedule]):
    """Plans are those of `phase_day`: the best that a search on the power flow finds.

    Where devices carry energy from one interval to the next, they are planned in steps of an hour, as by the
    balanced `mpc`, and each interval by itself then decides reactive power and how much sun and wind feed in.
    """

    margin_pu = 0.0

    def __init__(self, env: AnyEnv, horizon_h: float | None = None, every_h: float = 1.0) -> None:
        """Look at feeder, fleet and reward.

        Args:
            env: Single or vector, per phase.
            horizon_h: Hours that are planned. None: a day where devices carry energy on, else six.
            every_h: Hours of a plan that are played before the next is made.

        Raises:
            RunError: a balanced feeder, a device or a term of the reward that is not covered; numbers that
                make no plan.
        """
        self._apart = is_momentary(scenario_of(env))
        ahead_h = max(_MOMENTARY_H, every_h) if self._apart else _AHEAD_H
        super().__init__(env, ahead_h if horizon_h is None else horizon_h, every_h)
        self._times = 1 if self._apart else math.gcd(times_of(self._scenario), self._every, self._horizon)

    def _check(self) -> None:
        check_phase_day(self._scenario)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Beside horizon and interval of planning, in intervals: how many are planned as one, the margin."""
        return {**super().config(), "times": self._times, "margin_pu": self.margin_pu}

    def _window(self, row: int, horizon: int) -> Window:
        """What is planned for."""
        return self._scenario.window(horizon=horizon, row=row)

    def _planned(self, row: int, horizon: int) -> PhaseSchedule:
        return phase_schedule(self._scenario, self._window(row, horizon), self._times, self.margin_pu)

    def _decided(self, row: int, plan: PhaseSchedule, at: int) -> FloatArray:
        if self._apart:
            return plan.actions[at].copy()
        window = self._window(row, 1)
        action = decided_now(self._scenario, window, plan, at // self._times, self.margin_pu)
        return self._as_known(action, window)

    def _as_known(self, action: FloatArray, window: Window) -> FloatArray:
        """With what is done about devices that the plan could not know; ``window`` is the interval."""
        return action


class PerfectForesightPerPhase(_OnPhases):
    """Rolling horizon with the true loads, sun, prices and cars to come."""

    name = "mpc-perfect"


class OnForecastsPerPhase(_OnPhases):
    """Rolling horizon on what is forecast now; of cars it knows those that are there.

    Voltages are kept a little within the band, as forecasts err.
    """

    name = "mpc"
    margin_pu = 0.002

    def _window(self, row: int, horizon: int) -> Window:
        return known(self._scenario, row, horizon)

    def _as_known(self, action: FloatArray, window: Window) -> FloatArray:
        return self._surprised(action, window)
