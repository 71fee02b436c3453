"""The scripted policies on the registered volt-var environment: they run, help, and deliver what they ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

import distgrid
from distgrid import baselines
from distgrid.baselines.rollouts.env_source import episode_day
from distgrid.cases import profiles

ENV = f"{distgrid.__name__}/VoltVar-33bw-v0"


@pytest.fixture(scope="module")
def grid() -> Iterator[Any]:
    env = gymnasium.make(ENV, split="test", disable_env_checker=True)
    yield env
    env.close()


def test_every_policy_plays_a_day_and_the_droops_help() -> None:
    """Trap 23: no baseline is a silent no-op; each droop has less violation cost than doing nothing."""
    elsewhere = (  # no relays, no cars, no task in money here; planners have tests of their own
        "local-control", "ev-asap", "ev-valley-filling", "ev-cheapest", "host-nearest", "host-sweep",
        "host-bisection", "battery-price", "peak-shave", "track-setpoint", "optimal", "mpc", "mpc-perfect",
        "schedule-optimal", "self-consumption",
    )  # fmt: skip
    names = [name for name in baselines.names() if name not in elsewhere]
    result = baselines.rollout(ENV, names, 2, progress=False)
    cost = {s.policy: s.violation_cost_per_day for s in result.summary}
    assert all(s.n_steps == 2 * 96 and s.n_failed_power_flows == 0 for s in result.summary)
    assert cost["do-nothing"] > 0.0
    for name in ("volt-var-ieee1547", "volt-var-ieee1547-a", "volt-var-fuzzy"):
        assert cost[name] < 0.5 * cost["do-nothing"], name
    assert cost["volt-var-vde4105"] < cost["do-nothing"]
    assert len({s.return_mean for s in result.summary}) == len(result.summary) - 3  # b, large and large again


def test_relays_help_a_per_phase_feeder_and_are_refused_elsewhere() -> None:
    """Capability 8: taps and banks under their own relays violate less than left alone."""
    names = ("do-nothing", "local-control")
    result = baselines.rollout("distgrid/VoltVar3-ieee13-v0", names, 3, progress=False)
    cost = {s.policy: s.violation_cost_per_day for s in result.summary}
    assert 0.0 < cost["local-control"] < 0.8 * cost["do-nothing"]
    with pytest.raises(baselines.RunError):
        baselines.rollout(ENV, "local-control", 1, progress=False)


@pytest.mark.parametrize("name", ["volt-var-fuzzy", "volt-var-ieee1547"])
def test_setpoints_are_delivered(name: str, grid: Any) -> None:
    """Capability 117: the inverter delivers Q as asked; the fuzzy one never costs active power."""
    policy = baselines.make(name, grid)
    units = grid.unwrapped.fleet.units("pv")
    day = episode_day(profiles.split_days("test"), 2)
    obs, info = grid.reset(seed=0, options={"day": day})
    policy.reset(obs, info)
    asked_most = 0.0
    for _ in range(96):
        offered = np.array([obs[u.observation["p_avail_mw"]] for u in units], dtype=float)
        action = policy.act(obs, info)
        obs, _, terminated, truncated, info = grid.step(action)
        delivered = info["delivered"]
        for k, unit in enumerate(units):
            asked = float(action[unit.action_q]) * unit.q_max_mvar
            asked_most = max(asked_most, abs(asked) / unit.q_max_mvar)
            assert delivered["q_mvar"][unit.index] == pytest.approx(asked, abs=1e-9)
            if name == "volt-var-fuzzy":
                assert delivered["p_mw"][unit.index] == pytest.approx(offered[k], rel=1e-6, abs=1e-9)
        assert not terminated
    assert truncated
    assert asked_most > 0.3


def test_sign_on_the_grid(grid: Any) -> None:
    """Absorbing lowers the voltage, injecting raises it: both extremes move inwards with the droop."""
    result = baselines.rollout(grid, ("do-nothing", "volt-var-ieee1547"), 6, progress=False)
    highest = {
        policy: max(e["v_max_pu"] for e in result.episodes.to_pylist() if e["policy"] == policy)
        for policy in ("do-nothing", "volt-var-ieee1547")
    }
    lowest = {
        policy: min(e["v_min_pu"] for e in result.episodes.to_pylist() if e["policy"] == policy)
        for policy in ("do-nothing", "volt-var-ieee1547")
    }
    assert highest["do-nothing"] > 1.03
    assert highest["volt-var-ieee1547"] < highest["do-nothing"] - 0.002
    assert lowest["volt-var-ieee1547"] > lowest["do-nothing"] + 0.005
