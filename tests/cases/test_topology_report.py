"""Islands and loops are reported with the ids of their branches."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import Feeder
from distgrid.cases.importers.matpower.importer import feeder_from_text


def case_text(n_nodes: int, branches: list[tuple[int, int, int]]) -> str:
    """Case file with nodes 1 to n, a source at 1 and branches (from, to, status)."""
    buses = "".join(
        f"{k} {3 if k == 1 else 1} 0.01 0 0 0 1 1 0 12 1 1.1 0.9;\n" for k in range(1, n_nodes + 1)
    )
    lines = "".join(f"{a} {b} 0.01 0.01 0 0 0 0 0 0 {on};\n" for a, b, on in branches)
    head = "mpc.version = '2'; mpc.baseMVA = 10;\n"
    gen = "mpc.gen = [1 0 0 9 -9 1 1 1];\n"
    return f"{head}mpc.bus = [\n{buses}];\n{gen}mpc.branch = [\n{lines}];\n"


def test_a_loop_is_reported_with_its_branches() -> None:
    """Capability 9 and 119: closing a tie of 33bw makes the loop that the diagram shows."""
    feeder = cases.load("case33bw")
    assert feeder.topology().is_radial
    assert feeder.topology().loops == ()
    topology = feeder.with_switch("s9-15", closed=True).topology()
    assert not topology.is_radial
    assert len(topology.loops) == 1
    assert set(topology.loops[0]) == {"9-10", "10-11", "11-12", "12-13", "13-14", "14-15", "9-15"}
    assert len(topology.islands) == 1


def test_an_island_is_reported_with_its_branches() -> None:
    """Capability 9 and 119: opening a branch of 33bw cuts off what lies behind it."""
    topology = cases.load("case33bw").with_switch("2-19", closed=False).topology()
    assert topology.is_radial
    fed, dead = topology.islands
    assert (fed.sources, fed.energised) == (("source1",), True)
    assert (dead.nodes, dead.energised) == (("19", "20", "21", "22"), False)
    assert dead.branches == ("19-20", "20-21", "21-22")
    assert len(fed.nodes) == 29
    assert len(fed.branches) == 28


def test_a_transferred_load_is_one_radial_island_again() -> None:
    """Capability 9: open a section, close a tie: everything is fed, without a loop."""
    feeder = cases.load("case33bw").with_switch("2-19", closed=False).with_switch("s21-8", closed=True)
    assert feeder.topology().is_radial
    assert len(feeder.topology().islands) == 1


def test_parallel_branches_are_a_loop() -> None:
    feeder = feeder_from_text(case_text(2, [(1, 2, 1), (1, 2, 1)]), "two.m", "two")
    assert [set(loop) for loop in feeder.topology().loops] == [{"1-2", "1-2#2"}]


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    """Any network, meshed or in pieces."""
    n = draw(st.integers(1, 12))
    ends = st.tuples(st.integers(1, n), st.integers(1, n), st.integers(0, 1)).filter(lambda b: b[0] != b[1])
    return n, draw(st.lists(ends, max_size=25)) if n > 1 else []


@pytest.mark.slow
@given(networks())
def test_loops_and_islands_of_any_network(network: tuple[int, list[tuple[int, int, int]]]) -> None:
    """Capability 119: as many loops as graph theory says, each a closed walk; islands a partition."""
    n, branches = network
    feeder = feeder_from_text(case_text(n, branches), "any.m", "any")
    topology = feeder.topology()
    closed = feeder.column("branches", "status")
    assert len(topology.loops) == closed.sum() - n + len(topology.islands)
    nodes = [node for island in topology.islands for node in island.nodes]
    assert sorted(nodes) == sorted(feeder.column("nodes", "node_id"))
    listed = [branch for island in topology.islands for branch in island.branches]
    assert sorted(listed) == sorted(feeder.column("branches", "branch_id")[closed])
    assert topology.islands[0].nodes[0] == "1"
    assert sum(island.energised for island in topology.islands) == 1
    for loop in topology.loops:
        assert len(set(loop)) == len(loop)
        assert _is_cycle(feeder, loop)


def _is_cycle(feeder: Feeder, loop: tuple[str, ...]) -> bool:
    rows = [feeder.branch_index[branch] for branch in loop]
    ends = [
        (feeder.column("branches", "from_node")[k], feeder.column("branches", "to_node")[k]) for k in rows
    ]
    met = Counter(node for pair in ends for node in pair)
    consecutive = all(set(a) & set(b) for a, b in zip(ends, ends[1:] + ends[:1], strict=True))
    return consecutive and set(met.values()) == {2}


def test_ten_thousand_nodes_are_quick() -> None:
    """Building and analysing a large feeder stays interactive (measured 0.1 s; the bound has room)."""
    rng = np.random.default_rng(1)
    n = 10_000
    parents = [int(rng.integers(max(1, k - 40), k)) for k in range(2, n + 1)]
    text = case_text(n, [(a, k, 1) for k, a in enumerate(parents, 2)])
    feeder = feeder_from_text(text, "large.m", "large")
    start = time.perf_counter()
    changed = feeder.with_switch("1-2", closed=False)
    assert time.perf_counter() - start < 1.0
    start = time.perf_counter()
    assert len(changed.topology().islands) == 2
    assert time.perf_counter() - start < 2.0
