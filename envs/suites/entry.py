"""What a registered environment is: an id, and the scenario that stands behind it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...cases.profiles import DT_H, load_profiles
from ..resources import EV, PV, Battery, ResourceSpec
from ..tasks import Task

NAMESPACE = "distgrid"

#: Options of new ids: the coming interval is forecast, not shown, and days of training lie apart from others.
FORESEEN: Mapping[str, Any] = {"observation": "global", "splits": "weeks-apart"}
#: Rated MW by bus.
Sizes = Mapping[str, float]
#: Bus, phases, MW.
Phased = tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class RegisteredEnv:
    """One registered environment.

    Attributes:
        name: Family and feeder, and the variant where it is one: "VoltVar-33bw".
        version: Of all that can move its scores.
        case: Name of the shipped feeder.
        task: What is observed, rewarded and charged, for how long.
        resources: The fleet, in the order of its units.
        summary: One line for the tables of the documentation.
        per_phase: Whether the environment is a `DistGrid3PhaseEnv`.
        options: Other fields of `EnvOptions`, such as ``load_scale``; none that takes time to make.
        unpriced_splits: Suites of days for which the stated prices of a failed power flow were not searched,
            as energy costs too much there: the task's bound takes their place.
        dt_h: Hours of a step: the shipped year is resampled where they are not its own.
    """

    name: str
    version: int
    case: str
    task: Task
    resources: tuple[ResourceSpec, ...]
    summary: str
    per_phase: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    dt_h: float = DT_H
    unpriced_splits: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id that ``gymnasium.make`` takes."""
        return f"{NAMESPACE}/{self.name}-v{self.version}"

    @property
    def episode_steps(self) -> int:
        """Steps of an episode, for ``max_episode_steps``."""
        return self.task.episode.steps(self.dt_h)

    def arguments(self) -> dict[str, Any]:
        """What it is made of, as arguments of its environment; makes what takes time."""
        own = {"case": self.case, "resources": self.resources, "task": self.task, **self.options}
        if self.dt_h != DT_H:
            own["profiles"] = load_profiles().resampled(self.dt_h)
        return own

    def priced(self, failure_price: float, failure_cost: float) -> RegisteredEnv:
        """With what a failed power flow takes from the reward, and its cost.

        Both are a quarter above the worst day of a search, see tools/search_failure_price.py.
        """
        task = replace(self.task, failure_price=failure_price, failure_cost=failure_cost)
        return replace(self, task=task)


def cloud_site(k: int) -> int:
    """The site of the k-th plant of a feeder: they are spread over the 25 of the data."""
    return (7 * k + 1) % 25


def batteries(sizes: Sizes, hours: float = 4.0) -> tuple[ResourceSpec, ...]:
    """Batteries that are empty after so many hours at rated power."""
    return tuple(Battery(bus, p_mw=p, energy_mwh=hours * p) for bus, p in sizes.items())


def inverters(sizes: Sizes, controls: str) -> tuple[ResourceSpec, ...]:
    """PV with sites spread."""
    return phase_inverters(tuple((bus, "ABC", p) for bus, p in sizes.items()), controls)


def phase_batteries(units: Phased, hours: float = 4.0) -> tuple[ResourceSpec, ...]:
    """`batteries` of some phases."""
    return tuple(Battery(bus, p_mw=p, energy_mwh=hours * p, phase=phase) for bus, phase, p in units)


def phase_inverters(units: Phased, controls: str) -> tuple[ResourceSpec, ...]:
    """`inverters` of some phases."""
    return tuple(
        PV(bus, p_mw=p, site=cloud_site(k), controls=controls, phase=phase)
        for k, (bus, phase, p) in enumerate(units)
    )


def car_park(bus: str, p_mw: float, come_h: float, leave_h: float, energy_mwh: float) -> ResourceSpec:
    """The cars of a day as one station; energy that they leave without costs 300 USD/MWh."""
    return EV(bus, p_mw, sessions=((come_h, leave_h, energy_mwh),), undelivered_cost_per_mwh=300.0)
