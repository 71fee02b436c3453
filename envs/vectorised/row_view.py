"""One environment of a vector environment, to look at: what ``call`` and ``get_attr`` ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.codecs import ActionCodec
from ..core.planning import PlannedScenario
from .shards import Shards

#: What is asked of a single environment and known here for each row; the others are those of the vector.
OWN = (
    "day", "step_index", "np_random", "np_random_seed", "neutral_action", "observation_space", "action_space",
    "unwrapped", "obs", "reset", "scenario", "action_masks",
)  # fmt: skip
_MISSING = object()


class VectorFace(Protocol):
    """What a view reads of the vector environment that it looks into."""

    num_envs: int
    single_observation_space: Any
    single_action_space: Any

    @property
    def shards(self) -> Shards:
        """The grids, with their rows."""

    @property
    def np_random(self) -> Sequence[np.random.Generator]:
        """One generator for each environment."""

    @property
    def np_random_seed(self) -> Sequence[int]:
        """One seed for each environment."""

    @property
    def neutral_action(self) -> Any:
        """One for each environment, in the code of the action space."""

    @property
    def codec(self) -> ActionCodec:
        """Of the actions of all environments."""

    def action_masks(self) -> NDArray[np.bool_]:
        """Which codes can be followed next, (num_envs, codes)."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Begin episodes."""


class RowView:
    """Row ``index`` of a vector environment under the names of a single one; nothing can be set."""

    __slots__ = ("_env", "_index")

    def __init__(self, env: VectorFace, index: int) -> None:
        object.__setattr__(self, "_env", env)
        object.__setattr__(self, "_index", index)

    def __getattr__(self, name: str) -> Any:
        value = _MISSING if name.startswith("_") else getattr(self._env, name, _MISSING)
        if value is _MISSING or callable(value):  # what steps or closes the vector is not one environment's
            raise AttributeError(
                f"an environment of a vector has no {name!r}; it has {', '.join(OWN)} and what all have in "
                "common, such as task, split, days, feeder, layout, units"
            )
        return value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{name!r} of an environment of a vector cannot be set: reset(options=...) chooses days, "
            "reset(seed=...) the generators, and what all have in common is given when the vector is made"
        )

    @property
    def day(self) -> int:
        """Day of the data, counted from 0."""
        return int(self._at("day"))

    @property
    def step_index(self) -> int:
        """Steps taken in this episode."""
        return int(self._at("step_index"))

    @property
    def scenario(self) -> PlannedScenario:
        """What is played, and what comes, of this environment."""
        return PlannedScenario(
            lambda _row: self._env.shards.at(self._index), self._env.codec, self._env._scenario
        )

    def _at(self, name: str) -> Any:
        grid, row = self._env.shards.at(self._index)
        return getattr(grid, name)[row]

    @property
    def np_random(self) -> np.random.Generator:
        """The generator of this environment; IndexError before the first reset."""
        return self._env.np_random[self._index]

    @property
    def np_random_seed(self) -> int:
        """The seed of its generator; IndexError before the first reset."""
        return self._env.np_random_seed[self._index]

    @property
    def neutral_action(self) -> Any:
        """The action that leaves every resource alone."""
        return self._env.codec.one(self._env.neutral_action)

    @property
    def observation_space(self) -> Any:
        """The space of one environment."""
        return self._env.single_observation_space

    @property
    def action_space(self) -> Any:
        """The space of one environment."""
        return self._env.single_action_space

    @property
    def unwrapped(self) -> RowView:
        """Itself: there are no wrappers."""
        return self

    def obs(self) -> NDArray[np.float32]:
        """The current observation, (n_obs,) float32, a fresh array."""
        grid, row = self._env.shards.at(self._index)
        own: NDArray[np.float32] = self._env._form.many(grid.observe()[row].copy())
        return own

    def action_masks(self) -> NDArray[np.bool_]:
        """Which codes can be followed next, flat; see ``DistGridEnv.action_masks``."""
        return self._env.action_masks()[self._index]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Begin an episode here and nowhere else; returns what a single environment returns."""
        env, index = self._env, self._index
        mask = np.zeros(env.num_envs, dtype=np.bool_)
        mask[index] = True
        seeds = None if seed is None else [seed if i == index else None for i in range(env.num_envs)]
        _, infos = env.reset(seed=seeds, options={**(options or {}), "reset_mask": mask})
        return self.obs(), row_of(infos, index)


def row_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """The info of one environment out of those of all."""
    out: dict[str, Any] = {}
    for key, value in infos.items():
        if f"_{key}" in infos and infos[f"_{key}"][index]:
            here = row_of(value, index) if isinstance(value, dict) else value[index]
            out[key] = here.item() if isinstance(here, np.generic) else here
    return out


class RowDoors:
    """``call``, ``get_attr`` and ``set_attr`` of a vector environment, as Gymnasium's own have them."""

    num_envs: int

    def rows(self, indices: Sequence[int] | None = None) -> list[RowView]:
        """One view for each environment, or for those of ``indices``."""
        chosen = range(self.num_envs) if indices is None else indices
        return [RowView(self, int(index)) for index in chosen]  # type: ignore[arg-type]

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What ``name`` is, or gives when called, in each environment; AttributeError for unknown names."""
        found = [getattr(row, name) for row in self.rows()]
        return tuple(f(*args, **kwargs) if callable(f) else f for f in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """The attribute of each environment; AttributeError names those that there are."""
        return tuple(getattr(row, name) for row in self.rows())

    def set_attr(self, name: str, values: Any) -> None:
        """Nothing of an environment of a vector can be set: AttributeError says what to do instead."""
        setattr(self.rows([0])[0], name, values)
