"""What each cell of an asset table must be, beside being a text or a number."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..model.edit import nearest
from .cells import Cells
from .curves import curve_fault
from .schema import (
    ASSET_PHASES,
    ASSET_TYPES,
    ASSETS,
    CONTROLS,
    PROFILE_SITES,
    profile_site,
)

if TYPE_CHECKING:
    from ..model.feeder import Feeder

Floats = NDArray[np.float64]
Columns = dict[str, Any]

_TEXTS = tuple(field.name for field in ASSETS if str(field.type) == "string")
_NUMBERS = tuple(field.name for field in ASSETS if str(field.type) == "double")
_STORES = ("battery",)
#: Kinds whose power the profiles give, and the least their numbers may be.
_TAKES_ONLY = ("heat_pump", "data_center")
_GIVES_ONLY = ("pv", "wind", "generator")
_SHARES = ("soc_min", "soc_max", "soc_init")
_EFFICIENCIES = ("efficiency", "efficiency_discharge")


@dataclass(frozen=True)
class Known:
    """Ids that rows of an asset table may name.

    Attributes:
        curves: of the cost curves.
        series: of the telemetry.
        sites: of charging data.
        feeder: whose buses there are; None: any bus.
    """

    curves: Collection[str]
    series: Collection[str]
    sites: Collection[str]
    feeder: Feeder | None = None


def asset_columns(cells: Cells, known: Known) -> Columns:
    """The columns of an asset table, checked; problems go into the cells."""
    required = {field.name for field in ASSETS if not field.nullable}
    columns: Columns = {name: cells.texts(name, name in required) for name in _TEXTS}
    columns.update({name: cells.numbers(name, name in required) for name in _NUMBERS})
    columns["priority"] = cells.whole_numbers("priority")
    _check_ids(cells, columns["asset_id"])
    _check_choices(cells, columns)
    for row in range(cells.n_rows):
        _check_place(cells, row, columns, known.feeder)
        _check_references(cells, row, columns, known)
        _check_powers(cells, row, columns)
        _check_storage(cells, row, columns)
        _check_settings(cells, row, columns["settings"][row])
    return columns


def _check_ids(cells: Cells, ids: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, one in enumerate(ids):
        if one in seen and one:
            cells.wrong(row, "asset_id", one, f"each id once (it is in row {cells.rows[seen[one]]})")
        seen.setdefault(one, row)


def _check_choices(cells: Cells, columns: Columns) -> None:
    for name, choices in (("asset_type", ASSET_TYPES), ("phase", ASSET_PHASES), ("controls", CONTROLS)):
        for row, one in enumerate(columns[name]):
            if one and one not in choices:
                cells.wrong(row, name, one, f"one of {', '.join(choices)}; {nearest(one, choices)}")


def _check_place(cells: Cells, row: int, columns: Columns, feeder: Feeder | None) -> None:
    bus, phase = columns["bus_id"][row], columns["phase"][row]
    if feeder is None or not bus:
        return
    node = feeder.node_index.get(bus)
    if node is None:
        cells.wrong(row, "bus_id", bus, f"a bus of {feeder.name}; {nearest(bus, feeder.node_index)}")
        return
    has = str(feeder.column("nodes", "phase")[node])
    missing = sorted(set(phase) - set(has))
    if phase in ASSET_PHASES and missing:
        cells.wrong(row, "phase", phase, f"phases that bus {bus} has: {has}")


def _check_references(cells: Cells, row: int, columns: Columns, known: Known) -> None:
    curve, series, kind = (columns[name][row] for name in ("cost_curve_id", "telemetry_id", "asset_type"))
    if curve and curve not in known.curves:
        cells.wrong(row, "cost_curve_id", curve, f"a curve of cost_curves; {nearest(curve, known.curves)}")
    if not series or series in known.series:
        return
    site = profile_site(series)
    if site is not None and site[0] == kind:
        return
    if kind == "ev" and series.partition(":")[0] == "ev" and series.partition(":")[2] in known.sites:
        return
    shipped = {name: f" or {name}:0 to {name}:{count - 1}" for name, count in PROFILE_SITES.items()}
    shipped["ev"] = f" or {', '.join(f'ev:{name}' for name in known.sites)}"
    hint = nearest(series, known.series)
    cells.wrong(row, "telemetry_id", series, f"a series of telemetry{shipped.get(kind, '')}; {hint}")


def _check_powers(cells: Cells, row: int, columns: Columns) -> None:
    kind, series = columns["asset_type"][row], columns["telemetry_id"][row]
    value = {name: float(columns[name][row]) for name in _NUMBERS}
    own_series = bool(series) and profile_site(series) is None and not series.startswith("ev:")
    for name in ("p_min_mw", "p_max_mw"):
        absent = math.isnan(value[name]) and _is_blank(cells, name, row)
        if absent and not (own_series and name == "p_min_mw"):
            cells.wrong(row, name, "nothing", "a number of MW")
    for quantity, unit in (("p", "mw"), ("q", "mvar")):
        low, high = f"{quantity}_min_{unit}", f"{quantity}_max_{unit}"
        if value[low] > value[high]:
            cells.wrong(row, low, f"{value[low]:g}", f"{high} ({value[high]:g}) or less")
    if kind in _GIVES_ONLY and value["p_min_mw"] < 0.0:
        cells.wrong(row, "p_min_mw", f"{value['p_min_mw']:g}", f"0 or more, as a {kind} takes no power")
    if kind in _GIVES_ONLY and value["p_max_mw"] <= 0.0:
        cells.wrong(row, "p_max_mw", f"{value['p_max_mw']:g}", "more than 0")
    if kind in _TAKES_ONLY and value["p_max_mw"] > 0.0:
        cells.wrong(row, "p_max_mw", f"{value['p_max_mw']:g}", f"0 or less, as a {kind} gives no power")
    for name in ("s_rated_mva", "ramp_up_mw_per_h", "ramp_down_mw_per_h"):
        if value[name] <= 0.0:
            cells.wrong(row, name, f"{value[name]:g}", "more than 0, or nothing")


def _is_blank(cells: Cells, name: str, row: int) -> bool:
    """Whether nothing stands there: what is no number was told already."""
    column = cells.columns.get(name)
    if column is None:
        return True
    if isinstance(column, pa.Array):
        return not column[row].is_valid
    return column[row] == ""


def _check_storage(cells: Cells, row: int, columns: Columns) -> None:
    value = {name: float(columns[name][row]) for name in _NUMBERS}
    energy = value["energy_cap_mwh"]
    if energy <= 0.0:
        cells.wrong(row, "energy_cap_mwh", f"{energy:g}", "more than 0")
    needs = columns["asset_type"][row] in _STORES
    if needs and math.isnan(energy) and _is_blank(cells, "energy_cap_mwh", row):
        cells.wrong(row, "energy_cap_mwh", "nothing", "the MWh of the battery")
    for name in _SHARES:
        if not 0.0 <= value[name] <= 1.0 and not math.isnan(value[name]):
            cells.wrong(row, name, f"{value[name]:g}", "a share from 0 to 1")
    for name in _EFFICIENCIES:
        if not 0.0 < value[name] <= 1.0 and not math.isnan(value[name]):
            cells.wrong(row, name, f"{value[name]:g}", "a share above 0, up to 1")
    low = 0.0 if math.isnan(value["soc_min"]) else value["soc_min"]
    high = 1.0 if math.isnan(value["soc_max"]) else value["soc_max"]
    if low >= high:
        cells.wrong(row, "soc_min", f"{low:g}", f"less than soc_max ({high:g})")
    elif 0.0 <= value["soc_init"] <= 1.0 and not low <= value["soc_init"] <= high:
        cells.wrong(
            row, "soc_init", f"{value['soc_init']:g}", f"from soc_min ({low:g}) to soc_max ({high:g})"
        )


def _check_settings(cells: Cells, row: int, text: str) -> None:
    if not text:
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        cells.wrong(row, "settings", text, 'a JSON object, as {"shift_mw": 0.1}')


def curve_columns(cells: Cells) -> Columns:
    """The columns of cost curves, checked; problems go into the cells."""
    columns: Columns = {
        "cost_curve_id": cells.texts("cost_curve_id", required=True),
        "p_mw": cells.numbers("p_mw", required=True),
        "cost_usd_per_h": cells.numbers("cost_usd_per_h", required=True),
    }
    for rows in rows_by_key(columns["cost_curve_id"]).values():
        power, cost = columns["p_mw"][rows], columns["cost_usd_per_h"][rows]
        if not (np.isfinite(power).all() and np.isfinite(cost).all()):
            continue
        fault = curve_fault(power, cost)
        if fault is not None:
            at, name, expected = fault
            cells.wrong(int(rows[at]), name, f"{columns[name][rows[at]]:g}", expected)
    return columns


def session_columns(cells: Cells, assets: Columns) -> Columns:
    """The columns of sessions, checked; problems go into the cells."""
    columns: Columns = {"asset_id": cells.texts("asset_id", required=True)}
    for name, required in (("arrival_h", True), ("departure_h", True), ("energy_mwh", False),
                           ("soc_arrival", False), ("soc_departure", False)):  # fmt: skip
        columns[name] = cells.numbers(name, required)
    rows = {one: row for row, one in enumerate(assets["asset_id"])}
    for row, one in enumerate(columns["asset_id"]):
        at = rows.get(one)
        if one and (at is None or assets["asset_type"][at] != "ev"):
            known = [name for name, k in rows.items() if assets["asset_type"][k] == "ev"]
            cells.wrong(row, "asset_id", one, f"an asset of type ev; {nearest(one, known)}")
        _check_session(cells, row, columns, math.nan if at is None else assets["energy_cap_mwh"][at])
    return columns


def _check_session(cells: Cells, row: int, columns: Columns, capacity_mwh: float) -> None:
    for name in ("arrival_h", "departure_h", "energy_mwh"):
        if columns[name][row] < 0.0:
            cells.wrong(row, name, f"{columns[name][row]:g}", "0 or more")
    shares = {name: columns[name][row] for name in ("soc_arrival", "soc_departure")}
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0 and not math.isnan(share):
            cells.wrong(row, name, f"{share:g}", "a share from 0 to 1")
    given = [name for name, share in shares.items() if not math.isnan(share)]
    energy = not math.isnan(columns["energy_mwh"][row])
    if energy and given:
        cells.wrong(row, given[0], f"{shares[given[0]]:g}", "nothing, as energy_mwh is given")
    elif not energy and len(given) < 2:
        absent = ("energy_mwh", *(name for name in shares if name not in given))
        if all(_is_blank(cells, name, row) for name in absent):
            cells.wrong(row, "energy_mwh", "nothing", "MWh, or soc_arrival and soc_departure")
    elif len(given) == 2 and math.isnan(capacity_mwh):
        expected = "energy_cap_mwh of the asset with it"
        cells.wrong(row, "soc_departure", f"{shares['soc_departure']:g}", expected)
    elif len(given) == 2 and shares["soc_departure"] < shares["soc_arrival"]:
        expected = f"soc_arrival ({shares['soc_arrival']:g}) or more"
        cells.wrong(row, "soc_departure", f"{shares['soc_departure']:g}", expected)


def rows_by_key(keys: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Rows of each key, in the order of its first row; rows without a key are left out."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        if key:
            found.setdefault(key, []).append(row)
    return {key: np.array(rows, dtype=np.int64) for key, rows in found.items()}
