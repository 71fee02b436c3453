"""What is true of every registered environment."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from distgrid.envs import DistGridEnv
from distgrid.envs.suites import ENTRIES
from distgrid.envs.tasks import Task

IDS = [entry.id for entry in ENTRIES]
#: Devices from which on their actions are tried together.
MANY = 60
_MADE: dict[str, DistGridEnv] = {}


@pytest.fixture
def env(request: pytest.FixtureRequest) -> DistGridEnv:
    """The environment of an id, made once for all tests: each test resets it."""
    if request.param not in _MADE:
        made = gym.make(request.param, split="test").unwrapped
        assert isinstance(made, DistGridEnv)
        _MADE[request.param] = made
    return _MADE[request.param]


def coded(env: DistGridEnv, floats: np.ndarray) -> Any:
    """Floats of every dimension as an element of the action space."""
    return env.codec.one(env.codec.encode(floats[None].astype(np.float32)))


every_env = pytest.mark.parametrize("env", IDS, indirect=True)


@pytest.mark.quick(5)
@every_env
def test_passes_gymnasiums_and_sb3s_checkers(env: DistGridEnv) -> None:
    """Capability 91; warnings are errors in this suite, so the checkers' warnings fail too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        if not isinstance(env.action_space, spaces.Dict):  # stable-baselines3 has none of these
            check_env_sb3(env, skip_render_check=True)


@every_env
def test_a_random_day_stays_inside_the_declared_space(env: DistGridEnv) -> None:
    """Trap 25a: observations outside the declared space."""
    rng = np.random.default_rng(3)
    observation, _ = env.reset(seed=3)
    steps, done = 0, False
    while not done:
        assert env.observation_space.contains(observation)
        action = coded(env, rng.uniform(-1, 1, len(env.action_layout)))
        observation, reward, terminated, truncated, info = env.step(action)
        assert np.isfinite(reward)
        assert info["pf_converged"]
        steps += 1
        done = terminated or truncated
    if type(env.task).ends is Task.ends:
        assert steps == env.scenario.episode_steps
    assert truncated != terminated
    assert not terminated or env.task.ends(env.grid._view).all()
    low, high = env.layout.bounds()
    assert np.isfinite(low).all()
    assert np.isfinite(high).all()
    assert (low < high).all()


@pytest.mark.quick(7)
@pytest.mark.parametrize("env", [e.id for e in ENTRIES if len(e.resources) <= MANY], indirect=True)
def test_every_action_dimension_has_an_effect(env: DistGridEnv) -> None:
    """Trap 15: registered environments whose agents drive nothing."""
    n, steps = len(env.action_layout), min(76, env.scenario.episode_steps)
    assert n > 0

    def day(action: np.ndarray, when: int) -> Iterator[np.ndarray]:
        env.reset(seed=0, options={"day": when})
        for _ in range(steps):  # into the evening, when cars come home
            *_, terminated, truncated, info = env.step(coded(env, action))
            told = (info["p_slack_MW"], info["q_slack_MVAr"], *np.nan_to_num(env.grid.stepper.v_pu[0]))
            yield np.array(told)  # a tap may move few loads, but it moves voltages
            if terminated or truncated:
                break

    neutral = env.scenario.neutral_action
    bright, cold = 172, 20  # long days for plants, short ones for heat pumps
    base = {when: list(day(neutral, when)) for when in (bright, cold)}
    for dimension in range(n):
        moved = neutral.copy()
        moved[dimension] = -0.5 if neutral[dimension] >= 0.5 else 0.5
        apart = (
            np.abs(here - rest).max()
            for when in (bright, cold)
            for here, rest in zip(day(moved, when), base[when], strict=False)  # to the end of the shorter one
        )
        assert any(step > 1e-4 for step in apart), env.action_layout[dimension].name


@pytest.mark.parametrize("env", [e.id for e in ENTRIES if len(e.resources) > MANY], indirect=True)
def test_every_one_of_many_actions_has_an_effect(env: DistGridEnv) -> None:
    """Trap 15, where devices are many: all that control one quantity move at once, and each delivers
    something else than it does at rest.
    """
    units = {unit.name: unit.index for unit in env.units}
    neutral = env.scenario.neutral_action

    def delivered(action: np.ndarray, day: int) -> np.ndarray:
        env.reset(seed=0, options={"day": day})
        told = (env.step(coded(env, action))[4]["delivered"] for _ in range(90))
        return np.stack([np.stack([each["p_mw"], each["q_mvar"]]) for each in told])

    rest = {day: delivered(neutral, day) for day in (172, 20)}
    for quantity in sorted({dim.quantity for dim in env.action_layout}):
        mine = [dim for dim in env.action_layout if dim.quantity == quantity]
        moved = neutral.copy()
        moved[[dim.index for dim in mine]] = [-0.5 if neutral[dim.index] >= 0.5 else 0.5 for dim in mine]
        apart = np.max([np.abs(delivered(moved, day) - rest[day]).max(axis=(0, 1)) for day in rest], axis=0)
        weak = [dim.name for dim in mine if apart[units[dim.resource_name]] <= 1e-4]
        assert not weak


@every_env
def test_splits_draw_their_own_days(env: DistGridEnv) -> None:
    """Trap 13: `split=` changes the data, and reset stays inside it."""
    days = {env.reset(seed=seed)[1]["day"] for seed in range(40)}
    assert days <= set(env.profiles.split_days("test").tolist())
    assert len(days) > min(15, env.scenario.starts.size // 2)


@every_env
def test_the_layout_names_every_entry_once(env: DistGridEnv) -> None:
    rows = env.layout.describe()
    assert [row.index for row in rows] == list(range(env.layout.size))
    assert len({row.name for row in rows}) == env.layout.size
    stops = [part.stop for part in env.layout.values()]
    assert [part.start for part in env.layout.values()] == [0, *stops[:-1]]
    assert stops[-1] == env.layout.size
    for unit in env.units:
        for quantity, column in unit.observation.items():
            assert rows[column].name == f"{unit.name}.{quantity}"


_DAYS = """
import hashlib, sys, gymnasium, numpy, distgrid
for identity in sys.argv[1:]:
    env = gymnasium.make(identity, split="train").unwrapped
    digest = hashlib.sha256()
    rng = numpy.random.default_rng(5)
    observation, _ = env.reset(seed=11)
    for _ in range(120):
        digest.update(observation.tobytes())
        action = rng.uniform(-1, 1, env.action_space.shape)
        observation, reward, terminated, truncated, info = env.step(action)
        digest.update(numpy.float64(reward).tobytes() + numpy.float64(info["cost"]).tobytes())
        if terminated or truncated:
            observation, _ = env.reset()
    print(identity, digest.hexdigest())
"""
_IN_TWO = ("distgrid/VoltVar-33bw-v0", "distgrid/DistGrid-141-v0", "distgrid/VoltVar3-ieee13-v0")


@pytest.fixture(scope="module")
def digests() -> list[dict[str, str]]:
    """What two processes made of the same seeds, by id."""
    command = [sys.executable, "-c", _DAYS, *_IN_TWO]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    return [dict(line.split() for line in run.splitlines()) for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize("name", _IN_TWO)
def test_same_seed_same_bytes_in_two_processes(name: str, digests: list[dict[str, str]]) -> None:
    """Determinism: observations, rewards and costs of 120 random steps and a second reset."""
    first, second = (run[name] for run in digests)
    assert len(first) == hashlib.sha256().digest_size * 2
    assert first == second


@pytest.mark.parametrize("case", ["33bw", "141"])
def test_volt_var_has_work_to_do_and_no_constant_does_it(case: str) -> None:
    """Issue 2, §4 and Trap 22, on every second test day.

    Doing nothing violates the band in at least 20 % of the steps; random and constant-extreme actions
    earn clearly less, and cost more, than a simple proportional droop, which the optimum can only beat.
    """
    env = gym.make(f"distgrid/VoltVar-{case}-v0", split="test").unwrapped
    assert isinstance(env, DistGridEnv)
    units = [u for u in env.units if u.action_q is not None and u.kind == "pv"]
    columns = [u.action_q for u in units if u.action_q is not None]
    rows = [u.node_row for u in units]
    voltage = env.layout["v_pu"]
    rng = np.random.default_rng(0)
    held = np.zeros(len(units))

    def constant(q: float) -> np.ndarray:
        action = env.neutral_action.copy()
        action[columns] = q
        return action

    def droop(observation: np.ndarray) -> np.ndarray:
        nonlocal held
        held = 0.5 * held + 0.5 * np.clip((1.0 - observation[voltage][rows]) * 15.0, -1, 1)
        action = env.neutral_action.copy()
        action[columns] = held
        return action

    policies = {
        "nothing": lambda _: constant(0.0),
        "inject": lambda _: constant(1.0),
        "absorb": lambda _: constant(-1.0),
        "random": lambda _: rng.uniform(-1, 1, env.neutral_action.size),
        "droop": droop,
    }
    reward, cost, violated = {}, {}, {}
    for name, policy in policies.items():
        total, charge, steps = 0.0, 0.0, []
        for day in env.days[::2]:
            observation, _ = env.reset(options={"day": int(day)})
            held = np.zeros(len(units))
            for _ in range(96):
                observation, r, _, _, info = env.step(policy(observation))
                total, charge = total + r, charge + info["cost"]
                steps.append(info["n_voltage_violations"] > 0)
        reward[name], cost[name], violated[name] = total, charge, np.mean(steps)
    assert violated["nothing"] >= 0.20
    assert violated["droop"] < 0.5 * violated["nothing"]
    for bad in ("nothing", "inject", "absorb", "random"):
        assert reward[bad] < 1.15 * reward["droop"], (bad, reward)  # rewards are negative
        assert cost[bad] > 5.0 * cost["droop"], (bad, cost)
