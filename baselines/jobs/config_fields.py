"""What a field of a configuration says about its place on the command line, beside type, default and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Positional:
    """The field is an argument without a name, shown as `metavar`; such fields come first."""

    metavar: str | None = None


@dataclass(frozen=True)
class DisplayedField:
    """Help shows `metavar` as the value of the option, in place of its type."""

    metavar: str


@dataclass(frozen=True)
class AlsoNamed:
    """The option has a further name on the command line, such as "--band"."""

    flag: str


def commas(value: Any) -> Any:
    """A text with commas as a tuple of its parts; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
