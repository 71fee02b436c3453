"""Elements of a compiled circuit, with their nodes, properties and admittances between live conductors."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ....errors import CaseError
from ..engine.process import Compiled
from ..parts import Place

ROOT3 = math.sqrt(3.0)
PHASES = (1, 2, 3)
OPEN = 10_000  # numbers from here on are ends of conductors that are open
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
    amps_in: np.ndarray | None  # A into it at each conductor at the solution
    windings: list[dict[str, Any]]
    place: Place
    called: str = ""  # what the script calls it, where that is not its kind and name

    @property
    def title(self) -> str:
        """Class and name."""
        return self.called or f"{self.kind}.{self.name}"

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
        try:
            return float(self.properties[name])
        except ValueError:
            raise self.error(name, self.properties[name], "a number") from None

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
        header = self.header
        self.names: dict[Node, Node] = {}  # of the script's nodes that are called otherwise here
        self.star_z: dict[tuple[str, int], complex] = {}  # ohm, by transformer and winding
        self.inner: set[Node] = set()  # star points that need no place in the tables
        self.adrift: frozenset[Node] = frozenset()  # phases of zones without ground
        self.told: set[str] = set()  # titles of elements that others stand for
        self.volts: dict[Node, complex] = {}
        if header["converged"]:
            values = self.compiled.complex(header["volts"]).tolist()
            for name, volt in zip(header["node_names"], values, strict=True):
                bus, _, node = name.rpartition(".")
                self.volts[bus, int(node)] = volt
        self.recount()

    def rename(self, names: Mapping[Node, Node]) -> None:
        """Call nodes by other numbers; 0 puts them to ground."""
        if not names:
            return
        self.names = {node: names.get(name, name) for node, name in self.names.items()} | {
            node: name for node, name in names.items() if node not in self.names.values()
        }
        for piece in self.all:
            piece.terminals = [[names.get(node, node) for node in side] for side in piece.terminals]
            piece.__dict__.pop("conductors", None)
        renamed = {names.get(node, node): volt for node, volt in self.volts.items()}
        self.volts = {node: volt for node, volt in renamed.items() if node[1]}
        self.recount()

    def recount(self) -> None:
        """Count anew how many elements touch each node."""
        self.__dict__.pop("private", None)
        self.__dict__.pop("grounding", None)
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
        return (
            one
            for one in self.all
            if one.kind in kinds and (one.enabled or disabled) and one.title not in self.told
        )

    @cached_property
    def grounding(self) -> dict[Node, list[Piece]]:
        """What stands between a node beyond the third and ground alone, by node."""
        found: dict[Node, list[Piece]] = {}
        for piece in self.of("reactor", "fault", "line", "capacitor"):
            live = {node for node in piece.conductors if node[1]}
            if len(live) == 1 and (node := live.pop())[1] > 3:
                found.setdefault(node, []).append(piece)
        return found

    @cached_property
    def private(self) -> frozenset[Node]:
        """Nodes beyond the third that one element alone touches."""
        return frozenset(node for node, count in self.touched.items() if node[1] > 3 and count <= 1)

    def reduced(self, piece: Piece) -> tuple[list[Node], np.ndarray]:
        """Nodes that an element has in common with others, and its admittances between them in S.

        Conductors at ground go; ends that are open, and nodes beyond the third that only this element
        touches, carry no other current and are eliminated; conductors at one node are one.
        """
        assert piece.y is not None
        names = _with_open_ends(piece)
        nodes = [one for one in dict.fromkeys(names) if one[1]]
        join = np.array([[float(name == node) for node in nodes] for name in names])
        y = join.T @ piece.y @ join if nodes else np.zeros((0, 0), dtype=complex)
        gone = np.array([node in self.private or node[1] >= OPEN for node in nodes], dtype=bool)
        if gone.any():
            keep, out = np.flatnonzero(~gone), np.flatnonzero(gone)
            inner = np.linalg.pinv(y[np.ix_(out, out)])
            y = y[np.ix_(keep, keep)] - y[np.ix_(keep, out)] @ inner @ y[np.ix_(out, keep)]
            nodes = [nodes[k] for k in keep]
        return nodes, y


def _with_open_ends(piece: Piece) -> list[Node]:
    """The conductors; one that is open, while others of its terminal are not, ends in a node of its own."""
    if not piece.some_open():
        return piece.conductors
    names = []
    for k, side in enumerate(piece.terminals):
        state = piece.opened[k] if k < len(piece.opened) and piece.opened[k] else [False] * len(side)
        names += [
            (node[0], OPEN + j) if is_open and node[1] else node
            for j, (node, is_open) in enumerate(zip(side, state, strict=True))
        ]
    return names


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
    amps_in = compiled.complex(one["currents"]) if "currents" in one else None
    return Piece(
        one["kind"], one["name"], one["enabled"], one["phases"], one["properties"], terminals,
        one.get("open", []), one.get("amps", 0.0), y, amps_in,
        one.get("windings", []), Place(*place),
    )  # fmt: skip
