"""`call`, `get_attr` and `set_attr` of a vector environment, and one of its environments alone."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from distgrid.envs import VoltVar

from .test_vector import same

ID = "distgrid/VoltVar-33bw-v0"


def test_call_and_get_attr_ask_each_environment() -> None:
    """As `SyncVectorEnv` of single environments has it."""
    ours: Any = gym.make_vec(ID, num_envs=3, split="test")
    theirs = SyncVectorEnv([lambda: gym.make(ID, split="test")] * 3)
    ours.reset(seed=4)
    theirs.reset(seed=4)
    for _ in range(2):
        ours.step(ours.neutral_action)
        theirs.step(ours.neutral_action)
    for name in ("day", "step_index", "split", "task", "load_scale", "np_random_seed", "render_mode"):
        assert ours.get_attr(name) == theirs.get_attr(name) == ours.call(name), name
    for name in ("neutral_action", "days"):
        np.testing.assert_array_equal(ours.get_attr(name), theirs.get_attr(name))
    for name in ("observation_space", "action_space"):
        assert ours.get_attr(name) == theirs.get_attr(name)
    np.testing.assert_array_equal(ours.call("obs"), theirs.call("obs"))
    assert [dict(x) for x in ours.get_attr("layout")] == [dict(x) for x in theirs.get_attr("layout")]


def test_what_an_environment_of_a_vector_has_not_is_named() -> None:
    envs: Any = gym.make_vec(ID, num_envs=2)
    for name in ("step", "close", "get_state", "gird", "_rngs"):
        with pytest.raises(AttributeError, match=rf"has no '{name}'"):
            envs.call(name)
    for name, value in (("day", 3), ("split", "test"), ("task", [VoltVar()] * 2), ("anything", 1)):
        with pytest.raises(AttributeError, match=rf"{name}.*cannot be set: reset\(options="):
            envs.set_attr(name, value)


def test_one_environment_of_a_vector_can_be_begun() -> None:
    envs: Any = gym.make_vec(ID, num_envs=3, autoreset_mode="Disabled")
    envs.reset(seed=0)
    seen = envs.step(envs.neutral_action)[0]
    observation, info = envs.rows([1])[0].reset(seed=9, options={"day": 50})
    single = gym.make(ID)
    wanted, told = single.reset(seed=9, options={"day": 50})
    np.testing.assert_array_equal(observation, wanted)
    same(info, told)
    now = np.array(envs.call("obs"))
    np.testing.assert_array_equal(now[[0, 2]], seen[[0, 2]])
    np.testing.assert_array_equal(now[1], wanted)
    assert envs.get_attr("step_index") == (1, 0, 1)


def test_days_of_a_vector_may_be_drawn_by_some() -> None:
    """`options={"day": [5, None, 7]}`: who gets None draws, as it does without options."""
    envs: Any = gym.make_vec(ID, num_envs=3, split="test")
    drawn = envs.reset(seed=2)[1]["day"]
    assert envs.reset(seed=2, options={"day": [5, None, 7]})[1]["day"].tolist() == [5, drawn[1], 7]
    with pytest.raises((TypeError, ValueError), match="365"):
        envs.reset(options={"day": [5, "monday", 7]})
