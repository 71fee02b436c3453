"""Days per phase with all kinds of devices: what the plan promises is paid; it never ends below its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.optimal.affine import FloatArray
from distgrid.baselines.optimal.bracket import played
from distgrid.baselines.optimal.phase_day.fleet import FleetRows
from distgrid.baselines.optimal.phase_day.model import LocalModel
from distgrid.baselines.optimal.phase_day.plan import plan_phase_day
from distgrid.baselines.optimal.phase_day.start import Start, started
from distgrid.baselines.optimal.phase_day.steps import free_columns, stepped
from distgrid.baselines.policy import scenario_of
from distgrid.cases.profiles import Duration
from distgrid.envs import DistGrid3PhaseEnv
from distgrid.envs.resources import DataCenter, FlexibleLoad, Generator, HeatPump, SoftOpenPoint
from distgrid.envs.tasks import DERDispatch

#: Generators and flexible loads; a dispatch signal; inverters that follow functions of their own.
DAYS = (("DERDispatch-ieee123-v0", 160, 3), ("SetpointTracking-ieee123-v0", 160, 3),
        ("EVCharging-european_lv-v0", 10, 1.5))  # fmt: skip
RULES = {
    "DERDispatch-ieee123-v0": ("battery-price", "ev-cheapest", "volt-var-fuzzy"),
    "SetpointTracking-ieee123-v0": ("track-setpoint", "volt-var-fuzzy"),
    "EVCharging-european_lv-v0": ("ev-cheapest", "ev-valley-filling"),
}


def shortened(name: str, hours: float) -> Any:
    """The registered environment, its day cut short."""
    task = scenario_of(gymnasium.make(f"distgrid/{name}", disable_env_checker=True)).task
    task = dataclasses.replace(task, episode=Duration(hours=hours))
    return gymnasium.make(f"distgrid/{name}", split="test", task=task, disable_env_checker=True)


def ruled(env: Any, rule: str, day: int) -> FloatArray:
    """(steps, n_actions) what a rule does on a day."""
    policy = baselines.make(rule, env)
    obs, info = env.reset(seed=0, options={"day": day})
    policy.reset(obs, info)
    actions, over = [], False
    while not over:
        actions.append(policy.act(obs, info))
        obs, _, terminated, truncated, info = env.step(actions[-1])
        over = terminated or truncated
    return np.array(actions, dtype=np.float64)


def planned(env: Any, day: int, start: Start | None = None) -> Any:
    """The plan of the day."""
    env.reset(seed=0, options={"day": day})
    return plan_phase_day(scenario_of(env), start=start)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("name", "day", "hours"), DAYS)
def test_what_the_plan_promises_is_paid_and_beats_every_rule(name: str, day: int, hours: float) -> None:
    """Row 77: started with the best rule, on the power flow of the environment itself."""
    env = shortened(name, hours)
    rules = [started(env, ruled(env, rule, day), day, 0) for rule in RULES[name]]
    starts: Sequence[Start] = [one for one in rules if one is not None]
    assert len(starts) == len(RULES[name])
    best = max(starts, key=lambda one: one.value)
    assert best.value == played(env, best.actions, day, 0)
    plan = planned(env, day, best)
    assert played(env, plan.actions, day, 0) == pytest.approx(plan.value, rel=1e-6, abs=1e-4)
    assert plan.value > best.value


def test_every_kind_of_device_is_planned() -> None:
    """Row 77: heat pumps, data centers, soft open points, flexible loads and generators side by side."""
    fleet = [
        DataCenter("671", 0.3, 500.0, deadline_h=1.0), HeatPump("675", 0.2), Generator("680", 0.2, 40.0),
        SoftOpenPoint("675", "671", 0.1),
        FlexibleLoad("671", 0.1, 0.05, curtail_cost_per_mwh=300.0, return_h=2.0),
    ]  # fmt: skip
    task = dataclasses.replace(DERDispatch(), episode=Duration(hours=3))
    env = DistGrid3PhaseEnv("ieee13", fleet, task=task, split="test")
    plan, rest = planned(env, 160), scenario_of(env).neutral_action[None].astype(np.float64)
    paid = played(env, plan.actions, 160, 0)
    assert paid == pytest.approx(plan.value, rel=1e-6)
    assert paid > played(env, np.repeat(rest, len(plan.actions), axis=0), 160, 0)


def test_a_start_that_nothing_passes_is_where_the_plan_ends() -> None:
    """Somebody's day with a return that cannot be: its actions come back, to the last bit."""
    env = shortened("VoltVar3-ieee13-v1", 1)
    start = started(env, ruled(env, "volt-var-fuzzy", 160), 160, 0)
    assert start is not None
    plan = planned(env, 160, dataclasses.replace(start, value=1.0))
    assert plan.value == 1.0
    np.testing.assert_array_equal(plan.actions, start.actions)
    assert planned(env, 160, start).value > start.value


@pytest.mark.parametrize("bends", [1, 8])
def test_a_step_is_the_least_of_its_model(bends: int) -> None:
    """Where nothing binds, the step of a model with few directions costs what -H^-1 g does."""
    env = shortened("VoltVar3-ieee13-v1", 1)
    env.reset(seed=0, options={"day": 160})
    scenario = scenario_of(env)
    window = scenario.window()
    reach = np.array([max(unit.s_mva, 0.0) for unit in scenario.units])
    columns, rng = free_columns(FleetRows(scenario, window), reach), np.random.default_rng(bends)
    n, steps = columns.size, window.t_index.size
    roots = rng.normal(size=(steps, bends, n)) / columns.reach
    bend = np.einsum("tki,tkj->tij", roots, roots)
    inside = 0.05 * columns.reach * rng.uniform(-1.0, 1.0, (steps, n))
    inside[:, : columns.p.size] = 0.0  # at night the sun offers nothing
    slope = -np.einsum("tij,tj->ti", bend, inside)
    model = LocalModel(np.zeros((steps, n)), np.zeros(steps), slope, bend, ())
    step = stepped(FleetRows(scenario, window), columns, model, np.full(steps, 0.2))
    found = columns.of(step.p_mw, step.q_mvar)
    assert model.predicted(found) == pytest.approx(model.predicted(inside), rel=1e-4)
