"""The tables of assets and series as a JSON schema, which `docs/schemas/assets.json` publishes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .schema import ASSET_PHASES, ASSET_TABLES, ASSET_TYPES, CONTROLS, LOADS, PRICES

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_CHOICES = {"asset_type": ASSET_TYPES, "phase": ASSET_PHASES, "controls": CONTROLS}
_SHARE: dict[str, float] = {"minimum": 0, "maximum": 1}
_POSITIVE: dict[str, float] = {"exclusiveMinimum": 0}
_RANGES: dict[str, dict[str, float]] = {
    "soc_min": _SHARE, "soc_max": _SHARE, "soc_init": _SHARE, "soc_arrival": _SHARE, "soc_departure": _SHARE,
    "efficiency": {**_POSITIVE, "maximum": 1}, "efficiency_discharge": {**_POSITIVE, "maximum": 1},
    "energy_cap_mwh": _POSITIVE, "s_rated_mva": _POSITIVE, "ramp_up_mw_per_h": _POSITIVE,
    "ramp_down_mw_per_h": _POSITIVE, "energy_mwh": {"minimum": 0}, "arrival_h": {"minimum": 0},
    "departure_h": {"minimum": 0},
}  # fmt: skip


def asset_tables_schema() -> dict[str, Any]:
    """JSON schema of an object with an array of rows for each table, units and meanings in descriptions.

    What lies between cells, such as that p_min_mw is not above p_max_mw, is what `check_assets` checks.
    """
    tables = {**ASSET_TABLES, "prices": PRICES, "loads": LOADS}
    return {
        "$schema": _DRAFT,
        "title": "Tables of distributed energy resources",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"type": "array", "items": {"$ref": f"#/$defs/{name}"}} for name in tables
        },
        "$defs": {name: _rows(schema) for name, schema in tables.items()},
    }  # fmt: skip


def _rows(schema: pa.Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in schema if not field.nullable],
        "properties": {field.name: _cell(field) for field in schema},
    }


def _cell(field: pa.Field) -> dict[str, Any]:
    kind = field.type
    if pa.types.is_timestamp(kind):
        found: dict[str, Any] = {"type": "string", "format": "date-time"}
    elif pa.types.is_string(kind):
        found = {"type": "string", "minLength": 1}
    else:
        found = {"type": "integer" if pa.types.is_integer(kind) else "number", **_RANGES.get(field.name, {})}
    if field.name in _CHOICES:
        found["enum"] = [*_CHOICES[field.name], *([None] if field.nullable else [])]
    if field.nullable:
        found["type"] = [found["type"], "null"]
    unit, meaning = (field.metadata[key].decode() for key in (b"unit", b"meaning"))
    found["description"] = f"{meaning} [{unit}]" if unit not in ("", "1") else meaning
    return found
