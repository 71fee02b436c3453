"""The ids whose reward is money: days and suites, what stands at the end, what their signals ask for."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid.envs.suites import ENTRIES

FAMILIES = ("DERDispatch", "PeakShaving", "SetpointTracking")
#: Without variants, which differ in what is observed, for how long, and in the code of actions.
IDS = [e.id for e in ENTRIES if e.name.partition("-")[0] in FAMILIES and e.name.count("-") == 1]
#: Where energy is bought and sold; one feeder is enough.
STORES = [identity for identity in IDS if "33bw" in identity and "Setpoint" not in identity]
SUITES = ("summer-pv", "winter-peak", "price-storm", "cloudy", "cold-snap")


@pytest.mark.quick(1)
@pytest.mark.parametrize("identity", IDS)
def test_every_split_and_suite_loads(identity: str) -> None:
    """Train, validation and test leave gaps; each suite draws its own days. The storm has no stated price."""
    seen: dict[str, set[int]] = {}
    for split in ("train", "val", "test", *SUITES):
        env: Any = gymnasium.make_vec(identity, num_envs=6, split=split)
        _, info = env.reset(seed=0)
        seen[split] = set(info["day"].tolist())
        assert seen[split] <= set(env.days.tolist())
        assert (env.task.failure_price == "bound") == (split == "price-storm")
        _, reward, *_ = env.step(env.neutral_action)
        assert np.isfinite(reward).all()
    assert not (seen["train"] & seen["test"]) | (seen["train"] & seen["val"])


@pytest.mark.parametrize("identity", STORES)
def test_the_last_hours_earn_nothing_by_storage(identity: str) -> None:
    """TRAPS: batteries emptied, or filled, from 21:00, 22:00 or 23:00 on are worth less than batteries at
    rest, on a tenth of all days.
    """
    envs: Any = gymnasium.make_vec(identity, num_envs=26)
    days = envs.days[:: max(len(envs.days) // 26, 1)][:26]
    batteries = [dim.index for dim in envs.action_layout if dim.name.startswith("battery")]

    def returns(last: int, share: float) -> np.ndarray[Any, Any]:
        envs.reset(seed=0, options={"day": days})
        total = np.zeros(len(days))
        for step in range(96):
            action = envs.neutral_action
            if step >= 96 - last:
                action[:, batteries] = share
            total += envs.step(action)[1]
        return total

    rest = returns(0, 0.0)
    for last in (4, 12):
        for share in (-0.5, 1.0):
            assert (returns(last, share) < rest + 1e-6).all(), (last, share)
