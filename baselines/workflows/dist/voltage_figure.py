"""Voltages along a feeder, before and after, and positions of devices: what several pictures share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .... import cases
from ....cases.model.topology import spanning_forest

FloatArray = NDArray[np.float64]
INK, BEFORE, AFTER, BOX = "#222222", "#0072B2", "#D55E00", "#c9c9c9"
PHASES = {"A": "#0072B2", "B": "#D55E00", "C": "#009E73"}


class Way(NamedTuple):
    """Where each node stands on the way from its source: the node before it (-1: none), and how far it is."""

    parent: NDArray[np.int64]
    at: FloatArray
    label: str


def way_of(feeder: cases.Feeder) -> Way:
    """Kilometres where every closed line has a length, else branches, from the source."""
    parent, depth = (np.asarray(column, dtype=np.int64) for column in spanning_forest(feeder))
    length = feeder.branches["length_km"].to_numpy().astype(np.float64)
    closed = feeder.column("branches", "status").astype(bool)
    lines = feeder.column("branches", "type") == "line"
    if np.isnan(length[closed & lines]).any() or not (closed & lines).any():
        return Way(parent, depth.astype(np.float64), "branches from the source")
    index = feeder.node_index
    between = {
        frozenset((index[str(a)], index[str(b)])): float(np.nan_to_num(km))
        for a, b, km, on in zip(
            feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), length, closed,
            strict=True,
        )
        if on
    }  # fmt: skip
    at = np.zeros(len(parent))
    for node in np.argsort(depth, kind="stable").tolist():
        if parent[node] >= 0:
            at[node] = at[parent[node]] + between[frozenset((node, int(parent[node])))]
    return Way(parent, at, "km from the source")


def draw_profile(ax: Any, way: Way, v_pu: FloatArray, name: str, colour: str) -> None:
    """A dot for each node and a line for each branch of the tree; (n,) or (n, phases), NaN where none is."""
    from matplotlib.collections import LineCollection

    child = np.flatnonzero(way.parent >= 0)
    for k, v in enumerate(v_pu.reshape(len(way.at), -1).T):
        lines = [[(way.at[way.parent[n]], v[way.parent[n]]), (way.at[n], v[n])] for n in child.tolist()]
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.7, alpha=0.6, zorder=1))
        ax.scatter(way.at, v, s=13, color=colour, label=None if k else name, zorder=2)


def finish_profile(ax: Any, way: Way, title: str, limits: Sequence[float] = ()) -> None:
    """Axes, limits as lines, names."""
    for limit in limits:
        ax.axhline(limit, color=INK, linewidth=0.8, linestyle="--", zorder=1)
    ax.set(xlabel=way.label, ylabel="voltage, pu")
    if way.label.startswith("branches"):
        ax.locator_params(axis="x", integer=True)
    ax.set_title(title, fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)


def draw_positions(ax: Any, rows: Sequence[tuple[str, int, int]], after: str, label: str) -> None:
    """(device, position before, position after) as marks that a line joins."""
    at = np.arange(len(rows))
    before, now = (np.array([row[k] for row in rows]) for k in (1, 2))
    ax.hlines(at, before, now, color=BOX, linewidth=2.0, zorder=1)
    ax.scatter(before, at, s=42, facecolors="none", edgecolors=BEFORE, label="before", zorder=2)
    ax.scatter(now, at, s=18, color=AFTER, label=after, zorder=3)
    ax.set_yticks(at, [row[0] for row in rows], fontsize=8)
    ax.invert_yaxis()
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel(label)
    ax.grid(alpha=0.3, axis="x")
    ax.legend(frameon=False, fontsize=8)


def by_phase(v_pu: FloatArray) -> Iterator[tuple[str, str, FloatArray]]:
    """(name, colour, (n,) voltages) of each phase, or of all three alike."""
    if v_pu.ndim == 1:
        yield "voltage", BEFORE, v_pu
        return
    for k, (letter, colour) in enumerate(PHASES.items()):
        yield f"phase {letter}", colour, v_pu[:, k]


def ground_voltages(feeder: cases.Feeder, rows: Sequence[Mapping[str, Any]]) -> FloatArray:
    """(n,) or (n, 3) from rows with `node_id`, `v_pu` and, per phase, `phase`; NaN where none is."""
    phased = any(row.get("phase") for row in rows)
    found = np.full((feeder.n_nodes, 3) if phased else (feeder.n_nodes,), np.nan)
    index = feeder.node_index
    for row in rows:
        if row["v_pu"] is None:
            continue
        if not phased:
            found[index[row["node_id"]]] = row["v_pu"]
        elif row["phase"] in PHASES:
            found[index[row["node_id"]], "ABC".index(row["phase"])] = row["v_pu"]
    return found
