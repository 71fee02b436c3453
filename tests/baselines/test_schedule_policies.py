"""Policies that schedule a day: the plan of who knows it, and batteries that keep the feeder's own sun."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.policy import scenario_of
from distgrid.envs import PV, EnvOptions, make_env

pytest.importorskip("clarabel")


def played(env: Any, name: str, day: int) -> tuple[float, Any]:
    """Return of a day, and what batteries delivered."""
    policy = baselines.make(name, env)
    obs, info = env.reset(seed=0, options={"day": day})
    policy.reset(obs, info)
    total, powers, over = 0.0, [], False
    while not over:
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        total += float(reward)
        powers.append(np.array(info["delivered"]["p_mw"]))
        over = terminated or truncated
    return total, np.array(powers)


@pytest.mark.slow
def test_the_schedule_of_who_knows_the_day_beats_every_rule() -> None:
    """Row 47: on a day of DERDispatch-33bw the plan is worth more than rules and than doing nothing."""
    with gymnasium.make("distgrid/DERDispatch-33bw-v0", disable_env_checker=True) as env:
        value, _ = played(env, "schedule-optimal", 200)
        for rule in ("battery-price", "self-consumption", "do-nothing"):
            other, powers = played(env, rule, 200)
            assert value > other, rule
            assert np.isfinite(powers).all()


def test_nothing_to_schedule_is_said() -> None:
    """Inverters alone have no day to plan."""
    env = make_env(EnvOptions("case33bw", resources=(PV("18", p_mw=0.5),)))
    with pytest.raises(RunError, match="nothing to schedule here: expected a device of kind battery"):
        baselines.make("schedule-optimal", env)


def test_self_consumption_gives_only_what_it_took_up() -> None:
    """Batteries charge while the feeder would export, and never end below their beginning."""
    with gymnasium.make("distgrid/PeakShaving-33bw-v0", disable_env_checker=True) as env:
        _, powers = played(env, "self-consumption", 200)
        at = [k for k, unit in enumerate(scenario_of(env).units) if unit.kind == "battery"]
        energy = powers[:, at].sum(axis=1).cumsum()
        assert energy.max() <= 1e-3 * max(1.0, -energy.min())
