"""Hosting capacity: sites, limits that bind where things get worse, and episodes that a task ends."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import baselines, cases
from distgrid.baselines.errors import RunError
from distgrid.cases.profiles import Duration
from distgrid.envs import DistGridEnv, DistGridVectorEnv, HostingCapacity, HostingSite, SeriesLoad, VoltVar
from distgrid.envs.tasks import StepView

from .test_vector import MODES, play_both
from .world import FEEDER, FEEDER3, flat_load, make3

REFERENCE = Path(__file__).parents[1] / "reference" / "hosting" / "per_bus.csv"
ID = "distgrid/HostingCapacity-33bw-v0"


def reference() -> list[dict[str, str]]:
    lines = REFERENCE.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def nominal(case: str) -> tuple[cases.Feeder, SeriesLoad]:
    feeder = cases.load(case).with_source(v_pu=1.0)
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    return feeder, SeriesLoad(feeder, np.tile(p, (96, 1)), np.tile(q, (96, 1)))


@pytest.mark.parametrize("row", reference(), ids=lambda row: f"{row['case']}-{row['bus']}-{row['limits']}")
def test_all_at_one_bus_reaches_the_reference_capacity(row: dict[str, str]) -> None:
    """Capability 31: tables of an independent power flow, to the last unit; the next unit violates."""
    most, steps = float(row["max_mw"]), 48
    feeder, load = nominal(row["case"])
    deviation = 0.03 if row["limits"].endswith("dev3") else 9.0
    unit = most / (steps - 8.5)
    env = DistGridEnv(
        feeder, [HostingSite(row["bus"], p_mw=2.0 * most, step_mw=unit)],
        HostingCapacity(
            Duration(hours=steps / 4), v_band=(0.9, 1.05), deviation_pu=deviation, most_loading=1e6
        ), load=load,
    )  # fmt: skip
    env.reset(seed=0)
    reached = 0.0
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step([1.0])
        if terminated:
            break
        reached += reward
    assert terminated
    assert not truncated
    assert reward == pytest.approx(-env.task.refused_weight * unit)  # type: ignore[attr-defined]
    assert most - unit <= reached <= most
    assert info["rewards"]["power_flow_failure"] == 0.0
    with pytest.raises(RuntimeError, match="reset"):
        env.step([1.0])


def test_one_site_gets_a_unit_and_no_more_than_what_asks() -> None:
    """The site with the largest action, the first of equals; nobody where none is above 0."""
    sites = [HostingSite(2, 0.5, 0.2), HostingSite(3, 0.3, 0.2), HostingSite(4, 0.5, 0.1)]
    env = DistGridEnv(FEEDER, sites, HostingCapacity(v_band=(0.5, 1.5)), load=flat_load())
    observation, info = env.reset(seed=0)
    asked = np.array([0.5, 0.3, 0.5])
    np.testing.assert_allclose(observation[env.layout["site.asked_mw"]], asked, rtol=1e-6)
    for action, expected in (
        ([-1, 0, 0], [0, 0, 0]), ([0.5, 0.4, 0.5], [0.1, 0, 0]), ([0.1, 1, 0.2], [0.1, 0.2, 0]),
        ([0, 1, -1], [0.1, 0.3, 0]), ([0, 1, 0.9], [0.1, 0.3, 0]), ([0, 0, 0.5], [0.1, 0.3, 0.05]),
    ):  # fmt: skip
        before = info["delivered"]["p_mw"]
        observation, reward, terminated, _, info = env.step(np.array(action, dtype=np.float32))
        assert not terminated
        np.testing.assert_allclose(info["delivered"]["p_mw"], expected, rtol=1e-6, atol=1e-12)
        assert reward == pytest.approx((info["delivered"]["p_mw"] - before).sum())
        connected = observation[env.layout["site.connected_mw"]]
        np.testing.assert_allclose(observation[env.layout["site.asked_mw"]] + connected, asked, rtol=1e-6)
    assert observation[env.layout["episode_left"]] == pytest.approx(10.0 / 16.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_connects_is_rewarded_once_and_stays(seed: int) -> None:
    """Conservation to 1e-9: asked = connected + still asking; the return is what is connected."""
    fleet = [HostingSite(bus, 0.4, 0.15, least_mw=0.02) for bus in (5, 12, 25)]
    rng = np.random.default_rng(seed)
    env = DistGridEnv(FEEDER, fleet, HostingCapacity(v_band=(0.5, 1.5), deviation_pu=1.0, most_loading=1e3))
    env.reset(seed=seed)
    program: Any = env.fleet.programs[0]
    asked = program.asked_mw.copy()
    assert ((asked >= 0.02 - 1e-12) & (asked <= 0.4)).all()
    earned, done, before = 0.0, False, np.zeros(3)
    while not done:
        _, reward, terminated, done, info = env.step(rng.uniform(-1, 1, 3))
        p = info["delivered"]["p_mw"]
        assert (p >= before).all()
        assert np.count_nonzero(p > before) <= 1
        assert (p <= asked[0] + 1e-12).all()
        assert not terminated
        earned, before = earned + reward, p
    assert earned == pytest.approx(before.sum(), abs=1e-9)
    np.testing.assert_array_equal(program.asked_mw, asked)


def test_what_was_violated_before_binds_only_where_it_gets_worse() -> None:
    """A band above all voltages: generation lifts them, which is no violation until they move too far."""
    site = [HostingSite(18, 2.0, 0.05)]
    task = HostingCapacity(v_band=(0.999, 1.2), most_loading=1e6)
    env = DistGridEnv(FEEDER, site, task, load=flat_load())
    env.reset(seed=0)
    opened = env.grid.stepper.v_pu.copy()
    steps, done = 0, False
    while not done:
        _, _, terminated, truncated, info = env.step([1.0])
        assert info["n_voltage_violations"] > 0
        steps, done = steps + 1, terminated or truncated
    assert terminated
    assert steps > 3
    assert np.abs(env.grid.stepper.v_pu - opened).max() > 0.03
    high = DistGridEnv(FEEDER, site, replace(task, v_band=(0.5, 0.9)), load=flat_load())
    high.reset(seed=0)
    assert high.step([1.0])[2], "voltages above the band that rise further"


def test_the_load_of_an_episode_is_the_least_of_the_days_sunny_hours() -> None:
    env = gym.make(ID).unwrapped
    assert isinstance(env, DistGridEnv)
    plain = DistGridEnv("case33bw", task=VoltVar(), v_source_pu=1.0)
    for day in (10, 200):
        first, _ = env.reset(seed=0, options={"day": day})
        loads = env.layout["load_p_mw"]
        hours = day * 96 + np.arange(40, 60)
        p, _ = plain.grid.loads(hours, 0)
        np.testing.assert_allclose(first[loads], p[p.sum(axis=1).argmin()], rtol=1e-6)
        later = env.step(env.neutral_action)[0]
        np.testing.assert_array_equal(first[loads], later[loads])
        window = env.scenario.window(horizon=4)
        np.testing.assert_allclose(window.load_p_mw[3], first[loads], rtol=1e-6)


@dataclass(frozen=True)
class Stops(VoltVar):
    """Ends when a MW is lost; compares nothing."""

    answer: Any = None

    def ends(self, view: StepView) -> NDArray[np.bool_]:
        return view.p_loss_mw > 0.15 if self.answer is None else self.answer


@pytest.mark.parametrize("mode", MODES)
def test_a_tasks_own_ending_in_every_autoreset_mode(mode: AutoresetMode) -> None:
    """A task of one's own: terminated at different steps in different rows, bit for bit as single ones."""
    growth = np.linspace(0.5, 1.4, 96)[None] * np.array([[1.0], [1.2], [0.9]])
    scale = growth.reshape(-1, 1)
    p, q = (scale * FEEDER.column("nodes", name) for name in ("load_p_mw", "load_q_mvar"))
    options: dict[str, Any] = {
        "case": FEEDER, "load": SeriesLoad(FEEDER, p, q), "resources": [HostingSite(18, 1.0, 0.1, 0.2)],
        "task": Stops(Duration(hours=12)),
    }  # fmt: skip
    apart = SyncVectorEnv([lambda: DistGridEnv(**options)] * 4, autoreset_mode=mode)
    together = DistGridVectorEnv(**options, num_envs=4, autoreset_mode=mode)
    assert play_both(together, apart, steps=100) > 0


def test_an_ending_costs_nothing_and_what_is_no_answer_is_refused() -> None:
    env = DistGridEnv(FEEDER, task=Stops(), load=flat_load(1.3))
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step([])
    assert terminated
    assert not truncated
    assert info["rewards"]["power_flow_failure"] == info["costs"]["power_flow_failure"] == 0.0
    assert info["pf_converged"]
    for answer in (np.array([1.0]), np.zeros(2, dtype=bool), None):
        bad = DistGridEnv(FEEDER, task=Stops(answer=() if answer is None else answer), load=flat_load())
        bad.reset(seed=0)
        with pytest.raises(ValueError, match=r"Stops\.ends must return 1 booleans"):
            bad.step([])


def test_a_saved_state_remembers_what_the_episode_opened_with() -> None:
    """Limits are those of the saved episode, in another environment and in rows of a vector."""
    env, other = gym.make(ID).unwrapped, gym.make(ID).unwrapped
    envs: Any = gym.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point")
    assert isinstance(env, DistGridEnv)
    assert isinstance(other, DistGridEnv)
    env.reset(seed=3, options={"day": 30})
    other.reset(seed=4, options={"day": 300})
    envs.reset(seed=9)
    rng = np.random.default_rng(0)
    env.step(rng.uniform(-1, 1, env.action_space.shape))
    state = env.get_state()
    other.set_state(state)
    envs.set_state(state)
    for _ in range(24):
        action = rng.uniform(-1, 1, env.action_space.shape)
        one, two, many = env.step(action), other.step(action), envs.step(np.stack([action] * 2))
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[0], many[0][1])
        assert one[1:4] == two[1:4] == tuple(column[0].item() for column in many[1:4])
        if one[2]:
            break
    assert one[2]


def test_sites_on_phases() -> None:
    """A single-phase site on a per-phase feeder: the deviation of any phase ends the episode."""
    env = make3(
        case=FEEDER3, resources=[HostingSite("671", 3.0, 0.3, phase="A")],
        task=HostingCapacity(most_loading=1e6, v_band=(0.5, 1.5)), load=None,
    )  # fmt: skip
    env.reset(seed=0)
    opened = env.grid.stepper.v_pu.copy()
    for _ in range(16):
        terminated = env.step([1.0])[2]
        moved = np.nanmax(np.abs(env.grid.stepper.v_pu - opened))
        assert terminated == (moved > 0.03)
        if terminated:
            break
    assert terminated


BAD: list[tuple[dict[str, Any], str]] = [
    ({"p_mw": 0.0, "step_mw": 0.1}, "p_mw must be greater than 0, got 0.0"),
    ({"p_mw": 1.0, "step_mw": 1.5}, r"step_mw must be in \(0, 1\], got 1.5"),
    ({"p_mw": 1.0, "step_mw": 0.1, "least_mw": 2.0}, r"least_mw must be in \(0, 1\], got 2.0"),
    ({"p_mw": np.nan, "step_mw": 0.1}, "p_mw must be a finite number"),
    ({"p_mw": 1.0, "step_mw": 0.1, "phase": "D"}, "phase 'D' is unknown"),
]


@pytest.mark.parametrize(("fields", "said"), BAD)
def test_bad_sites_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"HostingSite at bus 18.*{said}"):
        HostingSite(18, **fields)


def test_bad_tasks_are_refused() -> None:
    for fields, said in (
        ({"deviation_pu": 0.0}, "deviation_pu must be greater than 0"),
        ({"most_loading": -1.0}, "most_loading must be"),
        ({"refused_weight": -1.0}, "refused_weight must be at least 0"),
        ({"snapshot_hours": (12.0, 12.0)}, "snapshot_hours"),
        ({"snapshot_hours": (10.0, 25.0)}, "snapshot_hours"),
    ):
        with pytest.raises(ValueError, match=said):
            HostingCapacity(**fields)
    with pytest.raises(ValueError, match=r"no step of 0\.25 h begins between 12\.05 and 12\.2 h"):
        DistGridEnv(FEEDER, [HostingSite(18, 1.0, 0.1)], HostingCapacity(snapshot_hours=(12.05, 12.2)))


def test_connecting_at_random_pays_less_than_nothing_and_spreading_pays() -> None:
    """No degenerate task: one site alone is far from what careful spreading connects."""
    envs: Any = gym.make_vec(ID, num_envs=40, vectorization_mode="vector_entry_point", split="test")
    rng = np.random.default_rng(0)
    shape = envs.action_space.shape

    def play(act: Any) -> float:
        observation, _ = envs.reset(seed=0)
        total, alive = np.zeros(40), np.ones(40, dtype=bool)
        for _ in range(24):
            observation, reward, terminated, truncated, _ = envs.step(act(observation))
            total += np.where(alive, reward, 0.0)
            alive &= ~(terminated | truncated)
        return float(total.mean())

    def careful(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The smallest unit at the site that still asks, up to two thirds of the deviation."""
        asks = observation[:, envs.layout["site.asked_mw"]] > 1e-3
        order = np.where(asks, np.array([9, 8, 2, 1, 0, 11, 10, 12, 7, 6, 5, 3]), -1)
        moved = np.abs(observation[:, envs.layout["v_pu"]] - opened).max(axis=1)
        busy = observation[:, envs.layout["loading"]].max(axis=1)
        action = np.full(shape, -1.0, dtype=np.float32)
        action[np.arange(40), order.argmax(axis=1)] = np.where((moved < 0.02) & (busy < 0.7), 0.6, -1.0)
        return action

    opened = envs.reset(seed=0)[0][:, envs.layout["v_pu"]]
    assert play(lambda _: envs.neutral_action) == 0.0
    assert play(lambda _: rng.uniform(-1, 1, shape)) < -0.5
    single = np.full(shape, -1.0)
    single[:, 8] = 1.0
    assert play(careful) > 2.0 * max(play(lambda _: single), 0.5)


def test_the_nearest_first_policy_connects_and_plays_batches() -> None:
    """Far above nothing, and row by row what a policy of that row alone does, also after autoreset."""
    envs: Any = gym.make_vec(ID, num_envs=3, vectorization_mode="vector_entry_point", split="test")
    batch = baselines.make("host-nearest", envs)
    observation, infos = envs.reset(seed=2)
    batch.reset(observation, infos)
    singles: list[Any] = [gym.make(ID, split="test").unwrapped for _ in range(3)]
    alone = [baselines.make("host-nearest", env) for env in singles]
    for row, env in enumerate(singles):
        alone[row].reset(*env.reset(seed=2 + row))
    total, ended = 0.0, np.zeros(3, dtype=bool)
    for _ in range(30):
        actions = batch.act(observation, infos)
        for row, env in enumerate(singles):
            if ended[row]:  # the step begins an episode
                alone[row].reset(*env.reset())
            else:
                np.testing.assert_array_equal(actions[row], alone[row].act(env.obs(), {}))
                env.step(actions[row])
        observation, reward, terminated, truncated, infos = envs.step(actions)
        batch.restart(ended)
        total, ended = total + reward.sum(), terminated | truncated
    assert total > 3.0
    with pytest.raises(RunError, match="no HostingSite"):
        baselines.make("host-nearest", DistGridEnv(FEEDER, load=flat_load()))
