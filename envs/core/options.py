"""What all faces of an environment are made with: one object, with its defaults, checks and documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from ...cases import Feeder
from ...cases.profiles import Profiles, TimeSeries
from ...cases.profiles.splits import checked_set
from ...physics.solved_grid import PowerFlow
from ..resources.base import Resource, ResourceSpec
from ..tasks import Task
from .action_spaces import ActionSpace, Continuous, checked_action_space
from .arguments import (
    checked_case,
    checked_day_list,
    checked_flag,
    checked_number,
    checked_power_flow,
    checked_resources,
    checked_source,
    checked_task,
)
from .forecasts import Forecaster, checked_forecaster
from .ladder import checked_level
from .load_source import LoadSource
from .meters import Meter, checked_meters
from .randomise import Randomisation, checked_randomisation
from .time_axis import checked_prices, checked_profiles


def _about(meaning: str, content: str | None = None, priced: bool = False) -> dict[str, Any]:
    """Metadata of a field of ``EnvOptions``.

    Args:
        meaning: what the documentation says of it.
        content: name under which its value is hashed into ``run.json``; None: other hashes cover it.
        priced: whether a stated price of failure was searched for one value of it, so that with another the
            task's bound takes its place.
    """
    return {"meaning": meaning, "content": content, "priced": priced}


@dataclass(frozen=True)
class EnvOptions:
    """What all faces of an environment share: made once, checked, never changed.

    Every face takes these fields as keywords, or such an object as ``options``. `option_rows` lists them.
    What depends on the feeder (days, splits, buses, points of a load) is checked where an environment is
    made.

    Raises:
        TypeError: a value is of the wrong kind.
        ValueError: a number is out of its range, or two options exclude each other.
    """

    case: str | Path | Feeder = field(
        default="case33bw",
        metadata=_about("name of a shipped feeder, a path, or a ``Feeder``", priced=True),
    )
    resources: Sequence[ResourceSpec | Resource] = field(
        default=(),
        metadata=_about(
            "``Battery``, ``PV``, ``EV`` and other devices of ``envs``, or your own ``Resource``; a "
            "single environment attaches more by ``register_resource``",
            content="resource",
            priced=True,
        ),
    )
    task: Task | None = field(
        default=None,
        metadata=_about("what is observed and rewarded; None: ``LossMinimisation()``", content="task"),
    )
    split: str | None = field(
        default=None,
        metadata=_about(
            "``train`` (None), ``val``, ``test``, ``summer-pv`` or ``winter-peak``: the days that ``reset`` "
            "draws, and the suites that `splits` adds. A load of your own: all its days (None), or a split "
            "that it has"
        ),
    )
    _: KW_ONLY
    splits: str | None = field(
        default=None,
        metadata=_about(
            "the set that ``split`` names one of: ``weeks``, or ``weeks-apart`` with gap days between train, "
            "val and test and with the suites ``price-storm``, ``cloudy``, ``cold-snap``; None: that of the "
            "profiles, ``weeks`` of the shipped year"
        ),
    )
    load: LoadSource | None = field(
        default=None,
        metadata=_about(
            "a ``LoadSource`` (``SeriesLoad`` for your own series); None: the shipped year",
            content="loads",
            priced=True,
        ),
    )
    profiles: Profiles | None = field(
        default=None,
        metadata=_about(
            "sun, prices, charging sessions, shipped loads, and their time axis, such as "
            "``load_profiles().resampled(1.0)`` for steps of an hour; None: the shipped year",
            content="profiles",
            priced=True,
        ),
    )
    prices: TimeSeries | ArrayLike | str | None = field(
        default=None,
        metadata=_about(
            "a ``TimeSeries`` in USD/MWh, one number for each step, or the name of a tariff; None: those of "
            "the profiles",
            content="prices",
            priced=True,
        ),
    )
    days: Sequence[int] | None = field(
        default=None, metadata=_about("the days that ``reset`` draws, in place of a split")
    )
    load_scale: float = field(
        default=1.0,
        metadata=_about("growth of all nominal loads over the case, 1.0 = as in the case", priced=True),
    )
    v_source_pu: float | None = field(
        default=None, metadata=_about("voltage of the substation; None: as in the case", priced=True)
    )
    allow_mesh_pruning: bool | None = field(
        default=None,
        metadata=_about(
            "cut loops to a tree with a warning (True) or raise ValueError for them (False); None: True on "
            "balanced feeders, False on per-phase ones. Parallel branches are no loop",
            content="allow_mesh_pruning",
            priced=True,
        ),
    )
    observation: str | None = field(
        default=None,
        metadata=_about(
            "how much is shown: ``'oracle'`` (None) is what the task lists, loads and sun of the interval "
            "that is decided among it; these are not known with ``'global'``, ``'graph'``, ``'measured'``, "
            "``'local+forecast'`` and ``'local'``",
            content="observation",
        ),
    )
    normalise: bool = field(
        default=False,
        metadata=_about(
            "scale every entry of the observation by its bounds to [-1, 1]; ``layout.physical`` undoes it",
            content="normalise",
        ),
    )
    meters: Sequence[Meter] = field(
        default=(),
        metadata=_about(
            "how blocks of the observation are measured, such as ``[Meter('v_pu', std=0.002)]``; what has no "
            "meter is observed as it is",
            content="meter",
        ),
    )
    forecaster: Forecaster | None = field(
        default=None,
        metadata=_about(
            "how forecasts of loads, sun and prices err; None: at the level ``'oracle'`` they are the truth, "
            "at others as good as those of weather services",
            content="forecaster",
        ),
    )
    power_flow: PowerFlow | None = field(
        default=None,
        metadata=_about(
            "what solves the feeder: a ``physics.SolvedGrid`` of your own, its class; None: AC power flow",
            content="power flow",
            priced=True,
        ),
    )

    randomise: Randomisation | None = field(
        default=None,
        metadata=_about(
            "what differs from episode to episode beside the day: ``Randomisation(load_growth=(0.9, 1.2))``, "
            "lines, topologies, prices; None: nothing",
            content="randomise",
            priced=True,
        ),
    )
    action_space: ActionSpace | str = field(
        default=Continuous(),
        metadata=_about(
            "how actions are encoded: ``Continuous()``, ``MultiDiscrete()``, ``Discrete()`` or ``Hybrid()``; "
            "or a name, such as ``'multi-discrete'``, for what it is with nothing given",
            content="action_space",
        ),
    )

    def __post_init__(self) -> None:
        if self.splits is not None:
            checked_set(self.splits)
        scale = checked_number("load_scale", self.load_scale, 0.0, np.inf)
        prune = self.allow_mesh_pruning
        checked: dict[str, Any] = {
            "case": checked_case(self.case),
            "task": checked_task(self.task),
            "resources": tuple(checked_resources(self.resources)),
            "profiles": checked_profiles(self.profiles),
            "prices": checked_prices(self.prices),
            "days": None if self.days is None else checked_day_list(self.days),
            "load_scale": scale,
            "v_source_pu": checked_source(self.v_source_pu),
            "action_space": checked_action_space(self.action_space),
            "allow_mesh_pruning": None if prune is None else checked_flag("allow_mesh_pruning", prune),
            "observation": checked_level(self.observation),
            "normalise": checked_flag("normalise", self.normalise),
            "meters": checked_meters(self.meters),
            "forecaster": checked_forecaster(self.forecaster),
            "power_flow": checked_power_flow(self.power_flow),
            "randomise": checked_randomisation(self.randomise),
        }
        if self.split is not None and not isinstance(self.split, str):
            raise TypeError(f"split must be the name of a split or None, got {self.split!r}")
        if self.split is not None and self.days is not None:
            raise ValueError(
                f"split {self.split!r} and days= both say what reset draws from: give one of them"
            )
        if self.load is not None and scale != 1.0:
            raise ValueError(
                f"load_scale {self.load_scale!r} is for the loads of the case, and load= takes their place: "
                "scale the series of your own"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def content(self) -> Iterator[tuple[str, Any]]:
        """Name and value of all that decides a result, beside feeder and days, which are hashed apart."""
        for item in fields(self):
            name, value = item.metadata["content"], getattr(self, item.name)
            if name is None or value is None or value is item.default is False:
                continue
            if isinstance(value, tuple):
                yield from ((f"{name} {k}, {type(one).__name__}", one) for k, one in enumerate(value, 1))
            else:
                yield name, value


class OptionKeywords(TypedDict, total=False):
    """The fields of ``EnvOptions`` that are keywords only, for type checkers; a test compares the two."""

    splits: str | None
    load: LoadSource | None
    profiles: Profiles | None
    prices: TimeSeries | ArrayLike | str | None
    days: Sequence[int] | None
    load_scale: float
    v_source_pu: float | None
    allow_mesh_pruning: bool | None
    observation: str | None
    normalise: bool
    meters: Sequence[Meter]
    forecaster: Forecaster | None
    power_flow: PowerFlow | None
    randomise: Randomisation | None
    action_space: ActionSpace | str


class EnvKeywords(OptionKeywords, total=False):
    """All fields of ``EnvOptions`` as keywords, for type checkers."""

    case: str | Path | Feeder
    resources: Sequence[ResourceSpec | Resource]
    task: Task | None
    split: str | None


class VectorKeywords(EnvKeywords, total=False):
    """Keywords of the vector environments of an id, for type checkers."""

    threads: int | None
    copy: bool
    max_episode_steps: int | None


class OptionRow(NamedTuple):
    """One line of the documentation: ``default`` as code."""

    name: str
    default: str
    meaning: str


def option_rows() -> tuple[OptionRow, ...]:
    """Name, default and meaning of every option: what docstrings and pages show."""
    return tuple(
        OptionRow(item.name, repr(item.default), item.metadata["meaning"]) for item in fields(EnvOptions)
    )


def priced_options() -> frozenset[str]:
    """Names of the options for whose values the stated prices of failure were searched."""
    return frozenset(item.name for item in fields(EnvOptions) if item.metadata["priced"])
