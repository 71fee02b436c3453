"""Registered environments cut into agents, by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gymnasium.vector import AutoresetMode

from .agent_dicts import AgentDicts
from .agents import Cut
from .core.action_spaces import Continuous
from .parallel import ParallelVec
from .registration import create_vector, registered
from .suites import ENTRIES
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
    discrete: int | None = None,
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
        observe: "own" (what stands at the agent), "zone" (also voltages and loadings of its neighbourhood),
            "global" (everything), or buses by name of the agent.
        zones: neighbourhoods by electrical distance, how many at most; or buses by name of the zone.
        discrete: levels of each action column; an action is then the number of a joint action of the agent,
            and infos have ``action_mask``. None: numbers in [-1, 1].
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
    return ParallelVec(made, Cut(agents, reward, observe, zones, discrete))


def parallel_env(
    env_id: str,
    *,
    agents: str | Mapping[str, Sequence[str]] = "resource",
    reward: str | float = "own",
    observe: str | Mapping[str, Sequence[str]] = "zone",
    zones: int | Mapping[str, Sequence[str]] | None = None,
    discrete: int | None = None,
    render_mode: str | None = None,
    max_cycles: int | None = None,
    **options: Any,
) -> Any:
    """A ``pettingzoo.ParallelEnv``: a registered environment cut into agents, by name.

    It is the batched form with one environment, row by row: every number is the same.

    Args:
        env_id: as that of :func:`parallel_vec`.
        agents: who decides what; see there.
        reward: who is paid for what; see there.
        observe: who sees what; see there.
        zones: neighbourhoods; see there.
        discrete: levels of each action column, or None; see there.
        render_mode: "rgb_array", "human" or None.
        max_cycles: episodes are cut there; None: where the task's end.
        options: arguments of the environment: ``split``, ``observation``, ``normalise`` ...

    Raises:
        ImportError: without PettingZoo.
        ValueError: as :func:`parallel_vec`, and for an unknown render mode.
    """
    vec = parallel_vec(
        env_id, 1, agents=agents, reward=reward, observe=observe, zones=zones, discrete=discrete,
        autoreset_mode=AutoresetMode.DISABLED, threads=1, max_episode_steps=max_cycles, **options,
    )  # fmt: skip
    return _parallel_class()(vec, full_id(env_id), render_mode)


def aec_env(env_id: str, **options: Any) -> Any:
    """The ``pettingzoo.AECEnv`` of :func:`parallel_env`, whose arguments it takes: agents act in turn.

    The interval is played when the last agent has acted.
    """
    from pettingzoo.utils.conversions import parallel_to_aec

    return parallel_to_aec(parallel_env(env_id, **options))


@lru_cache(maxsize=1)
def _parallel_class() -> type[AgentDicts]:
    """The class of :func:`parallel_env`, made when it is asked for: PettingZoo is optional."""
    from pettingzoo import ParallelEnv

    class DistGridParallelEnv(AgentDicts, ParallelEnv):
        """`AgentDicts` as PettingZoo knows it."""

        @property
        def unwrapped(self) -> Any:
            """Itself."""
            return self

    return DistGridParallelEnv


def register_agents() -> None:
    """Register all ids with PettingZoo's own registry, both as "parallel" and "aec", where it has one.

    Importing distgrid does it where PettingZoo was imported before. Doing it again changes nothing.

    Raises:
        ImportError: without PettingZoo.
    """
    import pettingzoo

    if not hasattr(pettingzoo, "register"):
        return
    for entry in ENTRIES:
        for kind, known, make in (
            ("parallel", pettingzoo.parallel_registry, "parallel_env"),
            ("aec", pettingzoo.aec_registry, "aec_env"),
        ):
            if entry.id not in known:
                pettingzoo.register(
                    kind, entry.id, f"distgrid.envs.many_agents:{make}", kwargs={"env_id": entry.id}
                )


def full_id(env_id: str) -> str:
    """An id with its namespace; ValueError for one that there is not."""
    return registered(env_id if "/" in env_id else f"{NAMESPACE}/{env_id}").id
