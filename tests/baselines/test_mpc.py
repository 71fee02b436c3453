"""Rolling horizons: what they reach beside the plan of the day, and what they may know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.bracket import bracket
from distgrid.baselines.optimal.mpc import OnForecasts, PerfectForesight, occupied, present
from distgrid.envs import DistGridVectorEnv, Forecaster
from distgrid.envs.core.forecasts import ForecastError

HOURLY = ("VoltVar-33bw-hourly-v1", "DERDispatch-33bw-hourly-v0")


def made(name: str, **options: Any) -> Any:
    return gymnasium.make(f"distgrid/{name}", split="test", disable_env_checker=True, **options)


def returns(env: Any, policy: Any, day: int) -> float:
    """Of a day, with seed 0."""
    obs, info = env.reset(seed=0, options={"day": day})
    policy.reset(obs, info)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        total, over = total + float(reward), terminated or truncated
    return total


@pytest.mark.slow
@pytest.mark.parametrize("name", HOURLY)
def test_the_order_is_bound_plan_rolling_rest(name: str) -> None:
    """Issue 14, section 3: bound >= optimal >= mpc-perfect >= doing nothing; to the end it is the plan."""
    env = made(name)
    found = bracket(env, 15)
    whole = returns(env, PerfectForesight(env, horizon_h=24.0, every_h=8.0), 15)
    rolling = returns(env, PerfectForesight(env, horizon_h=12.0, every_h=3.0), 15)
    gain = found.best_known - found.do_nothing
    assert whole == pytest.approx(found.best_known, abs=1e-3 * gain)
    assert found.do_nothing < rolling <= found.bound + 1e-6 * abs(found.bound)
    assert rolling <= found.best_known + 1e-3 * gain
    assert rolling >= found.do_nothing + 0.9 * gain


@pytest.mark.slow
def test_forecasts_that_err_cost_something_and_keep_below_the_bound() -> None:
    """`mpc` plays on what is foretold: with wild forecasts it brings less than with true ones."""
    wild = Forecaster(load=ForecastError(0.5), pv=ForecastError(0.9, shared=0.9))
    env, clear = made(HOURLY[0], forecaster=wild), made(HOURLY[0])
    bound = bracket(clear, 160).bound
    foretold = returns(env, OnForecasts(env, every_h=3.0), 160)
    true = returns(clear, OnForecasts(clear, every_h=3.0), 160)
    assert foretold < true <= bound + 1e-6


def test_what_mpc_knows_is_the_forecast_and_not_the_truth() -> None:
    """What is foretold is off, and so is the first plan from that of perfect foresight."""
    options: Any = {"forecaster": Forecaster(load=ForecastError(0.4), pv=ForecastError(0.9))}
    env = made(HOURLY[0], **options)
    first = {}
    for kind in (OnForecasts, PerfectForesight):
        obs, info = env.reset(seed=0, options={"day": 160})
        policy = kind(env)
        policy.reset(obs, info)
        first[kind] = policy.act(obs, info)
    window = env.unwrapped.scenario.window(horizon=4, forecast=env.unwrapped.scenario.forecasts)
    assert not np.allclose(window.load_p_mw, env.unwrapped.scenario.window(horizon=4).load_p_mw)
    assert not np.allclose(first[OnForecasts], first[PerfectForesight])


def test_cars_to_come_are_no_part_of_what_mpc_knows() -> None:
    """Those that are there stay, with their limits; from those to come nothing can be drawn."""
    env = made("EVCharging-33bw-v0")
    env.reset(seed=0, options={"day": 15})
    told = next(one for one in env.unwrapped.scenario.window().outlooks.values() if one.sessions)
    later = [stay for stay in told.sessions if stay.first > 0]
    here = later[0]._replace(first=0)
    known = present(replace(told, sessions=(here, *later[1:])))
    assert known.sessions == (here,)
    assert not known.p_min_mw[~occupied(known)].any()
    np.testing.assert_array_equal(
        known.p_min_mw[: here.stop, here.unit], told.p_min_mw[: here.stop, here.unit]
    )


@pytest.mark.slow
def test_rows_of_a_vector_environment_are_planned_like_single_ones() -> None:
    """Each row by its own day and storage, also after it began anew."""
    env = made(HOURLY[0])
    rows = DistGridVectorEnv(options=env.unwrapped.options, num_envs=2)
    policy = OnForecasts(rows, every_h=6.0)
    obs, infos = rows.reset(seed=[0, 0], options={"day": np.array([15, 160])})
    policy.reset(obs, infos)
    total = np.zeros(2)
    for _ in range(24):
        obs, reward, _, _, infos = rows.step(policy.act(obs, infos))
        total += reward
    alone = [returns(env, OnForecasts(env, every_h=6.0), day) for day in (15, 160)]
    np.testing.assert_allclose(total, alone, rtol=1e-9)


def test_numbers_that_make_no_plan_and_what_is_not_covered_are_refused() -> None:
    """By name, with what was expected."""
    env = made(HOURLY[0])
    with pytest.raises(RunError, match="mpc: horizon_h must be above 0 and finite, got 0"):
        OnForecasts(env, horizon_h=0.0)
    with pytest.raises(RunError, match="every_h 3 is above horizon_h 2"):
        PerfectForesight(env, horizon_h=2.0, every_h=3.0)
    with pytest.raises(RunError):
        baselines.make("mpc", made("HostingCapacity-33bw-v0"))


@pytest.mark.slow
def test_both_play_in_a_run() -> None:
    """Beside others, by name, with normalised scores where there are certificates."""
    result = baselines.rollout(
        HOURLY[0], ["do-nothing", "mpc", "mpc-perfect"], 1, split="test", progress=False, report=False
    )
    brought = {one.policy: one.return_mean for one in result.summary}
    assert brought["do-nothing"] < brought["mpc"] < brought["mpc-perfect"]
