"""How far plans keep within the band: as far as forecasts err in voltage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....envs.core.forecasts import PRACTICE, ForecastError
from ....envs.core.planning import PlannedScenario, Window
from ..affine import FloatArray
from ..radial import radial_network
from .slopes import Slopes, slopes_of


@dataclass(frozen=True)
class Errors:
    """What a planner takes forecasts to be off by; see `envs.Forecaster`.

    Attributes:
        load, pv, wind: Of each quantity, alike at all places.
        deviations: So many standard deviations of what they are worth in voltage are kept free.
        least_pu: Kept free in any case: for what straight lines leave out.
    """

    load: ForecastError
    pv: ForecastError
    wind: ForecastError
    deviations: float
    least_pu: float


#: Those of weather services, which levels of observation show.
EXPECTED = Errors(PRACTICE.load, PRACTICE.pv, PRACTICE.wind, deviations=1.5, least_pu=0.001)


class Caution:
    """Margins of voltages, place by place and interval by interval.

    A voltage is off by what all loads do to it, times the error of the load, and by what the sun and the wind
    that are foretold do to it, times theirs; these are independent of each other.

    Args:
        scenario: Of the environment.
        errors: Of its forecasts.
    """

    def __init__(self, scenario: PlannedScenario, errors: Errors) -> None:
        network = radial_network(scenario.network)
        self._network, self._errors = network, errors
        self._slopes: Slopes = slopes_of(network, np.arange(network.size))
        self._at = {unit.name: int(network.position[unit.node_row]) for unit in scenario.units}
        names = [program.kind for program in scenario.fleet.programs]
        self._kinds = names

    def margin_pu(self, window: Window, lead_h: float) -> FloatArray:
        """(steps, m) for what is decided ``lead_h`` hours after what is known."""
        network, errors = self._network, self._errors
        base = network.base_mva
        load_p, load_q = (one[:, network.node] / base for one in (window.load_p_mw, window.load_q_mvar))
        rises = 0.5 * (load_p @ self._slopes.r.T + load_q @ self._slopes.x.T)
        total = np.square(rises * errors.load.std_at(lead_h))
        for kind, told in zip(self._kinds, window.outlooks.values(), strict=True):
            if kind in ("pv", "wind"):
                at = np.array([self._at[name] for name in told.units], dtype=np.int64)
                rises = 0.5 * told.p_max_mw @ self._slopes.r[:, at].T / base
                error = errors.pv if kind == "pv" else errors.wind
                total = total + np.square(rises * error.std_at(lead_h))
        return np.asarray(errors.least_pu + errors.deviations * np.sqrt(total))
