"""Uniform random actions from a seed: what an untrained agent does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..policy import Action, AnyEnv, Policy


class Random(Policy):
    """Independent uniform actions; the same seed gives the same bytes in every process.

    Row *i* of a batch draws from its own generator, seeded (`seed + i`, number of resets since `seed`), so
    a row does not depend on how many rows stand beside it, and a loop that resets without seeding sees new
    actions each episode.
    """

    name = "random"
    plays_batches = True
    transient = ("_generators", "_seed", "_resets")

    def __init__(self, env: AnyEnv) -> None:
        """Read the bounds of the actions. RunError when they are not a box."""
        space = env.single_action_space if isinstance(env, gymnasium.vector.VectorEnv) else env.action_space
        if not isinstance(space, gymnasium.spaces.Box):
            raise RunError(f"the random policy draws from a Box of actions, this environment has {space}")
        self._low = np.asarray(space.low, dtype=np.float64)
        self._high = np.asarray(space.high, dtype=np.float64)
        self._generators: list[np.random.Generator] = []
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Restart the stream: the next reset begins with the first actions of `seed` (>= 0)."""
        if seed < 0:
            raise RunError(f"a seed is 0 or more, got {seed}")
        self._seed = int(seed)
        self._resets = 0

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """One generator a row of `obs`."""
        rows = 1 if obs.ndim == 1 else obs.shape[0]
        self._generators = [np.random.default_rng((self._seed + row, self._resets)) for row in range(rows)]
        self._resets += 1

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Draw one action a row."""
        rows = 1 if obs.ndim == 1 else obs.shape[0]
        if rows != len(self._generators):
            raise RunError(
                f"random: reset() saw {len(self._generators)} rows, act() got {rows}; call reset() first"
            )
        drawn = np.stack([rng.uniform(self._low, self._high) for rng in self._generators]).astype(np.float32)
        return drawn[0] if obs.ndim == 1 else drawn
