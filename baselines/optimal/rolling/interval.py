"""The interval that is decided now, beside a schedule: reactive power, curtailment, on what is known now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....envs.core.planning import PlannedScenario, Window
from ..affine import Affine, FloatArray, IntArray
from ..conic import Compiled
from ..devices import Planned, planned_fleet
from ..fleet_plan import actions_of, injected, positions_of
from ..program import Program
from ..radial import radial_network
from ..rewards import PlannedEpisode, cost_of, wants_losses
from .caution import Caution
from .linear_grid import LinearGrid
from .schedule import FREE, Schedule, price_of_leaving
from .settings import settings_of
from .slopes import State, slopes_of, state_of

_ENDS_PU = (0.8, 1.2)  # voltages between which inverters answer
_TOLERANCE = 1e-7
Fed = tuple[FloatArray, FloatArray]


class IntervalDispatch:
    """Decides one interval after the other on the feeder, linearised around its AC power flow.

    What sun and wind feed in and all reactive power are planned anew, in the reward of the task. All other
    power is that of the schedule; storage leaves it where that is worth more than its energy at the highest
    price of the day.

    Args:
        scenario: Of the environment; what `day.check_covered` lets pass.
        caution: How far voltages keep within the band.
    """

    def __init__(self, scenario: PlannedScenario, caution: Caution) -> None:
        self._scenario, self._caution = scenario, caution
        network = radial_network(scenario.network)
        rows = np.array([unit.node_row for unit in scenario.units], dtype=np.int64)
        at = np.unique(network.position[rows])
        self._slopes = slopes_of(network, at[at >= 0])

    def action(self, window: Window, schedule: Schedule, at: int, lead_h: float) -> FloatArray:
        """(n_actions,) floats in [-1, 1]; the schedule's where this interval has no plan of its own.

        Args:
            window: The interval that is decided, as it is foretold.
            schedule: What was planned; ``at``: its long interval.
            at: See ``schedule``.
            lead_h: Hours between what is known and the interval.
        """
        scenario, program = self._scenario, Program()
        decided = {name: on[at : at + 1] for name, on in schedule.on.items()}
        fleet = planned_fleet(program, scenario.fleet, window, scenario.units, decided)
        held = {kind: positions[at : at + 1] for kind, positions in schedule.held.items()}
        wanted = self._wanted(window, schedule, at)
        fed = self._fed(fleet, wanted)
        settings = settings_of(scenario, held)
        state = state_of(self._slopes, window.load_p_mw, window.load_q_mvar, fed, settings)
        if not state.converged:
            return np.asarray(schedule.actions[at])
        grid = self._grid(program, fleet, window, (fed, state), lead_h)
        for one in fleet:
            if one.answer is not None:
                ends = (np.full(one.p_mw.shape, end) for end in _ENDS_PU)
                one.answer.add_rows(program, grid.squared_voltages(self._at(one)), *ends)
        episode = PlannedEpisode(program, grid, fleet, _peaked(window, schedule), Affine(0.0))
        cost = cost_of(episode, scenario.task.rewards)
        program.minimise(cost + self._leaving(program, fleet, window, wanted))
        found = Compiled(program, tolerance=_TOLERANCE).solve()
        if not found.solved:
            return np.asarray(schedule.actions[at])
        return np.asarray(actions_of(scenario, fleet, found.x, 1, held)[0])

    def _kinds(self, window: Window) -> dict[str, str]:
        """By the name of each program that feeds in, in their order."""
        programs = self._scenario.fleet.programs
        told = zip(window.outlooks.items(), programs, strict=True)
        return {name: one.kind for (name, outlook), one in told if outlook.positions is None}

    def _wanted(self, window: Window, schedule: Schedule, at: int) -> list[FloatArray]:
        """(n_units,) of each program: what it feeds in by the schedule, or where it is free at most."""
        found = []
        for name, kind in self._kinds(window).items():
            told = window.outlooks[name]
            low, high = told.p_min_mw[0], told.p_max_mw[0]
            found.append(high if kind in FREE else schedule.power_mw(name, at, low, high))
        return found

    def _fed(self, fleet: list[Planned], wanted: list[FloatArray]) -> Fed:
        """(1, d) each."""
        p = np.zeros(self._slopes.network.size)
        for one, power in zip(fleet, wanted, strict=True):
            np.add.at(p, self._at(one), power)
        return p[None, self._slopes.at], np.zeros((1, self._slopes.at.size))

    def _at(self, one: Planned) -> IntArray:
        return positions_of(self._scenario, self._slopes.network, one)

    def _grid(
        self, program: Program, fleet: list[Planned], window: Window, around: tuple[Fed, State], lead_h: float
    ) -> LinearGrid:
        network, at, (base, state) = self._slopes.network, self._slopes.at, around
        change, most = [], []
        for fed, from_ in zip(injected(self._scenario, network, fleet, 1), base, strict=True):
            differs = (fed[:, at] - from_) / network.base_mva
            reach = program.reach_of(differs) + 1e-9
            columns = program.columns(reach.shape, reach)
            program.zero(columns - differs)
            change.append(columns)
            most.append(reach)
        task = self._scenario.task
        return LinearGrid(
            program, self._slopes, state, (change[0], change[1]), (most[0], most[1]),
            wants_losses(window, task.rewards), task.v_band, self._caution.margin_pu(window, lead_h),
        )  # fmt: skip

    def _leaving(
        self, program: Program, fleet: list[Planned], window: Window, wanted: list[FloatArray]
    ) -> Affine:
        """() what it costs to leave the schedule."""
        total = Affine(0.0)
        for kind, one, power in zip(self._kinds(window).values(), fleet, wanted, strict=True):
            price = price_of_leaving(kind, window)
            if not price:
                continue
            off = one.p_mw - power
            size = program.columns(off.shape, program.reach_of(off) + 1e-9)
            program.nonneg(size - off)
            program.nonneg(size + off)
            total = total + price * size.sum()
        return total


def _peaked(window: Window, schedule: Schedule) -> Window:
    """A peak that is planned for later is no reason to shave one that is lower now."""
    if window.so_far is None:
        return window
    peak = max(window.so_far.peak_mw, schedule.peak_mw)
    return replace(window, so_far=replace(window.so_far, peak_mw=peak))
