"""The graph on which agents stand: buses, branches, and how far agents are from each other."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...cases.graph import joins
from ...cases.model.topology import branch_ends
from .zones import ElectricalTree

if TYPE_CHECKING:
    from ...cases import Feeder
    from .table import AgentTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class AgentGraph:
    """Buses and branches of the feeder, and where agents stand on them.

    Attributes:
        buses: ids, in the order of ``feeder.nodes``.
        edge_links: (n_branches, 2) rows of the from and to bus, open branches included.
        z_pu: (n_branches,) magnitude of the series impedance (positive sequence).
        closed: (n_branches,) which branches join their ends.
        zones: zone of each bus.
        agents: names.
        agent_buses: of each agent the rows of its buses.
        agent_zones: of each agent the zones of its buses.
    """

    def __init__(self, feeder: Feeder, table: AgentTable) -> None:
        rows, parts = feeder.node_index, table.parts
        self.buses: tuple[str, ...] = tuple(rows)
        self.edge_links: IntArray = branch_ends(feeder).astype(np.int64)
        r, x = (np.nan_to_num(feeder.column("branches", c).astype(np.float64)) for c in ("r", "x"))
        self.z_pu: FloatArray = np.hypot(r, x)
        self.closed: NDArray[np.bool_] = joins(feeder.branches)
        self.zones = table.zone_of_node
        self.agents = parts.agents
        self.agent_buses: tuple[IntArray, ...] = tuple(
            np.array([rows[bus] for bus in parts.buses(k)], dtype=np.int64) for k in range(len(parts.agents))
        )
        self.agent_zones = parts.zones
        self._tree = ElectricalTree(feeder)

    @functools.cached_property
    def distance_pu(self) -> FloatArray:
        """(agents, agents) least electrical distance between buses of two agents along the tree."""
        here = np.unique(np.concatenate(self.agent_buses))
        place = {int(row): k for k, row in enumerate(here)}
        apart = np.stack([self._tree.distance_pu(int(row))[here] for row in here])
        mine = [[place[int(row)] for row in buses] for buses in self.agent_buses]
        if all(len(own) == 1 for own in mine):
            first = np.array([own[0] for own in mine])
            return np.asarray(apart[np.ix_(first, first)])
        return np.array([[apart[np.ix_(a, b)].min() for b in mine] for a in mine])

    def neighbours(self, agent: str, count: int) -> tuple[str, ...]:
        """The ``count`` agents that are electrically nearest to one, itself left out; the nearest first.

        ValueError for an agent that there is not.
        """
        if agent not in self.agents:
            raise ValueError(f"no agent {agent!r}; there are {', '.join(self.agents[:8])}")
        me = self.agents.index(agent)
        order = [k for k in np.argsort(self.distance_pu[me], kind="stable").tolist() if k != me]
        return tuple(self.agents[k] for k in order[:count])
