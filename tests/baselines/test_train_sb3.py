"""Row 102: trainings of stable-baselines3: taken up from checkpoints, and played out of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.learned.learner import Settings
from distgrid.baselines.rollouts.env_source import make_source
from distgrid.baselines.training import sb3
from distgrid.baselines.training.learners import open_learner, policy_of
from distgrid.envs import Discrete

pytest.importorskip("stable_baselines3")
ENV = "VoltVar-33bw-v1"


def learner(algo: str, settings: Settings) -> Any:
    return open_learner(make_source(ENV, "train"), algo, settings, 0)


def file_of(one: Any, algo: str, settings: Settings) -> bytes:
    return policy_of(one, algo, ENV, settings, 0).to_bytes()


def few_joint_actions() -> Any:
    """An environment with a `Discrete` action space."""
    table = Discrete(table=np.linspace(-1.0, 1.0, 3)[:, None].repeat(15, axis=1))
    return gymnasium.make(f"distgrid/{ENV}", split="train", action_space=table)


@pytest.mark.parametrize("algo", ["sac", "dqn", "ppo-sb3"])
def test_a_training_of_stable_baselines3_ends_with_the_same_bytes(
    algo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken up behind its first of three pieces, with networks, optimisers and what it had played."""
    monkeypatch.setattr(sb3, "_PIECE", 120)
    settings = Settings(steps=360, rows=4, twins=1, epochs=1, batch=16, hidden=8, learning_rate=1e-3)
    source = make_source(few_joint_actions if algo == "dqn" else ENV, "train")
    whole, first, second = (open_learner(source, algo, settings, 0) for _ in range(3))
    while whole.iterations_done < whole.iterations:
        whole.iterate()
    first.iterate()
    assert file_of(first, algo, settings) != file_of(whole, algo, settings)
    assert second.go_on(first.checkpoint("note")) == "note"
    assert (second.steps, second.iterations_done) == (first.steps, 1)
    while second.iterations_done < second.iterations:
        second.iterate()
    assert file_of(second, algo, settings) == file_of(whole, algo, settings)
    assert second.episode_return == pytest.approx(whole.episode_return, nan_ok=True)


def test_a_checkpoint_of_other_networks_is_refused() -> None:
    """By the entry that does not fit, or by its algorithm."""
    settings = Settings(steps=120, rows=4, twins=1, epochs=1, batch=16, hidden=8)
    given = learner("sac", settings).checkpoint()
    with pytest.raises(ValueError, match=r"it has no policy.* of shape"):
        learner("sac", Settings(steps=120, rows=4, twins=1, hidden=4)).go_on(given)
    with pytest.raises(ValueError, match="no checkpoint of this training"):
        learner("ppo-sb3", settings).go_on(given)


def test_dqn_is_played_as_its_library_plays_it(tmp_path: Path) -> None:
    """Codes of a table of joint actions: those of stable-baselines3's own network, out of a file."""
    settings = Settings(steps=200, rows=4, twins=1, epochs=1, batch=16, hidden=8)
    one = open_learner(make_source(few_joint_actions, "train"), "dqn", settings, 0)
    one.iterate()
    path = tmp_path / "policy.safetensors"
    policy_of(one, "dqn", ENV, settings, 0).write(path)
    obs = one._env.get_original_obs()
    wanted, _ = one._model.predict(one._env.normalize_obs(obs), deterministic=True)
    policy = baselines.make(f"file:{path}", few_joint_actions())
    np.testing.assert_array_equal(policy.act(obs, {}), wanted)
    assert few_joint_actions().action_space.contains(policy.act(obs[0], {}))
