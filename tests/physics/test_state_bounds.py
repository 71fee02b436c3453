"""The bounds that price a failed power flow hold for every solved state above the collapse voltage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from distgrid import cases, physics

from .grids import Features, Grid, chain, random_tree

seeds = st.integers(0, 2**32 - 1)
features = st.builds(Features, *[st.booleans()] * 7)


def inside(net: physics.Network, sol: physics.Solution, bounds: physics.StateBounds) -> None:
    """Voltages, losses and flows of all rows that are solved above the bounds' lowest voltage."""
    v = np.atleast_2d(sol.v_pu)
    solved = np.atleast_1d(sol.converged) & (v.min(axis=1) >= bounds.v_low_pu)
    assert solved.any()
    slack = 1 + 1e-9
    assert (v[solved] <= bounds.v_high_pu * slack).all()
    assert (np.atleast_1d(sol.p_loss_mw)[solved] <= bounds.p_loss_mw * slack + 1e-12).all()
    for p, q in ((sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar)):
        flow = np.hypot(*(np.atleast_2d(part)[solved] for part in (p, q)))
        assert (flow <= bounds.s_branch_mva * slack + 1e-9 * net.base_mva).all()


@settings(max_examples=120)
@given(seeds, st.integers(2, 40), features, st.floats(0.02, 0.5), st.sampled_from([0.5, 0.8]))
def test_solved_states_are_inside(seed: int, n: int, having: Features, drop: float, v_low: float) -> None:
    """Capability 100, Trap 19: loads and generation of any angle up to S per node, on any tree."""
    net = physics.compile(random_tree(seed, n, having, drop=drop).feeder())
    rng = np.random.default_rng(seed)
    s_max = np.hypot(net.load_p_mw, net.load_q_mvar)
    s = s_max * rng.uniform(0, 1, (24, n)) * np.exp(2j * np.pi * rng.uniform(0, 1, (24, n)))
    s[:6] = s_max * np.exp(1j * np.linspace(0, 2 * np.pi, 6, endpoint=False))[:, None]
    s[-1] = 0.0
    try:
        bounds = physics.state_bounds(net, s_max, v_low)
    except ValueError as refused:  # half the voltage lost, and shunts besides: there need not be a bound
        if "has no voltage bound" not in str(refused):
            raise
        reject()
    inside(net, physics.solve(net, s.real, s.imag), bounds)
    inside(net, physics.solve(net, 0 * s.real, 0 * s.imag, p_inject_mw=s.real, q_inject_mvar=s.imag), bounds)


def special() -> dict[str, Grid]:
    """Grids on which an easier bound is wrong."""
    charged = chain(2, p=0.0, q=0.0, r=0.01, x=0.1)
    charged.rows["branches"][0]["b"] = 0.5
    cubic, wild, reactor = (chain(3, p=0.0, q=0.0, r=0.02, x=0.1) for _ in range(3))
    for grid in (charged, cubic, wild, reactor):
        grid.rows["loads"].clear()
    cubic.load("n2", 0.5, -0.8, cvr=(4.0, 4.0))
    cubic.rows["sources"][0]["v_pu"] = 1.4
    wild.load("n2", 1.5, -1.5, z=3.0, i=-4.0)
    wild.rows["sources"][0]["v_pu"] = 1.5
    reactor.rows["nodes"][2]["shunt_b_mvar"] = -1.0
    reactor.rows["branches"][1]["b"] = 0.2
    return {"charged line": charged, "exponent 4": cubic, "shares beyond 1": wild, "reactor": reactor}


@pytest.mark.parametrize("name", special())
def test_charging_exponents_and_wild_shares(name: str) -> None:
    """Capability 100: both halves of a line's charging; exponents above 2; ZIP shares outside [0, 1]."""
    net = physics.compile(special()[name].feeder())
    s_max = np.hypot(net.load_p_mw, net.load_q_mvar)
    bounds = physics.state_bounds(net, s_max)
    sol = physics.solve(net)
    inside(net, sol, bounds)
    flow = np.hypot(sol.p_from_mw, sol.q_from_mvar).max()
    assert bounds.s_branch_mva.max() < 20 * flow  # a bound, not infinity


@pytest.mark.parametrize("name", ["case33bw", "case118zh", "case141"])
def test_bounds_of_shipped_feeders_are_finite_and_ordered(name: str) -> None:
    """Trap 19: finite, above the nominal state, and larger when collapse is allowed to go lower."""
    net = physics.compile(cases.load(name))
    s_max = np.hypot(net.load_p_mw, net.load_q_mvar)
    low, high = physics.state_bounds(net, s_max, 0.5), physics.state_bounds(net, s_max, 0.9)
    nominal = physics.solve(net)
    for bounds in (low, high):
        assert np.isfinite(bounds.v_high_pu).all()
        assert nominal.p_loss_mw < bounds.p_loss_mw < np.inf
    assert high.p_loss_mw < low.p_loss_mw
    assert (high.v_high_pu <= low.v_high_pu).all()
    assert (np.isfinite(low.s_branch_mva)).all()


def test_dead_nodes_and_feeders_without_a_source() -> None:
    """Capability 9: NaN where there is no voltage; nothing energised has no loss."""
    grid = chain(4)
    grid.rows["branches"][1]["status"] = False
    with pytest.warns(physics.IslandWarning):
        net = physics.compile(grid.feeder())
    bounds = physics.state_bounds(net, np.full(4, 0.1))
    assert np.isnan(bounds.v_high_pu).tolist() == [False, False, True, True]
    assert bounds.s_branch_mva[1:].tolist() == [0.0, 0.0]
    grid.rows["sources"].clear()
    with pytest.warns(physics.IslandWarning):
        net = physics.compile(grid.feeder())
    assert physics.state_bounds(net, np.full(4, 0.1)).p_loss_mw == 0.0


def test_a_resonant_feeder_has_no_bound_and_says_so() -> None:
    """Capability 100: a bank of 15 times what its line can feed: an error that says what to check."""
    grid = chain(2, p=0.1, q=0.0, r=0.01, x=0.1)
    grid.cap("n1", 150.0)
    with pytest.raises(ValueError, match=r"no voltage bound.*capacitors"):
        physics.state_bounds(physics.compile(grid.feeder()), np.full(2, 0.1))
