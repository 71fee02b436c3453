"""A discrete id in a few lines: rules play it, stable-baselines3's DQN and PPO train on it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import baselines
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    EV,
    PV,
    Battery,
    Continuous,
    Discrete,
    DistGridEnv,
    DistGridVectorEnv,
    MultiDiscrete,
    VoltVar,
    sb3_vec_env,
)

from .test_action_spaces import DISCRETE, SPACES
from .world import FEEDER

RULES = ["do-nothing", "random", "volt-var-ieee1547", "ev-asap", "ev-valley-filling", "ev-cheapest"]


@pytest.mark.parametrize("space", DISCRETE)
@pytest.mark.parametrize("name", RULES)
def test_rules_act_on_discrete_environments(space: str, name: str) -> None:
    """Policies in floats give the nearest code, for one environment and for a batch of them alike."""
    fleet: list[Any] = [Battery(18, 0.2, 0.8), PV(25, 0.5, site=3, controls="q"), EV(8, 0.02)]
    options: dict[str, Any] = {"case": FEEDER, "resources": fleet, "action_space": SPACES[space]}
    env, envs = DistGridEnv(**options), DistGridVectorEnv(num_envs=2, **options)
    for face in (env, envs):
        policy = baselines.make(name, face)
        policy.seed(3)
        obs, info = face.reset(seed=1, options={"day": 20})
        policy.reset(obs, info)
        for _ in range(3):
            action = policy.act(obs, info)
            assert action in face.action_space
            obs, *_, info = face.step(action)
    if name == "do-nothing":
        np.testing.assert_equal(baselines.make(name, env).act(env.obs(), {}), env.neutral_action)


def test_rules_lose_little_on_levels() -> None:
    """Volt-var on 41 levels of reactive power plays nearly as on floats, and is scored by `rollout`."""
    fleet = [PV(25, 1.0, site=3, controls="q"), PV(14, 0.8, controls="q")]
    scores = []
    for space in (Continuous(), MultiDiscrete(41)):
        env = DistGridEnv(FEEDER, fleet, VoltVar(episode=Duration(hours=15)), "test", action_space=space)
        result = baselines.rollout(env, ["volt-var-ieee1547"], episodes=1, progress=False)
        scores.append(result.summary[0].return_mean)
    assert scores[1] != scores[0]
    assert scores[1] == pytest.approx(scores[0], rel=0.02)


#: Battery idle or at full power beside five settings of all inverters: nine joint actions.
IN_STEP = tuple(
    (p, p, p, *(q,) * 12)
    for p, q in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (0, 0.5), (0, -0.5), (1, -1), (-1, 1))
)
NEW_IDS: dict[str, Any] = {
    "distgrid-test/VoltVar-33bw-table-v0": Discrete(table=IN_STEP),
    "distgrid-test/VoltVar-33bw-levels-v0": MultiDiscrete(3),
}


@pytest.fixture
def new_ids() -> Any:
    """Discrete ids: a line each, beside the id that they are made of."""
    for name, space in NEW_IDS.items():
        gym.register(
            name, "distgrid.envs.registration:create", max_episode_steps=96,
            vector_entry_point="distgrid.envs.registration:create_vector",
            kwargs={"entry": "distgrid/VoltVar-33bw-v0", "action_space": space},
        )  # fmt: skip
    yield
    for name in NEW_IDS:
        del gym.registry[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "name"),
    [("DQN", "distgrid-test/VoltVar-33bw-table-v0"), *(("PPO", name) for name in NEW_IDS)],
)
def test_stable_baselines3_trains_on_a_discrete_id(new_ids: None, algorithm: str, name: str) -> None:
    """DQN and PPO learn on an id registered in a few lines: weights move, the same way for the same seed."""
    import stable_baselines3 as sb3

    settings: dict[str, Any] = {
        "DQN": {"learning_starts": 40, "buffer_size": 400, "train_freq": 4, "batch_size": 16},
        "PPO": {"n_steps": 32, "batch_size": 32, "n_epochs": 2},
    }[algorithm]
    weights = []
    for _ in range(2):
        env = gym.make(name) if algorithm == "DQN" else sb3_vec_env(name, 2)
        policy_kwargs = {"net_arch": [8]}
        model = getattr(sb3, algorithm)(
            "MlpPolicy", env, seed=0, device="cpu", policy_kwargs=policy_kwargs, **settings
        )
        before = [p.detach().clone() for p in model.policy.parameters()]
        model.learn(192)
        assert model.num_timesteps == 192
        weights.append([p.detach().numpy() for p in model.policy.parameters()])
        assert any((a.numpy() != b).any() for a, b in zip(before, weights[-1], strict=True))
        assert all(np.isfinite(b).all() for b in weights[-1])
        watched: Any = gym.make(name, split="test")
        obs, _ = watched.reset(seed=1)
        for deterministic in (True, False) * 5:
            action = model.predict(obs, deterministic=deterministic)[0]
            assert action in watched.action_space
            obs, *_ = watched.step(action)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
