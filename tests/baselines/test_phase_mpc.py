"""Rolling horizons per phase: beside the plan of the same hours, on forecasts, row by row."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.phase_day.window import phase_schedule
from distgrid.baselines.optimal.phase_mpc import OnForecastsPerPhase, PerfectForesightPerPhase
from distgrid.envs import DistGrid3PhaseVectorEnv

VOLT_VAR, DISPATCH = "VoltVar3-ieee13-v1", "DERDispatch-ieee123-v0"
NOON, STEPS = 96 * 10 + 48, 8
SHORT: dict[str, Any] = {"horizon_h": 2.0, "every_h": 1.0}


def made(name: str, **options: Any) -> Any:
    return gymnasium.make(f"distgrid/{name}", split="test", disable_env_checker=True, **options)


def played(env: Any, policy: Any, start: int, steps: int) -> tuple[float, float]:
    """Return of some intervals, and by how much voltages were outside the band."""
    obs, info = env.reset(seed=0, options={"start": start})
    policy.reset(obs, info)
    total, outside = 0.0, 0.0
    for _ in range(steps):
        obs, reward, _, _, info = env.step(policy.act(obs, info))
        total, outside = total + float(reward), outside + float(info["cost_voltage_violation"])
    return total, outside


@pytest.mark.slow
def test_on_forecasts_most_of_what_the_plan_gains_is_gained() -> None:
    """Row 53: who knows the hours comes near their plan; forecasts cost something of it, not most."""
    env = made(VOLT_VAR, observation="global")
    rest = played(env, baselines.make("do-nothing", env), NOON, STEPS)[0]
    env.reset(seed=0, options={"start": NOON})
    scenario = env.unwrapped.scenario
    actions = phase_schedule(scenario, scenario.window(horizon=STEPS)).actions
    planned = sum(float(env.step(action)[1]) for action in actions)
    known = played(env, PerfectForesightPerPhase(env, **SHORT), NOON, STEPS)[0]
    foretold = played(env, OnForecastsPerPhase(env, **SHORT), NOON, STEPS)[0]
    gain = planned - rest
    assert gain > 0.0
    assert known == pytest.approx(planned, abs=0.1 * gain)
    assert rest + 0.7 * gain < foretold < planned + 0.05 * gain


@pytest.mark.slow
def test_devices_with_energy_are_planned_by_the_hour_and_keep_voltages() -> None:
    """Row 53: a feeder with batteries, cars, loads and a generator, on a morning outside its band."""
    env = made(DISPATCH, observation="global")
    morning = 96 * 10 + 33
    rest, outside = played(env, baselines.make("do-nothing", env), morning, 4)
    brought, beyond = played(env, OnForecastsPerPhase(env, **SHORT), morning, 4)
    assert brought > rest
    assert beyond < 0.2 * outside


@pytest.mark.slow
def test_rows_of_a_vector_environment_are_planned_like_single_ones() -> None:
    """Each row by its own hours."""
    env = made(VOLT_VAR)
    rows = DistGrid3PhaseVectorEnv(options=env.unwrapped.options, num_envs=2)
    policy = PerfectForesightPerPhase(rows, horizon_h=0.5, every_h=0.5)
    starts = [NOON, NOON + 5]
    obs, infos = rows.reset(seed=[0, 0], options={"start": starts})
    policy.reset(obs, infos)
    total = np.zeros(2)
    for _ in range(3):
        obs, reward, _, _, infos = rows.step(policy.act(obs, infos))
        total += reward
    alone = [
        played(env, PerfectForesightPerPhase(env, horizon_h=0.5, every_h=0.5), start, 3)[0]
        for start in starts
    ]
    np.testing.assert_allclose(total, alone, rtol=1e-9)


def test_balanced_environments_and_numbers_that_make_no_plan_are_refused() -> None:
    """By name, with what was expected."""
    with pytest.raises(RunError, match="is balanced: expected one with phases"):
        OnForecastsPerPhase(made("VoltVar-33bw-v1"))
    with pytest.raises(RunError, match="mpc: horizon_h must be above 0 and finite, got -1"):
        OnForecastsPerPhase(made(VOLT_VAR), horizon_h=-1.0)
    env = made(VOLT_VAR)
    assert baselines.make("mpc", env).config() == {
        "horizon": 24, "every": 4, "times": 1, "margin_pu": 0.002
    }  # fmt: skip
