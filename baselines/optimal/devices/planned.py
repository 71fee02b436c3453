"""What the units of a program do in a plan, and what their rows are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ....envs.resources.base import UnitInfo
from ....envs.resources.outlook import Outlook
from ..affine import Affine, FloatArray, IntArray, stacked
from ..program import Program

BoolArray = NDArray[np.bool_]
#: (steps,) by the name of a unit: 1 where a generator runs; of a flexible load, the number of the window in
#: which each interval lies, from 1 on, 0 outside.
Decided = Mapping[str, IntArray]
#: Of the columns' values: the floats that ask for the plan, (steps, n_units) by the quantity of the action.
Asked = Callable[[FloatArray], Mapping[str, FloatArray]]
#: No energy, no money.
NOTHING = Affine(0.0)


@dataclass(frozen=True)
class Box:
    """Bounds of power, (steps, n_units) each, MW and Mvar."""

    p_low: FloatArray
    p_high: FloatArray
    q_low: FloatArray
    q_high: FloatArray


class Answer(Protocol):
    """Units whose power answers to the voltage at their terminals, (steps, n_units) pu."""

    def box(self, v_low: FloatArray, v_high: FloatArray) -> Box:
        """What they can give where voltages are between these."""
        ...

    def add_rows(self, program: Program, v: Affine, v_low: FloatArray, v_high: FloatArray) -> None:
        """Hold power to what squared voltages ``v`` allow, which are between the squares of the others."""
        ...


class Choice(Protocol):
    """What is not convex of the units of a program: on and off, windows. Their rows relax it."""

    def least(self, prices: FloatArray) -> tuple[float, Decided] | None:
        """The least that the units can cost by themselves at prices of columns, and how.

        None: it is not known.
        """
        ...


@dataclass(frozen=True, eq=False)
class Planned:
    """What the units of one program do; (steps, n_units), MW, Mvar, positive when injecting.

    Attributes:
        names: Of the units.
        p_mw, q_mvar: Power.
        reach_mva: (n_units,) what they cannot exceed.
        box: Bounds of the power.
        asked: The actions that ask for it.
        throughput_mwh: (steps,) energy through storage of all units together; () 0 where there is none.
        stored_mwh: () what storage holds at the end, all units together; None: no storage.
        cost: () what the devices charge, in money.
        undelivered_mwh: () what cars leave without.
        owed_mwh: () what cars, loads and rooms are still to draw at the end.
        answer: Of units whose power answers to voltage; None: it does not.
        choice: What is decided beside the power; None: nothing.
        rows: First, and first no longer, of the program's groups of rows that are those of the units.
    """

    names: tuple[str, ...]
    p_mw: Affine
    q_mvar: Affine
    reach_mva: FloatArray
    box: Box
    asked: Asked
    throughput_mwh: Affine = NOTHING
    stored_mwh: Affine | None = None
    cost: Affine = NOTHING
    undelivered_mwh: Affine = NOTHING
    owed_mwh: Affine = NOTHING
    answer: Answer | None = None
    choice: Choice | None = None
    rows: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Setting:
    """What the rows of one program's units are made of.

    Attributes:
        program: Takes columns and rows.
        outlook: Of the units, over the window.
        units: Where they sit.
        rated_mw: (n_units,).
        load_p_mw: (steps, load points) of the feeder.
        price: (n_units,) of what is missing at last: energy of a car that leaves; 0 elsewhere.
        decided: What is decided of units; see `Decided`.
        dt_h: Hours of an interval.
    """

    program: Program
    outlook: Outlook
    units: tuple[UnitInfo, ...]
    rated_mw: FloatArray
    load_p_mw: FloatArray
    price: FloatArray
    decided: Decided
    dt_h: float

    @property
    def shape(self) -> tuple[int, int]:
        """Intervals and units."""
        steps, n = self.outlook.p_max_mw.shape
        return int(steps), int(n)

    @property
    def steps(self) -> int:
        """Intervals."""
        return self.shape[0]

    def controlled_q(self) -> Affine:
        """(steps, n_units) within its range, 0 where nobody controls it."""
        most = np.where([unit.action_q is not None for unit in self.units], self.outlook.q_max_mvar, 0.0)
        q = self.program.columns(self.shape, most + 1e-9)
        self.program.nonneg(most - q)
        self.program.nonneg(q + most)
        return q

    def between(self, low: FloatArray | float, high: FloatArray, reach: FloatArray | None = None) -> Affine:
        """(steps, n_units) new columns between two bounds."""
        size = np.maximum(np.abs(low), np.abs(high)) if reach is None else reach
        found = self.program.columns(self.shape, np.broadcast_to(size, self.shape) + 1e-9)
        self.program.nonneg(found - low)
        self.program.nonneg(high - found)
        return found

    def box(self, q_per_p: FloatArray | None = None) -> Box:
        """Bounds of power; ``q_per_p`` (n_units,): Q goes along with P, None: it is controlled, or 0."""
        low, high = self.outlook.p_min_mw, self.outlook.p_max_mw
        if q_per_p is not None:
            return Box(low, high, low * q_per_p, high * q_per_p)
        most = np.where([unit.action_q is not None for unit in self.units], self.outlook.q_max_mvar, 0.0)
        return Box(low, high, np.broadcast_to(-most, self.shape), np.broadcast_to(most, self.shape))

    def running(self, flow: Affine, reach: float | FloatArray) -> Affine:
        """Sums over the first axis up to each index, as columns: cumulated rows would be dense."""
        total = self.program.columns(flow.shape, reach)
        before = stacked([Affine(np.zeros(flow.shape[1:])), *(total[t] for t in range(flow.shape[0] - 1))])
        self.program.zero(before + flow - total)
        return total

    def circle(self, p: Affine, q: Affine) -> None:
        """Apparent power within its bound."""
        self.program.cone(Affine(np.broadcast_to(self.outlook.s_mva, p.shape)), p, q)

    def asked_q(self, q_mvar: FloatArray) -> FloatArray:
        """The actions that ask for reactive power."""
        most = np.array([unit.q_max_mvar for unit in self.units])
        return np.asarray(q_mvar / np.where(most > 0.0, most, 1.0))


def linear(value: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Actions from -1 at ``low`` to +1 at ``high``; +1 where both are the same."""
    wide = high > low
    return np.asarray(np.where(wide, 2.0 * (value - low) / np.where(wide, high - low, 1.0) - 1.0, 1.0))


def reactive_share(outlook: Outlook, most_mw: FloatArray) -> FloatArray:
    """(n_units,) Mvar that go with each MW at a constant power factor, from ratings."""
    return np.sqrt(np.maximum((outlook.s_mva / np.where(most_mw > 0.0, most_mw, np.inf)) ** 2 - 1.0, 0.0))
