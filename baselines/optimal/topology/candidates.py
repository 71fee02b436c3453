"""Branches that may be opened and closed, and what of their states leaves a radial feeder that feeds all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import cases, physics
from ....cases.graph import joins
from ....cases.model.topology import branch_ends
from ...errors import RunError, unknown
from ..affine import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
StateArray = NDArray[np.int8]
#: States of a branch while they are looked for.
OPEN, CLOSED, FREE = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Candidates:
    """A feeder as a graph, sources taken as one vertex, and the branches whose state is chosen.

    Attributes:
        feeder: With a switch for every candidate, in a radial state.
        net: The same, compiled.
        ends: (n_branch, 2) vertices: bus rows, of sources all that of the first.
        live: (n_bus,) vertices that some state feeds.
        branch: (k,) rows of the candidates, ascending; all others stay as they are.
        fixed: (n_branch,) branches that are closed whatever is chosen, of the live part.
        start: (k,) whether each candidate is closed in the state of ``feeder``.
    """

    feeder: cases.Feeder
    net: Any
    ends: IntArray
    live: BoolArray
    branch: IntArray
    fixed: BoolArray
    start: BoolArray

    @classmethod
    def of(cls, feeder: cases.Feeder, switches: Sequence[str] | None = None) -> Candidates:
        """Of a feeder.

        Args:
            feeder: Balanced or per phase.
            switches: Ids of switches or branches that may be opened and closed; None: every branch.

        Raises:
            RunError: unknown ids, a loop that no candidate opens, no choice.
        """
        ends, root = _graph(feeder)
        closed = joins(feeder.branches)
        named = _named(feeder, switches)
        usable = closed.copy()
        usable[named] = True
        parent, _ = _breadth_first(ends, np.flatnonzero(usable), root, feeder.n_nodes)
        live = parent >= 0
        among = usable & live[ends[:, 0]]
        fixed = among & closed
        fixed[named] = False
        _refuse_loops(feeder, ends, np.flatnonzero(fixed))
        branch = np.array([k for k in named if among[k]], dtype=np.int64)
        start = _first_tree(ends, fixed, branch, closed)
        radial = with_states(_all_switchable(feeder, branch), branch, start)
        found = cls(radial, _compiled(radial), ends, live, branch, fixed, start)
        if found.implied(np.full(branch.size, FREE, dtype=np.int8)) is None or not _choice(found):
            which = "any branch" if switches is None else ", ".join(map(repr, list(switches)[:8]))
            raise RunError(
                f"feeder {feeder.name!r}: opening and closing {which} leaves one radial topology alone: name "
                "branches that lie on a common loop"
            )
        return found

    @property
    def root(self) -> int:
        """The vertex of the sources."""
        return int(self.ends_of_sources[0])

    @property
    def ends_of_sources(self) -> IntArray:
        """Bus rows of the sources."""
        index = self.feeder.node_index
        return np.array([index[str(n)] for n in self.feeder.column("sources", "node_id")], dtype=np.int64)

    @property
    def n_topologies(self) -> float:
        """Radial topologies that feed all: Kirchhoff's theorem, with the fixed branches contracted."""
        label = _labels(self.ends, np.flatnonzero(self.fixed), self.live.size)
        vertex = {int(one): k for k, one in enumerate(np.unique(label[self.live]))}
        laplacian = np.zeros((len(vertex), len(vertex)))
        for a, b in label[self.ends[self.branch]]:
            if a != b:
                i, j = vertex[int(a)], vertex[int(b)]
                laplacian[[i, j], [i, j]] += 1.0
                laplacian[[i, j], [j, i]] -= 1.0
        return float(np.round(np.exp(np.linalg.slogdet(laplacian[1:, 1:])[1])))

    # -- states ----------------------------------------------------------------------------------------------

    def everything(self) -> Iterator[BoolArray]:
        """All radial topologies that feed all, (k,) each."""
        stack = [self.implied(np.full(self.branch.size, FREE, dtype=np.int8))]
        while stack:
            state = stack.pop()
            if state is None:
                continue
            free = np.flatnonzero(state == FREE)
            if not free.size:
                yield state == CLOSED
                continue
            for value in (OPEN, CLOSED):
                other = state.copy()
                other[free[0]] = value
                stack.append(self.implied(other))

    def implied(self, state: StateArray) -> StateArray | None:
        """A state with what follows from it; None where it holds a loop or cannot feed all.

        A free candidate between vertices that are joined already must be open; one without which a part
        would be dark must be closed.
        """
        found = state.copy()
        closed = np.concatenate([np.flatnonzero(self.fixed), self.branch[found == CLOSED]])
        label = _labels(self.ends, closed, self.live.size)
        if closed.size != int(self.live.sum()) - np.unique(label[self.live]).size:
            return None
        inside = label[self.ends[self.branch]]
        found[(found == FREE) & (inside[:, 0] == inside[:, 1])] = OPEN
        usable = np.concatenate([closed, self.branch[found == FREE]])
        parent, via = _breadth_first(self.ends, usable, self.root, self.live.size)
        if (parent[self.live] < 0).any():
            return None
        needed = np.zeros(self.fixed.size, dtype=bool)
        needed[via[via >= 0]] = True
        for k in usable[~needed[usable]]:  # each loop by the branch that the tree leaves out
            needed[[one for one, _ in _way(parent, via, *self.ends[k])]] = False
        found[(found == FREE) & needed[self.branch]] = CLOSED
        return found

    def rounded(self, state: StateArray, worth: FloatArray) -> BoolArray:
        """(k,) the radial topology within a state whose closed candidates are worth most, greedily."""
        closed = state == CLOSED
        joined = np.concatenate([np.flatnonzero(self.fixed), self.branch[closed]])
        label = _labels(self.ends, joined, self.live.size)
        for k in sorted(np.flatnonzero(state == FREE).tolist(), key=lambda k: -worth[k]):
            a, b = label[self.ends[self.branch[k]]]
            if a != b:
                closed[k] = True
                label[label == b] = a
        return closed

    def exchanges(self, closed: BoolArray) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """Each open candidate, and the loop that closing it makes: (branch row, orientation) along its way.

        The way goes from the candidate's first end to its second; orientation 1 where a branch lies along it.
        """
        usable = np.concatenate([np.flatnonzero(self.fixed), self.branch[closed]])
        parent, via = _breadth_first(self.ends, usable, self.root, self.live.size)
        for k in np.flatnonzero(~closed):
            a, b = self.ends[self.branch[k]]
            if a != b:
                way = _way(parent, via, int(a), int(b))
                yield int(k), [(e, 1.0 if self.ends[e, 0] == at else -1.0) for e, at in way]

    def named(self, closed: BoolArray, which: bool) -> tuple[str, ...]:
        """Ids of the candidates that are closed (or open)."""
        ids = self.feeder.column("branches", "branch_id")
        return tuple(str(ids[k]) for k in self.branch[closed == which])


def with_states(feeder: cases.Feeder, branch: IntArray, closed: BoolArray) -> cases.Feeder:
    """The feeder with branches closed or open, at both of their ends."""
    status = np.array(feeder.branches["status"].to_pylist(), dtype=bool)
    half = feeder.branches["open_ends"].to_pylist()
    status[branch] = closed
    for k in branch:
        half[k] = ""
    table = feeder.branches
    for name, values in (("status", status.tolist()), ("open_ends", half)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return replace(feeder, branches=table)


# -- graphs --------------------------------------------------------------------------------------------------


def _graph(feeder: cases.Feeder) -> tuple[IntArray, int]:
    """(n_branch, 2) vertices of the branches' ends, and that of the sources."""
    index = feeder.node_index
    sources = [index[str(n)] for n in feeder.column("sources", "node_id")]
    vertex = np.arange(feeder.n_nodes)
    vertex[sources] = sources[0]
    return vertex[branch_ends(feeder)], int(sources[0])


def _breadth_first(ends: IntArray, usable: IntArray, root: int, n: int) -> tuple[IntArray, IntArray]:
    """Parent of each vertex (the root's is itself, -1 where none is reached) and the branch to it."""
    beside: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for e in usable.tolist():
        a, b = ends[e].tolist()
        beside[a].append((b, e))
        beside[b].append((a, e))
    parent, via = [-1] * n, [-1] * n
    parent[root], queue = root, deque([root])
    while queue:
        at = queue.popleft()
        for other, e in beside[at]:
            if parent[other] < 0:
                parent[other], via[other] = at, e
                queue.append(other)
    return np.array(parent, dtype=np.int64), np.array(via, dtype=np.int64)


def _way(parent: IntArray, via: IntArray, a: int, b: int) -> list[tuple[int, int]]:
    """Branches of the tree from a vertex to another, each with the vertex where it is entered."""
    up: list[int] = [a]
    while parent[up[-1]] != up[-1]:
        up.append(int(parent[up[-1]]))
    place = {vertex: k for k, vertex in enumerate(up)}
    down: list[int] = [b]
    while down[-1] not in place:
        down.append(int(parent[down[-1]]))
    first = [(int(via[vertex]), vertex) for vertex in up[: place[down[-1]]]]
    last = [(int(via[vertex]), int(parent[vertex])) for vertex in down[:-1]]
    return first + last[::-1]


def _labels(ends: IntArray, closed: IntArray, n: int) -> IntArray:
    """(n,) which vertices closed branches join."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    a, b = ends[closed].T
    graph = coo_matrix((np.ones(closed.size), (a, b)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _refuse_loops(feeder: cases.Feeder, ends: IntArray, fixed: IntArray) -> None:
    label = np.arange(feeder.n_nodes)
    for e in fixed:
        a, b = label[ends[e]]
        if a == b:
            name = feeder.column("branches", "branch_id")[e]
            raise RunError(
                f"feeder {feeder.name!r}: branch {str(name)!r} closes a loop (or joins two sources) that no "
                "switch of those named opens"
            )
        label[label == b] = a


def _first_tree(ends: IntArray, fixed: BoolArray, branch: IntArray, closed: BoolArray) -> BoolArray:
    """(k,) the stored states as far as they close no loop, then what feeds the rest."""
    label = _labels(ends, np.flatnonzero(fixed), int(ends.max()) + 1)
    start = np.zeros(branch.size, dtype=bool)
    for k in sorted(range(branch.size), key=lambda k: not closed[branch[k]]):
        a, b = label[ends[branch[k]]]
        if a != b:
            start[k] = True
            label[label == b] = a
    return start


def _choice(found: Candidates) -> bool:
    state = found.implied(np.full(found.branch.size, FREE, dtype=np.int8))
    return state is not None and bool((state == FREE).any())


# -- feeders -------------------------------------------------------------------------------------------------


def _named(feeder: cases.Feeder, switches: Sequence[str] | None) -> list[int]:
    """Rows of branches, ascending."""
    index = feeder.branch_index
    if switches is None:
        return list(range(len(index)))
    of_switch = {
        str(one): str(branch)
        for one, branch in zip(
            feeder.column("switches", "switch_id"), feeder.column("switches", "branch_id"), strict=True
        )
    }
    found = set()
    for name in switches:
        branch = of_switch.get(name, name)
        if branch not in index:
            raise unknown("switch or branch", name, [*of_switch, *index])
        found.add(index[branch])
    return sorted(found)


def _all_switchable(feeder: cases.Feeder, branch: IntArray) -> cases.Feeder:
    """With the candidates as its switches, one of each, in their order."""
    ids = feeder.column("branches", "branch_id")
    names = [str(ids[k]) for k in branch]
    schema = feeder.switches.schema
    known = {row["branch_id"]: row for row in feeder.switches.to_pylist()}
    rows = [
        known.get(name) or {
            "switch_id": f"switch of {name}", "branch_id": name, "type": "sectionaliser",
            "normally_closed": True, "feeder_id": feeder.feeder_id,
        }
        for name in names
    ]  # fmt: skip
    return replace(feeder, switches=pa.Table.from_pylist(rows, schema=schema))


def _compiled(feeder: cases.Feeder) -> physics.Network | physics.Network3:
    if feeder.phases == "balanced":
        return physics.compile(feeder)
    return physics.compile_per_phase(feeder, allow_mesh_pruning=False)
