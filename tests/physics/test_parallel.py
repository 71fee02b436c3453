"""Branches between the same two nodes carry both: one branch to the tree, their own flows told."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.envs import DistGridEnv, DistGridVectorEnv

from .grids import Features, Grid, chain, random_tree, with_parallel_branches
from .oracle import dense_newton, flows, pandapower_newton

EVERYTHING = Features(
    taps=True, shifts=True, charging=True, shunts=True, zips=True, exponents=True, generation=True
)


def compiled(feeder: cases.Feeder) -> physics.Network:
    """Compiled where nothing may be cut, without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return physics.compile(feeder, allow_mesh_pruning=False)


def equals(feeder: cases.Feeder, sol: physics.Solution, v: np.ndarray, within: float = 1e-9) -> None:
    """Voltages, and the flows at both ends of every branch, are those of the voltages ``v``."""
    assert sol.converged
    assert np.abs(sol.v - v).max() < within
    for end, theirs in zip(("from", "to"), flows(feeder, v), strict=True):
        mine = getattr(sol, f"p_{end}_mw") + 1j * getattr(sol, f"q_{end}_mvar")
        assert np.abs(mine - theirs).max() < within * feeder.base_mva


def two(*, second: dict[str, float], reverse: bool = False, base: float = 10.0) -> Grid:
    """s - m by two branches, m - e by one; loads at m and e."""
    grid = Grid(base_mva=base)
    for name in ("s", "m", "e"):
        grid.node(name, 10.0)
    grid.branch("s", "m", 0.01, 0.03, b=0.01, tap=1.01, branch_id="one", rating=1.0)
    ends = ("m", "s") if reverse else ("s", "m")
    r, x = second.get("r", 0.02), second.get("x", 0.02)
    more = {name: value for name, value in second.items() if name not in ("r", "x")}
    grid.branch(*ends, r, x, branch_id="two", rating=1.0, **more)  # type: ignore[arg-type]
    grid.branch("m", "e", 0.03, 0.02)
    grid.load("m", 1.0, 0.5)
    grid.load("e", 0.7, 0.2, z=0.5)
    grid.source("s", v=1.02, deg=3.0)
    for name in ("one", "two"):
        grid.switch(name)
    return grid


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "second",
    [
        {"tap": 1.01}, {"tap": 0.97}, {"tap": 1.0, "b": 0.05}, {"shift": 1.5}, {"tap": 1.03, "shift": -2.0},
        {"r": 0.0, "x": 1e-6}, {"r": 0.5, "x": -0.2},
    ],
)  # fmt: skip
def test_two_branches_carry_both(second: dict[str, float], reverse: bool) -> None:
    """Capability 19, 97: equal and unequal ratios, a circulating current, charging, either way round."""
    feeder = two(second=second, reverse=reverse).feeder()
    equals(feeder, physics.solve(compiled(feeder)), dense_newton(feeder))


@pytest.mark.parametrize("twist", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_random_trees_with_parallel_branches(seed: int, twist: float) -> None:
    """Capability 19, 5, 6: an independent Newton's voltages and flows, on everything a branch may be."""
    rng = np.random.default_rng([seed, 77])
    grid = random_tree(seed, int(rng.integers(3, 40)), EVERYTHING, drop=0.09)
    feeder = with_parallel_branches(grid, rng, twist).feeder()
    equals(feeder, physics.solve(compiled(feeder)), dense_newton(feeder))


def test_parallel_lines_equal_pandapower() -> None:
    """Trap 33: a second line beside each of some branches of 33bw, as pandapower's own elements have it."""
    grid = chain(6, base_mva=10.0)
    for k in (1, 3):
        grid.branch(f"n{k}", f"n{k + 1}", 0.03, 0.02, b=0.01, branch_id=f"second {k}")
        grid.branch(f"n{k + 1}", f"n{k}", 0.01, 0.05, branch_id=f"third {k}")
    feeder = grid.feeder()
    theirs = pandapower_newton(feeder, 1e-11)
    for method in ("backward-forward", "newton", "fast-decoupled"):
        equals(feeder, physics.solve(compiled(feeder), method=method), theirs)


def test_a_bundle_is_no_loop_anywhere() -> None:
    """Trap 33: neither to the topology, nor to `dist pf --loops refuse`; a loop beside it still is one."""
    grid = two(second={"tap": 0.99})
    feeder = grid.feeder()
    assert feeder.topology().is_radial
    assert feeder.topology().meshes == ()
    assert [set(loop) for loop in feeder.topology().parallel] == [{"one", "two"}]
    assert "radial" in feeder.describe()
    flow = power_flow(feeder, loops="refuse")
    assert flow.usable
    assert flow.notes == ()
    assert flow.branches["carries_current"].to_pylist() == [True, True, True]
    assert flow.branches["closes_loop"].to_pylist() == [False, False, False]
    s_from, _ = flows(feeder, dense_newton(feeder))
    np.testing.assert_allclose(flow.branches["p_from_mw"].to_numpy(), s_from.real, rtol=0, atol=1e-8)
    grid.branch("s", "e", 0.1, 0.1, branch_id="tie")
    looped = grid.feeder()
    assert len(looped.topology().meshes) == 1
    with pytest.raises(ValueError, match="meshed"):
        physics.compile(looped, allow_mesh_pruning=False)
    kept = physics.compile(looped, keep_loops=True)
    equals(looped, physics.solve(kept), dense_newton(looped))
    equals(looped, physics.solve(kept, method="newton"), dense_newton(looped))


def test_a_bundle_that_closes_a_loop_is_cut_as_one() -> None:
    """Capability 97: pruned with both its branches, which the warning names."""
    grid = chain(4)
    for name in ("tie", "second tie"):
        grid.branch("n3", "n0", 0.5, 0.5, branch_id=name)
    with pytest.warns(physics.MeshWarning, match="without 'n2-n3'$|without 'tie', 'second tie'$") as caught:
        net = physics.compile(grid.feeder())
    assert len(caught) == 1
    assert net.topology.in_tree.sum() + net.topology.dropped.size == 5
    sol = physics.solve(net)
    assert (sol.i_branch[net.topology.dropped] == 0).all()


def test_ideal_switches_take_all_and_share_alike() -> None:
    """One without impedance takes all the current; several take the same; a line beside them nothing."""
    grid = chain(2)
    grid.rows["branches"].clear()
    grid.branch("n0", "n1", 0.1, 0.1, branch_id="line")
    grid.branch("n0", "n1", 0.0, 0.0, kind="switch", branch_id="one")
    grid.branch("n1", "n0", 0.0, 0.0, kind="switch", branch_id="two")
    for name in ("one", "two"):
        grid.switch(name)
    feeder = grid.feeder()
    net = compiled(feeder)
    for method in ("backward-forward", "newton"):
        sol = physics.solve(net, closed=[[True, True], [True, False], [False, False]], method=method)
        assert sol.converged.all()
        np.testing.assert_allclose(sol.p_from_mw[0], [0.0, 0.05, -0.05], rtol=0, atol=1e-9)
        np.testing.assert_allclose(sol.p_from_mw[1], [0.0, 0.1, 0.0], rtol=0, atol=1e-9)
        assert sol.p_from_mw[2, 0] > 0.1


def test_an_ideal_branch_beside_a_transformer_of_another_ratio() -> None:
    """The voltages are tied; what circulates in the transformer flows in the ideal branch."""
    feeder = two(second={"r": 0.0, "x": 0.0}).feeder()
    near = two(second={"r": 0.0, "x": 1e-9}).feeder()
    mine, theirs = physics.solve(compiled(feeder), tol=1e-12), dense_newton(near)
    assert mine.converged
    assert np.abs(mine.v - theirs).max() < 1e-7
    for end, flow in zip(("from", "to"), flows(near, theirs), strict=True):
        assert np.abs(getattr(mine, f"p_{end}_mw") + 1j * getattr(mine, f"q_{end}_mvar") - flow).max() < 1e-4
    assert abs(mine.q_from_mvar[0]) > 0.1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"r": 0.0, "x": 0.0, "tap": 1.05}, "no impedance, and different ratios"),
        ({"r": 0.0, "x": -0.03}, "admittances cancel"),
    ],
)
def test_what_no_current_divides_in_is_refused(second: dict[str, float], message: str) -> None:
    """Two ideal ratios at odds, a resonance: the error names the branches."""
    grid = two(second=second)
    grid.rows["branches"][0].update(r=0.0, x=0.0 if "tap" in second else 0.03, tap=1.0)
    with pytest.raises(ValueError, match=rf"'one', 'two'.*{message}"):
        physics.compile(grid.feeder())


def test_rows_with_taps_and_switches_of_their_own() -> None:
    """Capability 9, 18: every row of a batch is what the feeder with its states is alone; one by one, too."""
    feeder = two(second={"tap": 0.99, "shift": 0.0}).feeder()
    net = compiled(feeder)
    taps = np.array([[1.01, 0.99, 1.0], [1.01, 1.01, 1.0], [1.05, 0.97, 1.0], [1.01, 0.99, 1.0]])
    closed = np.array([[True, True], [True, True], [True, True], [True, False]])
    sol = physics.solve(net, tap=taps, closed=closed)
    for row in range(4):
        alone = feeder.with_tap("one", taps[row, 0]).with_tap("two", taps[row, 1])
        alone = alone.with_switch("two", closed=bool(closed[row, 1]))
        v = dense_newton(alone)
        assert np.abs(sol.v[row] - v).max() < 1e-9
        np.testing.assert_allclose(sol.p_from_mw[row], flows(alone, v)[0].real, rtol=0, atol=1e-8)
        again = physics.solve(net, tap=taps[row], closed=closed[row])
        assert again.v.tobytes() == sol.v[row].tobytes()
    copy = pickle.loads(pickle.dumps(net))  # noqa: S301 - our own bytes
    assert physics.solve(copy).i_branch.tobytes() == physics.solve(net).i_branch.tobytes()
    light = physics.solve(net, currents=False)
    assert light.v.tobytes() == physics.solve(net).v.tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_the_bounds_of_a_state_hold(seed: int) -> None:
    """Capability 100: no solved state is worse than what a failed one is priced by."""
    rng = np.random.default_rng([seed, 78])
    grid = random_tree(seed, 20, EVERYTHING, drop=0.1)
    net = compiled(with_parallel_branches(grid, rng).feeder())
    scale = rng.uniform(-1, 1.5, (20, net.n_bus))
    sol = physics.solve(net, net.load_p_mw * scale, net.load_q_mvar * scale)
    good = sol.converged & ~sol.collapsed
    bound = physics.state_bounds(net, 1.5 * np.hypot(net.load_p_mw, net.load_q_mvar))
    apparent = np.maximum(
        np.hypot(sol.p_from_mw, sol.q_from_mvar), np.hypot(sol.p_to_mw, sol.q_to_mvar)
    )  # fmt: skip
    assert good.any()
    assert (apparent[good] <= bound.s_branch_mva * (1 + 1e-9) + 1e-12).all()
    assert (sol.v_pu[good] <= bound.v_high_pu * (1 + 1e-9)).all()
    assert (sol.p_loss_mw[good] <= bound.p_loss_mw).all()


def test_environments_solve_parallel_branches() -> None:
    """Capability 97, 112: one face and many: flows of both, the same bits, inside what is observed."""
    feeder = two(second={"tap": 0.99}).feeder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = DistGridEnv(feeder, allow_mesh_pruning=False)
        envs = DistGridVectorEnv(feeder, num_envs=3)
    observation, info = env.reset(seed=1, options={"day": 10})
    assert env.observation_space.contains(observation)
    sol = physics.solve(env.net, env.grid.stepper.load_p_mw[0], env.grid.stepper.load_q_mvar[0])
    env.step(env.action_space.sample())
    assert np.abs(env.grid.stepper.v[0] - sol.v).max() < 1e-12
    assert np.abs(env.grid.stepper.loading[0][:2] - sol.loading[:2]).max() < 1e-12
    assert info["branch_loading"][1] > 0
    action = env.action_space.sample()
    told = env.step(action)[4]
    envs.reset(seed=1, options={"day": 10})
    envs.step(np.stack([action] * 3))
    infos = envs.step(np.stack([action] * 3))[4]
    for name in ("voltages", "branch_loading"):
        assert infos[name][1].tobytes() == told[name].tobytes()
