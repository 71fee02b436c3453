"""Assets of a schedule from asset tables: what each kind can do in the steps of a day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cases.assets import AssetSet
from ....cases.assets.schema import profile_site
from ....cases.profiles import Calendar, Profiles, load_profiles
from ....cases.profiles.resampling import TimeSeries
from ...errors import RunError
from ..affine import FloatArray
from .assets import Asset, Reservoir

_EPS = 1e-6
_DAY_H = 24.0
_OVERSIZED = 1.1  # inverters of plants that say no rating, as in environments
_EFFICIENCY, _SOC_INIT = 0.95, 0.5


@dataclass(frozen=True, eq=False)
class _Row:
    """An asset of the tables."""

    tables: AssetSet
    k: int
    dt_h: float
    low: FloatArray
    high: FloatArray
    load_mw: FloatArray  # (steps,) at its bus
    calendar: Calendar
    profiles: Profiles | None

    def number(self, column: str, default: float) -> float:
        value = float(self.tables.numbers(column)[self.k])
        return default if np.isnan(value) else value

    def text(self, column: str) -> str:
        return self.tables.texts(column)[self.k]

    @property
    def settings(self) -> Mapping[str, Any]:
        text = self.text("settings")
        return dict(json.loads(text)) if text else {}

    @property
    def steps(self) -> int:
        return int(self.low.size)

    @property
    def efficiencies(self) -> tuple[float, float]:
        charge = self.number("efficiency", _EFFICIENCY)
        return charge, self.number("efficiency_discharge", charge)


def assets_of_tables(
    tables: AssetSet, calendar: Calendar, load_mw: Mapping[str, FloatArray], profiles: Profiles | None = None
) -> tuple[Asset, ...]:
    """What the assets of tables can do in the steps of a calendar.

    PV and wind may be curtailed where they follow setpoints of P. Batteries end with what they began with, at
    the least. Cars have their energy when they leave; a stay beyond midnight is split by its hours between
    the evening and the morning of the same day. Stations without sessions have those of a shipped station,
    of a day that their name and the date decide. Flexible loads are shifted, and made up for within each
    window, or curtailed at their price. Heat pumps keep rooms within their band: heat in store, and what a
    room loses in the middle of it (H. Hao et al., Aggregate flexibility of thermostatically controlled loads,
    IEEE Trans. Power Systems 30 (2015) 189-198). Generators keep to cost curves and ramps.

    Args:
        tables: Checked.
        calendar: Of a day, or of some.
        load_mw: (steps,) at each bus, by its id.
        profiles: Of sun and wind; None: the shipped year.

    Raises:
        RunError: kinds that are not scheduled here.
        ValueError: series that do not cover the calendar.
    """
    limits = tables.limits(calendar, profiles)
    found = []
    nothing = np.zeros(calendar.n_steps)
    for k, name in enumerate(tables.ids):
        bus, kind = tables.texts("bus_id")[k], tables.texts("asset_type")[k]
        row = _Row(
            tables, k, calendar.dt_h, limits.p_min_mw[:, k].copy(), limits.p_max_mw[:, k].copy(),
            load_mw.get(bus, nothing), calendar, profiles,
        )  # fmt: skip
        if kind not in _KINDS:
            raise RunError(
                f"asset {name!r}: {kind} is not scheduled; expected one of {', '.join(sorted(_KINDS))}"
            )
        low, high, reservoir, points = _KINDS[kind](row)
        curve = tables.cost_curve(name)
        if curve is not None:
            points = tuple(zip(curve.p_mw.tolist(), curve.cost_usd_per_h.tolist(), strict=True))
        found.append(Asset(
            name, bus, low, high, limits.q_min_mvar[:, k].copy(), limits.q_max_mvar[:, k].copy(), kind=kind,
            phase=row.text("phase") or "ABC", s_mva=row.number("s_rated_mva", np.inf),
            ramp_up_mw_per_h=row.number("ramp_up_mw_per_h", np.inf),
            ramp_down_mw_per_h=row.number("ramp_down_mw_per_h", np.inf), points=points,
            offered=kind in ("pv", "wind"), reservoir=reservoir, agg=row.text("agg_id"),
            owner=row.text("owner_id"), priority=int(row.number("priority", 1)), site=_site(row),
            offers_most_mw=row.number("s_rated_mva", _OVERSIZED * row.number("p_max_mw", np.inf)),
        ))  # fmt: skip
    return tuple(found)


def _site(row: _Row) -> int | None:
    found = profile_site(row.text("telemetry_id") or "")
    return None if found is None else found[1]


_Points = tuple[tuple[float, float], ...]
_Told = tuple[FloatArray, FloatArray, Reservoir | None, _Points]


def _plant(row: _Row) -> _Told:
    return row.low, row.high, None, ()


def _battery(row: _Row) -> _Told:
    capacity = row.number("energy_cap_mwh", np.nan)
    least, most = (row.number(f"soc_{end}", value) * capacity for end, value in (("min", 0.0), ("max", 1.0)))
    start = min(max(row.number("soc_init", _SOC_INIT) * capacity, least), most)
    low, high = np.full(row.steps, least), np.full(row.steps, most)
    low[-1] = start
    charge, discharge = row.efficiencies
    wear = float(row.settings.get("wear_cost_per_mwh", 0.0) or 0.0)
    return row.low, row.high, Reservoir(start, low, high, charge, discharge, None, wear, capacity), ()


def _station(row: _Row) -> _Told:
    """Cars: energy that has come to them, stay after stay."""
    charge, discharge = row.efficiencies
    here = np.zeros(row.steps, dtype=bool)
    least, most = np.zeros(row.steps), np.zeros(row.steps)
    total, last = 0.0, 0
    for first, stop, energy in _stays(row):
        first = max(first, last)
        if stop <= first:
            continue
        room = float(np.maximum(-row.low[first:stop], 0.0).sum()) * row.dt_h * charge
        need = min(energy, room)
        here[first:stop] = True
        least[last:stop] = total
        most[last:first] = total
        most[first:stop] = total + need
        total, last = total + need, stop
        least[stop - 1] = total
    least[last:], most[last:] = total, total
    low, high = np.where(here, row.low, 0.0), np.where(here, row.high, 0.0)
    return low, high, Reservoir(0.0, least, most, charge, discharge, capacity_mwh=total or np.nan), ()


def _stays(row: _Row) -> list[tuple[int, int, float]]:
    """First step, step after the last, MWh needed: of each stay within the day, in order."""
    name = row.tables.ids[row.k]
    mine = [one for one in row.tables.sessions.to_pylist() if one["asset_id"] == name]
    if not mine:
        mine = _shipped_sessions(row)
    capacity, found = row.number("energy_cap_mwh", np.nan), []
    day_h = row.steps * row.dt_h
    for one in mine:
        arrival, departure = float(one["arrival_h"]), float(one["departure_h"])
        energy = one["energy_mwh"]
        if energy is None:
            energy = (one["soc_departure"] - one["soc_arrival"]) * capacity
        if arrival >= _DAY_H:  # of a weekly plan
            day, arrival = divmod(arrival, _DAY_H)
            departure -= day * _DAY_H
            if int(day) != row.calendar.start.weekday():
                continue
        parts = [(arrival, departure)]
        if departure <= arrival:
            parts = [(0.0, departure), (arrival, min(_DAY_H, day_h))]
        elif departure > _DAY_H:
            parts = [(0.0, departure - _DAY_H), (arrival, min(_DAY_H, day_h))]
        hours = sum(end - begin for begin, end in parts)
        for begin, end in parts:
            first, stop = int(np.ceil(begin / row.dt_h - _EPS)), int(np.floor(end / row.dt_h + _EPS))
            stop = min(stop, row.steps)
            if stop > first and hours > 0.0:
                found.append((first, stop, float(energy) * (end - begin) / hours))
    return sorted(found)


def _shipped_sessions(row: _Row) -> list[dict[str, Any]]:
    """Of a day that a station of a site saw on such a weekday."""
    given, series = row.settings, row.text("telemetry_id")
    site = series.removeprefix("ev:") if series.startswith("ev:") else str(given.get("site") or "jpl")
    days = (load_profiles() if row.profiles is None else row.profiles).charger_days(site)
    weekday = row.calendar.start.weekday()
    first, stop = int(days.first[weekday]), int(days.first[weekday + 1])
    key = f"{row.tables.ids[row.k]} {row.calendar.start.date()}".encode()
    day = first + int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % (stop - first)
    cars = float(given.get("cars") or 1.0)
    return [
        {
            "arrival_h": float(days.arrival_h[k]), "departure_h": float(days.departure_h[k]),
            "energy_mwh": 1e-3 * cars * row.efficiencies[0] * float(days.energy_kwh[k]),
        }
        for k in range(int(days.at[day]), int(days.at[day + 1]))
    ]  # fmt: skip


def _heat_pump(row: _Row) -> _Told:
    """A room as a store of electric energy above the lower end of its band; what it loses drains it."""
    given = row.settings
    rated = float(np.abs(row.low).max())
    low, high = (float(given.get(f"t_{end}_c") or default) for end, default in (("min", 20.0), ("max", 23.0)))
    middle = 0.5 * (low + high)
    year = load_profiles() if row.profiles is None else row.profiles
    outdoor = TimeSeries(year.outdoor_c, year.calendar).resampled(row.dt_h).within(row.calendar, "outdoor_c")
    supply = float(given.get("supply_c") or 40.0)
    cop = _performance(supply - outdoor)
    loss = float(given.get("heat_loss_mw_per_k") or rated * _performance(supply + 12.0) / (middle + 12.0))
    needed = (loss * (middle - outdoor) - float(given.get("gains_mw") or 0.0)) / cop
    drained = row.dt_h * np.clip(needed, 0.0, rated)
    most = loss * float(given.get("time_constant_h") or 40.0) * (high - low) / float(cop.mean())
    least = np.zeros(row.steps)
    least[-1] = 0.5 * most
    store = Reservoir(0.5 * most, least, np.full(row.steps, most), 1.0, 1.0, drained, capacity_mwh=most)
    return np.full(row.steps, -rated), np.zeros(row.steps), store, ()


def _performance(lift_k: Any) -> Any:
    """Of an air-source heat pump, as `envs.resources.HeatPump` has it."""
    lift = np.clip(lift_k, 15.0, 60.0)
    return 6.81 - 0.121 * lift + 0.00063 * lift**2


def _flexible(row: _Row) -> _Told:
    """What is shifted is owed, and made up for by the end of its window; what is curtailed is not."""
    given = row.settings
    present = np.maximum(row.load_mw, 0.0) * float(given.get("share") or 1.0)
    high = np.clip(row.high, 0.0, present)
    shift = float(given.get("shift_mw") or (row.high.max() if row.low.min() < 0.0 else 0.0))
    if shift <= 0.0:
        price = float(given.get("curtail_cost_per_mwh") or 0.0)
        return np.zeros(row.steps), high, None, ((0.0, 0.0), (1.0, price))
    back = float(given.get("return_mw") or max(-row.low.min(), 0.0) or shift)
    window = float(given.get("window_h") or given.get("return_h") or _DAY_H)
    per = max(round(window / row.dt_h), 1)
    least = np.full(row.steps, -shift * window)
    least[per - 1 :: per] = 0.0
    least[-1] = 0.0
    wear = 0.5 * float(given.get("shift_cost_per_mwh") or 0.0)
    store = Reservoir(0.0, least, np.zeros(row.steps), 1.0, 1.0, None, wear)
    return np.full(row.steps, -back), np.minimum(high, shift), store, ()


_KINDS: Mapping[str, Callable[[_Row], _Told]] = {
    "pv": _plant, "wind": _plant, "generator": _plant, "battery": _battery, "ev": _station,
    "flexible_load": _flexible, "heat_pump": _heat_pump,
}  # fmt: skip
