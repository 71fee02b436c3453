"""What an environment plays on: feeder, load, task and days, before any fleet is attached."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ...cases import Feeder
from ...cases import load as load_case
from ...cases import profiles as prof
from ...physics.solved_grid import PowerFlow
from ..resources import Fleet
from ..resources.base import Resource, ResourceSpec
from ..tasks import Task
from .arguments import checked_days, checked_task
from .forecasts import Forecaster, Forecasts, checked_forecaster
from .grid import Grid
from .grown_load import GrownLoad
from .ladder import ORACLE, PLAIN, Observed
from .load_source import LoadSource, ProfileLoad, check_source
from .meters import checked_meters
from .network_variants import network_variants
from .options import EnvOptions
from .power_flow import SOLVERS
from .randomise import Randomisation
from .snapshot_load import SnapshotLoad
from .time_axis import check_fits, checked_start, first_days, played_profiles
from .varied_grid import VariedFlow

ALL_DAYS = "all"  # the split of a load of one's own, where none is asked for
GIVEN_DAYS = "days"  # the split where days were listed


@dataclass(frozen=True)
class Scenario:
    """What the options of an environment make; many grids may share one."""

    feeder: Feeder
    net: physics.Network
    load: LoadSource
    task: Task
    profiles: prof.Profiles
    split: str
    split_days: NDArray[np.int64]  # all days of the split
    days: NDArray[np.int64]  # that reset draws from: where an episode stays inside the split
    prune: bool | None = None  # whether loops are cut
    power_flow: PowerFlow | None = None  # what solves it; None: what the package has
    observed: Observed = PLAIN
    forecaster: Forecaster | None = None
    randomise: Randomisation | None = None

    @functools.cached_property
    def forecasts(self) -> Forecasts:
        """What is known ahead of loads, sun and prices: the same for an observation and for a planner."""
        return Forecasts(self.load, self.profiles, self.forecaster, self.observed.exact)

    @property
    def calendar(self) -> prof.Calendar:
        """The time axis: begin, step and number of intervals that are played."""
        return self.load.calendar

    @property
    def episode_steps(self) -> int:
        """Number of steps of an episode."""
        return self.task.episode.steps(self.calendar.dt_h)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Intervals at which ``reset`` begins an episode: midnight of each of ``days``."""
        return self.days * self.calendar.steps_per_day

    def grid(
        self,
        resources: Sequence[ResourceSpec | Resource],
        batch: int,
        like: Grid | None = None,
        max_steps: int | None = None,
    ) -> Grid:
        """A grid of ``batch`` rows with a fleet of its own; see ``Grid`` for the others."""
        fleet = Fleet(resources, self.feeder)
        return Grid(
            self.net, fleet, self.load, self.task, self.profiles, batch, like, max_steps, self._solver,
            observed=self.observed, forecasts=self.forecasts, randomise=self.randomise,
        )  # fmt: skip

    @functools.cached_property
    def _solver(self) -> PowerFlow | None:
        """What solves the rows: each on its own network, where networks are randomised."""
        if self.randomise is None or not self.randomise.varies_network:
            return self.power_flow
        solver = SOLVERS[type(self.net)] if self.power_flow is None else self.power_flow
        return VariedFlow(network_variants(self.feeder, self.randomise), solver)

    def equipped(self, resources: Sequence[ResourceSpec | Resource]) -> Scenario:
        """The scenario on a feeder with what ``resources`` add to it; itself where they add nothing."""
        feeder = self.feeder
        for one in resources:
            feeder = one.equip(feeder) if isinstance(one, ResourceSpec) else feeder
        if feeder is self.feeder:
            return self
        net = _compiled(feeder, self.prune)
        return replace(self, feeder=feeder, net=net)

    def start_of(self, name: str, value: Any) -> int:
        """The interval that an option of ``reset`` means: ``day`` of any split, or ``start`` inside its own.

        ValueError where an episode from there on is outside the data, or leaves the split.
        """
        if name == "start":
            return checked_start(self.calendar, value, self.episode_steps, self.split, self.split_days)
        start = self.checked_day(value) * self.calendar.steps_per_day
        check_fits(self.calendar, start, self.episode_steps)
        return start

    def checked_day(self, day: Any) -> int:
        """``day`` where the data has it; ValueError otherwise."""
        if isinstance(self.load, ProfileLoad):
            return self.calendar.check_day(day)
        if isinstance(day, bool) or not isinstance(day, int | np.integer) or not 0 <= day < self.load.n_days:
            raise ValueError(f"day {day!r} is outside the data: expected 0..{self.load.n_days - 1}")
        return int(day)


def scenario(options: EnvOptions) -> Scenario:
    """The scenario of an environment's options."""
    given, scale, volts = options.case, options.load_scale, options.v_source_pu
    feeder = given if isinstance(given, Feeder) else load_case(given)
    feeder = feeder if volts is None else feeder.with_source(v_pu=volts)
    feeder = feeder if scale == 1.0 else _grown(feeder, scale)
    source = None if options.load is None else check_source(options.load, feeder)
    if options.splits is not None and source is not None and source.splits:
        raise ValueError(
            f"splits={options.splits!r} are days of the shipped year, and this load names its own "
            f"({', '.join(source.splits)}): leave splits= out"
        )
    profiles = played_profiles(options.profiles, options.prices, source)
    profiles = profiles if options.splits is None else profiles.with_splits(options.splits)
    prune = options.allow_mesh_pruning
    net = _compiled(feeder, prune)
    if source is None:
        source = ProfileLoad(feeder, prof.assignment(feeder, profiles.source), profiles)
    task = checked_task(options.task)
    name, listed = _days(source, profiles, options.split, options.days)
    steps = task.episode.steps(profiles.dt_h)
    check_fits(source.calendar, 0, steps)
    first = first_days(source.calendar, listed, steps, name)
    if task.snapshot_hours is not None:
        source = SnapshotLoad(source, task.snapshot_hours)
    meters, forecaster = checked_meters(options.meters), checked_forecaster(options.forecaster)
    observed = Observed(options.observation or ORACLE, meters, options.normalise)
    return Scenario(
        feeder, net, _grows(source, options.randomise), task, profiles, name, listed, first, prune,
        options.power_flow, observed, forecaster, options.randomise,
    )  # fmt: skip


def _grows(source: LoadSource, randomise: Randomisation | None) -> LoadSource:
    """The loads, those of each episode grown by what it draws."""
    if randomise is None or randomise.load_growth == (1.0, 1.0):
        return source
    return GrownLoad(source, randomise.load_growth)


def _compiled(feeder: Feeder, prune: bool | None) -> physics.Network:
    """The network; bounds of the state need the limits of generators that hold a voltage."""
    limited = feeder.phases == "balanced"
    return physics.compile(feeder, allow_mesh_pruning=prune, enforce_q_limits=limited)


def _days(
    load: LoadSource, profiles: prof.Profiles, split: str | None, days: Sequence[int] | None
) -> tuple[str, NDArray[np.int64]]:
    """Name and days of what ``reset`` draws from.

    A load of one's own has the splits that it names, or the days of the profiles' splits that it has. The
    suites of extreme days are extreme for the shipped loads alone.
    """
    if days is not None:
        return GIVEN_DAYS, checked_days(days, load.n_days)
    if isinstance(load, ProfileLoad) and not load.splits:
        return _shipped_days(profiles, "train" if split is None else split)
    if split is None:
        return ALL_DAYS, load.calendar.days()
    if load.splits:
        if split not in load.splits:
            raise ValueError(f"unknown split {split!r}; the splits of this load are {', '.join(load.splits)}")
        return split, np.asarray(load.splits[split], dtype=np.int64)
    known = profiles.split_days(split)  # ValueError for a name that there is not
    if split not in _CALENDAR_SPLITS:
        raise ValueError(
            f"split {split!r} holds extreme days of the shipped loads, which say nothing of yours: choose "
            f"one of {', '.join(_CALENDAR_SPLITS)}, name days by SeriesLoad(splits=...), or list them: days="
        )
    found = known[known < load.n_days]
    if not found.size:
        first = f" (its first is day {known[0]})" if known.size else ""
        raise ValueError(
            f"split {split!r} has none of the {load.n_days} days of this load{first}: "
            "name days by SeriesLoad(splits=...), list them as days=, or leave out split for all days"
        )
    return split, found


def _shipped_days(profiles: prof.Profiles, split: str) -> tuple[str, NDArray[np.int64]]:
    """Name and days of a split of the shipped loads, as far as the profiles have its days."""
    found = profiles.split_days(split)
    if not found.size:
        raise ValueError(f"split {split!r} has none of the days of {profiles.calendar}: list some as days=")
    return split, found


_CALENDAR_SPLITS = ("train", "val", "test")


def _grown(feeder: Feeder, scale: float) -> Feeder:
    """The feeder with all nominal loads times ``scale``."""
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    return feeder.with_loads(p * scale, q * scale)
