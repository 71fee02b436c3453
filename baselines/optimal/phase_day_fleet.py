"""What a fleet can do in the intervals of a day: rows of a convex program, and actions that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...envs.core.planning import PlannedScenario, Window
from ...envs.tasks import Term
from ..errors import RunError
from .affine import Affine, FloatArray, stacked
from .devices import Planned, check_kinds, planned_fleet, undelivered_prices
from .phase_day_network import Moved
from .phase_day_terms import OF_NETWORK
from .program import Program
from .taps import KINDS

#: Terms that the devices decide by themselves.
_OF_DEVICES = (
    "throughput_mwh", "resource_cost", "energy_deficit_mwh", "energy_deficit_usd", "energy_surplus_usd",
)  # fmt: skip
_MOVES, _UNDELIVERED = "switchings", "undelivered_mwh"
#: Kinds whose power in one interval leaves the others as they are.
_MOMENTARY = ("pv", "wind", *KINDS)


def check_fleet(scenario: PlannedScenario) -> None:
    """RunError for a device without rows, or a term that nothing here values."""
    check_kinds(scenario.fleet, beside=KINDS)
    known = (*OF_NETWORK, *_OF_DEVICES, _MOVES, _UNDELIVERED)
    for term in scenario.task.rewards:
        if term.weight and term.of.name not in known:
            raise RunError(
                f"reward term {term.name!r}: {term.of.name!r} is not covered on per-phase feeders; these "
                f"are: {', '.join(known)}"
            )


class FleetRows:
    """A program with the columns and rows of a fleet.

    Attributes:
        program: It.
        p_mw, q_mvar: (steps, n_units) in the order of the fleet, as expressions.
        cost: () of the terms that devices decide by themselves.
        apart: Whether what is done in an interval leaves the others as they are.
    """

    def __init__(self, scenario: PlannedScenario, window: Window, row: int) -> None:
        self._scenario, self._window = scenario, window
        self.program = Program()
        steps = window.t_index.size
        outlooks = {kind: told for kind, told in window.outlooks.items() if told.positions is None}
        self._fleet = planned_fleet(
            self.program, outlooks, scenario.units, self._prices(), window.dt_h
        )  # fmt: skip
        none = Affine(np.zeros(steps))
        p, q = dict.fromkeys(scenario.fleet.names, none), dict.fromkeys(scenario.fleet.names, none)
        for one in self._fleet:
            for k, name in enumerate(one.names):
                p[name], q[name] = one.p_mw[:, k], one.q_mvar[:, k]
        self.p_mw, self.q_mvar = (_transposed(stacked(list(part.values()))) for part in (p, q))
        self.apart = all(program.kind in _MOMENTARY for program in scenario.fleet.programs)
        owed_mwh = float(scenario.fleet.accounts.total("owed_mwh")[row])
        self.cost = self._cost(scenario.task.rewards, owed_mwh)

    def _weight(self, quantity: str) -> float:
        return -sum(term.weight for term in self._scenario.task.rewards if term.of.name == quantity)

    def _prices(self) -> dict[str, float]:
        """Of a MWh that a car leaves without, by the station's name: what the reward makes of it."""
        own, beside = self._weight("resource_cost"), self._weight(_UNDELIVERED)
        return {k: own * price + beside for k, price in undelivered_prices(self._scenario.fleet).items()}

    def _cost(self, terms: Sequence[Term], owed_mwh: float) -> Affine:
        own, total = self._weight("resource_cost"), Affine(0.0)
        stations = set(self._prices())
        more, owed = Affine(0.0), Affine(-owed_mwh)
        through = Affine(0.0)
        for one in self._fleet:
            total = total + (one.cost if set(one.names) <= stations else own * one.cost)
            through = through + one.throughput_mwh.sum()
            more, owed = more + one.stored_more_mwh, owed + one.owed_mwh
        total = total + self._weight("throughput_mwh") * through
        return total + self._settled(-more) + self._settled(owed)

    def _settled(self, missing: Affine) -> Affine:
        """What storage holds less, or cars are owed more, is bought; the other way sold."""
        price = self._window.price_usd_mwh
        high = self._weight("energy_deficit_usd") * max(float(price.max()), 0.0)
        high += self._weight("energy_deficit_mwh")
        low = -self._weight("energy_surplus_usd") * max(float(price.min()), 0.0)
        if missing.is_number:
            value = float(missing.constant)
            return Affine(max(high * value, low * value))
        reach = float(self.program.reach_of(missing).max())
        cost = self.program.columns((), max(high, abs(low)) * reach + 1e-6)
        self.program.nonneg((cost - high * missing).reshape(1))
        self.program.nonneg((cost - low * missing).reshape(1))
        return cost

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
        for one in self._fleet:
            self._put(actions, one, x)
        return np.clip(actions, -1.0, 1.0)

    def _put(self, actions: FloatArray, one: Planned, x: FloatArray) -> None:
        units = {unit.name: unit for unit in self._scenario.units}
        p, q = one.p_mw.at(x), one.q_mvar.at(x)
        for k, name in enumerate(one.names):
            unit = units[name]
            if unit.action_p is not None:
                low, high = one.low_mw[:, k], one.high_mw[:, k]
                span = np.where(high > low, high - low, 1.0)
                actions[:, unit.action_p] = np.where(high > low, 2.0 * (p[:, k] - low) / span - 1.0, 1.0)
            if unit.action_q is not None:
                actions[:, unit.action_q] = q[:, k] / unit.q_max_mvar


def _transposed(part: Affine) -> Affine:
    """(n, m) to (m, n)."""
    n, m = part.shape
    order = np.arange(n * m).reshape(n, m).T
    return part.reshape(-1)[order.ravel()].reshape(m, n)
