"""Whether asset tables are good: everything that is wrong with them, or what is in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ....cases import Problem, load
from ....cases.assets import AssetSet, check_assets, read_assets
from ....cases.assets.reading import row_names
from ....envs.configuration.asset_fleet.reading import resource_problems

#: Assets by type, as a good file is summed up.
SUMMARY = pa.schema(
    [
        pa.field("asset_type", pa.string()),
        pa.field("assets", pa.int64(), metadata={"unit": "1"}),
        pa.field("buses", pa.int64(), metadata={"unit": "1"}),
        pa.field("aggregators", pa.int64(), metadata={"unit": "1"}),
        pa.field("p_min_mw", pa.float64(), metadata={"unit": "MW"}),
        pa.field("p_max_mw", pa.float64(), metadata={"unit": "MW"}),
        pa.field("energy_cap_mwh", pa.float64(), metadata={"unit": "MWh"}),
    ]
)


@dataclass(frozen=True)
class AssetReport:
    """What was found in asset tables.

    Attributes:
        problems: every cell that is wrong; empty where all are good.
        assets: what was read; None where something is wrong.
        summary: assets by type, `SUMMARY`, sums of their limits; without rows where something is wrong.
    """

    problems: tuple[Problem, ...]
    assets: AssetSet | None
    summary: pa.Table


def validate_assets(
    file: str | Path,
    *,
    feeder: str | Path | None = None,
    cost_curves: str | Path | None = None,
    sessions: str | Path | None = None,
    telemetry: str | Path | None = None,
    zone: str | None = None,
) -> AssetReport:
    """Check asset tables: each cell, and whether each asset can be a resource of an environment.

    Args:
        file: a table of assets (Parquet or CSV), or a folder with `der_assets.parquet` or `.csv`.
        feeder: name or path of the feeder whose buses and phases assets must have; None: any.
        cost_curves: see `cases.assets.read_assets`.
        sessions: see there.
        telemetry: see there.
        zone: see there.

    Raises:
        CaseError: a feeder that is not usable.
        ValueError: an unknown zone.
    """
    grid = None if feeder is None else load(feeder)
    options = {"cost_curves": cost_curves, "sessions": sessions, "telemetry": telemetry}
    problems = check_assets(file, **options, zone=zone, feeder=grid)
    if problems:
        return AssetReport(problems, None, SUMMARY.empty_table())
    found = read_assets(file, **options, zone=zone, feeder=grid)
    file_name, rows = row_names(file)
    problems = tuple(
        replace(one, file=file_name, row=None if one.row is None else rows[one.row])
        for one in resource_problems(found)
    )
    if problems:
        return AssetReport(problems, None, SUMMARY.empty_table())
    return AssetReport((), found, summary_of(found))


def summary_of(assets: AssetSet) -> pa.Table:
    """Assets by type; sums of limits, nothing where no asset of a type has one."""
    rows = []
    for kind, members in assets.groups("type").items():
        part = assets.select(members)
        row = {
            "asset_type": kind, "assets": part.n_assets, "buses": len(part.groups("bus")),
            "aggregators": len(part.groups("aggregator")),
        }  # fmt: skip
        for name in ("p_min_mw", "p_max_mw", "energy_cap_mwh"):
            values = part.numbers(name)
            row[name] = None if np.isnan(values).all() else float(np.nansum(values))
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SUMMARY)
