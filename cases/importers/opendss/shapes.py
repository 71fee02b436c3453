"""What load shapes are worth in each step, by the rules of OpenDSS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .engine.process import Compiled

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """One load shape.

    Attributes:
        p: multipliers, or kW where they are actual.
        q: the same of reactive power; None: as `p`, and for actual ones the load's own power factor.
        hours: of the points; None: even ones.
        interval: of even points, in hours.
        edge: of even points, whether one holds until the next; else the nearest one holds. Lines join uneven
            points.
        actual: whether the values are kW and kvar.
    """

    p: Floats
    q: Floats | None
    hours: Floats | None
    interval: float
    edge: bool
    actual: bool

    def at(self, values: Floats, hours: Floats) -> Floats:
        """(n,) what values of the points are at some hours: the shape goes round and round."""
        n = len(values)
        if n == 1:
            return np.full(hours.shape, values[0])
        if self.hours is None:
            steps = hours / self.interval
            index = (np.trunc(steps) if self.edge else np.rint(steps)).astype(np.int64)
            index = np.where(index > n, index % n, index)
            return values[np.where(index == 0, n, index) - 1]
        last = self.hours[-1]
        within = np.where(hours > last, hours - np.trunc(hours / last) * last, hours)
        first = [0.0] if self.hours[0] > 0.0 else []
        return np.interp(within, [*first, *self.hours], [*first, *values])


def shapes_of(compiled: Compiled) -> dict[str, Shape]:
    """The shapes of days that the engine played, by name."""
    found = {}
    for name, one in compiled.header["shapes"].items():
        found[name] = Shape(
            compiled.real(one["p"]), compiled.real(one["q"]) if one["q"] else None,
            compiled.real(one["hours"]) if one["hours"] else None,
            float(one["interval"]), bool(one["edge"]), bool(one["actual"]),
        )  # fmt: skip
    return found


def ends_of_steps(per_day: int, n_steps: int) -> Floats:
    """(n_steps,) hours at which the steps end, for which OpenDSS solves them; rounded as OpenDSS does."""
    seconds = np.arange(n_steps) * 86_400.0 / per_day
    late = seconds % 3600.0 + 86_400.0 / per_day
    return np.asarray(seconds // 3600.0 + late // 3600.0 + late % 3600.0 / 3600.0)
