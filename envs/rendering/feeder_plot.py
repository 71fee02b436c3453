"""A feeder on matplotlib axes: coloured nodes, branches as wide as their load, resources marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...cases.model.topology import branch_ends
from ...cases.model.tree_drawing import radial_layout

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

    from ...cases import Feeder
    from ..resources.base import UnitInfo

Floats = NDArray[np.float64]

# Okabe and Ito's palette, told apart with every common colour blindness.
INK, GREY, PALE = "#222222", "#8a8a8a", "#c4c4c4"
COLOURS = {
    "battery": "#0072B2", "pv": "#E69F00", "ev": "#56B4E9", "tap_changer": "#CC79A7",
    "capacitor_bank": "#009E73",
}  # fmt: skip
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9")
OVERLOAD = "#D55E00"
MARKERS = {"battery": "s", "pv": "^", "ev": "p", "tap_changer": "P", "capacitor_bank": "v"}
LABELS = {
    "battery": "Battery", "pv": "PV", "ev": "EV", "tap_changer": "Taps", "capacitor_bank": "Capacitors",
}  # fmt: skip
MAX_LABELS = 30


@dataclass
class FeederArtists:
    """What `draw_feeder` drew; `update` recolours it without drawing anew."""

    nodes: PathCollection
    branches: LineCollection
    colorbar: Any  # None without one
    band: tuple[float, float]
    status: NDArray[np.bool_]  # (n_branches,) of the feeder
    marks: list[Artist]  # source, resources and their labels: above the nodes, never changing
    width: float  # points of a branch loaded to its rating

    def update(
        self, values: Floats, loading: Floats | None = None, closed: NDArray[np.bool_] | None = None
    ) -> None:
        """New values (n_nodes,), loading (n_branches,) as a share of the rating, closed (n_branches,)."""
        low, high = self.band
        outside = (values < low) | (values > high)
        self.nodes.set_array(np.ma.masked_invalid(values))
        self.nodes.set_edgecolor([INK if out else GREY for out in outside])
        self.nodes.set_linewidth(np.where(outside, 1.5, 0.4).tolist())
        shut = self.status if closed is None else np.asarray(closed, dtype=bool)
        share = (
            np.zeros(shut.size) if loading is None else np.nan_to_num(np.asarray(loading, dtype=np.float64))
        )
        self.branches.set_linewidth(
            np.where(shut, self.width * (0.2 + 0.8 * np.clip(share, 0.0, 1.25)), 0.9).tolist()
        )
        over = np.where(share > 1.0, OVERLOAD, GREY)
        self.branches.set_color(np.where(shut, over, PALE).tolist())
        self.branches.set_linestyle(["solid" if s else (0, (4, 3)) for s in shut])


def draw_feeder(
    ax: Axes,
    feeder: Feeder,
    values: Floats,
    *,
    loading: Floats | None = None,
    closed: NDArray[np.bool_] | None = None,
    units: Sequence[UnitInfo] = (),
    band: tuple[float, float] = (0.95, 1.05),
    label: str = "Voltage (pu)",
    colorbar: bool = True,
    legend: bool = True,
) -> FeederArtists:
    """Draw `feeder` on `ax` at its nodes' x and y (a tree layout where it has none).

    `values` (n_nodes,) in pu colour the nodes by a diverging map centred on 1.0; nodes outside `band` get
    a dark ring. `loading` (n_branches,), share of the rating, sets the branches' width (above 1 also
    their colour). `closed` (n_branches,) overrides the feeder's switch states; open branches are dashed.
    `units` marks resources.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.colors import TwoSlopeNorm

    xy = coordinates(feeder)
    ends = branch_ends(feeder)
    branches = LineCollection(list(xy[ends]), zorder=1, capstyle="round")
    ax.add_collection(branches)
    reach = max(1.0 - band[0], band[1] - 1.0, 0.01) * 2.0
    size = float(np.clip(3000.0 / max(len(xy), 1), 9.0, 70.0))
    width = float(np.clip(4.0 * np.sqrt(100.0 / max(len(xy), 1)), 1.6, 4.0))
    nodes = ax.scatter(
        xy[:, 0],
        xy[:, 1],
        s=size,
        c=np.ones(len(xy)),
        cmap="RdBu_r",
        norm=TwoSlopeNorm(1.0, 1.0 - reach, 1.0 + reach),
        zorder=3,
    )
    source_rows = [feeder.node_index[str(s)] for s in feeder.column("sources", "node_id")]
    star = ax.scatter(xy[source_rows, 0], xy[source_rows, 1], s=190, marker="*", color=INK, zorder=4)
    marks: list[Artist] = [star, *_mark_units(ax, xy, units)]
    bar = _colorbar(ax, nodes, band, label) if colorbar else None
    ax.set_xticks([])
    ax.set_yticks([])
    ax.margins(0.07, 0.09)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if legend:
        _legend(ax, units, width)
    status = feeder.column("branches", "status").astype(bool)
    artists = FeederArtists(nodes, branches, bar, band, status, marks, width)
    artists.update(np.asarray(values, dtype=np.float64), loading, closed)
    return artists


def unit_colour(kind: str) -> str:
    """The colour of a kind of resource, the same in every picture."""
    return COLOURS.get(kind) or OTHER_COLOURS[sum(map(ord, kind)) % len(OTHER_COLOURS)]


def coordinates(feeder: Feeder) -> Floats:
    """(n_nodes, 2) positions: the table's where all are given, else a drawing of the tree."""
    xy = np.column_stack([feeder.column("nodes", "x"), feeder.column("nodes", "y")]).astype(np.float64)
    if np.isfinite(xy).all():
        return xy
    return np.column_stack(radial_layout(feeder))


def _mark_units(ax: Axes, xy: Floats, units: Sequence[UnitInfo]) -> list[Artist]:
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import ScaledTranslation

    figure = ax.figure
    marks: list[Artist] = []
    at_node: dict[int, int] = {}
    for unit in units:
        nth = at_node.get(unit.node_row, 0)
        at_node[unit.node_row] = nth + 1
        side = 1.0 if nth % 2 == 0 else -1.0  # above the node, then below it, then further out
        dy = side * (9.0 + 10.0 * (nth // 2))
        shifted = ax.transData + ScaledTranslation(0.0, dy / 72.0, figure.dpi_scale_trans)
        x, y = xy[unit.node_row]
        marks += ax.plot(
            [x],
            [y],
            MARKERS.get(unit.kind, "D"),
            transform=shifted,
            color=unit_colour(unit.kind),
            markersize=8.0,
            markeredgecolor=INK,
            markeredgewidth=0.7,
            zorder=5,
        )
        if len(units) <= MAX_LABELS:
            label = ax.annotate(
                unit.bus,
                (x, y),
                xytext=(6.0, dy),
                textcoords="offset points",
                fontsize=7.5,
                va="center",
                color=INK,
                zorder=6,
                path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )
            marks.append(label)
    return marks


def _colorbar(ax: Axes, nodes: PathCollection, band: tuple[float, float], label: str) -> Any:
    bar = ax.figure.colorbar(nodes, ax=ax, extend="both", fraction=0.035, pad=0.01, aspect=28)
    bar.set_label(label, fontsize=9)
    low, high = nodes.get_clim()
    bar.set_ticks(sorted({round(t, 3) for t in (low, band[0], 1.0, band[1], high)}))
    bar.ax.tick_params(labelsize=8)
    for limit in band:
        bar.ax.axhline(limit, color=INK, linewidth=1.6)
    return bar


def _legend(ax: Axes, units: Sequence[UnitInfo], width: float) -> None:
    from matplotlib.lines import Line2D

    def dot(marker: str, name: str, face: str, size: float = 8.0, edge: str = INK) -> Line2D:
        return Line2D(
            [], [], linestyle="", marker=marker, color=face, markeredgecolor=edge, markersize=size, label=name
        )

    handles = [dot("*", "Source", INK, 11.0)]
    for kind in dict.fromkeys(u.kind for u in units):
        handles.append(dot(MARKERS.get(kind, "D"), LABELS.get(kind, kind), unit_colour(kind)))
    handles.append(dot("o", "Outside band", "white"))
    handles.append(Line2D([], [], color=GREY, linewidth=width, label="Loaded 100 %"))
    handles.append(Line2D([], [], color=OVERLOAD, linewidth=width, label="Overloaded"))
    handles.append(Line2D([], [], color=PALE, linewidth=1.4, linestyle=(0, (4, 3)), label="Open"))
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=4,
        fontsize=8,
        frameon=False,
        columnspacing=1.2,
        handletextpad=0.5,
    )
