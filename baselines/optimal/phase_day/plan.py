"""The plan of a whole day on a per-phase feeder, for those who know it: the best that a search finds.

Sequential convex programming on the true power flow (R. Fletcher, Practical Methods of Optimization, 1987,
chapter 14): the cost of every interval is modelled about its AC solution with slopes by adjoint sweeps, the
rows of devices hold exactly, a trust region keeps the model honest, and a step is taken where the cost
after the power flow is less. Positions of tap changers and banks are searched in turn with it. No bound is
proved: the plan is the best known, not the optimum.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ....envs.core.planning import PlannedScenario
from ..affine import FloatArray
from .fleet import check_fleet
from .network import per_phase
from .search import PhaseSearch
from .start import Start

_STEPS = 12
_ROUGH = 4  # steps before devices decide


@dataclass(frozen=True, eq=False)
class PhaseDayPlan:
    """The best plan found of the rest of an episode.

    Attributes:
        actions: (steps, n_actions) floats in [-1, 1].
        value: Its return by the power flow of the plan; what the environment pays may differ a little.
        rounds: Of the search.
        seconds: It took.
    """

    actions: FloatArray
    value: float
    rounds: int
    seconds: float


def check_phase_day(scenario: PlannedScenario) -> None:
    """RunError for a feeder, a device or a term of the reward that is not planned here."""
    check_fleet(scenario)
    per_phase(scenario)


def plan_phase_day(scenario: PlannedScenario, row: int = 0, start: Start | None = None) -> PhaseDayPlan:
    """A plan of the intervals that are left of a row's episode, as it will meet them.

    The same scenario gives the same plan, to the last bit. Devices that are on or off, or shift load within
    windows, do so by shares at first; what they decide at the prices of that plan is then held.

    Args:
        scenario: ``env.scenario`` of a per-phase environment.
        row: Of a vector environment.
        start: What somebody did on that day. The search begins with it where it is better than doing
            nothing, and ends with it where nothing better is found.

    Raises:
        RunError: a balanced feeder, a device or a term of the reward that is not covered, or a power flow
            without a solution where the search begins.
    """
    begun = time.perf_counter()
    check_fleet(scenario)
    search, rounds = searched(
        PhaseSearch(scenario, scenario.window(row=row), None if start is None else start.setpoints)
    )
    actions, value = search.actions(), -search.cost
    if start is not None and start.value > value:
        actions, value = start.actions, start.value
    return PhaseDayPlan(actions, value, rounds, time.perf_counter() - begun)


def searched(search: PhaseSearch) -> tuple[PhaseSearch, int]:
    """A search at its end, and its rounds; what devices decide at first is then held."""
    rounds = 0
    if search.choosing:
        rounds = search.run(_ROUGH)
        search.hold(search.decided())
    return search, rounds + search.run(_STEPS)
