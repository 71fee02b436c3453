"""der_dispatch.png: setpoints of assets within their limits, those that are called first on top."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ...jobs.pictures import new_figure, png

_REST, _SET, _BOX = "#0072B2", "#D55E00", "#c9c9c9"
_BARS = 30


def dispatch_png(tables: Mapping[str, pa.Table]) -> bytes:
    """As PNG with the same bytes every time."""
    rows = sorted(tables["der_dispatch"].to_pylist(), key=lambda row: row["priority"])[:_BARS]
    (head,) = tables["der_dispatch_head"].to_pylist()
    figure = new_figure(8.0, 1.5 + 0.24 * len(rows))
    ax = figure.subplots()
    at = np.arange(len(rows), dtype=float)
    low, high, rest, now = (
        np.array([row[name] for row in rows]) for name in ("p_min_mw", "p_max_mw", "p_rest_mw", "p_mw")
    )
    ax.barh(at, high - low, left=low, height=0.6, color=_BOX)
    ax.scatter(rest, at, marker="|", s=70, linewidths=2.0, color=_REST, label="at rest")
    ax.scatter(now, at, marker="|", s=110, linewidths=2.5, color=_SET, label="setpoint")
    ax.set_yticks(at, [f"{row['asset_id']} ({row['priority']})" for row in rows], fontsize=7)
    ax.invert_yaxis()
    ax.set_xlabel("MW (positive: fed in); priority in brackets")
    ax.set_title(f"{head['feeder']}: head at {head['p_mw']:.4f} MW, {head['q_mvar']:.4f} Mvar", fontsize=10)
    ax.grid(alpha=0.3, axis="x")
    ax.legend(frameon=False)
    return png(figure)
