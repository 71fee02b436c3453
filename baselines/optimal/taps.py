"""Tap changers and banks over the intervals of a day: what they can do at most, and whole positions.

The relaxation lets a tap stand between two positions and a bank feed in any part of what it has. Whole
positions are then held, and all else is planned again around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...envs.core.planning import PlannedScenario, Window
from ...envs.resources.outlook import Positions
from ...envs.resources.switched import SwitchedDevice, TapProgram
from .affine import Affine, FloatArray, IntArray, stacked
from .branch_flow import MOST_V_PU, BranchFlow, Gains
from .devices import Box, Planned
from .program import Program
from .radial import RadialNetwork, fed_by_regulators, without_banks

_LEAST_V_PU = 0.5
#: Kinds of devices that stand at whole positions.
KINDS = ("tap_changer", "capacitor_bank")


@dataclass(frozen=True, eq=False)
class _Units:
    """Units of one kind over a window; (steps, n_units) where nothing else is said.

    Attributes:
        device: Their program. stands: Where they stand when the window begins.
        low, high: The positions that they can be at.
    """

    device: SwitchedDevice
    stands: Positions
    low: FloatArray
    high: FloatArray

    @property
    def held(self) -> bool:
        """Whether all positions are given."""
        return bool((self.low == self.high).all())


def check_ends(scenario: PlannedScenario, network: RadialNetwork) -> None:
    """RunError for a tap changer that stands at the far end of its branch."""
    for program in scenario.fleet.programs:
        if isinstance(program, TapProgram):
            fed_by_regulators(network, program.rows)


class SwitchedDay:
    """What the tap changers and banks of an environment can do in a window.

    Args:
        scenario: Of the environment.
        network: Its radial form.
        window: The intervals.
        held: (steps, n_units) whole positions of each kind, by its name; None: all that can be reached.
    """

    def __init__(
        self, scenario: PlannedScenario, network: RadialNetwork, window: Window,
        held: Mapping[str, FloatArray] | None = None,
    ) -> None:  # fmt: skip
        self._of_network = network
        self.taps = self.banks = None
        for program in scenario.fleet.programs:
            if not isinstance(program, SwitchedDevice):
                continue
            own = None if held is None else held[program.kind]
            units = _units(program, window, own)
            if isinstance(program, TapProgram):
                self.taps = units
            else:
                self.banks = units
        self._day = window.t_index // scenario.calendar.steps_per_day
        feeder = network.net.feeder
        self.step_pu = self.ratio = np.empty(0)
        if self.taps is not None:
            rows = self.taps.device.rows
            self.at = fed_by_regulators(network, rows)
            self.step_pu = feeder.column("regulators", "tap_step_pu")[rows].astype(np.float64)
            self.ratio = network.net.reg_ratio[rows]
        if self.banks is not None:
            rows = self.banks.device.rows
            self.node = network.position[network.net.cap_node[rows]]
            self.mvar = network.net.cap_susceptance[rows] * network.net.base_mva

    @property
    def any(self) -> bool:
        """Whether there are tap changers or banks."""
        return self.taps is not None or self.banks is not None

    @property
    def network(self) -> RadialNetwork:
        """The network without the banks that are planned."""
        if self.banks is None:
            return self._of_network
        return without_banks(self._of_network, self.banks.device.rows)

    # -- columns and rows ----------------------------------------------------------------------------------

    def gains(self) -> Gains | None:
        """The ratios that the positions allow; None without tap changers."""
        if self.taps is None:
            return None
        low, high = ((1.0 + part * self.step_pu) / self.ratio for part in (self.taps.low, self.taps.high))
        return Gains(self.at, low, high)

    def bank_columns(self, program: Program) -> list[Planned]:
        """What the banks feed in, as devices; nothing without banks."""
        if self.banks is None:
            return []
        most = self.mvar * MOST_V_PU**2
        shape = self.banks.low.shape
        q, none = program.columns(shape, most), Affine(np.zeros(shape))
        self.q = q
        return [
            Planned(
                self.banks.device.names, none, q, most,
                Box(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.broadcast_to(most, shape)),
                lambda _: {},
            )
        ]  # fmt: skip

    def add_rows(self, program: Program, flow: BranchFlow, v_source_pu: FloatArray) -> Affine:
        """Bind positions, ratios and banks together; () what the moves cost at the least, in money.

        ``v_source_pu`` (steps, n_root).
        """
        cost = Affine(0.0)
        if self.taps is not None:
            cost = cost + self._tap_rows(program, self.taps, flow, v_source_pu)
        if self.banks is not None:
            cost = cost + self._bank_rows(program, self.banks, flow)
        return cost

    def _tap_rows(self, program: Program, taps: _Units, flow: BranchFlow, v_source_pu: FloatArray) -> Affine:
        """Where v is the source's: g^2 <= u / v <= the chord over g's range; elsewhere u has its range."""
        if taps.held:
            return _paid(taps)
        position = _position_columns(program, taps)
        network = flow.network
        root = {int(where): k for k, where in enumerate(network.root)}
        for k, fed in enumerate(self.at.tolist()):
            source = root.get(int(network.parent[fed]))
            if source is None:
                continue
            low, high = (
                (1.0 + part[:, k] * self.step_pu[k]) / self.ratio[k] for part in (taps.low, taps.high)
            )
            gain = (1.0 + position[:, k] * self.step_pu[k]) / self.ratio[k]
            squared = flow.sent[:, fed] / v_source_pu[:, source] ** 2
            program.rotated(squared, Affine(np.ones(low.size)), gain)
            program.nonneg((low + high) * gain - low * high - squared)
        return _moves(program, taps, position, self._day)

    def _bank_rows(self, program: Program, banks: _Units, flow: BranchFlow) -> Affine:
        """q = on * most * v, between the chords of the product where `on` is between 0 and 1."""
        v = flow.v[:, self.node]
        if banks.held:
            program.zero(banks.low * self.mvar * v - self.q)
            return _paid(banks)
        on = _position_columns(program, banks)
        least, most = _LEAST_V_PU**2, MOST_V_PU**2
        program.nonneg(self.q - least * self.mvar * on)
        program.nonneg(most * self.mvar * on - self.q)
        program.nonneg(self.q - self.mvar * v + most * self.mvar * (1.0 - on))
        program.nonneg(self.mvar * v - least * self.mvar * (1.0 - on) - self.q)
        return _moves(program, banks, on, self._day)

    # -- whole positions -------------------------------------------------------------------------------------

    def rounded(self, flow: BranchFlow, x: FloatArray) -> dict[str, FloatArray]:
        """(steps, n_units) the whole positions nearest to a point, as far as the units get, by kind."""
        found = {}
        if self.taps is not None:
            near = flow.v.at(x)[:, flow.network.parent[self.at]]
            gain = np.sqrt(np.maximum(flow.sent.at(x)[:, self.at], 0.0) / near)
            found["tap_changer"] = _reached(self.taps, (gain * self.ratio - 1.0) / self.step_pu, self._day)
        if self.banks is not None:
            share = self.q.at(x) / (self.mvar * flow.v.at(x)[:, self.node])
            found["capacitor_bank"] = _reached(self.banks, share, self._day)
        return found


def _units(device: SwitchedDevice, window: Window, held: FloatArray | None) -> _Units:
    stands = window.outlooks[device.kind].positions
    assert stands is not None
    if held is not None:
        return _Units(device, stands, held, held)
    steps = np.arange(1, window.t_index.size + 1)[:, None]
    away = np.where(np.isfinite(stands.max_steps), stands.max_steps, np.inf) * steps
    return _Units(
        device, stands, np.maximum(stands.low, stands.now - away), np.minimum(stands.high, stands.now + away)
    )


def _position_columns(program: Program, units: _Units) -> Affine:
    position = program.columns(units.low.shape, np.maximum(np.abs(units.low), np.abs(units.high)) + 1e-9)
    program.nonneg(units.high - position)
    program.nonneg(position - units.low)
    return position


def _moves(program: Program, units: _Units, position: Affine, day: IntArray) -> Affine:
    """Rows of limit and budget; () the price of the moves."""
    stands, moves = units.stands, units.device.moves
    steps = position.shape[0]
    before = stacked([Affine(stands.now), *(position[t] for t in range(steps - 1))])
    limited = np.flatnonzero(np.isfinite(stands.max_steps))
    if limited.size:
        step = (position - before)[:, limited]
        program.nonneg(stands.max_steps[limited] - step)
        program.nonneg(stands.max_steps[limited] + step)
    counted = np.flatnonzero(np.isfinite(moves.budget) | (moves.price > 0.0))
    if not counted.size:
        return Affine(0.0)
    step = (position - before)[:, counted]
    moved = program.columns((steps, counted.size), (stands.high - stands.low)[counted])
    program.nonneg(moved - step)
    program.nonneg(moved + step)
    for one in np.unique(day):
        left = stands.steps_left if one == day[0] else moves.budget
        for k, unit in enumerate(counted):
            if np.isfinite(left[unit]):
                program.nonneg((left[unit] - moved[np.flatnonzero(day == one), k].sum()).reshape(1))
    return (moved * moves.price[counted]).sum()


def _paid(units: _Units) -> Affine:
    moved = np.abs(np.diff(units.low, axis=0, prepend=units.stands.now[None]))
    return Affine(float((moved * units.device.moves.price).sum()))


def _reached(units: _Units, wanted: FloatArray, day: IntArray) -> FloatArray:
    """(steps, n_units) the whole positions nearest to the wanted ones that limit and budgets allow."""
    found, stands, moves = np.empty_like(wanted), units.stands, units.device.moves
    for k in range(wanted.shape[1]):
        least, most = int(stands.low[k]), int(stands.high[k])
        whole = most - least
        limit, left, budget = (
            int(min(number, whole * len(wanted)))
            for number in (min(stands.max_steps[k], whole), stands.steps_left[k], moves.budget[k])
        )
        rationed = bool(np.isfinite(moves.budget[k]))
        away = np.square(np.arange(least, most + 1) - wanted[:, k, None])
        begins = np.flatnonzero(np.diff(day)) + 1
        walk = nearest_walk(
            away, int(stands.now[k]) - least, limit, (left, budget) if rationed else None, begins
        )
        found[:, k] = walk + least
    return found


def nearest_walk(
    away: FloatArray, start: int, limit: int, budgets: tuple[int, int] | None, begins: IntArray
) -> IntArray:
    """(steps,) the walk of least total over ``away`` (steps, positions): dynamic programming.

    Args:
        away: What each position costs in each step.
        start: Position before the first step.
        limit: Most positions passed in a step.
        budgets: Most positions passed until the first and in each further day; None: any number.
        begins: Steps at which a further day begins.
    """
    steps, n = away.shape
    room = 1 if budgets is None else max(budgets) + 1
    best = np.full((room, n), np.inf)  # by positions passed since the day began, and by position
    best[0 if budgets is None else room - 1 - budgets[0], start] = 0.0
    came = np.empty((steps, room, n), dtype=np.int64)
    for t in range(steps):
        flat = np.arange(room * n).reshape(room, n)
        if budgets is not None and t in begins:
            lowest, used = best.argmin(axis=0), room - 1 - budgets[1]
            fresh, source = np.full_like(best, np.inf), flat.copy()
            fresh[used], source[used] = best[lowest, np.arange(n)], flat[lowest, np.arange(n)]
            best, flat = fresh, source
        after = np.full_like(best, np.inf)
        for move in sorted(range(-limit, limit + 1), key=abs):
            passed = 0 if budgets is None else abs(move)
            if passed >= room:
                continue
            old = best[: room - passed, max(-move, 0) : n - max(move, 0)]
            from_ = flat[: room - passed, max(-move, 0) : n - max(move, 0)]
            new = after[passed:, max(move, 0) : n - max(-move, 0)]
            where = came[t, passed:, max(move, 0) : n - max(-move, 0)]
            better = old < new
            new[better], where[better] = old[better], from_[better]
        best = after + away[t]
    at = int(best.argmin())
    walk = np.empty(steps, dtype=np.int64)
    for t in range(steps - 1, -1, -1):
        walk[t] = at % n
        at = int(came[t].flat[at])
    return walk


def put_positions(scenario: PlannedScenario, whole: Mapping[str, FloatArray], actions: FloatArray) -> None:
    """Write whole positions into (steps, n_actions) floats of the action space."""
    column = {(dim.resource_name, dim.quantity): dim.index for dim in scenario.action_layout}
    for program in scenario.fleet.programs:
        if isinstance(program, SwitchedDevice) and program.kind in whole:
            share = (whole[program.kind] - program.low) / (program.high - program.low)
            for k, name in enumerate(program.names):
                actions[:, column[name, program.quantity]] = 2.0 * share[:, k] - 1.0
