"""The year of data that every environment shares, read lazily and once per process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import SupportsIndex, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from .calendar import HOURS_PER_DAY, MODEL_YEAR, Calendar, When, instant
from .resampling import TimeSeries
from .splits import WEEKS, split_days
from .tables import SHIPPED, check_numbers, check_rows, check_texts, frozen, matrix, read_table
from .tariffs import TARIFFS, find_tariff
from .vehicles import ChargerDays, charger_days

Array = NDArray[np.float64]
T = TypeVar("T")

#: Names of the shipped sites of wind power, as SimBench has them.
WIND_SITES = tuple(f"WP{k}" for k in range(1, 13))
#: Coldest and warmest air that a series of outdoor temperatures may have, degC.
OUTDOOR_RANGE_C = (-90.0, 60.0)
_FILES = {
    "pv": "profiles/pv.parquet",
    "wind": "simbench/wind.parquet",
    "outdoor_c": "profiles/outdoor.parquet",
}
_SESSION_LIMITS = {
    "day": (0.0, MODEL_YEAR.n_days - 1.0),
    "arrival_h": (0.0, HOURS_PER_DAY),
    "stay_h": (0.0, HOURS_PER_DAY * MODEL_YEAR.n_days),
    "req_kwh": (0.0, 1e4),
    "del_kwh": (0.0, 1e4),
    "year": (1900.0, 2200.0),
}


class Profiles:
    """One year at 15 min: load shapes, sun, wind, outdoor temperature, prices, tariffs, charging sessions.

    Step k of day d is row 96*d + k and covers the quarter hour that begins k*15 min after midnight, local
    standard time (UTC+1). All arrays are float64, C-contiguous and read-only, the same object on each access.
    Each table is read when one of its arrays is first used; access is thread-safe.

    Load shapes come from SimBench (ODbL); `tools/load_shapes.py` says how single households are summed and
    how the reactive shapes are scaled. Photovoltaic power is a clear sky times a cloud process. Wind power is
    SimBench's, the outdoor temperature that of a test reference year with a cold winter in Bremerhaven.
    Prices are ERCOT's day-ahead prices of 2021, whose weekdays are those of 2016: day d holds 2021-01-01 + d.
    The winter storm of February 2021 (up to 9000 USD/MWh) is among them. See cases/data/SOURCES.md.

    At another step length, on other days or with series of your own: `resampled`, `between`, `with_series`
    give profiles of the same kind, with their own `calendar` and arrays of its length.

    Attributes:
        calendar: the time axis of all series.
        splits: name of the set of splits that `split_days` follows; see `cases.profiles.splits`.
        load_p: (35136, n_shapes) active shapes, each with annual maximum 1.
        load_q: (35136, n_shapes) reactive shapes in multiples of the nominal reactive power, |q| <= 1.2.
            Over the hours in which P is above its 95 % quantile, q averages what p averages, so a load has
            there its nominal ratio of Q to P.
        pv: (35136, 25) power per unit of each site's AC rating, 0 to 1.
        wind: (35136, 12) power per unit of each site's rating, 0 to 1.
        outdoor_c: (35136,) outdoor air temperature, degC.
        price_usd_mwh: (35136,) each hour's price four times.
        price_hourly_usd_mwh: (8784,).
        ev_sessions: charging sessions of ACN-Data; see `ev_sessions`.

    Raises:
        CaseError: on first use of a table that is missing, truncated or holds NaN; names file, row, column.
    """

    calendar: Calendar = MODEL_YEAR
    splits: str = WEEKS

    def __init__(self, folder: str | Path | None = None) -> None:
        """Args: folder: where `simbench/` and `profiles/` lie; None: the data that come with the package."""
        self.folder = SHIPPED if folder is None else Path(folder)
        self._lock = threading.RLock()
        self._known: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"Profiles({self.n_days} days of {self.steps_per_day} steps, from {self.folder})"

    def __reduce__(self) -> tuple[Callable[..., Profiles], tuple[str | None]]:
        # Workers read the files themselves instead of receiving 36 MB.
        return load_profiles, (None if self.folder == SHIPPED else str(self.folder),)

    def kept(self, key: str, make: Callable[[], T]) -> T:
        """What `make` returned when `key` was asked for first; the same object from then on."""
        return self._once(key, make)

    def _once(self, key: str, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._known:
                self._known[key] = make()
            return self._known[key]  # type: ignore[return-value]

    # -- time ------------------------------------------------------------------------------------------

    @property
    def n_days(self) -> int:
        """Number of days."""
        return self.calendar.n_days

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return self.calendar.n_steps

    @property
    def steps_per_day(self) -> int:
        """Number of steps of a day."""
        return self.calendar.steps_per_day

    @property
    def dt_h(self) -> float:
        """Hours of a step."""
        return self.calendar.dt_h

    @property
    def source(self) -> Profiles:
        """The profiles from which these are made: whole, and in the steps of the data."""
        return self

    @property
    def has_splits(self) -> bool:
        """Whether `split_days` knows any."""
        return True

    def split_days(self, split: str) -> NDArray[np.int64]:
        """Days of a split of the set `splits`, counted from the first of `calendar`, rising; may be none.

        Raises:
            ValueError: an unknown split; the nearest is suggested.
        """
        return split_days(split, self.splits)

    def with_splits(self, splits: str) -> Profiles:
        """The same series with another set of splits: "weeks", or "weeks-apart" with gap days between them.

        Raises:
            ValueError: an unknown set, or profiles of a user's own years, which have none.
        """
        from .derived import with_splits

        return with_splits(self, splits)

    def own_series(self) -> dict[str, TimeSeries]:
        """Series that are not of the files, by name."""
        return {}

    def resampled(self, dt_h: float) -> Profiles:
        """The same days in steps of `dt_h` hours: 1, 0.5, 5 / 60; see `cases.profiles.resampling`.

        Loads, sun, prices and tariffs keep the energy of each step of the data to rounding. Charging sessions
        keep their own times, in hours.

        Raises:
            ValueError: steps that do not divide the day.
        """
        from .derived import derived

        return derived(self, self.calendar.resampled(dt_h))

    def between(self, start: When, end: When) -> Profiles:
        """The days from `start` to `end`, both at midnight; day 0 is then the day of `start`.

        Raises:
            ValueError: no such days, or days that these profiles do not have.
        """
        from .derived import derived

        return derived(self, self.calendar.part(instant(start, "start"), instant(end, "end")))

    def with_series(
        self,
        *,
        pv: TimeSeries | None = None,
        price_usd_mwh: TimeSeries | None = None,
        wind: TimeSeries | None = None,
        outdoor_c: TimeSeries | None = None,
    ) -> Profiles:
        """With sun or wind (n_steps, sites; per unit of the rating), prices or temperatures of your own.

        They may have another step, and are resampled to that of these profiles; what is played are the days
        that all have.

        Raises:
            ValueError: no day in common, or values with a wrong number of columns.
            CaseError: a value out of its range; names series, row and column.
        """
        from .derived import with_series

        given = {"pv": pv, "price_usd_mwh": price_usd_mwh, "wind": wind, "outdoor_c": outdoor_c}
        return with_series(self, {name: series for name, series in given.items() if series is not None})

    def has(self, series: str) -> bool:
        """Whether they have that series: "pv", "wind" or "outdoor_c"; data of a user's own may lack some."""
        return self._once(f"has {series}", lambda: (self.folder / _FILES[series]).is_file())

    # -- loads -----------------------------------------------------------------------------------------

    @property
    def load_shapes(self) -> pa.Table:
        """Table of the shapes: `name`, `kind`, `q_blend` (share of q that had to follow p)."""
        return self._once("shapes", self._shapes)

    def _shapes(self) -> pa.Table:
        path = self.folder / "simbench" / "shapes.parquet"
        table = read_table(path, ("name", "kind", "q_blend"))
        check_texts(table, ("name",), path, unique=True)
        check_texts(table, ("kind",), path)
        check_numbers(table, {"q_blend": (0.0, 1.0)}, path)
        if all(kind.startswith("single-") for kind in table["kind"].to_pylist()):
            expected = "at least one shape that is not of a single customer, for the larger loads"
            raise CaseError([Problem(str(path), None, "kind", "", expected)])
        return table

    @property
    def load_shape_names(self) -> tuple[str, ...]:
        """Name of each column of `load_p` and `load_q`."""
        return self._once("names", lambda: tuple(self.load_shapes["name"].to_pylist()))

    @property
    def load_shape_kinds(self) -> tuple[str, ...]:
        """household, commercial, farm, heatpump, single-household or single-heatpump, for each shape."""
        return self._once("kinds", lambda: tuple(self.load_shapes["kind"].to_pylist()))

    def _loads(self) -> tuple[Array, Array]:
        path = self.folder / "simbench" / "load_shapes.parquet"
        p = [f"{name}.p" for name in self.load_shape_names]
        q = [f"{name}.q" for name in self.load_shape_names]
        table = read_table(path, (*p, *q), MODEL_YEAR.n_steps)
        return matrix(table, p, path, 0.0, 1.0), matrix(table, q, path, -2.0, 2.0)

    @property
    def load_p(self) -> Array:
        """(35136, n_shapes) active shapes, annual maximum 1."""
        return self._once("loads", self._loads)[0]

    @property
    def load_q(self) -> Array:
        """(35136, n_shapes) reactive shapes in multiples of nominal."""
        return self._once("loads", self._loads)[1]

    # -- sun -------------------------------------------------------------------------------------------

    @property
    def pv(self) -> Array:
        """(35136, 25) photovoltaic power per unit of each site's AC rating."""
        return self._once("pv", self._pv)

    def _pv(self) -> Array:
        path = self.folder / _FILES["pv"]
        names = self.pv_sites["site"].to_pylist()
        return matrix(read_table(path, tuple(names), MODEL_YEAR.n_steps), names, path, 0.0, 1.1)

    @property
    def pv_sites(self) -> pa.Table:
        """Table of the sites: `site`, `x_km`, `y_km`, `tilt_deg`, `azimuth_deg`, `dc_ac`."""
        return self._once("sites", self._sites)

    def _sites(self) -> pa.Table:
        path = self.folder / "profiles" / "pv_sites.parquet"
        table = read_table(path, ("site", "x_km", "y_km"))
        check_rows(table, path)
        check_texts(table, ("site",), path, unique=True)
        check_numbers(table, {"x_km": (-1e6, 1e6), "y_km": (-1e6, 1e6)}, path)
        return table

    # -- weather ---------------------------------------------------------------------------------------

    @property
    def wind(self) -> Array:
        """(n_steps, n_wind_sites) wind power per unit of each site's rating."""
        return self._once("wind", self._wind)

    def _wind(self) -> Array:
        path = self.folder / _FILES["wind"]
        return matrix(read_table(path, WIND_SITES, MODEL_YEAR.n_steps), list(WIND_SITES), path, 0.0, 1.0)

    @property
    def outdoor_c(self) -> Array:
        """(n_steps,) outdoor air temperature, degC."""
        return self._once("outdoor", self._outdoor)

    def _outdoor(self) -> Array:
        path = self.folder / _FILES["outdoor_c"]
        table = read_table(path, ("outdoor_c",), MODEL_YEAR.n_steps)
        return frozen(matrix(table, ["outdoor_c"], path, *OUTDOOR_RANGE_C, per_unit=100.0)[:, 0].copy())

    # -- money -----------------------------------------------------------------------------------------

    def _price(self) -> Array:
        path = self.folder / "profiles" / "price.parquet"
        table = read_table(path, ("lz_houston_usd_mwh",), MODEL_YEAR.n_days * int(HOURS_PER_DAY))
        return frozen(matrix(table, ["lz_houston_usd_mwh"], path, -1000.0, 10000.0)[:, 0].copy())

    @property
    def price_hourly_usd_mwh(self) -> Array:
        """(8784,) day-ahead price of each hour, ERCOT load zone Houston."""
        return self._once("hourly", self._price)

    @property
    def price_usd_mwh(self) -> Array:
        """(35136,) the hourly price at each step."""
        each = self.steps_per_day // int(HOURS_PER_DAY)
        return self._once("price", lambda: frozen(np.repeat(self.price_hourly_usd_mwh, each)))

    @property
    def tariff_names(self) -> tuple[str, ...]:
        """Names that `tariff` takes."""
        return tuple(TARIFFS)

    def tariff(self, name: str) -> Array:
        """(n_steps,) energy price of a time-of-use tariff in USD/MWh.

        Raises:
            ValueError: an unknown tariff; the nearest name is suggested.
        """
        found = find_tariff(name)
        return self._once(f"tariff {name}", lambda: frozen(found.series(self.calendar)))

    # -- vehicles --------------------------------------------------------------------------------------

    @property
    def ev_sessions(self) -> pa.Table:
        """Charging sessions, sorted by arrival within the model year.

        Columns: `day` (0..365), `arrival_h` (hours after that day's midnight, in 0..24), `stay_h` (hours
        connected; may pass midnight), `req_kwh` (asked by the driver), `del_kwh` (delivered), `site`
        (caltech, jpl), `station_id`, `year` (2019 to 2021, the source's; a model day collects the sessions
        of each source year, so filter by it to get one real day).
        """
        return self._once("ev", self._sessions)

    def _sessions(self) -> pa.Table:
        path = self.folder / "profiles" / "ev_sessions.parquet"
        texts = ("site", "station_id")
        table = read_table(path, (*_SESSION_LIMITS, *texts))
        check_numbers(table, _SESSION_LIMITS, path)
        check_texts(table, texts, path)
        return table

    def charger_days(self, site: str) -> ChargerDays:
        """What single charging stations of a site saw, day by day; see `vehicles.charger_days`."""
        return self._once(f"chargers {site}", lambda: charger_days(self.ev_sessions, site))

    def day_label(self, day: SupportsIndex) -> str:
        """Calendar date of a day, such as "2016-06-21". ValueError for a day outside the data."""
        return self.calendar.day_label(self.calendar.check_day(day))


@cache
def _profiles(folder: Path) -> Profiles:
    return Profiles(folder)


def load_profiles(folder: str | Path | None = None) -> Profiles:
    """The year of profiles, one object per process (and per folder). Reads nothing yet.

    Args:
        folder: another folder with `simbench/` and `profiles/`; None: the shipped data.
    """
    return _profiles(SHIPPED if folder is None else Path(folder).resolve())
