"""Whole numbers that are cheap to judge: all combinations, or coordinates and pairs from several starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Of settings (n, k): (n,) by how much limits are broken, and (n,) what is made small.
Judge = Callable[[IntArray], tuple[FloatArray, FloatArray]]

_ROWS = 4096  # settings that are judged together


@dataclass(frozen=True, eq=False)
class Found:
    """A setting (k,), and its merit: (violation, objective), compared in this order."""

    setting: IntArray
    merit: tuple[float, float]


def n_combinations(choices: Sequence[IntArray]) -> int:
    """How many settings there are: a Python integer of any size."""
    return int(np.prod([len(values) for values in choices], dtype=object))


def best_of_all(choices: Sequence[IntArray], judge: Judge) -> Found:
    """The best of all settings; of equals the first.

    Args:
        choices: Values of each coordinate.
        judge: What is made small.
    """
    return _best(judge, _batches(itertools.product(*choices)))


def best_found(
    choices: Sequence[IntArray], judge: Judge, starts: Iterable[IntArray], reach: int | None = None,
    *, together: int = 2, least_gain: float = 0.0,
) -> Found:  # fmt: skip
    """The best over descents: coordinates until none gains, then pairs of them.

    Args:
        choices: Values of each coordinate, ascending.
        judge: What is made small.
        starts: Settings to begin at, one at least.
        reach: How many values a move of a pair goes at most, either way; None: all values are tried.
        together: How many coordinates a move changes at most, 1 or 2.
        least_gain: Part of the objective that a move has to gain, unless it breaks limits less: what is worth
            hardly anything stays where it starts.
    """
    found: Found | None = None
    for start in starts:
        one = _descend(choices, judge, start, (reach, together, least_gain))
        if found is None or _gains(one, found, least_gain):
            found = one
    assert found is not None
    return found


def _gains(new: Found, old: Found, least_gain: float) -> bool:
    """Whether limits are broken less, or as little and enough is gained."""
    if new.merit[0] != old.merit[0]:
        return new.merit[0] < old.merit[0]
    return new.merit[1] < old.merit[1] - least_gain * abs(old.merit[1])


def drawn_starts(choices: Sequence[IntArray], rng: np.random.Generator, n: int) -> Iterator[IntArray]:
    """Settings out of all."""
    for _ in range(n):
        yield np.array([rng.choice(values) for values in choices], dtype=np.int64)


def _best(judge: Judge, batches: Iterable[IntArray]) -> Found:
    found: Found | None = None
    for settings in batches:
        outside, objective = judge(settings)
        k = int(np.lexsort((objective, outside))[0])
        merit = (float(outside[k]), float(objective[k]))
        if found is None or merit < found.merit:
            found = Found(settings[k], merit)
    assert found is not None
    return found


def _batches(settings: Iterator[tuple[int, ...]]) -> Iterator[IntArray]:
    while batch := list(itertools.islice(settings, _ROWS)):
        yield np.array(batch, dtype=np.int64)


def _moved(
    choices: Sequence[IntArray], setting: IntArray, places: Sequence[int], reach: int | None
) -> Iterator[IntArray]:
    """The setting with every combination of values in some places."""
    tried = []
    for place in places:
        values = choices[place]
        if reach is not None and len(places) > 1:
            at = int(np.searchsorted(values, setting[place]))
            values = values[max(at - reach, 0) : at + reach + 1]
        tried.append(values)
    moves = np.array(list(itertools.product(*tried)), dtype=np.int64)
    rows = np.repeat(setting[None], len(moves), axis=0)
    rows[:, list(places)] = moves
    for first in range(0, len(rows), _ROWS):
        yield rows[first : first + _ROWS]


def _descend(
    choices: Sequence[IntArray], judge: Judge, start: IntArray, moves: tuple[int | None, int, float]
) -> Found:
    reach, together, least_gain = moves
    best = _best(judge, [start[None]])
    places = [place for place, values in enumerate(choices) if len(values) > 1]
    for n in range(1, together + 1):
        gained = True
        while gained:
            gained = False
            for group in itertools.combinations(places, n):
                one = _best(judge, _moved(choices, best.setting, group, reach))
                if _gains(one, best, least_gain):
                    best, gained = one, True
    return best
