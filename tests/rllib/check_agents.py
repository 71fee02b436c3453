"""Many agents in RLlib's new API stack: collected by `make rllib` alone, which has a Gymnasium of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

from distgrid.envs import parallel_env

NAME = "DERDispatch-33bw-v0"


def make(_config: Any) -> ParallelPettingZooEnv:
    return ParallelPettingZooEnv(parallel_env(NAME, split="train", normalise=True))


def kind(agent: Any, *_args: Any, **_more: Any) -> str:
    """One policy for all agents of a kind."""
    return str(agent).rpartition("_")[0]


def test_ppo_trains_a_policy_for_each_kind_of_agent() -> None:
    """Row 102: as docs/marl_rllib.md has it: two days of play, one update, returns of every agent."""
    register_env("agents", make)
    agents = make({}).possible_agents
    kinds = sorted({kind(agent) for agent in agents})
    config = (
        PPOConfig()
        .environment("agents")
        .env_runners(num_env_runners=0)
        .multi_agent(policies=set(kinds), policy_mapping_fn=kind)
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={k: RLModuleSpec() for k in kinds}))
        .training(train_batch_size_per_learner=192, minibatch_size=64, num_epochs=1)
    )
    ray.init(address="local", include_dashboard=False, num_cpus=1)
    try:
        sampled = config.build_algo().train()["env_runners"]
    finally:
        ray.shutdown()
    assert sampled["num_env_steps_sampled_lifetime"] == 192
    assert set(sampled["agent_episode_returns_mean"]) == set(agents)
    assert np.isfinite(list(sampled["agent_episode_returns_mean"].values())).all()
