"""Which phase each node of a bus is: a script may call phase B node 1 or 5 beyond a line, or legs 2 and 3.

Nodes that wires join are one phase and get one number from 1 to 3: that of the source, else one that they
have themselves. Behind a centre tap the legs are 1 and 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .pieces import PHASES, Node, Piece

WIRES = ("line", "reactor", "capacitor")


class Groups:
    """Nodes that wires join."""

    def __init__(self) -> None:
        self.above: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        """The one that stands for all of the group."""
        top = node
        while (up := self.above.get(top, top)) != top:
            top = up
        while (up := self.above.get(node, node)) != top and up != node:
            self.above[node] = top
            node = up
        return top

    def join(self, a: Node, b: Node) -> None:
        """One group of two."""
        self.above[self.of(b)] = self.of(a)


def joined(pieces: Iterable[Piece]) -> Iterator[tuple[Node, Node]]:
    """Pairs of nodes that the phases of lines and the like join."""
    for piece in pieces:
        if piece.enabled and piece.kind in WIRES and len(piece.terminals) == 2:
            for a, b in list(zip(*piece.terminals, strict=True))[: piece.phases]:
                if a[1] and b[1] and a[0] != b[0]:
                    yield a, b


def renamed(pieces: list[Piece]) -> dict[Node, Node]:
    """The nodes that need another number, and which."""
    groups = Groups()
    for a, b in joined(pieces):
        groups.join(a, b)
    labels = _Labels(groups, pieces)
    for group, label in _fixed(groups, pieces).items():
        labels.settle(group, [label])
    for group in list(labels.members):
        numbers = labels.numbers(group)
        if len(numbers) == 1:
            labels.settle(group, numbers)
    hot = {groups.of(node) for node in _hot(pieces)}
    for group in list(labels.members):
        numbers = labels.numbers(group)
        if numbers or group in hot:
            labels.settle(group, [*numbers, *PHASES])
    return labels.found


class _Labels:
    """Numbers that groups of nodes have got, no two at one bus alike."""

    def __init__(self, groups: Groups, pieces: list[Piece]) -> None:
        self.members: dict[Node, list[Node]] = {}  # of groups without a number
        self.taken: dict[str, set[int]] = {}
        self.found: dict[Node, Node] = {}
        live = (node for piece in pieces if piece.enabled for node in piece.conductors if node[1])
        for node in dict.fromkeys(live):
            self.members.setdefault(groups.of(node), []).append(node)

    def numbers(self, group: Node) -> list[int]:
        """Numbers of phases that the group has itself, the usual one first."""
        given = Counter(number for _, number in self.members[group])
        return [number for number, _ in given.most_common() if number in PHASES]

    def settle(self, group: Node, wanted: Iterable[int]) -> None:
        """Give the group the first of these numbers that is free at all of its buses, if one is."""
        nodes = self.members.get(group, [])
        free = (one for one in wanted if all(one not in self.taken.get(bus, ()) for bus, _ in nodes))
        label = next(free, None) if nodes else None
        if label is None:
            return
        for bus, number in self.members.pop(group):
            self.taken.setdefault(bus, set()).add(label)
            if number != label:
                self.found[bus, number] = (bus, label)


def _fixed(groups: Groups, pieces: Iterable[Piece]) -> dict[Node, int]:
    """Groups whose number is given: by a source, or as a leg behind a centre tap."""
    found = {}
    for piece in pieces:
        legs = centre_legs(piece)
        if legs is not None:
            found |= {groups.of(node): leg for leg, node in enumerate(legs, 1)}
        elif piece.kind == "vsource" and piece.enabled:
            found |= {groups.of(node): node[1] for node in piece.terminals[0] if node[1] in PHASES}
    return found


def centre_legs(piece: Piece) -> tuple[Node, Node] | None:
    """Where the legs of a one-phase transformer with the middle of its secondary at ground are."""
    if piece.kind != "transformer" or not piece.enabled or piece.phases != 1 or len(piece.terminals) != 3:
        return None
    (first, middle), (other, second) = piece.terminals[1][:2], piece.terminals[2][:2]
    hot = first[1] and second[1] and first[1] != second[1]
    return (first, second) if hot and not middle[1] and not other[1] and first[0] == second[0] else None


def _hot(pieces: Iterable[Piece]) -> Iterator[Node]:
    """What windings and sources feed: phases, whatever their numbers."""
    for piece in pieces:
        if piece.kind in ("transformer", "vsource") and piece.enabled:
            for side in piece.terminals:
                yield from (node for node in side[: piece.phases] if node[1])
