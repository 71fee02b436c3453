"""The bracket of a day: what a plan reached on the environment, and what nobody can pass."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.bracket import Bracket, bracket
from distgrid.cases.profiles import Duration
from distgrid.envs import EV, PV, Battery, DistGridEnv, EVCharging, VoltVar

ID = "distgrid/VoltVar-33bw-v1"
DAYS = (10, 160, 205)  # winter, and two of high sun, on which the upper limit binds


@pytest.fixture(scope="module")
def env() -> Any:
    """The registered environment on its test days."""
    return gymnasium.make(ID, split="test", disable_env_checker=True)


@pytest.fixture(scope="module")
def brackets(env: Any) -> dict[int, Bracket]:
    """Of three days."""
    return {day: bracket(env, day) for day in DAYS}


@pytest.mark.slow
def test_value_and_bound_are_within_a_per_cent_of_what_there_is_to_gain(
    brackets: dict[int, Bracket],
) -> None:
    """The plan is played on the environment: what it brings is real, whatever the relaxation says."""
    for found in brackets.values():
        assert found.do_nothing < found.best_known <= found.bound + 1e-6
        assert found.gap + 1e-9 >= 0.0
        assert found.gap < 0.01


@pytest.mark.parametrize("name", ["volt-var-ieee1547", "volt-var-fuzzy", "random"])
def test_no_rule_passes_the_bound_and_none_reaches_the_plan(
    env: Any, brackets: dict[int, Bracket], name: str
) -> None:
    """On the same days, with the same seed."""
    for day, found in brackets.items():
        policy = baselines.make(name, env)
        obs, info = env.reset(seed=0, options={"day": day})
        policy.seed(0)
        policy.reset(obs, info)
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
            total, over = total + float(reward), terminated or truncated
        assert total < found.best_known < found.bound + 1e-6


@pytest.fixture(scope="module")
def small() -> DistGridEnv:
    """Twelve hours with a battery that has a ramp, and an inverter that may curtail."""
    fleet = [
        Battery(18, 0.4, 0.9, controls="pq", ramp_mw_per_h=1.0, eta_charge=0.9),
        PV(25, 0.8, site=1, controls="pq"), PV(33, 0.9, site=4, controls="q"),
    ]  # fmt: skip
    task = VoltVar(violation_weight=3.0, deficit_weight=1.0, wear_weight=0.05, episode=Duration(hours=12.0))
    return DistGridEnv("case33bw", fleet, task=task, load_scale=1.2)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=st.integers(0, 360), seed=st.integers(0, 2**31 - 1))
def test_nobody_passes_the_bound_of_any_devices(small: DistGridEnv, day: int, seed: int) -> None:
    """Random play, smooth and wild, of batteries with all their limits and of inverters: any day."""
    found = bracket(small, day)
    rng = np.random.default_rng(seed)
    for size in (0.1, 1.0):
        small.reset(seed=0, options={"day": day})
        total, over = 0.0, False
        while not over:
            action = np.clip(size * rng.normal(size=small.action_space.shape), -1.0, 1.0)
            _, reward, terminated, truncated, _ = small.step(action.astype(np.float32))
            total, over = total + float(reward), terminated or truncated
        assert total <= found.bound + 1e-6
    assert found.best_known <= found.bound + 1e-6


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "sessions", [((8.0, 17.0, 1.2),), ((18.0, 31.0, 1.2),), None], ids=["day", "night", "drawn"]
)
@pytest.mark.parametrize("v2g_mw", [0.0, 0.2])
def test_cars_and_money_have_brackets_without_a_gap(sessions: Any, v2g_mw: float) -> None:
    """Energy bought and sold, missing and owed: the plan is proved, and nobody passes it."""
    station = EV(
        18, 0.3, sessions=sessions, v2g_mw=v2g_mw, cars=1 if sessions else 20, undelivered_cost_per_mwh=300.0
    )
    env = DistGridEnv("case33bw", [station], task=EVCharging())
    found = bracket(env, 200)
    assert found.do_nothing <= found.best_known <= found.bound + 1e-5
    assert found.bound - found.best_known < 1e-4 * abs(found.bound - found.do_nothing) + 1e-4
    rng = np.random.default_rng(0)
    env.reset(seed=0, options={"day": 200})
    total, over = 0.0, False
    while not over:
        _, reward, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 1).astype(np.float32))
        total, over = total + float(reward), terminated or truncated
    assert total <= found.bound + 1e-5


def test_the_demand_charge_of_a_day_is_proved() -> None:
    """Capability 47, 49: batteries, cars and inverters against the peak; no plan is cheaper."""
    env = gymnasium.make("distgrid/PeakShaving-33bw-v0", split="test", disable_env_checker=True)
    found = bracket(env, 15)
    assert found.do_nothing < found.best_known <= found.bound + 1e-3
    assert found.gap < 1e-5


@pytest.mark.slow
def test_the_policy_plays_its_plan_beside_rules(brackets: dict[int, Bracket]) -> None:
    """`optimal` in a run: the value of the bracket."""
    result = baselines.rollout(ID, ["optimal"], 1, split="test", seed=0, progress=False)
    (day,), (brought,) = (result.episodes.column(name).to_pylist() for name in ("day", "return"))
    assert brackets[day].best_known == pytest.approx(brought, abs=1e-9)


def test_what_is_not_covered_is_named() -> None:
    """Devices and terms without rows, and per-phase feeders."""
    with pytest.raises(RunError, match="this one is per phase"):
        baselines.make("optimal", gymnasium.make("distgrid/VoltVar3-ieee13-v1", disable_env_checker=True))
