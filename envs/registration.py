"""Registers the environments of `suites` with Gymnasium, and makes them from their ids."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
from gymnasium.vector import VectorEnv

from .core.options import priced_options
from .suites import ENTRIES, RegisteredEnv
from .tasks.base import unpriced


def register_all() -> None:
    """Register every entry with Gymnasium; doing it again changes nothing."""
    for entry in ENTRIES:
        if entry.id not in gym.registry:
            gym.register(
                id=entry.id,
                entry_point="distgrid.envs.registration:create",
                vector_entry_point="distgrid.envs.registration:create_vector",
                max_episode_steps=entry.episode_steps,
                kwargs={"entry": entry.id},
            )


class _Creator:
    """Makes the single environment of an id; ``metadata`` lets Gymnasium wrap it for other render modes."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": 8}

    def __call__(self, entry: str, **options: Any) -> gym.Env[Any, Any]:
        """``options`` are the arguments of the environment and replace those of the entry."""
        from .dist import DistGridEnv
        from .dist3 import DistGrid3PhaseEnv

        found = registered(entry)
        face = DistGrid3PhaseEnv if found.per_phase else DistGridEnv
        return face(**_arguments(found, options))


#: Entry point of all registered ids: ``create("distgrid/VoltVar-33bw-v0", split="test")``.
create = _Creator()


def create_vector(entry: str, num_envs: int = 1, **options: Any) -> VectorEnv[Any, Any, Any]:
    """Vector entry point of all registered ids; ``options`` are the arguments of the vector environment."""
    from .vector import DistGridVectorEnv
    from .vector3 import DistGrid3PhaseVectorEnv

    found = registered(entry)
    face = DistGrid3PhaseVectorEnv if found.per_phase else DistGridVectorEnv
    return face(num_envs=num_envs, **_arguments(found, options))


def registered(identity: str) -> RegisteredEnv:
    """The entry of an id, version and all; ValueError with the nearest ids for another one."""
    known = {entry.id: entry for entry in ENTRIES}
    if identity not in known:
        near = difflib.get_close_matches(identity, known, n=3, cutoff=0.3)
        raise ValueError(f"no environment {identity!r}; did you mean {' or '.join(near) or 'another'}?")
    return known[identity]


def _arguments(entry: RegisteredEnv, options: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry is made of, as arguments of its environment, with ``options`` in their place."""
    own = entry.arguments()
    if priced_options() & options.keys() or options.get("split") in entry.unpriced_splits:
        own["task"] = unpriced(entry.task)
    if options.get("load") is not None:
        own.pop("load_scale", None)  # it is for the loads of the case
    return own | dict(options)
