"""Everything about the agents of an environment that does not change: who they are, see, decide and earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..core.ladder import GRAPH
from .credit import share_of
from .partitions import Partition, partition
from .views import Views, neighbourhoods
from .zones import zones_of

if TYPE_CHECKING:
    from ...cases import Feeder
    from ..core.observation_layout import Layout
    from ..resources import Fleet

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
_PRESENT = "ev.plugged_in"


class Face(Protocol):
    """What is read of an environment, single or vector."""

    @property
    def feeder(self) -> Feeder:
        """Its tables."""

    @property
    def fleet(self) -> Fleet:
        """Its devices."""

    @property
    def layout(self) -> Layout:
        """Entries of its flat observation."""


@dataclass(frozen=True)
class Cut:
    """How an environment is cut into agents: what people choose.

    Attributes:
        agents: "resource", "bus", "zone", or devices by name of the agent; see `partition`.
        reward: "own", "team" or a share; see `credit`.
        observe: "own", "zone", "global", or buses by name of the agent; see `neighbourhoods`.
        zones: how many at most, or buses by name of the zone; see `zones_of`.
        discrete: levels of each action column, whose combinations are numbered; None: any number.
    """

    agents: str | Mapping[str, Sequence[str]] = "resource"
    reward: str | float = "own"
    observe: str | Mapping[str, Sequence[str]] = "zone"
    zones: int | Mapping[str, Sequence[str]] | None = None
    discrete: int | None = None


class AgentTable:
    """The agents of an environment as index tables.

    Attributes:
        parts: who decides what.
        zone_of_node: zone of each row of ``feeder.nodes``.
        share: of what is nobody's own; None: every agent gets the whole reward.
        unit_agent: (units,) number of each unit's agent; -1: nobody's.
        observation: (agents, width) columns of the flat observation; -1 where there is none.
        observation_sizes, action_sizes: (agents,) entries of each agent's spaces.
        action: (agents, width) columns of the action vector; -1 where there is none.
        action_agent, action_column: (n_actions,) whose column of the action vector it is; -1: nobody's.
    """

    def __init__(self, face: Face, cut: Cut) -> None:
        if face.layout.level == GRAPH:
            raise ValueError(
                "agents see parts of a flat observation: choose another level than observation='graph'"
            )
        fleet, layout = face.fleet, face.layout
        self.zone_of_node = zones_of(face.feeder, cut.zones)
        self.parts: Partition = partition(cut.agents, fleet.units(), fleet.action_dims, self.zone_of_node)
        self.share = share_of(cut.reward, len(self.parts.agents))
        near = neighbourhoods(cut.observe, self.parts, face.feeder, self.zone_of_node)
        views = Views(self.parts, layout, face.feeder, near)
        self.observation, self.observation_sizes = views.columns, views.sizes
        self.unit_agent = self.parts.agent_of_unit(fleet.n_units)
        self.action_sizes: IntArray = np.array([len(a) for a in self.parts.actions], dtype=np.int64)
        self.action = np.full((len(self.parts.agents), int(self.action_sizes.max())), -1, dtype=np.int64)
        self.action_agent, self.action_column = np.full((2, fleet.n_actions), -1, dtype=np.int64)
        for k, columns in enumerate(self.parts.actions):
            self.action[k, : len(columns)] = columns
            self.action_agent[list(columns)], self.action_column[list(columns)] = k, np.arange(len(columns))
        self.neutral = fleet.neutral_action.astype(np.float32)
        self.box = layout.box()
        self._leavers, self._present = self._who_leaves(layout)
        self._middle = self.box.mean(axis=0)

    @property
    def n_agents(self) -> int:
        """How many."""
        return len(self.parts.agents)

    def observation_spaces(self) -> dict[str, spaces.Box]:
        """The box of each agent; agents of a kind share one object. Holes hold 0."""
        found: dict[str, spaces.Box] = {}
        for kind in dict.fromkeys(self.parts.kinds):
            members = [k for k, other in enumerate(self.parts.kinds) if other == kind]
            columns = self.observation[members, : int(self.observation_sizes[members[0]])]
            some = columns >= 0
            low, high = (np.where(some, bound[np.maximum(columns, 0)], 0.0) for bound in self.box)
            ends = (low.min(axis=0).astype(np.float32), high.max(axis=0).astype(np.float32))
            box = spaces.Box(*ends, dtype=np.float32)
            found |= dict.fromkeys((self.parts.agents[k] for k in members), box)
        return {agent: found[agent] for agent in self.parts.agents}

    def active(self, flat: FloatArray) -> BoolArray:
        """(batch, agents) who has a device present to act on; ``flat`` (batch, n_obs) observations."""
        out = np.ones((flat.shape[0], self.n_agents), dtype=np.bool_)
        if self._leavers.size:
            here = flat[:, self._present] > self._middle[self._present]
            out[:, self._leavers] = here.any(axis=2)
        return out

    def _who_leaves(self, layout: Layout) -> tuple[IntArray, IntArray]:
        """Agents that have nothing but charging stations, and where it is seen whether cars are there.

        (leavers,) and (leavers, most stations); where an agent has fewer, its first one again.
        """
        if _PRESENT not in layout:
            return np.zeros(0, dtype=np.int64), np.zeros((0, 1), dtype=np.int64)
        seen = {e.name.rpartition(".")[0]: e.index for e in layout.describe()[layout[_PRESENT]]}
        only = {
            k: [seen[unit.name] for unit in units]
            for k, units in enumerate(self.parts.units)
            if all(unit.name in seen for unit in units)
        }
        most = max(map(len, only.values()), default=1)
        padded = [[*columns, *columns[:1] * (most - len(columns))] for columns in only.values()]
        return np.array(list(only), dtype=np.int64), np.array(padded, dtype=np.int64).reshape(-1, most)
