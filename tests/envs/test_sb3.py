"""stable-baselines3 trains on the vector environment through a thin adapter."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from distgrid.envs import DistGridVectorEnv, VoltVar, sb3_vec_env

ID = "distgrid/VoltVar-33bw-v0"
SHORT = VoltVar(episode_steps=7)


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
