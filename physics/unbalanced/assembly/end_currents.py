"""Which currents a solution of the equations tells, as sums over their unknowns."""

from __future__ import annotations

from typing import Protocol

from .elements import Element
from .forest import Placed, SourceTerminal
from .segments import Winding


class Currents(Protocol):
    """Which currents are told, as sums over the unknowns; columns follow those of the voltages."""

    rows: list[tuple[int, int, int, int]]
    value: list[complex]

    def add(
        self, branch: int, side: int, phase: int, unknown: int, value: complex, regulator: int = -1,
        power: int = 0, winding: Winding | None = None,
    ) -> None:  # fmt: skip
        """A current into one end of a branch."""

    def add_source(self, source: int, phase: int, unknown: int) -> None:
        """The current of a source."""


class EndCurrents:
    """Into both ends of every branch, after those of nodes (not told) and of sources."""

    def __init__(self, n_bus: int, n_source: int, n_branch: int) -> None:
        self.first, self.ends, self.n_branch = 3 * n_bus, 3 * (n_bus + n_source), n_branch
        self.rows: list[tuple[int, int, int, int]] = []
        self.value: list[complex] = []

    def add(
        self, branch: int, side: int, phase: int, unknown: int, value: complex, regulator: int = -1,
        power: int = 0, winding: Winding | None = None,
    ) -> None:  # fmt: skip
        """A current into one end of a branch."""
        if branch >= 0 and unknown >= 0:
            column = self.ends + 3 * (side * self.n_branch + branch) + phase
            self.rows.append((column, unknown, regulator, power))
            self.value.append(complex(value))

    def add_source(self, source: int, phase: int, unknown: int) -> None:
        """The current of a source."""
        self.rows.append((self.first + 3 * source + phase, unknown, -1, 0))
        self.value.append(1.0 + 0j)


class NodeCurrents:
    """Into every node from the segment of the forest that feeds it, and of sources."""

    def __init__(
        self, n_bus: int, elements: list[Element], placed: list[Placed], sources: list[SourceTerminal]
    ) -> None:
        self.first, self.elements, self.sources = 3 * n_bus, elements, sources
        self.feeds = {(one.branch, at): one for one in placed for at in one.child}
        self.rows: list[tuple[int, int, int, int]] = []
        self.value: list[complex] = []

    def add(
        self, branch: int, side: int, phase: int, unknown: int, value: complex, regulator: int = -1,
        power: int = 0, winding: Winding | None = None,
    ) -> None:  # fmt: skip
        """A current into one end of a branch, where this is the end that feeds a node."""
        if branch < 0 or unknown < 0:
            return
        element = self.elements[branch]
        node = element.to_node if side else element.from_node
        placed = self.feeds.get((branch, (node, phase)))
        if placed is None or (winding is not None and winding not in placed.segment.windings):
            return
        self.rows.append((3 * node + phase, unknown, regulator, power))
        self.value.append(-complex(value))

    def add_source(self, source: int, phase: int, unknown: int) -> None:
        """The current of a source, which feeds its node."""
        self.rows.append((self.first + 3 * source + phase, unknown, -1, 0))
        self.rows.append((3 * self.sources[source].node + phase, unknown, -1, 0))
        self.value += [1.0 + 0j, 1.0 + 0j]
