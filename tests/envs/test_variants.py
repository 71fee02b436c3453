"""Variants of registered environments: derived from a base in one line, played through temporary ids."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from distgrid.envs import registration
from distgrid.envs.suites import ENTRIES, RegisteredEnv, variant
from distgrid.envs.suites.variants import VARIANTS

BASES = {e.name: e for e in ENTRIES if e.id in ("distgrid/VoltVar-33bw-v0", "distgrid/VoltVar3-ieee13-v0")}
MADE = [
    variant(base, kind)
    for name, base in BASES.items()
    for kind in VARIANTS
    if name == "VoltVar3-ieee13" or kind not in ("discrete", "hybrid")
]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variants as ids, for the time of a test."""
    before = set(gym.registry)
    monkeypatch.setattr(registration, "ENTRIES", (*ENTRIES, *MADE))
    registration.register_all()
    yield
    for name in set(gym.registry) - before:
        del gym.registry[name]


@pytest.mark.parametrize("entry", MADE, ids=lambda entry: entry.name)
@pytest.mark.usefixtures("registered")
def test_a_variant_is_an_id_like_any_other(entry: RegisteredEnv) -> None:
    """Made by Gymnasium on both faces, the same bits; it steps, and says what it is."""
    one = gym.make(entry.id)
    envs = gym.make_vec(entry.id, num_envs=2, vectorization_mode="vector_entry_point")
    assert one.spec is not None
    assert one.spec.max_episode_steps == entry.episode_steps
    seen, _ = one.reset(seed=4)
    many, _ = envs.reset(seed=4)
    envs.action_space.seed(1)
    for _ in range(5):
        assert many[0].tobytes() == seen.tobytes()
        actions = envs.action_space.sample()
        action = {k: v[0] for k, v in actions.items()} if isinstance(actions, dict) else actions[0]
        seen, reward, *_ = one.step(action)
        many, rewards, *_ = envs.step(actions)
        assert reward == rewards[0]
        assert one.observation_space.contains(seen)


@pytest.mark.usefixtures("registered")
def test_variants_are_what_they_say() -> None:
    """Time, meters and spaces; the base stays as it is."""
    make = {entry.name: gym.make(entry.id).unwrapped for entry in MADE if "ieee13" in entry.name}
    named = {name.rpartition("-")[2]: env for name, env in make.items()}
    base = BASES["VoltVar3-ieee13"]
    assert named["week"].scenario.episode_steps == 672  # type: ignore[attr-defined]
    assert named["week"].task.failure_price == 7 * base.task.failure_price  # type: ignore[attr-defined]
    assert named["hourly"].scenario.episode_steps == 24  # type: ignore[attr-defined]
    assert named["hard"].layout.level == "measured"  # type: ignore[attr-defined]
    assert isinstance(named["discrete"].action_space, spaces.MultiDiscrete)
    assert isinstance(named["hybrid"].action_space, spaces.Dict)
    assert "observation" not in base.options
    starts = named["week"].scenario.starts  # type: ignore[attr-defined]
    assert starts.size > 3
    assert np.isin(starts // 96 + 6, named["week"].scenario._played.split_days).all()  # type: ignore[attr-defined]


def test_what_cannot_vary_is_told() -> None:
    with pytest.raises(ValueError, match="variant 'easy' is unknown; expected one of hard, week"):
        variant(BASES["VoltVar-33bw"], "easy")
    with pytest.raises(ValueError, match="VoltVar-33bw has no TapChanger or CapacitorBank"):
        variant(BASES["VoltVar-33bw"], "hybrid")
