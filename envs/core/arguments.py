"""Checks on the arguments of environments: what is of the wrong kind is told in words, at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...physics.solved_grid import PowerFlow
from ..resources.base import Resource, ResourceSpec, resource_of
from ..tasks import LossMinimisation, Task
from ..tasks.base import task_of


def checked_case(case: object) -> str | Path | Feeder:
    """Name, path or feeder."""
    if not isinstance(case, Feeder | str | os.PathLike):
        raise TypeError(
            f"case must be the name of a shipped feeder, a path or a Feeder, got {type(case).__name__}"
        )
    return case if isinstance(case, Feeder | str) else Path(case)


def checked_task(task: object) -> Task:
    """The task; that of the bare environment for None. A mapping, as JSON has it, becomes the task it was."""
    if task is None:
        return LossMinimisation()
    if isinstance(task, Mapping):
        return task_of(task)
    if isinstance(task, Task):
        return task
    if isinstance(task, type) and issubclass(task, Task):
        raise TypeError(f"task is the class {task.__name__}: expected a task, so write {task.__name__}()")
    raise TypeError(f"task must be a Task such as VoltVar(), or None, got {_described(task)}")


def checked_resources(resources: object) -> list[ResourceSpec | Resource]:
    """The resources as a list. Mappings, as JSON has them, become what they were."""
    if isinstance(resources, ResourceSpec | Resource):
        name = type(resources).__name__
        raise TypeError(f"resources must be a list, got one {name}: write resources=[{name}(...)]")
    if isinstance(resources, str | Mapping) or not isinstance(resources, Iterable):
        raise TypeError(
            f"resources must be a list such as [Battery(...), PV(...)], got {_described(resources)}"
        )
    found: list[ResourceSpec | Resource] = []
    for k, given in enumerate(resources):
        item = resource_of(given) if isinstance(given, Mapping) else given
        if isinstance(item, type):
            raise TypeError(
                f"resource {k} is the class {item.__name__}: expected a resource, so write "
                f"{item.__name__}(bus, ...)"
            )
        if not isinstance(item, ResourceSpec | Resource):
            raise TypeError(
                f"resource {k} is {_described(item)}: expected Battery, PV, another ResourceSpec, or an "
                "instance of your own Resource subclass"
            )
        found.append(item)
    return found


def checked_number(name: str, value: object, low: float, high: float, hint: str = "") -> float:
    """A finite number above ``low`` and up to ``high``; TypeError for other things, ValueError outside."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {_described(value)}")
    if not low < value <= high:
        wanted = f"above {low:g}" + (f" and at most {high:g}" if np.isfinite(high) else " and finite")
        raise ValueError(f"{name} must be {wanted}, got {value!r}{hint}")
    if not np.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def checked_source(v_source_pu: object) -> float | None:
    """Voltage of the substation in per unit; kV are told apart."""
    if v_source_pu is None:
        return None
    hint = ": it is per unit of the substation's own base (1.0 is nominal), not kV"
    return checked_number("v_source_pu", v_source_pu, 0.5, 1.5, hint)


def checked_flag(name: str, value: object) -> bool:
    """True or False, nothing that stands for them."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {_described(value)}")
    return bool(value)


def checked_count(name: str, value: object, least: int = 1) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {_described(value)}")
    return int(value)


def checked_names(name: str, value: object) -> tuple[str, ...]:
    """Several names; one alone would be read letter by letter."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names, got one text: write {name}=({value!r},)")
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise TypeError(f"{name} must be a list of names, got {_described(value)}")
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"{name} must be a list of names, one of them is {_described(one)}")
    return names


def checked_options(options: object, known: Sequence[str]) -> Mapping[str, Any]:
    """What ``reset`` was given as options; ValueError for a name that it does not know."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a dict such as {{'day': 3}}, got {_described(options)}")
    unknown = [name for name in options if name not in known]
    if unknown:
        listed = " and ".join(repr(name) for name in known)
        are = "options are" if len(known) > 1 else "the only option is"
        raise ValueError(f"unknown reset option {unknown[0]!r}; {are} {listed}")
    return options


def checked_day_list(days: object) -> tuple[int, ...]:
    """Days for ``reset`` to draw from, in the order given: whole numbers, one at least."""
    if isinstance(days, str | Mapping) or not isinstance(days, Iterable):
        raise TypeError(f"days must be a list of days such as [3, 4, 5], got {_described(days)}")
    listed = list(days)
    for day in listed:
        if isinstance(day, bool | np.bool_) or not isinstance(day, int | np.integer):
            raise TypeError(f"days must be whole numbers, one of them is {_described(day)}")
    if not listed:
        raise ValueError("days is empty: reset needs a day to draw")
    return tuple(int(day) for day in listed)


def checked_days(days: Sequence[int], n_days: int) -> NDArray[np.int64]:
    """Days of the data as an array, read-only; ValueError for one that the data does not have."""
    for day in days:
        if not 0 <= day < n_days:
            raise ValueError(f"day {day} of days is outside the data: expected 0..{n_days - 1}")
    found = np.array(days, dtype=np.int64)
    found.setflags(write=False)
    return found


def _described(value: object) -> str:
    """A value in a message: its kind, and itself where that is short."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else type(value).__name__


def checked_power_flow(power_flow: object) -> PowerFlow | None:
    """What makes a `SolvedGrid`, or None; TypeError for what cannot be called."""
    if power_flow is not None and not callable(power_flow):
        raise TypeError(
            "power_flow must be a class, or a function, that makes a SolvedGrid of (network, batch, setup, "
            f"like), got {type(power_flow).__name__}"
        )
    return power_flow
