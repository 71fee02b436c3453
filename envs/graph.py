"""A single environment whose flat observations are shown as graphs."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import GraphInstance
from numpy.typing import NDArray

from .core.graph_layout import GraphLayout
from .core.ladder import GRAPH

FloatArray = NDArray[np.float32]


class GraphObservation(gymnasium.ObservationWrapper[GraphInstance, Any, Any]):
    """A single environment whose observations are graphs; see `GraphLayout`, which it has as ``layout``.

    ``observation="graph"`` shows the level "global" so; this wrapper shows any level, "oracle" among them.

    Of a vector environment, ``GraphLayout(envs)`` makes ``nodes(observations)`` and ``edges(observations)``,
    batch first, with ``edge_links`` in common: Gymnasium does not batch graphs into arrays.

    Args:
        env: the environment, wrapped or not, with its own flat observations.

    Raises:
        TypeError: it is no distgrid environment.
        ValueError: another wrapper has changed its observations.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        bare: Any = env.unwrapped
        if not hasattr(bare, "layout") or not hasattr(bare, "feeder"):
            raise TypeError(f"GraphObservation is for distgrid environments, got {type(bare).__name__}")
        if bare.layout.level == GRAPH:
            raise ValueError("this environment shows graphs already: its observation= is 'graph'")
        if env.observation_space != bare.observation_space:
            raise ValueError("GraphObservation needs the flat observation: put it below other wrappers")
        self.layout = GraphLayout(bare)
        self.observation_space = self.layout.space

    def observation(self, observation: FloatArray) -> GraphInstance:
        """The graph that holds the same numbers."""
        return self.layout.graph(observation)
