"""A drawing of a feeder where no surveyed coordinates are known.

The tree is drawn from left to right: x is the number of branches from the source, the deepest child goes on
straight, and laterals are packed above and below as closely as their outlines allow (the contours of
Reingold and Tilford, 1981). At every x the subtrees keep the vertical order of their parents, so no two
branches of a tree cross. Open ties and the closing branches of loops are drawn across it. Takes O(n).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from .edit import replaced
from .feeder import Feeder
from .topology import spanning_forest

GAP = 1.0  # between two nodes of one column, and between two islands


def with_layout(feeder: Feeder, replace: bool = False) -> Feeder:
    """The feeder with drawn coordinates (`coord_source` "layout") where it has none.

    Args:
        feeder: any feeder, meshed ones and ones with dead islands included.
        replace: also replace coordinates that are there.
    """
    drawn = np.isnan(feeder.column("nodes", "x")) | replace
    if not drawn.any():
        return feeder
    if not drawn.all():  # half a survey and half a drawing would not fit together
        drawn[:] = True
    x, y = radial_layout(feeder)
    nodes = replaced(replaced(feeder.nodes, "x", x), "y", y)
    labels = pa.array(["layout"] * feeder.n_nodes)
    return dataclasses.replace(feeder, nodes=replaced(nodes, "coord_source", labels))


def radial_layout(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (x, y), each (n_nodes,), of the drawing; sources at x = 0, y pointing upwards."""
    parent, depth = spanning_forest(feeder)
    order = np.argsort(depth, kind="stable").tolist()  # parents before children
    children: list[list[int]] = [[] for _ in order]
    for node in order:
        if parent[node] >= 0:
            children[parent[node]].append(node)
    # Outline of each subtree relative to its root, deepest column first, so that a parent appends its own.
    low: list[list[float]] = [[] for _ in order]
    high: list[list[float]] = [[] for _ in order]
    offset = np.zeros(len(order))  # of a node's y from its parent's
    for node in reversed(order):
        _pack(node, children[node], low, high, offset)
    y = np.zeros(len(order))
    below = 0.0
    for node in order:
        if parent[node] >= 0:
            y[node] = y[parent[node]] + offset[node]
        else:
            y[node] = below - max(high[node])
            below += min(low[node]) - max(high[node]) - GAP
    return np.array(depth, dtype=np.float64), y


def _pack(
    node: int, children: list[int], low: list[list[float]], high: list[list[float]], offset: np.ndarray
) -> None:
    """Place the children of a node and make its outline out of theirs (which are used up)."""
    if children:
        trunk = max(children, key=lambda child: len(low[child]))  # the first of the deepest
        bottom, top = low[trunk], high[trunk]
        for child in sorted(children, key=lambda child: len(low[child])):
            if child == trunk:
                continue
            depth = len(low[child])
            columns = range(-1, -depth - 1, -1)  # the columns that both have, from the root's on
            down = min(bottom[k] - high[child][k] for k in columns) - GAP
            up = max(top[k] - low[child][k] for k in columns) + GAP
            shift = down if -down <= up else up
            offset[child] = shift
            for k in columns:
                if shift < 0:
                    bottom[k] = low[child][k] + shift
                else:
                    top[k] = high[child][k] + shift
            low[child], high[child] = [], []
        low[node], high[node] = bottom, top
        low[trunk], high[trunk] = [], []
    low[node].append(0.0)
    high[node].append(0.0)
