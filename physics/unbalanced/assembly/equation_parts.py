"""What of a feeder enters its equations in one switch state: a sweep's forest, or all that is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .elements import Element
from .equations import BankStamp, Parts, Stamp, Wires
from .forest import BoolArray, Conductor, Placed, SourceTerminal
from .node_loads import NodeLoads
from .reach import Reach
from .segments import Terminals

ComplexArray = NDArray[np.complex128]


def parts_of_forest(
    n_bus: int, elements: list[Element], sources: list[SourceTerminal], placed: list[Placed],
    conductor: dict[Conductor, int], node_shunt: ComplexArray, ungrounded: list[list[Conductor]],
) -> Parts:  # fmt: skip
    """The same model that sweeps solve; ``ungrounded``: zones whose mean voltage is zero there."""
    number = {at: k for k, at in enumerate(at for at in conductor if at[0] < n_bus)}
    phases: dict[int, list[int]] = {}
    for one in placed:
        if one.branch >= 0:
            phases.setdefault(one.branch, []).extend(one.segment.child)
    parts = Parts(number, set(number), len(number), _sources(sources, number))
    for row, own in phases.items():
        element = elements[row]
        if element.line_phases:
            parts.wires.append(_wires(element, sorted(own), number, number))
        elif element.centre_tap is not None:
            parts.centre_taps.append(element)
        else:
            parts.banks.append(BankStamp(element, element.windings))
    for node in {node for node, _ in number}:
        if node_shunt[node].any():
            at = [number.get((node, p), -1) for p in range(3)]
            parts.stamps.append(Stamp(at, node_shunt[node]))
    parts.ungrounded = [[number[at] for at in zone] for zone in ungrounded]
    return parts


def parts_of_reach(
    elements: list[Element], sources: list[SourceTerminal], reach: Reach, closed: BoolArray,
    shunt: ComplexArray, node_loads: NodeLoads,
) -> tuple[Parts, BoolArray]:  # fmt: skip
    """All that a source reaches; besides, (n_bus, 3) phases whose potential only shunts fix."""
    number = {at: k for k, at in enumerate(reach.root_of)}
    for at in _quiet(elements, reach, closed, node_loads):
        number[at] = len(number)
    parts = Parts(number, set(reach.root_of), len(number), _sources(sources, number))
    parts.in_series = reach.in_series
    for element in elements:
        if element.open_end and closed[element.row]:
            _add_charging(parts, element)  # all of it stands at the closed end
        elif element.line_phases and closed[element.row]:
            _add_line(parts, element, reach)
        elif element.row in reach.windings:
            parts.banks.append(BankStamp(element, reach.windings[element.row]))
            _add_charging(parts, element)
        elif element.row in reach.taps_centred:
            parts.centre_taps.append(element)
            _add_charging(parts, element)
    for node in {node for node, _ in number}:
        if shunt[node].any():
            parts.stamps.append(Stamp([number.get((node, p), -1) for p in range(3)], shunt[node]))
    floating = _settle_potentials(parts, reach, node_loads, shunt.shape[0])
    return parts, floating


def _sources(
    sources: list[SourceTerminal], number: dict[Conductor, int]
) -> list[tuple[SourceTerminal, list[int]]]:
    return [(source, [number[source.node, phase] for phase in source.phases]) for source in sources]


def _wires(
    element: Element, phases: list[int], start: dict[Conductor, int], end: dict[Conductor, int]
) -> Wires:
    at = [element.line_phases.index(p) for p in phases]
    return Wires(
        element.row, tuple(phases), [start[element.from_node, p] for p in phases],
        [end[element.to_node, p] for p in phases], element.z[np.ix_(at, at)],
    )  # fmt: skip


def _quiet(
    elements: list[Element], reach: Reach, closed: BoolArray, node_loads: NodeLoads
) -> list[Conductor]:
    """Dead phases that take the potential which the phases beside them induce: nothing else is on them."""
    beside, start = _dead_lines(elements, reach, closed)
    loaded = _loaded(node_loads)
    found: list[Conductor] = []
    seen: set[Conductor] = set()
    for first in sorted(start):
        if first in seen:
            continue
        island, waiting = {first}, [first]
        while waiting:
            for other in beside[waiting.pop()] - island:
                island.add(other)
                waiting.append(other)
        seen |= island
        if not island & loaded:
            found += sorted(island)
    return found


def _dead_lines(
    elements: list[Element], reach: Reach, closed: BoolArray
) -> tuple[dict[Conductor, set[Conductor]], set[Conductor]]:
    """Dead phases that lines connect with each other, and those beside live ones that have charging."""
    beside: dict[Conductor, set[Conductor]] = {}
    start: set[Conductor] = set()
    for element in elements:
        if not closed[element.row] or not element.line_phases or element.open_end:
            continue
        ends = element.from_node, element.to_node
        dead = [p for p in element.line_phases if not any((node, p) in reach.root_of for node in ends)]
        for p in dead:
            for one, other in (ends, ends[::-1]):
                beside.setdefault((one, p), set()).add((other, p))
            if len(dead) < len(element.line_phases) and element.y_from[p].any():
                start.add((ends[0], p))
    return beside, start


def _loaded(node_loads: NodeLoads) -> set[Conductor]:
    """Phases at which something draws power, to ground or to another phase."""
    wye = (node_loads.wye_p_mw != 0) | (node_loads.wye_q_mvar != 0)
    found = {(int(n), int(p)) for n, p in np.argwhere(wye)}
    legs = (node_loads.delta_p_mw != 0) | (node_loads.delta_q_mvar != 0)
    for node, leg in np.argwhere(legs):
        found |= {(int(node), int(leg)), (int(node), (int(leg) + 1) % 3)}
    for bank in node_loads.banks:
        found |= {(bank.node, bank.place)}
        if bank.delta:
            found |= {(bank.node, (bank.place + 1) % 3)}
    return found


def _add_line(parts: Parts, element: Element, reach: Reach) -> None:
    """A line in the phases that carry current; a phase that is cut hangs on one end alone."""
    number = parts.conductor
    carries = set(reach.line_phases.get(element.row, ()))
    ends = [{(node, p): number.get((node, p), -1) for p in element.line_phases}
            for node in (element.from_node, element.to_node)]  # fmt: skip
    for p in element.line_phases:
        both = ends[0][element.from_node, p] >= 0 and ends[1][element.to_node, p] >= 0
        if both and (element.from_node, p) not in parts.energised:
            carries.add(p)
    if not carries:
        return
    for p, left_on in reach.cut.get(element.row, ()):
        if element.y_from[p].any():  # without charging nothing flows in it
            far, node = (1, element.to_node) if left_on == 0 else (0, element.from_node)
            ends[far][node, p] = parts.size
            parts.size += 1
            carries.add(p)
    parts.wires.append(_wires(element, sorted(carries), ends[0], ends[1]))
    _add_charging(parts, element, ends)


def _add_charging(
    parts: Parts, element: Element, ends: Sequence[Mapping[Conductor, int]] | None = None
) -> None:
    """Admittances at both ends of a branch; ``ends``: its conductors there, where they are not the nodes'."""
    for side, (node, y) in enumerate(((element.from_node, element.y_from), (element.to_node, element.y_to))):
        if y.any():
            number = parts.conductor if ends is None else ends[side]
            at = [number.get((node, p), -1) for p in range(3)]
            parts.stamps.append(Stamp(at, y, element.row, side, (0, 1, 2)))


def _settle_potentials(parts: Parts, reach: Reach, node_loads: NodeLoads, n_bus: int) -> BoolArray:
    """Find zones without a winding or source to ground, and say what fixes their potential."""
    find, ground = _tied(parts, reach), parts.size
    zones: dict[int, list[Conductor]] = {}
    for at, k in parts.conductor.items():
        if find(k) != find(ground):
            zones.setdefault(find(k), []).append(at)
    floating = np.zeros((n_bus, 3), dtype=bool)
    for zone in zones.values():
        for at in zone:
            floating[at] = True
        _fix(parts, set(zone), node_loads)
    return floating


def _tied(parts: Parts, reach: Reach) -> Callable[[int], int]:
    """Which conductors have one potential, with ground as the last; as a function that names their set."""
    find, join = _union(parts.size)
    ground = parts.size
    for _, at in parts.sources:
        _all(join, [*at, ground])
    for wires in parts.wires:
        for a, b in zip(wires.start, wires.end, strict=True):
            join(a, b)
    for bank in parts.banks:
        for winding in bank.windings:
            _tie(join, parts, bank.element.from_node, winding.start)
            _tie(join, parts, bank.element.to_node, winding.end)
    for element in parts.centre_taps:
        _tie(join, parts, element.from_node, tuple((p, 1.0) for p in element.high))
        _all(join, [*(parts.conductor[element.to_node, p] for p in (0, 1)), ground])
    fixed_otherwise = [
        k for at, k in parts.conductor.items() if at in reach.legs or at not in parts.energised
    ]
    _all(join, [ground, *fixed_otherwise])
    return find


def _fix(parts: Parts, zone: set[Conductor], node_loads: NodeLoads) -> None:
    """A zone without any shunt has the mean zero at the bank that feeds it."""
    inside = {parts.conductor[at] for at in zone}
    total = 0j
    for stamp in parts.stamps:
        mine = [k for k, at in enumerate(stamp.at) if at in inside]
        total += stamp.y[np.ix_(mine, mine)].sum()
    if abs(total) > 1e-14:
        return
    feeding = next(
        [parts.conductor[node, p] for p in bank.element.phases(side) if (node, p) in zone]
        for bank in parts.banks
        for side, node in ((1, bank.element.to_node), (0, bank.element.from_node))
        if any((node, p) in zone for p in bank.element.phases(side))
    )
    if any((bank.node, bank.place) in zone and not bank.delta for bank in node_loads.banks):
        parts.adrift += feeding
    else:
        parts.ungrounded.append(feeding)


def _tie(join: Callable[[int, int], None], parts: Parts, node: int, side: Terminals) -> None:
    """A winding holds its two terminals together, or one to ground."""
    ends = [parts.conductor[node, p] for p, _ in side]
    _all(join, ends if len(ends) > 1 else [*ends, parts.size])


def _all(join: Callable[[int, int], None], members: Iterable[int]) -> None:
    first, *rest = members
    for other in rest:
        join(first, other)


def _union(size: int) -> tuple[Callable[[int], int], Callable[[int, int], None]]:
    """Disjoint sets of 0 .. size."""
    parent = list(range(size + 1))

    def find(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    def join(a: int, b: int) -> None:
        parent[find(a)] = find(b)

    return find, join
