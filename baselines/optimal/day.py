"""The plan of an episode by the relaxation, and the least that the episode can cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ...envs.core.planning import PlannedScenario, Window
from ..errors import RunError
from .affine import FloatArray, IntArray
from .branch_flow import Demand, NetworkLimits, add_branch_flow
from .conic import Compiled, ConicSolution
from .devices import Box, Decided, Planned, check_kinds, planned_fleet
from .devices.priced import priced
from .fleet_plan import actions_of, injected, positions_of
from .program import Program
from .radial import RadialNetwork, radial_network
from .reach import Reach, add_most_losses, reachable
from .relaxed_grid import RelaxedGrid
from .rewards import PlannedEpisode, check_terms, cost_of, wants_losses
from .taps import KINDS, SwitchedDay, check_ends

_TOLERANCE = 1e-9
_CAPPED = "voltage_violation_capped_pu"
_NARROWINGS = 4  # of voltages by what inverters then give, and so on
_NONE: Decided = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class DayPlan:
    """What the relaxation says of the rest of an episode.

    Attributes:
        actions: (steps, n_actions) floats in [-1, 1].
        bound: No policy has a return above it.
        seconds: Of the solver.
    """

    actions: FloatArray
    bound: float
    seconds: float


def check_covered(scenario: PlannedScenario) -> None:
    """RunError unless feeder, devices and reward of an environment are covered by the relaxation."""
    network = radial_network(scenario.network)
    check_kinds(scenario.fleet, beside=KINDS)
    check_ends(scenario, network)
    check_terms(scenario.task.rewards)


def plan_day(scenario: PlannedScenario, row: int = 0) -> DayPlan:
    """The plan of the intervals that are left of a row's episode, as it will meet them.

    What lies outside the band counts in a step up to a ceiling, which is not convex. No step of a play is
    beyond it, and then the bound without a ceiling holds; or one is, which costs the ceiling beside what all
    else costs at the least: the lower of the two bounds holds for both.

    Generators are on and off by shares in the relaxation, and windows of flexible loads overlap. At what
    energy is worth to it these devices by themselves cost more, which the bound may count; what they do then
    is decided for the plan, and the rest is planned again beside it. So it is with whole positions.

    Raises:
        RunError: a feeder, a device or a term of the reward that the relaxation does not cover.
    """
    window = scenario.window(row=row)
    full = Relaxed(scenario, window)
    (least, decided), seconds = full.priced(), full.found.seconds
    capped = [term for term in scenario.task.rewards if term.of.name == _CAPPED and term.weight]
    if capped:
        without = Relaxed(scenario, window, leave_out=_CAPPED)
        ceiling = {**capped[0].of.parameters, **dict(capped[0].parameters)}["most_pu"]
        least = min(least, without.priced()[0] - capped[0].weight * ceiling)
        seconds += without.found.seconds
    plan = _settled(scenario, window, full, decided)
    if plan is not full:
        seconds += plan.found.seconds
    return DayPlan(plan.actions(), -least, seconds)


def plan_window(scenario: PlannedScenario, window: Window) -> FloatArray:
    """(steps, n_actions) the plan of a window, from the present on, true or foretold; nothing is proved.

    What is owed and stored is settled at the end of the window, as if the episode ended there.

    Args:
        scenario: Of the environment.
        window: Its next intervals.

    Raises:
        RunError: as `plan_day`.
    """
    return relaxed_window(scenario, window).actions()


def relaxed_window(scenario: PlannedScenario, window: Window) -> Relaxed:
    """The relaxation beside what devices decide and whole positions; arguments as `plan_window`."""
    full = Relaxed(scenario, window)
    return _settled(scenario, window, full, full.priced()[1])


def _settled(scenario: PlannedScenario, window: Window, full: Relaxed, decided: Decided) -> Relaxed:
    """The plan beside what devices decide and whole positions; the relaxation itself where there are none."""
    if not decided and not full.switched.any:
        return full
    held = full.switched.rounded(full.flow, full.found.x) if full.switched.any else None
    return Relaxed(scenario, window, decided=decided, held=held)


class Relaxed:
    """An episode as a conic program, solved.

    Attributes: ``flow`` and ``fleet`` are its columns, ``found`` the solution, ``held`` the positions.
    """

    def __init__(
        self, scenario: PlannedScenario, window: Window, *, leave_out: str | None = None,
        decided: Decided = _NONE, held: Mapping[str, FloatArray] | None = None,
    ) -> None:  # fmt: skip
        """``leave_out``: a quantity that is not charged; ``decided``: what is decided of devices; ``held``:
        positions, see `SwitchedDay`.
        """
        self._scenario, self._window = scenario, window
        self.held: Mapping[str, FloatArray] = held or {}
        self.switched = SwitchedDay(scenario, radial_network(scenario.network), window, held)
        network, program = self.switched.network, Program()
        self.fleet = planned_fleet(program, scenario.fleet, window, scenario.units, decided)
        feeding = [*self.fleet, *self.switched.bank_columns(program)]
        demand = self._demand(network)
        reach = np.zeros(network.size)
        for one in feeding:
            np.add.at(reach, self._at(network, one), one.reach_mva)
        p, q = injected(scenario, network, feeding, window.t_index.size)
        # The band and the ratings are the task's to charge, not limits of the plan.
        limits = NetworkLimits(None, None)
        self.flow = add_branch_flow(program, network, demand, p, q, limits, reach, self.switched.gains())
        moves = self.switched.add_rows(program, self.flow, demand.v_source_pu)
        reached = None if self.switched.any else self._ranges(network, demand)
        self._hold(program, reached)
        grid = RelaxedGrid(program, self.flow, scenario.task.v_band, reached)
        episode = PlannedEpisode(program, grid, self.fleet, window, moves)
        program.minimise(cost_of(episode, scenario.task.rewards, leave_out=leave_out))
        self.found = _solved(program)

    def _demand(self, network: RadialNetwork) -> Demand:
        source = self._scenario.network.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
        window = self._window
        return Demand(
            window.load_p_mw[:, network.node], window.load_q_mvar[:, network.node],
            np.repeat(source[None], window.t_index.size, axis=0),
        )  # fmt: skip

    def _at(self, network: RadialNetwork, one: Planned) -> IntArray:
        return positions_of(self._scenario, network, one)

    def _hold(self, program: Program, reach: Reach | None) -> None:
        """Inverters to what voltages allow; losses to what flows allow, where more of them would pay."""
        wasteful = wants_losses(self._window, self._scenario.task.rewards)
        network = self.flow.network
        answering = [one for one in self.fleet if one.answer is not None]
        for one in answering:
            at = self._at(network, one)
            assert one.answer is not None
            low, high = _voltages(reach, at, one.p_mw.shape)
            one.answer.add_rows(program, self.flow.v[:, at], low, high)
        band = self._scenario.task.v_band
        if reach is None:
            return
        if band is not None:  # more losses would lower voltages, too
            wasteful = wasteful | (reach.v_high.max(axis=1) > band[1] ** 2)
        if wasteful.any():
            add_most_losses(program, self.flow, reach, np.flatnonzero(wasteful))

    def _ranges(self, network: RadialNetwork, demand: Demand) -> Reach | None:
        """What voltages and flows can be, with what inverters give at these voltages; None: no bounds."""
        boxes = [one.box for one in self.fleet]
        answers = any(one.answer is not None for one in self.fleet)
        reach = None
        for _ in range(_NARROWINGS if answers else 1):
            reach = reachable(network, demand, self._together(network, boxes))
            for k, one in enumerate(self.fleet):
                if one.answer is not None:
                    boxes[k] = one.answer.box(*_voltages(reach, self._at(network, one), one.p_mw.shape))
            if reach is None:
                break
        return reach

    def _together(self, network: RadialNetwork, boxes: Sequence[Box]) -> Box:
        """(steps, m) bounds of all that is fed in at each position."""
        sums = [np.zeros((self._window.t_index.size, network.size)) for _ in range(4)]
        for one, box in zip(self.fleet, boxes, strict=True):
            at = self._at(network, one)
            for total, part in zip(sums, (box.p_low, box.p_high, box.q_low, box.q_high), strict=True):
                np.add.at(total.T, at, part.T)
        return Box(*sums)

    def priced(self) -> tuple[float, dict[str, IntArray]]:
        """The least that the episode costs, and what devices decide; see `devices.priced`."""
        more, decided = priced(self.found, self.fleet)
        return self.found.bound.value + more, decided

    def actions(self) -> FloatArray:
        """The plan in the floats of the action space."""
        steps = self._window.t_index.size
        return actions_of(self._scenario, self.fleet, self.found.x, steps, self.held)


def _voltages(reach: Reach | None, at: IntArray, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """(steps, n_units) least and most voltage, not squared."""
    if reach is None:
        return np.full(shape, 0.5), np.full(shape, 1.5)
    return np.sqrt(reach.v_low[:, at]), np.sqrt(reach.v_high[:, at])


def _solved(program: Program) -> ConicSolution:
    found = Compiled(program, tolerance=_TOLERANCE).solve()
    if not found.solved:
        raise RunError(f"the relaxation of the day ended with {found.solver_status!r}")
    return found
