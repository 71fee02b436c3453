"""The batched transition that every face shows: rows stay apart, blocks hold what they say, copies go on."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics
from distgrid.cases import profiles
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, Battery, DistGridEnv, Fleet, LoadSource, LossMinimisation, SeriesLoad, VoltVar
from distgrid.envs.core.grid import Grid
from distgrid.envs.core.outcome import Outcome
from distgrid.envs.tasks import GRID_BLOCKS, Task

from .world import FEEDER, make

BATCH = 4
STARTS = 96 * np.array([0, 1, 1, 0])
NET = physics.compile(FEEDER)


@dataclass(frozen=True)
class SeesAll(LossMinimisation):
    """The bare task with every block of the grid in its observation."""

    @property
    def blocks(self) -> tuple[str, ...]:
        return GRID_BLOCKS


def surge() -> SeriesLoad:
    """Two days; on the second the load grows sixtyfold from the sixth interval on: no solution."""
    p, q = (np.tile(FEEDER.column("nodes", c), (192, 1)) for c in ("load_p_mw", "load_q_mvar"))
    growth = np.ones(192)
    growth[96 + 5 :] = 60.0
    return SeriesLoad(FEEDER, p * growth[:, None], q * growth[:, None])


def world(batch: int, task: Task, load: LoadSource) -> Grid:
    specs = (Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8)), PV(25, 0.5, site=3, controls="pq"))
    fleet = Fleet(specs, FEEDER)
    return Grid(NET, fleet, load, task, profiles.load_profiles(), batch)


def rngs(rows: NDArray[np.int64]) -> list[np.random.Generator]:
    return [np.random.default_rng(100 + int(row)) for row in rows]


def told(grid: Grid, outcome: Outcome, row: int) -> list[bytes]:
    """All that one row gets to see of a step."""
    arrays: list[NDArray[Any]] = [*outcome.rewards.values(), *outcome.costs.values()]
    arrays += [outcome.reward, outcome.cost, outcome.terminated, outcome.truncated, grid.observe()]
    arrays += [grid.stepper.v_pu, grid.stepper.loading, grid.fleet.delivered_p_mw, grid.t_index]
    return [array[row].tobytes() for array in arrays]


@pytest.mark.parametrize(
    "task", [VoltVar(episode=Duration(hours=12 / 4)), SeesAll(voltage_penalty_weight=1.0)]
)
def test_a_row_of_a_batch_is_that_row_alone(task: Task) -> None:
    """Bit for bit, through resets of some rows and failures of others."""
    together, rng = world(BATCH, task, surge()), np.random.default_rng(2)
    alone = [world(1, task, surge()) for _ in range(BATCH)]
    first, rows = np.zeros(1, dtype=np.int64), np.arange(BATCH)
    together.reset(rows, STARTS, rngs(rows))
    for row, grid in enumerate(alone):
        grid.reset(first, STARTS[row : row + 1], rngs(rows[row : row + 1]))
    failures = []
    for step in range(16):
        action = rng.uniform(-1.0, 1.0, (BATCH, together.fleet.n_actions))
        outcome = together.step(action)
        failures.append(outcome.terminated.tolist())
        for row, grid in enumerate(alone):
            assert told(together, outcome, row) == told(grid, grid.step(action[row : row + 1]), 0), (
                step,
                row,
            )
        again = np.flatnonzero(outcome.terminated | outcome.truncated)
        if again.size:
            together.reset(again, STARTS[again], rngs(again))
            for row in again.tolist():
                alone[row].reset(first, STARTS[row : row + 1], rngs(rows[row : row + 1]))
    assert failures[5] == [False, True, True, False], "a surge on the second day only"
    assert failures[6] == [False] * BATCH, "who failed began anew, the others went on"


def test_every_block_holds_what_it_says() -> None:
    """Capability 93, Trap 25a: the grid state of the last interval, and what is known of the next one."""
    env = make(task=SeesAll(), split="test")
    env.reset(seed=4)
    for _ in range(50):
        observation, _, _, _, info = env.step([0.4, -0.2, 0.9])
    t = info["t_index"]
    p, q = profiles.assignment(FEEDER).node_series(FEEDER, env.profiles, np.array([t - 1, t]))
    inject = np.zeros((2, FEEDER.n_nodes))
    for unit in env.units:
        delivered = info["delivered"]
        inject[:, unit.node_row] += delivered["p_mw"][unit.index], delivered["q_mvar"][unit.index]
    s = physics.solve(env.net, p[0], q[0], p_inject_mw=inject[0], q_inject_mvar=inject[1])
    day, year = 2 * np.pi * t / 96, 2 * np.pi * t / env.profiles.n_steps
    wanted = {
        "clock": [np.sin(day), np.cos(day), np.sin(year), np.cos(year)],
        "v_pu": s.v_pu, "v_deg": s.v_deg, "load_p_mw": p[1], "load_q_mvar": q[1],
        "p_from_mw": s.p_from_mw, "q_from_mvar": s.q_from_mvar, "i_ka": s.i_ka, "loading": s.loading,
        "p_slack_mw": [s.p_slack_mw], "q_slack_mvar": [s.q_slack_mvar], "p_loss_mw": [s.p_loss_mw],
        "price_usd_mwh": [env.profiles.price_usd_mwh[t]],
    }  # fmt: skip
    wanted["vuf_pct"] = []  # balanced: nothing to tell
    assert set(wanted) == set(GRID_BLOCKS)
    for name, values in wanted.items():
        np.testing.assert_allclose(observation[env.layout[name]], values, rtol=3e-7, atol=3e-7, err_msg=name)


def test_the_voltage_term_is_a_mean_over_live_nodes() -> None:
    """Dead nodes have no voltage and no say, whatever the row."""
    with pytest.warns(physics.IslandWarning, match="no source"):
        env = DistGridEnv(FEEDER.with_switch("6-26", closed=False), task=VoltVar(voltage_weight=0.5))
    env.reset(seed=0)
    *_, info = env.step([])
    deviation = (info["voltages"] - 1.0) / 0.05
    assert np.isnan(deviation).sum() == 8
    assert info["rewards"]["voltage"] == pytest.approx(-0.5 * np.nanmean(deviation**2), rel=1e-12)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copied_environment_plays_its_own_episode(copied: object) -> None:
    """Planning and worker processes: the copy goes on to the same bits, and neither moves the other."""
    assert callable(copied)
    env = make(task=SeesAll())
    env.reset(seed=8)
    env.step([1.0, 0.3, -0.4])
    twin, before = copied(env), env.obs()
    ahead = [twin.step([-0.5, 0.1 * k, 0.7]) for k in range(4)]
    np.testing.assert_array_equal(env.obs(), before)
    behind = [env.step([-0.5, 0.1 * k, 0.7]) for k in range(4)]
    for a, b in zip(ahead, behind, strict=True):
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:4] == b[1:4]
        np.testing.assert_equal(a[4], b[4])
    assert ahead[0][0].tobytes() != ahead[1][0].tobytes()
