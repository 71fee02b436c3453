"""Forecasts of loads, weather and prices, with errors that grow with lead time and shrink as time goes on."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import Profiles
from ..blocks import ForecastWindow
from ..blocks.view import Shocks
from ..kernels.forecasts import forecast_totals, remember_shocks
from ..resources.base import check_number
from .chance import KeyArray, draws, stream_of
from .load_source import LoadSource, fill_checked, shipped
from .time_axis import goes_round

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_SHARED = np.array([2**32 - 1])  # number of the column whose draws all columns have in common
_CHUNK = 4096  # intervals whose loads are summed at a time


@dataclass(frozen=True)
class ForecastError:
    """How far off forecasts of one quantity are.

    The error is that of the best forecast of a first-order autoregressive process, with what is known now:
    its standard deviation for ``h`` hours ahead is ``std * sqrt(1 - exp(-2 h / hours))``.

    Attributes:
        std: standard deviation far ahead; of loads, sun and wind as share of the true value, of prices in
            USD/MWh, of the outdoor temperature in K.
        hours: time constant of the growth. Errors of neighbouring hours are alike on this scale.
        shared: correlation between columns (load points, sites), 0 to 1.
    """

    std: float
    hours: float = 6.0
    shared: float = 0.0

    def __post_init__(self) -> None:
        check_number("ForecastError", "std", self.std, 0.0, math.inf)
        check_number("ForecastError", "hours", self.hours, 0.0, math.inf, open_low=True)
        check_number("ForecastError", "shared", self.shared, 0.0, 1.0)

    def std_at(self, lead_h: float) -> float:
        """Standard deviation of the error that many hours ahead."""
        return self.std * math.sqrt(-math.expm1(-2.0 * lead_h / self.hours))


@dataclass(frozen=True)
class Forecaster:
    """How forecasts come about. Deterministic: equal arguments give equal forecasts, in every face.

    The value at lead 0 is known: at the level "oracle" of observation that is the interval that is decided
    now, else the one before it. Each later interval brings a shock that is known from then on; a forecast
    lacks the shocks between now and its interval. So a forecast that is made later, with less lead time,
    differs from the earlier one by what became known meanwhile, and meets the truth at lead 0.

    Subclass it and write `disturbed` for a model of your own.
    """

    load: ForecastError = field(default=ForecastError(0.08, 6.0))
    pv: ForecastError = field(default=ForecastError(0.25, 4.0, shared=0.7))
    price_usd_mwh: ForecastError = field(default=ForecastError(8.0, 12.0))
    wind: ForecastError = field(default=ForecastError(0.25, 8.0, shared=0.7))
    outdoor_c: ForecastError = field(default=ForecastError(2.0, 24.0))

    @property
    def random(self) -> bool:
        """Whether forecasts depend on the row's key."""
        return True

    def disturbed(
        self, quantity: str, truth: FloatArray, keys: KeyArray, t_index: IntArray, dt_h: float
    ) -> FloatArray:
        """Forecasts in place of the truth.

        Args:
            quantity: "load" (1 at every place: the factor on P and Q), "pv", "wind", "price_usd_mwh" or
                "outdoor_c".
            truth: (rows, leads, columns) for the intervals of ``t_index``.
            keys: (rows,) of the episodes.
            t_index: (rows, leads) rows of the profiles, the first known.
            dt_h: length of a step.
        """
        model: ForecastError = getattr(self, quantity)
        error = errors(model, stream_of(f"forecast {quantity}"), truth.shape, keys, t_index, dt_h)
        if quantity in ("price_usd_mwh", "outdoor_c"):
            return truth + error
        return np.asarray(truth * (1.0 + np.clip(error, -1.0, 1.0)))


def errors(
    model: ForecastError, stream: int, shape: tuple[int, ...], keys: KeyArray, t_index: IntArray, dt_h: float
) -> FloatArray:
    """(rows, leads, columns) of errors: 0 at the first lead, then shock upon shock, each fading."""
    _, leads, n = shape
    out = np.zeros(shape)
    if model.std == 0.0 or leads < 2:
        return out
    who, when = np.repeat(keys, leads), t_index.ravel()
    shock = math.sqrt(1.0 - model.shared) * draws(who, when, stream, np.arange(n))[0]
    if model.shared:
        shock += math.sqrt(model.shared) * draws(who, when, stream, _SHARED)[0]
    shock = shock.reshape(shape) * model.std_at(dt_h)
    kept = math.exp(-dt_h / model.hours)
    for lead in range(1, leads):
        out[:, lead] = kept * out[:, lead - 1] + shock[:, lead]
    return out


def checked_forecaster(forecaster: object) -> Forecaster | None:
    """The forecaster; a mapping, as JSON has it, becomes what it was. TypeError for other things."""
    if forecaster is None or isinstance(forecaster, Forecaster):
        return forecaster
    if isinstance(forecaster, Mapping):
        parts = {k: ForecastError(**v) if isinstance(v, Mapping) else v for k, v in forecaster.items()}
        return Forecaster(**parts)
    raise TypeError(f"forecaster must be a Forecaster or None, got {type(forecaster).__name__}")


_CERTAIN = ForecastError(0.0, shared=1.0)


#: What levels of observation show where no forecaster is given: errors of the weather, alike at all places;
#: prices of the day ahead are known.
PRACTICE = Forecaster(
    ForecastError(0.08, 6.0, shared=1.0), ForecastError(0.25, 4.0, shared=1.0), ForecastError(0.0)
)


class Forecasts:
    """The forecasts of a scenario; without a forecaster they are the truth.

    ``exact``: whether the interval that is decided is known. Else what is known is the one before, and the
    forecast of the decided interval has the error of one step.
    """

    def __init__(
        self, load: LoadSource, profiles: Profiles, forecaster: Forecaster | None, exact: bool = True
    ) -> None:
        self._load, self._profiles, self.exact = load, profiles, exact
        self._forecaster = PRACTICE if forecaster is None and not exact else forecaster
        self._shipped, self.goes_round = shipped(load), goes_round(profiles, load)

    @property
    def random(self) -> bool:
        """Whether they depend on the row's key."""
        return self._forecaster is not None and self._forecaster.random

    @property
    def n_random_load(self) -> int:
        """Numbers that the load draws for each episode."""
        return self._load.n_random

    @property
    def price_room_usd_mwh(self) -> float:
        """How far forecast prices may lie outside those of the year: five standard deviations."""
        return 0.0 if self._forecaster is None else 5.0 * self._forecaster.price_usd_mwh.std

    def window(
        self, row_key: int, t_index: int, horizon: int, random: FloatArray | None = None
    ) -> ForecastWindow:
        """Forecasts made when interval ``t_index`` is decided, of it and of those behind it.

        Args:
            row_key: of the episode, ``env.grid.row_key[row]``.
            t_index: row of the profiles. A year goes round; other data hold at their end.
            horizon: number of intervals, 1 or more.
            random: (n_random,) what a random load drew for the episode.
        """
        keys, now = np.array([row_key], dtype=np.uint64), np.array([t_index])
        random_row = None if random is None else random[None]
        p, q = self.load(keys, now, horizon, random_row)
        price, pv = self.price_usd_mwh(keys, now, horizon), self.pv(keys, now, horizon)
        has = self._profiles.has
        wind = self.wind(keys, now, horizon)[0] if has("wind") else None
        outdoor_c = self.outdoor_c(keys, now, horizon)[0] if has("outdoor_c") else None
        return ForecastWindow(self._ahead(now, horizon)[0], p[0], q[0], price[0], pv[0], wind, outdoor_c)

    def load(
        self, keys: KeyArray, t_index: IntArray, horizon: int, random: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """(rows, horizon, load points) of MW and of MVAr."""
        ahead = self._ahead(t_index, horizon)
        shape = (*ahead.shape, self._load.s_max_mva.size)
        p, q = np.empty((2, ahead.size, shape[2]))
        if self._shipped is not None:
            self._shipped.fill_rows(ahead.ravel(), p, q)
        else:
            if self._load.n_random and random is None:
                raise ValueError(f"{type(self._load).__name__} is random: say what the episode drew, random=")
            random_row = np.zeros((ahead.size, 0)) if random is None else np.repeat(random, horizon, axis=0)
            fill_checked(self._load, ahead.ravel(), random_row, p, q)
        factor = self._disturbed("load", np.ones(shape), keys, ahead)
        return p.reshape(shape) * factor, q.reshape(shape) * factor

    def total_load_mw(
        self, keys: KeyArray, t_index: IntArray, horizon: int, random: FloatArray | None = None,
        shocks: Shocks | None = None,
    ) -> FloatArray:  # fmt: skip
        """(rows, horizon) of MW of all load points together; ``shocks`` spares draws where time goes on."""
        if self._shipped is None or not self._sums("load", points=True):
            return np.asarray(self.load(keys, t_index, horizon, random)[0].sum(axis=2))
        of = (self._total_mw, np.zeros(1, dtype=np.int64), np.ones(1), np.full(1, np.inf))
        return self._totals("load", keys, t_index, horizon, *of, shocks)

    def total_power_mw(
        self, source: str, keys: KeyArray, t_index: IntArray, horizon: int, site: IntArray, p_mw: FloatArray,
        s_mva: FloatArray, shocks: Shocks | None = None,
    ) -> FloatArray:  # fmt: skip
        """(rows, horizon) of MW that plants could give: each its rated ``p_mw``, at most ``s_mva``.

        ``source``: "pv" or "wind".
        """
        if not self._sums(source):
            sites = getattr(self, source)(keys, t_index, horizon)
            return np.asarray(np.minimum(sites[:, :, site] * p_mw, s_mva).sum(axis=2))
        table = self._per_rating[source]
        return self._totals(source, keys, t_index, horizon, table, site, p_mw, s_mva, shocks)

    def price_usd_mwh(self, keys: KeyArray, t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon)."""
        ahead = self._ahead(t_index, horizon)
        truth = np.asarray(self._profiles.price_usd_mwh[ahead], dtype=np.float64)[:, :, None]
        return self._disturbed("price_usd_mwh", truth, keys, ahead)[:, :, 0]

    def pv(self, keys: KeyArray, t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon, sites) of output per unit of rated power."""
        ahead = self._ahead(t_index, horizon)
        return self._disturbed("pv", np.asarray(self._profiles.pv[ahead], dtype=np.float64), keys, ahead)

    def wind(self, keys: KeyArray, t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon, wind sites) of output per unit of rated power."""
        ahead = self._ahead(t_index, horizon)
        return self._disturbed("wind", np.asarray(self._profiles.wind[ahead], dtype=np.float64), keys, ahead)

    def outdoor_c(self, keys: KeyArray, t_index: IntArray, horizon: int) -> FloatArray:
        """(rows, horizon) degC."""
        ahead = self._ahead(t_index, horizon)
        truth = np.asarray(self._profiles.outdoor_c[ahead], dtype=np.float64)[:, :, None]
        return self._disturbed("outdoor_c", truth, keys, ahead)[:, :, 0]

    def _ahead(self, t_index: IntArray, horizon: int) -> IntArray:
        """(rows, horizon) intervals; behind the last there is the first of a whole year, or it stays."""
        ahead = np.asarray(t_index)[:, None] + np.arange(horizon)
        last = self._profiles.n_steps - 1
        return ahead % (last + 1) if self.goes_round else np.minimum(ahead, last)

    def _disturbed(self, quantity: str, truth: FloatArray, keys: KeyArray, ahead: IntArray) -> FloatArray:
        if self._forecaster is None:
            return truth
        dt_h, disturbed = self._profiles.dt_h, self._forecaster.disturbed
        if self.exact:
            return disturbed(quantity, truth, keys, ahead, dt_h)
        before = np.concatenate([ahead[:, :1] - 1, ahead], axis=1)  # what is known is one interval older
        padded = np.concatenate([truth[:, :1], truth], axis=1)
        return disturbed(quantity, padded, keys, before, dt_h)[:, 1:]

    def _sums(self, quantity: str, points: bool = False) -> bool:
        """Whether one compiled call knows the sum over places; ``points``: only where errors are alike."""
        if self._forecaster is None:
            return True
        model: ForecastError = getattr(self._forecaster, quantity)
        return type(self._forecaster) is Forecaster and (not points or model.shared == 1.0 or not model.std)

    def _totals(
        self, quantity: str, keys: KeyArray, t_index: IntArray, horizon: int, table: FloatArray,
        column: IntArray, scale: FloatArray, limit: FloatArray, shocks: Shocks | None,
    ) -> FloatArray:  # fmt: skip
        model, dt_h = getattr(self._forecaster, quantity, _CERTAIN), self._profiles.dt_h
        out, stream = np.empty((t_index.size, horizon)), stream_of(f"forecast {quantity}")
        drawn = Shocks(t_index.size, horizon) if shocks is None else shocks
        if model.std and model.shared:
            remember_shocks(
                keys, t_index, table.shape[0], self.goes_round, stream, int(_SHARED[0]), drawn.of_key,
                drawn.of_t, drawn.values,
            )  # fmt: skip
        forecast_totals(
            keys, t_index, self.exact, self.goes_round, table, column, scale, limit,
            stream, model.shared, model.std_at(dt_h), math.exp(-dt_h / model.hours), drawn.values,
            np.empty(column.size), out,
        )  # fmt: skip
        return out

    @functools.cached_property
    def _per_rating(self) -> dict[str, FloatArray]:
        """(n_steps, sites) of output per unit of rated power, of each source that the profiles have."""
        held = [name for name in ("pv", "wind") if self._profiles.has(name)]
        return {n: np.ascontiguousarray(getattr(self._profiles, n), dtype=np.float64) for n in held}

    @functools.cached_property
    def _total_mw(self) -> FloatArray:
        """(n_steps, 1) MW of all load points together."""
        n, points = self._profiles.n_steps, self._load.s_max_mva.size
        total = np.empty((n, 1))
        for first in range(0, n, _CHUNK):
            t_index = np.arange(first, min(first + _CHUNK, n))
            p, q = np.empty((2, t_index.size, points))
            self._load.fill(t_index, p, q)
            total[t_index, 0] = p.sum(axis=1)
        return total
