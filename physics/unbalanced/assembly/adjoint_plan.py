"""The tree of a per-phase feeder by blocks, for its adjoint: nodes with their conductors, parents first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel_tables import (
    FLOATING,
    PAIR,
    SCALED,
    SINGLE,
    SUSCEPTANCE,
    TAP,
    TAP_LEG,
    TRIPLE,
    WIRE,
    FloatArray,
    IntArray,
)
from ..kernels.adjoint_blocks import (
    BLOCK_WIDTH,
    COEF,
    DENSE,
    DENSE_NUMBERS,
    FIRST,
    FLOATS,
    KIND,
    LINK,
    N_STEP,
    PARENT,
    PICKED,
    ROOT,
    SHUNT,
    SIMPLE,
    STEP,
    STEP_WIDTH,
    TAPPED,
    A,
    B,
    D,
    N,
)
from ..kernels.adjoint_tables import AdjointTree
from ..kernels.branch_flows import CHARGING_WIDTH, FlowTable
from .build_program import SweepLayout
from .forest import Conductor, Placed, SourceTerminal
from .node_loads import NodeLoads

_PICKS = (WIRE, SINGLE, PAIR, TRIPLE)


class _Numbering:
    """Blocks and conductors: sources, then nodes, each after what feeds it."""

    def __init__(self, n_bus: int, layout: SweepLayout, sources: Sequence[SourceTerminal]) -> None:
        self.feeds: dict[int, list[Placed]] = {}
        for one in layout.placed:
            self.feeds.setdefault(one.child[0][0], []).append(one)
        self.phases: dict[int, list[int]] = {}
        for node, phase in layout.conductor:
            self.phases.setdefault(node, []).append(phase)
        self.parent = {
            node: sorted({n for one in feeds for n, _ in one.parent}) for node, feeds in self.feeds.items()
        }
        self.alone = all(len(parents) == 1 for parents in self.parent.values())
        behind: dict[int, list[int]] = {}
        for node, parents in self.parent.items():
            behind.setdefault(parents[0], []).append(node)
        self.order = [n_bus + s for s in range(len(sources))]
        for node in self.order:
            self.order += behind.get(node, [])
        self.row = {node: k for k, node in enumerate(self.order)}
        self.conductor: dict[Conductor, int] = {}
        for node in self.order:
            for phase in sorted(self.phases[node]):
                self.conductor[node, phase] = len(self.conductor)

    def place(self, at: Conductor) -> int:
        """Place of a conductor in its block."""
        return sorted(self.phases[at[0]]).index(at[1])


def adjoint_tree(
    n_bus: int, n_branch: int, layout: SweepLayout, flows: FlowTable, sources: Sequence[SourceTerminal],
    node_loads: NodeLoads, ends: tuple[IntArray, IntArray],
) -> AdjointTree | None:  # fmt: skip
    """The tables; None where a node is fed from two others, or taps stand beside coupled conductors.

    ``ends``: (n_branch,) node rows of both ends of the branches.
    """
    names = _Numbering(n_bus, layout, sources)
    if not names.alone:
        return None
    blocks = np.full((len(names.order), BLOCK_WIDTH), -1, dtype=np.int64)
    numbers: list[float] = []
    steps: list[list[int]] = []
    taps: list[tuple[int, int, float]] = []
    entry_of: dict[int, int] = {}
    for k, node in enumerate(names.order):
        phases = sorted(names.phases[node])
        row = blocks[k]
        row[FIRST], row[N], row[FLOATS] = names.conductor[node, phases[0]], len(phases), 0
        row[KIND] = ROOT
        if node >= n_bus:
            continue
        row[PARENT] = names.row[names.parent[node][0]]
        feeds = names.feeds[node]
        kinds = {one.segment.kind for one in feeds}
        if kinds & {TAP, TAP_LEG}:
            if not kinds <= set(SIMPLE):
                return None
            row[KIND], row[STEP], row[N_STEP] = TAPPED, len(steps), len(feeds)
            for one in feeds:
                steps.append(_step(one, k, names, numbers, taps, entry_of))
        elif kinds <= set(_PICKS):
            row[KIND], row[COEF] = PICKED, _picked(row, feeds, names, numbers)
        else:
            if FLOATING in kinds and (len(feeds) > 1 or len(feeds[0].child) != len(phases)):
                return None
            row[KIND], row[COEF], row[FLOATS] = DENSE, _dense(feeds, names, numbers), int(FLOATING in kinds)
        shunt = layout.node_shunt[node][np.ix_(phases, phases)]
        if shunt.any():
            row[SHUNT] = len(numbers)
            numbers += _pairs(shunt)
    place = [
        (names.row[node], names.place((node, phase)), 3 * node + phase if node < n_bus else -1)
        for node, phase in names.conductor
    ]
    lists = node_loads.placed(names.conductor)
    slots = np.array([slot for _, _, slot in place], dtype=np.int64)
    constant = np.where(slots >= 0, node_loads.constant[:, slots], 0.0)
    root = [(names.conductor[n_bus + s, p], s, p) for s, source in enumerate(sources) for p in source.phases]
    line, end, end_value = _ends(layout.placed, names, n_branch, entry_of)
    charge, charge_value = _charging(flows, names, n_branch)
    at = [names.conductor.get((int(node), phase), -1) for side in ends for node in side for phase in range(3)]
    shared = {row[0] for row in [*end, *charge]}
    wire = [(c, at[up], up, down) for c, up, down in line if shared.isdisjoint((up, down))]
    alone = {e for row in wire for e in row[2:]}
    mixed = [(e, c) for e, c in enumerate(at) if c >= 0 and e not in alone]
    return AdjointTree(
        blocks, _table(steps, STEP_WIDTH), np.array([*numbers, 0.0]), _table(place, 3), constant, lists.item,
        int(lists.n_item[1]), lists.item_coef, lists.cap, lists.cap_b, _table([t[:2] for t in taps], 2),
        np.array([t[2] for t in taps], dtype=np.float64), _table(root, 3), _table(wire, 4),
        _table([row for row in line if row[1] not in alone], 3), _table(end, 3), _floats(end_value),
        _table(charge, 2), _floats(charge_value), _table(mixed, 2), 3 * n_branch,
        np.array([names.conductor[sources[s].node, p] for _, s, p in root], dtype=np.int64),
    )  # fmt: skip


def _table(rows: Sequence[Sequence[int]], width: int) -> IntArray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def _floats(values: list[complex]) -> FloatArray:
    return np.array(values, dtype=np.complex128).view(np.float64).reshape(-1, 2)


def _pairs(matrix: NDArray[Any]) -> list[float]:
    return list(np.ascontiguousarray(matrix, dtype=np.complex128).view(np.float64).ravel().tolist())


def _step(
    one: Placed, block: int, names: _Numbering, numbers: list[float], taps: list[tuple[int, int, float]],
    entry_of: dict[int, int],
) -> list[int]:  # fmt: skip
    """A segment of a tapped block."""
    segment = one.segment
    entry = other = reference = -1
    if segment.tap is not None and segment.kind in (TAP, TAP_LEG):
        entry = len(taps)
        taps.append((segment.tap.regulator, int(segment.tap.child_is_from), segment.tap.factor))
        entry_of[id(one)] = entry
    if segment.kind == TAP_LEG:
        other, reference = names.place(one.parent[1]), names.place(one.reference[0])
    a = complex(segment.a[0, 0]) if segment.kind == SCALED else 1.0
    at = len(numbers)
    numbers += _pairs(np.array([a, segment.b[0, 0]]))
    child, parent = names.place(one.child[0]), names.place(one.parent[0])
    return [segment.kind, child, parent, other, reference, entry, at, block]


def _picked(row: IntArray, feeds: list[Placed], names: _Numbering, numbers: list[float]) -> int:
    """Links to the parent's conductors into ``row``; place of B."""
    n = int(row[N])
    b = np.zeros((n, n), dtype=np.complex128)
    for one in feeds:
        child = [names.place(at) for at in one.child]
        for k, at in zip(child, one.parent, strict=True):
            row[LINK + k] = names.place(at)
        b[np.ix_(child, child)] = one.segment.b
    numbers += _pairs(b)
    return len(numbers) - 2 * n * n


def _dense(feeds: list[Placed], names: _Numbering, numbers: list[float]) -> int:
    """Place of A, B and D, (3, 3) each."""
    blocks = np.zeros((3, 3, 3), dtype=np.complex128)
    order = {A: 0, B: 1, D: 2}
    for one in feeds:
        child, parent = ([names.place(at) for at in ends] for ends in (one.child, one.parent))
        d = np.conj(one.segment.a) if one.segment.kind == SCALED else one.segment.d
        blocks[order[A]][np.ix_(child, parent)] = one.segment.a
        blocks[order[B]][np.ix_(child, child)] = one.segment.b
        blocks[order[D]][np.ix_(parent, child)] = d
    numbers += _pairs(blocks)
    return len(numbers) - DENSE_NUMBERS


def _ends(
    placed: Sequence[Placed], names: _Numbering, n_branch: int, entry_of: dict[int, int]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]], list[complex]]:
    """Which currents of segments flow into which ends of branches: through wires, then by coefficients."""
    lines: list[tuple[int, int, int]] = []
    rows: list[tuple[int, int, int]] = []
    values: list[complex] = []
    for one in placed:
        if one.branch < 0:
            continue
        segment, entry = one.segment, entry_of.get(id(one), -1)
        sides = int(one.child_is_to), int(not one.child_is_to)
        down, up = (3 * (n_branch * side + one.branch) for side in sides)
        for k, at in enumerate(one.child):
            c = names.conductor[at]
            if segment.kind in _PICKS:
                lines.append((c, up + one.parent[k][1], down + at[1]))
                continue
            rows.append((down + at[1], c, -1))
            values.append(-1.0)
            for _, phase in one.reference:
                rows.append((down + phase, c, -1))
                values.append(1.0)
            for j, (_, phase) in enumerate(one.parent):
                value = _into_parent(one, j, k)
                if value != 0:
                    rows.append((up + phase, c, entry))
                    values.append(value)
    return lines, rows, values


def _into_parent(one: Placed, j: int, k: int) -> complex:
    """What the j-th conductor of the parent takes of the k-th current, but for a tap's ratio."""
    if one.segment.kind == TAP_LEG:
        return (1.0, -1.0)[j]
    if one.segment.kind == TAP:
        return 1.0
    return complex(np.conj(one.segment.a[0, 0]) if one.segment.kind == SCALED else one.segment.d[j, k])


def _charging(
    flows: FlowTable, names: _Numbering, n_branch: int
) -> tuple[list[tuple[int, int]], list[complex]]:
    """Which voltages drive which currents into ends of branches."""
    rows: list[tuple[int, int]] = []
    values: list[complex] = []
    for side, branch, node, kind, block, n, *places in flows.charging.reshape(-1, CHARGING_WIDTH).tolist():
        for i in range(n):
            for j in range(n):
                c = names.conductor.get((node // 3, places[j]), -1)
                if kind == SUSCEPTANCE:
                    y = 1j * flows.admittance[block + n * i + j]
                else:
                    o = block + 2 * (n * i + j)
                    y = complex(flows.admittance[o], flows.admittance[o + 1])
                if c >= 0 and y != 0:
                    rows.append((3 * n_branch * side + branch + places[i], c))
                    values.append(y)
    return rows, values
