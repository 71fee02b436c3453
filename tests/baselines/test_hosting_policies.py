"""Hosting capacity by looking ahead, as policies: no violation, more than the rule, rows of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from distgrid import baselines, cases
from distgrid.baselines.errors import RunError
from distgrid.envs import DistGridEnv, HostingCapacity, HostingSite, SeriesLoad, VoltVar

ID = "distgrid/HostingCapacity-33bw-v0"
NAMES = ("host-sweep", "host-bisection", "optimal")


def nominal() -> Any:
    """The feeder of the hosting tables: case33bw with 1.0 pu at its source."""
    return cases.load("case33bw").with_source(v_pu=1.0)


def at_nominal_load(*sites: HostingSite) -> DistGridEnv:
    """It never overloads, and has its nominal load in every interval."""
    feeder = nominal()
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    load = SeriesLoad(feeder, np.tile(p, (96, 1)), np.tile(q, (96, 1)))
    task = HostingCapacity(v_band=(0.9, 1.05), most_loading=1e6)
    return DistGridEnv(feeder, list(sites), task, load=load)


def connected_mw(env: DistGridEnv, policy: Any) -> float:
    """What a policy connects in an episode, which no violation ends."""
    observation, info = env.reset(seed=0)
    policy.reset(observation, info)
    total, done = 0.0, False
    while not done:
        observation, reward, terminated, truncated, info = env.step(policy.act(observation, info))
        assert not terminated
        total, done = total + float(reward), truncated
    return total


@pytest.mark.quick(1)
@pytest.mark.parametrize("env", ["33bw", "118zh", "141"])
def test_looking_ahead_beats_the_rule_and_violates_nothing(env: str) -> None:
    """Capability 38: candidates are swept until a limit is passed; what is connected never passes one."""
    result = baselines.rollout(
        f"distgrid/HostingCapacity-{env}-v0", ["host-nearest", *NAMES], 3, progress=False
    )
    found = {one.policy: one for one in result.summary}
    for name in NAMES:
        assert found[name].return_mean > 1.15 * found["host-nearest"].return_mean
        assert found[name].n_steps == 3 * 24, "no episode ended by a violation"
    assert found["optimal"].return_mean > 1.02 * found["host-bisection"].return_mean


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_played_as_alone(name: str) -> None:
    envs: Any = gym.make_vec(ID, num_envs=3, vectorization_mode="vector_entry_point", split="test")
    batch = baselines.make(name, envs)
    observation, infos = envs.reset(seed=2)
    batch.reset(observation, infos)
    singles: list[Any] = [gym.make(ID, split="test").unwrapped for _ in range(3)]
    alone = [baselines.make(name, env) for env in singles]
    for row, env in enumerate(singles):
        alone[row].reset(*env.reset(seed=2 + row))
    for _ in range(6):
        actions = batch.act(observation, infos)
        for row, env in enumerate(singles):
            np.testing.assert_array_equal(actions[row], alone[row].act(env.obs(), {}))
            env.step(actions[row])
        observation, _, _, _, infos = envs.step(actions)


def test_bisection_connects_all_that_one_site_takes() -> None:
    """One site that asks for more than fits: what is connected is the hosting capacity, to a few kW."""
    from distgrid.baselines.hosting.capacity import hosting_capacity
    from distgrid.baselines.hosting.limits import HostingLimits

    env = at_nominal_load(HostingSite("18", p_mw=2.0, step_mw=0.15))
    total = connected_mw(env, baselines.make("host-bisection", env))
    limits = HostingLimits((0.9, 1.05), 0.03, None)
    found = hosting_capacity(nominal(), limits=limits)
    most = found.max_mw[found.sites.name.index("18")]
    assert most - 5e-3 <= total <= most


def test_a_run_is_resumed_and_other_environments_are_refused(tmp_path: Path) -> None:
    for computed in (1, 0):
        result = baselines.rollout(ID, ["host-sweep"], 1, out=tmp_path / "run", progress=False)
        assert (result.computed > 0) == bool(computed)
    with pytest.raises(RunError, match="no HostingSite"):
        baselines.make("host-sweep", DistGridEnv("case33bw"))
    with pytest.raises(RunError, match="not of VoltVar"):
        baselines.make("host-bisection", DistGridEnv("case33bw", [HostingSite("18", 1.0, 0.1)], VoltVar()))


def test_the_largest_total_of_two_sites_in_a_row_is_that_of_a_fine_grid() -> None:
    """Exhaustive: sizes every 10 kW; the plan is as large as the best of them, up to the grid."""
    env = at_nominal_load(
        HostingSite("18", p_mw=1.5, step_mw=0.2), HostingSite("30", p_mw=1.2, step_mw=0.2)
    )  # fmt: skip
    policy: Any = baselines.make("optimal", env)
    total = connected_mw(env, policy)
    observation, _ = env.reset(seed=0)
    shown = np.asarray(observation, dtype=float)
    grid = policy._opening(shown, policy._shown(shown[None])[0], np.arange(2))
    a, b = (axis.ravel() for axis in np.meshgrid(np.arange(0, 1.5, 0.01), np.arange(0, 1.21, 0.01)))
    kept = grid.kept(np.column_stack([a, b]))
    best = float((a + b)[kept].max())
    assert best - 1e-4 <= total <= best + 0.02
