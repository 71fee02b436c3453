"""Which segment feeds which conductor: a breadth-first search from the sources, phase by phase."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
class Source:
    """EMF behind an impedance."""

    node: int
    phases: tuple[int, ...]
    z: Matrix


@dataclass(frozen=True, eq=False)
class Spread:
    """The forest that the sweep follows."""

    placed: list[Placed]  # parents before children, level by level: neighbours do not wait for each other
    root_of: dict[Conductor, int]  # source row of every energised conductor
    shunts: dict[int, Matrix]  # further admittance at the parent node of branches, by branch row
    dropped: list[int]  # branch rows that close loops
    clash: list[int]  # branch rows that connect two sources


class _Search:
    def __init__(self, n_bus: int, elements: list[Element], closed: BoolArray, sources: list[Source]) -> None:
        self.elements, self.n_bus = elements, n_bus
        self.at: dict[int, list[int]] = {}
        for element in elements:
            if closed[element.row] and element.from_node != element.to_node:
                self.at.setdefault(element.from_node, []).append(element.row)
                self.at.setdefault(element.to_node, []).append(element.row)
        self.waiting: dict[int, list[Placed]] = {}
        self.fired: list[Placed] = []
        self.shunts: dict[int, Matrix] = {}
        self.root_of: dict[Conductor, int] = {}
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
            return False
        for conductor in placed.child:
            self.root_of[conductor] = root
        self.fired.append(placed)
        self.queue.append(placed.child[0][0])
        return True

    def visit(self, node: int) -> None:
        """Fire what is ready on the branches at a node."""
        for row in self.at.get(node, ()):
            if row not in self.waiting:
                element = self.elements[row]
                forward = element.from_node == node
                child = element.to_node if forward else element.from_node
                segments, shunt = element.view(forward)
                if shunt.any():
                    self.shunts[row] = shunt
                self.waiting[row] = [self.place(s, row, forward, child, node) for s in segments]
            again = True
            while again:
                again = False
                for placed in list(self.waiting[row]):
                    if all(c in self.root_of for c in placed.needs()):
                        self.waiting[row].remove(placed)
                        again |= self.fire(placed)

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
        for row, waiting in self.waiting.items():
            for placed in list(waiting):
                live = [c in self.root_of for c in placed.parent]
                part = placed.segment.kept(live)
                if part is not None and not all(live):
                    waiting.remove(placed)
                    child, parent = placed.child[0][0], placed.parent[0][0]
                    fired |= self.fire(self.place(part, row, placed.child_is_to, child, parent))
        return fired


def spread(n_bus: int, elements: list[Element], closed: BoolArray, sources: list[Source]) -> Spread:
    """Follow the closed branches from the sources; the first visit of a conductor decides what feeds it."""
    search = _Search(n_bus, elements, closed, sources)
    search.run()
    return Spread(search.fired, search.root_of, search.shunts, sorted(search.loops), sorted(search.clash))
