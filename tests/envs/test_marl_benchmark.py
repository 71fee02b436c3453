"""The benchmark of many agents: who they are, what scopes show, its days, and that there is work to do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid.envs import parallel_vec

IDS = {"marl_ders_benchmark-v0": 100, "marl_ders_benchmark-ieee123-v0": 1000}
#: Of the protocol: train, choose, report, and what lies out of distribution.
SPLITS = ("train", "val", "test", "price-storm", "cloudy", "cold-snap", "summer-pv", "winter-peak")


@pytest.mark.parametrize("name", IDS)
def test_it_has_so_many_agents_of_four_kinds(name: str) -> None:
    """Row 102: batteries, PV, cars and heat pumps, one agent for each; each scope shows more."""
    widths = []
    for scope in ("own", "zone", "global"):
        env = parallel_vec(name, observe=scope)
        assert env.num_agents == IDS[name] == len(env.unwrapped.units)
        widths.append(int(env.observation_columns.sum()))
    kinds = Counter(agent.rpartition("_")[0] for agent in env.possible_agents)
    assert set(kinds) == {"battery", "pv", "ev", "heat_pump"}
    assert min(kinds.values()) > IDS[name] // 7
    assert widths == sorted(widths)
    assert widths[1] > 1.2 * widths[0]


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", IDS)
def test_splits_of_the_protocol_draw_days_of_their_own(name: str) -> None:
    """Training shares no day with validation and test; each suite loads; the storm has no stated price."""
    seen = {}
    for split in SPLITS if IDS[name] == 100 else SPLITS[:4]:
        env: Any = parallel_vec(name, split=split).unwrapped
        seen[split] = set(env.days.tolist())
        assert (env.task.failure_price == "bound") == (split == "price-storm")
    assert not seen["train"] & (seen["val"] | seen["test"])
    assert not seen["val"] & seen["test"]
    assert not seen["train"] & seen["price-storm"]


@pytest.mark.parametrize("name", IDS)
def test_there_is_work_to_do_and_no_constant_does_it(name: str) -> None:
    """Trap 22: left alone the devices violate limits; chance, and all at one end, are far worse."""
    env: Any = gymnasium.make_vec(f"distgrid/{name}", num_envs=6, vectorization_mode="vector_entry_point")
    neutral, rng = env.neutral_action, np.random.default_rng(0)
    plans = {
        "left alone": lambda: neutral,
        "chance": lambda: rng.uniform(-1.0, 1.0, neutral.shape).astype(np.float32),
        "all at the lower end": lambda: np.full_like(neutral, -1.0),
    }
    earned, beyond = {}, {}
    days = np.random.default_rng(1).choice(env.days, 6, replace=False)
    for plan, action in plans.items():
        env.reset(seed=0, options={"day": days})
        steps = [env.step(action()) for _ in range(96)]
        earned[plan] = float(np.sum([step[1] for step in steps], axis=0).mean())
        beyond[plan] = float(np.sum([step[4]["cost_voltage_violation"] for step in steps]))
        assert not any(step[2].any() for step in steps)
    assert beyond["left alone"] > 0.0
    assert earned["chance"] < 1.05 * earned["left alone"]
    assert earned["all at the lower end"] < 1.1 * earned["left alone"]
