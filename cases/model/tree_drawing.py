"""A drawing of a feeder where no surveyed coordinates are known.

The tree is drawn from left to right: x is the number of branches from the source, the deepest child goes on
straight, and laterals are packed above and below as closely as their outlines allow (the contours of
Reingold and Tilford, 1981). At every x the subtrees keep the vertical order of their parents, so no two
branches of a tree cross. Open ties and the closing branches of loops are drawn across it. Takes O(n).
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from .edit import replaced
from .feeder import Feeder
from .topology import spanning_forest

_LEAF = [0.0]  # its outline, never changed
GAP = 1.0  # between two nodes of one column, and between two islands


def with_layout(feeder: Feeder, replace: bool = False) -> Feeder:
    """The feeder with drawn coordinates (`coord_source` "layout") where it has none.

    Args:
        feeder: any feeder, meshed ones and ones with dead islands included.
        replace: also replace coordinates that are there.
    """
    drawn = np.isnan(feeder.nodes.column("x").to_numpy()) | replace
    if not drawn.any():
        return feeder
    if not drawn.all():  # half a survey and half a drawing would not fit together
        drawn[:] = True
    x, y = radial_layout(feeder)
    nodes = replaced(replaced(feeder.nodes, "x", x), "y", y)
    labels = pa.repeat("layout", feeder.n_nodes)
    return dataclasses.replace(feeder, nodes=replaced(nodes, "coord_source", labels))


def radial_layout(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (x, y), each (n_nodes,), of the drawing; sources at x = 0, y pointing upwards."""
    parent, depth = spanning_forest(feeder)
    order = array("q", np.argsort(depth, kind="stable").astype(np.int64).tobytes())  # parents before children
    children = _children(parent, order)
    # Outline of each subtree relative to its root, deepest column first, so that a parent appends its own;
    # kept until the parent has used it up. That of a leaf need not be kept.
    low: dict[int, list[float]] = {}
    high: dict[int, list[float]] = {}
    offset = np.zeros(len(order))  # of a node's y from its parent's
    tops = {}  # what is above and below each root
    for node in reversed(order):
        _pack(node, children(node), low, high, offset)
        if parent[node] < 0:
            tops[node] = max(high.pop(node, _LEAF)), min(low.pop(node, _LEAF))
    y = np.zeros(len(order))
    below = 0.0
    for node in order:
        if parent[node] >= 0:
            y[node] = y[parent[node]] + offset[node]
        else:
            top, bottom = tops[node]
            y[node] = below - top
            below += bottom - top - GAP
    return np.array(depth, dtype=np.float64), y


def _children(parent: array[int], order: array[int]) -> Callable[[int], array[int]]:
    """The children of a node, in the order of the drawing."""
    above = np.asarray(parent)[np.asarray(order)]
    by_parent = array("q", np.asarray(order)[np.argsort(above, kind="stable")].astype(np.int64).tobytes())
    count = np.bincount(above + 1, minlength=len(order) + 1)
    end = array("q", np.cumsum(count).astype(np.int64).tobytes())  # the roots come first
    return lambda node: by_parent[end[node] : end[node + 1]]


def _pack(
    node: int,
    children: array[int],
    low: dict[int, list[float]],
    high: dict[int, list[float]],
    offset: np.ndarray,
) -> None:
    """Place the children of a node and make its outline out of theirs (which are used up)."""
    if children:
        trunk = max(children, key=lambda child: len(low.get(child, _LEAF)))  # the first of the deepest
        bottom, top = low.pop(trunk, [0.0]), high.pop(trunk, [0.0])
        for child in sorted(children, key=lambda child: len(low.get(child, _LEAF))):
            if child == trunk:
                continue
            child_bottom, child_top = low.pop(child, _LEAF), high.pop(child, _LEAF)
            columns = range(-1, -len(child_bottom) - 1, -1)  # the columns that both have, from the root's on
            down = min(bottom[k] - child_top[k] for k in columns) - GAP
            up = max(top[k] - child_bottom[k] for k in columns) + GAP
            shift = down if -down <= up else up
            offset[child] = shift
            for k in columns:
                if shift < 0:
                    bottom[k] = child_bottom[k] + shift
                else:
                    top[k] = child_top[k] + shift
        low[node], high[node] = bottom, top
        bottom.append(0.0)
        top.append(0.0)
