"""The one exception that a run raises on purpose: its text tells the user what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RunError(ValueError):
    """A run that cannot start or go on as asked: unknown names, an occupied folder, bad arguments."""


def unknown(kind: str, value: str, known: Iterable[str]) -> RunError:
    """The error for a `value` that is no `kind`, suggesting the nearest of `known`."""
    names = list(known)
    lowered = {name.lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(value.lower(), lowered, n=1, cutoff=0.4)
    hint = f"; did you mean {lowered[near[0]]!r}?" if near else "."
    return RunError(f"unknown {kind} {value!r}{hint} Known: {', '.join(names) or 'none'}")


def printable(text: str) -> str:
    """`text` without what would control a terminal: a file of somebody else may say anything."""
    return "".join(character if character.isprintable() else "?" for character in text)


class RunWarning(UserWarning):
    """Something that a run did otherwise than its user may expect: what was finished is played anew."""
