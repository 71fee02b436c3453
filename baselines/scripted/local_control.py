"""Regulators and capacitor banks under their own relays: what a feeder does without any central control.

Each relay sees what it measures at its place (the last solved interval), waits its delay in seconds, and
acts. An interval is much longer than these delays, and within it nobody solves again. So per interval only
the relays with the shortest delay act, 70 % of the way, as in OpenDSS's static control mode
(`physics.settle_controls`): at constant load the taps go, interval by interval, the same way to the same
end. Relays that wait longer than an interval (or slow tap drives) take as many intervals as their seconds
say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.core.planning import PlannedScenario
from ...physics.controls.queue import ControlQueue
from ...physics.controls.settings import LocalControls, local_controls
from ..errors import RunError
from ..policy import Action, AnyEnv, Policy, RuleActions, RuleObservations, n_rows, scenario_of

ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Voltages (rows, n_bus, 3) in pu, power into the from and the to end of branches (rows, n_branch, 3) in MVA.
State = tuple[ComplexArray, ComplexArray, ComplexArray]
Measure = Callable[[NDArray[np.floating[Any]], Mapping[str, Any]], State]


class Relays:
    """The relays of many feeders alike, stepped by intervals; knows no environment."""

    def __init__(self, controls: LocalControls, rows: int, dt_h: float, *, in_order: bool = True) -> None:
        """``in_order=False``: every relay whose delay has passed acts at once and all the way: it hunts."""
        self.controls, self.dt_s, self.in_order = controls, 3600.0 * dt_h, in_order
        self.queue = ControlQueue(controls, rows)

    def decide(self, state: State, tap_pos: IntArray, cap_on: BoolArray) -> tuple[IntArray, BoolArray]:
        """Positions (rows, controls) and states (rows, n_capacitor) for the interval that begins now.

        ``state``: the interval that has just ended, for the whole of which the relays have seen it.
        """
        queue = self.queue
        queue.sample(self.controls.read(*state), tap_pos, cap_on)
        queue.wait(self.dt_s)
        taps, turns, banks = queue.due(in_time=True) if self.in_order else queue.elapsed()
        queue.turn(turns)
        moved = queue.move_taps(taps, tap_pos, at_once=self.in_order, in_time=True)
        return moved, queue.switch_banks(banks, cap_on)


class LocalControl(Policy):
    """Drives tap changers and capacitor banks as their relays would; every other device rests.

    Settings come from the feeder's tables. Banks without a control stay as they are; regulators that the
    agent does not drive stay where the environment has them.
    """

    def __init__(
        self,
        env: AnyEnv,
        *,
        measure: Measure | None = None,
        dt_h: float | None = None,
        in_order: bool = True,
        name: str = "local-control",
    ) -> None:
        """``measure``: the solved state from (obs, info), ``dt_h``: hours of a step, both for environments
        that do not show theirs.
        """
        self.name, self.in_order = name, in_order
        scenario = scenario_of(env)
        self._measure = _state_of(scenario) if measure is None else measure
        self.transient = ("_relays", "_measure") if measure is None else ("_relays",)
        self._dt_h = float(scenario.calendar.dt_h if dt_h is None else dt_h)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        every = local_controls(scenario.network)
        driven = {kind: _driven(scenario, kind) for kind in ("tap_changer", "capacitor_bank")}
        if not any(columns.rows.size for columns in driven.values()):
            raise RunError(
                "this environment has no TapChanger or CapacitorBank to control; add them to its resources, "
                "or choose another policy"
            )
        self._taps, self._banks = driven["tap_changer"], driven["capacitor_bank"]
        watched = np.flatnonzero(np.isin(every.banks.cap_row, self._banks.rows))
        self._controls = every.only(self._taps.rows, watched)
        self._cap_on = np.asarray(scenario.network.cap_on, dtype=bool)
        self._relays = Relays(self._controls, 0, self._dt_h, in_order=in_order)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Whether delays decide who acts."""
        return {"in_order": self.in_order}

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nobody is waiting."""
        rows = n_rows(obs)
        self._relays = Relays(self._controls, rows, self._dt_h, in_order=self.in_order)

    def restart(self, rows: BoolArray) -> None:
        """Disarm the relays of ``rows``."""
        self._relays.queue.restart(rows)

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Positions that the relays move to, as actions."""
        batch, single = self._observations.batch(obs)
        state = self._measure(obs, info)
        rows = self._relays.queue.turned.shape[0]
        if not batch.shape[0] == rows == state[0].shape[0]:
            raise RunError(
                f"{self.name}: reset() saw {rows} rows, act() got {batch.shape[0]}, measured "
                f"{state[0].shape[0]}; call reset() first"
            )
        cap_on = np.repeat(self._cap_on[None], rows, axis=0)
        cap_on[:, self._banks.rows] = self._banks.read(batch) > 0.5
        taps, banks = self._relays.decide(state, self._taps.read(batch), cap_on)
        action = self._actions.neutral(rows)
        action[:, self._taps.action] = self._taps.scaled(taps)
        action[:, self._banks.action] = self._banks.scaled(banks[:, self._banks.rows])
        return self._actions.coded(action, single)


class _Driven:
    """Units of one kind: rows of the feeder's table, columns of observation and action, ranges."""

    def __init__(self, rows: list[int], observed: list[int], action: list[int], ends: list[Any]) -> None:
        self.rows, self.observed, self.action = (
            np.array(a, dtype=np.int64) for a in (rows, observed, action)
        )
        self.low, self.high = np.array(ends, dtype=np.float64).reshape(-1, 2).T

    def read(self, obs: NDArray[np.float64]) -> IntArray:
        """Positions now."""
        return np.rint(obs[:, self.observed]).astype(np.int64)

    def scaled(self, position: NDArray[Any]) -> NDArray[np.float32]:
        """Positions as actions in [-1, 1]."""
        return (2.0 * (position - self.low) / (self.high - self.low) - 1.0).astype(np.float32)


def _driven(scenario: PlannedScenario, kind: str) -> _Driven:
    columns = {(dim.resource_name, dim.quantity): dim.index for dim in scenario.action_layout}
    observed = {unit.name: unit.observation for unit in scenario.fleet.units(kind)}
    rows, seen, action, ends = [], [], [], []
    for device in scenario.fleet.switched_devices:
        if device.kind == kind:
            for k, name in enumerate(device.names):
                rows.append(int(device.rows[k]))
                seen.append(observed[name][device.quantity])
                action.append(columns[name, device.quantity])
                ends.append((device.low[k], device.high[k]))
    return _Driven(rows, seen, action, ends)


def _state_of(scenario: PlannedScenario) -> Measure:
    """Reads the power flow of a single per-phase environment."""
    if not scenario.has_solution:
        raise RunError(
            "local-control reads the solved three-phase state of a DistGrid3PhaseEnv; for any other "
            "environment pass measure=, a function of (obs, info)"
        )

    def measure(_obs: NDArray[np.floating[Any]], _info: Mapping[str, Any]) -> State:
        solved = scenario.solution()
        s_from = solved.p_from_mw + 1j * solved.q_from_mvar
        return solved.v, s_from, solved.p_to_mw + 1j * solved.q_to_mvar

    return measure
