"""Pydantic models made from the fields of dataclasses: what people write is checked by what it will be.

There is no second list of fields: names, types and defaults are those of the dataclass, which also checks
itself when it is made. What there are many kinds of (devices, tasks, blocks, action spaces) is written with
``kind``, the name of the class; a class of one's own with its module: ``kind: my_module:MyDevice``.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, create_model, model_validator
from pydantic_core import PydanticCustomError

from .kinds import BASES, KIND, kinds
from .text_files import nearest

_STYLE = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
_STRICT = (bool, int, float, str)


class Special(NamedTuple):
    """How a field is written that is no plain data: its form, and what makes the value of it."""

    form: Any
    made: Callable[[Any], Any]


def written_form(cls: type, special: dict[str, Special] | None = None) -> Any:
    """The pydantic annotation of a dataclass: a mapping of its fields, which makes an instance of it.

    ``special``: fields that are written otherwise than by their types. None where a field that must be given
    has no written form.
    """
    model = _model(cls, None, special or {})
    return None if model is None else Annotated[model, AfterValidator(functools.partial(_made, cls))]


def _made(cls: type, model: BaseModel) -> Any:
    given = {name: getattr(model, name) for name in model.model_fields_set if name != KIND}
    try:
        return cls(**given)
    except TypeError as error:  # pydantic tells ValueErrors alone
        raise ValueError(str(error)) from error


def _model(cls: type, kind: str | None, special: dict[str, Special]) -> type[BaseModel] | None:
    try:
        hints = typing.get_type_hints(cls)
    except NameError:  # a class inside of a function, whose types nobody else knows
        return None
    wanted: dict[str, Any] = {} if kind is None else {KIND: (Literal[kind], ...)}
    formless: list[str] = []
    for item in dataclasses.fields(cls):
        if not item.init:
            continue
        if item.name in special:
            form: Any = _special_form(special[item.name])
        else:
            form = _form(hints[item.name])
        if form is None:
            if _required(item):
                return None
            formless.append(item.name)
            continue
        text = item.metadata.get("meaning")
        wanted[item.name] = (form, Field(... if _required(item) else None, description=text))
    names = functools.partial(_check_names, list(wanted), formless)
    check: Any = model_validator(mode="before")(names)
    made: type[BaseModel] = create_model(
        cls.__name__, __config__=_STYLE, __validators__={"check_names": check}, **wanted
    )
    return made


def _special_form(special: Special) -> Any:
    form: Any = special.form
    return Annotated[form, AfterValidator(special.made)]


def _check_names(known: list[str], formless: list[str], given: Any) -> Any:
    """Refuse unknown fields with the nearest known one, before pydantic does without."""
    for name in given if isinstance(given, dict) else ():
        if name in formless:
            raise PydanticCustomError("formless", "{name}", {"name": name})
        if name not in known:
            raise PydanticCustomError(
                "unknown_name", "{words}", {"name": str(name), "words": nearest("key", str(name), known)}
            )
    return given


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _form(hint: Any) -> Any:
    """The annotation under which a value of the type ``hint`` is written; None where it has no such form."""
    if hint in _STRICT:
        return Annotated[hint, Strict()]
    if hint is Any or hint is datetime.datetime or hint is type(None):
        return hint
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union([_form(one) for one in inner if one is not type(None)], type(None) in inner)
    if origin in (tuple, list, collections.abc.Sequence):
        return _sequence(origin, inner)
    if origin in (dict, collections.abc.Mapping):
        key, value = _form(inner[0]), _form(inner[1])
        return None if key is None or value is None else dict[key, value]  # type: ignore[valid-type]
    if inspect.isclass(hint) and origin is None:
        return _class_form(hint)
    return None


def _union(forms: list[Any], optional: bool) -> Any:
    known = [form for form in forms if form is not None]
    if not known:
        return None
    return Union[tuple([*known, None] if optional else known)]  # noqa: UP007 - made while running


def _sequence(origin: Any, inner: tuple[Any, ...]) -> Any:
    if origin is tuple and inner[-1] is not Ellipsis:
        forms = [_form(one) for one in inner]
        return None if None in forms else tuple[tuple(forms)]  # type: ignore[misc]
    form = _form(inner[0])
    return None if form is None else tuple[form, ...]  # type: ignore[valid-type]


def _class_form(cls: type) -> Any:
    if cls in BASES:
        return _one_of(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = typing.get_type_hints(cls)
        return _form(tuple[tuple(hints[name] for name in cls._fields)])  # type: ignore[misc]
    return written_form(cls) if dataclasses.is_dataclass(cls) else None


def _one_of(base: type) -> Any:
    """Any kind of a base."""
    choices = []
    for kind, cls in kinds(base).items():
        model = _model(cls, kind, {})
        if model is not None:
            choices.append(Annotated[model, AfterValidator(functools.partial(_made, cls))])
    return Annotated[Union[tuple(choices)], Field(discriminator=KIND)]  # noqa: UP007 - made while running
