"""What there are many kinds of, and the names by which a file tells them apart."""

from __future__ import annotations

import dataclasses
import inspect

from ..blocks import Block
from ..core.action_spaces import ActionSpace
from ..resources import ResourceSpec
from ..resources.class_names import name_of_class, ships
from ..tasks import Task

#: Bases whose subclasses are written with ``kind``.
BASES: tuple[type, ...] = (ResourceSpec, Task, Block, ActionSpace)
KIND = "kind"


def kind_of(cls: type) -> str:
    """The name by which ``kind`` knows a class."""
    return cls.__name__ if ships(cls) else name_of_class(cls)


def kinds(base: type) -> dict[str, type]:
    """The classes that ``kind`` knows where ``base`` is wanted.

    Those that `distgrid.envs` exports, and all of people's own that are imported; the last of one name
    counts, as a notebook defines it again.
    """
    from ... import envs

    found: dict[str, type] = {}
    for cls in _subclasses(base):
        shown = not ships(cls) or getattr(envs, cls.__name__, None) is cls
        if shown and not inspect.isabstract(cls) and dataclasses.is_dataclass(cls):
            found[kind_of(cls)] = cls
    return found


def _subclasses(base: type) -> list[type]:
    found: list[type] = []
    kind: type
    for kind in base.__subclasses__():
        found += [kind, *_subclasses(kind)]
    return found
