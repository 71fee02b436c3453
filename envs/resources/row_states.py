"""States of some rows: taken out of live arrays, laid side by side, and put into other rows.

A state is a tree of arrays by name, batch first; what is no array belongs to all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]


def rows_of(live: Arrays, rows: Ints | None) -> dict[str, NDArray[Any]]:
    """Copies of ``rows`` (None: all) of every array."""
    return {name: array.copy() if rows is None else array[rows] for name, array in live.items()}


def check_rows(live: Arrays, saved: Arrays, n: int, whose: str) -> None:
    """ValueError unless ``saved`` has one row, or ``n``, of each of the arrays and no others."""
    if live.keys() != saved.keys():
        odd = ", ".join(sorted(live.keys() ^ saved.keys()))
        raise ValueError(f"this state belongs to another {whose} (differs in: {odd})")
    for name, array in live.items():
        shape = np.shape(saved[name])
        if shape[1:] != array.shape[1:] or shape[0] not in (1, n):
            wanted = ", ".join(map(str, (n, *array.shape[1:])))
            raise ValueError(
                f"this state has {name} of shape {shape}, expected ({wanted}) or one row of it: it is of "
                f"another {whose}, or of other rows"
            )


def put_rows(live: Arrays, saved: Arrays, rows: Ints | None) -> None:
    """``saved`` into ``rows`` (None: all); one row of it goes to each. See `check_rows`."""
    for name, array in live.items():
        array[slice(None) if rows is None else rows] = saved[name]


def taken(state: Mapping[str, Any], at: Ints) -> dict[str, Any]:
    """The rows ``at`` of a state; one that has a single row stays as it is."""
    return {name: _taken(value, at) for name, value in state.items()}


def _taken(value: Any, at: Ints) -> Any:
    if isinstance(value, Mapping):
        return taken(value, at)
    return value[at] if isinstance(value, np.ndarray) and len(value) > 1 else value


def joined(states: Sequence[Mapping[str, Any]], order: Ints) -> dict[str, Any]:
    """One state of the rows of several; ``order``: where each row of the result stands among them all."""
    found: dict[str, Any] = {}
    for name, value in states[0].items():
        if isinstance(value, Mapping):
            found[name] = joined([state[name] for state in states], order)
        elif isinstance(value, np.ndarray):
            found[name] = np.concatenate([state[name] for state in states])[order]
        else:
            found[name] = value
    return found
