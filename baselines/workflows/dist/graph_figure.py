"""Picture of graphs of a feeder: the one with the lowest voltage as a map, and voltages of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.model.topology import branch_ends
from ....envs.rendering.feeder_plot import coordinates
from ...jobs.pictures import new_figure, png

Floats = NDArray[np.float64]
_GREY, _INK, _BLUE = "#8a8a8a", "#222222", "#0072B2"


def graphs_png(feeder: Feeder, nodes: pa.Table) -> bytes:
    """A map coloured by voltage beside lowest, median and highest voltage of each graph, as PNG."""
    v = node_voltages(nodes, feeder.n_nodes)
    figure = new_figure(11.0, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1.0))
    lowest = np.where(np.isfinite(v).any(axis=(1, 2)), np.nanmin(np.nan_to_num(v, nan=9.0), axis=(1, 2)), 9.0)
    worst = int(lowest.argmin())
    _map(left, feeder, v[worst], f"graph {worst} of {len(v)}")
    if len(v) > 1:
        flat = v.reshape(len(v), -1)
        steps = np.arange(len(v))
        right.fill_between(steps, np.nanmin(flat, axis=1), np.nanmax(flat, axis=1), color=_BLUE, alpha=0.25)
        right.plot(steps, np.nanmedian(flat, axis=1), color=_BLUE)
        right.set(xlabel="graph", title="voltages: lowest, median, highest")
    else:
        right.plot(np.sort(v[0][np.isfinite(v[0])]), color=_BLUE)
        right.set(xlabel="nodes and phases, sorted", title="voltages")
    right.set_ylabel("pu")
    right.title.set_fontsize(10)
    right.grid(alpha=0.3)
    return png(figure)


def node_voltages(nodes: pa.Table, n_nodes: int) -> Floats:
    """(graphs, n_nodes, 1 or 3) voltages of the table, NaN where there is none."""
    names = [name for name in nodes.column_names if name.startswith("v_pu")]
    columns = [nodes[name].to_numpy().astype(np.float64).reshape(-1, n_nodes) for name in names]
    return np.stack(columns, axis=-1)


def _map(ax: Any, feeder: Feeder, v: Floats, which: str) -> None:
    from matplotlib.collections import LineCollection

    xy, closed = coordinates(feeder), feeder.column("branches", "status").astype(bool)
    ax.add_collection(LineCollection(list(xy[branch_ends(feeder)[closed]]), colors=_GREY, lw=0.9, zorder=1))
    some = np.isfinite(v).any(axis=1)
    low = np.nanmin(v[some], axis=1)
    size = float(np.clip(3000.0 / len(xy), 9.0, 40.0))
    dots = ax.scatter(*xy[some].T, c=low, cmap="viridis", s=size, edgecolors=_INK, linewidths=0.3, zorder=2)
    ax.figure.colorbar(dots, ax=ax, label="lowest voltage of a node, pu", shrink=0.85)
    ax.set_title(f"{feeder.name}: {which}", fontsize=10)
    ax.margins(0.05)
    ax.set_axis_off()
