"""What an environment plays on: feeder, load, task and days, before any fleet is attached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import physics
from ..cases import Feeder
from ..cases import load as load_case
from ..cases import profiles as prof
from .grid import Grid
from .load import LoadSource, ProfileLoad
from .observe import grid_size
from .resources import Fleet
from .resources.base import Resource, ResourceSpec
from .tasks import LossMinimisation, Task


@dataclass(frozen=True)
class Scenario:
    """Checked arguments of an environment; many grids may share one."""

    feeder: Feeder
    net: physics.Network
    load: LoadSource
    task: Task
    profiles: prof.Profiles
    days: NDArray[np.int64]  # that reset draws from

    def grid(
        self, resources: Sequence[ResourceSpec | Resource], batch: int, like: Grid | None = None
    ) -> Grid:
        """A grid of ``batch`` rows with a fleet of its own; see ``Grid`` for ``like``."""
        fleet = Fleet(resources, self.feeder, obs_offset=grid_size(self.task.blocks, self.feeder))
        return Grid(self.net, fleet, self.load, self.task, self.profiles, batch, like)

    def checked_day(self, day: Any) -> int:
        """``day`` where the data has it; ValueError otherwise."""
        if isinstance(self.load, ProfileLoad):
            return prof.check_day(day)
        if not isinstance(day, int | np.integer) or not 0 <= day < self.load.n_days:
            raise ValueError(f"day {day!r} is outside the data: expected 0..{self.load.n_days - 1}")
        return int(day)


def scenario(
    case: str | Feeder,
    task: Task | None,
    split: str,
    load: LoadSource | None,
    load_scale: float,
    v_source_pu: float | None,
    allow_mesh_pruning: bool | None,
) -> Scenario:
    """The scenario of an environment's arguments; see ``DistGridEnv``."""
    feeder = case if isinstance(case, Feeder) else load_case(case)
    feeder = feeder if v_source_pu is None else feeder.with_source(v_pu=v_source_pu)
    feeder = feeder if load_scale == 1.0 else _grown(feeder, load_scale)
    profiles = prof.load_profiles()
    # Bounds of the state need the limits of generators that hold a voltage.
    limited = feeder.phases == "balanced"
    net = physics.compile(feeder, allow_mesh_pruning=allow_mesh_pruning, enforce_q_limits=limited)
    source = ProfileLoad(feeder, prof.assignment(feeder), profiles) if load is None else load
    days = prof.split_days(split)  # also where the load is the user's own: the name must be right
    if not isinstance(source, ProfileLoad):
        days = np.arange(source.n_days)
    return Scenario(feeder, net, source, LossMinimisation() if task is None else task, profiles, days)


def _grown(feeder: Feeder, scale: float) -> Feeder:
    """The feeder with all nominal loads times ``scale``."""
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"load_scale must be a positive number, got {scale!r}")
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    return feeder.with_loads(p * scale, q * scale)
