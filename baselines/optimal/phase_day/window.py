"""Plans of windows on a per-phase feeder: hours ahead, and the interval that is decided now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ....envs.core.planning import PlannedScenario, Window
from ...errors import RunError
from ..affine import FloatArray, IntArray
from ..devices import Decided
from ..rolling.coarse import coarse
from ..rolling.schedule import FREE, price_of_leaving, while_there
from .fleet import Leaving
from .network import Setpoints
from .plan import searched
from .search import PhaseSearch

_INTERVAL_STEPS = 4


@dataclass(frozen=True, eq=False)
class PhaseSchedule:
    """What is planned, in intervals as they are or in longer ones.

    Attributes:
        times: Intervals of the environment in one of the plan.
        window: What it was planned for.
        actions: (long, n_actions) floats in [-1, 1].
        at: Setpoints of the plan, (long, n_units) each.
        decided: What is decided of devices that have a choice.
    """

    times: int
    window: Window
    actions: FloatArray
    at: Setpoints
    decided: Decided


def phase_schedule(
    scenario: PlannedScenario, window: Window, times: int = 1, margin_pu: float = 0.0
) -> PhaseSchedule:
    """The plan of a window, from the present on, true or foretold.

    What is owed and stored is settled at the end of the window, as if the episode ended there.

    Args:
        scenario: Of the environment.
        window: Its next intervals.
        times: Intervals that are planned as one.
        margin_pu: By how much voltages keep within the band.

    Raises:
        RunError: as `plan.plan_phase_day`.
    """
    long = coarse(window, times)
    search, _ = searched(PhaseSearch(scenario, long, margin_pu=margin_pu))
    return PhaseSchedule(times, long, search.actions(), search.at, search.held)


def decided_now(
    scenario: PlannedScenario, window: Window, schedule: PhaseSchedule, at: int, margin_pu: float = 0.0
) -> FloatArray:
    """(n_actions,) of an interval by itself, beside a schedule that says what devices with energy do.

    What sun and wind feed in and all reactive power are planned anew; storage leaves the schedule where that
    is worth more than its energy at the highest price of the day. Positions are those of the schedule.

    Args:
        scenario: Of the environment.
        window: The interval, as it is foretold.
        schedule: What was planned.
        at: Its long interval.
        margin_pu: By how much voltages keep within the band.
    """
    now = slice(at, at + 1)
    wanted = _wanted(scenario, window, schedule, at)
    start = Setpoints(wanted, schedule.at.q_mvar[now], schedule.at.position[now])
    decided = {name: chosen[now] for name, chosen in schedule.decided.items()}
    leaving = Leaving(wanted, _prices(scenario, window))
    try:
        search = PhaseSearch(scenario, window, start, decided=decided, leaving=leaving, margin_pu=margin_pu)
        search.convex_steps(_INTERVAL_STEPS, bend=True)
    except RunError:
        return schedule.actions[at].copy()
    return search.actions()[0]


def _wanted(scenario: PlannedScenario, window: Window, schedule: PhaseSchedule, at: int) -> FloatArray:
    """(1, n_units) by the schedule; what is free feeds in all it can."""
    wanted = schedule.at.p_mw[at].copy()
    for name, kind, units in _feeding(scenario, window):
        now = window.outlooks[name]
        if kind in FREE:
            wanted[units] = now.p_max_mw[0]
        else:
            told = schedule.window.outlooks[name]
            wanted[units] = while_there(wanted[units], told, at, now.p_min_mw[0], now.p_max_mw[0])
    return wanted[None]


def _prices(scenario: PlannedScenario, window: Window) -> FloatArray:
    """(n_units,) of leaving the schedule; see `price_of_leaving`."""
    prices = np.zeros(len(scenario.fleet.names))
    for _, kind, units in _feeding(scenario, window):
        prices[units] = price_of_leaving(kind, window)
    return prices


def _feeding(scenario: PlannedScenario, window: Window) -> Iterator[tuple[str, str, IntArray]]:
    """Name, kind and places in the fleet of the programs that feed in; others move the grid."""
    place = {name: k for k, name in enumerate(scenario.fleet.names)}
    for (name, told), program in zip(window.outlooks.items(), scenario.fleet.programs, strict=True):
        if told.positions is None:
            yield name, program.kind, np.array([place[unit] for unit in told.units], dtype=np.int64)
