"""What the made pages are about: the registered environments by family, and the kinds of devices.

The one module of the site that looks into distgrid further than its packages show.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import gymnasium

from distgrid import envs
from distgrid.envs.suites import ENTRIES

#: Rules whose day is shown, the first one that fits a family.
SHOWN_RULES = ("local-control", "volt-var-ieee1547", "ev-cheapest", "host-nearest", "do-nothing")


class Registered(NamedTuple):
    """One registered environment."""

    id: str
    family: str  # the part of the id before the feeder: the name of its page
    feeder: str  # the part after it: what tells the ids of a family apart
    case: str
    summary: str


def registered() -> tuple[Registered, ...]:
    """All of them, in the order in which they are registered."""
    parts = [(entry, *entry.name.partition("-")[::2]) for entry in ENTRIES]
    names = [entry.name for entry in ENTRIES]
    return tuple(
        Registered(
            e.id,
            family,
            (feeder or e.case) if names.count(e.name) == 1 else f"{feeder} v{e.version}",
            e.case,
            e.summary,
        )
        for e, family, feeder in parts
    )


def families() -> dict[str, tuple[Registered, ...]]:
    """Registered environments by family: "VoltVar", "DistGrid3Phase"..."""
    every = registered()
    return {
        family: tuple(e for e in every if e.family == family)
        for family in dict.fromkeys(e.family for e in every)
    }


def make(entry: Registered, **options: Any) -> Any:
    """The environment of an id, unwrapped."""
    return gymnasium.make(entry.id, **options).unwrapped


@cache
def units(entry: Registered) -> tuple[Any, ...]:
    """The devices of an environment."""
    env = make(entry)
    found = tuple(env.units)
    env.close()
    return found


def device_kinds() -> dict[str, type[envs.ResourceSpec]]:
    """The public classes of devices by name."""
    public = {name: getattr(envs, name) for name in envs.__all__}
    return {
        name: thing
        for name, thing in public.items()
        if isinstance(thing, type) and issubclass(thing, envs.ResourceSpec) and thing is not envs.ResourceSpec
    }


def shown_rule(rules: Sequence[str]) -> str:
    """The rule whose day is drawn."""
    return next(name for name in SHOWN_RULES if name in rules)
