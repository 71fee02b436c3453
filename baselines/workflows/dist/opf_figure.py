"""dist_opf.png: voltages without and with the plan, and the setpoints within their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .... import physics
from ...jobs.pictures import new_figure, png
from .opf_config import OpfSession
from .opf_settings import with_settings
from .voltage_figure import (
    AFTER,
    BEFORE,
    BOX,
    INK,
    draw_positions,
    draw_profile,
    finish_profile,
    ground_voltages,
    way_of,
)

_BARS = 24


def opf_png(session: OpfSession, tables: Mapping[str, pa.Table]) -> bytes:
    """Of the first operating point that has a plan, as PNG with the same bytes every time."""
    point = _drawn(tables["dist_opf_summary"])
    step = tables["dist_opf_summary"]["step"].to_pylist()[point]
    settings = _rows(tables["dist_opf_settings"], step)
    panels = 1 + bool(session.assets or not settings) + bool(settings)
    figure = new_figure(6.0 + 3.6 * (panels - 1), 4.8)
    left, *others = figure.subplots(1, panels, width_ratios=(1.5, *[1.0] * (panels - 1)), squeeze=False)[0]
    _profile(left, session, tables, point)
    if session.assets or not settings:
        _setpoints(others[0], tables, point)
    if settings:
        _settings(others[-1], settings)
    return png(figure)


def _drawn(summary: pa.Table) -> int:
    """Number of the first operating point with a plan; 0 where none has one."""
    have = [k for k, status in enumerate(summary["status"].to_pylist()) if status != "infeasible"]
    return have[0] if have else 0


def _rows(of: pa.Table, step: int | None) -> list[dict[str, Any]]:
    return [row for row in of.to_pylist() if row["step"] == step]


def _profile(ax: Any, session: OpfSession, tables: Mapping[str, pa.Table], point: int) -> None:
    row = tables["dist_opf_summary"].slice(point, 1).to_pylist()[0]
    loads = session.moments.rows(np.array([point]))
    source: dict[str, Any] = {} if session.v_source_pu is None else {"v_source_pu": session.v_source_pu}
    without = np.asarray(physics.solve(session.net, **loads, **source).v_pu[0])
    way = way_of(session.feeder)
    draw_profile(ax, way, without, "without", BEFORE)
    plan = _rows(tables["dist_opf_buses"], row["step"])
    if plan:
        feeder = with_settings(session.feeder, _rows(tables["dist_opf_settings"], row["step"]))
        draw_profile(ax, way_of(feeder), ground_voltages(feeder, plan), "plan", AFTER)
    title = f"{session.feeder.name}: {row['objective_name']}, {row['status']}"
    finish_profile(ax, way, title, session.limits.v_band or ())


def _settings(ax: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Positions before and after: all taps and banks, and switches that moved."""
    shown = [row for row in rows if row["kind"] != "switch" or row["changed"]][:_BARS]
    ax.set_title("Settings" if shown else "No switch moves", fontsize=10)
    if not shown:
        ax.set_axis_off()
        return
    moves = [(f"{row['kind']} {row['device_id']}", row["state_before"], row["state"]) for row in shown]
    draw_positions(ax, moves, "plan", "tap position; 0 open or off, 1 closed or on")


def _setpoints(ax: Any, tables: Mapping[str, pa.Table], point: int) -> None:
    step = tables["dist_opf_summary"]["step"].to_pylist()[point]
    rows = _rows(tables["dist_opf"], step)[:_BARS]
    ax.set_title("Setpoints within their limits" if rows else "No setpoints keep the limits", fontsize=10)
    if not rows:
        ax.set_axis_off()
        return
    at = np.arange(len(rows), dtype=float)
    for offset, part, unit, colour in ((-0.2, "p", "mw", AFTER), (0.2, "q", "mvar", BEFORE)):
        low, high, value = (
            np.array([row[f"{part}{which}_{unit}"] for row in rows]) for which in ("_min", "_max", "")
        )
        ax.barh(at + offset, high - low, left=low, height=0.34, color=BOX, zorder=1)
        ax.scatter(
            value, at + offset, marker="|", s=90, linewidths=2.0, color=colour, label=part.upper(), zorder=2
        )
    ax.set_yticks(at, [row["asset_id"] for row in rows], fontsize=8)
    ax.invert_yaxis()
    ax.axvline(0.0, color=INK, linewidth=0.6)
    ax.set_xlabel("MW, Mvar (positive: fed in)")
    ax.grid(alpha=0.3, axis="x")
    ax.legend(frameon=False)
