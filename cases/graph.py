"""Forests, islands and loops of a graph given as arrays of row numbers; and which branches join nodes."""

from __future__ import annotations

from array import array
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def island_labels(n_nodes: int, ends: np.ndarray) -> np.ndarray:
    """Island number of each node, numbered by first node.

    Args:
        n_nodes: number of nodes.
        ends: (n_closed, 2) node rows of the closed branches.

    Returns:
        (n_nodes,) integers.
    """
    label = np.arange(n_nodes, dtype=np.intp)  # of an island: its first node, as far as it is known
    one, other = np.asarray(ends, dtype=np.intp).reshape(-1, 2).T
    while (label[one] != label[other]).any():
        np.minimum.at(label, np.maximum(label[one], label[other]), np.minimum(label[one], label[other]))
        while (label[label] != label).any():
            label = label[label]
    return np.unique(label, return_inverse=True)[1]


def joins(branches: pa.Table) -> np.ndarray:
    """(rows,) whether each branch joins its ends: closed, and open at neither of them."""
    whole = pc.equal(branches.column("open_ends"), "")
    return np.asarray(pc.and_(branches.column("status"), whole).to_numpy(), dtype=bool)


def fundamental_loops(n_nodes: int, ends: np.ndarray, roots: list[int]) -> list[list[int]]:
    """Fundamental loops as lists of rows of `ends`, on the breadth-first first-visit forest."""
    parent, via, depth = breadth_first_forest(n_nodes, ends, roots)
    in_tree = np.zeros(len(ends), dtype=bool)
    in_tree[[k for k in via if k >= 0]] = True
    loops = []
    for k in np.flatnonzero(~in_tree).tolist():
        a, b = ends[k].tolist()
        up, down = [], []
        while a != b:
            if depth[a] >= depth[b]:
                up.append(via[a])
                a = parent[a]
            else:
                down.append(via[b])
                b = parent[b]
        loops.append([k, *down, *reversed(up)])
    return loops


def breadth_first_forest(
    n_nodes: int, ends: np.ndarray, roots: list[int]
) -> tuple[array[int], array[int], array[int]]:
    """Per node: the next node towards the root, the branch to it (both -1 at a root), and its depth."""
    first, others, branches = _neighbours(n_nodes, ends)
    parent, via, depth = (array("q", [-1]) * n_nodes for _ in range(3))
    for root in chain(roots, range(n_nodes)):
        if depth[root] >= 0:
            continue
        depth[root] = 0
        queue = array("q", [root])
        for node in queue:  # grows while it is read
            for k in range(first[node], first[node + 1]):
                other = others[k]
                if depth[other] < 0:
                    depth[other], parent[other], via[other] = depth[node] + 1, node, branches[k]
                    queue.append(other)
    return parent, via, depth


def _neighbours(n_nodes: int, ends: np.ndarray) -> tuple[array[int], array[int], array[int]]:
    """The nodes and branches next to node k, by branch: those from first[k] to first[k + 1] of the others."""
    here, there = ends.reshape(-1), ends[:, ::-1].reshape(-1)
    order = np.argsort(here, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(here, minlength=n_nodes))])
    parts = (first, there[order], order // 2)
    return tuple(array("q", part.astype(np.int64).tobytes()) for part in parts)  # type: ignore[return-value]
