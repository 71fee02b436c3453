"""Charging of electric vehicles without learning: as soon as possible, and into the valleys of the load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import Profiles
from ...envs.blocks.time import steps_to_publication
from ...envs.core.load_source import LoadSource, ProfileLoad
from ...envs.resources.ev import EVProgram
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of

_SURELY = 1.0 + 1e-6  # so that what float32 rounds off an observation is not missing at departure
_HALVINGS = 40  # of the level that a plan fills up to: beyond what an observation can tell


@dataclass(frozen=True, eq=False)
class Stations:
    """The charging stations of an environment; arrays are (n_units,)."""

    p_mw: FloatArray
    v2g_mw: FloatArray
    eta_charge: FloatArray
    need: NDArray[np.int64]  # columns of the observation: MWh that the car still needs
    departure: NDArray[np.int64]  # hours until it leaves, 0 where no car is
    action: NDArray[np.int64]  # column of the action


def find_stations(env: AnyEnv) -> Stations:
    """Collect the charging stations. RunError when the environment has none."""
    fleet = scenario_of(env).fleet
    units = fleet.units("ev")
    if not units:
        raise RunError(
            "this environment has no EV to charge; add EV(...) to its resources, or choose another policy"
        )
    programs = [program for program in fleet.programs if isinstance(program, EVProgram)]
    p_mw, v2g_mw, eta_charge = (
        np.concatenate(column)
        for column in zip(*((p.rated_p_mw, p.v2g_mw, p.eta_charge) for p in programs), strict=True)
    )
    need, departure = (
        np.array([unit.observation[name] for unit in units], dtype=np.int64)
        for name in ("need_mwh", "departure_h")
    )
    action = np.array([unit.action_p for unit in units], dtype=np.int64)
    return Stations(p_mw, v2g_mw, eta_charge, need, departure, action)


def _now(who: str, info: Mapping[str, Any], rows: int) -> NDArray[np.int64]:
    """(rows,) the intervals that are decided; RunError where the info is of others than the observations."""
    now = np.atleast_1d(np.asarray(info["t_index"], dtype=np.int64))
    if now.size != rows:
        raise RunError(f"{who}: {rows} observations, but an info of {now.size} rows")
    return now


class ChargeAsSoonAsPossible(Policy):
    """Every car at full power from its arrival until it has what it needs; other devices rest."""

    name = "ev-asap"
    plays_batches = True

    def __init__(self, env: AnyEnv) -> None:
        """Find the stations. RunError when there are none."""
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        self._stations = find_stations(env)

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing to forget."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The same for each row of `obs`."""
        batch, single = self._observations.batch(obs)
        action = self._actions.neutral(batch.shape[0])
        action[:, self._stations.action] = -1.0
        return self._actions.coded(action, single)


class ValleyFilling(Policy):
    """Every car when the feeder's load is lowest during its stay, cars that charge already included.

    Each step plans the rest of the stay of every car, one station after the other: as much as lifts the
    lowest of the load to one level, at most the station's power in any interval (water-filling; Gan, Topcu
    and Low, "Optimal decentralized protocol for electric vehicle charging", IEEE Trans. Power Systems 28(2),
    2013, fills the same valley by iteration). The load is the mean day of the training days, one after the
    other, so the plan is the same for every day and uses nothing that will only be known later. What can be
    delivered is delivered. Discharging is not used; other devices rest.
    """

    name = "ev-valley-filling"
    plays_batches = True

    def __init__(self, env: AnyEnv) -> None:
        """Find the stations and the mean day of the load. RunError when there are none."""
        self._stations = find_stations(env)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        scenario = scenario_of(env)
        self._dt_h = scenario.calendar.dt_h
        self._day = mean_day(scenario.load, train_days(scenario.load, scenario.profiles))
        longest_h = scenario.layout.bounds()[1][self._stations.departure].max()
        self._ahead = np.arange(round(float(longest_h) / self._dt_h))  # as long as any car may stay

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing to forget: the time of day is that of `info["t_index"]`."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The first interval of each plan."""
        batch, single = self._observations.batch(obs)
        now = _now(self.name, info, batch.shape[0])
        units, ahead = self._stations, self._ahead
        load = self._day[(now[:, None] + ahead) % self._day.size]  # (rows, intervals) from now on
        action = self._actions.neutral(batch.shape[0])
        for u in range(units.p_mw.size):
            stay = np.rint(batch[:, units.departure[u]] / self._dt_h)
            wanted = _SURELY * batch[:, units.need[u]] / units.eta_charge[u] / self._dt_h
            plan = fill_valley(load, wanted, float(units.p_mw[u]), ahead < stay[:, None])
            load += plan
            share = (units.p_mw[u] - plan[:, 0]) / (units.p_mw[u] + units.v2g_mw[u])
            action[:, units.action[u]] = 2.0 * share - 1.0
        return self._actions.coded(action, single)


class CheapestHours(Policy):
    """Every car in the cheapest intervals of its stay, as prices are known, at full power.

    Prices are those of the market of the day ahead: known to the end of the day, from 13:00 to the end of the
    next; behind that the price of the same time a day earlier stands in. Of equal prices the earlier interval
    is taken. What can be delivered is delivered. The network is not looked at, discharging is not used, and
    other devices rest.
    """

    name = "ev-cheapest"
    plays_batches = True

    def __init__(self, env: AnyEnv) -> None:
        """Find the stations and the prices. RunError when there are no stations."""
        self._stations = find_stations(env)
        self._actions, self._observations = RuleActions(env), RuleObservations(env)
        scenario = scenario_of(env)
        self._dt_h, self._per_day = scenario.calendar.dt_h, scenario.calendar.steps_per_day
        self._price = np.asarray(scenario.profiles.price_usd_mwh, dtype=np.float64)
        longest_h = scenario.layout.bounds()[1][self._stations.departure].max()
        self._ahead = np.arange(round(float(longest_h) / self._dt_h))

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing to forget: the time is that of `info["t_index"]`."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Full power where fewer intervals that are cheaper are left than the car needs."""
        batch, single = self._observations.batch(obs)
        now = _now(self.name, info, batch.shape[0])
        units, ahead = self._stations, self._ahead
        price = known_prices(self._price, now, ahead, self._per_day)
        cheaper = price < price[:, :1]  # (rows, intervals)
        stay = np.rint(batch[:, units.departure] / self._dt_h)  # (rows, units)
        before = (cheaper[:, None, :] & (ahead < stay[:, :, None])).sum(axis=2)
        wanted = _SURELY * batch[:, units.need] / (units.eta_charge * units.p_mw * self._dt_h)
        power = np.where(stay > 0.0, np.clip(wanted - before, 0.0, 1.0), 0.0) * units.p_mw
        action = self._actions.neutral(batch.shape[0])
        action[:, units.action] = 2.0 * (units.p_mw - power) / (units.p_mw + units.v2g_mw) - 1.0
        return self._actions.coded(action, single)


def known_prices(
    price: FloatArray, now: NDArray[np.int64], ahead: NDArray[np.int64], per_day: int
) -> FloatArray:
    """(rows, intervals) of prices, `ahead` of the intervals `now` (rows,), as they are published by then.

    `price` is the whole series; one that is not published is that of a day earlier.
    """
    wanted = now[:, None] + ahead
    published = now // per_day + (now % per_day >= steps_to_publication(per_day))  # the last day
    late = np.maximum(wanted // per_day - published[:, None], 0)
    return np.asarray(price[(wanted - late * per_day) % price.size])


def fill_valley(load: FloatArray, total: FloatArray, limit: float, open_: NDArray[np.bool_]) -> FloatArray:
    """(rows, intervals) of non-negative additions that lift the lowest of `load` to one level.

    Each is at most `limit` and 0 where not `open_`; their sum is `total` (rows,), or all that fits.
    """
    low = np.where(open_, load, np.inf).min(axis=1, initial=np.inf)
    low = np.where(np.isfinite(low), low, 0.0)
    high = np.where(open_, load, -np.inf).max(axis=1, initial=-np.inf)
    high = np.where(np.isfinite(high), high, 0.0) + limit
    for _ in range(_HALVINGS):
        level = 0.5 * (low + high)
        enough = _poured(load, level, limit, open_).sum(axis=1) >= total
        low, high = np.where(enough, low, level), np.where(enough, level, high)
    return _poured(load, np.where(total > 0.0, high, -np.inf), limit, open_)


def _poured(load: FloatArray, level: FloatArray, limit: float, open_: NDArray[np.bool_]) -> FloatArray:
    return np.where(open_, np.clip(level[:, None] - load, 0.0, limit), 0.0)


def train_days(load: LoadSource, profiles: Profiles) -> NDArray[np.int64]:
    """The days of the load from which a policy may learn: those of its split `train`, or all it has."""
    if "train" in load.splits:
        return np.asarray(load.splits["train"], dtype=np.int64)
    days = profiles.split_days("train") if isinstance(load, ProfileLoad) else load.calendar.days()
    return days if days.size else load.calendar.days()


def mean_day(load: LoadSource, days: NDArray[np.int64]) -> FloatArray:
    """(steps of a day,) MW of all loads together, the mean over `days`."""
    steps_per_day, n_points = load.calendar.steps_per_day, load.s_max_mva.size
    total = np.zeros(steps_per_day)
    p, q = (np.empty((steps_per_day, n_points)) for _ in range(2))
    for day in days:
        load.fill(int(day) * steps_per_day + np.arange(steps_per_day), p, q)
        total += p.sum(axis=1)
    return total / len(days)
