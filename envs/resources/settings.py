"""Settings of devices that are dataclasses of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

C = TypeVar("C")


def settings_of(owner: str, label: str, kind: type[C], given: Any) -> C | None:
    """The settings themselves, or made of their fields, as JSON and YAML have them."""
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {field.name for field in fields(cast(Any, kind))})
        if unknown:
            raise ValueError(f"{owner}: {label} has no field {unknown[0]!r}")
        return kind(**given)
    if given is None or isinstance(given, kind):
        return given
    raise TypeError(f"{owner}: {label} must be a {kind.__name__}, got {given!r}")
