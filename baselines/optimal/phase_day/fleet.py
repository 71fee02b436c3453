"""What a fleet can do in the intervals of a day: rows of a convex program, and actions that ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ....envs.core.planning import PlannedScenario, SoFar, Window
from ....envs.kernels.inverter_functions import NONE
from ...errors import RunError
from ..affine import Affine, FloatArray, stacked
from ..devices import Decided, Planned, planned_fleet
from ..devices.fleet import ROWS
from ..program import Program
from ..taps import KINDS
from .network import Moved
from .terms import OF_NETWORK

#: Terms that the devices decide by themselves.
_OF_DEVICES = (
    "throughput_mwh", "resource_cost", "energy_deficit_mwh", "energy_deficit_usd", "energy_surplus_usd",
)  # fmt: skip
_MOVES, _UNDELIVERED, _DEFICIT = "switchings", "undelivered_mwh", "energy_deficit_mwh"
_COVERED = (*ROWS, *KINDS)
#: Kinds whose power in one interval leaves the others as they are.
_MOMENTARY = ("pv", "wind", *KINDS)
NOTHING_DECIDED: Decided = MappingProxyType({})


def check_fleet(scenario: PlannedScenario) -> None:
    """RunError for a device without rows, or a term that nothing here values."""
    for program in scenario.fleet.programs:
        if program.kind not in _COVERED:
            raise RunError(
                f"device {program.names[0]!r} of kind {program.kind!r} is not planned on per-phase feeders; "
                f"these are: {', '.join(_COVERED)}"
            )
    known = (*OF_NETWORK, *_OF_DEVICES, _MOVES, _UNDELIVERED)
    for term in scenario.task.rewards:
        if term.weight and term.of.name not in known:
            raise RunError(
                f"reward term {term.name!r}: {term.of.name!r} is not covered on per-phase feeders; these "
                f"are: {', '.join(known)}"
            )


@dataclass(frozen=True, eq=False)
class Leaving:
    """What units are to do, and what it costs to do otherwise.

    Attributes:
        p_mw: (steps, n_units) of the fleet.
        price: (n_units,) of a MW more or less in an interval, in the reward of the task; 0: they are free.
    """

    p_mw: FloatArray
    price: FloatArray


def is_momentary(scenario: PlannedScenario) -> bool:
    """Whether what devices do in an interval leaves the others as they are, but for switching."""
    return all(program.kind in _MOMENTARY for program in scenario.fleet.programs)


class FleetRows:
    """A program with the columns and rows of a fleet.

    Attributes:
        program: It.
        p_mw, q_mvar: (steps, n_units) in the order of the fleet, as expressions.
        cost: () of the terms that devices decide by themselves.
        planned: Columns and rows of every program.
        n_columns: Of the fleet; what is added to the program has later ones.
        apart: Whether what is done in an interval leaves the others as they are.
    """

    def __init__(
        self, scenario: PlannedScenario, window: Window, decided: Decided = NOTHING_DECIDED,
        leaving: Leaving | None = None,
    ) -> None:  # fmt: skip
        """``decided``: what is decided of devices that choose; ``leaving``: what is part of the cost."""
        self._scenario, self._window = scenario, window
        self.program = Program()
        steps = window.t_index.size
        self.planned = planned_fleet(self.program, scenario.fleet, window, scenario.units, decided)
        none = Affine(np.zeros(steps))
        p, q = dict.fromkeys(scenario.fleet.names, none), dict.fromkeys(scenario.fleet.names, none)
        for one in self.planned:
            for k in _set_by_hand(one, window):
                name = one.names[k]
                p[name], q[name] = one.p_mw[:, k], one.q_mvar[:, k]
        self.p_mw, self.q_mvar = (_transposed(stacked(list(part.values()))) for part in (p, q))
        self.apart = is_momentary(scenario)
        self.cost = self._cost() + self._off(leaving)
        self.n_columns = self.program.n_columns

    def _weight(self, quantity: str) -> float:
        return -sum(term.weight for term in self._scenario.task.rewards if term.of.name == quantity)

    def _cost(self) -> Affine:
        so_far = self._window.so_far or SoFar(0.0, 0.0, 0.0, 0.0, 0.0)
        total, more, owed = Affine(0.0), Affine(0.0), Affine(-so_far.owed_first_mwh)
        if any(one.stored_mwh is not None for one in self.planned):
            more = Affine(-so_far.stored_first_mwh)
        for one in self.planned:
            total = total + self._weight("resource_cost") * one.cost
            total = total + self._weight(_UNDELIVERED) * one.undelivered_mwh
            total = total + self._weight("throughput_mwh") * one.throughput_mwh.sum()
            more, owed = (more if one.stored_mwh is None else more + one.stored_mwh), owed + one.owed_mwh
        high = self._weight("energy_deficit_usd") * so_far.highest_usd_mwh + self._weight(_DEFICIT)
        low = -self._weight("energy_surplus_usd") * so_far.lowest_usd_mwh
        return total + self._settled(-more, high, low) + self._settled(owed, high, low)

    def _settled(self, missing: Affine, high: float, low: float) -> Affine:
        """What storage holds less, or cars are owed more, is bought; the other way sold."""
        if missing.is_number:
            value = float(missing.constant)
            return Affine(max(high * value, low * value))
        reach = float(self.program.reach_of(missing).max())
        cost = self.program.columns((), max(high, abs(low)) * reach + 1e-6)
        self.program.nonneg((cost - high * missing).reshape(1))
        self.program.nonneg((cost - low * missing).reshape(1))
        return cost

    def _off(self, leaving: Leaving | None) -> Affine:
        total = Affine(0.0)
        for k in [] if leaving is None else np.flatnonzero(leaving.price).tolist():
            assert leaving is not None
            off = self.p_mw[:, k] - leaving.p_mw[:, k]
            total = (
                total
                + float(leaving.price[k]) * (self.program.positive(off) + self.program.positive(-off)).sum()
            )
        return total

    @property
    def offered_mw(self) -> FloatArray:
        """(steps, n_units) what sun and wind offer; 0 of others."""
        return self._available(0.0)

    def _available(self, otherwise: float) -> FloatArray:
        place = {name: k for k, name in enumerate(self._scenario.fleet.names)}
        most = np.full(self.p_mw.shape, otherwise)
        for told in self._window.outlooks.values():
            if told.available_mw is not None:
                most[:, [place[name] for name in told.units]] = told.p_max_mw
        return most

    def delivered(self, p_mw: FloatArray, q_mvar: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What inverters whose P nobody controls give beside this Q: all that is offered, in their circle."""
        most, p = self._available(np.nan), p_mw.copy()
        for k, unit in enumerate(self._scenario.units):
            if np.isfinite(most[:, k]).all() and unit.action_p is None:
                beside = np.sqrt(np.maximum(unit.s_mva**2 - q_mvar[:, k] ** 2, 0.0))
                p[:, k] = np.minimum(most[:, k], beside)
        return p, q_mvar

    def actions(self, x: FloatArray, moved: Sequence[Moved], position: FloatArray) -> FloatArray:
        """(steps, n_actions) floats that ask for what the columns ``x`` and positions are."""
        scenario, steps = self._scenario, self._window.t_index.size
        actions = np.repeat(scenario.neutral_action[None].astype(np.float64), steps, axis=0)
        for k, one in enumerate(moved):
            actions[:, one.action] = 2.0 * (position[:, k] - one.low) / (one.high - one.low) - 1.0
        column = {dimension.name: dimension.index for dimension in scenario.action_layout}
        for planned in self.planned:
            for quantity, asked in planned.asked(x).items():
                for k in _set_by_hand(planned, self._window):
                    name = planned.names[k]
                    if f"{name}.{quantity}" in column:
                        actions[:, column[f"{name}.{quantity}"]] = asked[:, k]
        return np.clip(actions, -1.0, 1.0)


def _set_by_hand(planned: Planned, window: Window) -> list[int]:
    """Places of the units that do not follow functions of their own."""
    told = next(told for told in window.outlooks.values() if told.units == planned.names)
    if told.functions is None:
        return list(range(len(planned.names)))
    return np.flatnonzero(told.functions.table.mode == NONE).tolist()


def _transposed(part: Affine) -> Affine:
    """(n, m) to (m, n)."""
    n, m = part.shape
    order = np.arange(n * m).reshape(n, m).T
    return part.reshape(-1)[order.ravel()].reshape(m, n)
