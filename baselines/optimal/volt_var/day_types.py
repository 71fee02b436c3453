"""Kinds of days: by clustering days, or named by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Names of the clusters of a year.
NAMES = ("low", "medium", "peak", "high PV")
_MOST_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class DayTypes:
    """Days and their types.

    Attributes:
        names: Of the types. day: (types,) the day that stands for each: the nearest to its centre.
        days: (n,) days that were sorted. type_of: (n,) type of each.
        centre: (types, features) mean curve of load, then of sun.
    """

    names: tuple[str, ...]
    day: IntArray
    days: IntArray
    type_of: IntArray
    centre: FloatArray

    def nearest(self, load: FloatArray, sun: FloatArray) -> IntArray:
        """(n,) type of days with these curves, each (n, steps)."""
        curves = np.hstack([load, sun])
        return np.asarray(((curves[:, None] - self.centre[None]) ** 2).sum(axis=2).argmin(axis=1))


def clustered(days: Sequence[int], load: FloatArray, sun: FloatArray) -> DayTypes:
    """Four types of days by k-means on their curves of load and sun.

    The first centre is the day nearest to the mean, each further one the day furthest from those before, so
    that nothing is drawn. The cluster with the highest peak of load is "peak"; of the others the one with
    most sun for its load is "high PV", and the rest are "low" and "medium" by their load.

    Args:
        days: (n,) numbers.
        load: (n, steps) load over the nominal one.
        sun: (n, steps) share of rated power.

    Raises:
        RunError: fewer days than types that differ.
    """
    curves, n = np.hstack([load, sun]), len(NAMES)
    if len(np.unique(curves, axis=0)) < n:
        raise RunError(f"{len(curves)} days, {n} types: name days of the types, or give more that differ")
    centre, label = _k_means(curves, n)
    steps = load.shape[1]
    peak, energy = centre[:, :steps].max(axis=1), centre[:, :steps].mean(axis=1)
    order = {"peak": int(peak.argmax())}
    rest = [k for k in range(n) if k not in order.values()]
    order["high PV"] = max(rest, key=lambda k: centre[k, steps:].mean() - energy[k])
    rest = sorted((k for k in range(n) if k not in order.values()), key=lambda k: energy[k])
    order |= dict(zip(("low", "medium"), rest, strict=True))
    at = np.array([order[name] for name in NAMES])
    place = np.argsort(at)
    type_of = place[label]
    away = ((curves - centre[label]) ** 2).sum(axis=1)
    medoid = [int(np.flatnonzero(type_of == k)[away[type_of == k].argmin()]) for k in range(n)]
    numbers = np.asarray(days, dtype=np.int64)
    return DayTypes(NAMES, numbers[medoid], numbers, type_of, centre[at])


def named(given: Mapping[str, int], days: Sequence[int], load: FloatArray, sun: FloatArray) -> DayTypes:
    """Types that stand for themselves: a day each; the other days are sorted to the nearest.

    Raises:
        RunError: none, or a day that is not among ``days``.
    """
    numbers = np.asarray(days, dtype=np.int64)
    for name, day in given.items():
        if day not in numbers:
            raise RunError(f"day type {name!r}: day {day} is not one of those that are planned with")
    if not given:
        raise RunError("no day type is named")
    curves = np.hstack([load, sun])
    row = [int(np.flatnonzero(numbers == day)[0]) for day in given.values()]
    centre = curves[row]
    found = DayTypes(tuple(given), numbers[row], numbers, np.zeros(len(numbers), dtype=np.int64), centre)
    return DayTypes(found.names, found.day, numbers, found.nearest(load, sun), centre)


def _k_means(curves: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """Centres (n, features), and the nearest of each row; a centre that nobody is nearest to stays."""
    first = int(((curves - curves.mean(axis=0)) ** 2).sum(axis=1).argmin())
    chosen = [first]
    for _ in range(n - 1):
        away = ((curves[:, None] - curves[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(away.argmax()))
    centre = curves[chosen].copy()
    label = np.full(len(curves), -1)
    for _ in range(_MOST_ROUNDS):
        now = ((curves[:, None] - centre[None]) ** 2).sum(axis=2).argmin(axis=1)
        if (now == label).all():
            break
        label = now
        for k in range(n):
            if (label == k).any():
                centre[k] = curves[label == k].mean(axis=0)
    return centre, label
