"""Asset tables from Parquet and CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import CaseError, Problem
from ..profiles.vehicles import CHARGER_SITES
from .asset_set import AssetSet
from .cells import FORMATS, Cells, read_cells
from .checks import Known, asset_columns, curve_columns, session_columns
from .schema import ASSET_TABLES, STAMP, empty
from .stamps import zone_of
from .telemetry import telemetry_columns

if TYPE_CHECKING:
    from ..model.feeder import Feeder

_MAIN = "der_assets"


def read_assets(
    path: str | Path,
    *,
    cost_curves: str | Path | None = None,
    sessions: str | Path | None = None,
    telemetry: str | Path | None = None,
    zone: str | None = None,
    feeder: Feeder | None = None,
) -> AssetSet:
    """Read assets, and what belongs to them.

    Args:
        path: a table of assets, Parquet or CSV, or a folder with `der_assets.parquet` or `.csv`.
        cost_curves: a table of curves; None: `cost_curves.parquet` or `.csv` beside it, if there is one.
        sessions: a table of charging sessions; None: `sessions` beside it.
        telemetry: a table of limits step by step; None: `telemetry` beside it.
        zone: of time stamps without one, such as "Europe/Berlin"; None: local standard time of the shipped
            data, which is UTC+1.
        feeder: where the assets are, so that buses and phases are checked.

    Raises:
        CaseError: names every cell that is wrong: file, row, column, value and what was expected.
        ValueError: an unknown zone.
    """
    found, problems = _read(
        Path(path), {"cost_curves": cost_curves, "sessions": sessions, "telemetry": telemetry}, zone, feeder
    )
    if found is None:
        raise CaseError(problems)
    return found


def check_assets(
    path: str | Path,
    *,
    cost_curves: str | Path | None = None,
    sessions: str | Path | None = None,
    telemetry: str | Path | None = None,
    zone: str | None = None,
    feeder: Feeder | None = None,
) -> tuple[Problem, ...]:
    """All that is wrong with the files that `read_assets` would read; empty where they are good."""
    companions = {"cost_curves": cost_curves, "sessions": sessions, "telemetry": telemetry}
    try:
        return _read(Path(path), companions, zone, feeder)[1]
    except CaseError as error:
        return error.problems


def row_names(path: str | Path) -> tuple[str, Sequence[int]]:
    """File of the assets, and what messages call each of its rows: lines of CSV, rows of Parquet.

    Raises:
        CaseError: see `read_assets`.
    """
    cells = read_cells(_main_file(Path(path)), ASSET_TABLES[_MAIN])
    return cells.origin, cells.rows


def _read(
    path: Path, companions: dict[str, str | Path | None], zone: str | None, feeder: Feeder | None
) -> tuple[AssetSet | None, tuple[Problem, ...]]:
    clock, main = zone_of(zone), _main_file(path)
    cells = {_MAIN: read_cells(main, ASSET_TABLES[_MAIN])}
    for name, given in companions.items():
        file = _beside(main, name) if given is None else Path(given)
        if file is not None:
            cells[name] = read_cells(file, ASSET_TABLES[name])
    columns: dict[str, dict[str, Any]] = {}
    if "cost_curves" in cells:
        columns["cost_curves"] = curve_columns(cells["cost_curves"])
    if "telemetry" in cells:
        columns["telemetry"] = telemetry_columns(cells["telemetry"], clock)
    known = Known(
        curves=_named(columns, "cost_curves", "cost_curve_id"),
        series=_named(columns, "telemetry", "telemetry_id"),
        sites=CHARGER_SITES,
        feeder=feeder,
    )
    columns[_MAIN] = asset_columns(cells[_MAIN], known)
    if "sessions" in cells:
        columns["sessions"] = session_columns(cells["sessions"], columns[_MAIN])
    problems = tuple(problem for one in cells.values() for problem in _in_order(one))
    if problems:
        return None, problems
    tables = {name: _table(name, columns[name]) if name in columns else empty(name) for name in ASSET_TABLES}
    name = feeder.name if feeder is not None else str(path)
    return AssetSet(tables.pop(_MAIN), **tables, name=name), ()


def _named(columns: dict[str, dict[str, Any]], table: str, column: str) -> dict[str, None]:
    """Ids that a table names, in its order: messages tell the first of them."""
    return dict.fromkeys(one for one in columns.get(table, {}).get(column, ()) if one)


def _in_order(cells: Cells) -> list[Problem]:
    return sorted(cells.problems, key=lambda problem: -1 if problem.row is None else problem.row)


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    """The table; "" and NaN become nulls where a column may have them."""
    arrays = []
    for field in ASSET_TABLES[name]:
        values = columns[field.name]
        if pa.types.is_string(field.type):
            values = [one or None for one in values]
        if pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, type=pa.int64()).cast(STAMP))
        elif pa.types.is_floating(field.type):
            arrays.append(pa.array(values, type=field.type, mask=np.isnan(values)))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=ASSET_TABLES[name])


def _main_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = _beside(path / _MAIN, _MAIN)
    if found is None:
        raise CaseError([Problem(str(path), None, "", "", " or ".join(f"{_MAIN}{one}" for one in FORMATS))])
    return found


def _beside(main: Path, name: str) -> Path | None:
    """The file of a table in the folder of the assets; the format of these first."""
    endings = sorted(FORMATS, key=lambda one: one != main.suffix.lower())
    files = (main.parent / f"{name}{ending}" for ending in endings)
    return next((file for file in files if file.is_file()), None)
