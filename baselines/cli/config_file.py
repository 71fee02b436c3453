"""Configurations of jobs that people write: YAML, TOML, JSON, and what is wrong with them in plain words."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ...envs.configuration.text_files import ConfigError, nearest, read_text_file
from ..errors import RunError
from ..jobs.job import JobConfig

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def read_config(path: Path, model: type[JobConfig]) -> dict[str, Any]:
    """The content of a file of configuration, whose keys are fields of `model`.

    RunError, naming the file, where it cannot be read, is no mapping, or has an unknown key.
    """
    try:
        text = read_text_file(path)
    except ConfigError as error:
        raise RunError(str(error)) from error
    for key in text.content:
        if key not in model.model_fields:
            raise RunError(f"{text.where((key,))}: {nearest('key', key, model.model_fields)}")
    return dict(text.content)


def checked(model: type[JobConfig], values: Mapping[str, Any], named: Mapping[str, str]) -> JobConfig:
    """The configuration with these values.

    Args:
        model: Its class.
        values: By field.
        named: How a message names a field, where not by itself: "--episodes", "file.toml: episodes".

    Raises:
        RunError: The first thing that is wrong, in plain words.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise RunError(_explained(first, named.get(field, field), model.model_fields.get(field))) from error


def _explained(error: Any, name: str, field: FieldInfo | None) -> str:
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    if error["type"] == "missing":
        return f"{name} is missing"
    wanted = "" if field is None else _wanted(field)
    if not wanted:
        return f"{name}: {error['msg']}, got {error['input']!r}"
    return f"{name} must be {wanted}, got {error['input']!r}"


def _wanted(field: FieldInfo) -> str:
    """What a field takes: "a whole number of at least 1"; empty where it is none of the plain types."""
    names = [getattr(kind, "__name__", "") for kind in alternatives(field)]
    if not names or not set(names) <= _KINDS.keys():
        return ""
    kind, bounds = " or ".join(_KINDS[name] for name in names), []
    for bound in field.metadata:
        bounds += [f"{word} {getattr(bound, name)}" for name, word in _BOUNDS.items() if hasattr(bound, name)]
    of = " of " if bounds and bounds[0].startswith("at ") else " "
    return f"{kind}{of}{' and '.join(bounds)}".rstrip()


def alternatives(field: FieldInfo) -> tuple[Any, ...]:
    """The types that a field takes, without None."""
    kind: Any = field.annotation
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(one for one in typing.get_args(kind) if one is not type(None))
    return (kind,)
