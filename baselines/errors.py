"""The one exception that a run raises on purpose: its text tells the user what to do next."""

from __future__ import annotations

from collections.abc import Iterable

from ..envs.configuration.text_files import nearest


class RunError(ValueError):
    """A run that cannot start or go on as asked: unknown names, an occupied folder, bad arguments."""


def unknown(kind: str, value: str, known: Iterable[str]) -> RunError:
    """The error for a `value` that is no `kind`, suggesting the nearest of `known`."""
    return RunError(nearest(kind, value, known))


def printable(text: str) -> str:
    """`text` without what would control a terminal: a file of somebody else may say anything."""
    return "".join(character if character.isprintable() else "?" for character in text)


class RunWarning(UserWarning):
    """Something that a run did otherwise than its user may expect: what was finished is played anew."""
