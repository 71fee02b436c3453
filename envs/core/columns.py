"""What the columns of a grid's arrays stand for: nodes and branches, or the phases that they have.

A balanced feeder has one column per node and per branch. A per-phase feeder has one per phase that exists,
node by node in the order A, B, C: what does not exist has no column and enters no mean, limit or observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.phases import places
from ...physics.unbalanced.assembly.node_loads import leg_of, phases_present

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
LEG_NAMES = ("AB", "BC", "CA")


@dataclass(frozen=True)
class Points:
    """Where loads stand: nodes of a balanced feeder; phases and legs with loads of a per-phase one.

    Load row ``row[k]`` puts ``share[k]`` of its power at point ``point[k]``.
    """

    names: tuple[str, ...]
    slot: IntArray  # (n,) node row; per phase: 3 * node row + phase, legs after all of these
    row: IntArray
    point: IntArray
    share: FloatArray
    phased: bool  # whether points are phases and legs


def per_phase(feeder: Feeder) -> bool:
    """Whether the feeder's tables name phases."""
    return str(feeder.phases) == "per-phase"


def letters(feeder: Feeder, node: int) -> tuple[str, ...]:
    """Names of the three places of a node's phases: split-phase legs stand at A and B."""
    split = set(str(feeder.column("nodes", "phase")[node])) & {"1", "2"}
    return ("1", "2", "") if split else ("A", "B", "C")


def node_phases(feeder: Feeder) -> IntArray:
    """(n, 2) node row and place of every phase that exists, in the order of the columns."""
    return np.argwhere(phases_present(feeder)).astype(np.int64)


def branch_phases(feeder: Feeder) -> IntArray:
    """(n, 2) branch row and place of every phase of every branch at its from end."""
    phases = feeder.column("branches", "phase")
    listed = [(row, p) for row, phase in enumerate(phases) for p in sorted(places(str(phase)))]
    return np.array(listed, dtype=np.int64).reshape(-1, 2)


def three_phase_nodes(feeder: Feeder) -> IntArray:
    """Rows of the nodes that have three phases."""
    return np.flatnonzero(phases_present(feeder).all(axis=1)).astype(np.int64)


def load_points(feeder: Feeder) -> Points:
    """The points of a feeder's loads table."""
    rows = [feeder.node_index[str(node)] for node in feeder.column("loads", "node_id")]
    if not per_phase(feeder):
        ids = tuple(str(n) for n in feeder.column("nodes", "node_id"))
        at = np.array(rows, dtype=np.int64)
        return Points(ids, np.arange(len(ids)), np.arange(at.size), at, np.ones(at.size), False)
    entries = []
    kinds, phases = feeder.column("loads", "connection"), feeder.column("loads", "phase")
    for row, (node, kind, phase) in enumerate(zip(rows, kinds, phases, strict=True)):
        delta = kind == "delta"
        at_places: Sequence[int] = leg_of(str(phase)) if delta else places(str(phase))
        first = 3 * node + (3 * feeder.n_nodes if delta else 0)
        entries += [(row, first + place, 1.0 / len(at_places)) for place in at_places]
    slots = sorted({slot for _, slot, _ in entries}, key=lambda s: (s % (3 * feeder.n_nodes) // 3, s))
    number = {slot: k for k, slot in enumerate(slots)}
    return Points(
        tuple(slot_name(feeder, slot) for slot in slots), np.array(slots, dtype=np.int64),
        np.array([row for row, _, _ in entries], dtype=np.int64),
        np.array([number[slot] for _, slot, _ in entries], dtype=np.int64),
        np.array([share for _, _, share in entries]), True,
    )  # fmt: skip


def slot_name(feeder: Feeder, slot: int) -> str:
    """Name of a slot: node.phase or node.leg."""
    leg, rest = divmod(int(slot), 3 * feeder.n_nodes)
    node, place = divmod(rest, 3)
    name, own = feeder.column("nodes", "node_id")[node], letters(feeder, node)
    if not leg:
        return f"{name}.{own[place]}"
    return f"{name}.{LEG_NAMES[place] if own[0] == 'A' else '12'}"


def sizes(feeder: Feeder) -> dict[str, int]:
    """Columns per quantity: node, load, branch, unbalance."""
    if not per_phase(feeder):
        return {"node": feeder.n_nodes, "load": feeder.n_nodes, "branch": feeder.n_branches, "unbalance": 0}
    return {
        "node": len(node_phases(feeder)),
        "load": len(load_points(feeder).names),
        "branch": len(branch_phases(feeder)),
        "unbalance": len(three_phase_nodes(feeder)),
    }
