"""Batteries without learning: by the energy price, against the peak, and after a dispatch signal.

What these rules read they find by name in the layout of the observation. They bring the batteries back to
the energy with which the episode began before it ends, as tasks settle what is missing; other devices rest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.core.planning import PlannedScenario
from ...envs.resources.battery import BatteryProgram
from ...envs.resources.pv import PVProgram
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of
from .charging import mean_day, train_days

_USED, _LOSS_SHARE = 0.8, 0.04  # of the batteries' energy; of the load
_BELOW = 0.9  # of the peak so far
_BACK_BY_H = 0.5  # before the end of the episode
_BAND, _NEAR_PU = (0.95, 1.05), 0.02  # voltages, and how near to a limit power is held back


@dataclass(frozen=True, eq=False)
class Batteries:
    """The batteries of an environment; arrays are (n_units,)."""

    p_mw: FloatArray
    energy_mwh: FloatArray
    eta_charge: FloatArray
    eta_discharge: FloatArray
    soc: NDArray[np.int64]  # columns of the observation
    action: NDArray[np.int64]  # column of the action
    unit: NDArray[np.int64]  # place among the units, as in info["delivered"]


def find_batteries(env: AnyEnv) -> Batteries:
    """Collect the batteries whose power can be set. RunError when the environment has none."""
    fleet = scenario_of(env).fleet
    every = fleet.units("battery")
    programs = [program for program in fleet.programs if isinstance(program, BatteryProgram)]
    kept = [k for k, unit in enumerate(every) if unit.action_p is not None]
    if not kept or not programs:
        raise RunError(
            "this environment has no battery to charge; add Battery(...) to its resources, or choose another "
            "policy"
        )
    eta = (
        np.concatenate([program.eta_charge for program in programs])[kept],
        np.concatenate([program.eta_discharge for program in programs])[kept],
    )
    units = [every[k] for k in kept]
    return Batteries(
        np.array([u.p_mw for u in units]), np.array([u.energy_mwh for u in units], dtype=np.float64), *eta,
        *(np.array(column, dtype=np.int64) for column in (
            [u.observation["soc"] for u in units], [u.action_p for u in units], [u.index for u in units]
        )),
    )  # fmt: skip


class StorageRule(Policy):
    """Base of the rules: a subclass says the power in MW that all batteries together should give.

    It is shared by rated power. From where the energy that is missing or spare takes the rest of the episode
    at half of the rated power, batteries go back to their beginning. Near the limits of voltage, as far as it
    is observed, less is charged (low) and discharged (high).
    """

    plays_batches = True
    transient = ("_level_mw",)
    #: Blocks that the rule reads, beside those of the batteries.
    reads: tuple[str, ...] = ()

    def __init__(self, env: AnyEnv) -> None:
        """Find batteries and columns. RunError where there is no battery, or a block is not observed."""
        self._batteries = find_batteries(env)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        scenario = scenario_of(env)
        layout = scenario.layout
        wanted = ("episode_left", "energy_balance_mwh", *self.reads)
        missing = [name for name in wanted if name not in layout]
        if missing:
            raise RunError(
                f"{self.name} reads {', '.join(missing)}, which this environment does not show: choose one "
                "whose task settles storage, such as DERDispatch, or another policy"
            )
        self._at = {name: layout[name].start for name in wanted}
        self._hours = scenario.episode_steps * scenario.calendar.dt_h
        self._n_units = len(scenario.fleet.units())
        self._v_pu = _moved_voltages(scenario)

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing to forget."""

    @abstractmethod
    def power_mw(self, obs: FloatArray, last_mw: FloatArray) -> FloatArray:
        """(rows,) MW that the batteries should give, below 0 to charge, where they gave ``last_mw`` last."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The same for each row of `obs`."""
        batch, single = self._observations.batch(obs)
        units = self._batteries
        delivered = np.asarray(info["delivered"]["p_mw"], dtype=np.float64).reshape(-1, self._n_units)
        rated = float(units.p_mw.sum())
        wanted = np.clip(self.power_mw(batch, delivered[:, units.unit].sum(axis=1)), -rated, rated)
        wanted = self._held_back(batch, np.where(self._late(batch), self._back_mw(batch), wanted))
        action = self._actions.neutral(batch.shape[0])
        action[:, units.action] = (wanted / rated)[:, None]
        return self._actions.coded(action, single)

    def _held_back(self, obs: FloatArray, wanted: FloatArray) -> FloatArray:
        """(rows,) MW that voltages leave of what is wanted."""
        v_pu = obs[:, self._v_pu]
        v_pu = np.where(v_pu > 0.0, v_pu, 1.0)  # dead nodes are observed as 0
        low, high = v_pu.min(axis=1, initial=1.0), v_pu.max(axis=1, initial=1.0)
        charge = np.clip((low - _BAND[0]) / _NEAR_PU, 0.0, 1.0)
        discharge = np.clip((_BAND[1] - high) / _NEAR_PU, 0.0, 1.0)
        return wanted * np.where(wanted < 0.0, charge, discharge)

    def _left_h(self, obs: FloatArray) -> FloatArray:
        """(rows,) hours in which the batteries may go back, at least a hundredth."""
        left = obs[:, self._at["episode_left"]] * self._hours - _BACK_BY_H
        return np.maximum(left, 0.01)

    def _back_mw(self, obs: FloatArray) -> FloatArray:
        """(rows,) steady power that brings the batteries back to their beginning."""
        more = obs[:, self._at["energy_balance_mwh"]]
        units = self._batteries
        terminal = np.where(more > 0.0, more * units.eta_discharge.mean(), more / units.eta_charge.mean())
        rated = float(units.p_mw.sum())
        return np.clip(terminal / self._left_h(obs), -rated, rated)

    def _late(self, obs: FloatArray) -> NDArray[np.bool_]:
        """(rows,) whether going back takes half of the rated power from now on, or more."""
        soon = obs[:, self._at["episode_left"]] * self._hours <= _BACK_BY_H + 1e-6
        return soon | (np.abs(self._back_mw(obs)) >= 0.5 * float(self._batteries.p_mw.sum()))


class BatteryPrice(StorageRule):
    """Charges while energy is cheap and discharges while it is dear, against the day's own prices.

    Day-ahead prices are known for the whole day: with the highest and the lowest of the episode, the lowest
    `low_share` of the range between them charges and the highest `high_share` of it discharges.
    """

    name = "battery-price"
    reads = ("price_usd_mwh", "settlement_price_usd_mwh")

    def __init__(self, env: AnyEnv, low_share: float = 0.15, high_share: float = 0.5) -> None:
        """`low_share`, `high_share`: in [0, 1]."""
        super().__init__(env)
        self.low_share, self.high_share = float(low_share), float(high_share)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Both shares."""
        return {"low_share": self.low_share, "high_share": self.high_share}

    def power_mw(self, obs: FloatArray, last_mw: FloatArray) -> FloatArray:
        """All rated power, or none."""
        first = self._at["settlement_price_usd_mwh"]
        now, high, low = obs[:, self._at["price_usd_mwh"]], obs[:, first], obs[:, first + 1]
        rated, room = float(self._batteries.p_mw.sum()), high - low
        dear, cheap = now >= high - self.high_share * room, now <= low + self.low_share * room
        return np.where(room <= 0.0, 0.0, np.where(dear, rated, np.where(cheap, -rated, 0.0)))


class PeakShave(StorageRule):
    """Holds the import at the head at a level: what is above it is discharged, what is free below it charges.

    The level is that to which the batteries can cut the usual day, or nine tenths of the peak of the episode
    so far, where that is higher. The usual day is the mean of the `alike` training days that are nearest in
    the year: loads with a share for losses, less what the sun gave the plants. Batteries charge while the
    import is below `charge_share` of the level.
    """

    name = "peak-shave"
    reads = ("p_slack_mw", "peak_import_mw")

    def __init__(self, env: AnyEnv, charge_share: float = 0.9, alike: int = 15) -> None:
        """`charge_share`: in [0, 1]; `alike`: number of days."""
        super().__init__(env)
        self.charge_share, self.alike = float(charge_share), int(alike)
        scenario = scenario_of(env)
        units = self._batteries
        energy = _USED * float((units.energy_mwh * units.eta_discharge).sum()) / scenario.calendar.dt_h
        self._steps_per_day = scenario.calendar.steps_per_day
        usual = _usual_days(scenario, self.alike)
        self._levels = np.array([_shaved(day, energy, float(units.p_mw.sum())) for day in usual])
        self._level_mw = np.zeros(0)

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Share and number of days."""
        return {"charge_share": self.charge_share, "alike": self.alike}

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The level is that of the day of `info["t_index"]`."""
        day = np.atleast_1d(np.asarray(info["t_index"], dtype=np.int64)) // self._steps_per_day
        self._level_mw = self._levels[day % self._levels.size]
        return super().act(obs, info)

    def power_mw(self, obs: FloatArray, last_mw: FloatArray) -> FloatArray:
        """What the head would draw without batteries, less the level."""
        without = obs[:, self._at["p_slack_mw"]] + last_mw
        level = np.maximum(self._level_mw, _BELOW * obs[:, self._at["peak_import_mw"]])
        charge = np.minimum(without - self.charge_share * level, 0.0)
        return np.where(without > level, without - level, charge)


class SelfConsumption(StorageRule):
    """Takes up what the feeder would feed back, and covers what it would draw with that afterwards.

    Batteries discharge no more than they have taken up since the episode began: energy that was there at its
    beginning stays.
    """

    name = "self-consumption"
    reads = ("p_slack_mw",)

    def power_mw(self, obs: FloatArray, last_mw: FloatArray) -> FloatArray:
        """What the head drew without batteries in the last interval; below 0 where it fed back."""
        without = obs[:, self._at["p_slack_mw"]] + last_mw
        spare = obs[:, self._at["energy_balance_mwh"]]  # more in store than at the beginning
        return np.where((without > 0.0) & (spare <= 0.0), 0.0, without)


class TrackSetpoint(StorageRule):
    """Gives what the head drew without batteries in the last interval, less the setpoint of this one."""

    name = "track-setpoint"
    reads = ("p_slack_mw", "setpoint_mw")

    def power_mw(self, obs: FloatArray, last_mw: FloatArray) -> FloatArray:
        """The whole deviation: a proportional controller with feed-forward of the setpoint."""
        return obs[:, self._at["p_slack_mw"]] + last_mw - obs[:, self._at["setpoint_mw"]]


def _moved_voltages(scenario: PlannedScenario) -> NDArray[np.int64]:
    """Columns of observed voltages that batteries can move: of all buses but those that a source holds."""
    held_bus = set(scenario.feeder.sources["node_id"].to_pylist())
    rows = scenario.layout.describe()[scenario.layout.get("v_pu", slice(0, 0))]
    return np.array([row.index for row in rows if row.bus not in held_bus], dtype=np.int64)


def _usual_days(scenario: PlannedScenario, alike: int) -> FloatArray:
    """(days, steps of a day) of MW at the head without batteries, as is usual at that time of the year."""
    load, profiles = scenario.load, scenario.profiles
    train = train_days(load, profiles)
    seen = np.array([mean_day(load, train[k : k + 1]) for k in range(train.size)]) * (1.0 + _LOSS_SHARE)
    steps = seen.shape[1]
    for plants in scenario.fleet.programs:
        if isinstance(plants, PVProgram):
            sun = np.asarray(profiles.pv, dtype=np.float64)[:, plants.site] @ plants.rated_p_mw
            seen -= sun[(train[:, None] * steps + np.arange(steps)) % sun.size]
    year = load.calendar.n_steps // steps
    apart = np.abs(np.arange(year)[:, None] - train)
    nearest = np.argsort(np.minimum(apart, year - apart), axis=1, kind="stable")[:, :alike]
    return np.asarray(seen[nearest].mean(axis=1))


def _shaved(day: FloatArray, energy: float, power: float) -> float:
    """The level to which a store cuts ``day``: no more than ``power`` anywhere and ``energy`` in all."""
    low, high = float(day.max()) - power, float(day.max())
    for _ in range(50):
        level = 0.5 * (low + high)
        taken = np.maximum(day - level, 0.0).sum()
        low, high = (level, high) if taken > energy else (low, level)
    return high
