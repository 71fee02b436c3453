"""The price of a failed power flow: stated, never worth it, and small enough to learn with."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    Battery,
    DistGridEnv,
    DistGridVectorEnv,
    LossMinimisation,
    SeriesLoad,
    TapChanger,
    VoltVar,
)
from distgrid.envs.suites import ENTRIES, RegisteredEnv

from .test_vector import rough
from .world import FEEDER, flat_load

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)


def surge(steps: int) -> SeriesLoad:
    """A day whose loads have no solution from interval ``steps`` on."""
    growth = np.where(np.arange(96) < steps, 1.0, 60.0)[:, None]
    return SeriesLoad(FEEDER, *(growth * FEEDER.column("nodes", c) for c in ("load_p_mw", "load_q_mvar")))


def failed(task: Any, steps: int) -> dict[str, Any]:
    """The info of the step that fails; ``steps`` before it do not."""
    env = DistGridEnv(FEEDER, task=task, load=surge(steps))
    env.reset(seed=0)
    for _ in range(steps + 1):
        _, reward, terminated, _, info = env.step([])
    assert terminated
    assert info["rewards"]["power_flow_failure"] == reward
    assert info["costs"]["power_flow_failure"] == info["cost"]
    return dict(info)


@pytest.mark.parametrize("steps", [0, 3, 95])
def test_a_stated_price_is_paid_once_whenever(steps: int) -> None:
    info = failed(VoltVar(failure_price=340.0, failure_cost=170.0), steps)
    terms = dict.fromkeys(("loss", "voltage", "wear", "unserved"), 0.0)
    assert info["rewards"] == {**terms, "power_flow_failure": -340.0}
    assert info["cost"] == 170.0


@pytest.mark.parametrize("steps", [0, 3, 95])
def test_the_bound_is_kept_as_a_choice(steps: int) -> None:
    """The default of tasks of one's own: the worst of any solved interval for each that is left."""
    env = DistGridEnv(FEEDER, task=VoltVar(), load=surge(steps))
    for task in (VoltVar(), VoltVar(failure_price="bound", failure_cost="bound")):
        info = failed(task, steps)
        assert info["rewards"]["power_flow_failure"] == pytest.approx(env.grid.worst_reward * (96 - steps))
        assert info["cost"] == pytest.approx(env.grid.worst_cost * (96 - steps))


def test_both_faces_pay_the_same() -> None:
    options = {
        **rough(),
        "task": VoltVar(episode=Duration(hours=9 / 4), failure_price=77.0, failure_cost=5.0),
    }
    envs = DistGridVectorEnv(**options, num_envs=4)
    envs.reset(seed=0, options={"day": [1, 1, 3, 0]})
    paid = np.zeros(4)
    for _ in range(9):
        _, reward, terminated, _, infos = envs.step(envs.neutral_action)
        assert (reward[terminated] == -77.0).all()
        assert (infos["cost"][terminated] == 5.0).all()
        paid += terminated
    assert paid.tolist() == [1, 1, 1, 0]


def _most_days(entry: RegisteredEnv) -> float:
    """Days of doing nothing that a failure may cost; more where devices rest well and extremes are bad."""
    return 180.0 if entry.name.startswith("VoltVar3-ieee") and entry.version == 1 else 120.0


@pytest.mark.quick(5)
@every_entry
def test_every_id_states_its_price(entry: RegisteredEnv) -> None:
    """Trap 38: prices of 59 to 545 days. Now a few of the worst days, and far below the bound."""
    task, env = entry.task, gym.make(entry.id).unwrapped
    assert isinstance(env, DistGridEnv)
    assert env.task == task
    assert isinstance(task.failure_price, float)
    assert isinstance(task.failure_cost, float)
    assert task.failure_price < -0.25 * env.grid.worst_reward * env.grid.aside.episode_steps
    assert task.failure_cost <= env.grid.worst_cost * env.grid.aside.episode_steps
    bills = []
    for day in (15, 185):  # what is sold on one in summer may pay for all that is bought
        env.reset(seed=0, options={"day": day})  # a dispatch signal is drawn by the seed
        bills.append(-sum(env.step(env.neutral_action)[1] for _ in range(entry.episode_steps)))
    assert max(bills) < task.failure_price
    normal = float(np.mean(bills))
    assert normal <= 0.0 or task.failure_price < _most_days(entry) * normal


@pytest.mark.parametrize("name", ["VoltVar-33bw-v0", "DistGrid-33bw-v0"])
def test_failing_at_once_is_worse_than_the_worst_that_can_be_done(name: str) -> None:
    """Another adversary than the one that found the price: other signs, other days."""
    entry = next(e for e in ENTRIES if e.id.endswith("/" + name))
    days = np.arange(3, 366, 6)
    envs: Any = gym.make_vec(entry.id, num_envs=days.size)
    envs.reset(seed=0, options={"day": days})
    rng = np.random.default_rng(99)
    signs = rng.choice([-1.0, 1.0], envs.action_space.shape)
    signs[::3] = rng.choice([-1.0, 1.0], (len(signs[::3]), 1))
    total, cost = np.zeros(days.size), np.zeros(days.size)
    for _ in range(96):
        _, reward, terminated, _, infos = envs.step(signs)
        assert not terminated.any()
        assert (reward <= 0.0).all(), "penalties: what is left of a day is no worse than the day"
        total, cost = total + reward, cost + infos["cost"]
    assert total.min() > -entry.task.failure_price  # type: ignore[operator]
    assert cost.max() < entry.task.failure_cost


OTHERS: dict[str, dict[str, Any]] = {
    "load_scale": {"load_scale": 1.5},
    "v_source_pu": {"v_source_pu": 1.03},
    "resources": {"resources": [Battery(18, 0.2, 0.8)]},
    "load": {"load": flat_load()},
    "case": {"case": "case69", "resources": []},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
def test_another_scenario_falls_back_to_the_bound(options: dict[str, Any]) -> None:
    """What was searched for one scenario says nothing of another one."""
    env: Any = gym.make("distgrid/VoltVar-33bw-v0", **options).unwrapped
    many: Any = gym.make_vec("distgrid/VoltVar-33bw-v0", num_envs=2, **options)
    for face in (env, many):
        assert face.task == VoltVar()
        assert face.task.failure_price == face.task.failure_cost == "bound"
    own = VoltVar(failure_price=500.0)
    assert gym.make("distgrid/VoltVar-33bw-v0", task=own, **options).unwrapped.task is own  # type: ignore[attr-defined]


def test_days_and_splits_are_the_same_scenario() -> None:
    price = next(e for e in ENTRIES if e.id == "distgrid/VoltVar-33bw-v0").task.failure_price
    for options in ({"split": "test"}, {"days": [3]}, {"render_mode": "rgb_array"}):
        env: Any = gym.make("distgrid/VoltVar-33bw-v0", **options).unwrapped
        assert env.task.failure_price == price


def test_one_more_resource_is_another_scenario() -> None:
    env: Any = gym.make("distgrid/VoltVar3-ieee13-v0", resources=[TapChanger("reg1")]).unwrapped
    assert env.task.failure_price == "bound"
    env = gym.make("distgrid/VoltVar-33bw-v0").unwrapped
    before = env.task
    with pytest.raises(ValueError, match="bus"):
        env.register_resource(Battery(999, 0.2, 0.8))
    assert env.task == before
    env.register_resource(Battery(7, 0.2, 0.8))
    assert env.task == dataclasses.replace(before, failure_price="bound", failure_cost="bound")
    stated = DistGridEnv(FEEDER, task=LossMinimisation(failure_price=9.0))
    stated.register_resource(Battery(7, 0.2, 0.8))
    assert stated.task.failure_price == 9.0, "who states a price for an environment of his own keeps it"


@pytest.mark.slow
def test_the_search_finds_what_the_table_says(repo_root: Path) -> None:
    """The whole search of one id, seeded: its prices are those of the registration."""
    spec = importlib.util.spec_from_file_location("search", repo_root / "tools" / "search_failure_price.py")
    assert spec is not None
    assert spec.loader is not None
    search = importlib.util.module_from_spec(spec)
    sys.modules["search"] = search
    spec.loader.exec_module(search)
    entry = next(e for e in ENTRIES if e.id == "distgrid/VoltVar-33bw-v0")
    found = search.search(entry)
    assert found["worst day"] < found["worst sum"] < entry.task.failure_price
    assert found["failure_price"] == entry.task.failure_price
    assert found["failure_cost"] == entry.task.failure_cost
