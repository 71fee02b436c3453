"""Transformer windings whose phases OpenDSS weighs unequally where nothing else fixes their potential.

OpenDSS keeps windings from floating by millionths of their rating to ground at each terminal, and counts the
second terminal twice where a winding between two phases is called wye. Beside any real path to ground that is
nothing; without one it alone decides where the phases stand, and the tables cannot say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .branches import Span
from .parts import Shunt, Unit

Node = tuple[str, int]


class _Groups:
    """Nodes that something conducts between."""

    def __init__(self) -> None:
        self.above: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        """The one that stands for all of the group."""
        while (up := self.above.get(node, node)) != node:
            self.above[node] = self.above.get(up, up)
            node = up
        return node

    def join(self, nodes: list[Node]) -> None:
        for node in nodes[1:]:
            self.above[self.of(node)] = self.of(nodes[0])


def check_ungrounded(found: list[Span], source: str, shunts: Iterable[Shunt]) -> None:
    """Raise where a winding between two phases, called wye, is in a part of the feeder without ground.

    Raises:
        CaseError: names the transformer.
    """
    suspects = [
        (unit, end)
        for span in found
        for unit in span.units
        for end in (0, 1)
        if unit.ppm and len(unit.terminals[end]) == 2 and unit.windings[end].conn == "wye"
        and not (unit.connection == "centre-tap" and end == 1)
    ]  # fmt: skip
    if not suspects:
        return
    groups = _Groups()
    grounded: list[Node] = [(source, node) for node in (1, 2, 3)]
    for span in found:
        for wire in span.wires if span.closed and not span.open_ends else ():
            for node in wire.nodes:
                groups.join([(bus, node) for bus in span.buses])
        for unit in span.units:
            for kind, nodes in _sides(unit):
                _enter(groups, grounded, kind, nodes)
    for shunt in shunts:
        _enter(groups, grounded, shunt.connection, [(shunt.bus, node) for node in shunt.nodes])
    fixed = {groups.of(node) for node in grounded}
    for unit, end in suspects:
        if groups.of((unit.buses[end], unit.terminals[end][0])) not in fixed:
            shown = f"wye at {unit.buses[end]}.{'.'.join(map(str, unit.terminals[end]))}"
            expected = "conn=delta between two phases without ground, where OpenDSS weighs them unequally"
            raise unit.place.error(f"transformer.{unit.name} conn", shown, expected)


def _enter(groups: _Groups, grounded: list[Node], kind: str, nodes: list[Node]) -> None:
    if kind == "delta":
        groups.join(nodes)
    else:
        grounded.extend(nodes)


def _sides(unit: Unit) -> Iterator[tuple[str, list[Node]]]:
    """Delta or wye, and the nodes, of each end of a unit."""
    kinds = unit.connection.split("-")
    if unit.connection == "centre-tap":
        kinds = ["delta" if len(unit.terminals[0]) > 1 else "wye", "wye"]
    for kind, bus, terminals in zip(kinds, unit.buses, unit.terminals, strict=True):
        yield kind, [(bus, node) for node in terminals]
