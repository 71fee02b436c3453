"""Transformer windings whose phases OpenDSS weighs unequally where nothing else fixes their potential.

OpenDSS keeps windings from floating by millionths of their rating to ground at each terminal, and counts the
second terminal twice where a winding between two phases is called wye. Beside any real path to ground that is
nothing; without one it alone decides where the phases stand, and the second count becomes a bank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .branches import Span
from .compiled.labels import Groups
from .parts import Shunt, Unit

Node = tuple[str, int]


def antifloat_shunts(found: list[Span], sources: list[str], shunts: Iterable[Shunt]) -> list[Shunt]:
    """What OpenDSS counts twice, where a winding between two phases called wye has no ground, as banks."""
    suspects = [
        (unit, end)
        for span in found
        for unit in span.units
        for end in (0, 1)
        if unit.ppm and len(unit.terminals[end]) == 2 and unit.windings[end].conn == "wye"
        and not (unit.connection == "centre-tap" and end == 1)
    ]  # fmt: skip
    if not suspects:
        return []
    groups = Groups()
    grounded: list[Node] = [(source, node) for source in sources for node in (1, 2, 3)]
    for span in found:
        for wire in span.wires if span.closed and not span.open_ends else ():
            for node in wire.nodes:
                groups.join(*((bus, node) for bus in span.buses))
        for unit in span.units:
            for kind, nodes in _sides(unit):
                _enter(groups, grounded, kind, nodes)
    for shunt in shunts:
        _enter(groups, grounded, shunt.connection, [(shunt.bus, node) for node in shunt.nodes])
    fixed = {groups.of(node) for node in grounded}
    return [
        _second_time(unit, end)
        for unit, end in suspects
        if groups.of((unit.buses[end], unit.terminals[end][0])) not in fixed
    ]


def _second_time(unit: Unit, end: int) -> Shunt:
    winding = unit.windings[end]
    return Shunt(
        f"{unit.name}#antifloat{end + 1}", unit.buses[end], unit.terminals[end][1:], "wye", winding.kv, 0.0,
        -unit.ppm * 1e-6 * unit.kva / 2000.0, (0.0, 0.0, 0.0, 0.0), None, 0.0, 1e3, True, unit.place,
    )  # fmt: skip


def _enter(groups: Groups, grounded: list[Node], kind: str, nodes: list[Node]) -> None:
    if kind == "delta":
        for node in nodes[1:]:
            groups.join(nodes[0], node)
    else:
        grounded.extend(nodes)


def _sides(unit: Unit) -> Iterator[tuple[str, list[Node]]]:
    """Delta or wye, and the nodes, of each end of a unit."""
    kinds = unit.connection.split("-")
    if unit.connection == "centre-tap":
        kinds = ["delta" if len(unit.terminals[0]) > 1 else "wye", "wye"]
    for kind, bus, terminals in zip(kinds, unit.buses, unit.terminals, strict=True):
        yield kind, [(bus, node) for node in terminals]
