"""The policy that schedules a day whose every hour it knows: energy of batteries, cars, loads and rooms."""

from __future__ import annotations

from ... import physics
from ..errors import RunError
from ..policy import AnyEnv, FloatArray, scenario_of
from .phase_day.plan import check_phase_day, plan_phase_day
from .policy import Optimal

#: Kinds of devices that carry energy, work or ramps from one interval to the next.
SCHEDULED = ("battery", "ev", "flexible_load", "heat_pump", "data_center", "generator")


class ScheduleOptimal(Optimal):
    """Perfect foresight of the whole day, for environments whose devices carry energy from hour to hour.

    On radial balanced feeders it plays the relaxation's plan, as `Optimal` does, whose bound nobody passes;
    on per-phase feeders the best plan that a search on the power flow itself finds (`phase_day.plan`).
    """

    name = "schedule-optimal"

    def __init__(self, env: AnyEnv) -> None:
        """Look at feeder, fleet and reward.

        Raises:
            RunError: no device has anything to schedule, or something that no plan covers.
        """
        scenario = scenario_of(env)
        if not any(scenario.fleet.units(kind) for kind in SCHEDULED):
            raise RunError(
                f"{self.name} has nothing to schedule here: expected a device of kind {', '.join(SCHEDULED)}"
            )
        super().__init__(env)

    def _check(self) -> None:
        if isinstance(self._scenario.network, physics.Network3):
            check_phase_day(self._scenario)
        else:
            super()._check()

    def _planned(self, row: int) -> FloatArray:
        if isinstance(self._scenario.network, physics.Network3):
            return plan_phase_day(self._scenario, row).actions
        return super()._planned(row)
