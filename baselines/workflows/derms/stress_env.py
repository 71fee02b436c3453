"""Policies of environments in the scenarios of a stress test: rules, planners and learned ones.

The environment is that of the session with what happens to the whole feeder: prices, loads, sun and wind.
It is played in its own steps. A unit that is out or without supply has the neutral action, one that hears
nothing keeps its last one. What was delivered, as the mean of each step of the schedule, is what the policy
wants; the assets follow it as far as their limits and energies in the scenario let them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....cases.profiles import Profiles, TimeSeries
from ....envs import EnvOptions, LoadSource, make_env
from ....envs.core.columns import load_points
from ....envs.core.load_source import fill_checked
from ....envs.core.scenario import Scenario
from ....envs.core.scenario import scenario as scenario_of_options
from ...errors import RunError
from ...optimal.affine import FloatArray, IntArray
from ...optimal.scheduling.assets import followed
from ...optimal.scheduling.case import ScheduleCase
from ...optimal.scheduling.rolling import RollingSettings
from ...optimal.scheduling.worlds import (
    ASSET,
    COMMUNICATION,
    DAY_H,
    LINE,
    LOAD,
    PRICE,
    SUN,
    WIND,
    Event,
    World,
    behind,
    members,
    of_day,
)
from ...policy import Policy, neutral_action, scenario_of
from ...registry import make


class LoadOfScenario(LoadSource):
    """The load of another source, times a factor at each point in the steps of one day.

    Its bound ``s_max_mva`` is that of the source, or higher where a load of the day is: normalised
    observations have the scale of the source's wherever they can.
    """

    def __init__(self, source: LoadSource, first: int, factor: FloatArray) -> None:
        """``factor``: (steps of a day, n_points), from interval ``first`` on."""
        self.source, self.first, self.factor = source, first, factor
        self.calendar, self.dated, self.splits = source.calendar, source.dated, source.splits
        self.s_max_mva = np.maximum(source.s_max_mva, source.s_max_mva * factor.max(axis=0, initial=1.0))

    @property
    def active_mw(self) -> None:
        """None: it is computed."""
        return

    @property
    def reactive_mvar(self) -> None:
        """None: it is computed."""
        return

    @property
    def n_random(self) -> int:  # type: ignore[override]
        """That of the source."""
        return self.source.n_random

    def draw(self, rng: np.random.Generator, day: int) -> FloatArray:
        """As the source does."""
        return self.source.draw(rng, day)

    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray, *random: FloatArray) -> None:
        """See `LoadSource`."""
        fill_checked(self.source, t_index, random[0] if random else np.empty((len(t_index), 0)), p_mw, q_mvar)
        at = t_index - self.first
        inside = (at >= 0) & (at < len(self.factor))
        p_mw[inside] *= self.factor[at[inside]]
        q_mvar[inside] *= self.factor[at[inside]]


class EnvironmentPlayer:
    """One policy on the environment of a stress test's day.

    Args:
        name: As `baselines.make` takes it.
        options: Of the environment as it was thought to be.
        day: Of its year.
        case: The schedule of that day; its assets are units of the environment by name.

    Raises:
        RunError: an unknown policy, one that has nothing to control here, an asset that is no unit, episodes
            shorter than a day, or steps that do not fit those of the schedule.
    """

    def __init__(self, name: str, options: EnvOptions, day: int, case: ScheduleCase) -> None:
        self.name, self.options, self.day = name, options, day
        self._scenario: Scenario = scenario_of_options(options)
        env = make_env(options)
        try:
            make(name, env)
        except RunError as error:
            raise RunError(f"policy {name!r}: {error}") from error
        played = scenario_of(env)
        self._dt_h = played.calendar.dt_h
        self._steps = round(DAY_H / self._dt_h)
        if played.episode_steps < self._steps:
            hours = played.episode_steps * self._dt_h
            raise RunError(
                f"policy {name!r}: episodes of {hours:g} h are played here: expected a day or more"
            )
        if max(self._steps, case.steps) % min(self._steps, case.steps):
            raise RunError(
                f"--dt-h is {case.dt_h:g}: expected a multiple or a part of the steps of {self._dt_h:g} h in "
                f"which policy {name!r} is played"
            )
        units = {unit.name: unit for unit in played.units}
        for asset in case.assets:
            if asset.name not in units:
                raise RunError(f"policy {name!r}: asset {asset.name!r} is no unit of the environment")
        self._units = [units[asset.name] for asset in case.assets]
        self._neutral = neutral_action(env)

    def __call__(
        self, nominal: ScheduleCase, world: World, events: Sequence[Event], settings: RollingSettings
    ) -> tuple[FloatArray, FloatArray]:
        """(steps, n_assets) P and Q that the policy brings about in a world."""
        env = make_env(self.options_in(nominal, events))
        wanted = self._played(env, make(self.name, env), nominal, events, settings)
        p, q = (self._in_steps(part, nominal.steps) for part in wanted)
        for k, asset in enumerate(world.case.assets):
            p[:, k] = followed(asset, p[:, k], nominal.dt_h)[0]
            room = np.sqrt(np.maximum(asset.s_mva**2 - p[:, k] ** 2, 0.0))
            q[:, k] = np.clip(
                q[:, k], np.maximum(asset.q_min_mvar, -room), np.minimum(asset.q_max_mvar, room)
            )
        return p, q

    def options_in(self, nominal: ScheduleCase, events: Sequence[Event]) -> EnvOptions:
        """Of the environment with what happens to the whole feeder; the day alone is played."""
        factors, given = of_day(events, self._steps, self._dt_h), self._scenario
        first, dead = self.day * self._steps, self._dead(nominal, events)
        at_points = np.where(dead[:, _rows_of_points(given)], 0.0, factors[LOAD][:, None])
        return replace(
            self.options, case=given.feeder, load_scale=1.0, v_source_pu=None, prices=None, splits=None,
            split=None, days=(self.day,), load=LoadOfScenario(given.load, first, at_points),
            profiles=_with_events(given.profiles, first, factors), randomise=None,
        )  # fmt: skip

    def _dead(self, nominal: ScheduleCase, events: Sequence[Event]) -> NDArray[np.bool_]:
        """(steps, n_bus) without supply, in the environment's steps."""
        found = np.zeros((self._steps, nominal.net.n_bus), dtype=bool)
        for event in events:
            if event.kind == LINE:
                found[event.steps(self._steps, self._dt_h)] |= behind(nominal, event.element)
        return found

    def _played(
        self, env: Any, policy: Policy, nominal: ScheduleCase, events: Sequence[Event],
        settings: RollingSettings,
    ) -> tuple[FloatArray, FloatArray]:  # fmt: skip
        """(steps of the environment, n_assets) what was delivered; nothing after a failed power flow."""
        codec, seed = scenario_of(env).codec, settings.seed
        at = [unit.index for unit in self._units]
        out, silent = self._masks(nominal, events)
        p, q = (np.zeros((self._steps, len(at))) for _ in range(2))
        policy.seed(seed)
        obs, info = env.reset(seed=seed, options={"day": self.day})
        policy.reset(obs, info)
        last = self._neutral
        for t in range(self._steps):
            action = np.array(codec.decode(policy.act(obs, info), 1)[0], dtype=np.float32)
            action[silent[t]] = last[silent[t]]
            action[out[t]] = self._neutral[out[t]]
            last = action
            obs, _, terminated, truncated, info = env.step(codec.one(codec.encode(action[None])))
            if info["is_diverged"] or info["voltage_collapse"]:
                break
            p[t], q[t] = info["delivered"]["p_mw"][at], info["delivered"]["q_mvar"][at]
            if terminated or truncated:
                break
        return p, q

    def _masks(
        self, nominal: ScheduleCase, events: Sequence[Event]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(steps, n_action) columns of units that are out, and of units that hear nothing."""
        found = {
            kind: np.zeros((self._steps, len(self._units)), dtype=bool) for kind in (ASSET, COMMUNICATION)
        }
        for event in events:
            if event.kind in found:
                part = event.steps(self._steps, self._dt_h)
                found[event.kind][part, members(nominal.assets, event.element)] = True
        rows = [nominal.net.feeder.node_index[asset.bus] for asset in nominal.assets]
        found[ASSET] |= self._dead(nominal, events)[:, rows]
        columns = np.zeros((len(self._units), self._neutral.size), dtype=bool)
        for k, unit in enumerate(self._units):
            columns[k, [c for c in (unit.action_p, unit.action_q) if c is not None]] = True
        return found[ASSET] @ columns, found[COMMUNICATION] @ columns

    def _in_steps(self, series: FloatArray, steps: int) -> FloatArray:
        """Means over the steps of the schedule."""
        if steps >= len(series):
            return np.repeat(series, steps // len(series), axis=0)
        return np.asarray(series.reshape(steps, -1, series.shape[1]).mean(axis=1))


def _rows_of_points(given: Scenario) -> IntArray:
    """(n_points,) rows of the feeder's nodes."""
    index, names = given.feeder.node_index, load_points(given.feeder).names
    return np.array([index[name if name in index else name.rpartition(".")[0]] for name in names])


def _with_events(profiles: Profiles, first: int, factors: dict[str, FloatArray]) -> Profiles:
    """Sun and wind up to the most that there is in the year."""
    series: dict[str, TimeSeries] = {}
    for name, kind in (("pv", SUN), ("wind", WIND), ("price_usd_mwh", PRICE)):
        if (factors[kind] == 1.0).all() or not (kind == PRICE or profiles.has(name)):
            continue
        whole = np.array(getattr(profiles, name))
        part = slice(first, first + len(factors[kind]))
        factor = factors[kind].reshape(-1, *(1,) * (whole.ndim - 1))
        changed = whole[part] * factor
        most = changed if kind == PRICE else whole.max(axis=0)
        whole[part] = np.minimum(changed, most)
        series[name] = TimeSeries(whole, profiles.calendar)
    return profiles.with_series(**series) if series else profiles
