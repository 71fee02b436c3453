"""From segments in place to the flat arrays of the kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernel_tables import (
    ADMITTANCE,
    CHILD,
    ENTRY,
    FIRST,
    FLOATING,
    GENERAL,
    KIND,
    N_CHILD,
    N_CONDUCTOR,
    N_PARENT,
    NO_SHUNT,
    NODE,
    NODE_WIDTH,
    OFFSET,
    PARENT,
    REFERENCE,
    SEGMENT_WIDTH,
    SHUNT,
    SHUNT_KIND,
    SUSCEPTANCE,
    TAP,
    TRIPLE,
    FloatArray,
    IntArray,
    SweepPlan,
    pack,
)
from .elements import Element
from .forest import BoolArray, Conductor, Forest, Placed, SourceTerminal
from .node_loads import NodeLoads
from .segments import Matrix, sub_block
from .start_profile import NoLoadNetwork, reactions, start_profile


class SweepLayout(NamedTuple):
    """A program and what belongs to its numbering."""

    plan: SweepPlan
    conductor: dict[Conductor, int]
    placed: list[Placed]
    node_shunt: NDArray[np.complex128]  # (n_bus, 3, 3) pu, banks that switch not included
    floating: BoolArray  # (n_bus, 3) phases of zones whose potential only shunts fix
    ungrounded: list[list[Conductor]]  # what feeds zones without any shunt: its mean voltage is zero


class _Numbers:
    """Coefficients as they are laid down."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, numbers: list[complex]) -> int:
        start = len(self.values)
        for z in numbers:
            self.values += [z.real, z.imag]
        return start

    def add_real(self, numbers: list[float]) -> int:
        start = len(self.values)
        self.values += numbers
        return start


def build(
    n_bus: int,
    elements: list[Element],
    sources: list[SourceTerminal],
    forest: Forest,
    shunt: NDArray[np.complex128],
    node_loads: NodeLoads,
    phasor: NDArray[np.complex128],
    bank_on: FloatArray,
    base_mva: float,
) -> SweepLayout:
    """Lay out the network: ``shunt`` (n_bus, 3, 3) what stands at nodes beside the branches, ``phasor``
    (n_source, 3) EMF, ``bank_on`` (n_capacitor,) 0 or 1.
    """
    conductor: dict[Conductor, int] = {}
    root = []
    count = 0  # after three phases a number is left out: a row reads and writes them as four
    for s, source in enumerate(sources):
        for phase in source.phases:
            conductor[n_bus + s, phase] = count
            root.append((count, s, phase))
            count += 1
        count += len(source.phases) == 3
    live = {at for placed in forest.placed for at in placed.child}
    for placed in forest.placed:
        node = placed.child[0][0]
        phases = [p for p in range(3) if (node, p) in live and (node, p) not in conductor]
        for phase in phases:
            conductor[node, phase] = count
            count += 1
        count += len(phases) == 3
    node_shunt = _shunts(elements, forest, shunt)
    coef = _Numbers()
    floating = np.zeros((n_bus, 3), dtype=bool)
    taps: list[tuple[int, int, float]] = []
    moves: dict[int, complex] = {}
    bare: list[list[Conductor]] = []
    rows = np.full((len(forest.placed), SEGMENT_WIDTH), -1, dtype=np.int64)
    for k, placed in enumerate(forest.placed):
        _segment(rows[k], placed, conductor, coef, taps)
        if placed.segment.kind == FLOATING:
            zone, admittance = _zone(forest.placed, k, node_shunt)
            for at in zone:
                floating[at] = True
            if admittance == 0:  # nothing defines the potential: its mean stays zero
                rows[k, KIND] = GENERAL
                bare.append(list(placed.child))
            else:
                coef.add([1.0 / admittance])
                moves[k] = 1.0 / admittance
    nodes = _nodes(forest.placed, conductor, rows, node_shunt, n_bus, coef)
    slot = np.full(count, -1, dtype=np.int64)
    for (node, phase), number in conductor.items():
        slot[number] = 3 * node + phase if node < n_bus else -1
    lists = node_loads.placed(conductor)
    constant = np.zeros((2, slot.size))
    inside = slot >= 0
    constant[:, inside] = node_loads.constant[:, slot[inside]]
    emf = {number: complex(phasor[s, phase]) for number, s, phase in root}
    start = start_profile(
        NoLoadNetwork(count, conductor, forest.placed, emf, moves, node_shunt, node_loads, bank_on, base_mva)
    )
    no_load = start[:count] + 1j * start[count : 2 * count]
    reaction = reactions(conductor, forest.placed, no_load, lists.cap)
    firsts = {conductor[node, p]: None for node, p in np.argwhere(floating)}
    ungrounded = np.array([j for j, row in enumerate(nodes) if row[FIRST] in firsts], dtype=np.int64)
    plan = pack(
        segment=rows, node=nodes, slot=slot, cap=lists.cap,
        tap=np.array([t[:2] for t in taps], dtype=np.int64).reshape(-1, 2),
        zone=_zones(forest.placed, conductor, rows, count), item=lists.item,
        root=np.array(root, dtype=np.int64).reshape(-1, 3),
        bar_wye=np.flatnonzero(~node_loads.present | floating),
        bar_leg=np.flatnonzero(~node_loads.leg_present),
        coef=np.array(coef.values), constant=constant, cap_b=lists.cap_b,
        tap_factor=np.array([t[2] for t in taps], dtype=np.float64), item_coef=lists.item_coef,
        n_wye_item=int(lists.n_item[0]), n_nominal_item=int(lists.n_item[1]),
        start=start, reaction=reaction, ungrounded=ungrounded,
        n_slot=3 * n_bus,
    )  # fmt: skip
    return SweepLayout(plan, conductor, forest.placed, node_shunt, floating, bare)


def _columns(block: FloatArray) -> list[float]:
    """A real block column by column, each of four numbers: zeros below."""
    padded = np.zeros((block.shape[1], 4))
    padded[:, : block.shape[0]] = block.T
    return [float(x) for x in padded.ravel()]


def _segment(
    row: IntArray,
    placed: Placed,
    conductor: dict[Conductor, int],
    coef: _Numbers,
    taps: list[tuple[int, int, float]],
) -> None:
    """One row of ``SweepPlan.segment``; a floating one's last coefficient is added by the caller, next."""
    segment = placed.segment
    row[KIND], row[N_CHILD], row[N_PARENT] = segment.kind, len(placed.child), len(placed.parent)
    if segment.kind == TRIPLE:
        row[OFFSET] = coef.add_real(_columns(segment.b.real) + _columns(segment.b.imag))
    else:
        row[OFFSET] = coef.add(segment.coefficients())
    row[CHILD : CHILD + len(placed.child)] = [conductor[at] for at in placed.child]
    row[PARENT : PARENT + len(placed.parent)] = [conductor[at] for at in placed.parent]
    if segment.tap is not None:
        row[ENTRY] = len(taps)
        if placed.reference:
            row[REFERENCE] = conductor[placed.reference[0]]
        taps.append((segment.tap.regulator, int(segment.tap.child_is_from), segment.tap.factor))


def _shunts(elements: list[Element], forest: Forest, shunt: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """(n_bus, 3, 3) all admittance blocks of the branches that carry current, and ``shunt``."""
    total = shunt.copy()
    directions = {placed.branch: placed.child_is_to for placed in forest.placed if placed.branch >= 0}
    for row, child_is_to in directions.items():
        element = elements[row]
        total[element.from_node] += element.y_from
        total[element.to_node] += element.y_to
        if row in forest.shunts:
            total[element.from_node if child_is_to else element.to_node] += forest.shunts[row]
    return total


def _nodes(
    placed: list[Placed],
    conductor: dict[Conductor, int],
    rows: IntArray,
    node_shunt: NDArray[np.complex128],
    n_bus: int,
    coef: _Numbers,
) -> IntArray:
    """The node table; ``rows`` learn after which segment a node is complete."""
    last: dict[int, int] = {}
    for k, one in enumerate(placed):
        last[one.child[0][0]] = k
    table = np.zeros((len(last), NODE_WIDTH), dtype=np.int64)
    for j, (node, k) in enumerate(sorted(last.items(), key=lambda pair: pair[1])):
        assert node < n_bus
        phases = [p for p in range(3) if (node, p) in conductor]
        rows[k, NODE] = j
        table[j, N_CONDUCTOR], table[j, FIRST] = len(phases), conductor[node, phases[0]]
        block = sub_block(node_shunt[node], phases)
        table[j, SHUNT_KIND], table[j, SHUNT] = NO_SHUNT, 0
        if block.real.any():
            table[j, SHUNT_KIND] = ADMITTANCE
            table[j, SHUNT] = coef.add([complex(y) for y in block.ravel()])
        elif block.imag.any():
            table[j, SHUNT_KIND] = SUSCEPTANCE
            table[j, SHUNT] = coef.add_real(_columns(block.imag))
    return table


def _zones(
    placed: list[Placed], conductor: dict[Conductor, int], rows: IntArray, count: int
) -> tuple[IntArray, IntArray]:
    """1 + the tap entry that each conductor is behind, 0: none; the same for what feeds each tap entry."""
    zone = np.zeros(count, dtype=np.int64)
    before = []
    for one, row in zip(placed, rows, strict=True):
        at = zone[conductor[one.reference[0] if one.reference else one.parent[0]]]
        if row[ENTRY] >= 0:
            before.append(at)
        here = row[ENTRY] + 1 if row[KIND] == TAP else at
        for k, child in enumerate(one.child):
            mine = here if len(one.parent) != len(one.child) else zone[conductor[one.parent[k]]]
            zone[conductor[child]] = here if row[KIND] == TAP or one.reference else mine
    return zone, np.array(before, dtype=np.int64)


def _zone(
    placed: list[Placed], start: int, node_shunt: NDArray[np.complex128]
) -> tuple[list[Conductor], complex]:
    """Conductors that rise with the mean voltage of a floating winding, and the current that this draws."""
    volts: dict[Conductor, complex] = dict.fromkeys(placed[start].child, 1.0 + 0j)
    passed = []
    for one in placed[start + 1 :]:
        if not all(at in volts for at in one.needs()):
            continue
        rise = one.segment.a @ np.array([volts[at] for at in one.parent])
        if one.reference:
            rise = rise + volts[one.reference[0]]
        if abs(rise).max() < 1e-9:
            continue
        volts.update(zip(one.child, rise, strict=True))
        passed.append(one)
    current: dict[Conductor, complex] = dict.fromkeys(volts, 0j)
    for node in {at[0] for at in volts}:
        phases = [p for p in range(3) if (node, p) in volts]
        block: Matrix = node_shunt[node][np.ix_(phases, phases)]
        shunt_current = block @ np.array([volts[node, p] for p in phases])
        for p, i in zip(phases, shunt_current, strict=True):
            current[node, p] += i
    for one in reversed(passed):
        into = np.array([current[at] for at in one.child])
        for at, i in zip(one.parent, one.segment.d @ into, strict=True):
            current[at] += i
        for at in one.reference:
            current[at] += into[0]
    return list(volts), complex(sum(current[at] for at in placed[start].child))
