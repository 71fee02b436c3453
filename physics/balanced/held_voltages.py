"""Nodes whose voltage a generator holds by its reactive power, within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from .tree import FloatArray, IntArray

if TYPE_CHECKING:
    from ...cases.model.feeder import Feeder
    from .network import Network


class Held(NamedTuple):
    """The held nodes that a source reaches; (n,) each."""

    at: IntArray  # position in the tree
    row: IntArray  # row of ``Network.held_node``
    v: FloatArray  # pu
    q_min: FloatArray  # injected, pu
    q_max: FloatArray


_NO_ROW, _NO_NUMBER = np.empty(0, dtype=np.int64), np.empty(0)
NO_HELD = Held(_NO_ROW, _NO_ROW, _NO_NUMBER, _NO_NUMBER, _NO_NUMBER)


def held_of(net: Network, position: IntArray) -> Held | None:
    """Held nodes by position, -1 where no source comes; None where none is left.

    Without limits where the network does not enforce them.
    """
    row = np.flatnonzero(position >= 0)
    if not row.size:
        return None
    low, high = net.held_q_min_mvar[row] / net.base_mva, net.held_q_max_mvar[row] / net.base_mva
    if not net.enforce_q_limits:
        low, high = np.full(row.size, -np.inf), np.full(row.size, np.inf)
    return Held(position[row], row, net.held_v_pu[row], low, high)


class HeldColumns(TypedDict):
    """The fields ``held_...`` of a Network."""

    held_node: IntArray
    held_v_pu: FloatArray
    held_q_min_mvar: FloatArray
    held_q_max_mvar: FloatArray


def held_columns(feeder: Feeder) -> HeldColumns:
    """Generators that hold their voltage; those of one node together."""
    column = feeder.column
    v_set = column("loads", "v_set_pu")
    rows = np.flatnonzero(np.isfinite(v_set))
    ids = column("loads", "node_id")
    node = np.array([feeder.node_index[str(ids[k])] for k in rows], dtype=np.int64)
    nodes, first, of = np.unique(node, return_index=True, return_inverse=True)
    limits = []
    for name, none in (("q_min_mvar", -np.inf), ("q_max_mvar", np.inf)):
        given = column("loads", name)[rows]
        total = np.zeros(nodes.size)
        np.add.at(total, of.reshape(-1), np.where(np.isnan(given), none, given))
        limits.append(total)
    return {
        "held_node": nodes.astype(np.int64), "held_v_pu": v_set[rows][first].astype(np.float64),
        "held_q_min_mvar": limits[0], "held_q_max_mvar": limits[1],
    }  # fmt: skip
