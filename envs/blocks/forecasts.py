"""Blocks of what is forecast when an interval is decided.

They hold what the scenario's forecaster says. At the level "oracle" the decided interval itself is in the
blocks of loads and prices, and forecasts begin behind it; without a forecaster they are the truth. At other
levels they begin with the decided interval, which is one step behind the last that is known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..resources import Fleet
from ..resources.base import check_choice, check_number
from ..resources.pv import PVProgram
from ..resources.times import forecast
from ..resources.wind import WindProgram
from .base import Block
from .view import BlockContext, BlockView, FloatArray

_ROOM_K = 10.0  # by which a forecast may leave the temperatures of the data


@dataclass(frozen=True)
class ForecastBlock(Block):
    """Something foretold: ``horizon`` entries, for 1, 2, ... steps behind the last interval that is known."""

    horizon: int = 4

    def __post_init__(self) -> None:
        who = type(self).__name__
        check_number(who, "horizon", self.horizon, 1.0, 10_000.0)
        if self.horizon != int(self.horizon):
            raise ValueError(f"{who}: horizon must be a whole number of steps, got {self.horizon!r}")

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each step ahead."""
        return self.horizon

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name and steps ahead."""
        return [f"{self.name}[+{k}]" for k in range(1, self.horizon + 1)]

    @property
    def time(self) -> str:
        """What each is for is in `times`."""
        return "forecast"

    @property
    def public(self) -> bool:
        """Weather services and markets publish them."""
        return True

    @property
    def looks_ahead(self) -> bool:
        """By its name."""
        return True

    def times(self, context: BlockContext) -> Sequence[str]:
        """Hours behind the last interval that is known."""
        ahead = [forecast(k * context.profiles.dt_h) for k in range(1, self.horizon + 1)]
        return ahead * (self.size(context.counts) // self.horizon)

    @abstractmethod
    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """(batch, horizon, things) forecasts from the decided interval on."""

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """Steps ahead, without the decided interval where it is known; thing by thing."""
        known = int(view.context.exact)
        values = self.ahead(view, self.horizon + known)[:, known:]
        out[:] = values.transpose(0, 2, 1).reshape(out.shape)


@dataclass(frozen=True)
class LoadForecast(ForecastBlock):
    """Active load, ``of`` the "feeder" as a whole or of each "point" (node; per phase: phase with a load)."""

    of: str = "feeder"
    unit = "MW"
    meaning = "active load as forecast"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("LoadForecast", "of", self.of, ("feeder", "point"))

    @property
    def name(self) -> str:
        """By what it is of."""
        return "total_load_forecast_mw" if self.of == "feeder" else "load_forecast_mw"

    @property
    def per(self) -> str | None:
        """Point by point, or not."""
        return "load" if self.of == "point" else None

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each step ahead, and point."""
        return self.horizon * (counts["load"] if self.of == "point" else 1)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Point and steps ahead."""
        if self.of == "feeder":
            return super().labels(context)
        steps = range(1, self.horizon + 1)
        return [f"{self.name}[{point},+{k}]" for point in context.names["load"] for k in steps]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Twice the largest load: errors are cut at 100 %."""
        top = 2.0 * np.maximum(context.s_load_mva, 1e-3)
        top = np.repeat(top if self.of == "point" else top.sum(keepdims=True), self.horizon)
        return -top, top

    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """Of the feeder or of each point."""
        given = (view.row_key, view.t_index, horizon, view.random_load)
        if self.of == "feeder":
            return view.forecasts.total_load_mw(*given, view.shocks_of("load", horizon))[:, :, None]
        return view.forecasts.load(*given)[0]

    def places(self, context: BlockContext) -> Sequence[str | None]:
        """Point by point."""
        if self.of == "feeder":
            return super().places(context)
        return [point for point in context.names["load"] for _ in range(self.horizon)]


class PriceForecast(ForecastBlock):
    """Energy prices."""

    name = "price_forecast_usd_mwh"
    unit = "USD/MWh"
    meaning = "energy price as forecast"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the year, and room for errors."""
        price, room = context.profiles.price_usd_mwh, context.forecasts.price_room_usd_mwh
        return float(price.min()) - room, float(price.max()) + room

    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """One price."""
        return view.forecasts.price_usd_mwh(view.row_key, view.t_index, horizon)[:, :, None]


class PVForecast(ForecastBlock):
    """Power that all PV plants of the fleet together could give."""

    name = "pv_forecast_mw"
    unit = "MW"
    meaning = "power that all PV plants could give as forecast"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """What the inverters can pass."""
        return 0.0, float(sum(program.s_mva.sum() for program in _plants(context.fleet)))

    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """One power."""
        total = np.zeros((view.t_index.size, horizon))
        for plants in _plants(view.fleet):
            of = (plants.site, plants.rated_p_mw, plants.s_mva)
            shocks = view.shocks_of("pv", horizon)
            total += view.forecasts.total_power_mw("pv", view.row_key, view.t_index, horizon, *of, shocks)
        return total[:, :, None]


def _plants(fleet: Fleet) -> list[PVProgram]:
    """The PV plants of a fleet. ValueError where there are none."""
    found = [program for program in fleet.programs if isinstance(program, PVProgram)]
    if not found:
        raise ValueError("PVForecast: the fleet has no PV plant to forecast")
    return found


class WindForecast(ForecastBlock):
    """Power that all wind turbines of the fleet together could give."""

    name = "wind_forecast_mw"
    unit = "MW"
    meaning = "power that all turbines could give as forecast"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """What the converters can pass."""
        return 0.0, float(sum(program.s_mva.sum() for program in _turbines(context.fleet)))

    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """One power."""
        total, shocks = np.zeros((view.t_index.size, horizon)), view.shocks_of("wind", horizon)
        for turbines in _turbines(view.fleet):
            of = (turbines.site, turbines.rated_p_mw, turbines.s_mva)
            total += view.forecasts.total_power_mw("wind", view.row_key, view.t_index, horizon, *of, shocks)
        return total[:, :, None]


def _turbines(fleet: Fleet) -> list[WindProgram]:
    """The wind turbines of a fleet. ValueError where there are none."""
    found = [program for program in fleet.programs if isinstance(program, WindProgram)]
    if not found:
        raise ValueError("WindForecast: the fleet has no wind turbine to forecast")
    return found


class OutdoorForecast(ForecastBlock):
    """Outdoor temperature."""

    name = "outdoor_forecast_c"
    unit = "degC"
    meaning = "outdoor temperature as forecast"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of the data, and room for errors."""
        outdoor = context.profiles.outdoor_c
        return float(outdoor.min()) - _ROOM_K, float(outdoor.max()) + _ROOM_K

    def ahead(self, view: BlockView, horizon: int) -> FloatArray:
        """One temperature."""
        return view.forecasts.outdoor_c(view.row_key, view.t_index, horizon)[:, :, None]
