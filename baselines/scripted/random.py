"""Uniform random actions from a seed: what an untrained agent does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from ..errors import RunError
from ..policy import Action, AnyEnv, Policy

#: Steps that are drawn at a time, which are those drawn one after the other.
_AHEAD = 32


class Random(Policy):
    """Independent uniform actions; the same seed gives the same bytes in every process.

    Row *i* of a batch draws from its own generator, seeded (`seed + i`, number of resets since `seed`), so
    a row does not depend on how many rows stand beside it, and a loop that resets without seeding sees new
    actions each episode.
    """

    name = "random"
    plays_batches = True
    transient = ("_generators", "_seed", "_resets", "_ahead", "_next")

    def __init__(self, env: AnyEnv) -> None:
        """Read the space of the actions."""
        space = env.single_action_space if isinstance(env, gymnasium.vector.VectorEnv) else env.action_space
        self._space = copy.deepcopy(space)  # discrete ones draw by it, seeded anew for each action
        self._low: NDArray[np.float64] | None = None
        if isinstance(self._space, gymnasium.spaces.Box):
            self._low, self._high = self._space.low.astype(np.float64), self._space.high.astype(np.float64)
        self._generators: list[np.random.Generator] = []
        self._ahead = np.empty((0, _AHEAD, 0), dtype=np.float32)  # (rows, steps, n_action)
        self._next = _AHEAD
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
        self._next = _AHEAD

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Draw one action a row."""
        rows = 1 if obs.ndim == 1 else obs.shape[0]
        if rows != len(self._generators):
            raise RunError(
                f"random: reset() saw {len(self._generators)} rows, act() got {rows}; call reset() first"
            )
        if self._low is not None:
            return self._numbers() if obs.ndim > 1 else self._numbers()[0]
        codes = [self._code(rng) for rng in self._generators]
        if obs.ndim == 1:
            return codes[0]
        room: Any = create_empty_array(self._space, rows)
        return concatenate(self._space, codes, room)

    def _numbers(self) -> NDArray[np.float32]:
        """(rows, n_action) numbers between their bounds."""
        assert self._low is not None
        if self._next == _AHEAD:
            shape = (_AHEAD, *self._low.shape)
            several = [rng.uniform(self._low, self._high, shape) for rng in self._generators]
            self._ahead, self._next = np.stack(several).astype(np.float32), 0
        self._next += 1
        return self._ahead[:, self._next - 1].copy()

    def _code(self, rng: np.random.Generator) -> Action:
        """A code of a discrete space, as the space draws it."""
        self._space.seed(int(rng.integers(2**31)))
        return self._space.sample()
