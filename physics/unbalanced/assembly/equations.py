"""Kirchhoff's laws of a per-phase feeder as one sparse system, whatever its connections.

Unknowns are the voltages of all conductors (phases of nodes) and the currents of all series elements: of each
phase of a line, of each winding pair, of each phase of a source (modified nodal analysis; Ho, Ruehli and
Brennan, IEEE Trans. Circuits Syst. 22(6), 1975). An element without impedance needs no special case, nor does
a feeder that is no tree. One equation stands for each conductor,

    currents that leave it through elements + Y V + currents of loads = 0,

and one for each series element: ``V_from - V_to - Z i = 0`` of a line, ``v_to - rho v_from + rho^2 zeta i
= 0`` of a winding pair with ``i`` out of its to end, ``V + Z i = EMF`` of a source. `newton` solves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernel_tables import CONSTANT, ITEM_COEFS, FloatArray, IntArray
from .elements import Element, add_across
from .end_currents import Currents
from .factorisation import Factor, factor_pattern
from .forest import Conductor, SourceTerminal
from .node_loads import LEGS, NodeLoads
from .segments import Matrix, Terminals, Winding

SHARE_LEFT = 1e-9  # pu: what fixes the potential of a zone whose only shunts are banks that may be off


class Equations(NamedTuple):
    """What the kernel of `newton` reads.

    ``size``: unknowns, voltages among them, items between phase and ground, items with a nominal power, 1
    where the sign of the determinant tells the operable branch, phases that a source feeds.
    ``pivot`` (2, n): place of every equation and of every unknown in the factors; ``start, column, diagonal``
    pattern of the factors, row by row. ``entry`` (., 3): equation, unknown, place in the factors of every
    coefficient, ``value`` (., 2) re, im. ``tap`` (., 3): entry, row of the regulators table, power of its
    ratio that multiplies the entry. ``cap`` (., 2): entry, row of the capacitors table, ``cap_b`` the
    susceptance that it adds. ``item`` (., 4): conductor, other conductor or -1, slot, 1 where it takes
    injections; ``item_place`` (., 4) in the factors, ``item_coef`` as in `SweepPlan`. ``emf`` (., 2):
    equation, column of the sources' voltages. ``seen`` (., 2): conductor and its slot, those that are fed
    first. ``ends`` (., 4): column of a current that is a result, unknown, row of the regulators table or -1,
    its power, ``ends_value`` (., 2).
    """

    size: IntArray
    pivot: IntArray
    start: IntArray
    column: IntArray
    diagonal: IntArray
    entry: IntArray
    value: FloatArray
    tap: IntArray
    cap: IntArray
    cap_b: FloatArray
    item: IntArray
    item_place: IntArray
    item_coef: FloatArray
    emf: IntArray
    seen: IntArray
    ends: IntArray
    ends_value: FloatArray


@dataclass(frozen=True, eq=False)
class Wires:
    """A line, switch or source impedance: conductors at both ends (-1: dead), impedance in pu."""

    row: int  # of its branch; -1: a source
    phases: tuple[int, ...]
    start: list[int]
    end: list[int]
    z: Matrix


@dataclass(frozen=True, eq=False)
class BankStamp:
    """Winding pairs of a branch that carry current."""

    element: Element
    windings: list[Winding]


@dataclass(frozen=True, eq=False)
class Stamp:
    """An admittance block between conductors; ``branch, side``: whose charging it is, for its flows."""

    at: list[int]  # -1: dead, taken as grounded
    y: Matrix
    branch: int = -1
    side: int = 0
    phases: tuple[int, ...] = ()


@dataclass(eq=False)
class Parts:
    """A feeder in one switch state, as far as its equations need it."""

    conductor: dict[Conductor, int]  # (node, phase) of every conductor with a voltage, told or not
    energised: set[Conductor]  # those that a source feeds; the others take the potential that these induce
    size: int  # conductors, also those that belong to no node
    sources: list[tuple[SourceTerminal, list[int]]]
    wires: list[Wires] = field(default_factory=list)
    banks: list[BankStamp] = field(default_factory=list)
    centre_taps: list[Element] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)
    ungrounded: list[list[int]] = field(
        default_factory=list
    )  # zones whose mean voltage is zero by convention
    adrift: list[int] = field(default_factory=list)  # conductors held by `SHARE_LEFT`
    in_series: bool = False  # whether some conductor is fed through windings or loads in series alone


class _Coefficients:
    """Entries of the system as they are laid down."""

    def __init__(self) -> None:
        self.at: list[tuple[int, int]] = []
        self.value: list[complex] = []
        self.tap: list[tuple[int, int, int]] = []
        self.cap: list[tuple[int, int]] = []
        self.cap_b: list[float] = []

    def add(self, equation: int, unknown: int, value: complex, regulator: int = -1, power: int = 0) -> None:
        if equation < 0 or unknown < 0:
            return
        if regulator >= 0 and power != 0:
            self.tap.append((len(self.at), regulator, power))
        self.at.append((equation, unknown))
        self.value.append(complex(value))

    def add_bank(self, equation: int, unknown: int, b: float, row: int) -> None:
        self.cap.append((len(self.at), row))
        self.cap_b.append(b)
        self.at.append((equation, unknown))
        self.value.append(0j)


def write_equations(
    parts: Parts, node_loads: NodeLoads, flows: Currents, tap: FloatArray, bank_on: FloatArray
) -> Equations:
    """The system of ``parts``; ``tap, bank_on`` as stored: the pivots are chosen there.

    ``flows`` learns how the currents that it tells follow from the unknowns.

    Raises:
        ValueError: the elements do not fix every voltage and current.
    """
    own = _Coefficients()
    count, emf = _write_sources(parts.sources, own, flows, parts.size)
    for wires in parts.wires:
        count = _write_wires(wires, own, flows, count)
    count = _write_shared(parts.wires, own, flows, count)
    for bank in parts.banks:
        count = _write_bank(bank, parts.conductor, own, flows, count)
    for element in parts.centre_taps:
        _write_centre_tap(element, parts.conductor, own, flows)
    for stamp in parts.stamps:
        _write_stamp(stamp, own, flows)
    count = _write_zones(parts, own, count)
    _write_banks(node_loads, parts.conductor, own)
    item, item_coef, n_item = _items(parts, node_loads)
    pattern, nominal = _nominal(own, item, item_coef, node_loads, tap, bank_on)
    factor = factor_pattern(count, pattern, nominal)
    entry = np.array([(r, c, factor.place(r, c)) for r, c in own.at], dtype=np.int64).reshape(-1, 3)
    place = [_item_place(factor, int(a), int(b)) for a, b in item[:, :2]]
    fed = [at for at in parts.conductor if at in parts.energised]
    others = [at for at in parts.conductor if at not in parts.energised]
    seen = [(parts.conductor[at], 3 * at[0] + at[1]) for at in (*fed, *others)]
    size = np.array([count, parts.size, *n_item, int(not parts.in_series), len(fed)], dtype=np.int64)
    return Equations(
        size, factor.pivot, factor.start, factor.column,
        factor.diagonal, entry, _pairs(own.value), _table(own.tap, 3), _table(own.cap, 2),
        np.array(own.cap_b, dtype=np.float64), item, _table(place, 4), item_coef, _table(emf, 2),
        _table(seen, 2), _table(flows.rows, 4), _pairs(flows.value),
    )  # fmt: skip


def _table(rows: Sequence[tuple[int, ...]], width: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _pairs(values: list[complex]) -> FloatArray:
    return np.array(values, dtype=np.complex128).view(np.float64).reshape(-1, 2)


def _write_sources(
    sources: list[tuple[SourceTerminal, list[int]]], own: _Coefficients, flows: Currents, count: int
) -> tuple[int, list[tuple[int, int]]]:
    """``V + Z i = EMF``; also equation and column of every EMF."""
    emf: list[tuple[int, int]] = []
    for s, (source, at) in enumerate(sources):
        for k, phase in enumerate(source.phases):
            own.add(at[k], count + k, -1.0)
            own.add(count + k, at[k], 1.0)
            for j in range(len(source.phases)):
                own.add(count + k, count + j, source.z[k, j])
            emf.append((count + k, 3 * s + phase))
            flows.add_source(s, phase, count + k)
        count += len(source.phases)
    return count, emf


def _write_zones(parts: Parts, own: _Coefficients, count: int) -> int:
    """Zones without ground: their mean voltage is zero, which takes a current that comes out as zero."""
    for zone in parts.ungrounded:
        for at in zone:
            own.add(at, count, 1.0 / len(zone))
            own.add(count, at, 1.0)
        count += 1
    for at in parts.adrift:
        own.add(at, at, SHARE_LEFT)
    return count


def _write_wires(wires: Wires, own: _Coefficients, flows: Currents, count: int) -> int:
    """``V_from - V_to - Z i = 0``; phases without impedance that stand beside another are left for later."""
    if _ideal(wires):
        return count
    for k, phase in enumerate(wires.phases):
        i = count + k
        own.add(wires.start[k], i, 1.0)
        own.add(wires.end[k], i, -1.0)
        own.add(i, wires.start[k], 1.0)
        own.add(i, wires.end[k], -1.0)
        for j in range(len(wires.phases)):
            own.add(i, count + j, -wires.z[k, j])
        flows.add(wires.row, 0, phase, i, 1.0)
        flows.add(wires.row, 1, phase, i, -1.0)
    return count + len(wires.phases)


def _ideal(wires: Wires) -> bool:
    return not wires.z.any()


def _write_shared(all_wires: list[Wires], own: _Coefficients, flows: Currents, count: int) -> int:
    """Closed switches without impedance; those beside each other share their current equally."""
    same: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for wires in all_wires:
        if not _ideal(wires):
            continue
        for k, phase in enumerate(wires.phases):
            a, b = wires.start[k], wires.end[k]
            same.setdefault((min(a, b), max(a, b)), []).append((wires.row, phase, 1 if a < b else -1))
    for (a, b), group in same.items():
        own.add(a, count, float(len(group)))
        own.add(b, count, -float(len(group)))
        own.add(count, a, 1.0)
        own.add(count, b, -1.0)
        for row, phase, sign in group:
            flows.add(row, 0, phase, count, sign)
            flows.add(row, 1, phase, count, -sign)
        count += 1
    return count


def _write_bank(
    bank: BankStamp, conductor: dict[Conductor, int], own: _Coefficients, flows: Currents, count: int
) -> int:
    element = bank.element
    for winding in bank.windings:
        i, rho, moves = count, winding.rho, winding.regulator
        own.add(i, i, rho**2 * winding.zeta, moves, 2)
        for phase, sign in winding.end:
            at = conductor[element.to_node, phase]
            own.add(at, i, -sign)
            own.add(i, at, sign)
            flows.add(element.row, 1, phase, i, -sign, winding=winding)
        for phase, sign in winding.start:
            at = conductor[element.from_node, phase]
            own.add(at, i, sign * rho, moves, 1)
            own.add(i, at, -sign * rho, moves, 1)
            flows.add(element.row, 0, phase, i, sign * rho, moves, 1, winding)
        count += 1
    for side, y, regulator in element.magnetising:
        if all((element.to_node, phase) in conductor for phase, _ in side):
            _write_magnetising(element, side, y, regulator, conductor, own, flows)
    return count


def _write_magnetising(
    element: Element, side: Terminals, y: complex, regulator: int, conductor: dict[Conductor, int],
    own: _Coefficients, flows: Currents,
) -> None:  # fmt: skip
    block = np.zeros((3, 3), dtype=np.complex128)
    add_across(block, side, y)
    for phase, _ in side:
        for other, _ in side:
            at, seen = conductor[element.to_node, phase], conductor[element.to_node, other]
            own.add(at, seen, block[phase, other], regulator, -2)
            flows.add(element.row, 1, phase, seen, block[phase, other], regulator, -2)


def _write_centre_tap(
    element: Element, conductor: dict[Conductor, int], own: _Coefficients, flows: Currents
) -> None:
    assert element.centre_tap is not None
    ends = [(0, element.from_node, p) for p in element.high] + [(1, element.to_node, p) for p in (0, 1)]
    at = [conductor[node, phase] for _, node, phase in ends]
    for k, (side, _, phase) in enumerate(ends):
        for j, seen in enumerate(at):
            own.add(at[k], seen, element.centre_tap[k, j])
            flows.add(element.row, side, phase, seen, element.centre_tap[k, j])


def _write_stamp(stamp: Stamp, own: _Coefficients, flows: Currents) -> None:
    for k, j in np.argwhere(stamp.y != 0):
        own.add(stamp.at[k], stamp.at[j], stamp.y[k, j])
        if stamp.branch >= 0:
            flows.add(stamp.branch, stamp.side, stamp.phases[k], stamp.at[j], stamp.y[k, j])


def _write_banks(node_loads: NodeLoads, conductor: dict[Conductor, int], own: _Coefficients) -> None:
    for bank in node_loads.banks:
        places = LEGS[bank.place] if bank.delta else (bank.place,)
        at = [conductor.get((bank.node, place), -1) for place in places]
        if min(at) < 0:
            continue
        for k, a in enumerate(at):
            for j, b in enumerate(at):
                own.add_bank(a, b, bank.b_pu if k == j else -bank.b_pu, bank.row)


def _items(parts: Parts, node_loads: NodeLoads) -> tuple[IntArray, FloatArray, list[int]]:
    """Everything that can draw power: constant power to ground first, then as `NodeLoads` lists the rest."""
    energised = {at: k for at, k in parts.conductor.items() if at in parts.energised}
    lists = node_loads.placed(energised)
    rows, coefs = [], []
    for (node, phase), k in energised.items():
        slot = 3 * node + phase
        rows.append((k, -1, slot, 1))
        coef = np.zeros(ITEM_COEFS)
        coef[:2] = node_loads.constant[:, slot]
        coef[-2:] = CONSTANT, 1.0
        coefs.append(coef)
    first = len(rows)
    item = np.concatenate([_table(rows, 4), lists.item])
    coef = np.concatenate([np.array(coefs, dtype=np.float64).reshape(-1, ITEM_COEFS), lists.item_coef])
    return item, coef, [first + int(n) for n in lists.n_item[:2]]


def _item_place(factor: Factor, a: int, b: int) -> tuple[int, ...]:
    if b < 0:
        return factor.place(a, a), -1, -1, -1
    return factor.place(a, a), factor.place(a, b), factor.place(b, a), factor.place(b, b)


def _nominal(
    own: _Coefficients, item: IntArray, item_coef: FloatArray, node_loads: NodeLoads, tap: FloatArray,
    bank_on: FloatArray,
) -> tuple[IntArray, NDArray[np.complex128]]:  # fmt: skip
    """Places and coefficients with stored taps and banks, and nominal loads as admittances."""
    value = np.array(own.value, dtype=np.complex128)
    for k, regulator, power in own.tap:
        value[k] *= tap[regulator] ** power
    for (k, row), b in zip(own.cap, own.cap_b, strict=True):
        value[k] += 1j * b * bank_on[row]
    at, more = list(own.at), []
    nominal = {
        False: (node_loads.wye_p_mw.ravel(), node_loads.wye_q_mvar.ravel()),
        True: (node_loads.delta_p_mw.ravel(), node_loads.delta_q_mvar.ravel()),
    }
    base = node_loads.base_mva / 3.0
    for (a, b, slot, _), coef in zip(item.tolist(), item_coef, strict=True):
        p, q = nominal[b >= 0]
        y = complex(p[slot] * coef[0], -q[slot] * coef[1]) / base * coef[-1] ** 2
        ends = [(a, 1.0)] if b < 0 else [(a, 1.0), (b, -1.0)]
        for one, sign in ends:
            for other, other_sign in ends:
                at.append((one, other))
                more.append(sign * other_sign * y)
    return _table(at, 2), np.concatenate([value, np.array(more, dtype=np.complex128)])
