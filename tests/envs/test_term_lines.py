"""Terms in one compiled call are the terms of their quantities, bit for bit, in order and in sum."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from distgrid.envs import (
    EV,
    PV,
    Battery,
    CapacitorBank,
    DataTask,
    DistGrid3PhaseVectorEnv,
    DistGridVectorEnv,
    TapChanger,
    Term,
)
from distgrid.envs.tasks import QUANTITIES
from distgrid.envs.tasks.terms import readers
from distgrid.envs.vector import GridVectorEnv

EVERY = DataTask(
    rewards=tuple(
        Term(name, quantity, -0.3 - 0.1 * k) for k, (name, quantity) in enumerate(QUANTITIES.items())
    ),
    costs=("voltage_violation",),
)


def balanced() -> GridVectorEnv:
    fleet = [Battery(18, 0.2, 0.8), Battery(30, 0.1, 0.5), PV(22, 0.6, controls="pq"), EV(25, 0.3)]
    return DistGridVectorEnv("case33bw", fleet, EVERY, num_envs=5)


def per_phase() -> GridVectorEnv:
    fleet = [TapChanger("reg1"), CapacitorBank("cap1"), Battery("675", 0.2, 0.8), PV("611", 0.2, phase="C")]
    return DistGrid3PhaseVectorEnv("ieee13", fleet, EVERY, num_envs=5)


@pytest.mark.parametrize("make", [balanced, per_phase])
def test_one_call_gives_every_quantity_and_their_sum(make: object) -> None:
    env = make()  # type: ignore[operator]
    env.reset(seed=2)
    rng = np.random.default_rng(0)
    plain, grid = readers(EVERY.reward_terms), env.shards.grid
    assert sum(term.of.source is not None for term in EVERY.reward_terms) >= 10
    for _ in range(20):
        _, reward, *_ = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32))
        wanted, lines = plain.of(grid._view), grid._lines.read(grid._view)
        assert list(wanted) == list(grid._lines.names)
        total = None
        for line, value in zip(lines, wanted.values(), strict=False):
            np.testing.assert_array_equal(line, value)
            total = value if total is None else total + value
        np.testing.assert_array_equal(lines[-1], total)
        np.testing.assert_array_equal(reward, total)


def test_a_copy_reads_its_own_results() -> None:
    """A copied environment goes on as the first one does, and leaves that one alone."""
    env = balanced()
    env.reset(seed=2)
    action = np.full((env.num_envs, len(env.action_layout)), 0.4, dtype=np.float32)
    env.step(action)
    twin = copy.deepcopy(env)
    first = env.step(action)[1].copy()
    env.step(-action)
    np.testing.assert_array_equal(twin.step(action)[1], first)
