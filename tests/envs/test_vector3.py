"""DistGrid3PhaseVectorEnv: many per-phase environments at once are the single ones, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics
from stable_baselines3.common.vec_env import DummyVecEnv

from distgrid import cases, physics
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridVectorEnv,
    LossMinimisation,
    SeriesLoad,
    TapChanger,
    VoltVar3,
    sb3_vec_env,
)
from distgrid.envs.core.columns import load_points
from distgrid.envs.core.load_source import nominal
from distgrid.envs.core.phase_stepper import PhaseStepper
from distgrid.envs.tasks import GRID_BLOCKS, Task
from distgrid.physics import IslandWarning

from .test_vector import MODES, Heater, play_both, same
from .world import FEEDER3

ID = "distgrid/VoltVar3-ieee13-v0"
DAYS = 4


def surge() -> SeriesLoad:
    """Four days; on the odd ones the load outgrows the feeder, on each after another number of intervals."""
    growth = np.full(DAYS * 96, 0.7)
    growth[96 + 5 : 192] = 60.0
    growth[3 * 96 + 2 :] = 6.0
    p, q = nominal(FEEDER3, load_points(FEEDER3))
    return SeriesLoad(FEEDER3, p * growth[:, None], q * growth[:, None])


class SeesAll(VoltVar3):
    """Every block of the grid in the observation."""

    @property
    def blocks(self) -> tuple[str, ...]:
        return GRID_BLOCKS


def rough(task: Task | None = None) -> dict[str, Any]:
    """Arguments of an environment whose power flows fail at different times in different rows."""
    fleet = [
        Battery("671", 0.2, 0.8, phase="BC", soc_init=(0.2, 0.8)),
        TapChanger("reg1", max_steps=3, cost_per_step=0.1),
        PV("675", 0.5, site=3, controls="pq", phase="A"), CapacitorBank("cap2"), Heater(692),
    ]  # fmt: skip
    task = SeesAll(episode=Duration(hours=9 / 4)) if task is None else task
    return {"case": FEEDER3, "resources": fleet, "task": task, "load": surge()}


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "task", [SeesAll(episode=Duration(hours=9 / 4)), LossMinimisation(episode=Duration(hours=7 / 4))]
)
@pytest.mark.parametrize("mode", MODES)
def test_every_autoreset_mode_as_gymnasium_has_it(mode: AutoresetMode, task: Task) -> None:
    """With failures, taps, banks, resources of one's own and draws at reset, bit for bit."""
    apart = SyncVectorEnv([lambda: DistGrid3PhaseEnv(**rough(task))] * 5, autoreset_mode=mode)
    together = DistGrid3PhaseVectorEnv(**rough(task), num_envs=5, autoreset_mode=mode)
    assert play_both(together, apart, steps=40) > 8


def test_infos_are_masked_where_the_feeder_has_nothing() -> None:
    """Capability 107, Trap 3: row by row the arrays of the single environment, with its mask."""
    together = gym.make_vec(ID, num_envs=3, vectorization_mode="vector_entry_point")
    assert isinstance(together, DistGrid3PhaseVectorEnv)
    alone = [gym.make(ID) for _ in range(3)]
    told = together.reset(seed=3)[1]
    for row, env in enumerate(alone):
        own = env.reset(seed=3 + row)[1]
        for name in ("voltages", "branch_loading", "vuf_pct"):
            assert told[name].shape == (3, *own[name].shape)
            np.testing.assert_array_equal(told[name][row].mask, own[name].mask)
            np.testing.assert_array_equal(told[name][row].filled(-1.0), own[name].filled(-1.0))
            assert np.isnan(told[name].data[row][own[name].mask]).all()
    assert told["voltages"].mask.any()
    assert not told["voltages"].mask.flags.writeable
    delivered = together.step(together.neutral_action)[4]["delivered"]
    np.testing.assert_array_equal(delivered["tap_pos"], [[9.0, 6.0, 9.0]] * 3)
    assert delivered["cap_on"].shape == (3, 2)


def test_what_no_source_reaches_is_told_as_nothing() -> None:
    """Trap 3: behind an open switch there is no voltage, no violation, and nothing to see for a resource."""
    feeder = cases.load("ieee123").with_switch("sw2", closed=False)
    with pytest.warns(IslandWarning):
        net = physics.compile_per_phase(feeder)
    dead = ~np.asarray(net.energised)
    rows = {str(node): k for k, node in enumerate(feeder.column("nodes", "node_id"))}
    phases = feeder.column("nodes", "phase")
    behind = next(node for node, k in rows.items() if dead[k].all() and phases[k] == "ABC")
    with pytest.warns(IslandWarning):
        env = DistGrid3PhaseVectorEnv(feeder, [Heater(int(behind))], num_envs=20, task=SeesAll())
    env.reset(seed=0)
    for _ in range(3):
        observation, *_, info = env.step(env.neutral_action)
        assert info["pf_converged"].all()
    stepper = env.shards.grid.stepper
    assert isinstance(stepper, PhaseStepper)
    assert np.isnan(stepper.port_v_pu).all()
    assert info["voltages"].mask[:, dead].all()
    assert np.isnan(info["voltages"].data[:, dead]).all()
    assert (info["voltages"].compressed() > 0.9).all()
    seen = np.isfinite(info["vuf_pct"].data).all(axis=0)
    assert not seen[rows[behind]]
    assert seen.any()
    own = [row.index for row in env.layout.describe() if row.name.startswith(f"v_pu[{behind}.")]
    assert len(own) == 3
    assert (observation[:, own] == 0.0).all()


def test_a_masked_reset_leaves_the_others_alone() -> None:
    env = DistGrid3PhaseVectorEnv(**rough(), num_envs=4, autoreset_mode="Disabled")
    env.reset(seed=0, options={"day": [0, 2, 0, 2]})
    before = env.step(env.neutral_action)[0]
    mask = np.array([False, True, False, False])
    observation, info = env.reset(options={"reset_mask": mask, "day": 1})  # after a calm night
    np.testing.assert_array_equal(observation[~mask], before[~mask])
    np.testing.assert_array_equal(info["_voltages"], mask)
    assert (info["voltages"][0].compressed() == 0.0).all()
    assert (info["voltages"][1].compressed() > 0.5).all()
    np.testing.assert_array_equal(env.step(env.neutral_action)[4]["step"], [2, 1, 2, 2])


@pytest.mark.slow
def test_a_single_row_and_many_shards_are_the_same_rows() -> None:
    """600 rows on several threads and in several grids: each is what it is alone."""
    together = DistGrid3PhaseVectorEnv(**rough(), num_envs=600, threads=3)
    assert len(together.shards.shards) > 1
    alone = DistGrid3PhaseVectorEnv(**rough(), num_envs=1)
    row = 470
    many, one = together.reset(seed=9)[0], alone.reset(seed=9 + row)[0]
    rng = np.random.default_rng(0)
    for _ in range(25):
        np.testing.assert_array_equal(many[row], one[0])
        action = rng.uniform(-1, 1, together.action_space.shape)
        many, reward, *_, info = together.step(action)
        one, reward_of_one, *_, info_of_one = alone.step(action[row : row + 1])
        assert reward[row] == reward_of_one[0]
        assert info["cost"][row] == info_of_one.get("cost", np.zeros(1))[0]
        same(info["branch_loading"][row], info_of_one["branch_loading"][0])


def trace(threads: int, mode: AutoresetMode) -> list[bytes]:
    env = DistGrid3PhaseVectorEnv(**rough(), num_envs=300, threads=threads, autoreset_mode=mode)
    assert len(env.shards.shards) > 1
    rng = np.random.default_rng(0)
    told = [env.reset(seed=3)[0].tobytes()]
    for _ in range(24):
        observation, reward, terminated, truncated, info = env.step(
            rng.uniform(-1, 1, env.action_space.shape)
        )
        arrays = [observation, reward, terminated, truncated, info["voltages"].data, info["vuf_pct"].data]
        told += [array.tobytes() for array in arrays]
    return told


@pytest.mark.slow
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_results_do_not_depend_on_threads(mode: AutoresetMode) -> None:
    """Capability 78: bitwise, whoever took which shard."""
    once = trace(1, mode)
    assert trace(2, mode) == once
    assert trace(5, mode) == once


@pytest.mark.slow
def test_a_state_is_a_place_to_return_to_and_a_copy_plays_its_own_episodes() -> None:
    env = DistGrid3PhaseVectorEnv(**rough(), num_envs=70)
    env.reset(seed=2)
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, env.action_space.shape) for _ in range(16)]
    for action in actions[:4]:
        env.step(action)
    state, twin = env.get_state(), copy.deepcopy(env)
    ahead = [env.step(action) for action in actions]
    for action, wanted in zip(actions, ahead, strict=True):
        same(twin.step(action), wanted)
    other = DistGrid3PhaseVectorEnv(**rough(), num_envs=70, threads=1)
    for again in (env, other):
        again.set_state(state)
        for action, wanted in zip(actions, ahead, strict=True):
            same(again.step(action), wanted)


def test_arrays_handed_out_are_left_alone() -> None:
    """Trap 25a, with two buffers of observations in turn where copies are not wanted."""
    env, lean = (DistGrid3PhaseVectorEnv(**rough(), num_envs=40, copy=copied) for copied in (True, False))
    rng = np.random.default_rng(0)
    kept, before = [env.reset(seed=0)], lean.reset(seed=0)[0]
    copies = copy.deepcopy(kept)
    for _ in range(15):
        action = rng.uniform(-1, 1, env.action_space.shape)
        np.testing.assert_array_equal(before, kept[-1][0])
        kept.append(env.step(action))  # type: ignore[arg-type]
        copies.append(copy.deepcopy(kept[-1]))
        after = lean.step(action)[0]
        assert after is not before
        np.testing.assert_array_equal(before, kept[-2][0])
        before = after
    for ours, copied in zip(kept, copies, strict=True):
        same(ours, copied)


def test_wrappers_run() -> None:
    made = gym.make_vec(
        ID, num_envs=6, vectorization_mode="vector_entry_point", task=VoltVar3(episode=Duration(hours=8 / 4))
    )
    env = NormalizeObservation(RecordEpisodeStatistics(made))
    env.reset(seed=0)
    rng, finished = np.random.default_rng(0), 0
    for _ in range(20):
        observation, reward, _, _, info = env.step(
            rng.uniform(-1, 1, made.action_space.shape).astype(np.float32)
        )
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
        finished += int(info.get("_episode", np.zeros(6)).sum())
    assert finished == 12


def test_stable_baselines3_has_it_as_its_own_vector_of_single_environments() -> None:
    keys, task = ("cost", "n_vuf_violations", "voltages"), VoltVar3(episode=Duration(hours=7 / 4))
    one = sb3_vec_env(ID, 3, info_keys=keys, task=task)
    other = DummyVecEnv([lambda: gym.make(ID, task=task, disable_env_checker=True)] * 3)
    one.seed(4)
    other.seed(4)
    np.testing.assert_array_equal(one.reset(), other.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(20):
        action = rng.uniform(-1, 1, (3, *one.action_space.shape)).astype(np.float32)
        mine, theirs = one.step(action), other.step(action)
        for k in range(3):
            np.testing.assert_array_equal(mine[k], theirs[k])
        for a, b in zip(mine[3], theirs[3], strict=True):
            for key in a:
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)
                assert isinstance(a[key], np.ma.MaskedArray) == isinstance(b[key], np.ma.MaskedArray)
        ended += int(mine[2].sum())
    assert ended == 6


def test_each_kind_of_feeder_has_its_class() -> None:
    with pytest.raises(ValueError, match="DistGrid3PhaseVectorEnv"):
        DistGridVectorEnv("ieee13")
    with pytest.raises(ValueError, match="DistGridVectorEnv"):
        DistGrid3PhaseVectorEnv("case33bw")
    with pytest.raises(ValueError, match="no pictures"):
        DistGrid3PhaseVectorEnv(render_mode="rgb_array")  # type: ignore[arg-type]
