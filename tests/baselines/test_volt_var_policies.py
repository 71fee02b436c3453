"""Volt/VAR policies on environments: the optimum of a step, the table, droops that know the network."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.integer_search import best_found, best_of_all, descended_together
from distgrid.baselines.optimal.volt_var.policies import LOAD_LEVELS, SUN_LEVELS, interpolated
from distgrid.baselines.optimal.volt_var.step_planners import step_planner
from distgrid.baselines.policy import scenario_of
from distgrid.baselines.scripted.droop import OptimisedDroop


def returned(name: str, env_id: str, day: int, steps: int) -> float:
    """The return of the first steps of a day."""
    with gymnasium.make(f"distgrid/{env_id}", split="test") as env:
        policy = baselines.make(name, env)
        start = int(scenario_of(env).starts[day] // scenario_of(env).calendar.steps_per_day)
        obs, info = env.reset(seed=0, options={"day": start})
        policy.reset(obs, info)
        total = 0.0
        for _ in range(steps):
            obs, reward, _, _, info = env.step(policy.act(obs, info))
            total += float(reward)
    return total


@pytest.mark.slow
def test_knowing_more_brings_more() -> None:
    """Row 67, 71: on a test day of VoltVar-33bw the optimum of each step is above the table, and that and the
    fitted droop above the curve of the standard, which is above doing nothing.
    """
    names = ("vvo-optimal", "vvo-plan", "droop-optimised", "volt-var-ieee1547", "do-nothing")
    found = {name: returned(name, "VoltVar-33bw-hourly-v1", 3, 24) for name in names}
    assert found["vvo-optimal"] > found["vvo-plan"] > found["volt-var-ieee1547"] > found["do-nothing"]
    assert found["vvo-optimal"] > found["droop-optimised"] > found["volt-var-ieee1547"]


def test_the_step_of_a_per_phase_feeder_is_at_least_a_peak_of_single_moves() -> None:
    """Row 71: on VoltVar3-ieee13 the action of the planner brings more than leaving everything, and no other
    position of one tap changer brings more when it is played in its place.
    """
    env = gymnasium.make("distgrid/VoltVar3-ieee13-v1", split="test")
    scenario = scenario_of(env)
    day = int(scenario.starts[0] // 96)

    def played(action: Any) -> float:
        env.reset(seed=0, options={"day": day})
        return float(env.step(np.asarray(action, dtype=np.float32))[1])

    env.reset(seed=0, options={"day": day})
    best = step_planner(scenario).decide(scenario.window(horizon=1))
    value = played(best)
    assert value > played(scenario.neutral_action)
    for dim in scenario.action_layout:
        if dim.quantity == "tap":
            for step in (-2.0 / 32, 2.0 / 32):
                other = best.copy()
                other[dim.index] = np.clip(other[dim.index] + step, -1.0, 1.0)
                assert played(other) <= value + 1e-6
    env.close()


def test_names_and_what_they_refuse() -> None:
    """The policies are registered; the relays have a second name; what has nothing to set is told."""
    assert {"vvo-optimal", "vvo-plan", "regulator-local", "droop-optimised"} < set(baselines.names())
    with gymnasium.make("distgrid/VoltVar3-ieee13-v1") as env:
        policy = baselines.make("regulator-local", env)
        obs, info = env.reset(seed=0)
        policy.reset(obs, info)
        other = baselines.make("local-control", env)
        other.reset(obs, info)
        assert policy.name == "regulator-local"
        assert (policy.act(obs, info) == other.act(obs, info)).all()
    with gymnasium.make("distgrid/HostingCapacity-33bw-v0") as env:
        for name in ("vvo-optimal", "vvo-plan", "droop-optimised"):
            with pytest.raises(RunError, match="choose another policy"):
                baselines.make(name, env)


def test_the_fitted_droop_is_seeded_and_falls_with_the_voltage() -> None:
    """Slopes are 0 or more, the same for the same seed, and not all alike; Q falls with the voltage."""
    with gymnasium.make("distgrid/VoltVar-33bw-v1") as env:
        env.reset(seed=0)
        first, again = (OptimisedDroop(env, seed=3) for _ in range(2))
        slope, reference = first.fitted
        assert (slope == again.fitted[0]).all()
        assert reference == again.fitted[1]
        assert (slope >= 0.0).all()
        assert len(set(np.round(slope / first.inverters.s_mva, 6))) > 1
        low, high = (first.target_mvar(np.full((1, slope.size), v), np.zeros((1, 1))) for v in (0.96, 1.04))
        assert (low >= high).all()


def test_a_table_is_read_between_its_points() -> None:
    """Bilinear by hand: on points their values, half way the mean, beyond the edge."""
    rng = np.random.default_rng(0)
    table = rng.uniform(-1.0, 1.0, (len(LOAD_LEVELS), len(SUN_LEVELS), 3))
    for a, b in itertools.product(range(len(LOAD_LEVELS)), range(len(SUN_LEVELS))):
        assert interpolated(table, LOAD_LEVELS[a], SUN_LEVELS[b]) == pytest.approx(table[a, b])
    middle = interpolated(table, 0.5 * sum(LOAD_LEVELS[1:3]), 0.5 * sum(SUN_LEVELS[2:4]))
    assert middle == pytest.approx(table[1:3, 2:4].mean(axis=(0, 1)))
    assert interpolated(table, 5.0, -1.0) == pytest.approx(table[-1, 0])


def test_descents_end_where_no_single_move_gains() -> None:
    """On a random quadratic of whole numbers both descents end at such a point, and all settings together are
    no worse than either.
    """
    rng = np.random.default_rng(5)
    root, centre = rng.standard_normal((4, 4)), rng.uniform(0.0, 6.0, 4)
    choices = [np.arange(7)] * 4

    def judge(values: Any) -> Any:
        apart = (values - centre) @ root
        return np.zeros(len(values)), (apart**2).sum(axis=1)

    exact = best_of_all(choices, judge)
    for found in (
        descended_together(choices, judge, np.zeros(4, dtype=np.int64)),
        best_found(choices, judge, [np.zeros(4, dtype=np.int64)]),
    ):
        assert found.merit >= exact.merit
        for k, value in itertools.product(range(4), range(7)):
            moved = found.setting.copy()
            moved[k] = value
            assert judge(moved[None])[1][0] >= found.merit[1] - 1e-12
    assert best_found(choices, judge, [exact.setting]).merit == exact.merit


def test_a_task_without_losses_and_voltages_has_no_droop_to_fit() -> None:
    """It is said when the policy is made, not in the middle of a run: certificates skip it."""
    with gymnasium.make("distgrid/DERDispatch-ieee123-v0") as env:
        with pytest.raises(RunError, match="droop-optimised: the task rewards neither losses nor voltages"):
            baselines.make("droop-optimised", env)
        assert "droop-optimised" not in baselines.registry.fitting(env)
