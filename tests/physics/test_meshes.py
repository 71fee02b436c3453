"""Loops: pruned to the breadth-first first-visit tree with a warning, or refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.envs import DistGrid3PhaseEnv
from distgrid.physics.balanced.tree import spanning_order

from .grids import Grid
from .oracle import pandapower_newton

TIES = ("21-8", "9-15", "12-22", "18-33", "25-29")


def meshed_33() -> cases.Feeder:
    """33bw with its five ties closed."""
    feeder = cases.load("case33bw")
    for tie in TIES:
        feeder = feeder.with_switch(tie, closed=True)
    return feeder


def breadth_first_tree(feeder: cases.Feeder) -> set[str]:
    """Branch ids of the first-visit tree, by the textbook algorithm: a queue, branches in table order."""
    ids, starts, ends, on = (
        feeder.column("branches", c) for c in ("branch_id", "from_node", "to_node", "status")
    )
    queue = list(feeder.column("sources", "node_id"))
    seen, tree = set(queue), set()
    while queue:
        node = queue.pop(0)
        for branch, a, b, closed in zip(ids, starts, ends, on, strict=True):
            other = b if a == node else a
            if closed and node in (a, b) and other not in seen:
                seen.add(other)
                queue.append(other)
                tree.add(branch)
    return tree


def test_pruning_warns_and_equals_the_pruned_trees_newton() -> None:
    """Capability 97, 119: 33bw with its ties closed: the warning names what is dropped, the rest is right."""
    feeder = meshed_33()
    kept = breadth_first_tree(feeder)
    dropped = sorted(set(feeder.column("branches", "branch_id")) - kept)
    assert len(dropped) == 5
    with pytest.warns(physics.MeshWarning) as caught:
        net = physics.compile(feeder, allow_mesh_pruning=True)
    assert len(caught) == 1
    for branch in feeder.column("branches", "branch_id"):
        assert (repr(branch) in str(caught[0].message)) == (branch in dropped)
    sol = physics.solve(net)
    pruned = feeder
    for branch in dropped:
        pruned = pruned.with_switch(branch, closed=False)
    assert np.abs(sol.v - pandapower_newton(pruned, 1e-11)).max() < 1e-9
    assert (sol.p_from_mw[[feeder.branch_index[b] for b in dropped]] == 0).all()
    assert np.isfinite(sol.v_pu).all()


def test_pruning_can_be_refused() -> None:
    """Capability 97: allow_mesh_pruning=False raises and names the branches that close loops."""
    feeder = meshed_33()
    dropped = sorted(set(feeder.column("branches", "branch_id")) - breadth_first_tree(feeder))
    with pytest.raises(ValueError, match="meshed") as refused:
        physics.compile(feeder, allow_mesh_pruning=False)
    assert all(repr(branch) in str(refused.value) for branch in dropped)
    assert "allow_mesh_pruning=True" in str(refused.value)


def test_a_radial_feeder_compiles_in_silence_either_way() -> None:
    """Capability 97: no warning where there is nothing to warn of."""
    feeder = cases.load("case33bw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = (physics.compile(feeder, allow_mesh_pruning=allow) for allow in (True, False))
    assert (physics.solve(a).v == physics.solve(b).v).all()


def test_loops_made_by_switch_states_are_said_too() -> None:
    """Capability 97: closing a tie in `closed=` prunes with the same warning, or raises."""
    feeder = cases.load("case33bw")
    closed = np.zeros((2, 5), dtype=bool)
    closed[1, feeder.column("switches", "branch_id").tolist().index("25-29")] = True
    net = physics.compile(feeder)
    for _ in range(2):  # the second time from the network's memory
        with pytest.warns(physics.MeshWarning, match="breadth-first tree without '27-28'"):
            sol = physics.solve(net, closed=closed)
    assert (sol.v[0] == physics.solve(net).v).all()
    assert sol.p_from_mw[1, feeder.branch_index["27-28"]] == 0.0
    with pytest.raises(ValueError, match="'27-28'"):
        physics.solve(physics.compile(feeder, allow_mesh_pruning=False), closed=closed)


def diamond() -> Grid:
    """s - a - c and s - b - c, then c - d twice: breadth first keeps s-a, s-b, a-c and both c-d."""
    grid = Grid(base_mva=10.0)
    for name in ("d", "c", "b", "a", "s"):
        grid.node(name)
    for start, end in (("c", "b"), ("a", "s"), ("c", "a"), ("s", "b"), ("c", "d")):
        grid.branch(start, end, 0.02, 0.03)
    grid.branch("c", "d", 0.001, 0.001, branch_id="c-d#2")
    for name in "abcd":
        grid.load(name, 0.5, 0.2)
    grid.source("s")
    return grid


def test_first_visit_on_a_small_example() -> None:
    """Capability 97, 119: c is reached through a, as s reaches a before b; parallel branches stay both."""
    with pytest.warns(physics.MeshWarning, match="without 'c-b'$"):
        net = physics.compile(diamond().feeder())
    kept = set(net.feeder.column("branches", "branch_id")[net.topology.in_tree])
    assert kept == {"a-s", "s-b", "c-a", "c-d", "c-d#2"} == breadth_first_tree(net.feeder) | {"c-d#2"}


def test_breadth_first_distances_and_numbering() -> None:
    """Capability 119: in a random graph parents come first, subtrees are contiguous, hops are minimal."""
    rng = np.random.default_rng(3)
    n, m = 60, 80
    start, end = rng.integers(0, n, m), rng.integers(0, n, m)
    keep = start != end
    start, end = start[keep], end[keep]
    closed = rng.random(start.size) < 0.7
    span = spanning_order(n, start, end, closed, np.array([7]))
    hops = np.full(n, -1)
    hops[7] = 0
    pairs = np.stack([start, end], axis=1)[closed]
    for distance in range(n):
        for a, b in (*pairs, *pairs[:, ::-1]):
            if hops[a] == distance and hops[b] < 0:
                hops[b] = distance + 1
    assert 10 < (hops >= 0).sum() < n
    assert ((span.root_of >= 0) == (hops >= 0)).all()
    position = {node: k for k, node in enumerate(span.order.tolist())}
    assert len(position) == (hops >= 0).sum()
    for node in reversed(span.order.tolist()):
        up = int(span.parent_node[node])
        if up >= 0:
            assert hops[node] == hops[up] + 1
            assert position[up] < position[node]
            edge = span.parent_branch[node]
            assert {int(start[edge]), int(end[edge])} == {node, up}
            assert closed[edge]
    assert (np.diff(hops[span.order]) >= 0).all()  # level by level
    live = np.flatnonzero(closed & (hops[start] >= 0))
    assert span.dropped.tolist() == np.setdiff1d(live, span.parent_branch).tolist()
    assert span.dropped.size > 5


def test_per_phase_loops_are_refused_unless_pruning_is_asked_for() -> None:
    """Capability 97: `compile` and the environment refuse what `dist pf` refuses; pruned, it is said."""
    feeder = cases.three_phase(cases.load("case33bw").with_switch("s9-15", closed=True))
    with pytest.raises(ValueError, match="meshed"):
        physics.compile(feeder)
    with pytest.raises(ValueError, match="meshed"):
        DistGrid3PhaseEnv(feeder)
    with pytest.warns(physics.MeshWarning, match="without"):
        physics.compile(feeder, allow_mesh_pruning=True)
