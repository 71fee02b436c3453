"""Policies in scenarios: what each of them does in a world that it did not plan for, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ...errors import unknown
from ..affine import FloatArray
from .case import Excess, OverLimitsError, ScheduleCase
from .plan import PLAYED, AssetSchedule, best_schedule, replayed
from .rolling import FREE, RollingSettings, first_found, rolling_schedule
from .rules import RULES
from .worlds import Event, World, begun, world_of

OPTIMUM, MPC, DAY_AHEAD = "optimum", "mpc", "day-ahead"
#: Who is put to the test: who knew all, who plans on forecasts, who keeps the plan of the day before, rules.
STRESS_POLICIES = (OPTIMUM, MPC, DAY_AHEAD, *RULES)
#: Word of the status of an optimum where no schedule keeps all limits.
BEYOND = "beyond limits"
#: What one more policy does: of the case as it was thought to be, the world, its events, and the seed.
Player = Callable[
    [ScheduleCase, World, Sequence[Event], RollingSettings], tuple[FloatArray, FloatArray]
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a policy did in a world.

    Attributes:
        world: Of it.
        schedule: Replayed through the AC power flow of the world.
        exceeded: Limits that were broken, without those of buses that have no supply.
    """

    world: World
    schedule: AssetSchedule
    exceeded: tuple[Excess, ...]

    def measures(self) -> dict[str, float]:
        """Quantities by name; hours and energies of the whole day.

        ``violation_bus_h`` are bus-hours beyond the band (of buses and phases of a per-phase feeder),
        ``overload_branch_h`` branch-hours above the rating, ``over_cap_mwh`` energy beyond caps.
        """
        case, schedule = self.world.case, self.schedule
        kinds = [(one.kind, one.excess) for one in self.exceeded]
        return {
            "cost_usd": schedule.value_of("cost"),
            "curtailed_mwh": schedule.value_of("min-curtailment"),
            "violation_bus_h": case.dt_h * sum(kind in ("v_min", "v_max") for kind, _ in kinds),
            "overload_branch_h": case.dt_h * sum(kind == "thermal" for kind, _ in kinds),
            "over_cap_mwh": case.dt_h * sum(by for kind, by in kinds if kind in ("import", "export")),
            "unserved_mwh": self.world.unserved_mwh,
            "unmet_mwh": self.world.unmet_mwh,
            "loss_mwh": case.dt_h * float(np.sum(schedule.solution.p_loss_mw)),
            "peak_import_mw": schedule.value_of("min-peak"),
        }


#: Unit of each measure.
MEASURES = {
    "cost_usd": "USD", "curtailed_mwh": "MWh", "violation_bus_h": "h", "overload_branch_h": "h",
    "over_cap_mwh": "MWh", "unserved_mwh": "MWh", "unmet_mwh": "MWh", "loss_mwh": "MWh",
    "peak_import_mw": "MW",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class StressTest:
    """A day as it was thought to be, and the plan made for it.

    Attributes:
        nominal: The case without events.
        objective: Of plans; one of `objectives.OBJECTIVES`.
        ahead: (steps, n_assets) P and Q of the plan of the day before.
        players: Others that are put to the test, by name.
    """

    nominal: ScheduleCase
    objective: str
    ahead: tuple[FloatArray, FloatArray]
    players: Mapping[str, Player] = field(default_factory=dict)

    @classmethod
    def of(
        cls, nominal: ScheduleCase, objective: str = "cost", players: Mapping[str, Player] | None = None
    ) -> StressTest:
        """With the plan of the day before made."""
        return cls(nominal, objective, _foreseeing(nominal, objective)[:2], players or {})

    def outcome(self, policy: str, events: Sequence[Event], settings: RollingSettings) -> Outcome:
        """What a policy does where events happen.

        Args:
            policy: One of `STRESS_POLICIES`, or a name of ``players``. The optimum knows all in advance; mpc
                knows of outages when they have begun, and its forecasts are wrong as `settings` say, times
                what the events say; the plan of the day before knows of nothing; rules see the day's true
                prices and loads.
            events: Of the scenario.
            settings: Of mpc.

        Raises:
            RunError: an unknown policy.
        """
        world = _world(self.nominal, tuple(events))
        status = PLAYED
        if policy == OPTIMUM:
            p, q, status = _foreseeing(world.case, self.objective)
        elif policy == DAY_AHEAD:
            p, q = self.ahead
        elif policy == MPC:
            rolling = settings.worse(world.error_factor)

            def believed(hour: float) -> ScheduleCase:
                return _world(self.nominal, begun(events, hour)).case

            found = rolling_schedule(world.case, self.objective, rolling, believed)
            p, q = found.p_mw, found.q_mvar
        elif policy in RULES:
            p = RULES[policy](world.case)
            q = np.zeros_like(p)
        elif policy in self.players:
            p, q = self.players[policy](self.nominal, world, events, settings)
        else:
            raise unknown("policy", policy, (*STRESS_POLICIES, *self.players))
        p, q = world.heard(p, q)
        schedule = replayed(world.case, self.objective, p, q, status=status)
        return Outcome(world, schedule, _alive(world, schedule.exceeded))


#: All policies of a scenario meet the same worlds: that of all events, and those of what has begun.
_world = lru_cache(maxsize=16)(world_of)


def _foreseeing(case: ScheduleCase, objective: str) -> tuple[FloatArray, FloatArray, str]:
    """The best schedule; where none keeps the limits, the best one without caps, then without limits."""
    try:
        found = best_schedule(case, objective)
    except OverLimitsError:
        tries = {"caps": ()}, {"limits": FREE}, {"limits": FREE, "caps": ()}
        return *first_found(case, objective, tries), BEYOND
    return found.p_mw, found.q_mvar, found.status


def _alive(world: World, exceeded: Sequence[Excess]) -> tuple[Excess, ...]:
    index = world.case.net.feeder.node_index
    return tuple(
        one
        for one in exceeded
        if one.kind not in ("v_min", "v_max")
        or not world.dead[one.step, index[one.element if one.element in index else one.element[:-2]]]
    )
