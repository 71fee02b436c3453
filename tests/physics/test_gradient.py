"""Gradients of balanced feeders against central differences of the power flow."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distgrid import physics
from distgrid.physics.balanced.kernels.adjoint_rows import adjoint_rows
from distgrid.physics.balanced.kernels.solve_rows import sweep_rows

from .conftest import ALL_FEEDERS
from .differences import RESULTS, TIGHT, compare
from .forests import random_forest
from .grids import Features, chain

EVERYTHING = Features(True, True, True, True, True, True, True)


@pytest.mark.parametrize("name", ALL_FEEDERS)
def test_gradients_of_shipped_feeders_are_central_differences(
    name: str, network: Callable[[str], physics.Network]
) -> None:
    """Capability 40: any scalar of voltages, flows, currents, losses and slack power, by every argument."""
    compare(network(name), seed=len(name))


@pytest.mark.quick(1)
@pytest.mark.parametrize("first", range(1, 101, 25))
def test_gradients_of_random_forests_are_central_differences(first: int) -> None:
    """Taps, phase shifts, charging, shunts, ZIP and CVR loads, islands, reversed branches: 100 forests."""
    for seed in range(first, first + 25):
        rng = np.random.default_rng(seed)
        feeder = random_forest(seed, int(rng.integers(2, 60)), EVERYTHING, 0.08).feeder()
        compare(physics.compile(feeder, allow_mesh_pruning=False), seed, apart_by=5e-3)


def test_shunts_are_what_a_changed_feeder_says() -> None:
    """By a conductance and by a susceptance at a bus, as by a feeder that is compiled with other shunts."""

    def losses(g: float, b: float) -> float:
        grid = chain(6)
        grid.rows["nodes"][4] |= {"shunt_g_mw": 0.02 + g, "shunt_b_mvar": 0.03 + b}
        return float(physics.solve(physics.compile(grid.feeder()), **TIGHT).p_loss_mw)

    grid = chain(6)
    grid.rows["nodes"][4] |= {"shunt_g_mw": 0.02, "shunt_b_mvar": 0.03}
    found = physics.gradient(physics.solve(physics.compile(grid.feeder()), **TIGHT), p_loss_mw=1.0)
    h = 1e-3
    assert found.shunt_g_mw[4] == pytest.approx((losses(h, 0) - losses(-h, 0)) / (2 * h), rel=1e-6)
    assert found.shunt_b_mvar[4] == pytest.approx((losses(0, h) - losses(0, -h)) / (2 * h), rel=1e-6)


def random_batch(net: physics.Network, batch: int) -> tuple[physics.Solution, dict[str, Any]]:
    """Rows with loads, taps and banks of their own, and a scalar for each."""
    rng = np.random.default_rng(5)
    loads = [x * rng.uniform(0.3, 1.1, (batch, net.n_bus)) for x in (net.load_p_mw, net.load_q_mvar)]
    tap = np.where(np.arange(net.n_branch) < 3, rng.uniform(0.97, 1.03, (batch, net.n_branch)), net.tap)
    sol = physics.solve(net, *loads, tap=tap, v_source_pu=rng.uniform(0.98, 1.04, batch))
    weights = {name: rng.normal(size=np.shape(getattr(sol, name))) for name in RESULTS if name != "loading"}
    return sol, weights


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_has_the_same_bits_in_any_batch(
    threads: int, network: Callable[[str], physics.Network]
) -> None:
    """Alone, in blocks of lanes, and on threads; with taps of each row."""
    net = network("case69")
    sol, weights = random_batch(net, 530)
    whole = physics.gradient(sol, **weights, threads=threads)
    rng = np.random.default_rng(5)
    loads = [x * rng.uniform(0.3, 1.1, (530, net.n_bus)) for x in (net.load_p_mw, net.load_q_mvar)]
    tap = np.where(np.arange(net.n_branch) < 3, rng.uniform(0.97, 1.03, (530, net.n_branch)), net.tap)
    v_source = rng.uniform(0.98, 1.04, 530)
    for row in (0, 15, 16, 311, 529):
        alone = physics.solve(
            net, loads[0][row], loads[1][row], tap=tap[row], v_source_pu=float(v_source[row])
        )
        one = physics.gradient(alone, **{name: w[row] for name, w in weights.items()})
        for name in ("p_inject_mw", "q_inject_mvar", "tap", "v_source_pu", "p_mw", "shunt_b_mvar"):
            assert np.array_equal(getattr(whole, name)[row], getattr(one, name)), name


def test_kernels_are_compiled_for_a_row_and_for_many_and_never_again(
    network: Callable[[str], physics.Network],
) -> None:
    """However a scalar or a start is told: a read-only array is another type to the compiler, and seconds."""
    net = network("case33bw")
    loads = np.stack([net.load_p_mw, 0.9 * net.load_p_mw])
    one, many = physics.solve(net), physics.solve(net, loads)
    for start in (one.v, many.v):
        assert physics.solve(net, loads, v0=start).converged.all()
    node, branch = np.zeros(net.n_bus), np.zeros(net.n_branch)
    node[3] = branch[3] = 1.0
    ways: tuple[dict[str, Any], ...] = (
        {"p_loss_mw": 1.0}, {"v_pu": node}, {"v_pu": np.stack([node, node])}, {"i_ka": branch},
        {"p_from_mw": branch, "v_deg": node}, {"q_to_mvar": branch[None]},
    )  # fmt: skip
    for sol, told in itertools.product((one, many), ways):
        assert np.all(physics.gradient(sol, **told).converged)
    assert 1 <= len(adjoint_rows.flat.signatures) <= 2
    assert 1 <= len(sweep_rows.flat.signatures) <= 2


def test_one_row_serves_many_scalars(network: Callable[[str], physics.Network]) -> None:
    """A batch of scalars of one solved row: the gradients of each."""
    net = network("case33bw")
    sol = physics.solve(net)
    each = physics.gradient(sol, v_pu=np.eye(net.n_bus))
    assert each.p_inject_mw.shape == (net.n_bus, net.n_bus)
    for bus in (0, 7, 32):
        alone = physics.gradient(sol, v_pu=np.eye(net.n_bus)[bus])
        assert np.array_equal(each.p_inject_mw[bus], alone.p_inject_mw)


def test_rows_with_switches_of_their_own() -> None:
    """Rows on different trees, and rows between them, give what each gives alone."""
    grid = chain(6)
    grid.branch("n5", "n0", 0.02, 0.03, closed=False, branch_id="tie")
    for branch in ("n2-n3", "tie"):
        grid.switch(branch)
    net = physics.compile(grid.feeder())
    closed = np.array([[True, False], [False, True], [True, False]])
    sol = physics.solve(net, np.repeat(net.load_p_mw[None], 3, axis=0), closed=closed, **TIGHT)
    found = physics.gradient(sol, p_loss_mw=1.0, v_pu=np.ones(6))
    assert abs(found.p_inject_mw[0, 3] - found.p_inject_mw[1, 3]) > 1e-4
    for row in range(3):
        own = physics.solve(net, closed=closed[row], **TIGHT)
        alone = physics.gradient(own, p_loss_mw=1.0, v_pu=np.ones(6))
        for name in ("p_inject_mw", "q_inject_mvar", "tap", "v_source_pu"):
            assert np.array_equal(getattr(found, name)[row], getattr(alone, name))


def test_rows_that_did_not_converge_have_no_gradient(network: Callable[[str], physics.Network]) -> None:
    """Their gradients are NaN and say so; their neighbours' are what they were."""
    net = network("case33bw")
    loads = np.stack([net.load_p_mw, 20.0 * net.load_p_mw, net.load_p_mw])
    sol = physics.solve(net, loads, net.load_q_mvar)
    found = physics.gradient(sol, p_loss_mw=1.0)
    assert found.converged.tolist() == [True, False, True]
    assert np.isnan(found.p_inject_mw[1]).all()
    assert np.isnan(found.tap[1]).all()
    assert np.isnan(found.v_source_pu[1]).all()
    alone = physics.gradient(physics.solve(net), p_loss_mw=1.0)
    assert np.array_equal(found.q_inject_mvar[2], alone.q_inject_mvar)


def test_dead_nodes_have_no_influence() -> None:
    """A bus without a source: zero, whatever is asked of it."""
    grid = chain(4)
    grid.rows["branches"][2]["status"] = False
    with pytest.warns(physics.IslandWarning):
        net = physics.compile(grid.feeder())
    found = physics.gradient(physics.solve(net), v_pu=np.ones(4), p_loss_mw=1.0)
    assert found.p_inject_mw[3] == found.q_inject_mvar[3] == found.shunt_g_mw[3] == 0.0
    assert np.isfinite(found.p_mw).all()
    assert found.tap[2] == 0.0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give the derivative"),
        ({"v_pu": np.ones(5)}, r"v_pu must be \(33,\) or of shape \(batch, 33\), got shape \(5,\)"),
        ({"v_pu": np.full(33, np.nan)}, r"v_pu\[0\] must be a finite number"),
        ({"p_loss_mw": np.inf}, "p_loss_mw must be a finite number"),
        ({"p_loss_mw": np.ones((2, 2))}, "p_loss_mw must be a number or of shape"),
        ({"v_pu": np.ones((2, 33)), "p_loss_mw": np.ones(3)}, "disagree on the number of rows"),
    ],
)
def test_bad_scalars_are_refused(
    asked: dict[str, Any], said: str, network: Callable[[str], physics.Network]
) -> None:
    """Shape, finiteness and batch of every argument, by name."""
    with pytest.raises(ValueError, match=said):
        physics.gradient(physics.solve(network("case33bw")), **asked)


def test_loading_without_a_rating_is_refused() -> None:
    """A branch without a rating has no loading to derive by."""
    sol = physics.solve(physics.compile(chain(3).feeder()))
    with pytest.raises(ValueError, match="'n0-n1' has no rating"):
        physics.gradient(sol, loading=np.ones(2))


def test_batches_of_solution_and_scalar_must_agree(network: Callable[[str], physics.Network]) -> None:
    """Three solved rows, two scalars."""
    net = network("case33bw")
    sol = physics.solve(net, np.repeat(net.load_p_mw[None], 3, axis=0))
    with pytest.raises(ValueError, match="the solution has 3 rows, what the scalar is has 2"):
        physics.gradient(sol, p_loss_mw=np.ones(2))


def test_a_solution_without_currents_is_refused(network: Callable[[str], physics.Network]) -> None:
    """`currents=False` keeps voltages only."""
    with pytest.raises(AttributeError, match="currents=False"):
        physics.gradient(physics.solve(network("case33bw"), currents=False), p_loss_mw=1.0)
