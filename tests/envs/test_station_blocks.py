"""What charging stations show beside their state: how urgent a car is, what its cheapest plan does now."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import baselines
from distgrid.envs import EV, PV, DistGridEnv, EVCharging
from distgrid.envs.kernels.prices import plan_now, plan_price

from .world import FEEDER, flat_load

PER_DAY, PUBLISHED, DT_H = 24, 13.0, 1.0


def announced(price: Any, now: int, at: int) -> float:
    """The price of hour `at` as it is known in hour `now`: of the same time a day earlier where it is not."""
    known = now // PER_DAY + (now % PER_DAY >= PUBLISHED)
    while at // PER_DAY > known or at >= price.size:
        at -= PER_DAY
    return float(price[at])


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_plan_by_hand(seed: int) -> None:
    """Capability 57: the plan fills the cheapest hours first; whole hours, a rest, and what does not fit."""
    rng = np.random.default_rng(seed)
    price = rng.choice([-5.0, 20.0, 20.0, 35.0, 80.0], size=4 * PER_DAY)
    now, stay = int(rng.integers(0, 4 * PER_DAY)), int(rng.integers(1, 30))
    wanted = float(rng.uniform(0.0, 1.3 * stay))
    seen = [announced(price, now, now + k) for k in range(stay)]
    order = sorted(range(stay), key=lambda k: (seen[k], k))
    plan, left = np.zeros(stay), wanted
    for k in order:
        plan[k] = min(left, 1.0)
        left -= plan[k]
    bill = float(plan @ seen) + left * 500.0
    t_index, until_h, asked = np.array([now]), np.array([[float(stay)]]), np.array([[wanted]])
    share, paid = np.empty((1, 1)), np.empty((1, 1))
    plan_now(price, t_index, until_h, asked, PER_DAY, PUBLISHED, DT_H, share)
    plan_price(price, t_index, until_h, asked, np.array([500.0]), PER_DAY, PUBLISHED, DT_H, paid)
    assert share[0, 0] == pytest.approx(plan[0], abs=1e-12)
    assert paid[0, 0] == pytest.approx(bill, rel=1e-12)


@pytest.mark.parametrize("identity", ["distgrid/EVCharging-33bw-v0", "distgrid/EVCharging-european_lv-v0"])
def test_who_follows_the_plan_does_what_the_rule_of_cheap_hours_does(identity: str) -> None:
    """The rule plans by itself, from the same prices: in every interval both charge the same."""
    env: Any = gym.make(identity, split="test")
    grid = env.unwrapped
    layout, units = grid.scenario.layout, grid.fleet.units("ev")
    plan, columns = layout["ev.cheapest_plan"], [unit.action_p for unit in units]
    p_mw, v2g_mw = (
        np.concatenate([getattr(p, name) for p in grid.fleet.programs if p.kind == "ev"])
        for name in ("rated_p_mw", "v2g_mw")
    )
    rule = baselines.make("ev-cheapest", env)
    obs, info = env.reset(seed=3, options={"day": int(grid.days[10])})
    rule.reset(obs, info)
    over, charged = False, 0.0
    while not over:
        action = rule.act(obs, info)
        power = 1.0 - 0.5 * (1.0 + np.asarray(action)[columns]) * (p_mw + v2g_mw) / p_mw
        np.testing.assert_allclose(obs[plan], power, atol=1e-4)  # the rule asks for a millionth more
        charged += float(power.sum())
        obs, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    assert charged > len(units)
    env.close()


def test_urgency_is_the_time_that_is_needed_over_the_time_that_is_left() -> None:
    """1 where a car must charge at once, at most 2, and 0 where none is."""
    stations = [
        EV(30, p_mw=0.1, sessions=[(0.0, 4.0, 0.19)], name="half"),
        EV(18, p_mw=0.1, sessions=[(0.0, 1.0, 0.38)], name="late"),
        EV(25, p_mw=0.1, sessions=[(8.0, 9.0, 0.05)], name="empty"),
    ]
    env = DistGridEnv(FEEDER, [*stations, PV(14, 0.1)], EVCharging(), load=flat_load())
    obs, _ = env.reset(seed=0)
    entries = [row for row in env.layout.describe() if row.name.endswith(".urgency")]
    assert [(row.name, row.unit, row.bus) for row in entries] == [
        ("half.urgency", "1", "30"), ("late.urgency", "1", "18"), ("empty.urgency", "1", "25"),
    ]  # fmt: skip
    np.testing.assert_allclose(obs[env.scenario.layout["ev.urgency"]], [0.5, 2.0, 0.0], rtol=1e-6)


def test_a_station_that_sees_itself_alone_knows_urgency_and_no_prices_ahead() -> None:
    """The ladder: the plan rests on prices that are announced, which the level "local" does not show."""
    seen = {}
    for level in ("local", "local+forecast", "global"):
        env: Any = gym.make("distgrid/EVCharging-33bw-v0", observation=level)
        seen[level] = set(env.unwrapped.scenario.layout)
    assert "ev.urgency" in seen["local"]
    assert "ev.cheapest_plan" not in seen["local"]
    assert {"ev.urgency", "ev.cheapest_plan"} <= seen["local+forecast"] & seen["global"]


def test_a_task_of_charging_without_stations_has_no_such_columns() -> None:
    """No station, no column; the environment runs."""
    env = DistGridEnv(FEEDER, [PV(14, 0.1, controls="q")], EVCharging(), load=flat_load())
    obs, _ = env.reset(seed=0)
    assert not [row for row in env.layout.describe() if row.name.endswith((".urgency", ".cheapest_plan"))]
    assert np.isfinite(obs).all()
