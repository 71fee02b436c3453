"""Daily budgets of tap changers and banks: never exceeded, renewed with the day, observed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid.cases.profiles import Duration
from distgrid.envs import (
    CapacitorBank,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    ResourceSpec,
    TapChanger,
    VoltVar,
)

_TAP, _BANK, _FREE = 0, 1, 2


def _devices(tap: int | None, bank: int | None) -> list[ResourceSpec]:
    """A tap changer and a bank with budgets, and a bank without."""
    return [
        TapChanger(branch="1-2", daily_budget=tap, cost_per_step=0.5),
        CapacitorBank(bus=18, q_mvar=0.2, daily_budget=bank),
        CapacitorBank(bus=30, q_mvar=0.3),
    ]


@pytest.fixture(scope="module")
def two_days() -> DistGridEnv:
    """Two days on 33bw, seven steps of the tap and three switchings of a bank a day."""
    return DistGridEnv("case33bw", _devices(7, 3), task=VoltVar(episode=Duration(hours=48.0)))


@pytest.mark.slow
@given(seed=st.integers(0, 2**31 - 1), start=st.integers(0, 95))
def test_no_day_has_more_steps_than_its_budget_and_what_is_left_is_seen(
    two_days: DistGridEnv, seed: int, start: int
) -> None:
    """Whatever is asked for, from any hour on; the accounts, the positions and the observation agree."""
    env, rng = two_days, np.random.default_rng(seed)
    env.reset(seed=seed, options={"start": 96 * 2 + start})
    used = {_TAP: 0.0, _BANK: 0.0}
    before = _stands(env)
    for step in range(110):
        t = int(env.grid.t_index[0])
        if t % 96 == 0:
            used = dict.fromkeys(used, 0.0)
        left = _left(env)
        assert left == pytest.approx([1.0 - used[_TAP] / 7.0, 1.0 - used[_BANK] / 3.0, 1.0])
        seen = env.step(rng.uniform(-1.0, 1.0, 3).astype(np.float32))
        after = _stands(env)
        moved = np.abs(after - before)
        for unit in used:
            used[unit] += moved[unit]
        np.testing.assert_array_equal(
            [env.grid.fleet.accounts.total("switchings")[0]], [moved.sum()], err_msg=str(step)
        )
        assert used[_TAP] <= 7.0
        assert used[_BANK] <= 3.0
        assert env.observation_space.contains(seen[0])
        before = after


def _stands(env: DistGridEnv) -> Any:
    tap = np.rint((env.grid.stepper.tap[0] - 1.0) / 0.00625)
    return np.concatenate([tap, env.grid.stepper.cap_on[0]])


def _left(env: DistGridEnv) -> list[float]:
    seen = env.obs()
    assert isinstance(seen, np.ndarray)
    return [float(seen[e.index]) for e in env.layout.describe() if e.name.endswith("budget_left")]


def test_a_mask_allows_what_the_budget_has_left() -> None:
    """Codes that cannot be followed are masked; at midnight all positions can be reached again."""
    env = DistGridEnv(
        "case33bw", [CapacitorBank(bus=18, q_mvar=0.2, daily_budget=1)], action_space="multi-discrete",
        task=VoltVar(episode=Duration(hours=48.0)),
    )  # fmt: skip
    env.reset(seed=0, options={"start": 96 * 3 + 90})
    seen = []
    for code in (1, 0, 0, 0, 0, 0, 0, 1):
        mask = env.action_masks()
        seen.append(mask.tolist())
        env.step(np.array([code]))
    assert seen == [[True, True], *[[False, True]] * 5, [True, True], [True, False]]


def test_vector_rows_and_restored_states_keep_their_budgets() -> None:
    """Bit for bit the single environments, with days that begin at different times."""
    devices = _devices(4, 2)
    options: dict[str, Any] = {"task": VoltVar(episode=Duration(hours=24.0))}
    vector = DistGridVectorEnv("case33bw", devices, num_envs=2, **options)
    singles = [DistGridEnv("case33bw", devices, **options) for _ in range(2)]
    starts = [96 * 3 + 60, 96 * 8 + 90]
    vector.reset(seed=[1, 2], options={"start": np.array(starts)})
    for env, start in zip(singles, starts, strict=True):
        env.reset(options={"start": start}, seed=singles.index(env) + 1)
    rng = np.random.default_rng(0)
    for step in range(60):
        action = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        seen = vector.step(action)[0]
        for k, env in enumerate(singles):
            kept = env.get_state() if step == 30 else None
            one = env.step(action[k])[0]
            np.testing.assert_array_equal(one, seen[k])
            if kept is not None:
                env.step(-action[k])
                env.set_state(kept)
                np.testing.assert_array_equal(env.step(action[k])[0], one)


def test_a_budget_of_none_at_all_keeps_a_regulator_where_it_stands() -> None:
    """Per phase; without a budget nothing is added to what is observed."""
    taps = [TapChanger("reg1", daily_budget=0), TapChanger("reg2"), TapChanger("reg3")]
    env = DistGrid3PhaseEnv("ieee13", taps)
    env.reset(seed=0)
    before = env.grid.stepper.tap[0].copy()
    env.step(np.ones(3, dtype=np.float32))
    after = env.grid.stepper.tap[0]
    assert after[0] == before[0]
    assert (after[1:] > before[1:]).all()
    free = DistGrid3PhaseEnv("ieee13", [TapChanger(f"reg{k}") for k in (1, 2, 3)])
    assert env.layout.size == free.layout.size + 3


def test_a_planner_sees_what_is_left() -> None:
    """In the outlook: steps until the day ends, without bound where there is no budget."""
    env = DistGridEnv("case33bw", _devices(7, 3))
    env.reset(seed=0, options={"start": 96 * 3 + 10})
    env.step(np.array([0.1, 1.0, 1.0], dtype=np.float32))
    window = env.scenario.window(horizon=4)
    left = np.concatenate(
        [o.positions.steps_left for o in window.outlooks.values() if o.positions is not None]
    )
    assert left.tolist() == [5.0, 2.0, np.inf]


@pytest.mark.parametrize(
    "make", [lambda n: TapChanger("r", daily_budget=n), lambda n: CapacitorBank("c", daily_budget=n)]
)
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (-1, "daily_budget must be at least 0, got -1"),
        (1.5, "daily_budget must be a whole number, got 1.5"),
        (float("nan"), "daily_budget must be a finite number, got nan"),
    ],
)
def test_budgets_are_whole_numbers(make: Any, number: Any, said: str) -> None:
    """Named with the device, the field and the value."""
    with pytest.raises(ValueError, match=said):
        make(number)
