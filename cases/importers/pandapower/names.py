"""Ids of a feeder's rows from a pandapower net: its names where they are unique, else kind and index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def unique_names(net: Any, table: str, by: str | None = None) -> dict[int, str]:
    """Id of each row of a table, by its index.

    Args:
        net: the net.
        table: name of the table.
        by: column to take ids from (`origin_id` after CIM); None: `name`.
    """
    frame = net[table]
    index = [int(k) for k in frame.index]
    for column in (by, "name"):
        if column is None or column not in frame:
            continue
        names = [_text(value) for value in frame[column]]
        if all(names) and len(set(names)) == len(names):
            return dict(zip(index, names, strict=True))
    return {k: f"{table}{k}" for k in index}


def _text(value: Any) -> str:
    text = "" if value is None or value != value else str(value).strip()
    return "" if text.lower() in ("none", "nan") else text


class Taken:
    """Ids of one table of the feeder; a second use of one gets a number behind it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __call__(self, wanted: str) -> str:
        """`wanted`, or with a number behind it where that is taken."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}#{number}", number + 1
        self._taken.add(name)
        return name
