"""Elements of a compiled circuit, with their nodes, properties and admittances between live conductors."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ....errors import CaseError
from ..engine.process import Compiled
from ..parts import Place

ROOT3 = math.sqrt(3.0)
PHASES = (1, 2, 3)
Node = tuple[str, int]
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(eq=False)
class Piece:
    """One element of the circuit."""

    kind: str
    name: str
    enabled: bool
    phases: int
    properties: dict[str, str]
    terminals: list[list[Node]]  # conductors of each terminal: bus and node; node 0 is ground
    opened: list[list[bool]]  # which conductors of a terminal are open; empty: none
    amps: float
    y: np.ndarray | None  # primitive admittance in S over all conductors, terminal by terminal
    power: tuple[float, float] | None  # kW and kvar that it takes at the solution
    windings: list[dict[str, Any]]
    place: Place

    @property
    def title(self) -> str:
        """Class and name."""
        return f"{self.kind}.{self.name}"

    def error(self, what: str, value: str, expected: str) -> CaseError:
        """The error to raise about the element as a whole."""
        return self.place.error(f"{self.title} {what}".rstrip(), value, expected)

    def text(self, name: str) -> str:
        """A property in lower case."""
        return self.properties[name].strip().lower()

    def flag(self, name: str) -> bool:
        """A property that says yes or no."""
        return self.text(name)[:1] in ("y", "t")

    def number(self, name: str) -> float:
        """A property that is a number."""
        return float(self.properties[name])

    def numbers(self, name: str) -> list[float]:
        """A property that is a list of numbers."""
        return [float(one) for one in _NUMBER.findall(self.properties[name])]

    def words(self, name: str) -> list[str]:
        """A property that is a list of words."""
        return [one for one in re.split(r"[\s,\[\]()|]+", self.text(name)) if one]

    @cached_property
    def conductors(self) -> list[Node]:
        """All conductors, in the order of the admittances."""
        return [node for terminal in self.terminals for node in terminal]

    def all_open(self, terminal: int) -> bool:
        """Whether every phase of a terminal is open."""
        state = self.opened[terminal] if terminal < len(self.opened) else []
        return bool(state) and all(state[: self.phases])

    def some_open(self) -> bool:
        """Whether a terminal is open in some of its phases only."""
        return any(any(state[: self.phases]) and not all(state[: self.phases]) for state in self.opened)


@dataclass(eq=False)
class Pieces:
    """All elements, and what is known of the whole."""

    compiled: Compiled
    file: str
    all: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.all = [_piece(self.compiled, one, self.file) for one in self.compiled.header["elements"]]
        self.touched: Counter[Node] = Counter()
        for piece in self.all:
            if piece.enabled:
                self.touched.update(set(piece.conductors))

    @property
    def header(self) -> dict[str, Any]:
        """What the engine said of the circuit."""
        return self.compiled.header

    def of(self, *kinds: str, disabled: bool = False) -> Iterator[Piece]:
        """The elements of these kinds that take part, in the order of the engine."""
        return (one for one in self.all if one.kind in kinds and (one.enabled or disabled))

    @cached_property
    def private(self) -> frozenset[Node]:
        """Nodes beyond the third that one element alone touches."""
        return frozenset(node for node, count in self.touched.items() if node[1] > 3 and count <= 1)

    def reduced(self, piece: Piece) -> tuple[list[Node], np.ndarray]:
        """Nodes that an element has in common with others, and its admittances between them in S.

        Conductors at ground go; nodes beyond the third that only this element touches carry no other current
        and are eliminated; conductors at one node are one.
        """
        assert piece.y is not None
        names = piece.conductors
        nodes = [one for one in dict.fromkeys(names) if one[1]]
        join = np.array([[float(name == node) for node in nodes] for name in names])
        y = join.T @ piece.y @ join
        private = [node in self.private for node in nodes]
        if any(private):
            keep, gone = np.flatnonzero(~np.array(private)), np.flatnonzero(private)
            inner = y[np.ix_(gone, gone)]
            y = y[np.ix_(keep, keep)] - y[np.ix_(keep, gone)] @ np.linalg.pinv(inner) @ y[np.ix_(gone, keep)]
            nodes = [nodes[k] for k in keep]
        return nodes, y


def _piece(compiled: Compiled, one: dict[str, Any], file: str) -> Piece:
    title = f"{one['kind']}.{one['name']}"
    place = compiled.header["places"].get(title, (file, None))
    nodes = one.get("nodes", [])
    buses = [bus.partition(".")[0] for bus in one["buses"]]
    size = len(nodes) // len(buses) if buses else 0
    terminals = [
        [(bus, node) for node in nodes[size * k : size * (k + 1)]] for k, bus in enumerate(buses)
    ]  # fmt: skip
    y = compiled.matrix(one["y"]) if one.get("y", [0, 0])[1] else None
    power = one.get("power")
    return Piece(
        one["kind"], one["name"], one["enabled"], one["phases"], one["properties"], terminals,
        one.get("open", []), one.get("amps", 0.0), y, tuple(power) if power else None,
        one.get("windings", []), Place(*place),
    )  # fmt: skip
