"""The searches of the audit on problems whose answers are known, without a power flow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from distgrid.baselines.search.arena import Played
from distgrid.baselines.search.cross_entropy import cross_entropy
from distgrid.baselines.search.day_search import DaySearch, momentary
from distgrid.baselines.search.moves import Block, Move, applied

Floats = NDArray[np.float64]
STEPS, DT_H, CAPACITY = 48, 0.5, 2.0
PRICE = 10.0 + 8.0 * np.sin(np.arange(STEPS) / 3.0) + 3.0 * np.cos(np.arange(STEPS) / 1.7)
TARGET = np.sin(np.arange(STEPS)[:, None] / 5.0 + np.arange(3))


class Shop:
    """Three dimensions with a best value in each interval, and a store of 1 MW that buys and sells.

    ``prices``: 0 where the store earns nothing.
    """

    def __init__(self, prices: Floats = PRICE) -> None:
        self.steps, self.n_actions, self.neutral, self.prices = STEPS, 4, np.zeros(4), prices
        dims = [SimpleNamespace(name=f"d{k}.q", quantity="q", positions=None) for k in range(4)]
        self.grid: Any = SimpleNamespace(scenario=SimpleNamespace(action_layout=dims), units=())

    def sequences(self, days: NDArray[np.int64], actions: Floats) -> Played:
        rows = days.size
        stored, reward = np.full(rows, 0.5 * CAPACITY), np.zeros((rows, STEPS))
        for t in range(STEPS):
            sold = np.clip(actions[:, t, 3] * DT_H, stored - CAPACITY, stored)
            stored = stored - sold
            off = ((actions[:, t, :3] - TARGET[t]) ** 2).sum(axis=1)
            reward[:, t] = self.prices[t] * sold - 5.0 * off
        no = np.zeros((rows, STEPS), dtype=np.bool_)
        return Played(reward, no, no[:, 0], np.full(rows, STEPS))


def optimum() -> float:
    """What the store can earn: a linear program; the other dimensions can be right everywhere."""
    upper, lower = np.tril(np.ones((STEPS, STEPS))), -np.tril(np.ones((STEPS, STEPS)))
    limits = np.full(STEPS, 0.5 * CAPACITY)
    found = linprog(
        -PRICE, A_ub=np.vstack([upper, lower]), b_ub=np.concatenate([limits, limits]),
        bounds=[(-DT_H, DT_H)] * STEPS,
    )  # fmt: skip
    return float(-found.fun)


def test_which_dimensions_matter_in_their_own_interval_alone() -> None:
    """A store that is full or empty later makes its power matter later; targets of an interval do not."""
    found = momentary(Shop(), 0, np.random.default_rng(0))  # type: ignore[arg-type]
    assert found.tolist() == [True, True, True, False]


@pytest.mark.slow
def test_the_reference_of_a_day_reaches_the_known_optimum() -> None:
    """Storage against a linear program, momentary dimensions against their targets: to one per cent."""
    shop: Any = Shop()
    quick = np.array([True, True, True, False])
    starts = np.zeros((1, STEPS, 4))
    search = DaySearch(shop, 0, starts, quick, np.random.default_rng(1))
    found = search.run(1_500_000)
    assert found.start < 0.0
    assert found.score == pytest.approx(optimum(), rel=0.01)
    assert np.abs(found.actions[:, :3] - TARGET).max() < 0.05
    assert shop.sequences(np.array([0]), found.actions[None]).returns[0] == pytest.approx(found.score)


def test_the_reference_never_gets_worse_and_is_the_same_each_time() -> None:
    """It begins with the best of what it is given."""
    shop: Any = Shop()
    quick, starts = np.array([True, True, True, False]), np.zeros((3, STEPS, 4))
    starts[1, :, :3] = TARGET
    first, again = (DaySearch(shop, 0, starts, quick, np.random.default_rng(2)).run(20_000) for _ in range(2))
    assert first.start == pytest.approx(0.0)
    assert first.score >= first.start
    assert np.array_equal(first.actions, again.actions)


def test_moves_that_meet_and_values_that_are_kept() -> None:
    """Blocks of the same dimension that overlap meet; actions stay within [-1, 1]."""
    one, other = Block((0,), 0, 4, change=0.9), Block((0, 1), 3, 6, value=(0.2, -0.2))
    assert Move((one,)).meets(Move((other,)))
    assert not Move((one,)).meets(Move((Block((1,), 0, 4, change=0.5),)))
    done = applied(np.full((6, 2), 0.5), [Move((one,)), Move((other,))])
    assert done[:3, 0].tolist() == [1.0] * 3
    assert done[3:, 0].tolist() == [0.2] * 3
    assert done[:, 1].tolist() == [0.5] * 3 + [-0.2] * 3


def test_cross_entropy_finds_a_corner_and_an_inner_point() -> None:
    """Maximum of -(x - (1.5, 0.3))^2 over the box: (1, 0.3)."""

    def score(points: Floats) -> Floats:
        total: Floats = -((points - np.array([1.5, 0.3])) ** 2).sum(axis=1)
        return total

    points, scores = cross_entropy(score, np.zeros(2), 0.6, 30, 64, np.random.default_rng(0))
    assert points[0] == pytest.approx([1.0, 0.3], abs=0.02)
    assert (np.diff(scores) <= 0.0).all()
