"""Registered environments cut into agents, by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.vector import AutoresetMode

from .agents import Cut
from .core.action_spaces import Continuous
from .parallel import ParallelVec
from .registration import create_vector, registered
from .suites.entry import NAMESPACE
from .vector import GridVectorEnv


def parallel_vec(
    env_id: str,
    num_envs: int = 1,
    *,
    agents: str | Mapping[str, Sequence[str]] = "resource",
    reward: str | float = "own",
    observe: str | Mapping[str, Sequence[str]] = "zone",
    zones: int | Mapping[str, Sequence[str]] | None = None,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    **options: Any,
) -> ParallelVec:
    """``num_envs`` registered environments, each cut into the same agents: the batched form.

    Args:
        env_id: "DERDispatch-33bw-v0", with or without "distgrid/".
        num_envs: how many.
        agents: "resource" (one for each device: "battery_0"), "bus", "zone", or devices by name of the agent.
        reward: "own" (what its own units bring, and an equal part of what is nobody's own), "team" (the
            reward of the environment), or a share from 0 to 1 (its own, and so much of what is nobody's own).
        observe: "own" (what stands at the agent), "zone" (also what is measured in its neighbourhood),
            "global" (everything), or buses by name of the agent.
        zones: neighbourhoods by electrical distance, how many at most; or buses by name of the zone.
        autoreset_mode: as that of the vector environment.
        options: arguments of the vector environment: ``split``, ``threads``, ``normalise`` ...

    Raises:
        ValueError: an unknown id, neighbourhood or reward; no device with an action; a mapping that lets
            agents share a device or leaves one out.
    """
    made: Any = create_vector(
        full_id(env_id), num_envs, autoreset_mode=autoreset_mode, **{"action_space": Continuous(), **options}
    )
    assert isinstance(made, GridVectorEnv)
    return ParallelVec(made, Cut(agents, reward, observe, zones))


def full_id(env_id: str) -> str:
    """An id with its namespace; ValueError for one that there is not."""
    return registered(env_id if "/" in env_id else f"{NAMESPACE}/{env_id}").id
