"""States are saved and loaded by row: a planner branches one into many, and each goes on as the one would."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distgrid.envs import (
    PV,
    Battery,
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    TapChanger,
    VoltVar,
)
from distgrid.envs.vectorised.row_view import row_of

from .test_vector import Heater, same, surge
from .world import FEEDER, FEEDER3

Faces = tuple[Callable[..., DistGridEnv], Callable[..., DistGridVectorEnv], dict[str, Any]]


def balanced() -> Faces:
    """Random starts, a device of one's own, and loads that end some episodes."""
    fleet = [Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8)), PV(25, 0.5, site=3, controls="pq"), Heater(8)]
    options = {"case": FEEDER, "resources": fleet, "task": VoltVar(), "load": surge()}
    return DistGridEnv, DistGridVectorEnv, options


def phased() -> Faces:
    """Taps and banks that move."""
    fleet = [
        Battery("671", 0.2, 0.8, phase="B", soc_init=(0.2, 0.8)),
        TapChanger("reg1"),
        CapacitorBank("cap1"),
    ]
    return DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, {"case": FEEDER3, "resources": fleet}


WORLDS = {"balanced": balanced, "per-phase": phased}


@pytest.mark.parametrize("kind", WORLDS)
def test_one_state_branches_into_every_row(kind: str) -> None:
    """Each row of a vector goes on bit for bit as the single environment does with the same actions."""
    single_face, vector_face, options = WORLDS[kind]()
    single, many = single_face(**options), vector_face(**options, num_envs=40, threads=2)
    single.reset(seed=3, options={"day": 2})
    rng, size = np.random.default_rng(0), len(single.action_layout)
    for _ in range(3):
        single.step(rng.uniform(-1, 1, size).astype(np.float32))
    root = single.get_state()
    many.set_state(root)  # its first: nothing was reset before
    np.testing.assert_array_equal(many.obs(), np.repeat(single.obs()[None], 40, axis=0))
    actions = rng.uniform(-1, 1, (2, 40, size)).astype(np.float32)
    told = [many.step(action) for action in actions]
    for row in (0, 17, 39):
        single.set_state(root)
        for action, (obs, reward, terminated, truncated, infos) in zip(actions[:, row], told, strict=True):
            same(
                single.step(action),
                (obs[row], reward[row], terminated[row], truncated[row], row_of(infos, row)),
            )
    saved = many.get_state([39])
    same(strip(saved), strip(single.get_state()))
    single.set_state(many.get_state([5]))
    np.testing.assert_array_equal(single.obs(), many.obs()[5])


def strip(state: dict[str, Any]) -> dict[str, Any]:
    """What can be compared number by number."""
    return {name: state[name] for name in ("fleet", "grid", "done")}


@pytest.mark.parametrize("kind", WORLDS)
def test_the_next_episode_is_that_of_the_state_too(kind: str) -> None:
    """The generator goes with the state: the row that was branched draws the same day and starts."""
    single_face, vector_face, options = WORLDS[kind]()
    single, many = single_face(**options), vector_face(**options, num_envs=3)
    single.reset(seed=11)
    many.reset(seed=0)
    many.set_state(single.get_state(), rows=[1])
    first = single.reset()
    mask = np.array([False, True, False])
    obs, infos = many.reset(options={"reset_mask": mask})
    same(first, (obs[1], row_of(infos, 1)))


def test_other_rows_stay_as_they_are() -> None:
    """Loading two rows leaves the third's future alone, in any order of rows."""
    _, face, options = balanced()
    env = face(**options, num_envs=3)
    env.reset(seed=1, options={"day": 0})
    action = np.full((3, 4), 0.3, dtype=np.float32)
    env.step(action)
    twin = copy.deepcopy(env)
    state = env.get_state([2, 0])
    expected = twin.step(action)[0]
    env.step(-action)
    env.set_state(twin.get_state([1]), rows=[1])
    env.set_state(state, rows=[2, 0])
    obs = env.step(action)[0]
    np.testing.assert_array_equal(obs[[0, 2]], expected[[0, 2]])
    env.set_state(state, rows=[0, 2])  # crosswise
    np.testing.assert_array_equal(env.step(action)[0][[0, 2]], expected[[2, 0]])


def test_what_does_not_fit_is_refused_and_nothing_is_loaded() -> None:
    """Rows that are not there or twice, states of other sizes or feeders, vectors that never began."""
    _, face, options = balanced()
    env = face(**options, num_envs=3)
    with pytest.raises(RuntimeError, match="call reset"):
        env.get_state()
    env.reset(seed=1)
    state = env.get_state([0, 1])
    for rows, match in (
        ([0, 0], "different numbers"),
        ([3], "different numbers in 0..2"),
        ([], "numbers of"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            env.set_state(state, rows=rows)
    before = env.obs()
    with pytest.raises(ValueError, match="or one row of it"):
        env.set_state(state)
    other = DistGrid3PhaseVectorEnv(FEEDER3, num_envs=1)
    other.reset(seed=0)
    with pytest.raises(ValueError, match="belongs to another feeder"):
        env.set_state(other.get_state())
    np.testing.assert_array_equal(env.obs(), before)
    with pytest.raises(RuntimeError, match="a state to every row"):
        face(**options, num_envs=3).set_state(env.get_state([0]), rows=[1])
