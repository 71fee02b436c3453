"""What all local reactive-power controls share: columns to read and write, setpoints, damping.

**Time and hunting.** A real inverter follows its curve within seconds (open-loop response time 5 s for
Category B, 10 s for Category A, at most 90 s, IEEE 1547-2018 Table 8), so within a step of 15 minutes it
*settles* where `Q = curve(V(Q))`. A policy sees the voltage once a step, solved with the Q of the step
before; applying the curve to it undamped is a fixed-point iteration with loop gain g = |dQ/dV| dV/dQ, which
hunts (over, under, over) for g > 1 on long feeders with much PV. Going only the fraction `step_response` of
the way each step has the same resting point and settles for every g < 2 / step_response - 1: for 0.5, three
times the gain. The lag of the standard itself would not do: 1 - exp(-2.303 * 900 s / 5 s) is 1 to double
precision. `step_response=1` switches the damping off.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, n_rows, scenario_of
from .columns import Shown, mean_of

#: Share of the way from the last setpoint to the curve's that is gone in one step (see the text above).
STEP_RESPONSE = 0.5


@dataclass(frozen=True, eq=False)
class Inverters:
    """The PV units of an environment whose reactive power can be set; arrays are (n_units,)."""

    names: tuple[str, ...]
    p_mw: FloatArray  # installed active power
    s_mva: FloatArray  # apparent power of the inverter
    q_max_mvar: FloatArray  # reactive power at action +1
    v_columns: tuple[tuple[int, ...], ...]  # of the observation: voltages at each unit, pu
    p_column: NDArray[np.int64]  # column of the observation: available active power as it is shown, MW
    q_action: NDArray[np.int64]  # column of the action


def find_inverters(env: AnyEnv) -> Inverters:
    """Collect the PV units with a "q" action. RunError when the environment has none."""
    scenario = scenario_of(env)
    units = [u for u in scenario.fleet.units("pv") if u.action_q is not None and u.q_max_mvar > 0.0]
    if not units:
        raise RunError(
            "this environment has no PV unit whose reactive power can be set; "
            'give it PV(..., controls="q") or choose another policy'
        )
    shown = Shown(scenario, "a rule for inverters")
    return Inverters(
        names=tuple(u.name for u in units),
        p_mw=np.array([u.p_mw for u in units], dtype=np.float64),
        s_mva=np.array([u.s_mva for u in units], dtype=np.float64),
        q_max_mvar=np.array([u.q_max_mvar for u in units], dtype=np.float64),
        v_columns=tuple(shown.columns("v_pu", u.bus, u.phase) for u in units),
        p_column=np.array([u.observation["p_avail_mw"] for u in units], dtype=np.int64),
        q_action=np.array([u.action_q for u in units], dtype=np.int64),
    )


def circle_headroom_mvar(p_mw: FloatArray, s_mva: FloatArray, q_max_mvar: FloatArray) -> FloatArray:
    """Largest |Q| at `p_mw`: inside the circle of radius `s_mva`, never above `q_max_mvar`; MVAr."""
    return np.minimum(q_max_mvar, np.sqrt(np.maximum(s_mva**2 - p_mw**2, 0.0)))


def low_power_share(p_pu: FloatArray) -> FloatArray:
    """Share of the reactive capability that IEEE Std 1547-2018 asks for, at a share of the rated power.

    All from 0.2 on, in proportion below it, none below 0.05: at night such an inverter gives none.
    """
    return np.where(p_pu < 0.05, 0.0, np.minimum(p_pu / 0.2, 1.0))


class InverterPolicy(Policy):
    """Sets the reactive power of each PV unit from what it measures itself; other actions stay neutral.

    A subclass says what Q it wants (`target_mvar`) and how much it may use (`limit_mvar`).
    """

    transient: tuple[str, ...] = ("_q_mvar",)
    plays_batches = True

    def __init__(self, env: AnyEnv, *, name: str, step_response: float = STEP_RESPONSE) -> None:
        """Find the inverters of `env`. `step_response`: in (0, 1], 1 follows the curve without damping."""
        if not 0.0 < step_response <= 1.0:
            raise RunError(f"step_response must be in (0, 1], got {step_response!r}")
        self.name = name
        self.step_response = float(step_response)
        self.inverters = find_inverters(env)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        self._q_mvar = np.zeros((0, len(self.inverters.names)))  # (rows, n_units) setpoints of the last step

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """The damping; subclasses add their curve."""
        return {"step_response": self.step_response}

    @abstractmethod
    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """Wanted Q (rows, n_units), MVAr, positive when injecting. `p_mw`: available power."""

    def limit_mvar(self, p_mw: FloatArray) -> FloatArray:
        """Largest |Q| this policy asks for at `p_mw` (rows, n_units), MVAr."""
        return np.broadcast_to(self.inverters.q_max_mvar, p_mw.shape)

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Every row starts at Q = 0, with which the first voltage was solved."""
        rows = n_rows(obs)
        self._q_mvar = np.zeros((rows, len(self.inverters.names)))

    def restart(self, rows: NDArray[np.bool_]) -> None:
        """Q = 0 in `rows`."""
        self._q_mvar[rows] = 0.0

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Move each setpoint towards the curve's value at the voltage observed."""
        batch, single = self._observations.batch(obs)
        if batch.shape[0] != self._q_mvar.shape[0]:
            raise RunError(
                f"{self.name}: reset() saw {self._q_mvar.shape[0]} rows, act() got {batch.shape[0]}; "
                "call reset() first"
            )
        units = self.inverters
        p_mw = np.clip(batch[:, units.p_column], 0.0, None)
        target = self.target_mvar(mean_of(batch, units.v_columns), p_mw)
        limit = np.minimum(self.limit_mvar(p_mw), units.q_max_mvar)
        moved = self._q_mvar + self.step_response * (target - self._q_mvar)
        # The limit binds last: power may have risen since the setpoint that is being left.
        self._q_mvar = np.clip(moved, -limit, limit)
        action = self._actions.neutral(batch.shape[0])
        action[:, units.q_action] = self._q_mvar / units.q_max_mvar
        return self._actions.coded(action, single)
