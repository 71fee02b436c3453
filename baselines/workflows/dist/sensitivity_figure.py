"""sensitivities.png: where a further MW costs losses, and how far voltages move."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .... import cases
from ....cases.model.topology import branch_ends
from ....envs.rendering.feeder_plot import coordinates
from .sensitivity import FeederSensitivities

DPI = 110
_LABELS = 16  # names along an axis


def sensitivities_png(found: FeederSensitivities) -> bytes:
    """A map of marginal losses and the matrix dV/dP, as PNG with the same bytes every time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 5.6), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    _map(figure, left, found.feeder, found)
    _matrix(figure, right, found)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=DPI, metadata={"Software": None})
    return sink.getvalue()


def _map(figure: Any, ax: Any, feeder: cases.Feeder, found: FeederSensitivities) -> None:
    from matplotlib.collections import LineCollection

    loss = -100.0 * found.found.loss_by_p.reshape(feeder.n_nodes, -1)
    value = loss[np.arange(len(loss)), np.abs(loss).argmax(axis=1)]
    xy, closed = coordinates(feeder), feeder.column("branches", "status").astype(bool)
    lines = list(xy[branch_ends(feeder)[closed]])
    ax.add_collection(LineCollection(lines, color="#BBBBBB", lw=1.4, zorder=1))
    most = float(np.abs(value).max()) or 1.0
    size = float(np.clip(3000.0 / len(xy), 9.0, 70.0))
    dots = ax.scatter(xy[:, 0], xy[:, 1], s=size, c=value, cmap="RdBu_r", vmin=-most, vmax=most, zorder=2)
    figure.colorbar(dots, ax=ax, fraction=0.04, label="kW lost more per 100 kW consumed more")
    ax.set_title(f"{feeder.name}: marginal losses of active power", fontsize=11, loc="left")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.margins(0.07, 0.09)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _matrix(figure: Any, ax: Any, found: FeederSensitivities) -> None:
    matrix = found.found.v_by_p
    told, names = list(found.found.buses), [str(n) for n in found.feeder.column("nodes", "node_id")]
    if matrix.ndim == 4:  # of each pair of buses the largest answer of a phase to itself
        matrix = np.einsum("ipjp->ijp", np.nan_to_num(matrix)).max(axis=2)
    image = ax.imshow(matrix, aspect="auto", cmap="viridis", interpolation="nearest")
    figure.colorbar(image, ax=ax, fraction=0.04, label="dV/dP (pu per MW)")
    ax.set_title("Voltage (row) by injection (column)", fontsize=11, loc="left")
    for axis, labels in ((ax.xaxis, names), (ax.yaxis, told)):
        at = np.unique(np.linspace(0, len(labels) - 1, min(_LABELS, len(labels))).astype(int))
        axis.set_ticks(at, [labels[k] for k in at], fontsize=7)
    for label in ax.get_xticklabels():
        label.set_rotation(90)
