"""One asset as a row of tables, and numbers that come back from it bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....cases.assets import CostCurve

Cells = dict[str, Any]
#: Points of a cost curve: MW and USD/h.
Points = tuple[tuple[float, float], ...]
#: Hours of arrival and departure, MWh.
Sessions = tuple[tuple[float, float, float], ...]


class CellError(ValueError):
    """A cell that a resource of an environment cannot have.

    Attributes:
        column: where it stands.
        expected: what would do.
    """

    def __init__(self, column: str, expected: str) -> None:
        super().__init__(f"{column}: expected {expected}")
        self.column, self.expected = column, expected


@dataclass(frozen=True)
class Row:
    """An asset as it was read.

    Attributes:
        cells: values by column; what nothing stands in is left out.
        controls: which of P and Q follow setpoints: letters of "pq".
        curve: what power costs.
        sessions: of a charging station.
        settings: fields of the resource that no column has.
    """

    cells: Mapping[str, Any]
    controls: str
    curve: CostCurve | None
    sessions: Sessions
    settings: Mapping[str, Any]

    def number(self, column: str, default: float | None = None) -> float | None:
        """What stands in a column."""
        found = self.cells.get(column, default)
        return None if found is None else float(found)

    def power(self, column: str) -> float:
        """What stands in a column of power. CellError where nothing does."""
        found = self.number(column)
        if found is None:
            raise CellError(column, "a number, as resources of environments have ratings that do not change")
        return found

    def slope(self, positive: bool) -> float | None:
        """USD/MWh of the one line on a side of 0 MW; None without a curve.

        Raises:
            CellError: a curve that is not one line on that side, or not 0 at 0 MW.
        """
        if self.curve is None:
            return None
        power, cost = self.curve.p_mw, self.curve.cost_usd_per_h
        side = power > 0.0 if positive else power < 0.0
        at_zero = cost[power == 0.0]
        if at_zero.size != 1 or at_zero[0] != 0.0:
            raise CellError("cost_curve_id", "a curve through 0 MW, 0 USD/h")
        if not side.any():
            return 0.0
        slopes = cost[side] / power[side]
        if slopes.max() - slopes.min() > 1e-9 * np.abs(slopes).max():
            raise CellError("cost_curve_id", "a curve that is one line on each side of 0 MW")
        return decimal(float(slopes[0]))


@dataclass(frozen=True)
class Written:
    """A resource as it is written.

    Attributes:
        cells: values by column.
        points: of its cost curve; empty: none.
        sessions: of a charging station.
    """

    cells: Cells
    points: Points = ()
    sessions: Sessions = field(default=())


def decimal(number: float) -> float:
    """The number of twelve digits that is next to a quotient, where only rounding lies between them.

    0.22 / 0.5 and 0.484 / 1.1 are then both 0.44, as they were when somebody wrote them.
    """
    short = float(f"{number:.12g}")
    return short if abs(short - number) <= 4.0 * math.ulp(number) else number


def that_gives(wanted: float, first: float, back: Callable[[float], float]) -> float:
    """A number next to ``first`` from which ``back`` makes ``wanted`` exactly; ``first`` where none does."""
    below = above = first
    for _ in range(4):
        for one in (below, above):
            if back(one) == wanted:
                return one
        below, above = math.nextafter(below, -math.inf), math.nextafter(above, math.inf)
    return first
