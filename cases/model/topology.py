"""Which parts of a feeder hang together: islands, loops, radiality."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from ..graph import breadth_first_forest, fundamental_loops, island_labels, joins
from ..schema import in_one
from .feeder_tables import FeederTables


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


def closed_branches(feeder: FeederTables) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the branches closed at both ends, and (n_closed, 2) node rows of their ends."""
    closed = np.flatnonzero(joins(feeder.branches))
    return closed, branch_ends(feeder)[closed]


def branch_ends(feeder: FeederTables) -> np.ndarray:
    """(n_branches, 2) node rows of each branch, from and to."""
    return np.column_stack([_rows_of(feeder, "branches", column) for column in ("from_node", "to_node")])


def _rows_of(feeder: FeederTables, table: str, column: str) -> np.ndarray:
    """Row in `nodes` of each id of a column; without a text object for each."""
    ids = in_one(feeder.nodes.column("node_id"))
    rows = pc.index_in(in_one(getattr(feeder, table).column(column)), value_set=ids)
    return np.asarray(rows.to_numpy(zero_copy_only=False), dtype=np.intp)


def spanning_forest(feeder: FeederTables) -> tuple[array[int], array[int]]:
    """Per node, in the breadth-first forest of closed branches grown from the sources (then from the first
    node of each dead island): the row of the next node towards the root (-1 at a root), and the depth.
    """
    _, ends = closed_branches(feeder)
    roots = _rows_of(feeder, "sources", "node_id")
    parent, _, depth = breadth_first_forest(feeder.n_nodes, ends, roots.tolist())
    return parent, depth


def analyse(feeder: FeederTables) -> Topology:
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
    loops = fundamental_loops(feeder.n_nodes, ends, roots)
    return Topology(islands, tuple(tuple(str(branch_id[closed[k]]) for k in loop) for loop in loops))
