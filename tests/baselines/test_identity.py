"""Hashes of values: equal for equal content, different for different content, and known to end."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from distgrid.baselines.jobs.identity import Reader


def digest(value: Any) -> str:
    reader = Reader()
    found = reader.digest(value, "value")
    assert reader.unknown == []
    return found


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass(eq=False)
class Node:
    owner: Any


def different() -> Iterator[tuple[Any, Any]]:
    """Values that are not the same, pair by pair; each is made anew, so that no address is compared."""
    yield 1, 1.0
    yield True, 1
    yield "1", 1
    yield [1, 2], (1, 2)
    yield [[1], 2], [1, [2]]
    yield {"a": 1}, {"b": 1}
    yield {1, 2}, {1, 3}
    yield np.arange(3), np.arange(3.0)
    yield np.zeros((2, 3)), np.zeros((3, 2))
    yield np.array([1, None]), np.array([2, None])
    yield Point(1.0), Point(1.0, 1.0)
    yield lambda: 1, lambda: 2
    yield functools.partial(max, 1), functools.partial(max, 2)
    yield (lambda x: lambda: x)(1), (lambda x: lambda: x)(2)
    yield (lambda a=1: a), (lambda a=2: a)
    yield np.float32(1), np.float64(1)
    yield np.sin, np.cos
    yield [1].append, [2].append
    yield Point(1.0).__eq__, Point(2.0).__eq__
    yield gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Box(-1, 2, (2,))
    yield {"a", "b", (1, "c")}, {"a", "b", (1, "d")}
    yield Path("a"), Path("b")


@pytest.mark.parametrize("at", range(len(list(different()))))
def test_values_are_told_apart_by_content(at: int) -> None:
    one, other = list(different())[at]
    again = list(different())[at][0]
    assert digest(one) == digest(again)
    assert digest(one) != digest(other)


def test_cycles_and_shared_values_end() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    shared = [np.ones(2)]
    assert digest(loop) == digest(loop)
    assert digest([shared, shared]) == digest([shared, shared])
    ring = types.SimpleNamespace(name="a")
    ring.peers = {Node(ring)}
    reader = Reader()
    assert reader.digest(ring, "value") == Reader().digest(ring, "value")
    deep: list[Any] = []
    for _ in range(1000):
        deep = [deep]
    reader = Reader()
    reader.digest(deep, "value")
    assert reader.unknown[0].endswith("is nested too deeply")
