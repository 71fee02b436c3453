"""Profiles made from others: in other steps, on some of the days, or with series of the user's own."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from .calendar import HOURS_PER_DAY, MODEL_YEAR, Calendar
from .resampling import TimeSeries, resample
from .splits import checked_set, split_days
from .store import OUTDOOR_RANGE_C, Profiles, load_profiles
from .tables import frozen
from .tariffs import find_tariff
from .vehicles import ChargerDays

Array = NDArray[np.float64]
_DAY = datetime.timedelta(days=1)


def derived(base: Profiles, calendar: Calendar) -> Profiles:
    """`base` in the steps and on the days of `calendar`, or itself where that is what it has.

    Raises:
        ValueError: no whole days from midnight, or days that `base` does not have.
    """
    if calendar == base.calendar:
        return base
    if not calendar.whole_days:
        raise ValueError(f"profiles must cover whole days from midnight, not {calendar}")
    if calendar.start < base.calendar.start or calendar.end > base.calendar.end:
        raise ValueError(f"{calendar} is outside these profiles, which cover {base.calendar}")
    return _kept(base, calendar, base.splits)


def with_splits(base: Profiles, splits: str) -> Profiles:
    """`base` with another set of splits; see `Profiles.with_splits`."""
    if checked_set(splits) == base.splits:
        return base
    if not base.has_splits:
        raise ValueError(
            f"splits={splits!r} are days of the shipped year {MODEL_YEAR.start.year}, and these profiles "
            f"cover {base.calendar}: name days by SeriesLoad(splits=...), or list them: days="
        )
    return _kept(base, base.calendar, splits)


def _kept(base: Profiles, calendar: Calendar, splits: str) -> Profiles:
    """The series of `base` on another calendar or with other splits; the same object for the same request."""
    own = base.own_series()
    return base.source.kept(
        f"from {calendar} {splits} {sorted((n, id(s)) for n, s in own.items())}",
        lambda: DerivedProfiles(base.source, calendar, splits, own),
    )


def with_series(base: Profiles, given: Mapping[str, TimeSeries]) -> Profiles:
    """`base` with series of the user's own by name; see `Profiles.with_series`."""
    own = {**base.own_series(), **{name: _checked(name, series) for name, series in given.items()}}
    spans = {name: series.calendar for name, series in given.items()}
    return DerivedProfiles(base.source, common_span(base.calendar, spans), base.splits, own)


def series_profiles(
    *,
    price_usd_mwh: TimeSeries,
    pv: TimeSeries | None = None,
    wind: TimeSeries | None = None,
    outdoor_c: TimeSeries | None = None,
    dt_h: float | None = None,
) -> Profiles:
    """Profiles of the user's own years: prices, and what the devices need; loads come by `load=`.

    Charging sessions of a site are those of the shipped stations on the same weekday. There are no splits:
    name them in the load, or list days.

    Args:
        price_usd_mwh: (n_steps,) prices.
        pv: (n_steps, sites) sun per unit of the rating, for PV.
        wind: (n_steps, sites) wind power per unit of the rating, for Wind.
        outdoor_c: (n_steps,) outdoor temperature, for HeatPump.
        dt_h: hours of a step; None: that of the prices.

    Raises:
        ValueError: no whole day in common, or a wrong number of columns.
        CaseError: a value out of its range; names series, row and column.
    """
    base = SeriesProfiles(price_usd_mwh.calendar.resampled(dt_h or price_usd_mwh.calendar.dt_h))
    return base.with_series(pv=pv, price_usd_mwh=price_usd_mwh, wind=wind, outdoor_c=outdoor_c)


def common_span(calendar: Calendar, spans: dict[str, Calendar]) -> Calendar:
    """The whole days from midnight that `calendar` and all `spans` have, in the steps of `calendar`.

    Raises:
        ValueError: there are none; says what covers which.
    """
    every = [calendar, *spans.values()]
    start = _midnight(max(c.start for c in every) + _DAY - datetime.timedelta(microseconds=1))
    end = _midnight(min(c.end for c in every))
    if start >= end:
        listed = "; ".join(f"{name}: {span}" for name, span in spans.items())
        raise ValueError(f"no whole day is common to profiles from {calendar} and {listed}")
    return Calendar(start, calendar.dt_h, (end - start).days * calendar.steps_per_day)


def _midnight(time: datetime.datetime) -> datetime.datetime:
    return datetime.datetime.combine(time.date(), datetime.time())


class _Form(NamedTuple):
    """What a series of the user's own must be, and how it is made finer."""

    ndim: int
    low: float
    high: float
    unit: str
    refine: str


_FORMS = {
    "pv": _Form(2, 0.0, np.inf, "per unit of the rating", "linear"),
    "price_usd_mwh": _Form(1, -np.inf, np.inf, "USD/MWh", "hold"),
    "wind": _Form(2, 0.0, 1.1, "per unit of the rating", "linear"),
    "outdoor_c": _Form(1, *OUTDOOR_RANGE_C, "degC", "linear"),
}


def _checked(name: str, series: object) -> TimeSeries:
    """The series; TypeError, ValueError or CaseError for one that cannot be that."""
    if not isinstance(series, TimeSeries):
        raise TypeError(f"{name} must be a TimeSeries(values, Calendar(...)), got {type(series).__name__}")
    form, values = _FORMS[name], series.values
    if values.ndim != form.ndim or not values.size:
        wanted = "(n_steps,)" if form.ndim == 1 else "(n_steps, sites)"
        raise ValueError(f"{name} must have shape {wanted}, got {values.shape}")
    bad = np.argwhere((values < form.low) | (values > form.high))
    if bad.size:
        at = tuple(int(i) for i in bad[0])
        top = "or more" if np.isinf(form.high) else f"to {form.high:g}"
        expected = f"{form.low:g} {top}, {form.unit}"
        column = f"column {at[1]}" if len(at) == 2 else ""
        raise CaseError([Problem(name, at[0], column, f"{values[at]:g}", expected)])
    return series


class DerivedProfiles(Profiles):
    """The series of `source` on the days and in the steps of `calendar`; some of them replaced.

    Args:
        source: whole profiles in the steps of the data.
        calendar: whole days from midnight.
        splits: name of the set of splits.
        own: series in place of the source's by name, that cover `calendar`.
    """

    def __init__(
        self,
        source: Profiles,
        calendar: Calendar,
        splits: str,
        own: Mapping[str, TimeSeries],
    ) -> None:
        super().__init__(source.folder)
        self._source, self.calendar = source, calendar
        self.splits = splits
        self._own = dict(own)
        self._offset = (calendar.start - source.calendar.start).days  # first day, counted in the source

    def __repr__(self) -> str:
        own = "".join(f", own {name}" for name in self._own)
        return f"Profiles({self.calendar}{own}, from {self.folder})"

    def __reduce__(self) -> tuple[Callable[..., Profiles], tuple[object, ...]]:  # type: ignore[override]
        return DerivedProfiles, (self._source, self.calendar, self.splits, self._own)

    @property
    def source(self) -> Profiles:
        """The profiles from which these are made."""
        return self._source

    @property
    def has_splits(self) -> bool:
        """Whether the source has any."""
        return self._source.has_splits

    def split_days(self, split: str) -> NDArray[np.int64]:
        """Days of the split among those of `calendar`, counted from its first; see `Profiles`."""
        if not self.has_splits:
            return self._source.split_days(split)
        days = split_days(split, self.splits) - self._offset
        return frozen(days[(days >= 0) & (days < self.n_days)])

    def own_series(self) -> dict[str, TimeSeries]:
        """Series in place of the source's, by name."""
        return dict(self._own)

    def has(self, series: str) -> bool:
        """Whether the series is the user's own, or the source has it."""
        return series in self._own or self._source.has(series)

    def _cut(self, series: Array, refine: str) -> Array:
        """The source's series on the days and in the steps of these profiles."""
        per_day = self._source.steps_per_day
        rows = slice(self._offset * per_day, (self._offset + self.n_days) * per_day)
        if self.n_days == self._source.n_days and self.steps_per_day == per_day:
            return series
        return frozen(resample(series[rows], per_day, self.steps_per_day, refine))

    def _series(self, name: str) -> Array:
        """A series of the user's own, in the steps of these profiles; or the source's."""
        refine = _FORMS[name].refine
        if name not in self._own:
            return self._cut(getattr(self._source, name), refine)
        return frozen(self._own[name].resampled(self.dt_h, refine).within(self.calendar, name).copy())

    def _loads(self) -> tuple[Array, Array]:
        return self._cut(self._source.load_p, "linear"), self._cut(self._source.load_q, "linear")

    def _shapes(self) -> pa.Table:
        return self._source.load_shapes

    def _sites(self) -> pa.Table:
        return self._source.pv_sites

    def _pv(self) -> Array:
        return self._series("pv")

    def _wind(self) -> Array:
        return self._series("wind")

    def _outdoor(self) -> Array:
        return self._series("outdoor_c")

    @property
    def price_usd_mwh(self) -> Array:
        """(n_steps,) price of each step."""
        return self._once("price of a step", lambda: self._series("price_usd_mwh"))

    def _price(self) -> Array:
        return frozen(resample(self.price_usd_mwh, self.steps_per_day, int(HOURS_PER_DAY), "hold"))

    def tariff(self, name: str) -> Array:
        """(n_steps,) mean energy price of each step, USD/MWh; see `Profiles`."""
        found = find_tariff(name)
        return self._once(f"tariff {name}", lambda: frozen(found.series(self.calendar)))

    def _sessions(self) -> pa.Table:
        """Those of its days, counted from its first."""
        table = self._source.ev_sessions
        day = pc.subtract(table["day"].cast(pa.int64()), self._offset)
        inside = pc.and_(pc.greater_equal(day, 0), pc.less(day, self.n_days))
        at = table.column_names.index("day")
        kind = table.schema.field("day").type
        shifted = pc.if_else(inside, day, 0).cast(kind)
        return table.set_column(at, table.schema.field("day"), shifted).filter(inside)

    def charger_days(self, site: str) -> ChargerDays:
        """What single stations saw in the whole of the source, by weekday; see `Profiles`."""
        return self._source.charger_days(site)


class SeriesProfiles(Profiles):
    """Where nothing is shipped: days that only series of the user's own know."""

    def __init__(self, calendar: Calendar) -> None:
        super().__init__()
        self.calendar = calendar

    def __reduce__(self) -> tuple[Callable[..., Profiles], tuple[object, ...]]:  # type: ignore[override]
        return SeriesProfiles, (self.calendar,)

    @property
    def has_splits(self) -> bool:
        """None: the shipped days are others."""
        return False

    def split_days(self, split: str) -> NDArray[np.int64]:
        """ValueError: there are none."""
        raise ValueError(
            f"split {split!r} is one of the shipped year {MODEL_YEAR.start.year}, and these profiles cover "
            f"{self.calendar}: name days by SeriesLoad(splits=...), or list them: days="
        )

    def _loads(self) -> tuple[Array, Array]:
        raise ValueError("profiles of series of your own have no load shapes: give the loads by load=")

    def has(self, series: str) -> bool:
        """Nothing that is not given."""
        return False

    def _pv(self) -> Array:
        raise ValueError(
            "these profiles have no sun, which PV needs: series_profiles(..., pv=TimeSeries(...))"
        )

    def _wind(self) -> Array:
        raise ValueError(
            "these profiles have no wind, which Wind needs: series_profiles(..., wind=TimeSeries(...))"
        )

    def _outdoor(self) -> Array:
        raise ValueError(
            "these profiles have no outdoor temperature, which HeatPump needs: "
            "series_profiles(..., outdoor_c=TimeSeries(...))"
        )

    def _sessions(self) -> pa.Table:
        raise ValueError("profiles of series of your own have no table of charging sessions")

    def charger_days(self, site: str) -> ChargerDays:
        """What the shipped stations saw, by weekday."""
        return load_profiles().charger_days(site)
