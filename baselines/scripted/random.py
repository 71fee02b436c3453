"""Uniform random actions from a seed: what an untrained agent does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ...envs.core.shown import batch_of
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, n_rows

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
    transient = ("_generators", "_seed", "_resets", "_drawn", "_next")

    def __init__(self, env: AnyEnv) -> None:
        """Read the bounds of the actions. RunError for a space that is none of an environment's."""
        space = env.single_action_space if isinstance(env, gymnasium.vector.VectorEnv) else env.action_space
        self._space = space
        self._low, self._high = _bounds(space)
        self._generators: list[np.random.Generator] = []
        self._drawn = np.empty((0, _AHEAD, self._low.size))  # (rows, steps, numbers of an action)
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
        rows = n_rows(obs)
        self._generators = [np.random.default_rng((self._seed + row, self._resets)) for row in range(rows)]
        self._resets += 1
        self._next = _AHEAD

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """Draw one action a row."""
        rows = n_rows(obs)
        if rows != len(self._generators):
            raise RunError(
                f"random: reset() saw {len(self._generators)} rows, act() got {rows}; call reset() first"
            )
        if self._next == _AHEAD:
            shape = (_AHEAD, *self._low.shape)
            several = [rng.uniform(self._low, self._high, shape) for rng in self._generators]
            self._drawn, self._next = np.stack(several), 0
        drawn = self._drawn[0] if batch_of(obs) is None else self._drawn.swapaxes(0, 1)
        action = _action(self._space, drawn[self._next])
        self._next += 1
        return action


def _bounds(space: spaces.Space[Any]) -> tuple[FloatArray, FloatArray]:
    """Between what the numbers of an action are drawn; whole ones are what is drawn, rounded down."""
    if isinstance(space, spaces.Box):
        return np.asarray(space.low, dtype=np.float64), np.asarray(space.high, dtype=np.float64)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        counts = np.atleast_1d(space.n if isinstance(space, spaces.Discrete) else space.nvec)
        return np.zeros(counts.size), counts.astype(np.float64)
    if isinstance(space, spaces.Dict):
        low, high = zip(*(_bounds(part) for part in space.values()), strict=True)
        return np.concatenate(low), np.concatenate(high)
    raise RunError(f"the random policy draws floats and codes of levels, this environment has {space}")


def _action(space: spaces.Space[Any], drawn: FloatArray) -> Action:
    """The actions (..., of one) that were drawn as numbers (..., numbers of an action)."""
    if isinstance(space, spaces.Box):
        return drawn.astype(np.float32)
    if isinstance(space, spaces.Dict):
        found, first = {}, 0
        for name, part in space.items():
            width = _bounds(part)[0].size
            found[name] = _action(part, drawn[..., first : first + width])
            first += width
        return found
    whole = np.minimum(drawn, np.nextafter(_bounds(space)[1], 0.0)).astype(np.int64)
    return whole[..., 0] if isinstance(space, spaces.Discrete) else whole
