"""stable-baselines3 trains on the vector environment through a thin adapter."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from distgrid.cases.profiles import Duration
from distgrid.envs import DistGridVectorEnv, VoltVar, sb3_vec_env

ID = "distgrid/VoltVar-33bw-v0"
SHORT = VoltVar(episode=Duration(hours=7 / 4))


def ours(num_envs: int, **options: Any) -> VecEnv:
    env = sb3_vec_env(ID, num_envs, task=SHORT, **options)
    assert isinstance(env, VecEnv)
    return env


def test_it_is_sb3s_own_vector_of_single_environments() -> None:
    """The same seeds and actions in a DummyVecEnv: numbers, ends and last observations."""
    keys = ("cost", "p_loss_MW", "day", "voltages")
    one = ours(3, info_keys=keys)
    other = DummyVecEnv([lambda: gym.make(ID, task=SHORT, disable_env_checker=True)] * 3)
    one.seed(4)
    other.seed(4)
    np.testing.assert_array_equal(one.reset(), other.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(20):
        action = rng.uniform(-1, 1, (3, *one.action_space.shape)).astype(np.float32)  # type: ignore[misc]
        mine, theirs = one.step(action), other.step(action)
        for k in range(3):
            np.testing.assert_array_equal(mine[k], theirs[k])
            assert np.asarray(mine[k]).dtype == np.asarray(theirs[k]).dtype
        for a, b in zip(mine[3], theirs[3], strict=True):
            assert set(a) == {*keys, "TimeLimit.truncated"} | ({"terminal_observation"} & set(b))
            for key in a:
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)
        ended += int(mine[2].sum())
    assert ended == 6


def test_ppo_learns_on_it_through_sb3s_wrappers() -> None:
    env = VecNormalize(VecMonitor(ours(8)))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(512)
    assert model.num_timesteps == 512
    assert len(model.ep_info_buffer or ()) > 0
    assert all(np.isfinite(episode["r"]) for episode in model.ep_info_buffer or ())
    assert env.get_attr("num_envs") == [8] * 8
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 8


def test_options_reach_the_environments_once() -> None:
    env = ours(2, info_keys=("day",))
    env.set_options({"day": 17})
    env.reset()
    assert [info["day"] for info in env.reset_infos] == [17, 17]


def test_each_environment_keeps_the_options_that_it_was_given() -> None:
    """One with a day, one that draws: as a DummyVecEnv of single environments has it."""
    one = ours(3, info_keys=("day",))
    other = DummyVecEnv([lambda: gym.make(ID, task=SHORT, disable_env_checker=True)] * 3)
    given: list[Any] = [
        [{"day": 17}, {}, {"day": 40}],
        [{}, {"day": 3}, {}],
        {"day": 9},
        [{"start": 96 * 22 + 10}, {}, {"start": "2016-01-23 06:00"}],
        [{}, {}, {}],
        None,
    ]
    for options in given:
        for env in (one, other):
            env.seed(6)
            env.set_options(options)
        np.testing.assert_array_equal(one.reset(), other.reset())
        wanted = [info["day"] for info in other.reset_infos]
        assert one.get_attr("day") == other.get_attr("day") == wanted
        assert [info["day"] for info in one.reset_infos] == wanted


def test_options_that_there_are_not_are_refused() -> None:
    """Where they are set: `dya` would otherwise draw any day."""
    env = ours(2)
    for options in ({"dya": 17}, [{"day": 3}, {"dya": 17}], [{}, {"reset_mask": np.ones(2, dtype=bool)}]):
        with pytest.raises(
            ValueError, match=r"unknown reset option '(dya|reset_mask)'; options are 'day' and 'start'"
        ):
            env.set_options(options)
    env.set_options([{"day": 3}, {"start": 96 * 22}])
    with pytest.raises(ValueError, match="some environments were given a day, some a start"):
        env.reset()
    with pytest.raises(TypeError, match="options must be a dict"):
        env.set_options([17, 18])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="2 of them, got 3"):
        env.set_options([{}, {}, {}])
    env.set_options([{"day": 500}, {}])
    with pytest.raises(ValueError, match="500"):
        env.reset()


def test_a_method_is_called_where_it_was_asked_for() -> None:
    """`env_method("reset", indices=...)` begins these alone, and gives what a single environment gives."""
    env = ours(3)
    env.seed(0)
    env.reset()
    env.step(np.zeros((3, *env.action_space.shape)))  # type: ignore[misc]
    before = np.array(env.env_method("obs"))
    ((observation, info),) = env.env_method("reset", indices=[1], options={"day": 30})
    after = np.array(env.env_method("obs"))
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    np.testing.assert_array_equal(after[1], observation)
    assert info["day"] == 30
    assert env.get_attr("step_index") == [1, 0, 1]
    assert env.get_attr("day", indices=1) == [30]
    assert len(env.env_method("obs", indices=[0, 2])) == 2
    with pytest.raises(AttributeError, match="has no 'step'"):
        env.env_method("step", np.zeros(3))
    with pytest.raises(AttributeError, match=r"cannot be set: reset\(options="):
        env.set_attr("split", "test", indices=[0])
    assert not env.has_attr("gird")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_the_adapter_is_copied_and_pickled(copied: Callable[[VecEnv], VecEnv]) -> None:
    """Workers and checkpoints: the copy goes on to the same numbers and is the same class."""
    env = ours(3, info_keys=("cost", "day"))
    env.seed(1)
    env.reset()
    action = np.zeros((3, *env.action_space.shape))  # type: ignore[misc]
    env.step(action)
    env.set_options({"day": 8})
    twin = copied(env)
    assert type(twin) is type(env)
    for mine, theirs in zip(env.step(action)[:3], twin.step(action)[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    twin.reset()
    assert twin.get_attr("day") == [8] * 3
    assert [info["day"] for info in twin.reset_infos] == [8] * 3
    assert env.get_attr("day") != [8] * 3


def test_what_does_not_fit_is_refused() -> None:
    made = DistGridVectorEnv(num_envs=2)
    with pytest.raises(ValueError, match="SameStep"):
        sb3_vec_env(made)
    with pytest.raises(ValueError, match="made already"):
        sb3_vec_env(made, split="test")
    env = ours(2, info_keys=("rewards",))
    env.reset()
    with pytest.raises(ValueError, match="'rewards' is not one number"):
        env.step(np.zeros((2, *env.action_space.shape)))  # type: ignore[misc]


def test_environments_load_no_learning_library() -> None:
    """The import direction of the design: it is loaded by whoever asks for the adapter."""
    code = "import sys, distgrid.envs; sys.exit('torch' in sys.modules or 'stable_baselines3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
