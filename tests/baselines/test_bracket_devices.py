"""Brackets of every kind of device: no play passes the bound, whatever devices can really do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from distgrid.baselines.optimal.bracket import Bracket, bracket
from distgrid.cases.profiles import Duration
from distgrid.envs import (
    PV,
    Battery,
    DataCenter,
    DERDispatch,
    DispatchSignal,
    DistGridEnv,
    FlexibleLoad,
    Generator,
    HeatPump,
    MoneyTask,
    SetpointTracking,
    SoftOpenPoint,
)

HALF = Duration(hours=12.0)
DAY = 15
MONEY = DERDispatch(episode=HALF)
TRACKING = SetpointTracking(dispatch=DispatchSignal(swing_mw=0.8), episode=HALF)
FLEETS: dict[str, tuple[Sequence[Any], MoneyTask]] = {
    "standing loss": (
        [Battery(18, 0.3, 0.9, standing_loss_per_h=0.05, soc_min=0.2, soc_init=0.25, wear_cost_per_mwh=3.0)],
        MONEY,
    ),
    "generators": (
        [
            Generator(18, 0.5, cost_per_mwh=20.0, p_min_mw=0.2, cost_per_h=2.0, cost_per_mw2h=5.0,
                      start_cost=3.0, ramp_mw_per_h=0.4, min_up_h=1.0, min_down_h=1.0, controls="pq"),
            Generator(30, 0.3, cost_per_mwh=30.0, on=True, p_min_mw=0.1),
        ],
        MONEY,
    ),
    "windows of the clock": (
        [FlexibleLoad(8, shift_mw=0.1, window_h=6.0, curtail_mw=0.05, curtail_cost_per_mwh=100.0)], MONEY,
    ),
    "windows that roll": (
        [FlexibleLoad(25, shift_mw=0.2, return_h=3.0, shift_cost_per_mwh=1.0, power_factor=0.9)], MONEY,
    ),
    "heat pumps": ([HeatPump(18, 0.3, t_init_c=19.0), HeatPump(30, 0.2, time_constant_h=10.0)], MONEY),
    "data centers": ([DataCenter(18, 0.4, dropped_cost_per_mwh=500.0)], MONEY),
    "soft open points": ([SoftOpenPoint(18, 33, 0.5)], MONEY),
    "functions of inverters": (
        [
            PV(25, 0.8, site=1, functions="volt-var-b"), PV(18, 0.6, functions="watt-var-b"),
            PV(33, 1.2, site=1, functions="volt-var+volt-watt-b", controls="p"), Battery(22, 0.2, 0.4),
        ],
        MONEY,
    ),
    "a dispatch signal": ([Battery(18, 0.4, 0.8), PV(30, 0.7, site=15, controls="pq")], TRACKING),
}  # fmt: skip


def random_return(env: DistGridEnv, day: int, seed: int) -> float:
    """Of actions that are small, wild or at their ends, by the seed."""
    rng, size = np.random.default_rng(seed), (0.2, 1.0, 5.0)[seed % 3]
    env.reset(seed=0, options={"day": day})
    total, over = 0.0, False
    while not over:
        action = np.clip(size * rng.normal(size=env.action_space.shape), -1.0, 1.0)
        _, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        total, over = total + float(reward), terminated or truncated
    return total


@pytest.mark.quick(2)
@pytest.mark.parametrize("kind", FLEETS)
def test_no_play_passes_the_bound(kind: str) -> None:
    """Plan, rest and random play of half a day, cold and with prices of winter."""
    fleet, task = FLEETS[kind]
    env = DistGridEnv("case33bw", list(fleet), task=task, load_scale=1.1, v_source_pu=1.03)
    found: Bracket = bracket(env, DAY)
    assert found.best_known <= found.bound + 1e-5
    assert found.do_nothing <= found.bound + 1e-5
    for seed in range(3):
        assert random_return(env, DAY, seed) <= found.bound + 1e-5
