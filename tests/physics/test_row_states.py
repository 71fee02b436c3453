"""What may differ from row to row: source voltage, switches, taps, banks; islands and warm starts."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid import cases, physics

from .grids import Grid, chain
from .oracle import dense_newton, pandapower_newton


def ring() -> Grid:
    """Source - a - b - c - d and a normally open tie d - source; every branch has a switch."""
    grid = Grid(base_mva=10.0)
    for name in ("s", "a", "b", "c", "d"):
        grid.node(name)
    for k, (start, end) in enumerate((("s", "a"), ("a", "b"), ("c", "b"), ("c", "d"), ("d", "s"))):
        grid.branch(start, end, 0.01 + 0.002 * k, 0.02, b=0.001, closed=k < 4)
        grid.switch(f"{start}-{end}")
    for k, name in enumerate(("a", "b", "c", "d")):
        grid.load(name, 0.4 + 0.1 * k, 0.2)
    grid.source("s", v=1.01)
    return grid


def test_source_voltage_per_row() -> None:
    """Capability 10: a number, one per row, and one per row and source; each row equals its own feeder."""
    feeder = cases.load("case33bw")
    net = physics.compile(feeder)
    levels = np.array([0.97, 1.0, 1.05])
    batch = physics.solve(net, v_source_pu=levels)
    assert (physics.solve(net, v_source_pu=levels[:, None]).v == batch.v).all()
    for row, level in enumerate(levels):
        theirs = pandapower_newton(feeder.with_source(v_pu=float(level)), 1e-11)
        assert np.abs(batch.v[row] - theirs).max() < 1e-9
        assert (physics.solve(net, v_source_pu=level).v == batch.v[row]).all()


def test_switch_states_per_row() -> None:
    """Capability 9: closing the tie and opening another switch changes one row's tree."""
    feeder = ring().feeder()
    net = physics.compile(feeder)
    states = np.ones((6, 5), dtype=bool)
    for row in range(5):
        states[row, (4, 0, 1, 2, 3)[row]] = False
    states[5] = states[2]
    batch = physics.solve(net, closed=states, tol=1e-12)
    assert batch.converged.all()
    for row, state in enumerate(states):
        changed = feeder
        for switch, closed in zip(feeder.column("switches", "switch_id"), state, strict=True):
            changed = changed.with_switch(switch, closed=bool(closed))
        assert np.abs(batch.v[row] - dense_newton(changed)).max() < 1e-11
        alone = physics.solve(physics.compile(changed), tol=1e-12)
        assert (alone.v == batch.v[row]).all()
        assert (alone.p_from_mw == batch.p_from_mw[row]).all()
        assert alone.p_slack_mw == batch.p_slack_mw[row]
        assert (batch.p_from_mw[row][~state] == 0).all()
    assert (batch.v[5] == batch.v[2]).all()
    assert np.abs(np.diff(batch.v_pu[:5, 2])).min() > 1e-4  # the trees differ


def test_an_island_is_nan_and_unserved() -> None:
    """Capability 9, Trap 8: no source: NaN voltages, no flow, less slack power; other rows unharmed."""
    net = physics.compile(ring().feeder())
    states = np.array([[True, True, True, True, False], [True, False, True, True, False]])
    batch = physics.solve(net, closed=states)
    assert np.isfinite(batch.v_pu[0]).all()
    assert np.isnan(batch.v_pu[1]).tolist() == [False, False, True, True, True]
    assert batch.converged.tolist() == [True, True]
    assert (batch.p_from_mw[1][1:] == 0).all()
    assert (batch.i_ka[1][1:] == 0).all()
    served = net.load_p_mw[:2].sum() + batch.p_loss_mw[1]
    assert batch.p_slack_mw[1] == pytest.approx(served, abs=1e-9)
    assert batch.p_slack_mw[1] < batch.p_slack_mw[0] - 1.5


def test_a_feeder_with_an_island_says_so() -> None:
    """Capability 9, 119: compile warns and names the nodes; solve leaves them NaN."""
    grid = ring()
    grid.rows["branches"][2]["status"] = False
    with pytest.warns(physics.IslandWarning, match=r"2 nodes have no source: 'c', 'd'"):
        net = physics.compile(grid.feeder())
    assert net.energised.tolist() == [True, True, True, False, False]
    assert np.isnan(physics.solve(net).v_pu).tolist() == [False, False, False, True, True]


def two_sources() -> Grid:
    """Two feeders of one substation each, with a normally open tie between their ends."""
    grid = Grid(base_mva=10.0)
    for name in ("s", "a", "b", "t", "c", "d"):
        grid.node(name)
    for start, end in (("s", "a"), ("a", "b"), ("c", "t"), ("c", "d"), ("b", "d")):
        grid.branch(start, end, 0.02, 0.03, closed=(start, end) != ("b", "d"))
        grid.switch(f"{start}-{end}")
    for k, name in enumerate(("a", "b", "c", "d")):
        grid.load(name, 0.4 + 0.1 * k, 0.2)
    grid.source("s", v=1.02, deg=5.0)
    grid.source("t", v=0.98, deg=-40.0)
    return grid


def test_several_sources_in_islands_of_their_own() -> None:
    """Capability 10: each source at its own voltage and angle; powers in the order of the sources table."""
    feeder = two_sources().feeder()
    net = physics.compile(feeder)
    sol = physics.solve(net, tol=1e-12)
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-12
    assert sol.s_source_mva.real == pytest.approx([0.9 + loss(sol, 0, 1), 1.3 + loss(sol, 2, 3)], abs=1e-9)
    assert sol.p_slack_mw == pytest.approx(sol.s_source_mva.real.sum(), abs=1e-12)
    transfer = np.array([[True, False, True, True, True], [True, True, True, True, False]])
    moved = physics.solve(net, closed=transfer, v_source_pu=[[1.0, 0.97], [1.02, 0.98]], tol=1e-12)
    assert (moved.v[1] == sol.v).all()
    changed = feeder.with_switch("sa-b", closed=False).with_switch("sb-d", closed=True)
    changed = changed.with_source(v_pu=1.0, source_id="src0").with_source(v_pu=0.97, source_id="src1")
    assert np.abs(moved.v[0] - dense_newton(changed)).max() < 1e-12


def loss(sol: physics.Solution, *branches: int) -> float:
    """MW lost in some branches."""
    return float(sum(sol.p_from_mw[e] + sol.p_to_mw[e] for e in branches))


def test_joining_two_sources_is_refused() -> None:
    """Capability 9: a switch that would couple two sources raises and names the branch."""
    net = physics.compile(two_sources().feeder())
    with pytest.raises(ValueError, match=r"branch 'b-d' connects two sources"):
        physics.solve(net, closed=[True] * 5)


def test_nothing_energised() -> None:
    """Trap 8: a feeder without any source has no voltages, no flows and no slack, and does not crash."""
    grid = chain(3)
    grid.rows["sources"].clear()
    with pytest.warns(physics.IslandWarning, match="3 nodes"):
        net = physics.compile(grid.feeder())
    sol = physics.solve(net)
    assert np.isnan(sol.v_pu).all()
    assert sol.p_slack_mw == sol.p_loss_mw == 0.0
    assert sol.s_source_mva.shape == (0,)


def test_one_node() -> None:
    """Trap 8: a feeder of one node: the source feeds its load."""
    grid = Grid(base_mva=1.0)
    grid.node("only", g=0.01)
    grid.load("only", 0.3, 0.1)
    grid.source("only", v=1.1)
    sol = physics.solve(physics.compile(grid.feeder()))
    assert sol.converged
    assert sol.p_slack_mw == pytest.approx(0.3 + 0.01 * 1.21, abs=1e-12)
    assert sol.p_loss_mw == 0.0
    assert sol.i_ka.shape == sol.loading.shape == (0,)


def test_a_warm_start_gives_the_same_solution_sooner() -> None:
    """Capability 17: v0 from a Solution or an array; same voltages, fewer sweeps; any start is legal."""
    net = physics.compile(cases.load("case118zh"))
    cold = physics.solve(net, tol=1e-10)
    warm = physics.solve(net, 1.001 * net.load_p_mw, v0=cold, tol=1e-10)
    again = physics.solve(net, 1.001 * net.load_p_mw, tol=1e-10)
    assert np.abs(warm.v - again.v).max() < 1e-9
    assert warm.iterations < again.iterations
    rng = np.random.default_rng(0)
    wild = cold.v * rng.uniform(0.3, 2.0, net.n_bus) * np.exp(1j * rng.uniform(-1, 1, net.n_bus))
    for start in (cold.v, wild, np.zeros(net.n_bus), np.full(net.n_bus, np.nan)):
        sol = physics.solve(net, v0=start, tol=1e-10)
        assert sol.converged
        assert np.abs(sol.v - cold.v).max() < 1e-9


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 1.6])
def test_a_start_on_the_lower_branch_is_never_called_converged_there(scale: float) -> None:
    """Capability 17: the lower solution is a fixed point of the sweep, too: it is left."""
    net = physics.compile(chain(2, p=scale, q=0.5 * scale, r=0.1, x=0.1, base_mva=1.0).feeder())
    upper = physics.solve(net, tol=1e-13, max_iter=10_000)
    drop = (0.1 + 0.1j) * (scale - 0.5j * scale)
    low = abs(drop) / upper.v_pu[1]  # |V1| |V2| = |z S| for a line with one load
    lower = np.array([1.0, np.conj(low**2 + drop)])
    assert abs(lower[1] + (0.1 + 0.1j) * np.conj(complex(scale, 0.5 * scale) / lower[1]) - 1) < 1e-12
    sol = physics.solve(net, v0=lower, max_iter=10_000)
    assert sol.converged
    assert np.abs(sol.v - upper.v).max() < 1e-6


def test_inputs_are_left_alone() -> None:
    """Trap 14: the caller's arrays and the network's are not written to, and answers do not drift."""
    net = physics.compile(cases.load("case33bw"))
    p = np.broadcast_to(net.load_p_mw, (4, net.n_bus)).copy()
    before, nominal = p.copy(), net.load_p_mw.copy()
    first = physics.solve(net, p)
    kept = first.v.copy()
    physics.solve(net, 2 * p, p_inject_mw=p, v0=first)
    assert (p == before).all()
    assert (net.load_p_mw == nominal).all()
    assert (first.v == kept).all()
    assert (physics.solve(net, p).v == kept).all()
