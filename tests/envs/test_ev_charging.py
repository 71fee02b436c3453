"""Charging in money: what cars and their delays cost, on the registered feeders."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import baselines
from distgrid.cases.profiles import Duration
from distgrid.envs import EV, DistGridEnv, EVCharging

from .world import FEEDER, flat_load

RULES = ("do-nothing", "random", "ev-asap", "ev-valley-filling", "ev-cheapest")
#: Rows and steps in which an interval may violate.
Played = dict[str, tuple[float, float]]


def play(identity: str, rows: int) -> Played:
    """Mean return, and share of steps that violate, of each rule on the same test days."""
    envs: Any = gym.make_vec(identity, num_envs=rows, vectorization_mode="vector_entry_point", split="test")
    days, found = envs.days[:: len(envs.days) // rows][:rows].tolist(), {}
    for rule in RULES:
        policy = baselines.make(rule, envs)
        policy.seed(1)
        obs, info = envs.reset(seed=0, options={"day": days})
        policy.reset(obs, info)
        total, violated, truncated = np.zeros(rows), [], np.zeros(rows, dtype=bool)
        while not truncated.all():
            obs, reward, terminated, truncated, info = envs.step(policy.act(obs, info))
            assert not terminated.any()
            total += reward
            violated.append((info["n_voltage_violations"] > 0) | (info["cost_thermal_overload"] > 0.0))
        found[rule] = (float(total.mean()), float(np.mean(violated)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("identity", "rows"),
    [("EVCharging-33bw-v0", 8), pytest.param("EVCharging-european_lv-v0", 4, marks=pytest.mark.slow)],
)
def test_charging_as_cars_come_violates_and_pays_the_peak(identity: str, rows: int) -> None:
    """Capability 57: valleys and cheap hours are worth more than charging at once; chance is worth less."""
    told = play(f"distgrid/{identity}", rows)
    asap, violated = told["ev-asap"]
    assert told["do-nothing"] == told["ev-asap"]
    assert told["random"][0] < asap - 0.02 * abs(asap), told
    for rule in ("ev-valley-filling", "ev-cheapest"):
        assert told[rule][0] > asap + 0.03 * abs(asap), told
    assert violated > 0.03
    assert told["ev-valley-filling"][1] < violated


def test_a_car_park_needs_so_many_times_the_energy() -> None:
    """Conservation: what flows in a day is `cars` times that of one car with a share of the power."""
    taken = []
    for cars in (1, 7):
        park = EV(18, p_mw=0.004 * cars, cars=cars, undelivered_cost_per_mwh=100.0)
        env = DistGridEnv(FEEDER, [park], EVCharging(Duration(hours=24)), days=range(8, 15))
        day = []
        for number in range(8, 15):
            env.reset(seed=number, options={"day": number})
            flows = [-env.step(env.neutral_action)[4]["delivered"]["p_mw"][0] for _ in range(96)]
            day.append(0.25 * sum(flows))
        taken.append(np.array(day))
    assert taken[0].max() > 0.0
    np.testing.assert_allclose(taken[1], 7.0 * taken[0], rtol=1e-9)


@pytest.mark.parametrize("cars", [0, -3, 1.5, True])
def test_bad_numbers_of_cars_are_refused(cars: Any) -> None:
    with pytest.raises(ValueError, match="EV at bus 18: cars must be a whole number of at least 1, got"):
        EV(18, p_mw=0.1, cars=cars)


def test_sessions_of_ones_own_say_what_all_cars_need() -> None:
    with pytest.raises(ValueError, match=r"EV at bus 18: cars=5 is for days that are drawn"):
        EV(18, p_mw=0.1, cars=5, sessions=[(1.0, 5.0, 0.1)])


def test_what_is_owed_at_the_end_is_settled() -> None:
    """A car that stays beyond the end of the episode is no reason to put charging off: trap 36, for cars."""
    price = np.full(96 * 366, 50.0)
    night = [(18.0, 7.0, 0.2)]
    task = EVCharging(Duration(hours=24), v_band=(0.5, 1.5), overload_usd_mva=0.0, settlement_spread=0.0)
    returns = []
    for action in (-1.0, 1.0):  # at once, or nothing from 17:00 on
        env = DistGridEnv(FEEDER, [EV(2, 0.1, sessions=night)], task, load=flat_load(0.1), prices=price)
        env.reset(seed=0)
        returns.append(sum(env.step([-1.0 if k < 68 else action])[1] for k in range(96)))
    assert returns[0] == pytest.approx(returns[1], rel=1e-3)
