"""Sweeps with breakpoint compensation: loops are solved, not cut."""

from __future__ import annotations

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.physics.balanced.kernels.mesh_rows import judge_rows

from .grids import Features, Grid, chain, random_tree
from .oracle import dense_newton, flows, load_power, pandapower_newton

MESHES = (("case33bw", 5), ("case118zh", 15), ("case118zh", 6), ("case136ma", 21), ("case533mt_hi", 4))


def mesh(name: str, ties: int) -> cases.Feeder:
    """A shipped feeder with its first ties closed."""
    feeder = cases.load(name)
    for tie in feeder.column("switches", "switch_id")[:ties]:
        feeder = feeder.with_switch(str(tie), closed=True)
    return feeder


def kept(feeder: cases.Feeder) -> physics.Network:
    """Compiled with its loops, without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return physics.compile(feeder, keep_loops=True)


def imbalance(net: physics.Network, sol: physics.Solution) -> float:
    """Largest complex MVA that is missing at a bus, from the reported flows."""
    drawn = load_power(net.feeder, sol.v_pu)[0]
    shunt = net.shunt_g_mw - 1j * net.shunt_b_mvar
    np.add.at(shunt, net.cap_node, -1j * np.where(net.cap_on, net.cap_mvar, 0.0))
    drawn = drawn + shunt * sol.v_pu**2
    np.add.at(drawn, net.from_row, sol.p_from_mw + 1j * sol.q_from_mvar)
    np.add.at(drawn, net.to_row, sol.p_to_mw + 1j * sol.q_to_mvar)
    drawn[net.source_node] -= sol.s_source_mva
    return float(np.abs(drawn).max())


@pytest.mark.quick(2)
@pytest.mark.parametrize(("name", "ties"), MESHES)
def test_meshed_feeders_equal_newton(name: str, ties: int) -> None:
    """Capability 19: all ties closed, none pruned: Newton's voltages and flows, balance at every bus."""
    feeder = mesh(name, ties)
    net = kept(feeder)
    sol = physics.solve(net)
    theirs = pandapower_newton(feeder, 1e-12 * feeder.base_mva)
    assert sol.converged
    assert not sol.diverged
    assert sol.iterations <= 12
    assert np.abs(sol.v - theirs).max() < 1e-9
    assert net.topology.loops is not None
    loops = net.topology.loops.branch
    assert loops.size == len(feeder.topology().loops) > 0
    assert (net.topology.in_tree == net.closed).all()
    s_from, s_to = flows(feeder, theirs)
    np.testing.assert_allclose(sol.p_from_mw + 1j * sol.q_from_mvar, s_from, rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.p_to_mw + 1j * sol.q_to_mvar, s_to, rtol=0, atol=1e-8)
    assert np.abs(sol.p_from_mw[loops]).min() > 0
    assert imbalance(net, sol) < 1e-9


def random_mesh(seed: int) -> Grid:
    """A random tree with everything on it but phase shifts, and up to six loops, some transformers."""
    tree = Features(taps=True, charging=True, shunts=True, zips=True, exponents=True, generation=True)
    rng = np.random.default_rng(seed)
    grid = random_tree(seed, int(rng.integers(4, 60)), tree, drop=0.08)
    nodes = [row["node_id"] for row in grid.rows["nodes"]]
    for k in range(int(rng.integers(1, 7))):
        start, end = rng.choice(len(nodes), 2, replace=False)
        r, x = rng.uniform(0.05, 0.3, 2)
        tap, shift = (rng.uniform(0.99, 1.01), rng.uniform(-1, 1)) if k % 2 else (1.0, 0.0)
        grid.branch(
            nodes[start], nodes[end], float(r), float(x), b=float(rng.uniform(0, 0.01)), tap=float(tap),
            shift=float(shift), branch_id=f"loop{k}",
        )  # fmt: skip
    return grid.shuffled(rng)


@pytest.mark.parametrize("seed", range(12))
def test_random_meshes_equal_an_independent_newton(seed: int) -> None:
    """Capability 19, 5, 6; Trap 2: taps, shifts and charging on loop branches, ZIP and CVR loads."""
    feeder = random_mesh(seed).feeder()
    net = kept(feeder)
    sol = physics.solve(net)
    assert sol.converged
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-9
    assert imbalance(net, sol) < 1e-9 * net.base_mva


def test_parallel_transformers_with_unequal_taps() -> None:
    """Capability 19, 5: a circulating current flows even without load, through a shift of 30 degrees."""
    grid = Grid(base_mva=10.0)
    for node, kv in (("s", 60.0), ("m", 10.0), ("e", 10.0)):
        grid.node(node, kv)
    grid.branch("s", "m", 0.01, 0.1, tap=1.02, shift=30.0, kind="transformer")
    grid.branch("m", "s", 0.01, 0.1, tap=1 / 0.97, shift=-30.0, kind="transformer")
    grid.branch("m", "e", 0.02, 0.02)
    grid.source("s")
    feeder = grid.feeder()
    sol = physics.solve(kept(feeder))
    assert sol.converged
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-12
    assert abs(sol.q_from_mvar[0]) > 1.0


def ring(tie_r: float, tie_x: float, merged: bool = False) -> Grid:
    """s - a - b - c - s with a bus tie between b and d, d fed from s: or b and d as one node."""
    grid = Grid(base_mva=10.0)
    d = "b" if merged else "d"
    for name in ("s", "a", "b", "c") if merged else ("s", "a", "b", "c", "d"):
        grid.node(name)
    for k, (start, end) in enumerate((("s", "a"), ("a", "b"), ("b", "c"), ("c", "s"), (d, "s"))):
        grid.branch(start, end, 0.02 + 0.004 * k, 0.03, b=0.002, branch_id=f"line{k}")
        grid.switch(f"line{k}")
    if not merged:
        grid.branch("d", "b", tie_r, tie_x, kind="switch", branch_id="tie")
        grid.switch("tie")
    for k, name in enumerate(("a", "b", "c", d)):
        grid.load(name, 0.4 + 0.3 * k, 0.2, cvr=(0.6, 1.4) if name == "c" else None)
    grid.source("s", v=1.02, deg=3.0)
    return grid


def test_a_closed_bus_tie_is_one_bus() -> None:
    """Capability 19: a loop branch without impedance: both ends alike, its flow by the current law."""
    net = kept(ring(0.0, 0.0).feeder())
    assert net.topology.loops is not None
    tie = net.feeder.branch_index["tie"]
    assert tie in net.topology.loops.branch or net.topology.in_tree[tie]
    sol = physics.solve(net, tol=1e-12)
    one = dense_newton(ring(0.0, 0.0, merged=True).feeder())
    assert sol.converged
    assert np.abs(sol.v[[0, 1, 2, 3, 2]] - one[[0, 1, 2, 3, 2]]).max() < 1e-12
    assert abs(sol.v[4] - sol.v[2]) < 1e-15
    assert abs(sol.p_from_mw[tie]) > 0.01
    assert imbalance(net, sol) < 1e-12
    near = physics.solve(kept(ring(1e-7, 1e-7).feeder()), tol=1e-12)
    assert abs(near.p_from_mw[tie] - sol.p_from_mw[tie]) < 1e-4


def test_a_loop_without_any_impedance_is_refused() -> None:
    """Capability 19: how current divides in it is nobody's guess: the error names the branches."""
    grid = ring(0.0, 0.0)
    grid.node("e")
    grid.branch("b", "e", 0.0, 0.0, kind="switch", branch_id="second tie")
    grid.branch("e", "d", 0.0, 0.0, kind="switch", branch_id="third tie")
    with pytest.raises(ValueError, match=r"no impedance.*'second tie'"):
        physics.compile(grid.feeder(), keep_loops=True)


def test_rows_with_loops_beside_radial_rows() -> None:
    """Capability 19, 9: each row by its own switches, a radial one with the plain sweep's bits."""
    feeder = ring(0.01, 0.01).feeder()
    net = kept(feeder)
    states = np.ones((5, 6), dtype=bool)
    states[1, 0] = states[1, 3] = False  # radial
    states[2, 5] = False  # one loop
    states[3, (1, 2, 5)] = False  # radial, b is dead
    states[4] = states[0]
    batch = physics.solve(net, closed=states)
    assert batch.converged.all()
    for row, state in enumerate(states):
        changed = feeder
        for switch, closed in zip(feeder.column("switches", "switch_id"), state, strict=True):
            changed = changed.with_switch(switch, closed=bool(closed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", physics.IslandWarning)
            alone = physics.solve(physics.compile(changed, keep_loops=True))
            np.testing.assert_array_equal(alone.v, batch.v[row])
            np.testing.assert_array_equal(alone.q_to_mvar, batch.q_to_mvar[row])
            if row in (1, 3):
                radial = physics.compile(changed, allow_mesh_pruning=False)
                np.testing.assert_array_equal(physics.solve(radial).v, batch.v[row])
        theirs = dense_newton(changed)
        np.testing.assert_allclose(batch.v[row], theirs, rtol=0, atol=1e-10)
        assert (batch.p_from_mw[row][~state] == 0).all()
    assert np.isnan(batch.v_pu[3]).tolist() == [False, False, True, False, False]


def test_a_row_has_the_same_bits_in_any_batch() -> None:
    """Capability 19: whatever the size of the batch, the number of threads and the rows beside it."""
    net = kept(mesh("case33bw", 5))
    scale = np.random.default_rng(1).uniform(0.2, 7.5, (600, 1))
    p, q = scale * net.load_p_mw, scale * net.load_q_mvar
    one, two = (physics.solve(net, p, q, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one.v, two.v)
    assert 0 < one.diverged.sum() < 600
    for row in (0, 255, 599):
        np.testing.assert_array_equal(physics.solve(net, p[row], q[row]).v, one.v[row])


@pytest.mark.parametrize(("scale", "solvable"), [(5.98, True), (6.575, True), (6.64, True), (6.675, False)])
def test_flags_up_to_the_nose(scale: float, solvable: bool) -> None:
    """Capability 19, Trap 4: the nose of 33bw with its ties is at 6.641 times the load; Newton agrees."""
    feeder = mesh("case33bw", 5)
    feeder = feeder.with_loads(
        p_mw=scale * feeder.column("nodes", "load_p_mw"), q_mvar=scale * feeder.column("nodes", "load_q_mvar")
    )
    net = kept(feeder)
    sol = physics.solve(net)
    assert sol.converged == solvable
    assert sol.diverged != solvable
    if solvable:
        assert np.abs(sol.v - pandapower_newton(feeder, 1e-11)).max() < 1e-6
        assert sol.collapsed == (sol.v_pu.min() < 0.5)
        assert imbalance(net, sol) < 1e-9


def test_the_limit_of_iterations_is_kept() -> None:
    """Trap 8: stopped early, a row is not called converged."""
    net = kept(mesh("case33bw", 5))
    for limit in (1, 2, 3, 4):
        sol = physics.solve(net, max_iter=limit)
        assert sol.diverged
        assert not sol.converged
        assert sol.iterations <= limit


def two_ways(scale: float) -> Grid:
    """A load fed by a line, and by an equal one with a node in its middle."""
    grid = chain(2, p=scale, q=0.5 * scale, r=0.2, x=0.2, base_mva=1.0)
    grid.node("middle")
    grid.branch("n1", "middle", 0.1, 0.1)
    grid.branch("middle", "n0", 0.1, 0.1)
    return grid


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 1.6])
def test_a_start_on_the_lower_branch_ends_on_the_upper(scale: float) -> None:
    """Capability 19: two equal lines are one of half the impedance; the lower solution is known."""
    grid = two_ways(scale)
    net = kept(grid.feeder())
    upper = physics.solve(net, tol=1e-13)
    drop = (0.1 + 0.1j) * (scale - 0.5j * scale)
    low = abs(drop) / upper.v_pu[1]  # |V1| |V2| = |z S| for a line with one load
    lower = np.array([1.0, np.conj(low**2 + drop), 0.0])
    lower[2] = lower[:2].mean()
    assert abs(lower[1] + (0.1 + 0.1j) * np.conj(complex(scale, 0.5 * scale) / lower[1]) - 1) < 1e-12
    for method in ("backward-forward", "newton"):
        sol = physics.solve(net, v0=lower, method=method)
        assert sol.converged
        assert np.abs(sol.v - upper.v).max() < 1e-8


def test_the_determinant_tells_the_branches_apart() -> None:
    """Capability 19, Trap 4: both are solutions; the sign is positive on the operable one only."""
    net = kept(two_ways(1.0).feeder())
    upper = physics.solve(net, tol=1e-13)
    drop = (0.1 + 0.1j) * (1.0 - 0.5j)
    lower = np.array([1.0, np.conj((abs(drop) / upper.v_pu[1]) ** 2 + drop), 0.0])
    lower[2] = lower[:2].mean()
    half = (1.0 - lower[1]) / (0.2 + 0.2j)
    v = np.stack([upper.v, lower])
    current = np.stack([upper.i_branch, np.array([half, -half, half])])
    length, sign = np.zeros(2), np.zeros(2)
    p, q = np.tile(net.load_p_mw, (2, 1)), np.tile(net.load_q_mvar, (2, 1))
    judge_rows(net.topology.tree, net.topology.loops, 0, 2, p, q, p, q, 1.0, v, current, length, sign)
    assert length.max() < 1e-12
    assert sign.tolist() == [1.0, -1.0]


def test_newtons_slope_knows_voltage_dependent_loads() -> None:
    """Capability 6, 19: with ZIP and CVR loads only, the last steps still square the error."""
    grid = chain(6, p=4.0, q=2.4, r=0.05, x=0.05, base_mva=10.0)
    grid.branch("n5", "n0", 0.1, 0.1)
    for k, row in enumerate(grid.rows["loads"]):
        zip_load = {"p_i_frac": 0.6, "q_i_frac": 0.3, "p_z_frac": 0.4, "q_z_frac": 0.7}
        row.update(zip_load if k % 2 else {"cvr_p": 1.5, "cvr_q": 2.5})
    net = kept(grid.feeder())
    sol = physics.solve(net, tol=1e-12)
    assert sol.converged
    assert sol.iterations <= 10
    assert np.abs(sol.v - dense_newton(net.feeder)).max() < 1e-12


def test_a_warm_start_and_changed_taps() -> None:
    """Capability 19, 5: any start gives the same answer; a tap on a loop branch shifts flow."""
    feeder = random_mesh(3).feeder()
    net = kept(feeder)
    sol = physics.solve(net, tol=1e-12)
    for start in (sol, np.full(net.n_bus, 0.7 - 0.4j), np.zeros(net.n_bus)):
        assert np.abs(physics.solve(net, v0=start, tol=1e-12).v - sol.v).max() < 1e-11
    loop = feeder.branch_index["loop0"]
    taps = np.tile(net.tap, (3, 1))
    taps[:, loop] = 0.99, 1.0, 1.01
    batch = physics.solve(net, tap=taps, tol=1e-12)
    assert batch.converged.all()
    for row in range(3):
        theirs = dense_newton(feeder.with_tap("loop0", tap=taps[row, loop]))
        assert np.abs(batch.v[row] - theirs).max() < 1e-10
    assert all(a != b for a, b in pairwise(batch.q_from_mvar[:, loop]))


def test_networks_with_loops_travel() -> None:
    """Capability 19: pickled and read back, a network still keeps its loops; tree-only bounds refuse it."""
    net = kept(mesh("case33bw", 5))
    again = pickle.loads(pickle.dumps(net))  # noqa: S301  -- made here
    np.testing.assert_array_equal(physics.solve(again).v, physics.solve(net).v)
    with pytest.raises(ValueError, match="has loops"):
        physics.state_bounds(net, np.ones(net.n_bus))


def test_sources_are_not_joined_by_keeping_loops() -> None:
    """Capability 9: a closed branch between two sources stays an error."""
    grid = chain(3)
    grid.source("n2")
    feeder_rows = grid.rows["branches"]
    feeder_rows[1]["status"] = False
    grid.switch("n1-n2")
    net = physics.compile(grid.feeder(), keep_loops=True)
    with pytest.raises(ValueError, match="connects two sources"):
        physics.solve(net, closed=[True])
