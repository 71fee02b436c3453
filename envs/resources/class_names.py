"""Classes by the names under which JSON keeps what was made of them: resources, tasks, action spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_PACKAGE = __name__.partition(".resources")[0]


def ships(kind: type) -> bool:
    """Whether a class comes with this package."""
    return kind.__module__.startswith(f"{_PACKAGE}.")


def name_of_class(kind: type) -> str:
    """The name by which a class is found again; those of this package by where they are imported from."""
    return f"{_PACKAGE if ships(kind) else kind.__module__}:{kind.__qualname__}"


def made_of(base: type[T], what: str, fields: Mapping[str, Any]) -> T:
    """The instance of a subclass of `base` that had these fields, `class_name` among them, as JSON keeps it.

    TypeError where they name no class that is known in this process, or fields that it does not have.
    """
    known = {str(getattr(kind, "class_name", "")): kind for kind in _subclasses(base)}
    wanted = str(fields.get("class_name", ""))
    if wanted not in known:
        listed = ", ".join(sorted(name for name in known if name))
        raise TypeError(
            f"{what} is a mapping that names class_name {wanted!r}: expected {what} itself, or the fields of "
            f"one of {listed} (import the module of your own first)"
        )
    return known[wanted](**{name: value for name, value in fields.items() if name != "class_name"})


def _subclasses(base: type[T]) -> list[type[T]]:
    found = []
    for kind in base.__subclasses__():
        found += [kind, *_subclasses(kind)]
    return found
