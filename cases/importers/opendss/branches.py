"""What lies between the buses of an OpenDSS circuit: wires and transformer units as branches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from .parts import Feed, Shunt, TapControl, Unit, Wire

ROOT3 = float(np.sqrt(3.0))
FAR_BASE = 0.2  # a base voltage that is this far from the rated one is no base of that bus


@dataclass(frozen=True)
class Span:
    """A branch in the making: wires side by side, or the units of a bank with what passes beside them."""

    name: str
    buses: tuple[str, str]
    kind: str  # line, switch, transformer, regulator
    wires: tuple[Wire, ...]
    units: tuple[Unit, ...] = ()

    @property
    def closed(self) -> bool:
        """Wires of one branch are all open or all closed; banks are closed."""
        return self.kind in ("transformer", "regulator") or self.wires[0].closed

    @property
    def open_ends(self) -> str:
        """Which end of every wire is open while the other one is closed, in the words of the tables."""
        open_at = "" if self.units else self.wires[0].open_at
        return ("from", "to")[self.buses.index(open_at)] if open_at else ""


def spans(wires: list[Wire], units: list[Unit], controls: list[TapControl]) -> list[Span]:
    """The branches, in the order of their first part: wires as defined, then transformers as defined."""
    controlled = {control.unit.name for control in controls}
    banks = _banks(units, controlled)
    beside: dict[int, list[Wire]] = {}
    alone = []
    open_deltas = _open_deltas(banks)
    for wire in wires:
        at = _bank_of(wire, open_deltas)
        if at is None:
            alone.append(wire)
        else:
            beside.setdefault(at, []).append(wire)
    found = _side_by_side(alone)
    found += [replace(bank, wires=tuple(beside.get(at, ()))) for at, bank in enumerate(banks)]
    return _distinct(found)


def _distinct(found: list[Span]) -> list[Span]:
    """The same with ids that no other has: a line and a transformer may have one name."""
    seen: set[str] = set()
    result = []
    for span in found:
        name, count = span.name, 2
        while name in seen:
            name, count = f"{span.name}#{count}", count + 1
        seen.add(name)
        result.append(replace(span, name=name))
    return result


def _side_by_side(wires: list[Wire]) -> list[Span]:
    """Wires between the same two buses on different phases, of one kind and state, in one branch."""
    groups: dict[tuple[frozenset[str], bool, bool, str], list[list[Wire]]] = {}
    order: list[list[Wire]] = []
    for wire in wires:
        key = (frozenset(wire.buses), wire.is_switch, wire.closed, wire.open_at)
        for group in groups.setdefault(key, []):
            if all(set(wire.nodes).isdisjoint(other.nodes) for other in group):
                group.append(wire)
                break
        else:
            groups[key].append([wire])
            order.append(groups[key][-1])
    return [
        Span(
            name="+".join(wire.name for wire in group),
            buses=group[0].buses,
            kind="switch" if group[0].is_switch else "line",
            wires=tuple(group),
        )
        for group in order
    ]


def _banks(units: list[Unit], controlled: set[str]) -> list[Span]:
    """One-phase units between the same buses on different terminals in one branch; the rest alone."""
    banks: list[list[Unit]] = []
    at: dict[tuple[str, str, str], list[Unit]] = {}
    for unit in units:
        key = (*unit.buses, unit.connection)
        mates = at.get(key)
        taken = {frozenset(mate.terminals[0]) for mate in mates or ()}
        if unit.phases == 1 and mates is not None and frozenset(unit.terminals[0]) not in taken:
            mates.append(unit)
            continue
        banks.append([unit])
        if unit.phases == 1 and unit.connection != "centre-tap":
            at[key] = banks[-1]
    return [_bank(group, controlled) for group in banks]


def _bank(group: list[Unit], controlled: set[str]) -> Span:
    first = group[0]
    straight = all(
        unit.kv[0] == unit.kv[1]
        and unit.connection in ("wye-wye", "delta-delta")
        and unit.terminals[0] == unit.terminals[1]
        for unit in group
    )
    regulator = straight and any(unit.name in controlled for unit in group)
    name = first.bank if len(group) > 1 and first.bank else first.name
    return Span(name, first.buses, "regulator" if regulator else "transformer", (), tuple(group))


def _open_deltas(banks: list[Span]) -> dict[frozenset[str], tuple[int, set[int]]]:
    """The regulators of two units that share one phase, by their buses: which bank, and the shared phases."""
    found = {}
    for at, bank in enumerate(banks):
        legs = [set(unit.terminals[0]) for unit in bank.units]
        if bank.kind == "regulator" and all(len(leg) == 2 for leg in legs):
            found[frozenset(bank.buses)] = (at, set.intersection(*legs))
    return found


def _bank_of(wire: Wire, open_deltas: dict[frozenset[str], tuple[int, set[int]]]) -> int | None:
    """The open-delta regulator whose third phase this wire takes past it, if it does."""
    at, shared = open_deltas.get(frozenset(wire.buses), (None, set()))
    return (
        at if wire.closed and not wire.open_at and len(wire.nodes) == 1 and wire.nodes[0] in shared else None
    )


# -- buses ---------------------------------------------------------------------------------------------------


@dataclass
class Bus:
    """A bus in the making."""

    name: str
    nodes: set[int]
    kv: float  # rated, line to line
    split: bool  # behind a centre tap


def buses(found: list[Span], sources: list[Feed], shunts: list[Shunt]) -> dict[str, Bus]:
    """The buses, in the order of the branches, with the voltages that reach them.

    Those that no branch leads to have what stands there alone, and are dead.
    """
    result = {source.bus: Bus(source.bus, {1, 2, 3}, 0.0, False) for source in sources}
    links: dict[str, list[tuple[str, Span]]] = {source.bus: [] for source in sources}
    for span in found:
        for end, bus in enumerate(span.buses):
            if bus not in result:
                result[bus] = Bus(bus, set(), 0.0, False)
                links[bus] = []
            result[bus].nodes |= _nodes(span, end)
            links[bus].append((span.buses[1 - end], span))
    for source in sources:
        result[source.bus].kv = source.base_kv
    for root in [*(source.bus for source in sources), *_taps(found), *result]:
        _reach_buses(root, result, links)
    for shunt in shunts:
        if shunt.bus not in links:
            across = shunt.part_kv * (1.0 if shunt.connection == "delta" else ROOT3)
            result.setdefault(shunt.bus, Bus(shunt.bus, set(), across, False)).nodes.update(shunt.nodes)
    return result


def _taps(found: list[Span]) -> list[str]:
    """High sides of centre taps, for islands without the source."""
    return [span.buses[0] for span in found if span.units and span.units[0].connection == "centre-tap"]


def _nodes(span: Span, end: int) -> set[int]:
    nodes = {node for wire in span.wires for node in wire.nodes}
    return nodes | {node for unit in span.units for node in unit.terminals[end]}


def _reach_buses(root: str, known: dict[str, Bus], links: dict[str, list[tuple[str, Span]]]) -> None:
    """Carry voltage and split phase from a bus to all that hang on it and have none yet."""
    if known[root].kv == 0.0:
        rated = [_rated(span, span.buses.index(root)) for _, span in links[root] if span.units]
        if not rated:
            return
        known[root].kv = rated[0]
    queue = [root]
    for bus in queue:  # grows while it is read
        for other, span in links[bus]:
            if known[other].kv:
                continue
            end = span.buses.index(bus)
            ratio = _rated(span, 1 - end) / _rated(span, end) if span.units else 1.0
            known[other].kv = known[bus].kv * ratio
            tapped = bool(span.units) and span.units[0].connection == "centre-tap"
            known[other].split = (end == 0) if tapped else known[bus].split
            queue.append(other)


def _rated(span: Span, end: int) -> float:
    """Line-to-line kV that a bank is made for at one end."""
    unit = span.units[0]
    leg = unit.connection == "centre-tap" and end == 1
    across = unit.phases == 1 and (leg or len(unit.terminals[end]) == 1)
    return unit.kv[end] * (ROOT3 if across else 1.0)


def base_of(kv: float, bases: Iterable[float] | None) -> float:
    """The base voltage nearest to a rated one; the rated one where none is near."""
    near = min(bases or (), key=lambda base: abs(1.0 - kv / base), default=kv)
    return near if abs(1.0 - kv / near) <= FAR_BASE else kv


def check_split(found: list[Span], known: dict[str, Bus]) -> None:
    """Raise where wires behind a centre tap meet others, or have a third phase."""
    for span in found:
        tapped = bool(span.units) and span.units[0].connection == "centre-tap"
        start, end = known[span.buses[0]], known[span.buses[1]]
        place = (span.wires or span.units)[0].place
        if not tapped and start.split != end.split:
            raise place.error("", span.name, "no branch from split-phase wires to other ones")
        if end.split and not end.nodes <= {1, 2}:
            raise place.error("", span.name, "nodes 1 and 2 only behind a centre tap")
        if start.split and span.units:
            raise place.error("", span.name, "no transformer behind a centre tap")
