"""How few sweeps a three-phase power flow needs, what it leaves out on request, which branch it answers."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid import cases, physics

from .phase_grids import Grid3
from .test_three_phase_ieee import constant_power


@pytest.fixture(scope="module")
def net() -> physics.Network3:
    """IEEE 123 with every load at constant power."""
    return physics.compile_per_phase(constant_power(cases.load("ieee123")))


def varied(net: physics.Network3, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, n_bus, 3) loads: all together and each by itself."""
    rng = np.random.default_rng(3)
    p, q = (rng.uniform(0.6, 1.1, (count, 1, 1)) * rng.uniform(0.9, 1.1, (count, net.n_bus, 3)) for _ in "pq")
    return net.load_p_mw * p, net.load_q_mvar * q


@pytest.mark.parametrize(("tol", "most"), [(1e-6, 5), (1e-8, 7)])
def test_few_sweeps_and_a_true_error_below_tol(tol: float, most: int, net: physics.Network3) -> None:
    """Capability 106: sweeps that sum powers, with regulators at neutral and as stored."""
    p, q = varied(net, 40)
    for tap in (np.ones(net.tap.size), net.tap):
        sol = physics.solve(net, p, q, tap=tap, tol=tol)
        exact = physics.solve(net, p, q, tap=tap, tol=1e-12)
        assert sol.converged.all()
        assert sol.iterations.max() <= most
        assert np.nanmax(np.abs(sol.v - exact.v)) < tol


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123", "european_lv"])
def test_the_error_is_below_tol_on_every_feeder(name: str) -> None:
    """Capability 100: also where banks, exponents and delta loads make sweeps creep."""
    net = physics.compile_per_phase(cases.load(name))
    p, q = varied(net, 5)
    exact = physics.solve(net, p, q, tol=1e-12)
    for tol in (1e-4, 1e-6, 1e-8):
        sol = physics.solve(net, p, q, tol=tol)
        assert sol.converged.all()
        assert np.nanmax(np.abs(sol.v - exact.v)) < tol


def test_a_lone_row_by_the_short_way_has_the_same_bits(net: physics.Network3) -> None:
    """Capability 17: alone, with arguments that need the long way, in a batch, without currents."""
    p, q = varied(net, 33)
    many = physics.solve(net, p, q)
    for row in (0, 7, 32):
        short = physics.solve(net, p[row], q[row])
        long = physics.solve(net, p[row].tolist(), q[row], tap=net.tap, cap_on=net.cap_on)
        bare = physics.solve(net, p[row], q[row], currents=False)
        for other in (long.v, bare.v, many.v[row]):
            assert short.v.tobytes() == other.tobytes()
        assert short.i_node.tobytes() == long.i_node.tobytes() == many.i_node[row].tobytes()
        assert short.iterations == many.iterations[row]


def test_voltages_only(net: physics.Network3) -> None:
    """Capability 101: without currents nothing is told of them; memory is taken over where it fits."""
    p, q = varied(net, 20)
    full = physics.solve(net, p, q)
    bare = physics.solve(net, p, q, currents=False)
    assert np.array_equal(bare.v, full.v, equal_nan=True)
    assert np.array_equal(bare.converged, full.converged)
    with pytest.raises(AttributeError, match="currents=False"):
        _ = bare.p_from_mw
    with pytest.raises(AttributeError, match="currents=False"):
        _ = bare.p_slack_mw
    again = physics.solve(net, 0.5 * p, q, currents=False, out=bare)
    assert np.shares_memory(again.v, bare.v)
    assert np.array_equal(again.v, physics.solve(net, 0.5 * p, q).v, equal_nan=True)
    with pytest.raises(ValueError, match="20 rows without currents"):
        physics.solve(net, p, q, out=bare)
    with pytest.raises(ValueError, match="1 rows"):
        physics.solve(net, p, q, out=physics.solve(net))


def two_nodes(load_pu: complex, z: complex) -> tuple[physics.Network3, np.ndarray]:
    """One uncoupled line to one load, and |V|^2 of the upper and the lower solution."""
    grid = Grid3()
    grid.node("s")
    grid.node("l")
    grid.source("s")
    base = 4.16**2 / grid.base_mva
    grid.line("s", "l", matrix=np.eye(3) * z * base, charging=np.zeros((3, 3)))
    grid.load("l", "ABC", load_pu.real * grid.base_mva, load_pu.imag * grid.base_mva)
    half = 0.5 - (z * np.conj(load_pu)).real
    root = np.sqrt(half**2 - abs(z * load_pu) ** 2)
    return physics.compile_per_phase(grid.feeder()), np.array([half + root, half - root])


@pytest.mark.parametrize("load", [0.4, 0.7, 0.85])
def test_a_start_on_the_lower_branch_is_left(load: float) -> None:
    """Capability 100, Trap 4: what converges is the operable solution, whatever the start."""
    s, z = load * (1.0 + 0.3j), 0.1 + 0.3j
    net, size = two_nodes(s, z)
    turn = np.exp(-2j * np.pi / 3 * np.arange(3))
    upper, lower = (np.conj(u + z * np.conj(s)) * turn for u in size)
    for start in (np.stack([turn, lower]), np.stack([turn, upper])):
        sol = physics.solve(net, v0=start, tol=1e-10, max_iter=2000)
        assert sol.converged
        assert np.abs(sol.v[1] - upper).max() < 1e-8
    assert np.abs(upper - lower).max() > 0.1


def test_beyond_the_nose_nothing_converges() -> None:
    """Capability 100: from just beyond it to a thousand times the load; finite numbers, and a collapse
    unless the first update runs away.
    """
    net, _ = two_nodes(0.4 + 0.12j, 0.1 + 0.3j)
    nose = 0.5 / (((0.1 + 0.3j) * (0.4 - 0.12j)).real + abs((0.1 + 0.3j) * (0.4 + 0.12j)))
    factor = nose * np.array([1.005, 1.05, 1.5, 3.0, 30.0, 1000.0])[:, None, None]
    sol = physics.solve(net, net.load_p_mw * factor, net.load_q_mvar * factor)
    assert sol.diverged.all()
    assert not sol.converged.any()
    assert sol.collapsed[1:5].all()
    assert np.isfinite(sol.v).all()
    short_of = physics.solve(net, net.load_p_mw * 0.95 * nose, net.load_q_mvar * 0.95 * nose)
    assert short_of.converged
