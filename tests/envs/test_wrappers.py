"""A vector of rewards for mo-gymnasium, a cost beside the reward for safe reinforcement learning."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    Battery,
    CostWrapper,
    DistGridEnv,
    DistGridVectorEnv,
    MOWrapper,
    VectorCostWrapper,
    VoltVar,
)

from .test_failure_price import surge
from .test_own_tasks import Own
from .world import FEEDER, flat_load

IDENTITY = "distgrid/VoltVar3-ieee13-v0"


def test_the_vector_reward_adds_up_to_the_scalar_one() -> None:
    """Objective by objective the terms of the info, inside the declared bounds, in float32."""
    env, plain = MOWrapper(gym.make(IDENTITY)), gym.make(IDENTITY)
    assert env.reward_names == (
        "loss", "voltage", "wear", "unbalance", "switching", "unserved", "power_flow_failure"
    )  # fmt: skip
    assert env.reward_dim == 7 == env.reward_space.shape[0]
    assert np.isfinite(env.reward_space.low).all()
    env.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape)
        _, vector, _, _, info = env.step(action)
        _, scalar, *_ = plain.step(action)
        assert isinstance(vector, np.ndarray)
        assert vector.dtype == np.float32
        assert env.reward_space.contains(vector)
        assert float(vector.astype(np.float64).sum()) == pytest.approx(scalar, rel=1e-6)
        assert vector.tolist() == [np.float32(info["rewards"][name]) for name in env.reward_names]


def test_wrappers_of_mo_gymnasium_work_on_it() -> None:
    """Its linear scalarisation with weights of 1 is the reward; its statistics record vector returns."""
    from mo_gymnasium.wrappers.wrappers import LinearReward, MORecordEpisodeStatistics

    short = DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8)], VoltVar(episode=Duration(hours=1.25)))
    env = MORecordEpisodeStatistics(MOWrapper(short), gamma=0.9)
    linear, plain = LinearReward(copy.deepcopy(env)), copy.deepcopy(env.unwrapped)
    for one in (env, linear, plain):
        one.reset(seed=3)
    total, discounted, info = np.zeros(5), np.zeros(5), {}
    for step in range(5):
        action = np.array([0.5])
        _, vector, _, truncated, info = env.step(action)
        _, weighted, *_ = linear.step(action)
        _, scalar, *_ = plain.step(action)
        assert weighted == pytest.approx(scalar, rel=1e-6)
        total, discounted = total + vector, discounted + 0.9**step * vector
    assert truncated
    np.testing.assert_allclose(info["episode"]["r"], total, rtol=1e-5)
    np.testing.assert_allclose(info["episode"]["dr"], discounted, rtol=1e-5)
    halved = LinearReward(MOWrapper(copy.deepcopy(plain)), weight=np.full(5, 0.5))
    halved.reset(seed=3)
    plain.reset(seed=3)
    _, scalar, *_ = plain.step([0.5])
    assert halved.step([0.5])[1] == pytest.approx(0.5 * float(scalar), rel=1e-6)


def test_a_failed_power_flow_is_an_objective() -> None:
    env = MOWrapper(DistGridEnv(FEEDER, task=VoltVar(failure_price=340.0), load=surge(1)))
    env.reset(seed=0)
    env.step([])
    _, vector, terminated, _, _ = env.step([])
    assert terminated
    assert vector.tolist() == [0.0, 0.0, 0.0, 0.0, -340.0]
    assert env.reward_space.contains(vector)
    bound = MOWrapper(DistGridEnv(FEEDER, task=VoltVar(), load=surge(1)))
    bound.reset(seed=0)
    bound.step([])
    assert bound.reward_space.contains(bound.step([])[1])


def test_terms_of_ones_own_are_objectives_without_bounds() -> None:
    """Their names are known before the first reset."""
    env = MOWrapper(DistGridEnv(FEEDER, task=Own(of=lambda view: {"a": -view.p_loss_mw, "b": 0.25})))
    assert env.reward_names == ("a", "b", "unserved", "power_flow_failure")
    assert env.reward_space.low[:2].tolist() == [-np.inf] * 2
    env.reset(seed=0)
    _, vector, _, _, info = env.step([])
    assert vector[:2].tolist() == [np.float32(-info["p_loss_MW"]), 0.25]


def test_what_has_no_terms_is_refused() -> None:
    many = DistGridVectorEnv(FEEDER, num_envs=2)
    for env in (gym.make("CartPole-v1"), many):
        with pytest.raises(TypeError, match="MOWrapper takes a single environment of distgrid"):
            MOWrapper(env)  # type: ignore[arg-type]


def test_the_cost_comes_after_the_reward() -> None:
    """Six values, single and vector, those of the five and of the info."""
    one, plain = CostWrapper(gym.make(IDENTITY)), gym.make(IDENTITY)
    many = VectorCostWrapper(gym.make_vec(IDENTITY, num_envs=2))
    for env in (one, plain, many):
        env.reset(seed=0)
    rng, seen = np.random.default_rng(0), 0.0
    for _ in range(10):
        actions = rng.uniform(-1.0, 1.0, many.action_space.shape).astype(np.float32)
        obs, reward, cost, terminated, truncated, info = one.step(actions[0])
        expected = plain.step(actions[0])
        np.testing.assert_array_equal(obs, expected[0])
        assert (reward, terminated, truncated) == expected[1:4]
        assert cost == info["cost"] == expected[4]["cost"] == pytest.approx(sum(info["costs"].values()))
        _, rewards, costs, _, _, infos = many.step(actions)
        assert (rewards[0], costs[0]) == (reward, cost)
        np.testing.assert_array_equal(costs, infos["cost"])
        seen += cost
    assert seen > 0.0


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_cost_of_a_last_step_is_not_lost(mode: AutoresetMode) -> None:
    """Where the next episode begins in the same step the info is of that one; the cost is not."""
    task = VoltVar(episode=Duration(hours=0.5), v_band=(0.99, 1.01))
    env = VectorCostWrapper(
        DistGridVectorEnv(FEEDER, task=task, load=flat_load(), num_envs=2, autoreset_mode=mode)
    )
    env.reset(seed=0)
    first = env.step(np.zeros((2, 0)))[2]
    _, rewards, costs, _, truncated, _ = env.step(np.zeros((2, 0)))
    assert truncated.all()
    assert (costs == first).all()
    assert (costs > 0.0).all()
    assert (rewards < 0.0).all()


def test_wrapped_environments_are_made_again_from_their_specs() -> None:
    for wrapper in (MOWrapper, CostWrapper):
        env: Any = wrapper(gym.make(IDENTITY))
        assert env.spec is not None
        again = gym.make(env.spec)
        assert type(again) is wrapper
