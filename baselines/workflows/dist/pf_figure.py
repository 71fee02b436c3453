"""pf.png: voltages along the feeder, of each phase, and the branches that are loaded most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from .... import cases
from ...jobs.pictures import new_figure, png
from .voltage_figure import (
    AFTER,
    BEFORE,
    INK,
    by_phase,
    draw_profile,
    finish_profile,
    ground_voltages,
    way_of,
)

_BARS = 16


def pf_png(feeder: cases.Feeder, tables: Mapping[str, pa.Table], usable: bool) -> bytes:
    """Of the tables of a power flow, as PNG with the same bytes every time."""
    figure = new_figure(11.0, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
    _profile(left, feeder, tables, usable)
    _loading(right, tables["branches"])
    return png(figure)


def _profile(ax: Any, feeder: cases.Feeder, tables: Mapping[str, pa.Table], usable: bool) -> None:
    way = way_of(feeder)
    rows = tables["voltages" if feeder.phases == "per-phase" else "buses"].to_pylist()
    for name, colour, v in by_phase(ground_voltages(feeder, rows)):
        draw_profile(ax, way, v, name, colour)
    limits = [_one_of(tables["buses"], name) for name in ("v_min_pu", "v_max_pu")]
    title = f"{feeder.name}: voltages" + ("" if usable else ", NOT A SOLUTION")
    finish_profile(ax, way, title, [limit for limit in limits if limit is not None])


def _one_of(buses: pa.Table, name: str) -> float | None:
    """A limit that all buses share."""
    if name not in buses.column_names:
        return None
    values = set(buses[name].drop_null().to_pylist())
    return values.pop() if len(values) == 1 else None


def _loading(ax: Any, branches: pa.Table) -> None:
    rows = [row for row in branches.to_pylist() if row["loading_pct"] is not None]
    rows = sorted(rows, key=lambda row: -row["loading_pct"])[:_BARS]
    ax.set_title("Branches loaded most" if rows else "No branch has a rating", fontsize=10)
    if not rows:
        ax.set_axis_off()
        return
    at = np.arange(len(rows))
    loading = np.array([row["loading_pct"] for row in rows])
    ax.barh(at, loading, color=[AFTER if one > 100.0 else BEFORE for one in loading], height=0.7)
    ax.axvline(100.0, color=INK, linewidth=0.8, linestyle="--")
    ax.set_yticks(at, [row["branch_id"] for row in rows], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("loading, % of the rating")
    ax.grid(alpha=0.3, axis="x")
