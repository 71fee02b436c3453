"""Neighbourhoods of a feeder: zones that electrical distance cuts out of its tree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...cases.graph import breadth_first_forest
from ...cases.model.topology import closed_branches

if TYPE_CHECKING:
    from ...cases import Feeder

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class ElectricalTree:
    """The spanning forest of a feeder's closed branches, with the impedance of each step towards the source.

    Attributes:
        parent: (n_nodes,) row of the next node towards the source; -1 at a root.
        z_pu: (n_nodes,) magnitude of the series impedance (positive sequence) of the branch to it; 0 there.
        order: (n_nodes,) rows, every node behind its parent.
    """

    def __init__(self, feeder: Feeder) -> None:
        closed, ends = closed_branches(feeder)
        rows = feeder.node_index
        roots = [rows[node] for node in feeder.column("sources", "node_id")]
        parent, via, depth = breadth_first_forest(feeder.n_nodes, ends, roots)
        r, x = (np.nan_to_num(feeder.column("branches", c).astype(np.float64)) for c in ("r", "x"))
        self.parent: IntArray = np.array(parent, dtype=np.int64)
        step = np.array(via, dtype=np.int64)
        self.z_pu: FloatArray = np.where(step >= 0, np.hypot(r, x)[closed[step]] if closed.size else 0.0, 0.0)
        self.order: IntArray = np.argsort(np.array(depth), kind="stable")

    def distance_pu(self, node: int) -> FloatArray:
        """(n_nodes,) electrical distance of every node from one, along the tree; inf off it."""
        out = np.full(self.parent.size, np.inf)
        out[node] = total = 0.0
        at = node
        while self.parent[at] >= 0:
            total += float(self.z_pu[at])
            at = int(self.parent[at])
            out[at] = total
        for k in self.order.tolist():
            above = self.parent[k]
            if above >= 0 and math.isinf(out[k]):
                out[k] = out[above] + self.z_pu[k]
        return out

    def zones(self, count: int, most_nodes: int | None = None) -> IntArray:
        """(n_nodes,) number of each node's zone: at most ``count`` connected zones of the least diameter.

        The diameter of a zone is the largest electrical distance between two of its nodes. For a given
        diameter the cuts from the leaves upwards are the fewest that there can be; the diameter is found by
        bisection. No zone has more than ``most_nodes`` (None: no bound), which is doubled until the tree
        allows it. There is one zone for each dead island at least. Zones are numbered from the source.
        """
        most = float(self.z_pu.sum()) + 1.0
        room = self.parent.size if most_nodes is None else most_nodes
        while room < self.parent.size and int(self._cuts(most, room).sum()) > count:
            room *= 2
        least, cuts = -1e-12, self._cuts(most, room)
        for _ in range(60):
            middle = 0.5 * (least + most)
            tried = self._cuts(middle, room)
            if int(tried.sum()) <= count:
                most, cuts = middle, tried
            else:
                least = middle
        label = np.zeros(self.parent.size, dtype=np.int64)
        begun = 0
        for k in self.order.tolist():
            if cuts[k]:
                label[k], begun = begun, begun + 1
            else:
                label[k] = label[self.parent[k]]
        return label

    def _cuts(self, diameter: float, most_nodes: int) -> NDArray[np.bool_]:
        """Nodes that are the heads of zones no wider than ``diameter`` and no larger than ``most_nodes``.

        From the leaves up: what hangs farthest is cut off while the zone is too wide, which makes the fewest
        zones; then what is largest while it has too many nodes.
        """
        heads = self.parent < 0
        below: list[list[tuple[float, int, int]]] = [
            [] for _ in range(self.parent.size)
        ]  # depth, nodes, head
        parent, z = self.parent.tolist(), self.z_pu.tolist()
        for k in reversed(self.order.tolist()):
            hanging = sorted(below[k])
            while hanging and hanging[-1][0] + (hanging[-2][0] if len(hanging) > 1 else 0.0) > diameter:
                heads[hanging.pop()[2]] = True
            nodes = 1 + sum(each[1] for each in hanging)
            while nodes > most_nodes:
                largest = max(range(len(hanging)), key=lambda at: (hanging[at][1], hanging[at][2]))
                _, fewer, head = hanging.pop(largest)
                heads[head], nodes = True, nodes - fewer
            if parent[k] >= 0:
                below[parent[k]].append(((hanging[-1][0] if hanging else 0.0) + z[k], nodes, k))
        return heads


def zones_of(feeder: Feeder, zones: int | Mapping[str, Sequence[str]] | None) -> tuple[str, ...]:
    """The zone of every node, in the order of ``feeder.nodes``.

    Args:
        feeder: its closed branches are the tree.
        zones: how many at most, "zone_0" at the source; None: the square root of the number of nodes. None
            has more than half as many nodes again as they have on average, where the tree allows it. Or buses
            by name of the zone.

    Raises:
        ValueError: a bus that there is not, that is in two zones or in none.
    """
    if isinstance(zones, Mapping):
        return _given(feeder, zones)
    if zones is not None and (isinstance(zones, bool) or not isinstance(zones, int) or zones < 1):
        raise ValueError(f"zones must be a whole number of at least 1, or buses by zone, got {zones!r}")
    count = round(math.sqrt(feeder.n_nodes)) if zones is None else zones
    most = math.ceil(1.5 * feeder.n_nodes / count)
    return tuple(f"zone_{k}" for k in ElectricalTree(feeder).zones(count, most).tolist())


def _given(feeder: Feeder, zones: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    rows, found = feeder.node_index, [""] * feeder.n_nodes
    for zone, buses in zones.items():
        for bus in buses:
            if str(bus) not in rows:
                raise ValueError(f"zone {zone!r} names bus {bus!r}, which feeder {feeder.name!r} has not")
            if found[rows[str(bus)]]:
                raise ValueError(f"bus {bus!r} is in two zones: {found[rows[str(bus)]]!r} and {zone!r}")
            found[rows[str(bus)]] = str(zone)
    if "" in found:
        missing = [bus for bus, row in rows.items() if not found[row]]
        raise ValueError(f"zones leave out bus {missing[0]!r} and {len(missing) - 1} more: give each bus one")
    return tuple(found)
