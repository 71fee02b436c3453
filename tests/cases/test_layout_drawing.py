"""Trees are drawn without crossings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import Feeder
from distgrid.cases.importers.matpower.importer import feeder_from_text
from distgrid.cases.model.tree_drawing import radial_layout, with_layout


def tree(parents: list[int], extra: str = "") -> Feeder:
    """Feeder whose node k + 2 hangs at node parents[k]; node 1 is the source."""
    n = len(parents) + 1
    buses = "".join(f"{k} {3 if k == 1 else 1} 0 0 0 0 1 1 0 12 1 1.1 0.9;\n" for k in range(1, n + 1))
    lines = "".join(f"{a} {k} 0.01 0.01 0 0 0 0 0 0 1;\n" for k, a in enumerate(parents, 2))
    head = "mpc.version = '2'; mpc.baseMVA = 10; mpc.gen = [1 0 0 9 -9 1 1 1];\n"
    return feeder_from_text(f"{head}mpc.bus = [\n{buses}];\nmpc.branch = [\n{lines}{extra}];\n", "t.m", "t")


def segments(feeder: Feeder) -> np.ndarray:
    """(closed branches, 2, 2) end points."""
    x, y = feeder.column("nodes", "x"), feeder.column("nodes", "y")
    column, index = feeder.column, feeder.node_index
    pairs = zip(column("branches", "from_node"), column("branches", "to_node"), strict=True)
    points = [[(x[index[node]], y[index[node]]) for node in pair] for pair in pairs]
    return np.array(points).reshape(-1, 2, 2)[column("branches", "status")]


def crossings(feeder: Feeder) -> int:
    """Pairs of closed branches that meet anywhere but in a common node."""
    lines = segments(feeder)
    return sum(_meet(*lines[i], *lines[j]) for i, j in itertools.combinations(range(len(lines)), 2))


def _side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _meet(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether segments ab and cd have a point in common that is no end point of both."""
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    shared = {tuple(a), tuple(b)} & {tuple(c), tuple(d)}
    s1, s2, s3, s4 = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if shared:  # they may still lie on top of each other
        return len(shared) == 2 or (s1 == s2 == 0 and _overlap(a, b, c, d, shared))
    return s1 * s2 <= 0 and s3 * s4 <= 0 and (s1, s2) != (0, 0)


def _overlap(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, shared: set[tuple[float, ...]]
) -> bool:
    (meet,) = shared
    first = b if tuple(a) == meet else a
    second = d if tuple(c) == meet else c
    return float(np.dot(first - np.array(meet), second - np.array(meet))) > 0


@given(st.lists(st.integers(0, 10**6), max_size=30))
@settings(max_examples=60)
def test_no_tree_has_crossings(numbers: list[int]) -> None:
    feeder = tree([number % (k + 1) + 1 for k, number in enumerate(numbers)])
    assert crossings(feeder) == 0
    places = set(zip(feeder.column("nodes", "x"), feeder.column("nodes", "y"), strict=True))
    assert len(places) == feeder.n_nodes


@pytest.mark.parametrize("name", ["case33bw", "case69", "case118zh", "case136ma", "case141"])
def test_shipped_feeders_have_no_crossings(name: str) -> None:
    assert crossings(cases.load(name)) == 0


@pytest.mark.slow
def test_the_largest_shipped_feeder_has_no_crossings() -> None:
    assert crossings(cases.load("case533mt_hi")) == 0


def test_the_check_sees_crossings() -> None:
    """Two swapped nodes must be noticed."""
    feeder = tree([1, 1, 2, 3])
    x, y = (feeder.column("nodes", name).copy() for name in "xy")
    y[[3, 4]] = y[[4, 3]]
    lines = np.array([[(x[a], y[a]), (x[b], y[b])] for a, b in ((0, 1), (0, 2), (1, 3), (2, 4))])
    assert _meet(*lines[2], *lines[3])


def test_the_deepest_branch_goes_straight_on() -> None:
    feeder = tree([1, 2, 2, 4, 5])  # 1-2, then 2-3 ends and 2-4-5-6 goes on
    x, y = radial_layout(feeder)
    assert x.tolist() == [0, 1, 2, 2, 3, 4]
    assert len({y[k] for k in (0, 1, 3, 4, 5)}) == 1
    assert y[2] != y[3]


def test_islands_are_drawn_apart_and_loops_do_no_harm() -> None:
    feeder = cases.load("case33bw").with_switch("2-3", closed=False).with_switch("s9-15", closed=True)
    x, y = radial_layout(feeder)
    assert len(set(zip(x, y, strict=True))) == 33
    dead = set(feeder.topology().islands[1].nodes)
    rows = [feeder.node_index[node] for node in dead]
    others = [k for k in range(33) if k not in rows]
    assert y[rows].max() < y[others].min()


def test_surveyed_coordinates_are_kept() -> None:
    feeder = cases.load("case33bw")
    assert with_layout(feeder) is feeder
    assert with_layout(feeder, replace=True).equals(feeder)


def test_long_feeders_need_no_recursion() -> None:
    x, _ = radial_layout(tree(list(range(1, 2500))))
    assert x.max() == 2499
