"""Pictures of hosting capacity: a map with a curve of penetration, and voltages before and with the plant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....cases import Feeder
from ....cases.model.topology import branch_ends, closed_branches, spanning_forest
from ....envs.rendering.feeder_plot import coordinates
from ...hosting.capacity import Capacities, HostingStudy
from ...hosting.limits import KINDS
from ...jobs.pictures import new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
_GREY, _INK, _BEFORE, _AFTER = "#8a8a8a", "#222222", "#0072B2", "#D55E00"


def capacity_png(feeder: Feeder, found: Sequence[Mapping[str, Any]], curve: pa.Table) -> bytes:
    """The feeder with what each bus takes, and how many take how much, as PNG."""
    figure = new_figure(11.0, 5.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1.0))
    _map(left, feeder, found)
    size, share = curve["size_mw"].to_numpy(), 100.0 * curve["share_hosting"].to_numpy()
    right.plot(size, share, color=_BEFORE, drawstyle="steps-pre")
    right.set(xlabel="size of the plant, MW", ylabel="candidates that take it, %", ylim=(0.0, 103.0))
    right.set_xlim(left=0.0)
    right.grid(alpha=0.3)
    percent = curve["penetration_pct"].to_pylist()
    if percent[-1] is not None and size[-1] > 0.0:
        factor = percent[-1] / size[-1]
        top = right.secondary_xaxis("top", functions=(lambda mw: mw * factor, lambda part: part / factor))
        top.set_xlabel("penetration, % of the feeder's load")
    return png(figure)


def _map(ax: Axes, feeder: Feeder, found: Sequence[Mapping[str, Any]]) -> None:
    """Nodes coloured by the least that any of their phases takes."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm

    xy, ends = coordinates(feeder), branch_ends(feeder)
    closed, _ = closed_branches(feeder)
    ax.add_collection(LineCollection(list(xy[ends[closed]]), colors=_GREY, linewidths=0.9, zorder=1))
    value = np.full(feeder.n_nodes, np.nan)
    for row in found:
        for bus in row["sites"].split(","):
            at = feeder.node_index[bus]
            value[at] = np.fmin(value[at], row["max_mw"])
    some = np.isfinite(value)
    floor = 1e-3
    seen = np.maximum(value[some], floor)
    norm = LogNorm(seen.min(), max(seen.max(), 1.001 * seen.min()))
    dots = ax.scatter(
        xy[some, 0],
        xy[some, 1],
        c=seen,
        cmap="viridis",
        norm=norm,
        s=34,
        edgecolors=_INK,
        linewidths=0.4,
        zorder=2,
    )
    sources = [feeder.node_index[str(node)] for node in feeder.column("sources", "node_id")]
    ax.scatter(xy[sources, 0], xy[sources, 1], marker="s", s=60, color=_INK, zorder=3)
    ax.figure.colorbar(dots, ax=ax, label="hosting capacity, MW", shrink=0.85)
    ax.set_title(f"{feeder.name}: what each bus takes", fontsize=10)
    ax.margins(0.05)
    ax.set_axis_off()


def voltage_profile(study: HostingStudy, found: Capacities, size_mw: float) -> tuple[Floats, Floats]:
    """(n_bus, 1 or 3) voltages without the one plant of ``found`` and with it, at the moment that decides."""
    judge = study.judges[-1]
    before, after = (
        study.evaluate(judge, found.sites, found.base, size).v_pu[0].reshape(len(study.flows.node_ids), -1)
        for size in (np.zeros(1), np.array([size_mw]))
    )
    return before, after


def profile_png(study: HostingStudy, found: Capacities, size_mw: float | None = None) -> bytes:
    """Voltages over the distance from the source, without the plant and with it, as PNG.

    Args:
        study: Of the feeder.
        found: Of one candidate.
        size_mw: Of the plant; None: the largest that fits.
    """
    from matplotlib.collections import LineCollection

    size = float(found.max_mw[0]) if size_mw is None else size_mw
    parent, depth = (np.asarray(column) for column in spanning_forest(study.feeder))
    child = np.flatnonzero(parent >= 0)
    figure = new_figure(8.0, 4.6)
    ax = figure.subplots()
    label = f"with {size:.4g} MW at {found.sites.name[0]}"
    for voltages, colour, text in zip(
        voltage_profile(study, found, size), (_BEFORE, _AFTER), ("before", label), strict=True
    ):
        for k, v in enumerate(voltages.T):
            way = [[(depth[parent[n]], v[parent[n]]), (depth[n], v[n])] for n in child.tolist()]
            ax.add_collection(LineCollection(way, colors=colour, linewidths=0.7, alpha=0.6, zorder=1))
            ax.scatter(depth, v, s=14, color=colour, label=text if k == 0 else None, zorder=2)
    band = study.settings.limits.voltage_band
    if band is not None:
        for limit in band:
            if 0.0 < limit < np.inf:
                ax.axhline(limit, color=_INK, linewidth=0.8, linestyle="--", zorder=1)
    limited = "nothing" if found.kind[0] < 0 else KINDS[found.kind[0]].replace("_", " ")
    at = f" at {found.element[0]}" if found.element[0] else ""
    ax.set(xlabel="branches from the source", ylabel="voltage, pu")
    ax.locator_params(axis="x", integer=True)
    largest = f"{study.feeder.name}: largest {found.max_mw[0]:.4g} MW"
    ax.set_title(f"{largest}, limited by {limited}{at}", fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return png(figure)
