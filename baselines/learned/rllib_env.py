"""The environment of RLlib's workers: an id of Gymnasium that takes a configuration as plain data.

RLlib names environments by id, and a worker may be on another machine. Naming the id with this module before
it, as in ``distgrid.baselines.learned.rllib_env:DistGridOptions-v0``, imports the module there, which
registers it; ``env_config={"options": ...}`` is the mapping of `envs.options_to_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from ...envs import DistGridEnv, DistGridVectorEnv, make_env, make_vector_env, options_from_dict

ID = "DistGridOptions-v0"


def create(options: Mapping[str, Any], **_: Any) -> DistGridEnv:
    """One environment."""
    return make_env(options_from_dict(options))


def create_vector(options: Mapping[str, Any], num_envs: int, **_: Any) -> DistGridVectorEnv:
    """So many, advanced together; on one thread, as a machine has a worker for each of its cores."""
    return make_vector_env(
        options_from_dict(options), num_envs, threads=1, autoreset_mode=AutoresetMode.NEXT_STEP
    )


if ID not in gym.registry:
    gym.register(ID, entry_point=f"{__name__}:create", vector_entry_point=f"{__name__}:create_vector")
