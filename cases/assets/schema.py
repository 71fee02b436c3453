"""Arrow schemas of tables of distributed energy resources, with unit and meaning of every column.

Power is positive when an asset injects it into the grid. Ids and kinds are texts, all else are numbers; a
null says that nothing is given, a NaN is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

SCHEMA_VERSION = "1"

_STR, _F64, _I64 = pa.string(), pa.float64(), pa.int64()
#: Instants; what is read in another zone is converted.
STAMP = pa.timestamp("us", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType, bool, str, str]) -> pa.Schema:
    """Schema from (name, type, nullable, unit, meaning)."""
    return pa.schema(
        [
            pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "meaning": meaning})
            for name, kind, nullable, unit, meaning in fields
        ],
        metadata={"distgrid.assets": SCHEMA_VERSION},
    )


#: One row for each asset.
ASSETS = _schema(
    ("asset_id", _STR, False, "", "of its own in the table"),
    ("bus_id", _STR, False, "", "node of the feeder"),
    ("phase", _STR, False, "", "ABC: a third in each; A, B, C: one; AB, BC, CA: between two"),
    ("asset_type", _STR, False, "", "kind of resource"),
    ("p_min_mw", _F64, True, "MW", "least power injected; null: the series of telemetry_id"),
    ("p_max_mw", _F64, True, "MW", "most power injected, the rating of a plant; null: as p_min_mw"),
    ("q_min_mvar", _F64, True, "Mvar", "least reactive power injected; null: 0, or the series"),
    ("q_max_mvar", _F64, True, "Mvar", "most reactive power injected; null: 0, or the series"),
    ("s_rated_mva", _F64, True, "MVA", "apparent power of the inverter; null: the usual one of the kind"),
    ("ramp_up_mw_per_h", _F64, True, "MW/h", "largest rise of power; null: none"),
    ("ramp_down_mw_per_h", _F64, True, "MW/h", "largest fall of power; null: none"),
    ("energy_cap_mwh", _F64, True, "MWh", "capacity of a battery, or of a car's"),
    ("soc_min", _F64, True, "1", "least stored share of energy_cap_mwh; null: 0"),
    ("soc_max", _F64, True, "1", "most stored share; null: 1"),
    ("soc_init", _F64, True, "1", "stored share at the begin; null: 0.5, within the limits"),
    ("efficiency", _F64, True, "1", "of charging, and of discharging where that has none; null: 0.95"),
    ("efficiency_discharge", _F64, True, "1", "of discharging; null: as efficiency"),
    ("controls", _STR, True, "", "what follows setpoints: p, q, pq or none; null: all that has a range"),
    ("owner_id", _STR, True, "", "who owns it"),
    ("agg_id", _STR, True, "", "aggregator that speaks for it"),
    ("priority", _I64, True, "1", "the lowest number is called first; null: 1"),
    ("cost_curve_id", _STR, True, "", "row of cost_curves; null: power costs nothing"),
    ("telemetry_id", _STR, True, "", "series of limits: of the telemetry, or of the profiles as pv:7"),
    ("settings", _STR, True, "", "JSON object: fields of the resource that no column has"),
)

#: Points of convex, piecewise linear costs, in rising order of power.
COST_CURVES = _schema(
    ("cost_curve_id", _STR, False, "", "two points or more have the same one"),
    ("p_mw", _F64, False, "MW", "power injected"),
    ("cost_usd_per_h", _F64, False, "USD/h", "cost of an hour at that power"),
)

#: Cars of a charging station: what they need by when. Energy, or both states of charge, are given.
SESSIONS = _schema(
    ("asset_id", _STR, False, "", "a station"),
    ("arrival_h", _F64, False, "h", "hours after midnight; of a weekly plan after Monday"),
    ("departure_h", _F64, False, "h", "before arrival_h: of the next day"),
    ("energy_mwh", _F64, True, "MWh", "needed in the battery by the departure"),
    ("soc_arrival", _F64, True, "1", "stored share of energy_cap_mwh at the arrival"),
    ("soc_departure", _F64, True, "1", "stored share that the departure requires"),
)

#: Limits of power, step by step, in the place of the numbers of an asset. A null keeps the number.
TELEMETRY = _schema(
    ("telemetry_id", _STR, False, "", "what der_assets names"),
    ("ts", STAMP, False, "UTC", "begin of the step"),
    ("p_min_mw", _F64, True, "MW", "least power injected"),
    ("p_max_mw", _F64, True, "MW", "most power injected"),
    ("q_min_mvar", _F64, True, "Mvar", "least reactive power injected"),
    ("q_max_mvar", _F64, True, "Mvar", "most reactive power injected"),
)

#: Energy prices.
PRICES = _schema(
    ("ts", STAMP, False, "UTC", "begin of the step"),
    ("price_usd_mwh", _F64, False, "USD/MWh", "of energy in the step"),
)

#: Forecast (or measured) load of buses.
LOADS = _schema(
    ("ts", STAMP, False, "UTC", "begin of the step"),
    ("bus_id", _STR, False, "", "node of the feeder"),
    ("phase", _STR, True, "", "of a per-phase feeder; null: all that the bus has"),
    ("p_mw", _F64, False, "MW", "mean of the step, positive as load"),
    ("q_mvar", _F64, True, "Mvar", "positive as load; null: power factor of the case"),
)

#: By name, as the files of a folder are called.
ASSET_TABLES: Mapping[str, pa.Schema] = {
    "der_assets": ASSETS,
    "cost_curves": COST_CURVES,
    "sessions": SESSIONS,
    "telemetry": TELEMETRY,
}

ASSET_TYPES = ("pv", "wind", "battery", "ev", "flexible_load", "generator", "heat_pump", "data_center")
ASSET_PHASES = ("ABC", "A", "B", "C", "AB", "BC", "CA")
#: Of loads also the legs behind a centre tap, and what stands between them.
LOAD_PHASES = (*ASSET_PHASES, "1", "2", "12")
CONTROLS = ("none", "p", "q", "pq")

#: Other names under which columns are taken, as programs without units in names write them.
ALIASES: Mapping[str, str] = {
    "p_min": "p_min_mw",
    "p_max": "p_max_mw",
    "q_min": "q_min_mvar",
    "q_max": "q_max_mvar",
    "s_rated": "s_rated_mva",
    "ramp_up": "ramp_up_mw_per_h",
    "ramp_down": "ramp_down_mw_per_h",
    "energy_cap": "energy_cap_mwh",
    "price": "price_usd_mwh",
}

#: Number of columns of the shipped profiles that `telemetry_id` may name, as "pv:0" to "pv:24".
PROFILE_SITES: Mapping[str, int] = {"pv": 25, "wind": 12}


def profile_site(telemetry_id: str) -> tuple[str, int] | None:
    """Kind and site of "pv:7"; None for what names no site of the shipped profiles."""
    kind, colon, number = telemetry_id.partition(":")
    if colon and kind in PROFILE_SITES and number.isdecimal() and int(number) < PROFILE_SITES[kind]:
        return kind, int(number)
    return None


def empty(name: str) -> pa.Table:
    """A table of `ASSET_TABLES` without rows."""
    return ASSET_TABLES[name].empty_table()
