"""Which segment feeds which conductor: a breadth-first search from the sources, phase by phase."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....cases.model.feeder import Feeder
from .elements import Element
from .segments import Matrix, Segment, line

Conductor = tuple[int, int]  # (node row, phase); the EMF of source s is node n_bus + s
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Placed:
    """A segment in the place where it feeds something."""

    segment: Segment
    branch: int  # row; -1: a source's impedance
    child_is_to: bool
    child: tuple[Conductor, ...]
    parent: tuple[Conductor, ...]
    reference: tuple[Conductor, ...]  # of a TAP_LEG

    def needs(self) -> tuple[Conductor, ...]:
        """Conductors that must have a voltage first."""
        return self.parent + self.reference


@dataclass(frozen=True, eq=False)
class SourceTerminal:
    """EMF behind an impedance."""

    node: int
    phases: tuple[int, ...]
    z: Matrix


def source_terminals(feeder: Feeder, present: BoolArray) -> list[SourceTerminal]:
    """The sources of a feeder, in the order of its table, their impedance in pu."""
    found = []
    r, x = (np.nan_to_num(feeder.column("sources", c)) for c in ("r_ohm", "x_ohm"))
    for row, node_id in enumerate(feeder.column("sources", "node_id")):
        node = feeder.node_index[node_id]
        phases = tuple(int(p) for p in np.flatnonzero(present[node]))
        kv = float(feeder.column("nodes", "base_kv")[node])
        z = (r[row] + 1j * x[row]) * feeder.base_mva / kv**2
        found.append(SourceTerminal(node, phases, z[np.ix_(phases, phases)]))
    return found


@dataclass(frozen=True, eq=False)
class Forest:
    """The forest that the sweep follows."""

    placed: list[Placed]  # parents before children, level by level: neighbours do not wait for each other
    root_of: dict[Conductor, int]  # source row of every energised conductor
    shunts: dict[int, Matrix]  # further admittance at the parent node of branches, by branch row
    dropped: list[int]  # branch rows that close loops
    clash: list[int]  # branch rows that connect two sources
    irregular: str  # why no forest of segments says all of this feeder; empty: it does


class _Search:
    def __init__(
        self, n_bus: int, elements: list[Element], closed: BoolArray, sources: list[SourceTerminal]
    ) -> None:
        self.elements, self.n_bus = elements, n_bus
        self.at: dict[int, list[int]] = {}
        self.irregular = _side_by_side(elements, closed)
        for element in elements:
            if closed[element.row] and element.from_node != element.to_node and not element.open_end:
                self.at.setdefault(element.from_node, []).append(element.row)
                self.at.setdefault(element.to_node, []).append(element.row)
                if element.magnetising:
                    self.irregular = "core losses behind a tap"
        self.waiting: dict[tuple[int, bool], list[Placed]] = {}
        self.fired: list[Placed] = []
        self.shunts: dict[int, Matrix] = {}
        self.root_of: dict[Conductor, int] = {}
        self.fed: dict[int, set[int]] = {}  # phases of a branch that have been settled, by row
        self.partly: set[int] = set()
        self.loops: set[int] = set()
        self.clash: set[int] = set()
        self.queue: deque[int] = deque()
        for s, source in enumerate(sources):
            for phase in source.phases:
                self.root_of[n_bus + s, phase] = s
        for s, source in enumerate(sources):
            for segment in line(source.phases, source.z):
                self.fire(self.place(segment, -1, True, source.node, n_bus + s))

    def place(self, segment: Segment, branch: int, child_is_to: bool, child: int, parent: int) -> Placed:
        reference = ((child, segment.reference),) if segment.reference >= 0 else ()
        return Placed(
            segment, branch, child_is_to, tuple((child, p) for p in segment.child),
            tuple((parent, p) for p in segment.parent), reference,
        )  # fmt: skip

    def fire(self, placed: Placed) -> bool:
        """Energise the children; False where one has a voltage already."""
        root = self.root_of[placed.parent[0]]
        taken = [self.root_of[c] for c in placed.child if c in self.root_of]
        if taken:
            (self.loops if all(other == root for other in taken) else self.clash).add(placed.branch)
            if len(taken) < len(placed.child):
                self.partly.add(placed.branch)
            return False
        for conductor in placed.child:
            self.root_of[conductor] = root
        self.fired.append(placed)
        self.queue.append(placed.child[0][0])
        return True

    def visit(self, node: int) -> None:
        """Fire what is ready on the branches at a node."""
        for row in self.at.get(node, ()):
            element = self.elements[row]
            forward = element.from_node == node
            if (row, forward) not in self.waiting:
                self._enter(row, element, forward, node)
            waiting = self.waiting[row, forward]
            again = True
            while again:
                again = False
                for placed in list(waiting):
                    if all(c in self.root_of for c in placed.needs()):
                        waiting.remove(placed)
                        again |= self.fire(placed)
                        self._not_backwards(placed)

    def _enter(self, row: int, element: Element, forward: bool, node: int) -> None:
        """The segments of a branch as seen from one of its nodes, without those that are fed already."""
        self.waiting[row, forward] = []
        fed = self.fed.get(row)
        if fed is not None and (not element.line_phases or fed.issuperset(element.line_phases)):
            return  # the other end feeds it
        try:
            segments, shunt = element.view(forward)
        except ValueError as error:
            self.irregular = str(error)
            return
        if shunt.any():
            self.shunts[row] = shunt
            self.irregular = f"branch {element.name!r} couples what feeds it"
        child = element.to_node if forward else element.from_node
        self.waiting[row, forward] = [
            self.place(s, row, forward, child, node)
            for s in segments
            if fed is None or not fed.intersection(s.child)
        ]

    def _not_backwards(self, placed: Placed) -> None:
        """What was fed from one end, or closes a loop there, is not fed from the other."""
        self.fed.setdefault(placed.branch, set()).update(placed.segment.child)
        other = self.waiting.get((placed.branch, not placed.child_is_to))
        if other and self.elements[placed.branch].line_phases:
            phases = set(placed.segment.child)
            other[:] = [one for one in other if not phases.intersection(one.segment.child)]
        elif other:
            other.clear()

    def run(self) -> None:
        """Until nothing new gets a voltage; lines with a dead phase then go on with those that live."""
        while True:
            while self.queue:
                self.visit(self.queue.popleft())
            if not self.fire_parts():
                return

    def fire_parts(self) -> bool:
        """Lines of which only some phases have a voltage carry on with these."""
        fired = False
        for (row, _), waiting in self.waiting.items():
            for placed in list(waiting):
                live = [c in self.root_of for c in placed.parent]
                part = placed.segment.kept(live)
                if part is not None and not all(live):
                    waiting.remove(placed)
                    child, parent = placed.child[0][0], placed.parent[0][0]
                    now = self.place(part, row, placed.child_is_to, child, parent)
                    fired |= self.fire(now)
                    self._not_backwards(placed)
                    if self.elements[row].y_from.any():
                        self.irregular = (
                            f"branch {self.elements[row].name!r} has a dead phase beside live ones"
                        )
        return fired


def _side_by_side(elements: list[Element], closed: BoolArray) -> str:
    """Why branches between the same two nodes are more than separate phases; empty where they are not."""
    seen: dict[tuple[int, int], list[Element]] = {}
    for element in elements:
        if closed[element.row] and element.from_node != element.to_node and not element.open_end:
            ends = element.from_node, element.to_node
            beside = seen.setdefault((min(ends), max(ends)), [])
            for other in beside:
                apart = other.line_phases and not set(other.line_phases) & set(element.line_phases)
                if not (element.line_phases and apart):
                    return f"branches {other.name!r} and {element.name!r} are parallel"
            beside.append(element)
    return ""


def grow_forest(
    n_bus: int, elements: list[Element], closed: BoolArray, sources: list[SourceTerminal]
) -> Forest:
    """Follow the closed branches from the sources; the first visit of a conductor decides what feeds it."""
    search = _Search(n_bus, elements, closed, sources)
    search.run()
    left = search.partly | {
        row for (row, _), waiting in search.waiting.items() if waiting and _one_fed(search, waiting)
    }
    if left and not search.irregular:
        search.irregular = f"branch {elements[min(left)].name!r} is fed in some of its phases only"
    return Forest(
        search.fired, search.root_of, search.shunts, sorted(search.loops), sorted(search.clash),
        search.irregular,
    )  # fmt: skip


def _one_fed(search: _Search, waiting: list[Placed]) -> bool:
    """Whether a segment that never fired touches a phase that lives."""
    return any(c in search.root_of for placed in waiting for c in placed.needs())
