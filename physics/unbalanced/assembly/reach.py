"""Which phases of which nodes a source reaches, through lines and windings, phase by phase.

`forest` follows segments from the sources to the leaves and is what sweeps need. Some feeders are no such
forest: branches stand parallel to each other, the phases of one line arrive from both of its ends, a winding
has a dead terminal and is fed through its neighbours. Here only the question which phases live is answered,
and where a loop is to be cut: in the one phase that closes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from .elements import Element
from .forest import BoolArray, Conductor, SourceTerminal
from .segments import Terminals, Winding

SegmentEnds = tuple[int, int]  # two nodes, the smaller row first


@dataclass(frozen=True, eq=False)
class Reach:
    """What a source reaches, and what carries current on the way."""

    root_of: dict[Conductor, int]  # source row of every phase that is fed
    line_phases: dict[int, list[int]]  # phases in which each line carries current, by branch row
    windings: dict[int, list[Winding]]  # windings that carry current, by branch row
    taps_centred: list[int]  # rows of centre-tap transformers that carry current
    cut: dict[int, list[tuple[int, int]]]  # branch row: phases that would close a loop, and the end left on
    away: dict[int, bool]  # whether a branch that carries current is fed at its from end
    clash: list[int]  # rows that connect two sources
    legs: set[Conductor]  # phases that are fed through loads between phases alone
    in_series: bool  # whether some phase is fed through windings or loads that lie in series
    closing: list[int]  # rows that close loops and are kept

    @property
    def dropped(self) -> list[int]:
        """Rows that would close a loop, in one phase at least."""
        return sorted(self.cut)


@dataclass(eq=False)
class _Bundle:
    """All closed branches between the same two nodes."""

    ends: SegmentEnds
    lines: list[Element] = field(default_factory=list)
    banks: list[Element] = field(default_factory=list)
    fired: bool = False

    def far(self, node: int) -> int:
        return self.ends[1] if node == self.ends[0] else self.ends[0]

    def phases(self) -> list[int]:
        return sorted({p for element in self.lines for p in element.line_phases})


class _Flood:
    def __init__(
        self, n_bus: int, elements: list[Element], closed: BoolArray, sources: list[SourceTerminal],
        legs: Iterable[tuple[Conductor, Conductor]], keep_loops: bool,
    ) -> None:  # fmt: skip
        self.keep_loops = keep_loops
        self.bundles: dict[SegmentEnds, _Bundle] = {}
        self.at: dict[int, list[_Bundle]] = {}
        for element in elements:
            if closed[element.row] and element.from_node != element.to_node and not element.open_end:
                self._enter(element)
        self.legs = list(legs)
        self.root_of: dict[Conductor, int] = {}
        self.of_bundle: dict[Conductor, SegmentEnds] = {}  # through which bundle a phase was reached
        self.line_phases: dict[int, set[int]] = {}
        self.windings: dict[int, list[Winding]] = {}
        self.taps_centred: list[int] = []
        self.cut: dict[int, list[tuple[int, int]]] = {}
        self.away: dict[int, bool] = {}
        self.clash: set[int] = set()
        self.closing: set[int] = set()
        self.by_legs: set[Conductor] = set()
        self.in_series = False
        self.done: set[tuple[SegmentEnds, int]] = set()  # phases of lines of a bundle that are settled
        self.queue: deque[int] = deque()
        for s, source in enumerate(sources):
            for phase in source.phases:
                self._light((source.node, phase), s, None)

    def _enter(self, element: Element) -> None:
        ends = (min(element.from_node, element.to_node), max(element.from_node, element.to_node))
        if ends not in self.bundles:
            bundle = self.bundles[ends] = _Bundle(ends)
            for node in ends:
                self.at.setdefault(node, []).append(bundle)
        bundle = self.bundles[ends]
        (bundle.lines if element.line_phases else bundle.banks).append(element)

    def _light(self, at: Conductor, root: int, through: SegmentEnds | None) -> None:
        if at not in self.root_of:
            self.root_of[at] = root
            if through is not None:
                self.of_bundle[at] = through
            self.queue.append(at[0])

    def run(self) -> None:
        while True:
            while self.queue:
                node = self.queue.popleft()
                for bundle in self.at.get(node, ()):
                    self._lines(bundle, node)
                    self._bank(bundle, node, partly=False)
            if not (self._parts() or self._through_legs()):
                return

    def _lines(self, bundle: _Bundle, node: int) -> None:
        far = bundle.far(node)
        for phase in bundle.phases():
            if (bundle.ends, phase) in self.done or (node, phase) not in self.root_of:
                continue
            self.done.add((bundle.ends, phase))
            mine = [e for e in bundle.lines if phase in e.line_phases]
            root, other = self.root_of[node, phase], (far, phase)
            if other in self.root_of and self.of_bundle.get(other) != bundle.ends:
                if self.root_of[other] != root:
                    self.clash.update(e.row for e in mine)
                if not self.keep_loops:
                    for element in mine:
                        self.cut.setdefault(element.row, []).append((phase, int(element.to_node == node)))
                    continue
                self.closing.update(e.row for e in mine)
            for element in mine:
                self.line_phases.setdefault(element.row, set()).add(phase)
                self.away.setdefault(element.row, element.from_node == node)
            self._light(other, root, bundle.ends)

    def _bank(self, bundle: _Bundle, node: int, *, partly: bool) -> bool:
        """Feed the windings of a bundle from one of its nodes; True where something was fed."""
        if bundle.fired or not bundle.banks:
            return False
        near = {at for e in bundle.banks for at in _terminals(e, node)}
        driven = [
            (e, w)
            for e in bundle.banks
            for w in e.sides()
            if self._driven(node, w[0] if e.from_node == node else w[1])
        ]
        if not driven or not (partly or near <= self.root_of.keys()):
            return False
        bundle.fired = True
        root = self.root_of[next(at for at in near if at in self.root_of)]
        far = bundle.far(node)
        taken = {
            at
            for e in bundle.banks
            for at in _terminals(e, far)
            if at in self.root_of and self.of_bundle.get(at) != bundle.ends
        }
        if any(self.root_of[at] != root for at in taken):
            self.clash.update(e.row for e in bundle.banks)
        for element in bundle.banks:
            self._windings(bundle, element, node, taken, root)
        return True

    def _driven(self, node: int, side: Terminals) -> bool:
        return all((node, phase) in self.root_of for phase, _ in side)

    def _windings(
        self, bundle: _Bundle, element: Element, node: int, taken: set[Conductor], root: int
    ) -> None:
        forward = element.from_node == node
        far = bundle.far(node)
        held = set(taken)
        kept = []
        for winding, (start, end) in zip(element.pairs(), element.sides(), strict=True):
            child = {(far, phase) for phase, _ in (end if forward else start)}
            if child <= held and taken & child:
                if not self.keep_loops:
                    cut = self.cut.setdefault(element.row, [])
                    cut.extend(sorted((p, int(not forward)) for _, p in child))
                    continue
                self.closing.add(element.row)
            if taken:
                held |= child
            kept.append((winding, start if forward else end, end if forward else start))
        live = self._alive(node, far, kept, root, bundle)
        if not live:
            return
        self.away.setdefault(element.row, forward)
        if element.centre_tap is not None:
            self.taps_centred.append(element.row)
        else:
            self.windings[element.row] = [w for w in live if w is not None]

    def _alive(
        self, node: int, far: int, kept: list[tuple[Winding | None, Terminals, Terminals]], root: int,
        bundle: _Bundle,
    ) -> list[Winding | None]:  # fmt: skip
        """Windings that are driven from either end, or in series with others through a dead terminal."""
        on: list[int] = []
        again = True
        while again:
            again = False
            for k, (_, near_side, far_side) in enumerate(kept):
                sides = ((node, near_side), (far, far_side))
                if k in on or not any(self._driven(n, side) for n, side in sides):
                    continue
                on.append(k)
                for n, side in sides:
                    for phase, _ in side:
                        self._light((n, phase), root, bundle.ends)
                again = True
            idle = [one for k, one in enumerate(kept) if k not in on]
            for n, ends in ((node, [one[1] for one in idle]), (far, [one[2] for one in idle])):
                for dead in self._shared_dead(n, ends):
                    self._light((n, dead), root, bundle.ends)
                    again = self.in_series = True
        return [kept[k][0] for k in sorted(on)]

    def _shared_dead(self, node: int, sides: list[Terminals]) -> list[int]:
        """Dead phases where two windings meet whose other terminals live."""
        meeting: dict[int, int] = {}
        for side in sides:
            if len(side) != 2:
                continue
            dead = [p for p, _ in side if (node, p) not in self.root_of]
            if len(dead) == 1:
                meeting[dead[0]] = meeting.get(dead[0], 0) + 1
        return [phase for phase, count in meeting.items() if count >= 2]

    def _parts(self) -> bool:
        """Banks of which only some terminals live are fed through these."""
        for bundle in self.bundles.values():
            for node in bundle.ends:
                if self._bank(bundle, node, partly=True):
                    return True
        return False

    def _through_legs(self) -> bool:
        """A dead phase between two loads whose other terminals live carries what these allow."""
        island = self._dead_islands()
        meeting: dict[Conductor, list[Conductor]] = {}
        for a, b in self.legs:
            for dead, live in ((a, b), (b, a)):
                if dead not in self.root_of and live in self.root_of:
                    meeting.setdefault(island.get(dead, dead), []).append(live)
        for dead, lives in meeting.items():
            if len(set(lives)) >= 2:
                self.by_legs.add(dead)
                self.in_series = True
                self._light(dead, self.root_of[lives[0]], None)
                return True
        return False

    def _dead_islands(self) -> dict[Conductor, Conductor]:
        """Of every dead phase one that stands for all that lines connect it with."""
        found: dict[Conductor, Conductor] = {}
        for bundle in self.bundles.values():
            for phase in bundle.phases():
                for node in bundle.ends:
                    start = (node, phase)
                    if start in self.root_of or start in found:
                        continue
                    waiting = [start]
                    found[start] = start
                    while waiting:
                        here, p = waiting.pop()
                        for other in self.at.get(here, ()):
                            at = (other.far(here), p)
                            if p in other.phases() and at not in self.root_of and at not in found:
                                found[at] = start
                                waiting.append(at)
        return found


def _terminals(element: Element, node: int) -> set[Conductor]:
    """Phases that the windings of a branch have at a node."""
    end = 0 if element.from_node == node else 1
    return {(node, phase) for phase in element.phases(end)}


def reach(
    n_bus: int,
    elements: list[Element],
    closed: BoolArray,
    sources: list[SourceTerminal],
    legs: Iterable[tuple[Conductor, Conductor]],
    keep_loops: bool = False,
) -> Reach:
    """Follow the closed branches from the sources, breadth first.

    ``legs``: the two ends of everything that draws power between two phases. ``keep_loops``: cut none.
    """
    flood = _Flood(n_bus, elements, closed, sources, legs, keep_loops)
    flood.run()
    return Reach(
        flood.root_of, {row: sorted(at) for row, at in flood.line_phases.items()}, flood.windings,
        flood.taps_centred, flood.cut, flood.away, sorted(flood.clash), flood.by_legs, flood.in_series,
        sorted(flood.closing),
    )  # fmt: skip
