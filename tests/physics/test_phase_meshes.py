"""Loops of per-phase feeders, closed by Newton's method on Kirchhoff's laws."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from distgrid import cases, physics

from . import dss_oracle
from .phase_grids import Grid3
from .phase_meshes import meshed_kinds
from .test_gradient_phases import compare


def compiled(grid: Grid3) -> physics.Network3:
    """With all loops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        return physics.compile_per_phase(grid.feeder(), keep_loops=True)


def ring() -> Grid3:
    """Three nodes in a ring, one more on two phases of it."""
    grid = Grid3()
    for name in "sabc":
        grid.node(name)
    grid.node("d", "AC")
    grid.source("s", 1.02, z=(0.02 + 0.05j, 0.005 + 0.01j))
    for start, end in ("sa", "ab", "bc", "ca"):
        grid.line(start, end, km=0.4)
        grid.switch(f"{start}-{end}")
    grid.line("b", "d", "AC", km=0.3)
    grid.line("c", "d", "A", km=0.2)
    grid.load("b", "ABC", 0.5, 0.2)
    grid.load("c", "B", 0.2, 0.1, z=1.0)
    grid.load("d", "AC", 0.15, 0.05, connection="delta")
    return grid


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_meshes_equal_opendss(first: int) -> None:
    """Row 92: chords of one phase to three through feeders of every kind; every node and phase."""
    met = 0
    for seed in range(first, first + 20):
        grid = meshed_kinds(seed)
        net = compiled(grid)
        sol = physics.solve(net, tol=1e-10)
        assert sol.converged, seed
        try:
            theirs = dss_oracle.solve(grid.feeder()).v
        except AssertionError:  # its iteration does not end
            continue
        met += net.topology.irregular == "its loops are closed" or net.topology.closing.size > 0
        assert float(np.nan_to_num(np.abs(sol.v - theirs)).max()) < 1e-7, seed
    assert met >= 15


def test_kirchhoffs_laws_hold_around_and_along_a_loop() -> None:
    """What enters a node leaves it, and what the source gives is taken by loads and branches."""
    grid = ring()
    net = compiled(grid)
    sol = physics.solve(net, tol=1e-12)
    assert net.topology.closing.size == 2
    into = np.zeros((net.n_bus, 3), dtype=complex)
    for rows, current in zip((net.from_row, net.to_row), sol.currents, strict=True):
        np.add.at(into, rows, -current[0])
    b = net.feeder.node_index["b"]
    drawn = np.conj((0.5 + 0.2j) / 3.0 / (net.base_mva / 3.0) / sol.v[b])
    np.testing.assert_allclose(into[b], drawn, rtol=0, atol=1e-9)
    a = net.feeder.node_index["a"]
    np.testing.assert_allclose(into[a], 0.0, rtol=0, atol=1e-9)


def test_a_ring_loses_less_than_either_of_its_trees() -> None:
    """Currents divide so that losses are least: opening a branch of a loop never lowers them here."""
    net = compiled(ring())
    states = np.ones((3, net.switch_branch.size))
    states[1, 2] = states[2, 3] = 0  # b-c open, c-a open
    sol = physics.solve(net, closed=states, tol=1e-11)
    assert sol.converged.all()
    assert sol.p_loss_mw[0] < sol.p_loss_mw[1:].min()
    for row in (1, 2):
        feeder = net.feeder.with_switch(
            str(net.feeder.column("switches", "switch_id")[row + 1]), closed=False
        )
        alone = physics.solve(physics.compile_per_phase(feeder, keep_loops=True), tol=1e-11)
        np.testing.assert_allclose(sol.v[row], alone.v, rtol=0, atol=1e-9)


def test_a_chord_that_carries_nothing_changes_nothing() -> None:
    """Where both ends of a tie have one voltage, closing it moves no voltage."""
    grid = Grid3()
    for name in "sab":
        grid.node(name)
    grid.source("s", 1.0)
    for end in "ab":
        grid.line("s", end, km=0.5)
        grid.load(end, "ABC", 0.4, 0.1)
    apart = physics.solve(physics.compile_per_phase(grid.feeder()), tol=1e-12)
    grid.line("a", "b", km=0.3, charging=np.zeros((3, 3)))
    together = physics.solve(compiled(grid), tol=1e-12)
    np.testing.assert_allclose(together.v, apart.v, rtol=0, atol=1e-11)


def test_rows_of_a_batch_are_those_of_single_solves() -> None:
    """Same bits, whatever the batch."""
    net = compiled(meshed_kinds(3))
    scale = np.linspace(0.2, 1.1, 7)[:, None, None]
    many = physics.solve(net, scale * net.load_p_mw, scale * net.load_q_mvar)
    for k in range(7):
        one = physics.solve(net, scale[k] * net.load_p_mw, scale[k] * net.load_q_mvar)
        np.testing.assert_array_equal(many.v[k], one.v)


@pytest.mark.parametrize("seed", [1, 4])
def test_gradients_go_through_loops(seed: int) -> None:
    """Against central differences, for every argument and result."""
    compare(compiled(meshed_kinds(seed)), seed)


def test_gradients_of_a_ring() -> None:
    """The same where all loops are plain."""
    compare(compiled(ring()), seed=2)


def test_a_feeder_without_loops_is_swept_as_before() -> None:
    """Asking for loops where there are none costs nothing: same kernel, same bits."""
    feeder = cases.load("ieee123")
    kept, plain = (physics.compile_per_phase(feeder, keep_loops=keep) for keep in (True, False))
    assert not kept.topology.irregular
    np.testing.assert_array_equal(physics.solve(kept).v, physics.solve(plain).v)


def test_a_network_with_loops_travels_to_another_process() -> None:
    """A pickled network is compiled anew, loops and all."""
    net = compiled(ring())
    again = pickle.loads(pickle.dumps(net))  # noqa: S301 - written a moment ago
    np.testing.assert_array_equal(physics.solve(again).v, physics.solve(net).v)
