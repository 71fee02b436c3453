"""dist_opf.png: voltages without and with the plan, and the setpoints within their limits."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import physics
from ....cases.model.topology import spanning_forest
from .opf_config import OpfSession

_INK, _BEFORE, _AFTER, _BOX = "#222222", "#0072B2", "#D55E00", "#c9c9c9"
_DPI = 120
_BARS = 24


def opf_png(session: OpfSession, tables: Mapping[str, pa.Table]) -> bytes:
    """Of the first operating point that has a plan, as PNG with the same bytes every time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1.0))
    point = _drawn(tables["dist_opf_summary"])
    _profile(left, session, tables, point)
    _setpoints(right, tables, point)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=_DPI, metadata={"Software": None})
    return sink.getvalue()


def _drawn(summary: pa.Table) -> int:
    """Number of the first operating point with a plan; 0 where none has one."""
    have = [k for k, status in enumerate(summary["status"].to_pylist()) if status != "infeasible"]
    return have[0] if have else 0


def _rows(of: pa.Table, step: int | None) -> list[dict[str, Any]]:
    return [row for row in of.to_pylist() if row["step"] == step]


def _profile(ax: Any, session: OpfSession, tables: Mapping[str, pa.Table], point: int) -> None:
    from matplotlib.collections import LineCollection

    row = tables["dist_opf_summary"].slice(point, 1).to_pylist()[0]
    parent, depth = (np.asarray(column) for column in spanning_forest(session.feeder))
    child = np.flatnonzero(parent >= 0)
    loads = session.moments.rows(np.array([point]))
    source: dict[str, Any] = {} if session.v_source_pu is None else {"v_source_pu": session.v_source_pu}
    without = np.asarray(physics.solve(session.net, **loads, **source).v_pu[0])
    lines = [("without", without, _BEFORE)]
    plan = _rows(tables["dist_opf_buses"], row["step"])
    if plan:
        lines.append(("plan", _voltages(session, plan), _AFTER))
    for name, voltages, colour in lines:
        for k, v in enumerate(voltages.reshape(len(depth), -1).T):  # a line of each phase
            way = [[(depth[parent[n]], v[parent[n]]), (depth[n], v[n])] for n in child.tolist()]
            ax.add_collection(LineCollection(way, colors=colour, linewidths=0.7, alpha=0.6, zorder=1))
            ax.scatter(depth, v, s=13, color=colour, label=None if k else name, zorder=2)
    for limit in session.limits.v_band or ():
        ax.axhline(limit, color=_INK, linewidth=0.8, linestyle="--", zorder=1)
    ax.set(xlabel="branches from the source", ylabel="voltage, pu")
    ax.locator_params(axis="x", integer=True)
    ax.set_title(f"{session.feeder.name}: {row['objective_name']}, {row['status']}", fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)


def _voltages(session: OpfSession, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """(n_bus,) or (n_bus, 3) of a plan's rows."""
    per_phase = rows[0]["phase"] is not None
    found = np.full((session.feeder.n_nodes, 3 if per_phase else 1), np.nan)
    for row in rows:
        column = "ABC".index(row["phase"]) if per_phase else 0
        found[session.feeder.node_index[row["node_id"]], column] = row["v_pu"]
    return found


def _setpoints(ax: Any, tables: Mapping[str, pa.Table], point: int) -> None:
    step = tables["dist_opf_summary"]["step"].to_pylist()[point]
    rows = _rows(tables["dist_opf"], step)[:_BARS]
    ax.set_title("Setpoints within their limits" if rows else "No setpoints keep the limits", fontsize=10)
    if not rows:
        ax.set_axis_off()
        return
    at = np.arange(len(rows), dtype=float)
    for offset, part, unit, colour in ((-0.2, "p", "mw", _AFTER), (0.2, "q", "mvar", _BEFORE)):
        low, high, value = (
            np.array([row[f"{part}{which}_{unit}"] for row in rows]) for which in ("_min", "_max", "")
        )
        ax.barh(at + offset, high - low, left=low, height=0.34, color=_BOX, zorder=1)
        ax.scatter(
            value, at + offset, marker="|", s=90, linewidths=2.0, color=colour, label=part.upper(), zorder=2
        )
    ax.set_yticks(at, [row["asset_id"] for row in rows], fontsize=8)
    ax.invert_yaxis()
    ax.axvline(0.0, color=_INK, linewidth=0.6)
    ax.set_xlabel("MW, Mvar (positive: fed in)")
    ax.grid(alpha=0.3, axis="x")
    ax.legend(frameon=False)
