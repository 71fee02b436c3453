"""The form in which observations are handed out: flat, or as graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import GraphInstance
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .codecs import batched_box
from .graph_layout import GraphLayout, Observable
from .ladder import GRAPH

FloatArray = NDArray[np.float32]


class FlatForm:
    """One array."""

    def __init__(self, env: Observable) -> None:
        self.space: spaces.Space[Any] = env.layout.space()
        self.row_space: spaces.Space[Any] = self.space

    def batched(self, n: int) -> spaces.Space[Any]:
        """The space of ``n`` environments together."""
        assert isinstance(self.row_space, spaces.Box)
        return batched_box(self.row_space, n)

    def one(self, flat: FloatArray) -> Any:
        """An observation (n_obs,) of a single environment."""
        return flat

    def many(self, flat: FloatArray) -> Any:
        """Observations (n, n_obs) of a vector environment, or (n_obs,) of one of its environments."""
        return flat

    def as_array(self, shown: Any) -> NDArray[Any]:
        """What was handed out as (n_obs,) or (n, n_obs)."""
        return np.asarray(shown)


class GraphForm(FlatForm):
    """Graphs: a `gymnasium.spaces.Graph` of a single environment.

    Gymnasium does not batch graphs, and these all have the same edges: a vector environment has a ``Dict`` of
    ``nodes`` and ``edges``, arrays with the batch first; ``GraphLayout(envs).edge_links`` tells their ends.
    """

    def __init__(self, env: Observable) -> None:
        self.layout = GraphLayout(env)
        self.space = self.layout.space
        n_nodes, n_edges = env.feeder.n_nodes, env.feeder.n_branches
        parts = {
            "nodes": (self.layout.space.node_space, n_nodes),
            "edges": (self.layout.space.edge_space, n_edges),
        }
        self.row_space = spaces.Dict({name: _stacked(space, n) for name, (space, n) in parts.items()})

    def batched(self, n: int) -> spaces.Space[Any]:
        """See `FlatForm`."""
        return batch_space(self.row_space, n)

    def one(self, flat: FloatArray) -> GraphInstance:
        """See `FlatForm`."""
        return self.layout.graph(flat)

    def many(self, flat: FloatArray) -> dict[str, FloatArray]:
        """See `FlatForm`."""
        return {"nodes": self.layout.nodes(flat), "edges": self.layout.edges(flat)}

    def as_array(self, shown: Any) -> NDArray[Any]:
        """See `FlatForm`."""
        if isinstance(shown, Mapping):
            return self.layout.as_array(shown["nodes"], shown["edges"])
        return self.layout.as_array(shown.nodes, shown.edges)


def form_of(env: Observable) -> FlatForm:
    """The form that belongs to the level of an environment."""
    return GraphForm(env) if env.layout.level == GRAPH else FlatForm(env)


def batch_of(shown: Any) -> int | None:
    """How many environments an observation is of; None: it is that of a single one, without a batch."""
    if isinstance(shown, GraphInstance):
        return None
    array, alone = (shown["nodes"], 2) if isinstance(shown, Mapping) else (shown, 1)
    return None if array.ndim == alone else int(array.shape[0])


def _stacked(space: Any, n: int) -> spaces.Box:
    """The box of ``n`` nodes or edges."""
    return spaces.Box(np.tile(space.low, (n, 1)), np.tile(space.high, (n, 1)), dtype=np.float32)
