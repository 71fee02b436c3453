"""A vector environment is so many single ones: the same numbers, flags, infos and episodes."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics
from numpy.typing import NDArray

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    DistGridEnv,
    DistGridVectorEnv,
    Exogenous,
    LossMinimisation,
    Resource,
    SeriesLoad,
    VoltVar,
)
from distgrid.envs.resources.base import BindContext, Entry
from distgrid.envs.suites import ENTRIES
from distgrid.envs.tasks import Task

from .world import FEEDER

MODES = list(AutoresetMode)


def vector(identity: str, num_envs: int, **options: Any) -> DistGridVectorEnv:
    env = gym.make_vec(identity, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)
    assert isinstance(env, DistGridVectorEnv)
    return env


class Heater(Resource):
    """A user's own device in NumPy: reads voltages, has a cost and a state that each episode draws."""

    kind = "heater"
    max_cost_per_step = 2.0

    def __init__(self, bus: int) -> None:
        super().__init__([bus], s_mva=0.3, actions=("p",), observations=(Entry("heat", "1", 0.0, 1.0),))

    def bind(self, ctx: BindContext) -> None:
        super().bind(ctx)
        self.heat = np.zeros((ctx.batch, 1))

    def reset(self, rows: NDArray[np.int64], rngs: Any) -> None:
        super().reset(rows, rngs)
        self.heat[rows, 0] = [rng.uniform() for rng in rngs]

    def advance(self, action: NDArray[np.float64], exo: Exogenous) -> None:
        self.current_p_mw[:] = -0.15 * (1.0 + action) * np.nan_to_num(exo.v_pu, nan=1.0).clip(0.0, 1.0)
        self.heat[:] = np.clip(0.9 * self.heat - self.current_p_mw, 0.0, 1.0)

    def observe(self, t_index: NDArray[np.int64], out: NDArray[np.float64]) -> None:
        out[:] = self.heat

    def costs(self) -> dict[str, NDArray[np.float64]]:
        return {"cold": (1.0 - self.heat[:, 0]), "hot": np.maximum(self.heat[:, 0] - 0.5, 0.0)}

    def state(self) -> dict[str, NDArray[np.float64]]:
        return {**super().state(), "heat": self.heat}


def surge() -> SeriesLoad:
    """Four days; on the odd ones the load outgrows the feeder, on each after another number of intervals."""
    p, q = (np.tile(FEEDER.column("nodes", c), (4 * 96, 1)) for c in ("load_p_mw", "load_q_mvar"))
    growth = np.ones(4 * 96)
    growth[96 + 5 : 192] = 60.0
    growth[3 * 96 + 2 :] = 60.0
    return SeriesLoad(FEEDER, p * growth[:, None], q * growth[:, None])


def rough(task: Task | None = None) -> dict[str, Any]:
    """Arguments of an environment whose power flows fail at different times in different rows."""
    fleet = [Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8)), PV(25, 0.5, site=3, controls="pq"), Heater(8)]
    task = VoltVar(episode=Duration(hours=9 / 4)) if task is None else task
    return {"case": FEEDER, "resources": fleet, "task": task, "load": surge()}


def same(one: Any, other: Any, where: str = "") -> None:
    """Bit for bit, through nested infos and object arrays."""
    if isinstance(one, tuple):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict):
        assert sorted(one) == sorted(other), where
        for key in one:
            same(one[key], other[key], f"{where}/{key}")
        return
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape, where
    if one.dtype == object:
        for row, (a, b) in enumerate(zip(one, other, strict=True)):
            assert (a is None) == (b is None), (where, row)
            if a is not None:
                same(a, b, f"{where}[{row}]")
        return
    assert one.dtype == other.dtype, (where, one.dtype, other.dtype)
    np.testing.assert_array_equal(one, other, err_msg=where)


def play_both(together: DistGridVectorEnv, apart: SyncVectorEnv, steps: int, seed: int = 5) -> int:
    """The same seeds and actions in both; returns how many episodes were terminated."""
    rng, failed = np.random.default_rng(1), 0
    same(together.reset(seed=seed), apart.reset(seed=seed), "reset")
    for step in range(steps):
        action = rng.uniform(-1.0, 1.0, together.action_space.shape).astype(np.float32)
        ours, theirs = together.step(action), apart.step(action)
        for k, name in enumerate(("observation", "reward", "terminated", "truncated", "info")):
            same(ours[k], theirs[k], f"step {step}: {name}")
        failed += int(ours[2].sum())
        done = ours[2] | ours[3]
        if together.autoreset_mode is AutoresetMode.DISABLED and done.any():
            again = {"reset_mask": done}
            same(together.reset(options=dict(again)), apart.reset(options=dict(again)), f"reset at {step}")
    return failed


@pytest.mark.quick(2)
@pytest.mark.parametrize("identity", [entry.id for entry in ENTRIES])
def test_every_registered_id_is_its_single_environments(identity: str) -> None:
    """Trap 25b: a day, the next one after autoreset, observations, rewards, costs, infos."""
    given: dict[str, Any] = {"action_space": "continuous"}  # codes of other spaces: tests of action spaces
    apart = SyncVectorEnv([lambda: gym.make(identity, disable_env_checker=True, **given)] * 2)
    together = vector(identity, 2, **given)
    ended_by_its_task = type(together.task).ends is not Task.ends
    assert (play_both(together, apart, steps=100) > 0) == ended_by_its_task


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "task", [VoltVar(episode=Duration(hours=9 / 4)), LossMinimisation(episode=Duration(hours=7 / 4))]
)
@pytest.mark.parametrize("mode", MODES)
def test_every_autoreset_mode_as_gymnasium_has_it(mode: AutoresetMode, task: Task) -> None:
    """With failures, resources of one's own and draws at reset, bit for bit."""
    apart = SyncVectorEnv([lambda: DistGridEnv(**rough(task))] * 5, autoreset_mode=mode)
    together = DistGridVectorEnv(**rough(task), num_envs=5, autoreset_mode=mode)
    assert together.metadata["autoreset_mode"] is mode
    assert play_both(together, apart, steps=40) > 8


def test_a_single_row_and_many_shards_are_the_same_rows() -> None:
    """520 rows on several threads and in several grids: each is what it is alone."""
    together = DistGridVectorEnv(**rough(), num_envs=520, threads=3)
    assert len(together._shards.shards) > 1
    alone = DistGridVectorEnv(**rough(), num_envs=1)
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


def trace(threads: int, mode: AutoresetMode) -> list[bytes]:
    env = DistGridVectorEnv(**rough(), num_envs=300, threads=threads, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    told = [env.reset(seed=3)[0].tobytes()]
    for _ in range(24):
        observation, reward, terminated, truncated, info = env.step(
            rng.uniform(-1, 1, env.action_space.shape)
        )
        arrays = [observation, reward, terminated, truncated, info["voltages"], info["p_slack_MW"]]
        told += [array.tobytes() for array in arrays]
    return told


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_results_do_not_depend_on_threads(mode: AutoresetMode) -> None:
    """Capability 78: bitwise, whoever took which shard."""
    once = trace(1, mode)
    assert trace(2, mode) == once
    assert trace(5, mode) == once


def test_arrays_handed_out_are_left_alone() -> None:
    """Trap 25a: an array returned to the user and later changed in place corrupts replay buffers."""
    env = DistGridVectorEnv(**rough(), num_envs=40)
    rng = np.random.default_rng(0)

    def leaves(tree: Any) -> list[NDArray[Any]]:
        parts = tree.values() if isinstance(tree, dict) else tree
        return [a for p in parts for a in ([p] if isinstance(p, np.ndarray) else leaves(p))]

    kept = leaves(env.reset(seed=0))
    copies = [a.copy() for a in kept]
    for _ in range(15):
        new = leaves(env.step(rng.uniform(-1, 1, env.action_space.shape)))
        kept += new
        copies += [a.copy() for a in new]
    for array, copied in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copied)


def test_without_copies_two_buffers_take_turns() -> None:
    plain = vector("distgrid/DistGrid-33bw-v0", 4)
    lean = vector("distgrid/DistGrid-33bw-v0", 4, copy=False)
    action = plain.neutral_action
    before = lean.reset(seed=1)[0]
    wanted = plain.reset(seed=1)[0]
    for _ in range(4):
        after, wanted_after = lean.step(action)[0], plain.step(action)[0]
        np.testing.assert_array_equal(before, wanted)  # a transition is whole: both ends are still there
        np.testing.assert_array_equal(after, wanted_after)
        assert before is not after
        assert after.dtype == np.float32
        before, wanted = after, wanted_after


def test_seeds_one_for_each_environment() -> None:
    env = vector("distgrid/DistGrid-33bw-v0", 3)
    first = env.reset(seed=4)
    assert env.np_random_seed == (4, 5, 6)
    same(env.reset(seed=[4, 5, 6]), first)
    swapped = env.reset(seed=[6, 5, 4])[1]["day"]
    np.testing.assert_array_equal(swapped, first[1]["day"][::-1])
    env.reset(seed=4)
    drawn = env.reset(seed=[None, 5, None])[1]["day"]
    assert drawn[1] == first[1]["day"][1]
    with pytest.raises(ValueError, match="a list of 3 entries"):
        env.reset(seed=[1, 2])


def test_a_masked_reset_leaves_the_others_alone() -> None:
    env = vector("distgrid/VoltVar-33bw-v0", 4, autoreset_mode="Disabled")
    env.reset(seed=0, options={"day": [10, 20, 30, 40]})
    before = env.step(env.neutral_action)
    mask = np.array([False, True, False, False])
    observation, info = env.reset(options={"reset_mask": mask, "day": np.array([1, 2, 3, 4])})
    np.testing.assert_array_equal(observation[~mask], before[0][~mask])
    np.testing.assert_array_equal(info["_day"], mask)
    np.testing.assert_array_equal(info["day"], [0, 2, 0, 0])
    after = env.step(env.neutral_action)[4]
    np.testing.assert_array_equal(after["day"], [10, 2, 30, 40])
    np.testing.assert_array_equal(after["step"], [2, 1, 2, 2])


def test_a_state_is_a_place_to_return_to() -> None:
    env = DistGridVectorEnv(**rough(), num_envs=70)
    env.reset(seed=2)
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, env.action_space.shape) for _ in range(16)]
    for action in actions[:4]:
        env.step(action)
    state = env.get_state()
    ahead = [env.step(action) for action in actions]
    twin = DistGridVectorEnv(**rough(), num_envs=70, threads=1)
    for other in (env, twin):
        other.set_state(state)
        for action, wanted in zip(actions, ahead, strict=True):
            same(other.step(action), wanted)


@pytest.mark.parametrize("wrap", [RecordEpisodeStatistics, NormalizeObservation, NormalizeReward])
def test_gymnasiums_wrappers_run(wrap: Callable[[Any], Any]) -> None:
    env = wrap(vector("distgrid/VoltVar-33bw-v0", 6, task=VoltVar(episode=Duration(hours=8 / 4))))
    observation, _ = env.reset(seed=0)
    finished = 0
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observation, reward, _, _, info = env.step(action)
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
        finished += int(info.get("_episode", np.zeros(6)).sum())
    assert finished == (12 if wrap is RecordEpisodeStatistics else 0)


def test_observations_stay_in_the_space_and_spaces_are_batched() -> None:
    env = vector("distgrid/VoltVar-33bw-v0", 5)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert env.single_observation_space.contains(observation[0])
    assert env.action_space.contains(env.neutral_action)
    assert env.observation_space == batch_space(env.single_observation_space, 5)
    assert env.action_space == batch_space(env.single_action_space, 5)
    env.action_space.seed(0)
    sampled = env.action_space.sample()
    assert len(np.unique(sampled)) == sampled.size
    assert env.spec is not None
    assert env.spec.id == "distgrid/VoltVar-33bw-v0"


def refused(**options: Any) -> None:
    DistGridVectorEnv(FEEDER, **options)


def test_bad_input_is_named() -> None:
    env = DistGridVectorEnv(FEEDER, [Battery(18, 0.2, 0.8)], num_envs=3, autoreset_mode="Disabled")
    with pytest.raises(RuntimeError, match="reset"):
        env.step(env.neutral_action)
    with pytest.raises(RuntimeError, match="without a reset_mask first"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    env.reset(seed=0)
    action = env.neutral_action
    action[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"action\[1, 0\] \(battery_18.p\) is nan"):
        env.step(action)
    with pytest.raises(ValueError, match=r"shape \(2, 1\), expected \(3, 1\)"):
        env.step(action[:2])
    with pytest.raises(ValueError, match="unknown reset option 'dya'"):
        env.reset(options={"dya": 1})
    with pytest.raises(ValueError, match="one number or 3"):
        env.reset(options={"day": [1, 2]})
    with pytest.raises(TypeError, match="bool array"):
        env.reset(options={"reset_mask": np.array([1, 0, 0])})
    with pytest.raises(ValueError, match="0 True"):
        env.reset(options={"reset_mask": np.zeros(3, dtype=bool)})
    for _ in range(96):
        env.step(env.neutral_action)
    with pytest.raises(RuntimeError, match="environment 0 has ended"):
        env.step(env.neutral_action)
    with pytest.raises(ValueError, match="num_envs"):
        refused(num_envs=0)
    with pytest.raises(ValueError, match="threads"):
        refused(threads=0)
    with pytest.raises(ValueError, match="no pictures"):
        refused(render_mode="rgb_array")


_FORKED = """
import multiprocessing, sys, gymnasium, distgrid

def play(env):
    return env.step(env.neutral_action)[1].sum()

def child(env, queue):
    queue.put(play(env))

env = gymnasium.make_vec(
    "distgrid/DistGrid-33bw-v0", num_envs=600, vectorization_mode="vector_entry_point", threads=2
)
env.reset(seed=0)
play(env)
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(env, queue))
process.start()
theirs, ours = queue.get(timeout=60), play(env)
process.join(60)
sys.exit(process.exitcode or int(theirs != ours))
"""


@pytest.mark.slow
def test_threads_survive_a_fork() -> None:
    """Trap 25c: a forked worker plays on after its parent has used threads."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _FORKED], check=False, timeout=120)
    assert done.returncode == 0


def test_a_copy_plays_its_own_episodes() -> None:
    env = DistGridVectorEnv(**rough(), num_envs=3)
    env.reset(seed=1)
    twin = copy.deepcopy(env)
    action = env.neutral_action
    ahead = [twin.step(action) for _ in range(12)]
    same([env.step(action) for _ in range(12)][-1], ahead[-1])
