"""The planning door: what policies and planners may know of an environment, the same on every face."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..kernels import ledger
from ..resources import Fleet
from ..resources.base import ActionDim, UnitInfo
from ..resources.outlook import Outlook
from .codecs import ActionCodec
from .forecasts import Forecaster, Forecasts
from .observation_layout import Layout
from .shown import FlatForm, form_of

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...cases.profiles import Calendar, Profiles
    from ..blocks import ForecastWindow
    from ..blocks.view import ForecastSource
    from ..tasks import Task
    from .grid import Grid
    from .load_source import LoadSource
    from .scenario import Scenario

_REMEMBERED = [
    ledger.PEAK_MW, ledger.STORED_FIRST_MWH, ledger.OWED_FIRST_MWH, ledger.HIGHEST_PRICE, ledger.LOWEST_PRICE,
]  # fmt: skip
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class SoFar:
    """What settlement and demand charges remember of an episode.

    Attributes:
        peak_mw: most power taken from the upstream grid, 0 at least.
        stored_first_mwh, owed_first_mwh: at its beginning, all units together.
        highest_usd_mwh, lowest_usd_mwh: price of the whole episode, 0 at least.
    """

    peak_mw: float
    stored_first_mwh: float
    owed_first_mwh: float
    highest_usd_mwh: float
    lowest_usd_mwh: float


@dataclass(frozen=True)
class Window:
    """The next intervals of one environment, in the order of time.

    Attributes:
        t_index: (horizon,) rows of the profiles.
        dt_h: hours of an interval.
        load_p_mw, load_q_mvar: (horizon, load points) as the environment meets them, positive when consuming.
        price_usd_mwh: (horizon,).
        outlooks: of every program of the fleet, by the names that its costs and blocks have ("battery").
        so_far: of the episode; None: its task remembers nothing.
        setpoint_mw: (horizon,) power at the head that is asked for, its last one beyond the episode; None:
            none is.
    """

    t_index: IntArray
    dt_h: float
    load_p_mw: FloatArray
    load_q_mvar: FloatArray
    price_usd_mwh: FloatArray
    outlooks: Mapping[str, Outlook]
    so_far: SoFar | None = None
    setpoint_mw: FloatArray | None = None


class PlannedScenario:
    """What is played, and what comes: ``env.scenario`` of single, vector and SB3 environments.

    What all rows have in common is an attribute; what differs between them is asked by row. ``codec`` stands
    between codes of the action space and floats.
    """

    def __init__(self, grid: Callable[[int], tuple[Grid, int]], codec: ActionCodec, played: Scenario) -> None:
        """``grid``: the grid that plays a row, and the place of the row in it; ``played``: of all rows."""
        self._grid, self.codec, self._played = grid, codec, played

    @property
    def _lead(self) -> Grid:
        return self._grid(0)[0]

    @property
    def feeder(self) -> Feeder:
        """Its tables."""
        return self._lead.feeder

    @property
    def network(self) -> Any:
        """The feeder compiled: `physics.Network` or `physics.Network3`."""
        return self._lead.net

    @property
    def task(self) -> Task:
        """What is observed, rewarded and charged."""
        return self._lead.task

    @property
    def profiles(self) -> Profiles:
        """Sun, prices and sessions."""
        return self._lead.profiles

    @property
    def calendar(self) -> Calendar:
        """The time axis of the intervals that are played."""
        return self._lead.load.calendar

    @property
    def starts(self) -> IntArray:
        """(n,) intervals at which ``reset`` begins an episode: from there on it stays inside its split."""
        return self._played.starts

    @property
    def episode_steps(self) -> int:
        """Intervals of an episode."""
        return self._played.episode_steps

    @property
    def load(self) -> LoadSource:
        """Where loads come from."""
        return self._lead.load

    @property
    def fleet(self) -> Fleet:
        """The resources; their arrays are those of the environment: read, never write."""
        return self._lead.fleet

    @property
    def layout(self) -> Layout:
        """Names, units and bounds of one environment's observation."""
        return self._lead.observer.layout

    @property
    def units(self) -> tuple[UnitInfo, ...]:
        """Every unit of every resource, with its node, ratings and columns."""
        return self.fleet.units()

    def physical(self, observation: Any) -> FloatArray:
        """What an environment or a vector of them showed, at any level, as flat numbers in their units.

        Returns (n_obs,) or (rows, n_obs) float64, a row for each environment; ValueError for another size.
        """
        return self.layout.physical(self._form.as_array(observation))

    @functools.cached_property
    def _form(self) -> FlatForm:
        return form_of(self)

    @property
    def action_layout(self) -> tuple[ActionDim, ...]:
        """What each entry of an action drives."""
        return self.fleet.action_dims

    @property
    def neutral_action(self) -> NDArray[np.float32]:
        """(n_actions,) that leaves every resource alone; a copy."""
        return self.fleet.neutral_action.astype(np.float32)

    @property
    def has_solution(self) -> bool:
        """Whether :meth:`solution` tells the whole state: on a single per-phase environment."""
        return self._lead.stepper.has_solution

    def solution(self) -> Any:
        """All of the state of the interval before, a `physics.Solution3`; ValueError where it is not kept."""
        return self._lead.stepper.solution()

    def now(self, row: int = 0) -> int:
        """The interval that ``row`` decides next."""
        grid, at = self._grid(row)
        return int(grid.t_index[at])

    def forecast(self, horizon: int, *, row: int = 0) -> ForecastWindow:
        """What is forecast when ``row`` decides, as its observation shows it; the decided interval first.

        Args:
            horizon: intervals, 1 or more.
            row: of a vector environment; forecasts differ between episodes.
        """
        grid, at = self._grid(row)
        known = grid.observer.context.forecasts
        return known.window(
            int(grid.row_key[at]), int(grid.t_index[at]), operator.index(horizon),
            grid.observer.random_load[at],
        )  # fmt: skip

    @property
    def forecasts(self) -> ForecastSource:
        """Those that the environment was made with; without a forecaster they are the truth."""
        return cast(Forecasts, self._lead.observer.context.forecasts)

    def window(
        self, start: int | None = None, horizon: int | None = None, *, row: int = 0,
        forecast: Forecaster | ForecastSource | None = None,
    ) -> Window:  # fmt: skip
        """``horizon`` intervals from ``start`` on, as ``row`` will meet them, or as they are foretold to it.

        Args:
            start: interval of the calendar; None: the one that the row decides next.
            horizon: intervals; None: to the end of the row's episode.
            row: of a vector environment; what is drawn for an episode differs between rows.
            forecast: whose forecasts of loads, prices and weather, made now, stand in place of the truth;
                ``scenario.forecasts`` are those that observations show. Cars are told as they are.

        Raises:
            ValueError: the window is empty, reaches beyond the data, or is a forecast of the past.
        """
        grid, at = self._grid(row)
        now = int(grid.t_index[at])
        first = now if start is None else operator.index(start)
        n = grid.steps_left(at) if horizon is None else operator.index(horizon)
        t_index, weather = grid.intervals(first, n), None
        if forecast is None:
            p_mw, q_mvar = grid.loads(t_index, at)
            prices = grid.draws.prices(at, grid.profiles.price_usd_mwh[t_index])
        else:
            if first < now:
                raise ValueError(f"a forecast from {first} on: the row decides {now} next, what was is known")
            told = self._foretold(grid, at, now, first - now + n, forecast)
            played = slice(first - now, None)
            p_mw, q_mvar, prices = (
                told.load_p_mw[played],
                told.load_q_mvar[played],
                grid.draws.prices(at, told.price_usd_mwh[played]),
            )
            known = (("pv", told.pv), ("wind", told.wind), ("outdoor_c", told.outdoor_c))
            weather = {name: series[played] for name, series in known if series is not None}
        outlooks = grid.fleet.outlooks(t_index, at, now % grid.profiles.n_steps, weather)
        so_far, setpoint_mw = None, None
        if grid.ledger is not None:
            so_far = SoFar(*grid.ledger.memory[at, _REMEMBERED].tolist())
            if grid.ledger.signal.size:
                ahead = int(grid.step_index[at]) + first - now + np.arange(n)
                setpoint_mw = grid.ledger.signal[at, np.clip(ahead, 0, grid.ledger.steps - 1)]
        return Window(t_index, grid.dt_h, p_mw, q_mvar, prices, outlooks, so_far, setpoint_mw)

    @staticmethod
    def _foretold(
        grid: Grid, at: int, now: int, horizon: int, by: Forecaster | ForecastSource
    ) -> ForecastWindow:
        """Loads, prices and weather of the intervals from ``now`` on, as known now."""
        whose = Forecasts(grid.load, grid.profiles, by) if isinstance(by, Forecaster) else by
        drawn = grid.observer.random_load[at]
        return whose.window(int(grid.row_key[at]), now % grid.profiles.n_steps, horizon, drawn)
