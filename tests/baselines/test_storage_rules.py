"""Rules for storage on tasks in money: they earn something, end where they began, and say what they miss."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.cases.profiles import split_days
from distgrid.envs import Battery, DERDispatch, DistGridEnv, DistGridVectorEnv

RULES = {
    "battery-price": "distgrid/DERDispatch-33bw-v0",
    "peak-shave": "distgrid/PeakShaving-33bw-v0",
    "track-setpoint": "distgrid/SetpointTracking-33bw-v0",
}
DAYS = split_days("test", "weeks-apart")[::6]


def returns(envs: Any, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Returns of the rows, and what storage holds more in the end than in the beginning."""
    policy = baselines.make(name, envs)
    obs, info = envs.reset(seed=0, options={"day": DAYS})
    policy.reset(obs, info)
    total = np.zeros(DAYS.size)
    for _ in range(96):
        obs, reward, *_, info = envs.step(policy.act(obs, info))
        total += reward
    return total, obs[:, envs.layout["energy_balance_mwh"].start]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_earns_more_than_doing_nothing_and_hands_back_what_it_took(name: str) -> None:
    """Capability 9: on the mean of test days; within a twentieth of what the batteries hold."""
    envs: Any = gymnasium.make_vec(RULES[name], num_envs=DAYS.size)
    earned, balance = returns(envs, name)
    rested, _ = returns(envs, "do-nothing")
    assert earned.mean() > rested.mean() + 20.0
    held = sum(unit.energy_mwh for unit in envs.units if unit.kind == "battery")
    assert np.abs(balance).mean() < 0.05 * held


@pytest.mark.parametrize("name", RULES)
def test_a_row_of_a_batch_is_a_single_environment(name: str) -> None:
    """Also on a feeder of one's own, with another task of the family."""
    task = _task(RULES[name])
    single = DistGridEnv("case33bw", [Battery(18, 0.3, 0.9), Battery(25, 0.2, 0.8)], task)
    many = DistGridVectorEnv("case33bw", single.resources, task, num_envs=2)
    one, both = baselines.make(name, single), baselines.make(name, many)
    obs, info = single.reset(seed=5, options={"day": 30})
    rows, infos = many.reset(seed=[5, 6], options={"day": 30})
    one.reset(obs, info)
    both.reset(rows, infos)
    for _ in range(96):
        action, actions = one.act(obs, info), both.act(rows, infos)
        np.testing.assert_array_equal(action, actions[0])
        obs, _, _, _, info = single.step(action)
        rows, _, _, _, infos = many.step(actions)


def _task(identity: str) -> Any:
    env: Any = gymnasium.make(identity).unwrapped
    return env.task


def test_rules_say_what_they_miss() -> None:
    plain = DistGridEnv("case33bw", [Battery(18, 0.3, 0.9)])
    with pytest.raises(baselines.RunError, match="energy_balance_mwh"):
        baselines.make("battery-price", plain)
    with pytest.raises(baselines.RunError, match="no battery"):
        baselines.make("battery-price", DistGridEnv("case33bw", [], DERDispatch()))
    with pytest.raises(baselines.RunError, match="setpoint_mw"):
        baselines.make("track-setpoint", DistGridEnv("case33bw", [Battery(18, 0.3, 0.9)], DERDispatch()))
