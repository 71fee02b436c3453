"""Which parts of a feeder hang together: islands, loops, radiality."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..schema import in_one

if TYPE_CHECKING:
    from .feeder import Feeder


@dataclass(frozen=True)
class IslandReport:
    """One set of nodes joined by closed branches.

    Attributes:
        nodes: node ids, in table order.
        branches: ids of the closed branches among them, in table order.
        sources: ids of the sources that feed it; empty when the island is dead.
    """

    nodes: tuple[str, ...]
    branches: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def energised(self) -> bool:
        """Whether a source feeds the island."""
        return bool(self.sources)


@dataclass(frozen=True)
class Topology:
    """Islands in the order of their first node, and one loop per closed branch beyond a spanning tree.

    Attributes:
        islands: every island, the dead ones included.
        loops: branch ids of each fundamental loop, starting with the branch that closes it.
        parallel: those of two branches, which share both ends and carry what they do.
        meshes: the others.
        is_radial: True when there is no loop but of parallel branches.
    """

    islands: tuple[IslandReport, ...]
    loops: tuple[tuple[str, ...], ...]

    @property
    def parallel(self) -> tuple[tuple[str, ...], ...]:
        """Loops of two branches between the same nodes: the balanced power flow takes them for one branch."""
        return tuple(loop for loop in self.loops if len(loop) == 2)

    @property
    def meshes(self) -> tuple[tuple[str, ...], ...]:
        """Loops of three branches and more."""
        return tuple(loop for loop in self.loops if len(loop) > 2)

    @property
    def is_radial(self) -> bool:
        """Whether the closed branches, parallel ones as one, form a forest."""
        return not self.meshes


def island_labels(n_nodes: int, ends: np.ndarray) -> np.ndarray:
    """Island number of each node, numbered by first node.

    Args:
        n_nodes: number of nodes.
        ends: (n_closed, 2) node rows of the closed branches.

    Returns:
        (n_nodes,) integers.
    """
    if not n_nodes:
        return np.zeros(0, dtype=np.intp)
    from scipy.sparse import coo_array  # here: 0.2 s that `import distgrid` need not take
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(n_nodes, n_nodes))
    _, labels = connected_components(graph.tocsr(), directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def joins(branches: pa.Table) -> np.ndarray:
    """(rows,) whether each branch joins its ends: closed, and open at neither of them."""
    whole = pc.equal(branches.column("open_ends"), "")
    return np.asarray(pc.and_(branches.column("status"), whole).to_numpy(), dtype=bool)


def closed_branches(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the branches closed at both ends, and (n_closed, 2) node rows of their ends."""
    closed = np.flatnonzero(joins(feeder.branches))
    ends = [_rows_of(feeder, "branches", column)[closed] for column in ("from_node", "to_node")]
    return closed, np.column_stack(ends)


def _rows_of(feeder: Feeder, table: str, column: str) -> np.ndarray:
    """Row in `nodes` of each id of a column; without a text object for each."""
    ids = in_one(feeder.nodes.column("node_id"))
    rows = pc.index_in(in_one(getattr(feeder, table).column(column)), value_set=ids)
    return np.asarray(rows.to_numpy(zero_copy_only=False), dtype=np.intp)


def spanning_forest(feeder: Feeder) -> tuple[array[int], array[int]]:
    """Per node, in the breadth-first forest of closed branches grown from the sources (then from the first
    node of each dead island): the row of the next node towards the root (-1 at a root), and the depth.
    """
    _, ends = closed_branches(feeder)
    roots = _rows_of(feeder, "sources", "node_id")
    parent, _, depth = _forest(feeder.n_nodes, ends, roots.tolist())
    return parent, depth


def analyse(feeder: Feeder) -> Topology:
    """Islands and loops of the feeder in its present switch state."""
    index = feeder.node_index
    closed, ends = closed_branches(feeder)
    labels = island_labels(feeder.n_nodes, ends)
    n_islands = int(labels.max()) + 1 if len(labels) else 0
    nodes: list[list[str]] = [[] for _ in range(n_islands)]
    branches: list[list[str]] = [[] for _ in range(n_islands)]
    sources: list[list[str]] = [[] for _ in range(n_islands)]
    for node_id, label in zip(feeder.column("nodes", "node_id"), labels.tolist(), strict=True):
        nodes[label].append(node_id)
    branch_id = feeder.column("branches", "branch_id")
    for k, (start, _) in zip(closed, ends, strict=True):
        branches[labels[start]].append(branch_id[k])
    source_nodes = feeder.column("sources", "node_id")
    for source_id, node_id in zip(feeder.column("sources", "source_id"), source_nodes, strict=True):
        sources[labels[index[node_id]]].append(source_id)
    islands = tuple(
        IslandReport(tuple(n), tuple(b), tuple(s)) for n, b, s in zip(nodes, branches, sources, strict=True)
    )
    roots = [index[node_id] for node_id in source_nodes]
    loops = _loops(feeder.n_nodes, ends, roots)
    return Topology(islands, tuple(tuple(str(branch_id[closed[k]]) for k in loop) for loop in loops))


def _loops(n_nodes: int, ends: np.ndarray, roots: list[int]) -> list[list[int]]:
    """Fundamental loops as lists of rows of `ends`, on the breadth-first first-visit forest."""
    parent, via, depth = _forest(n_nodes, ends, roots)
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


def _forest(n_nodes: int, ends: np.ndarray, roots: list[int]) -> tuple[array[int], array[int], array[int]]:
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
