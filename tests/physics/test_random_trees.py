"""Properties that hold on any tree: agreement with pandapower's Newton, symmetries, conservation.

The trees are those of `forests.random_forest`: 2 to 300 buses in one to three islands, R/X from 0.1 to 10,
taps, phase shifts, shunts, line charging, ZIP and exponential loads, generation, reversed branches, closed
switches, open ties, shuffled ids and rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import physics
from distgrid.cases import Feeder

from .forests import random_forest
from .grids import Features, Grid, chain, random_tree
from .oracle import Complex, dense_newton, flows, load_power, pandapower_newton
from .pypower import TOLERANCES, NotSolvedError, pypower_newton

features = st.builds(Features, *[st.booleans()] * 7)
seeds = st.integers(0, 2**32 - 1)
# Hypothesis likes small integers and would draw three buses more often than not; multiplied by the golden
# ratio they fall anywhere from 2 to 300.
sizes = st.integers(0, 2**32 - 1).map(lambda k: 2 + (k * 0x9E3779B1 % 2**32) * 299 // 2**32)
drops = st.sampled_from([0.02, 0.12, 0.2])
tight: dict[str, Any] = {"tol": 1e-12, "max_iter": 400}


def solvable(seed: int, n: int, having: Features, drop: float) -> tuple[Grid, Feeder, Complex]:
    """A random forest and its voltages by pandapower; with half the loads where it finds none."""
    for share in (1.0, 0.5, 0.25):
        grid = random_forest(seed, n, having, share * drop)
        feeder = grid.feeder()
        try:
            v, tolerance = pypower_newton(feeder)
        except NotSolvedError:
            continue
        assert tolerance <= max(TOLERANCES)
        return grid, feeder, v
    raise AssertionError("pandapower solves not even a quarter of the load")


def equals_newton(seed: int, n: int, having: Features, drop: float) -> None:
    """Voltages, and the flows into both ends of each branch with an impedance."""
    _, feeder, newton = solvable(seed, n, having, drop)
    assert feeder.n_nodes == n
    sol = physics.solve(physics.compile(feeder, allow_mesh_pruning=False), **tight)
    assert sol.converged
    assert np.abs(sol.v - newton).max() < 1e-10
    series = (feeder.column("branches", "r") != 0) | (feeder.column("branches", "x") != 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = flows(feeder, newton)
    scale = feeder.base_mva * 1e-8
    for mine, theirs in zip(
        (sol.p_from_mw + 1j * sol.q_from_mvar, sol.p_to_mw + 1j * sol.q_to_mvar), ends, strict=True
    ):
        np.testing.assert_allclose(mine[series], theirs[series], rtol=0, atol=scale)


@settings(max_examples=25)
@given(seeds, sizes, features, drops)
def test_any_tree_equals_newton(seed: int, n: int, having: Features, drop: float) -> None:
    """Capability 5, 6, 11, 12, 114; Trap 2, 6: pandapower's Newton at a mismatch of 1e-12 pu."""
    equals_newton(seed, n, having, drop)


@pytest.mark.slow
@settings(max_examples=100)
@given(seeds, sizes, features, drops)
def test_a_hundred_trees_equal_newton(seed: int, n: int, having: Features, drop: float) -> None:
    """Capability 5, 6, 11, 12, 114; Trap 2, 6: pandapower's Newton at a mismatch of 1e-12 pu."""
    equals_newton(seed, n, having, drop)


def test_the_trees_hold_what_they_promise() -> None:
    """Otherwise agreement would say little: islands, switches, ties, taps, shifts, R/X from 0.1 to 10."""
    feeders = [random_forest(seed, 2 + 7 * seed, Features(*[True] * 7)).feeder() for seed in range(43)]
    assert [feeder.n_nodes for feeder in feeders] == [2 + 7 * seed for seed in range(43)]
    assert {feeder.sources.num_rows for feeder in feeders} == {1, 2, 3}
    large = feeders[10:]
    for column, usual in (("tap", 1.0), ("shift_deg", 0.0), ("b", 0.0), ("status", True)):
        assert sum((feeder.column("branches", column) != usual).any() for feeder in large) > 20
    assert sum(bool(feeder.switches.num_rows) for feeder in large) > 20
    ratio = np.concatenate(
        [f.column("branches", "r") / np.maximum(f.column("branches", "x"), 1e-9) for f in large]
    )
    ratio = ratio[ratio > 0]
    assert 0.1 <= ratio.min() < 0.12
    assert 8.0 < ratio.max() <= 10.0
    for feeder in large:
        islands = feeder.topology().islands
        assert feeder.topology().is_radial
        assert all(len(island.sources) == 1 for island in islands)


@settings(max_examples=30)
@given(seeds, st.integers(2, 60), features)
def test_both_newtons_agree(seed: int, n: int, having: Features) -> None:
    """The oracle itself: pandapower's Newton and one that knows loads' derivatives, on the same tree."""
    feeder = random_tree(seed, n, having).feeder()
    assert np.abs(pypower_newton(feeder)[0] - dense_newton(feeder)).max() < 1e-11


@settings(max_examples=60)
@given(seeds, sizes, features, drops)
def test_power_balances_on_any_tree(seed: int, n: int, having: Features, drop: float) -> None:
    """Capability 10, 12, 13: at the default tolerance every bus, and the total, balances to 1e-9 pu."""
    feeder = random_forest(seed, n, having, drop).feeder()
    net = physics.compile(feeder)
    sol = physics.solve(net)
    assert sol.converged
    demand, _ = load_power(feeder, sol.v_pu)
    demand += (net.shunt_g_mw - 1j * net.shunt_b_mvar) * sol.v_pu**2
    residual = demand.copy()
    np.add.at(residual, net.from_row, sol.p_from_mw + 1j * sol.q_from_mvar)
    np.add.at(residual, net.to_row, sol.p_to_mw + 1j * sol.q_to_mvar)
    source = [feeder.node_index[node] for node in feeder.column("sources", "node_id")]
    slack = sol.p_slack_mw + 1j * sol.q_slack_mvar
    assert abs(residual[source].sum() - slack) < 1e-9 * net.base_mva
    residual[source] = 0.0
    assert np.abs(residual).max() < 1e-9 * net.base_mva
    total = demand.sum() + sol.p_loss_mw + 1j * sol.q_loss_mvar
    assert abs(slack - total) < 1e-9 * net.base_mva
    assert sol.p_loss_mw >= -1e-12 * net.base_mva


@pytest.mark.slow
@settings(max_examples=40)
@given(seeds, sizes, features)
def test_order_of_rows_does_not_matter(seed: int, n: int, having: Features) -> None:
    """Trap 2, 6: shuffled tables, with other ids, permute the answer. The source is not the first row."""
    grid = random_forest(seed, n, having)
    other = renamed(grid).shuffled(np.random.default_rng(seed))
    a, b = grid.feeder(), other.feeder()
    mine, theirs = (physics.solve(physics.compile(f), **tight) for f in (a, b))
    node = [b.node_index[f"other {k}"] for k in a.column("nodes", "node_id")]
    branch = [b.branch_index[f"other {k}"] for k in a.column("branches", "branch_id")]
    assert np.abs(mine.v - theirs.v[node]).max() < 1e-11
    for name in ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar"):
        difference = getattr(mine, name) - getattr(theirs, name)[branch]
        assert np.abs(difference).max() < 1e-10 * a.base_mva


def renamed(grid: Grid) -> Grid:
    """The grid with other ids everywhere."""
    ids = {"node_id", "branch_id", "from_node", "to_node", "load_id", "source_id", "switch_id"}
    rows = {
        name: [{k: f"other {v}" if k in ids else v for k, v in row.items()} for row in part]
        for name, part in grid.rows.items()
    }
    return Grid(grid.base_mva, grid.name, rows)


@pytest.mark.slow
@settings(max_examples=40)
@given(seeds, sizes)
def test_direction_of_a_branch_does_not_matter(seed: int, n: int) -> None:
    """Trap 2: swapping from and to of lines swaps their flows; voltages stay, but for the order in which the
    charging at a node is added up.
    """
    grid = random_forest(seed, n, Features(charging=True, shunts=True, zips=True, exponents=True))
    feeder = grid.feeder()
    flip = np.random.default_rng(seed).random(feeder.n_branches) < 0.5
    for row, turn in zip(grid.rows["branches"], flip, strict=True):
        if turn:
            row["from_node"], row["to_node"] = row["to_node"], row["from_node"]
    a, b = (physics.solve(physics.compile(f)) for f in (feeder, grid.feeder()))
    np.testing.assert_allclose(a.v, b.v, rtol=0, atol=1e-14)
    assert a.p_slack_mw == pytest.approx(b.p_slack_mw, rel=1e-12)
    p_from, q_to = np.where(flip, b.p_to_mw, b.p_from_mw), np.where(flip, b.q_from_mvar, b.q_to_mvar)
    np.testing.assert_allclose(p_from, a.p_from_mw, rtol=1e-11, atol=1e-12 * grid.base_mva)
    np.testing.assert_allclose(q_to, a.q_to_mvar, rtol=1e-11, atol=1e-12 * grid.base_mva)


@settings(max_examples=30)
@given(seeds, st.integers(2, 30), st.floats(0.5, 2.0), st.sampled_from([0.1, 10.0]))
def test_the_base_is_a_convention(seed: int, n: int, kv: float, mva: float) -> None:
    """Trap 1: the same ohms and MW on another MVA base give the same per-unit voltages and MW."""
    grid = random_tree(seed, n, Features(charging=True, shunts=True))
    a = physics.solve(physics.compile(grid.feeder()), **tight)
    rows = {name: [dict(row) for row in part] for name, part in grid.rows.items()}
    for row in rows["branches"]:
        row.update(r=row["r"] * mva, x=row["x"] * mva, b=row["b"] / mva)
    for row in rows["nodes"]:
        row["base_kv"] *= kv  # ohms change with kV, but per unit only their ratio counts
    b = physics.solve(physics.compile(Grid(grid.base_mva * mva, "other", rows).feeder()), **tight)
    assert np.abs(a.v - b.v).max() < 1e-11
    np.testing.assert_allclose(b.p_from_mw, a.p_from_mw, rtol=0, atol=1e-10 * grid.base_mva)
    np.testing.assert_allclose(b.i_ka, a.i_ka / kv, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
def test_r_over_x_from_a_tenth_to_ten(ratio: float) -> None:
    """Capability 114: the sweep does not mind R/X: equal to pandapower's Newton from 0.1 to 10."""
    feeder = random_tree(7, 40, Features(generation=True), rx=ratio, drop=0.25).feeder()
    sol = physics.solve(physics.compile(feeder))
    assert sol.converged
    assert sol.iterations <= 20
    assert np.abs(sol.v - pandapower_newton(feeder, 1e-10 * feeder.base_mva)).max() < 5e-9


def test_ten_buses_in_a_row() -> None:
    """Trap 6: currents add up towards the source; without it the end of such a chain stays near 1 pu."""
    feeder = chain(10, p=0.1, q=0.03, r=0.03, x=0.03).feeder()
    sol = physics.solve(physics.compile(feeder), tol=1e-12)
    assert np.abs(sol.v - pandapower_newton(feeder, 1e-11)).max() < 1e-11
    through = np.arange(9, 0, -1) * 0.1
    assert (sol.p_from_mw > through).all()
    assert 0.98 < sol.v_pu[-1] < 0.985


def test_reactive_load_turns_the_angle_the_right_way() -> None:
    """Trap 6: the conjugate: P on a reactance turns the voltage back, Q lowers it; a capacitor raises it."""
    real, reactive, capacitive = (
        physics.solve(physics.compile(chain(2, p=p, q=q, r=0.0, x=0.1, base_mva=1.0).feeder()))
        for p, q in ((0.5, 0.0), (0.0, 0.5), (0.0, -0.5))
    )
    assert real.v_deg[1] == pytest.approx(-np.degrees(np.arcsin(2 * 0.05) / 2), abs=1e-6)
    assert reactive.v_deg[1] == pytest.approx(0.0, abs=1e-12)
    assert reactive.v_pu[1] == pytest.approx((1 + np.sqrt(1 - 4 * 0.05)) / 2, abs=1e-8)
    assert capacitive.v_pu[1] == pytest.approx((1 + np.sqrt(1 + 4 * 0.05)) / 2, abs=1e-8)
