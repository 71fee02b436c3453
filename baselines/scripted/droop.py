"""Volt-var droops that know the network: one slope for each inverter, fitted together on training days.

A droop of a standard is the same at every bus. Here the slopes are chosen together so that, with all
inverters at rest on their droops, the training intervals cost least in the reward of the task: those at the
end of a long branch answer more than those at its head. What each unit measures is still its own voltage
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ...envs.core.planning import PlannedScenario
from ..errors import RunError
from ..hosting.moments import loads_of_points
from ..policy import AnyEnv, FloatArray, scenario_of
from .inverters import InverterPolicy, Inverters

#: Reactive power over apparent power for each pu of voltage.
SLOPES = (0.0, 2.0, 5.0, 10.0, 20.0)
REFERENCES = (0.97, 0.985, 1.0, 1.015, 1.03)
_FACTORS = (0.0, 0.5, 1.0, 2.0, 3.0)
_SWEEPS, _INTERVALS = 2, 48
_ROUNDS, _DAMPING, _REST = 40, 0.3, 1e-4
_STEP_RESPONSE = 0.3
_LETTERS = "ABC"
_UNBALANCE = "unbalance_square"
_TERMS = {"loss_mw": 0.0, "voltage_deviation": 0.0, "voltage_violation_capped_pu": 0.0}


class OptimisedDroop(InverterPolicy):
    """Q = slope (reference - V), cut to what the inverter has; fitted when it is first asked."""

    transient = (*InverterPolicy.transient, "_fitted")

    def __init__(
        self,
        env: AnyEnv,
        *,
        seed: int = 0,
        name: str = "droop-optimised",
        step_response: float = _STEP_RESPONSE,
    ) -> None:
        """``seed``: of the intervals of training days that are drawn.

        Raises:
            RunError: nothing to control, or a task that rewards neither losses nor voltages.
        """
        super().__init__(env, name=name, step_response=step_response)
        self._scenario = scenario_of(env)
        if not any(_weights(self._scenario).values()):
            raise RunError(f"{name}: the task rewards neither losses nor voltages: nothing to fit")
        self._seed = seed
        self._fitted: tuple[FloatArray, float] | None = None

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Damping and seed."""
        return {**super().config(), "fit_seed": self._seed}

    @property
    def fitted(self) -> tuple[FloatArray, float]:
        """(n_units,) slopes in Mvar for each pu, and the reference in pu."""
        if self._fitted is None:
            self._fitted = _Fit(self._scenario, self.inverters, self._seed).run()
        return self._fitted

    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """The droop of each unit at its own voltage."""
        slope, reference = self.fitted
        return slope * (reference - v_pu)

    def limit_mvar(self, p_mw: FloatArray) -> FloatArray:
        """The circle, and what the environment allows."""
        return _most(self.inverters, p_mw)


def _weights(scenario: PlannedScenario) -> dict[str, float]:
    """Of the terms that a fit knows, as costs; 0 where the task has none."""
    found = {term.of.name: -term.weight for term in scenario.task.rewards if term.of.name in _TERMS}
    return {**_TERMS, **found}


def _most(units: Inverters, p_mw: FloatArray) -> FloatArray:
    return np.minimum(units.q_max_mvar, np.sqrt(np.maximum(units.s_mva**2 - p_mw**2, 0.0)))


class _Fit:
    """Training intervals with droops at rest, and what they cost."""

    def __init__(self, scenario: PlannedScenario, units: Inverters, seed: int) -> None:
        self.net: Any = scenario.network
        self.per_phase = isinstance(self.net, physics.Network3)
        self.units, self.n = units, len(units.names)
        steps = _training_steps(scenario, seed)
        p, q = (np.empty((steps.size, scenario.load.s_max_mva.size)) for _ in range(2))
        scenario.load.fill(steps, p, q)
        self.loads = loads_of_points(scenario.feeder, p, q)
        self.p_mw = self._offered(scenario, steps)
        self.most = _most(units, self.p_mw)
        known = {unit.name: unit for unit in scenario.fleet.units("pv")}
        self.row = [known[name].node_row for name in units.names]
        self.phases = [
            [_LETTERS.index(x) for x in known[name].phase if x in _LETTERS] for name in units.names
        ]
        self.settings = self._settings(scenario)
        self.band = scenario.task.v_band or (0.0, np.inf)
        self.weight = _weights(scenario)
        self.unbalance: tuple[float, float, float] | None = None  # weight, limit in %, most
        for term in scenario.task.rewards:
            if term.of.name == _UNBALANCE and self.per_phase:
                given = {**term.of.parameters, **dict(term.parameters)}
                self.unbalance = (-term.weight, float(given["limit_pct"]), float(given["most"]))

    def _settings(self, scenario: PlannedScenario) -> dict[str, FloatArray]:
        """Taps where days begin, as an argument of the power flow; of a balanced feeder as stored."""
        if not self.per_phase:
            return {}
        step = np.asarray(scenario.feeder.column("regulators", "tap_step_pu"), dtype=np.float64)
        tap = np.array(self.net.tap, dtype=np.float64)
        for device in scenario.fleet.switched_devices:
            if device.kind == "tap_changer":
                tap[device.rows] = 1.0 + device.start * step[device.rows]
        return {"tap": tap}

    def _offered(self, scenario: PlannedScenario, steps: NDArray[np.int64]) -> FloatArray:
        """(intervals, units) power of the sun."""
        found = np.zeros((steps.size, self.n))
        for k, step in enumerate(steps.tolist()):
            told = scenario.window(start=step, horizon=1).outlooks["pv"]
            given = dict(zip(told.units, told.p_max_mw[0].tolist(), strict=True))
            found[k] = [given[name] for name in self.units.names]
        return found

    def run(self) -> tuple[FloatArray, float]:
        """One slope over the apparent power for all, with a reference; then each unit for itself, in turn."""
        s = self.units.s_mva
        alike = [(slope * s, ref) for ref in REFERENCES for slope in SLOPES]
        best = alike[int(self.costs(alike).argmin())]
        for _ in range(_SWEEPS):
            for k in range(self.n):
                tried = [best]
                for slope in {best[0][k] * factor for factor in _FACTORS} | {2.0 * s[k], 10.0 * s[k]}:
                    changed = best[0].copy()
                    changed[k] = min(slope, SLOPES[-1] * s[k])
                    tried.append((changed, best[1]))
                best = tried[int(self.costs(tried).argmin())]
        return best

    def costs(self, tried: list[tuple[FloatArray, float]]) -> FloatArray:
        """(candidates,) mean over the intervals, with every droop at rest; inf where one finds none."""
        many, each = len(tried), len(self.p_mw)
        slope = np.repeat(np.array([one[0] for one in tried]), each, axis=0)
        reference = np.repeat([one[1] for one in tried], each)[:, None]
        p, most = (np.tile(part, (many, 1)) for part in (self.p_mw, self.most))
        loads: dict[str, Any] = {
            name: np.tile(part, (many, *([1] * (part.ndim - 1)))) for name, part in self.loads.items()
        }
        q = np.zeros_like(p)
        for _ in range(_ROUNDS):
            sol = physics.solve(self.net, **loads, p_inject_mw=self._placed(p), q_inject_mvar=self._placed(q))
            off = np.clip(slope * (reference - self._voltage(sol.v_pu)), -most, most) - q
            if np.abs(off / self.units.s_mva).max() < _REST:
                break
            q = q + _DAMPING * np.nan_to_num(off)
        restless = (np.abs(off / self.units.s_mva) > 0.02).any(axis=1)
        cost = np.where(restless | ~np.asarray(sol.converged), np.inf, self._cost(sol))
        return np.asarray(cost.reshape(many, each).mean(axis=1))

    def _cost(self, sol: Any) -> FloatArray:
        v = sol.v_pu.reshape(len(sol.v_pu), -1)
        low, high = self.band
        outside = np.nansum(np.maximum(low - v, 0.0) + np.maximum(v - high, 0.0), axis=1)
        square = np.nanmean(((v - 1.0) / 0.05) ** 2, axis=1)
        weight = self.weight
        cost = (
            weight["loss_mw"] * sol.p_loss_mw + weight["voltage_deviation"] * square
            + weight["voltage_violation_capped_pu"] * np.minimum(outside, 1.0)
        )  # fmt: skip
        if self.unbalance is not None:
            priced, limit, most = self.unbalance
            cost = cost + priced * np.nanmean(np.minimum(sol.vuf_pct / limit, most) ** 2, axis=1)
        return np.asarray(cost)

    def _placed(self, power: FloatArray) -> FloatArray:
        if not self.per_phase:
            at = np.zeros((len(power), self.net.n_bus))
            for k, row in enumerate(self.row):
                at[:, row] += power[:, k]
            return at
        at = np.zeros((len(power), self.net.n_bus, 3))
        for k, (row, phases) in enumerate(zip(self.row, self.phases, strict=True)):
            at[:, row, phases] += power[:, k, None] / len(phases)
        return at

    def _voltage(self, v_pu: FloatArray) -> FloatArray:
        if not self.per_phase:
            return np.asarray(v_pu[:, self.row])
        each = zip(self.row, self.phases, strict=True)
        return np.stack([v_pu[:, row, phases].mean(axis=1) for row, phases in each], axis=1)


def _training_steps(scenario: PlannedScenario, seed: int) -> NDArray[np.int64]:
    """Intervals of training days, drawn; of the days that episodes begin on where there is no split."""
    per_day = scenario.calendar.steps_per_day
    try:
        days = np.asarray(scenario.profiles.split_days("train"), dtype=np.int64)
    except ValueError:
        days = np.unique(scenario.starts // per_day)
    days = days[days < scenario.calendar.n_steps // per_day]
    rng = np.random.default_rng(seed)
    steps = rng.choice(days, _INTERVALS) * per_day + rng.integers(0, per_day, _INTERVALS)
    return np.asarray(np.sort(steps), dtype=np.int64)
