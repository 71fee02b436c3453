"""What the faces of an environment have in common: their keywords, and what they were made with."""

from __future__ import annotations

import difflib
import functools
import inspect
import textwrap
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles
from ...physics.solved_grid import PowerFlow
from ..resources import Fleet
from ..resources.base import Resource, ResourceSpec
from ..tasks import Task
from .action_spaces import checked_action_space
from .codecs import ActionCodec
from .fixed import Fixed
from .forecasts import Forecaster
from .load_source import LoadSource
from .meters import Meter
from .options import EnvOptions, option_rows
from .randomise import Randomisation
from .scenario import Scenario, scenario

T = TypeVar("T")

#: The line of a face's docstring that becomes the list of all options.
OPTIONS_LINE = "- every field of ``EnvOptions``, or ``options=EnvOptions(...)``"


class MadeWithOptions:
    """Attributes of a face that are settled by its options: they can be read, not set."""

    options = Fixed[EnvOptions]("make another with other keywords")
    feeder = Fixed[Feeder]("make another with case=")
    net = Fixed[Any]("make another with case=")
    resources = Fixed[tuple[ResourceSpec | Resource, ...]](
        "make another with resources= (register_resource attaches one to a single environment)"
    )
    task = Fixed[Task]("make another with task=")
    split = Fixed[str]("make another with split=, or choose days by reset(options={'day': d})")
    days = Fixed[NDArray[np.int64]]("make another with days=, or choose days by reset(options={'day': d})")
    load = Fixed[LoadSource]("make another with load=")
    profiles = Fixed[Profiles]("make another with profiles= or prices=")
    load_scale = Fixed[float]("make another with load_scale=")
    v_source_pu = Fixed[float | None]("make another with v_source_pu=")
    allow_mesh_pruning = Fixed[bool | None]("make another with allow_mesh_pruning=")
    meters = Fixed[tuple[Meter, ...]]("make another with meters=")
    forecaster = Fixed[Forecaster | None]("make another with forecaster=")
    observation = Fixed[str]("make another with observation=")
    normalise = Fixed[bool]("make another with normalise=")
    power_flow = Fixed[PowerFlow | None]("make another with power_flow=")
    randomise = Fixed[Randomisation | None]("make another with randomise=")

    _scenario: Scenario
    _codec: ActionCodec

    @property
    def codec(self) -> ActionCodec:
        """Between codes of the action space and floats, one for each of ``action_layout``."""
        return self._codec

    def _bound_codec(self, fleet: Fleet) -> ActionCodec:
        space = checked_action_space(self.options.action_space)
        return space.codec(fleet.action_dims, fleet.neutral_action)

    def _settle(self, options: EnvOptions, played: Scenario | None = None) -> Scenario:
        """Take over ``options``, and the scenario they make; again where a face changes its options itself.

        ``played``: the scenario of these options, where there is one already.
        """
        played = (scenario(options) if played is None else played).equipped(options.resources)
        kind, found = type(self), {"options": options, "feeder": played.feeder, "net": played.net}
        found |= {"resources": options.resources, "task": played.task, "load": played.load}
        found |= {"split": played.split, "days": played.days, "profiles": played.profiles}
        found |= {"load_scale": options.load_scale, "v_source_pu": options.v_source_pu}
        found |= {"allow_mesh_pruning": options.allow_mesh_pruning, "power_flow": options.power_flow}
        found |= {"randomise": options.randomise}
        found |= {"meters": played.observed.meters, "forecaster": played.forecaster}
        found |= {"observation": played.observed.level, "normalise": played.observed.normalise}
        for name, value in found.items():
            getattr(kind, name).settle(self, value)
        self._scenario = played
        return played


def takes_options(face: type[T]) -> type[T]:
    """Class decorator of a face, whose ``__init__`` takes ``options`` and ``**keywords`` of ``EnvOptions``.

    Its signature and docstring show every option, an unknown keyword is a TypeError that suggests the
    nearest, and so are ``options`` beside keywords that they hold.
    """
    make: Any = face.__dict__["__init__"]
    shown = _signature(make)
    names = [name for name in shown.parameters if name != "self"]
    held = {item.name for item in fields(EnvOptions)}

    @functools.wraps(make)
    def init(self: Any, *args: Any, **keywords: Any) -> None:
        for name in keywords:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"
                raise TypeError(f"{face.__name__} has no argument {name!r}; {hint}")
        if keywords.get("options") is not None:
            if not isinstance(keywords["options"], EnvOptions):
                raise TypeError(f"options must be EnvOptions, got {type(keywords['options']).__name__}")
            beside = [*names[: len(args)], *(name for name in keywords if name in held)]
            if beside:
                raise TypeError(
                    f"options= holds {beside[0]} already: give keywords, or options=EnvOptions(...), not both"
                )
        make(self, *args, **keywords)

    init.__signature__ = shown  # type: ignore[attr-defined]
    face.__init__ = init  # type: ignore[method-assign]
    face.__doc__ = _documented(face, shown)
    return face


def _signature(make: Any) -> inspect.Signature:
    """That of ``make`` with the options in the place of ``**keywords``."""
    signature = inspect.signature(make)
    given = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    have = {p.name for p in given}
    own = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
        for f in fields(EnvOptions)
        if f.name not in have
    ]
    positional = [p for p in given if p.kind is not p.KEYWORD_ONLY]
    return signature.replace(parameters=[*positional, *own, *(p for p in given if p.kind is p.KEYWORD_ONLY)])


def _documented(face: type, shown: inspect.Signature) -> str:
    """The docstring of a face with a list of all options; ValueError where it has no place for them."""
    text = face.__doc__ or ""
    where = next((line for line in text.splitlines() if line.strip() == OPTIONS_LINE), None)
    if where is None:
        raise ValueError(f"the docstring of {face.__name__} lacks the line {OPTIONS_LINE!r}")
    indent = where[: len(where) - len(where.lstrip())]
    listed = []
    for row in option_rows():
        default = shown.parameters[row.name].default
        ending = "" if default is None else f" Default ``{default!r}``."
        line = f"- ``{row.name}``: {row.meaning}.{ending}"
        listed.append(textwrap.fill(line, 110, initial_indent=indent, subsequent_indent=f"{indent}  "))
    return text.replace(where, "\n".join(listed))
