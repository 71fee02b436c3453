"""Gradients with loops, parallel branches and held voltages against central differences of the power flow."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distgrid import physics

from .differences import RESULTS, TIGHT, agree, compare
from .grids import Features, Grid, chain, random_tree, with_parallel_branches
from .test_held import with_generators
from .test_meshed import kept, mesh, random_mesh
from .test_parallel import EVERYTHING, compiled, two

FIELDS = ("p_inject_mw", "q_inject_mvar", "tap", "v_source_pu", "p_mw", "shunt_b_mvar")


@pytest.mark.parametrize(("name", "ties"), [("case33bw", 5), ("case33bw", 1), ("case118zh", 15)])
def test_gradients_of_meshed_feeders_are_central_differences(name: str, ties: int) -> None:
    """Row 40: all ties closed; any scalar of a solution, by every argument."""
    compare(kept(mesh(name, ties)), seed=ties)


@pytest.mark.slow
@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_gradients_of_random_meshes_are_central_differences(seed: int) -> None:
    """Row 40: up to six loops with taps, shifts and charging, ZIP and CVR loads, reversed branches."""
    compare(kept(random_mesh(seed).feeder()), seed, apart_by=5e-3)


@pytest.mark.slow
@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=15, deadline=None, derandomize=True)
def test_gradients_beside_parallel_branches_are_central_differences(seed: int, twisted: bool) -> None:
    """Row 40: either way round, with ratios of their own; with other shifts they are loops, too."""
    rng = np.random.default_rng([seed, 77])
    grid = random_tree(seed, int(rng.integers(3, 30)), EVERYTHING, drop=0.09)
    feeder = with_parallel_branches(grid, rng, 1.0 * twisted).feeder()
    compare(compiled(feeder), seed, apart_by=5e-3, ratio_step=3e-6)


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
@settings(max_examples=15, deadline=None, derandomize=True)
def test_gradients_where_generators_hold_voltages(seed: int, limited: bool, looped: bool) -> None:
    """Row 40: the voltage stands and the reactive power answers; at a limit it is the other way round."""
    rng = np.random.default_rng([seed, 6])
    having = Features(taps=True, charging=True, shunts=True, zips=True)
    grid = random_tree(seed, int(rng.integers(4, 30)), having, drop=0.08)
    if looped:
        names = [row["node_id"] for row in grid.rows["nodes"]]
        grid.branch(names[0], names[-1], 0.2, 0.3, branch_id="loop")
        grid = with_parallel_branches(grid, rng)
    feeder = with_generators(grid, rng, limit=0.4 if limited else None).feeder()
    net = physics.compile(feeder, keep_loops=True, enforce_q_limits=limited)
    sol = physics.solve(net, **TIGHT)
    off = np.abs(sol.v_pu[net.held_node] - net.held_v_pu)
    room = np.minimum(net.held_q_max_mvar - sol.q_held_mvar, sol.q_held_mvar - net.held_q_min_mvar)
    assume((np.maximum(off, room / net.base_mva) > 3e-4).all())  # else a difference changes who holds
    compare(net, seed, apart_by=5e-3, ratio_step=3e-6)
    by = physics.gradient(sol, p_loss_mw=1.0, v_pu=np.ones(net.n_bus))
    holds = off < 1e-9
    assert np.abs(by.q_inject_mvar[net.held_node[holds]]).max(initial=0.0) < 1e-12
    assert np.abs(by.q_inject_mvar[net.held_node[~holds]]).min(initial=1.0) > 1e-6


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("second", [{"r": 0.0, "x": 0.0, "tap": 1.01}, {"r": 0.5, "x": -0.2, "tap": 0.98}])
def test_parallel_branches_without_impedance(second: dict[str, float], reverse: bool) -> None:
    """One of two ties the voltages of their ends, whatever the other is; both ways round."""
    if reverse:
        second = second | {"tap": 1.0 / second["tap"]}
    compare(compiled(two(second=second, reverse=reverse).feeder()), seed=3, apart_by=5e-3, ratio_step=3e-6)


def test_ideal_branches_side_by_side_share_what_their_common_ratio_does() -> None:
    """One of them cannot move alone; all together do what one in their place does."""
    grid = two(second={"r": 0.0, "x": 0.0, "tap": 1.01})
    grid.rows["branches"][0] |= {"r": 0.0, "x": 0.0, "b": 0.0}
    pair = physics.solve(compiled(grid.feeder()), **TIGHT)
    del grid.rows["branches"][1], grid.rows["switches"][1]
    lone = physics.solve(compiled(grid.feeder()), **TIGHT)
    by = [physics.gradient(sol, p_loss_mw=1.0, v_pu=np.ones(3)) for sol in (pair, lone)]
    assert by[0].tap[0] == pytest.approx(by[0].tap[1], rel=1e-9)
    assert by[0].tap[0] + by[0].tap[1] == pytest.approx(by[1].tap[0], rel=1e-9)


def test_a_closed_bus_tie_has_the_gradients_of_one_bus() -> None:
    """A loop branch without impedance: by the injection at either end the same, by central differences."""
    grid = Grid(base_mva=10.0)
    for name in ("s", "a", "b", "d"):
        grid.node(name)
    for k, (start, end) in enumerate((("s", "a"), ("a", "b"), ("d", "s"))):
        grid.branch(start, end, 0.02 + 0.004 * k, 0.03, b=0.002, branch_id=f"line{k}")
    grid.branch("d", "b", 0.0, 0.0, kind="switch", branch_id="tie")
    for k, name in enumerate(("a", "b", "d")):
        grid.load(name, 0.4 + 0.3 * k, 0.2)
    grid.source("s", v=1.02)
    net = kept(grid.feeder())
    compare(net, seed=1)
    by = physics.gradient(physics.solve(net, **TIGHT), p_loss_mw=1.0)
    assert by.p_inject_mw[2] == pytest.approx(by.p_inject_mw[3], rel=1e-10)


@pytest.mark.parametrize("method", ["newton", "fast-decoupled"])
def test_other_methods_have_the_same_gradient(method: str) -> None:
    """The derivative is the solution's, not the method's: loops, a bundle, a generator at a limit."""
    grid = chain(6, p=0.3, q=0.2, r=0.02, x=0.04)
    grid.branch("n5", "n1", 0.03, 0.03, branch_id="loop")
    grid.branch("n2", "n1", 0.05, 0.02, branch_id="beside")
    grid.generator("n3", 0.2, 1.0)
    grid.generator("n5", 0.2, 1.03, -0.1, 0.05)
    net = physics.compile(grid.feeder(), keep_loops=True, enforce_q_limits=True)
    ours, theirs = (physics.solve(net, method=m, tol=1e-10) for m in ("backward-forward", method))
    assert ours.q_held_mvar[1] == pytest.approx(0.05)
    by = [physics.gradient(sol, p_loss_mw=1.0, v_pu=np.ones(6)) for sol in (ours, theirs)]
    for name in FIELDS:
        agree(getattr(by[1], name), getattr(by[0], name))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_has_the_same_bits_in_any_batch(threads: int) -> None:
    """Rows independent, whatever the size of the batch, with taps and switches of their own."""
    net, rng = kept(mesh("case33bw", 5)), np.random.default_rng(5)
    loads = [x * rng.uniform(0.3, 1.1, (300, net.n_bus)) for x in (net.load_p_mw, net.load_q_mvar)]
    closed = np.ones((300, net.switch_branch.size), dtype=bool)
    closed[1::3, :5] = False
    closed[2::3, 2] = False
    sol = physics.solve(net, *loads, closed=closed)
    weights: dict[str, Any] = {
        name: rng.normal(size=np.shape(getattr(sol, name))) for name in RESULTS if name != "loading"
    }
    whole = physics.gradient(sol, **weights, threads=threads)
    for row in (0, 1, 2, 150, 298, 299):
        alone = physics.solve(net, loads[0][row], loads[1][row], closed=closed[row])
        one = physics.gradient(alone, **{name: w[row] for name, w in weights.items()})
        for name in FIELDS:
            assert np.array_equal(getattr(whole, name)[row], getattr(one, name)), name


def test_one_row_serves_many_scalars_and_taps_have_rows() -> None:
    """A batch of scalars of one meshed row, and a tap on a loop in every row."""
    feeder = random_mesh(3).feeder()
    net = kept(feeder)
    sol = physics.solve(net, **TIGHT)
    each = physics.gradient(sol, v_pu=np.eye(net.n_bus))
    for bus in (0, net.n_bus // 2):
        alone = physics.gradient(sol, v_pu=np.eye(net.n_bus)[bus])
        assert np.array_equal(each.p_inject_mw[bus], alone.p_inject_mw)
    taps, loop = np.tile(net.tap, (3, 1)), feeder.branch_index["loop0"]
    taps[:, loop] = 0.99, 1.0, 1.01
    many = physics.gradient(physics.solve(net, tap=taps, **TIGHT), p_loss_mw=1.0)
    for row in range(3):
        moved = kept(feeder.with_tap("loop0", tap=float(taps[row, loop])))
        one = physics.gradient(physics.solve(moved, **TIGHT), p_loss_mw=1.0)
        agree(many.p_inject_mw[row], one.p_inject_mw, 1e-9)


def test_rows_that_did_not_converge_have_no_gradient() -> None:
    """Their gradients are NaN and say so; dead nodes beside them are 0."""
    grid = chain(5)
    grid.branch("n3", "n0", 0.01, 0.01)
    grid.rows["branches"][3]["status"] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        net = physics.compile(grid.feeder(), keep_loops=True)
    loads = np.stack([net.load_p_mw, 1e4 * net.load_p_mw])
    by = physics.gradient(physics.solve(net, loads), p_loss_mw=1.0)
    assert by.converged.tolist() == [True, False]
    assert np.isnan(by.p_inject_mw[1]).all()
    assert np.isnan(by.tap[1]).all()
    assert by.p_inject_mw[0, 4] == by.shunt_g_mw[0, 4] == by.tap[0, 3] == 0.0
    assert np.isfinite(by.p_mw[0]).all()


def test_shunts_of_a_meshed_feeder_are_what_a_changed_feeder_says() -> None:
    """By a conductance and a susceptance at a bus of a ring, as compiled with other shunts."""

    def losses(g: float, b: float) -> physics.Solution:
        grid = chain(6)
        grid.branch("n5", "n0", 0.02, 0.03)
        grid.rows["nodes"][4] |= {"shunt_g_mw": 0.02 + g, "shunt_b_mvar": 0.03 + b}
        return physics.solve(kept(grid.feeder()), **TIGHT)

    by, h = physics.gradient(losses(0, 0), p_loss_mw=1.0), 1e-3
    for name, (g, b) in {"shunt_g_mw": (h, 0.0), "shunt_b_mvar": (0.0, h)}.items():
        moved = losses(g, b).p_loss_mw - losses(-g, -b).p_loss_mw
        assert getattr(by, name)[4] == pytest.approx(float(moved) / (2 * h), rel=1e-6)


def test_a_meshed_transmission_case() -> None:
    """Row 40: every held voltage of a shipped-size mesh at once, of a random ring with chords."""
    rng = np.random.default_rng(8)
    grid = chain(24, p=0.2, q=0.1, r=0.004, x=0.02)
    for k in range(14):
        a, b = rng.choice(24, 2, replace=False)
        grid.branch(f"n{a}", f"n{b}", 0.01, 0.05, branch_id=f"chord{k}")
    for node in (4, 9, 14, 19, 23):
        grid.generator(f"n{node}", 0.4, 1.0 + 0.002 * (node % 3))
    compare(physics.compile(grid.feeder(), keep_loops=True), seed=2)
