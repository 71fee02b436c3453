"""pandapower's Newton and fast-decoupled methods behind the same door, and honest about failure."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics

from .grids import Features, Grid, chain, random_tree
from .oracle import dense_newton, pandapower_newton

Nets = Callable[[str], physics.Network]
METHODS = ("newton", "fast-decoupled")


def alike(a: physics.Solution, b: physics.Solution, v: float, mva: float) -> None:
    """Voltages, flows at both ends and sources of two solutions."""
    np.testing.assert_allclose(a.v, b.v, rtol=0, atol=v)
    for name in ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "s_source_mva"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=mva)


@pytest.mark.quick(3)
@pytest.mark.parametrize("name", cases.names(phases="balanced"))
def test_newton_equals_the_sweep(name: str, network: Nets) -> None:
    """Capability 15: to 1e-9 pu on every shipped feeder, flows and sources with it."""
    net = network(name)
    theirs = physics.solve(net, method="newton")
    assert theirs.converged
    assert not theirs.diverged
    # Case 141 has a branch of 6.4e-7 pu: 1e-16 pu of voltage there are 1.6e-9 MW.
    alike(theirs, physics.solve(net, tol=1e-10), 1e-9, 1e-6 if name == "case141" else 1e-7)


@pytest.mark.parametrize("name", ["case33bw", "case118zh"])
def test_fast_decoupled_gives_the_same_answer(name: str, network: Nets) -> None:
    """Capability 16: it converges in spite of R/X above 1, in more steps than Newton, to the same numbers."""
    net = network(name)
    theirs = physics.solve(net, method="fast-decoupled")
    assert theirs.converged
    assert theirs.iterations > physics.solve(net, method="newton").iterations
    alike(theirs, physics.solve(net, tol=1e-10), 1e-8, 1e-6)


def test_fast_decoupled_says_when_it_did_not_converge(network: Nets) -> None:
    """Capability 16, Trap 8: too few iterations, and a line of R/X = 10 on which it cannot converge."""
    assert physics.solve(network("case33bw"), method="fast-decoupled", max_iter=4).diverged
    net = physics.compile(chain(6, p=0.3, q=0.3, r=0.2, x=0.005, base_mva=10.0).feeder())
    sol = physics.solve(net, method="fast-decoupled")
    assert physics.solve(net).converged
    assert sol.diverged
    assert not sol.converged


def mesh33() -> cases.Feeder:
    feeder = cases.load("case33bw")
    for tie in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(tie), closed=True)
    return feeder


@pytest.mark.parametrize("method", METHODS)
def test_meshed_and_pruned(method: str) -> None:
    """Capability 19, 97: with its loops where they are kept, and the sweep's pruned tree elsewhere."""
    feeder = mesh33()
    net = physics.compile(feeder, keep_loops=True)
    sol = physics.solve(net, method=method)
    assert sol.converged
    assert np.abs(sol.v - pandapower_newton(feeder, 1e-12)).max() < 1e-8
    alike(sol, physics.solve(net, tol=1e-10), 1e-8, 1e-6)
    with pytest.warns(physics.MeshWarning):
        pruned = physics.compile(feeder)
    alike(physics.solve(pruned, method=method), physics.solve(pruned, tol=1e-10), 1e-8, 1e-6)


@pytest.mark.quick(3)
@pytest.mark.parametrize("seed", range(6))
def test_every_branch_and_load_model(seed: int) -> None:
    """Capability 15, 5, 6: taps, shifts, charging, shunts, ZIP loads, reversed branches, at random."""
    features = Features(taps=True, shifts=True, charging=True, shunts=True, zips=True, generation=True)
    feeder = random_tree(seed, 25, features).feeder()
    net = physics.compile(feeder)
    sol = physics.solve(net, method="newton", tol=1e-10)
    assert sol.converged
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-9
    alike(sol, physics.solve(net, tol=1e-10), 1e-9, 1e-6 * net.base_mva)


def station(z: float = 0.02) -> Grid:
    """A transformer with tap and shift, a tie of impedance z, a bank, two kinds of voltage-dependent load."""
    grid = Grid(base_mva=10.0)
    for node, kv in (("s", 60.0), ("m", 10.0), ("t", 10.0), ("e", 10.0)):
        grid.node(node, kv, g=0.01)
    grid.branch("m", "s", 0.01, -0.05, tap=1.03, shift=30.0, b=0.01, kind="transformer")
    grid.branch("m", "t", z, z, kind="switch", branch_id="tie")
    grid.branch("e", "t", 0.03, 0.02, b=0.004)
    grid.load("m", 1.0, 0.4, z=(0.3, 0.2), i=(0.2, 0.5))
    grid.load("t", 0.5, 0.3, i=(0.4, 0.1))
    grid.load("e", 0.7, 0.2, cvr=(2.0, 1.0))
    grid.cap("e", 0.3)
    grid.switch("tie")
    grid.source("s", v=1.01, deg=-4.0)
    return grid


def test_a_branch_without_impedance() -> None:
    """Capability 15, 9: one bus for pandapower, its flow all the same; an ideal transformer is refused."""
    net = physics.compile(station(0.0).feeder())
    alike(physics.solve(net, method="newton"), physics.solve(net, tol=1e-12), 1e-9, 1e-7)
    grid = station(0.0)
    grid.rows["branches"][1]["tap"] = 1.05
    with pytest.raises(ValueError, match="'tie' is a transformer without impedance"):
        physics.solve(physics.compile(grid.feeder()), method="newton")


def test_rows_with_states_of_their_own() -> None:
    """Capability 15, 9, 10: loads, injections, taps, banks, source voltage, switches; dead nodes NaN."""
    net = physics.compile(station().feeder())
    scale = np.array([[1.0], [0.6], [1.2], [0.9]])
    taps = np.tile(net.tap, (4, 1))
    taps[:, 0] = 1.0, 0.98, 1.05, 1.03
    states: dict[str, Any] = {
        "p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar, "tap": taps,
        "p_inject_mw": np.array([0.0, 0.1, 0.0, 0.0])[:, None] * np.ones(4),
        "cap_on": [[True], [False], [True], [True]], "closed": [[True], [True], [True], [False]],
        "v_source_pu": [1.0, 1.02, 0.99, 1.01],
    }  # fmt: skip
    ours, theirs = physics.solve(net, tol=1e-12, **states), physics.solve(net, method="newton", **states)
    assert theirs.converged.all()
    alike(theirs, ours, 1e-9, 1e-7)
    assert np.isnan(theirs.v_pu[3]).tolist() == [False, False, True, True]
    assert (theirs.p_from_mw[3, 1:] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_loads_beyond_the_nose(method: str, network: Nets) -> None:
    """Trap 8: no solution, and it says so; the next call is not harmed."""
    net = network("case33bw")
    sol = physics.solve(net, 5 * net.load_p_mw, 5 * net.load_q_mvar, method=method)
    assert sol.diverged
    assert not sol.converged
    assert physics.solve(net, method=method).converged


def test_what_pandapower_cannot_express() -> None:
    """Capability 6, 15: a clear error instead of another load."""
    exponent = chain(3)
    exponent.load("n2", 0.1, 0.1, cvr=(0.7, 2.0))
    del exponent.rows["loads"][1]
    with pytest.raises(ValueError, match=r"node 'n2' has CVR exponent 0\.7"):
        physics.solve(physics.compile(exponent.feeder()), method="newton")
    current = chain(2)
    current.rows["loads"][0] |= {"p_i_frac": 1.0}
    net = physics.compile(current.feeder())
    assert physics.solve(net, method="newton").converged
    with pytest.raises(ValueError, match="fast-decoupled method takes no constant-current"):
        physics.solve(net, method="fast-decoupled")
    with pytest.raises(ValueError, match="outweighs"):
        physics.solve(net, method="newton", p_inject_mw=[0.0, 0.05])
    with pytest.raises(ValueError, match="cancels"):
        physics.solve(net, method="newton", p_inject_mw=[0.0, 0.1])


def test_nothing_to_solve() -> None:
    """Trap 8: one node with a source; a feeder without any source."""
    single = Grid(base_mva=1.0)
    single.node("only", g=0.01)
    single.load("only", 0.3, 0.1)
    single.source("only", v=1.1)
    net = physics.compile(single.feeder())
    assert physics.solve(net, method="newton").p_slack_mw == pytest.approx(0.3 + 0.01 * 1.21, abs=1e-12)
    dark = chain(3)
    dark.rows["sources"].clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        net = physics.compile(dark.feeder())
    sol = physics.solve(net, method="newton")
    assert np.isnan(sol.v_pu).all()
    assert sol.p_slack_mw == sol.p_loss_mw == 0.0


def test_newton_right_before_the_nose() -> None:
    """Capability 15, 19: at 99 % of what 33bw with its ties can carry; a failure, then this again."""
    net = physics.compile(mesh33(), keep_loops=True)
    for scale, solvable in ((6.575, True), (6.7, False), (6.575, True)):
        sol = physics.solve(net, scale * net.load_p_mw, scale * net.load_q_mvar, method="newton")
        assert sol.converged == solvable
        assert sol.diverged != solvable
        assert sol.collapsed
