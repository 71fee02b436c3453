"""The stepper, which environments use, is `physics.solve` with its memory kept, plus limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics
from distgrid.physics.balanced.stepper import Stepper

from .grids import Features, chain, random_tree

Floats = NDArray[np.float64]


def filled(net: physics.Network, batch: int, seed: int) -> tuple[Stepper, physics.Solution]:
    """A stepper after one solve of random loads and injections, and the solution of the same by solve."""
    rng = np.random.default_rng(seed)
    stepper = Stepper(net, batch, np.full(net.n_bus, 0.95), np.full(net.n_bus, 1.02))
    stepper.load_p_mw[:] = net.load_p_mw * rng.uniform(0, 2, (batch, net.n_bus))
    stepper.load_q_mvar[:] = net.load_q_mvar * rng.uniform(0, 2, (batch, net.n_bus))
    stepper.inject_p_mw[:] = 0.3 * np.abs(net.load_p_mw) * rng.uniform(-1, 1, (batch, net.n_bus))
    stepper.inject_q_mvar[:] = 0.3 * np.abs(net.load_q_mvar) * rng.uniform(-1, 1, (batch, net.n_bus))
    stepper.load_p_mw[0] *= 20.0  # a row that fails
    stepper.solve()
    sol = physics.solve(
        net, stepper.load_p_mw, stepper.load_q_mvar,
        p_inject_mw=stepper.inject_p_mw, q_inject_mvar=stepper.inject_q_mvar,
    )  # fmt: skip
    return stepper, sol


def equal(stepper: Stepper, sol: physics.Solution) -> None:
    """Same bits where the same kernel wrote them, same numbers where sums are taken in another order."""
    assert stepper.v.tobytes() == sol.v.tobytes()
    for name in ("converged", "diverged", "collapsed", "iterations", "v_update_pu"):
        assert (getattr(stepper, name) == getattr(sol, name)).all(), name
    s_from, s_to = sol.p_from_mw + 1j * sol.q_from_mvar, sol.p_to_mw + 1j * sol.q_to_mvar
    assert (stepper.s_from == s_from).all()
    assert (stepper.s_to == s_to).all()
    same: dict[str, Any] = {"rtol": 1e-14, "atol": 1e-14}
    np.testing.assert_allclose(stepper.v_pu, sol.v_pu, rtol=1e-15)
    np.testing.assert_allclose(stepper.loading, sol.loading, **same)
    np.testing.assert_allclose(stepper.i_ka, sol.i_ka, **same)
    np.testing.assert_allclose(stepper.loss_mva, sol.p_loss_mw + 1j * sol.q_loss_mvar, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(stepper.slack_mva, sol.p_slack_mw + 1j * sol.q_slack_mvar, **same)


@pytest.mark.parametrize("name", ["case33bw", "case118zh", "case141"])
def test_stepper_equals_solve(name: str, network: Callable[[str], physics.Network]) -> None:
    """Trap 25b: one physics: the environments' power flow gives the bits of the public one."""
    equal(*filled(network(name), 9, 1))


def test_stepper_equals_solve_with_everything() -> None:
    """Trap 25b: the same with ZIP and CVR loads, taps, shifts, charging and shunts."""
    net = physics.compile(random_tree(4, 30, Features(*[True] * 7)).feeder())
    equal(*filled(net, 5, 2))


def test_stepper_has_no_memory_of_the_past(network: Callable[[str], physics.Network]) -> None:
    """Trap 14: after a failed step the next is as if it were the first."""
    net = network("case33bw")
    stepper, _ = filled(net, 3, 3)
    assert stepper.diverged[0]
    for array, value in (
        (stepper.load_p_mw, net.load_p_mw), (stepper.load_q_mvar, net.load_q_mvar),
        (stepper.inject_p_mw, 0.0), (stepper.inject_q_mvar, 0.0),
    ):  # fmt: skip
        array[:] = value
    stepper.solve()
    nominal = physics.solve(net)
    assert (stepper.v == nominal.v).all()
    assert stepper.flags(0) == (True, False, False)


def test_violations_are_zero_exactly_inside_the_limits() -> None:
    """Capability 14, Trap 20: sums of pu and of MVA beyond the limit, and their counts, apart."""
    grid = chain(4, p=0.5, q=0.2, r=0.05, x=0.05)
    for row, rating in zip(grid.rows["branches"], (1.0, 2.0, None), strict=True):
        row.update(thermal_limit_mva=rating, rating_source=rating and "source")
    net = physics.compile(grid.feeder())
    sol = physics.solve(net)
    v = sol.v_pu
    low, high = np.full(4, v[3] + 1e-3), np.array([0.5, v[1] - 2e-3, np.nan, 2.0])
    low[:2], low[2] = 0.5, np.nan
    stepper = Stepper(net, 1, low, high)
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = net.load_p_mw, net.load_q_mvar
    stepper.solve()
    assert stepper.n_voltage_violations.tolist() == [3]
    assert stepper.voltage_violation_pu[0] == pytest.approx((v[0] - 0.5) + 2e-3 + 1e-3, abs=1e-12)
    s = np.hypot(sol.p_from_mw, sol.q_from_mvar)
    assert stepper.n_overloads.tolist() == [1]
    assert stepper.overload_mva[0] == pytest.approx(s[0] - 1.0, abs=1e-12)
    assert np.isnan(stepper.loading[0, 2])
    stepper.v_min[:], stepper.v_max[:] = v.min(), v.max()  # limits respected exactly
    stepper.solve()
    assert stepper.n_voltage_violations.tolist() == [0]
    assert stepper.voltage_violation_pu[0] == 0.0


def test_dead_nodes_violate_nothing() -> None:
    """Capability 9: a node without a source is NaN, not 0 pu: it is no undervoltage."""
    grid = chain(4)
    grid.rows["branches"][1]["status"] = False
    with pytest.warns(physics.IslandWarning):
        net = physics.compile(grid.feeder())
    stepper = Stepper(net, 2, np.full(4, 0.9), np.full(4, 1.1))
    stepper.load_p_mw[:] = net.load_p_mw
    stepper.solve()
    assert np.isnan(stepper.v_pu[:, 2:]).all()
    assert stepper.n_voltage_violations.tolist() == [0, 0]
    assert stepper.converged.all()
    assert np.isfinite(stepper.slack_mva).all()
    assert (stepper.i_ka[:, 1:] == 0).all()


def test_a_feeder_of_the_library_respects_its_own_limits_at_light_load() -> None:
    """Capability 14: at a tenth of the load nothing of 33bw is out of band or overloaded."""
    feeder = cases.load("case33bw")
    net = physics.compile(feeder)
    stepper = Stepper(net, 1, feeder.column("nodes", "v_min"), feeder.column("nodes", "v_max"))
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = 0.1 * net.load_p_mw, 0.1 * net.load_q_mvar
    stepper.solve()
    assert stepper.n_voltage_violations[0] == stepper.n_overloads[0] == 0
    assert stepper.voltage_violation_pu[0] == stepper.overload_mva[0] == 0.0


def test_a_stepper_closes_loops() -> None:
    """Capability 19: rows of a meshed network, one that fails beside them, as `physics.solve` has them."""
    meshed = physics.compile(cases.load("case33bw").with_switch("s9-15", closed=True), keep_loops=True)
    equal(*filled(meshed, 5, 3))
