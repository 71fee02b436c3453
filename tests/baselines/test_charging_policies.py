"""Charging as soon as possible and into the valley: who gets what, when, and what the load becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distgrid import EV, Battery, DistGridEnv, baselines, cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.scripted.charging import fill_valley, known_prices, mean_day, train_days
from distgrid.cases.profiles import Duration
from distgrid.envs import DistGridVectorEnv, LossMinimisation, SeriesLoad

FEEDER = cases.load("case33bw")
NIGHT = [(0.0, 7.0, 0.1), (18.0, 24.0, 0.12)]
POLICIES = ("ev-asap", "ev-valley-filling", "ev-cheapest")


def stations(**options: Any) -> list[EV]:
    return [EV(bus, 0.05, sessions=NIGHT, name=f"station_{bus}", **options) for bus in (18, 25, 30, 33)]


def played(policy: str, env: DistGridEnv) -> dict[str, np.ndarray]:
    """Power of each station (96, n) in MW, load of the feeder (96,), cost (96,)."""
    obs, info = env.reset(seed=1, options={"day": 200})
    chosen = baselines.make(policy, env)
    chosen.reset(obs, info)
    power, cost = [], []
    load = []
    for _ in range(96):
        load.append(env.grid.stepper.load_p_mw[0].sum())
        obs, _, _, _, info = env.step(chosen.act(obs, info))
        power.append(-info["delivered"]["p_mw"][:4])
        cost.append(info["cost_resource"])
    return {"p": np.array(power), "load": np.array(load), "cost": np.array(cost)}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("v2g_mw", [0.0, 0.03])
def test_every_car_leaves_with_what_it_needs(policy: str, v2g_mw: float) -> None:
    """Capability 57: both policies, also where actions in between mean something else."""
    env = DistGridEnv(FEEDER, stations(v2g_mw=v2g_mw))
    told = played(policy, env)
    assert (told["cost"] == 0.0).all()
    np.testing.assert_allclose(0.25 * told["p"].sum(axis=0), 0.22 / 0.95, rtol=1e-9)
    assert told["p"].min() >= 0.0


def test_the_valley_is_filled_and_the_peak_is_not_raised() -> None:
    """Trap 26: cars charge when the load is low, not when it is high; all of them see each other."""
    shape = 1.0 + 0.5 * np.cos(2 * np.pi * (np.arange(96) - 76) / 96)  # peak at 19:00
    p, q = (shape[:, None] * FEEDER.column("nodes", c) for c in ("load_p_mw", "load_q_mvar"))
    told = {}
    for policy in POLICIES:
        env = DistGridEnv(FEEDER, stations(), load=SeriesLoad(FEEDER, 0.3 * p, 0.3 * q))
        obs, info = env.reset(seed=0, options={"day": 0})
        chosen = baselines.make(policy, env)
        chosen.reset(obs, info)
        total = []
        for k in range(96):
            obs, _, _, _, info = env.step(chosen.act(obs, info))
            total.append(0.3 * p[k].sum() - info["delivered"]["p_mw"].sum())
        told[policy] = np.array(total)
    load = 0.3 * p.sum(axis=1)
    assert told["ev-asap"].max() > load.max() + 0.1
    assert told["ev-valley-filling"].max() == pytest.approx(load.max(), abs=1e-6)
    night = told["ev-valley-filling"][72:]  # 18:00 to 24:00: what is charged lies on one level
    added = night - load[72:] > 1e-5
    full = night - load[72:] > 4 * 0.05 - 1e-5
    flat = night[added & ~full]
    assert flat.size > 3
    assert np.ptp(flat) < 1e-5


def test_other_devices_rest() -> None:
    env = DistGridEnv(FEEDER, [*stations(), Battery(20, 0.2, 0.8)])
    for policy in POLICIES:
        obs, info = env.reset(seed=0)
        chosen = baselines.make(policy, env)
        chosen.reset(obs, info)
        assert chosen.act(obs, info)[4] == 0.0


@pytest.mark.parametrize("policy", [*POLICIES, "do-nothing", "random"])
def test_rows_of_a_vector_environment(policy: str) -> None:
    """One policy for a batch: row by row what a policy of that row alone does."""
    fleet = [EV(18, 0.0074), EV(25, 0.0074), Battery(30, 0.2, 0.8)]
    many = DistGridVectorEnv(num_envs=3, case=FEEDER, resources=fleet, threads=1)
    batch = baselines.make(policy, many)
    batch.seed(5)
    obs, infos = many.reset(seed=4, options={"day": 173})
    batch.reset(obs, infos)
    singles = []
    for row in range(3):
        env = DistGridEnv(FEEDER, fleet)
        one, info = env.reset(seed=4 + row, options={"day": 173})
        policy_of_row = baselines.make(policy, env)
        policy_of_row.seed(5 + row)
        policy_of_row.reset(one, info)
        singles.append((env, policy_of_row, one, info))
    for _ in range(50):
        actions = batch.act(obs, infos)
        assert actions.shape == (3, 3)
        obs, _, _, _, infos = many.step(actions)
        for row, (env, policy_of_row, one, info) in enumerate(singles):
            action = policy_of_row.act(one, info)
            np.testing.assert_array_equal(action, actions[row])
            one, _, _, _, info = env.step(action)
            singles[row] = env, policy_of_row, one, info


@settings(max_examples=60)
@given(
    arrays(np.float64, (3, 20), elements=st.floats(-2.0, 5.0)),
    arrays(np.float64, 3, elements=st.floats(0.0, 12.0)),
    arrays(np.bool_, (3, 20)),
    st.floats(0.05, 3.0),
)
def test_water_filling(load: np.ndarray, total: np.ndarray, open_: np.ndarray, limit: float) -> None:
    """Sum, limits, and one level: nothing is poured where a lower place has room."""
    plan = fill_valley(load, total, limit, open_)
    assert plan.min() >= 0.0
    assert plan.max() <= limit
    assert (plan[~open_] == 0.0).all()
    fits = limit * open_.sum(axis=1)
    np.testing.assert_allclose(plan.sum(axis=1), np.minimum(total, fits), rtol=1e-9, atol=1e-9)
    for row in range(3):
        level = (load + plan)[row]
        poured, room = plan[row] > 1e-9, open_[row] & (plan[row] < limit - 1e-9)
        if poured.any() and room.any():
            assert level[poured].max() <= level[room].min() + 1e-8


def test_the_mean_day_is_that_of_the_training_days() -> None:
    """Trap 13: nothing of the days of the test is in it."""
    env = DistGridEnv(FEEDER, stations(), split="test")
    year = np.asarray(env.load.active_mw).sum(axis=1).reshape(-1, 96)
    days = cases.profiles.split_days("train")
    assert train_days(env.load, env.profiles).tolist() == days.tolist()
    np.testing.assert_allclose(mean_day(env.load, days), year[days].mean(axis=0), rtol=1e-12)


def test_no_station_is_an_error() -> None:
    env = DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8)])
    for policy in POLICIES:
        with pytest.raises(RunError, match="no EV to charge"):
            baselines.make(policy, env)


def test_the_cheapest_known_hours_are_taken() -> None:
    """Prices of the next day are used from 13:00 on; before, those of the day stand in for them."""
    dear, cheap = 60.0, 20.0
    price = np.full(96 * 366, dear)
    price[96 * 200 + 80 : 96 * 200 + 88] = cheap  # 20:00 to 22:00
    price[96 * 201 : 96 * 201 + 8] = 0.0  # midnight to 2:00 of the next day
    night = [(18.0, 7.0, 0.25 * 0.95 * 0.05 * 10)]  # ten quarter hours
    env = DistGridEnv(
        FEEDER, [EV(18, 0.05, sessions=night)], LossMinimisation(Duration(hours=48)), prices=price,
        days=range(200, 202),
    )  # fmt: skip
    obs, info = env.reset(seed=0, options={"day": 200})
    chosen = baselines.make("ev-cheapest", env)
    chosen.reset(obs, info)
    power = []
    for _ in range(96 + 28):
        obs, *_, info = env.step(chosen.act(obs, info))
        power.append(-info["delivered"]["p_mw"][0])
    charged = np.array(power)[72:]  # from 18:00 to 7:00
    np.testing.assert_allclose(charged[24:32], 0.05, rtol=1e-5)
    np.testing.assert_allclose(charged[8:10], 0.05, rtol=1e-5)  # of the cheap ones the first two
    assert np.count_nonzero(charged > 1e-6) == 10
    ahead = np.arange(96)
    early = known_prices(price, np.array([96 * 200 + 51, 96 * 200 + 52]), ahead, 96)
    assert early[0].min() == cheap
    assert early[1].min() == 0.0
