"""Limits of power, step by step: numbers of the table, series of the telemetry, sun and wind."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..profiles.calendar import Calendar
from ..profiles.resampling import TimeSeries
from ..profiles.store import Profiles, load_profiles
from .schema import PROFILE_SITES, profile_site
from .telemetry import LIMITS, series_of

if TYPE_CHECKING:
    from .asset_set import AssetSet

Floats = NDArray[np.float64]


class AssetLimits(NamedTuple):
    """Limits of every asset in every step, each (n_steps, n_assets); power is positive when injected."""

    p_min_mw: Floats
    p_max_mw: Floats
    q_min_mvar: Floats
    q_max_mvar: Floats


def asset_limits(assets: AssetSet, calendar: Calendar, profiles: Profiles | None = None) -> AssetLimits:
    """Limits of power in every step of a calendar.

    A series of the telemetry takes the place of the numbers for the limits that it has. PV and wind without
    such a p_max_mw give what the sun or the wind of their site allows of their rating, at most s_rated_mva;
    where P is not controlled, no less than that either. States of charge, cars and loads are not considered.

    Args:
        assets: the assets.
        calendar: of the profiles, or part of it; series must cover it.
        profiles: sun and wind; None: the shipped year.

    Raises:
        ValueError: a series that does not cover the calendar, or profiles that do not.
    """
    shape = (calendar.n_steps, assets.n_assets)
    found = {}
    for name in LIMITS:
        numbers = assets.numbers(name)
        found[name] = np.broadcast_to(np.nan_to_num(numbers) if name[0] == "q" else numbers, shape).copy()
    for k, key in enumerate(assets.texts("telemetry_id")):
        series = {} if profile_site(key) else series_of(assets.telemetry, key)
        for name, one in series.items():
            found[name][:, k] = one.resampled(calendar.dt_h).within(calendar, f"telemetry {key}")
        if "p_max_mw" not in series:
            _follow_profile(assets, k, calendar, profiles, found)
        if assets.texts("asset_type")[k] in PROFILE_SITES and "p" not in controls_of(assets, k):
            found["p_min_mw"][:, k] = found["p_max_mw"][:, k]
    none = np.isnan(found["p_min_mw"])
    found["p_min_mw"][none] = np.minimum(found["p_max_mw"], 0.0)[none]
    return AssetLimits(**found)


def _follow_profile(
    assets: AssetSet, k: int, calendar: Calendar, profiles: Profiles | None, found: dict[str, Floats]
) -> None:
    kind = assets.texts("asset_type")[k]
    if kind not in PROFILE_SITES:
        return
    named = profile_site(assets.texts("telemetry_id")[k])
    site = named[1] if named else site_of_bus(assets.texts("bus_id")[k], PROFILE_SITES[kind])
    year = load_profiles() if profiles is None else profiles
    values = {"pv": lambda: year.pv, "wind": lambda: year.wind}[kind]()
    part = TimeSeries(values[:, site], year.calendar).resampled(calendar.dt_h).within(calendar, kind)
    rating = assets.numbers("p_max_mw")[k]
    apparent = assets.numbers("s_rated_mva")[k]
    most = 1.1 * rating if np.isnan(apparent) else apparent
    found["p_max_mw"][:, k] = np.minimum(part * rating, most)
    found["p_min_mw"][:, k] = np.minimum(found["p_min_mw"][:, k], found["p_max_mw"][:, k])


def controls_of(assets: AssetSet, row: int) -> str:
    """Which of P and Q of an asset follow setpoints: letters of "pq"."""
    given = assets.texts("controls")[row]
    if given:
        return "" if given == "none" else given
    reactive = np.nan_to_num([assets.numbers("q_min_mvar")[row], assets.numbers("q_max_mvar")[row]])
    return "pq" if reactive.any() else "p"


def site_of_bus(bus: str, n_sites: int) -> int:
    """The site whose sun or wind a bus has where none is named: the same in every process."""
    return int.from_bytes(hashlib.sha256(bus.encode()).digest()[:8], "big") % n_sites
