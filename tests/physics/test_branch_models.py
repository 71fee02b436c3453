"""Transformers, phase shifters, line charging, shunts and capacitors against pandapower."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid import physics

from .grids import Grid, chain
from .oracle import dense_newton, flows, pandapower_newton


def two_winding(fed_from_high_side: bool, tap: float = 1.0, shift: float = 0.0) -> Grid:
    """110 kV - transformer - 20 kV line - 20 kV line; the source at either end of it."""
    grid = Grid(base_mva=10.0)
    grid.node("high", kv=110.0)
    for name in ("low", "mid", "end"):
        grid.node(name, kv=20.0)
    grid.branch("high", "low", 0.004, 0.11, tap=tap, shift=shift, kind="transformer")
    grid.branch("low", "mid", 0.02, 0.015, b=0.003)
    grid.branch("end", "mid", 0.05, 0.02, b=0.001)
    for name, p, q in (("high", 0.8, 0.3), ("low", 1.0, 0.2), ("mid", 1.5, 0.6), ("end", 0.7, 0.4)):
        grid.load(name, p, q)
    grid.source("high" if fed_from_high_side else "end", v=1.03, deg=12.0)
    return grid


@pytest.mark.quick(3)
@pytest.mark.parametrize("tap", [0.95, 1.0, 1.0625])
@pytest.mark.parametrize("shift", [0.0, 30.0, 150.0])
@pytest.mark.parametrize("fed_from_high_side", [True, False])
def test_transformer_equals_pandapower(fed_from_high_side: bool, tap: float, shift: float) -> None:
    """Capability 5; Trap 2: ratio and phase shift of a transformer fed from either side, to 1e-10 pu."""
    feeder = two_winding(fed_from_high_side, tap, shift).feeder()
    sol = physics.solve(physics.compile(feeder), tol=1e-12)
    theirs = pandapower_newton(feeder, 1e-11)
    assert sol.converged
    assert np.abs(sol.v - theirs).max() < 1e-10
    s_from, s_to = flows(feeder, theirs)
    np.testing.assert_allclose(sol.p_from_mw + 1j * sol.q_from_mvar, s_from, rtol=0, atol=1e-8)
    np.testing.assert_allclose(sol.p_to_mw + 1j * sol.q_to_mvar, s_to, rtol=0, atol=1e-8)


def test_tap_raises_the_low_side_and_shift_turns_it() -> None:
    """Capability 5: the sign of both: tap < 1 at the high side raises the low side, the from end leads."""
    plain = physics.solve(physics.compile(two_winding(True).feeder()))
    raised = physics.solve(physics.compile(two_winding(True, tap=0.95).feeder()))
    turned = physics.solve(physics.compile(two_winding(True, shift=30.0).feeder()))
    assert (raised.v_pu[1:] > plain.v_pu[1:] + 0.04).all()
    np.testing.assert_allclose(turned.v_pu, plain.v_pu, atol=1e-12)
    np.testing.assert_allclose(turned.v_deg[1:], plain.v_deg[1:] - 30.0, atol=1e-9)


def test_a_transformer_written_from_its_other_side_is_the_same() -> None:
    """Trap 2: (high, low, tap t, z) and (low, high, tap 1/t, z t^2, -shift) are one transformer."""
    mine = two_winding(True, tap=1.05, shift=30.0)
    other = two_winding(True)
    other.rows["branches"][0].update(
        branch_id="low-high", from_node="low", to_node="high", tap=1 / 1.05, shift_deg=-30.0,
        r=0.004 * 1.05**2, x=0.11 * 1.05**2,
    )  # fmt: skip
    a, b = (physics.solve(physics.compile(g.feeder()), tol=1e-13) for g in (mine, other))
    np.testing.assert_allclose(a.v, b.v, rtol=0, atol=1e-13)
    np.testing.assert_allclose(a.p_from_mw[0], b.p_to_mw[0], rtol=0, atol=1e-11)
    np.testing.assert_allclose(a.q_to_mvar[0], b.q_from_mvar[0], rtol=0, atol=1e-11)


def test_tap_per_row_equals_the_feeder_with_that_tap() -> None:
    """Capability 5: `tap=` of solve, for charging and impedance too, equals `with_tap`."""
    feeder = two_winding(True).feeder()
    net = physics.compile(feeder)
    taps = np.ones((3, net.n_branch))
    taps[:, 0] = (0.95, 1.0, 1.05)
    batch = physics.solve(net, tap=taps)
    for row in range(3):
        changed = feeder.with_tap("high-low", tap=float(taps[row, 0]))
        alone = physics.solve(physics.compile(changed))
        assert (batch.v[row] == alone.v).all()
        assert (batch.p_from_mw[row] == alone.p_from_mw).all()
    assert (physics.solve(net, tap=taps[2]).v == batch.v[2]).all()


def test_line_charging_lifts_an_unloaded_line() -> None:
    """Capability 12: half of b at each end; flows, losses and slack equal pandapower's (Ferranti)."""
    grid = chain(4, p=0.0, q=0.0, r=0.01, x=0.1)
    for row in grid.rows["branches"]:
        row["b"] = 0.2
    feeder = grid.feeder()
    sol, theirs = physics.solve(physics.compile(feeder), tol=1e-13), pandapower_newton(feeder, 1e-11)
    assert np.abs(sol.v - theirs).max() < 1e-11
    assert (np.diff(sol.v_pu) > 0).all()
    s_from, s_to = flows(feeder, theirs)
    assert sol.q_slack_mvar == pytest.approx(s_from[0].imag, abs=1e-9)
    assert sol.q_loss_mvar == pytest.approx((s_from + s_to).imag.sum(), abs=1e-9)
    assert sol.q_loss_mvar < 0  # lines make vars
    assert sol.p_slack_mw == pytest.approx(sol.p_loss_mw, abs=1e-12)


def test_bus_shunts_equal_pandapowers() -> None:
    """Capability 7: conductance draws, positive susceptance injects; at the source bus too."""
    grid = chain(4, p=0.4, q=0.2, r=0.02, x=0.03)
    shunts = ((0.2, 0.1), (0.1, 0.0), (0.0, 0.5), (0.05, -0.3))
    for row, (g, b) in zip(grid.rows["nodes"], shunts, strict=True):
        row.update(shunt_g_mw=g, shunt_b_mvar=b)
    feeder = grid.feeder()
    sol, theirs = physics.solve(physics.compile(feeder), tol=1e-13), pandapower_newton(feeder, 1e-11)
    assert np.abs(sol.v - theirs).max() < 1e-11
    drawn = np.array([g - 1j * b for g, b in shunts]) * sol.v_pu**2
    demand = drawn.sum() + 3 * (0.4 + 0.2j) + sol.p_loss_mw + 1j * sol.q_loss_mvar
    assert sol.p_slack_mw + 1j * sol.q_slack_mvar == pytest.approx(demand, abs=1e-10)


def test_capacitor_on_and_off_equal_pandapowers_shunt() -> None:
    """Capability 7: both states, from the feeder and per row; two banks at one node add up."""
    grid = chain(5, p=0.3, q=0.25, r=0.02, x=0.04)
    grid.cap("n3", 0.4)
    grid.cap("n3", 0.2, on=False)
    grid.cap("n4", 0.3)
    feeder = grid.feeder()
    net = physics.compile(feeder)
    states = np.array([[False, False, False], [True, False, True], [True, True, False], [False, True, True]])
    batch = physics.solve(net, cap_on=states, tol=1e-12)
    for row, state in enumerate(states):
        changed = feeder
        for cap_id, on in zip(("c0", "c1", "c2"), state, strict=True):
            changed = changed.with_capacitor(cap_id, bool(on))
        assert np.abs(batch.v[row] - pandapower_newton(changed, 1e-11)).max() < 1e-10
    assert batch.v_pu[1, 4] > batch.v_pu[0, 4] + 1e-3
    assert (physics.solve(net, tol=1e-12).v == batch.v[1]).all()


def test_zero_impedance_switch_joins_its_ends() -> None:
    """Capability 9: a closed switch without impedance: equal voltages, its flow known, no loss."""
    grid = chain(3, p=0.5, q=0.2)
    grid.node("twin")
    grid.branch("n2", "twin", 0.0, 0.0, kind="switch")
    grid.load("twin", 0.4, 0.1)
    grid.node("far")
    grid.branch("twin", "far", 0.02, 0.02)
    grid.load("far", 0.3, 0.1)
    sol = physics.solve(physics.compile(grid.feeder()), tol=1e-13)
    merged = chain(3, p=0.5, q=0.2)
    merged.load("n2", 0.4, 0.1)
    merged.node("far")
    merged.branch("n2", "far", 0.02, 0.02)
    merged.load("far", 0.3, 0.1)
    theirs = pandapower_newton(merged.feeder(), 1e-11)
    np.testing.assert_allclose(sol.v[[0, 1, 2, 4]], theirs, rtol=0, atol=1e-12)
    assert sol.v[3] == sol.v[2]
    assert sol.p_from_mw[2] == pytest.approx(0.7 + sol.p_from_mw[3] + sol.p_to_mw[3], abs=1e-12)
    assert sol.p_from_mw[2] + sol.p_to_mw[2] == 0.0


def test_source_angle_and_level() -> None:
    """Capability 10: the source's voltage and angle are those of the sources table."""
    grid = chain(3)
    grid.rows["sources"][0].update(v_pu=1.04, v_deg=-33.0)
    feeder = grid.feeder()
    sol = physics.solve(physics.compile(feeder), tol=1e-13)
    assert sol.v_pu[0] == pytest.approx(1.04, abs=1e-15)
    assert sol.v_deg[0] == pytest.approx(-33.0, abs=1e-12)
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-12


def test_units_of_current_and_loading() -> None:
    """Trap 1, 7: kA from three-phase MVA and line-to-line kV; loading at the larger end, NaN if unrated."""
    grid = chain(3, p=1.0, q=0.5, r=0.05, x=0.05, base_mva=5.0)
    grid.rows["branches"][0].update(thermal_limit_mva=2.0, rating_source="source")
    sol = physics.solve(physics.compile(grid.feeder()))
    s_from, s_to = (np.hypot(sol.p_from_mw, sol.q_from_mvar), np.hypot(sol.p_to_mw, sol.q_to_mvar))
    assert sol.loading[0] == pytest.approx(max(s_from[0], s_to[0]) / 2.0, abs=1e-12)
    assert sol.loading[0] > 1.0
    assert np.isnan(sol.loading[1])
    np.testing.assert_allclose(sol.i_ka, s_from / (np.sqrt(3) * 10.0 * sol.v_pu[:2]), rtol=1e-9)
    assert sol.vuf_pct == 0.0
