"""Kinds of resources as rows of asset tables: which field is which column, both ways.

A field that no column has, and one that does not come back exactly from its column, goes into the column
``settings``: see `writing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...resources import (
    EV,
    PV,
    Battery,
    DataCenter,
    FlexibleLoad,
    Generator,
    HeatPump,
    ResourceSpec,
    Wind,
)
from ...resources.profiled import ProfiledPlant
from .rows import CellError, Cells, Points, Row, Written, decimal, that_gives

Fields = dict[str, Any]
_PUE_MOST = 1.5  # of a data center whose cooling follows the weather
_PUE_USUAL = 1.3


@dataclass(frozen=True)
class Kind:
    """How resources of a kind stand in asset tables.

    Attributes:
        spec: class of the resource.
        write: its columns, from the resource; bus, phase and id are written by all kinds alike.
        read: fields of the resource from the row.
    """

    spec: type[ResourceSpec]
    write: Callable[[Any], Written]
    read: Callable[[Row], Fields]


def _present(**cells: Any) -> Cells:
    return {name: value for name, value in cells.items() if value is not None}


def _ramps(ramp_mw_per_h: float | None) -> Cells:
    return _present(ramp_up_mw_per_h=ramp_mw_per_h, ramp_down_mw_per_h=ramp_mw_per_h)


def _ramp(row: Row) -> float | None:
    up, down = row.number("ramp_up_mw_per_h"), row.number("ramp_down_mw_per_h")
    if up != down:
        raise CellError(
            "ramp_down_mw_per_h", f"ramp_up_mw_per_h ({up}): both limits are alike in environments"
        )
    return up


def _refuse_curve(row: Row, what: str) -> None:
    if row.curve is not None:
        raise CellError("cost_curve_id", f"nothing: the power of a {what} has no cost in environments")


# -- batteries -----------------------------------------------------------------------------------------------


def _write_battery(spec: Battery) -> Written:
    low, high = spec.soc_range
    q_mvar = spec.rated_s_mva if "q" in spec.controls else None
    cells = _present(
        p_min_mw=-spec.p_mw, p_max_mw=spec.p_mw, q_min_mvar=None if q_mvar is None else -q_mvar,
        q_max_mvar=q_mvar, s_rated_mva=spec.s_mva, energy_cap_mwh=spec.energy_mwh, soc_min=spec.soc_min,
        soc_max=spec.soc_max, soc_init=low if low == high else None, efficiency=spec.eta_charge,
        efficiency_discharge=None if spec.eta_discharge == spec.eta_charge else spec.eta_discharge,
        controls=spec.controls,
    )  # fmt: skip
    points: Points = ()
    if spec.wear_cost_per_mwh:
        cost = _cost_at(spec.p_mw, spec.wear_cost_per_mwh)
        points = ((-spec.p_mw, cost), (0.0, 0.0), (spec.p_mw, cost))
    return Written({**cells, **_ramps(spec.ramp_mw_per_h)}, points)


def _read_battery(row: Row) -> Fields:
    p_mw = row.power("p_max_mw")
    if row.power("p_min_mw") != -p_mw:
        raise CellError("p_min_mw", f"{-p_mw:g}: a battery charges and discharges at one rating")
    charge = row.number("efficiency", 0.95)
    fields: Fields = {
        "p_mw": p_mw, "energy_mwh": row.power("energy_cap_mwh"), "soc_min": row.number("soc_min", 0.0),
        "soc_max": row.number("soc_max", 1.0), "eta_charge": charge,
        "eta_discharge": row.number("efficiency_discharge", charge), "s_mva": row.number("s_rated_mva"),
        "controls": "pq" if "q" in row.controls else "p", "ramp_mw_per_h": _ramp(row),
    }  # fmt: skip
    low, high = fields["soc_min"], fields["soc_max"]
    fields["soc_init"] = row.number("soc_init", min(max(0.5, low), high))
    gives, takes = row.slope(positive=True), row.slope(positive=False)
    if gives is not None and takes is not None:
        if gives != -takes:
            raise CellError("cost_curve_id", "a curve as dear for charging as for discharging")
        fields["wear_cost_per_mwh"] = gives
    return fields


def _cost_at(p_mw: float, usd_per_mwh: float) -> float:
    """USD/h at a power, from which its price comes back exactly."""
    return that_gives(usd_per_mwh, usd_per_mwh * p_mw, lambda cost: decimal(cost / p_mw))


# -- sun and wind --------------------------------------------------------------------------------------------


def _write_plant(spec: PV | Wind) -> Written:
    s_mva, has_q = spec.rated_s_mva, "q" in spec.quantities or getattr(spec, "functions", None) is not None
    q_mvar = (
        that_gives(spec.q_max_frac, spec.q_max_frac * s_mva, lambda q: decimal(q / s_mva)) if has_q else None
    )
    cells = _present(
        p_min_mw=0.0, p_max_mw=spec.p_mw, q_min_mvar=None if q_mvar is None else -q_mvar, q_max_mvar=q_mvar,
        s_rated_mva=spec.s_mva, controls=spec.quantities or "none",
        telemetry_id=None if spec.site is None else f"{spec.kind}:{spec.site}",
    )  # fmt: skip
    return Written({**cells, **_ramps(getattr(spec, "ramp_mw_per_h", None))})


def _read_plant(row: Row, spec: type[PV] | type[Wind]) -> Fields:
    p_mw, s_mva = row.power("p_max_mw"), row.number("s_rated_mva")
    fields: Fields = {"p_mw": p_mw, "s_mva": s_mva, "controls": row.controls}
    rated = 1.1 * p_mw if s_mva is None else s_mva
    q_mvar = row.number("q_max_mvar")
    if q_mvar is not None:
        if row.number("q_min_mvar", 0.0) != -q_mvar:
            raise CellError("q_min_mvar", f"{-q_mvar:g}: a {spec.kind} gives and takes alike")
        fields["q_max_frac"] = decimal(q_mvar / rated)
    kind, _, site = str(row.cells.get("telemetry_id", "")).partition(":")
    if kind == spec.kind and site.isdecimal():
        fields["site"] = int(site)
    return fields


def _read_pv(row: Row) -> Fields:
    for column in ("ramp_up_mw_per_h", "ramp_down_mw_per_h"):
        if row.number(column) is not None:
            raise CellError(column, "nothing: a pv has no limits of ramps in environments")
    return _read_plant(row, PV)


def _read_wind(row: Row) -> Fields:
    return {**_read_plant(row, Wind), "ramp_mw_per_h": _ramp(row)}


# -- vehicles ------------------------------------------------------------------------------------------------


def _write_ev(spec: EV) -> Written:
    cells = _present(
        p_min_mw=-spec.p_mw, p_max_mw=spec.v2g_mw, efficiency=spec.eta_charge,
        efficiency_discharge=None if spec.eta_discharge == spec.eta_charge else spec.eta_discharge,
        controls="p", telemetry_id=f"ev:{spec.site}" if spec.sessions is None else None,
    )  # fmt: skip
    points: Points = ()
    if spec.v2g_cost_per_mwh:
        points = (
            (-spec.p_mw, 0.0), (0.0, 0.0), (spec.v2g_mw, _cost_at(spec.v2g_mw, spec.v2g_cost_per_mwh)),
        )  # fmt: skip
    sessions = tuple((float(a), float(b), float(c)) for a, b, c in spec.sessions or ())
    return Written(cells, points, sessions)


def _read_ev(row: Row) -> Fields:
    charge = row.number("efficiency", 0.95)
    fields: Fields = {
        "p_mw": -row.power("p_min_mw"), "v2g_mw": row.power("p_max_mw"), "eta_charge": charge,
        "eta_discharge": row.number("efficiency_discharge", charge),
        "v2g_cost_per_mwh": row.slope(positive=True) or 0.0,
    }  # fmt: skip
    kind, _, site = str(row.cells.get("telemetry_id", "")).partition(":")
    if row.sessions:
        fields["sessions"] = row.sessions
    elif kind == "ev":
        fields["site"] = site
    elif "sessions" not in row.settings:
        raise CellError("telemetry_id", "ev:jpl or ev:caltech, or rows of sessions")
    return fields


# -- loads ---------------------------------------------------------------------------------------------------


def _write_flexible_load(spec: FlexibleLoad) -> Written:
    back = spec.rated_return_mw if spec.shift_mw else 0.0
    most = spec.shift_mw + spec.curtail_mw
    cells = {"p_min_mw": -back, "p_max_mw": most, "controls": "p"}
    price = spec.curtail_cost_per_mwh if not spec.shift_mw else spec.shift_cost_per_mwh
    if (spec.shift_mw and spec.curtail_mw) or not price:
        return Written(cells)
    low: Points = ((-back, 0.0),) if back else ()
    return Written(cells, (*low, (0.0, 0.0), (most, _cost_at(most, price))))


def _read_flexible_load(row: Row) -> Fields:
    most, back = row.power("p_max_mw"), -row.power("p_min_mw")
    if row.slope(positive=False):
        raise CellError("cost_curve_id", "a curve of 0 USD/h below 0 MW: load that returns costs nothing")
    price = row.slope(positive=True)
    if "shift_mw" in row.settings or "curtail_mw" in row.settings:
        shift = float(row.settings.get("shift_mw") or 0.0)
        return {"return_mw": None if back in (0.0, shift) else back}
    if back == 0.0:
        return {"curtail_mw": most, "curtail_cost_per_mwh": price}
    return {
        "shift_mw": most, "return_mw": None if back == most else back, "shift_cost_per_mwh": price or 0.0,
    }  # fmt: skip


def _write_heat_pump(spec: HeatPump) -> Written:
    return Written({"p_min_mw": -spec.p_mw, "p_max_mw": 0.0, "controls": "p"})


def _read_heat_pump(row: Row) -> Fields:
    _refuse_curve(row, "heat_pump")
    return {"p_mw": -row.power("p_min_mw")}


def _write_data_center(spec: DataCenter) -> Written:
    factor = _PUE_MOST if spec.pue is None else spec.pue
    most = that_gives(spec.p_mw, spec.p_mw * factor, lambda p: decimal(p / factor))
    return Written({"p_min_mw": -most, "p_max_mw": 0.0, "controls": "p"})


def _read_data_center(row: Row) -> Fields:
    _refuse_curve(row, "data_center")
    pue = row.settings.get("pue", _PUE_USUAL)
    return {"p_mw": decimal(-row.power("p_min_mw") / (_PUE_MOST if pue is None else float(pue)))}


# -- generators ----------------------------------------------------------------------------------------------


def _write_generator(spec: Generator) -> Written:
    low, high = spec.q_range if "q" in spec.controls else (None, None)
    cells = _present(
        p_min_mw=spec.p_min_mw, p_max_mw=spec.p_mw, q_min_mvar=low, q_max_mvar=high, s_rated_mva=spec.s_mva,
        controls=spec.controls,
    )  # fmt: skip
    return Written({**cells, **_ramps(spec.ramp_mw_per_h)}, _fuel_points(spec))


def _fuel_points(spec: Generator) -> Points:
    """The fuel curve: a line from 0 MW, or a polygon through five points of a parabola."""
    fixed, per_mwh, per_mw2h = spec.cost_per_h, spec.cost_per_mwh, spec.cost_per_mw2h
    if per_mw2h:
        powers = [spec.p_mw * k / 4 for k in range(5)]
        return tuple((p, fixed + per_mwh * p + per_mw2h * p * p) for p in powers)
    if not (fixed or per_mwh):
        return ()
    end = that_gives(per_mwh, fixed + per_mwh * spec.p_mw, lambda cost: decimal((cost - fixed) / spec.p_mw))
    return ((0.0, fixed), (spec.p_mw, end))


def _read_generator(row: Row) -> Fields:
    p_mw, s_mva = row.power("p_max_mw"), row.number("s_rated_mva")
    fields: Fields = {
        "p_mw": p_mw, "p_min_mw": row.power("p_min_mw"), "s_mva": s_mva, "ramp_mw_per_h": _ramp(row),
        "controls": "pq" if "q" in row.controls else "p", **_fuel(row),
    }  # fmt: skip
    room = math.sqrt(max((p_mw / 0.8 if s_mva is None else s_mva) ** 2 - p_mw**2, 0.0))
    for name, usual in (("q_min_mvar", -room), ("q_max_mvar", room)):
        given = row.number(name)
        fields[name] = None if given in (None, usual) else given
    return fields


def _fuel(row: Row) -> Fields:
    if row.curve is None:
        return {"cost_per_mwh": 0.0}
    if "cost_per_mw2h" in row.settings:
        return {}
    power, cost = row.curve.p_mw, row.curve.cost_usd_per_h
    if len(power) != 2 or power[0] != 0.0:
        raise CellError("cost_curve_id", "one line from 0 MW on, or cost_per_mw2h in the settings")
    fixed = float(cost[0])
    return {"cost_per_h": fixed, "cost_per_mwh": decimal((float(cost[1]) - fixed) / float(power[1]))}


#: By `asset_type`.
KINDS: Mapping[str, Kind] = {
    "pv": Kind(PV, _write_plant, _read_pv),
    "wind": Kind(Wind, _write_plant, _read_wind),
    "battery": Kind(Battery, _write_battery, _read_battery),
    "ev": Kind(EV, _write_ev, _read_ev),
    "flexible_load": Kind(FlexibleLoad, _write_flexible_load, _read_flexible_load),
    "generator": Kind(Generator, _write_generator, _read_generator),
    "heat_pump": Kind(HeatPump, _write_heat_pump, _read_heat_pump),
    "data_center": Kind(DataCenter, _write_data_center, _read_data_center),
}

#: Kinds whose power the sun or the wind gives.
PLANTS: Mapping[str, type[ProfiledPlant]] = {"pv": PV, "wind": Wind}
