"""Assets of a schedule from asset tables: what each kind can do in the steps of a day."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cases.assets import AssetSet
from ....cases.profiles import Calendar, Profiles
from ...errors import RunError
from ..affine import FloatArray
from .assets import Asset, Reservoir

_EPS = 1e-6
_DAY_H = 24.0
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
    day_of_week: int

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
    the evening and the morning of the same day. Flexible loads are shifted, and made up for within each
    window, or curtailed at their price. Generators keep to cost curves and ramps.

    Args:
        tables: Checked.
        calendar: Of a day, or of some.
        load_mw: (steps,) at each bus, by its id.
        profiles: Of sun and wind; None: the shipped year.

    Raises:
        RunError: kinds that are not scheduled here, stations without sessions.
        ValueError: series that do not cover the calendar.
    """
    limits = tables.limits(calendar, profiles)
    found = []
    nothing = np.zeros(calendar.n_steps)
    for k, name in enumerate(tables.ids):
        bus, kind = tables.texts("bus_id")[k], tables.texts("asset_type")[k]
        row = _Row(
            tables, k, calendar.dt_h, limits.p_min_mw[:, k].copy(), limits.p_max_mw[:, k].copy(),
            load_mw.get(bus, nothing), calendar.start.weekday(),
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
            owner=row.text("owner_id"), priority=int(row.number("priority", 1)),
        ))  # fmt: skip
    return tuple(found)


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
    sessions = row.tables.sessions.to_pylist()
    mine = [one for one in sessions if one["asset_id"] == row.tables.ids[row.k]]
    if not mine:
        raise RunError(f"asset {row.tables.ids[row.k]!r}: a charging station is scheduled by its sessions: none is given")
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
            if int(day) != row.day_of_week:
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


def _flexible(row: _Row) -> _Told:
    """What is shifted is owed, and made up for by the end of its window."""
    given = row.settings
    share = row.load_mw * float(given.get("share", 1.0) or 1.0)
    shift = float(given.get("shift_mw", 0.0) or 0.0)
    if shift <= 0.0:
        price = float(given.get("curtail_cost_per_mwh", 0.0) or 0.0)
        high = np.maximum(np.minimum(row.high, share), 0.0)
        return np.zeros(row.steps), high, None, ((0.0, 0.0), (1.0, price))
    back = float(given.get("return_mw", shift) or shift)
    high, low = np.minimum(shift, np.maximum(share, 0.0)), np.full(row.steps, -back)
    window = float(given.get("window_h") or given.get("return_h") or _DAY_H)
    per = max(round(window / row.dt_h), 1)
    least = np.full(row.steps, -shift * window)
    least[per - 1 :: per] = 0.0
    least[-1] = 0.0
    wear = 0.5 * float(given.get("shift_cost_per_mwh", 0.0) or 0.0)
    return low, high, Reservoir(0.0, least, np.zeros(row.steps), 1.0, 1.0, None, wear), ()


_KINDS: Mapping[str, Callable[[_Row], _Told]] = {
    "pv": _plant, "wind": _plant, "generator": _plant, "battery": _battery, "ev": _station,
    "flexible_load": _flexible,
}  # fmt: skip
