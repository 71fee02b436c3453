"""Sensitivities, LinDistFlow, transfer factors and marginal values, against what shares no code with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.physics import linear

from .conftest import ALL_FEEDERS
from .forests import random_forest
from .grids import Features, Grid, chain, random_tree
from .phase_grids import Grid3

TIGHT: dict[str, Any] = {"tol": 1e-12, "max_iter": 400}
Compiled = Callable[[str], physics.Network]


def shifted(net: Any, bus: int, phase: tuple[int, ...], h: float, reactive: bool) -> Any:
    """The power flow with ``h`` more injected at one place."""
    inject = np.zeros((net.n_bus, 3) if phase else net.n_bus)
    inject[(bus, *phase)] = h
    given: dict[str, Any] = {"q_inject_mvar" if reactive else "p_inject_mw": inject}
    return physics.solve(net, **given, **TIGHT)


@pytest.mark.parametrize("name", ALL_FEEDERS)
def test_sensitivities_are_finite_differences(name: str, network: Compiled) -> None:
    """Capability 40: dV/dP, dV/dQ, dI/dP and dLoss/dP of every bus; P moves V where R/X is about 1."""
    net = network(name)
    found = physics.sensitivities(net, physics.solve(net, **TIGHT))
    assert found.v_by_p.shape == (net.n_bus, net.n_bus)
    h = 1e-4 * float(net.load_p_mw.max())
    for bus in np.linspace(1, net.n_bus - 1, 6).astype(int):
        for reactive, by, loss in (
            (False, (found.v_by_p, found.i_by_p), found.loss_by_p),
            (True, (found.v_by_q, found.i_by_q), found.loss_by_q),
        ):
            up, down = (shifted(net, int(bus), (), sign * h, reactive) for sign in (1, -1))
            expected = (up.v_pu - down.v_pu) / (2 * h)
            assert np.abs(by[0][:, bus] - expected).max() < 1e-6 * np.abs(expected).max()
            carrying = np.minimum(up.i_ka, down.i_ka) > 100 * np.abs(up.i_ka - down.i_ka)
            expected = (up.i_ka - down.i_ka) / (2 * h)
            apart = np.abs(by[1][:, bus] - expected)[carrying]
            assert apart.max() < 5e-3 * np.abs(expected).max()
            assert loss[bus] == pytest.approx((up.p_loss_mw - down.p_loss_mw) / (2 * h), rel=1e-5, abs=1e-9)
    own = np.diag(found.v_by_p)
    assert (own[net.energised & (own != 0.0)] > 0.0).all()
    assert np.count_nonzero(own) >= 0.9 * net.n_bus


def test_sensitivities_per_phase_are_finite_differences() -> None:
    """The same for a phase of ieee13: its own voltage and those of the phases beside it."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    found = physics.sensitivities(net, physics.solve(net, **TIGHT), buses=["671", "675"], branches=[])
    assert found.v_by_p.shape == (2, 3, net.n_bus, 3)
    assert found.i_by_p.shape[0] == 0
    at = [net.feeder.node_index[name] for name in found.buses]
    h = 1e-4
    for phase in range(3):
        up, down = (shifted(net, at[1], (phase,), sign * h, False) for sign in (1, -1))
        expected = (up.v_pu - down.v_pu)[at] / (2 * h)
        assert np.abs(found.v_by_p[:, :, at[1], phase] - expected).max() < 1e-6 * np.abs(expected).max()
        loss = (up.p_loss_mw - down.p_loss_mw) / (2 * h)
        assert found.loss_by_p[at[1], phase] == pytest.approx(loss, rel=1e-5)


def test_chosen_buses_are_rows_of_the_whole(network: Compiled) -> None:
    """In the order in which they were asked for; branches only where they were asked for."""
    net = network("case33bw")
    sol = physics.solve(net)
    whole = physics.sensitivities(net, sol)
    names = [str(net.feeder.column("nodes", "node_id")[k]) for k in (17, 3)]
    some = physics.sensitivities(net, sol, buses=names)
    assert some.buses == tuple(names)
    assert np.array_equal(some.v_by_p, whole.v_by_p[[17, 3]])
    assert some.i_by_p.shape == (0, net.n_bus)
    assert np.array_equal(some.loss_by_p, whole.loss_by_p)


def test_bad_input_of_sensitivities(network: Compiled) -> None:
    """Unknown buses with the nearest name, batches, foreign and unconverged solutions."""
    net = network("case33bw")
    sol = physics.solve(net)
    with pytest.raises(ValueError, match="there is no bus '188' in this feeder; did you mean '18'"):
        physics.sensitivities(net, sol, buses=["188"])
    with pytest.raises(ValueError, match="there is no branch 'nowhere'"):
        physics.sensitivities(net, sol, branches=["nowhere"])
    with pytest.raises(TypeError, match="give several bus ids"):
        physics.sensitivities(net, sol, buses="18")
    with pytest.raises(ValueError, match="solution of one row"):
        physics.sensitivities(net, physics.solve(net, net.load_p_mw[None]))
    with pytest.raises(ValueError, match="is of feeder 'case33bw'"):
        physics.sensitivities(network("case69"), sol)
    with pytest.raises(ValueError, match="did not converge"):
        physics.sensitivities(net, physics.solve(net, 20 * net.load_p_mw))


def dense_lin_dist_flow(net: physics.Network) -> tuple[Any, Any]:
    """Twice the impedance that the paths of two buses from the source share, by sets of branches."""
    feeder, paths = net.feeder, {}
    links: dict[int, list[tuple[int, int]]] = {}
    for e in np.flatnonzero(net.closed):
        links.setdefault(int(net.from_row[e]), []).append((int(net.to_row[e]), int(e)))
        links.setdefault(int(net.to_row[e]), []).append((int(net.from_row[e]), int(e)))
    waiting: list[tuple[int, frozenset[int]]] = [(int(net.source_node[0]), frozenset())]
    while waiting:
        node, path = waiting.pop()
        paths[node] = path
        waiting += [(to, path | {e}) for to, e in links.get(node, []) if to not in paths]
    n = feeder.n_nodes
    shared = [[list(paths[i] & paths[j]) for j in range(n)] for i in range(n)]
    r = np.array([[2 * net.r_pu[e].sum() for e in row] for row in shared]) / net.base_mva
    x = np.array([[2 * net.x_pu[e].sum() for e in row] for row in shared]) / net.base_mva
    return r, x


def test_lin_dist_flow_is_shared_impedance(network: Compiled) -> None:
    """The matrices are 2 R and 2 X of the textbook, and it is optimistic where power is drawn."""
    net = network("case33bw")
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow)
    r, x = dense_lin_dist_flow(net)
    np.testing.assert_allclose(model.v2_by_p, r, atol=1e-15)
    np.testing.assert_allclose(model.v2_by_q, x, atol=1e-15)
    found = model.evaluate()
    by_matrices = np.sqrt(model.v2_fixed - r @ net.load_p_mw - x @ net.load_q_mvar)
    np.testing.assert_allclose(found.v_pu, by_matrices, atol=1e-14)
    exact = physics.solve(net)
    optimism = found.v_pu.min() - exact.v_pu.min()
    assert 0.002 < optimism < 0.004  # pu, at the lowest voltage
    assert found.p_from_mw[0] == pytest.approx(net.load_p_mw.sum())


@pytest.mark.parametrize("seed", range(12))
def test_lin_dist_flow_is_the_limit_of_little_load(seed: int) -> None:
    """Taps, shifts, reversed branches, islands: with hardly any load its error falls with the square."""
    grid = random_forest(seed, 25, Features(taps=True, shifts=True), 0.08)
    net = physics.compile(grid.feeder(), allow_mesh_pruning=False)
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow)
    p, q = 1e-3 * net.load_p_mw, 1e-3 * net.load_q_mvar
    apart = []
    for share in (1.0, 0.5):
        exact = physics.solve(net, share * p, share * q, **TIGHT)
        found = model.evaluate(share * p, share * q)
        apart.append(np.nanmax(np.abs(exact.v_pu - found.v_pu), initial=0.0))
        flow = np.abs(exact.p_from_mw - found.p_from_mw).max(initial=0.0)
        assert flow <= 1e-3 * np.abs(exact.p_from_mw).max(initial=0.0) + 1e-15
    assert apart[0] < 1e-7
    assert apart[1] < 0.3 * apart[0] + 1e-13


def test_sparse_rows_hold_for_what_is_evaluated(network: Compiled) -> None:
    """The equations of the linear program have the direct evaluation as their solution, injections too."""
    net = network("case118zh")
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow)
    rng = np.random.default_rng(1)
    inject = rng.uniform(0, 0.1, (2, net.n_bus))
    found = model.evaluate(p_inject_mw=inject[0], q_inject_mvar=inject[1])
    rows = model.rows()
    left = rows.voltage @ found.v_pu**2 + rows.p_flow @ found.p_from_mw + rows.q_flow @ found.q_from_mvar
    np.testing.assert_allclose(left, rows.fixed, atol=1e-13)
    for flow, load, extra in (
        (found.p_from_mw, net.load_p_mw, inject[0]), (found.q_from_mvar, net.load_q_mvar, inject[1]),
    ):  # fmt: skip
        np.testing.assert_allclose(rows.balance @ flow + extra[rows.bus], load[rows.bus], atol=1e-12)
    by_matrix = model.flow_by_injection @ (inject[0] - net.load_p_mw)
    np.testing.assert_allclose(found.p_from_mw, by_matrix, atol=1e-12)


def test_lin_dist_flow_evaluates_batches(network: Compiled) -> None:
    """Rows are what each gives alone; batches that disagree are refused."""
    net = network("case33bw")
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow)
    loads = net.load_p_mw * np.array([[1.0], [0.5]])
    found = model.evaluate(loads, v_source_pu=np.array([1.0, 1.02]))
    alone = model.evaluate(loads[1], v_source_pu=1.02)
    assert np.array_equal(found.v_pu[1], alone.v_pu)
    with pytest.raises(ValueError, match="disagree on the number of rows"):
        model.evaluate(loads, p_inject_mw=np.zeros((3, net.n_bus)))


def test_lin_dist_flow_refuses_loops() -> None:
    """A ring has no tree."""
    grid = chain(4)
    grid.branch("n3", "n0", 0.01, 0.01)
    net = physics.compile(grid.feeder(), keep_loops=True)
    with pytest.raises(ValueError, match="LinDistFlow is of trees"):
        linear.lin_dist_flow(net)


def test_three_phase_lin_dist_flow_is_that_of_the_literature() -> None:
    """Gan and Low's matrices of a line: 2 Re(conj(z_ij) r_ij), with phases 120 degrees apart."""
    grid = Grid3()
    for node in ("0", "1", "2"):
        grid.node(node)
    grid.source("0", 1.02)
    none = np.zeros((3, 3))
    for start, end, km in (("0", "1", 0.8), ("1", "2", 0.5)):
        grid.line(start, end, km=km, charging=none)
    for phase, p in (("A", 0.2), ("B", 0.1), ("C", 0.15)):
        grid.load("2", phase, p, 0.4 * p)
        grid.load("1", phase, 0.5 * p, 0.1 * p)
    net = physics.compile_per_phase(grid.feeder())
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow3)
    turn = np.exp(-2j * np.pi / 3 * np.arange(3))
    ratio = turn[:, None] / turn[None, :]
    first, second = (
        np.array(grid.rows["branches"][k]["r_ohm"]).reshape(3, 3)
        + 1j * np.array(grid.rows["branches"][k]["x_ohm"]).reshape(3, 3)
        for k in (0, 1)
    )
    whole = (first + second) / 4.16**2 * 3.0  # pu^2 per MW of a phase
    np.testing.assert_allclose(model.v2_by_p[2, :, 2, :], 2 * (np.conj(whole) * ratio).real, atol=1e-10)
    np.testing.assert_allclose(model.v2_by_q[2, :, 2, :], -2 * (np.conj(whole) * ratio).imag, atol=1e-10)
    shared = first / 4.16**2 * 3.0
    np.testing.assert_allclose(model.v2_by_p[2, :, 1, :], 2 * (np.conj(shared) * ratio).real, atol=1e-10)
    exact = physics.solve(net)
    assert np.abs(model.evaluate() - exact.v_pu).max() < 0.002


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_three_phase_lin_dist_flow_of_shipped_feeders(name: str) -> None:
    """With a hundredth of the load (delta, regulators, transformers) it is the power flow."""
    net = physics.compile_per_phase(cases.load(name))
    model = linear.lin_dist_flow(net)
    assert isinstance(model, linear.LinDistFlow3)
    loads = [0.01 * a for a in (net.load_p_mw, net.load_q_mvar, net.delta_p_mw, net.delta_q_mvar)]
    names, none = ("p_mw", "q_mvar", "p_delta_mw", "q_delta_mvar"), np.zeros((net.n_bus, 3))
    drawn = ("p_inject_mw", "q_inject_mvar", "p_delta_inject_mw", "q_delta_inject_mvar")
    given: dict[str, Any] = dict.fromkeys(names, none)
    given |= {n: -a for n, a in zip(drawn, loads, strict=True)}
    exact = physics.solve(net, **given, **TIGHT).v_pu
    found = model.evaluate(**dict(zip(names, loads, strict=True)))
    assert np.array_equal(np.isnan(exact), np.isnan(found))
    drop = np.nanmax(np.abs(exact - np.sqrt(model.v2_fixed)))
    assert np.nanmax(np.abs(exact - found)) < 0.02 * drop
    with pytest.raises(ValueError, match=r"p_mw must be finite and of shape"):
        model.evaluate(np.ones(3))


def pypower_ptdf(net: physics.Network) -> Any:
    """makePTDF of pandapower on the live branches of one island."""
    from pandapower.pypower.makePTDF import makePTDF

    bus = np.zeros((net.n_bus, 13))
    bus[:, 0], bus[:, 1] = np.arange(net.n_bus), 1
    bus[net.source_node[0], 1] = 3
    live = np.flatnonzero(net.topology.in_tree)
    branch = np.zeros((live.size, 23))
    branch[:, 0], branch[:, 1] = net.from_row[live], net.to_row[live]
    branch[:, 3], branch[:, 8], branch[:, 10] = net.x_pu[live], net.tap[live], 1
    whole = np.zeros((net.n_branch, net.n_bus))
    whole[live] = makePTDF(net.base_mva, bus, branch, int(net.source_node[0]), using_sparse_solver=False)
    return whole


@pytest.mark.parametrize("name", ["case33bw", "case69", "case118zh", "case141"])
def test_transfer_factors_equal_those_of_pandapower(name: str, network: Compiled) -> None:
    """Capability 74: radial feeders, and those with all their ties closed."""
    net = network(name)
    np.testing.assert_allclose(linear.ptdf(net), pypower_ptdf(net), atol=1e-7)
    feeder = cases.load(name)
    for switch in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(switch), closed=True)
    meshed = physics.compile(feeder, keep_loops=True)
    found = linear.ptdf(meshed)
    np.testing.assert_allclose(found, pypower_ptdf(meshed), atol=1e-7)
    at_source = meshed.source_node[0]
    assert (found[:, at_source] == 0.0).all()


def test_transfer_factors_of_a_ring() -> None:
    """By hand: the flow from n1 to n0 of a ring of four divides 3 to 1; taps count as impedance."""
    grid = chain(4)
    grid.branch("n3", "n0", 0.01, 0.01, branch_id="back")
    found = linear.ptdf(physics.compile(grid.feeder(), keep_loops=True))
    np.testing.assert_allclose(found[:, 1], [-0.75, 0.25, 0.25, 0.25], atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_an_outage_islands_what_its_factors_say(seed: int) -> None:
    """Capability 74: a branch of a tree out of service leaves dead all buses that have a factor on it."""
    grid = random_tree(seed, 12, Features())
    factors = linear.ptdf(physics.compile(grid.feeder()))
    assert set(np.unique(factors)) <= {-1.0, 0.0, 1.0}
    for e, row in enumerate(grid.rows["branches"]):
        row["status"] = False
        with pytest.warns(physics.IslandWarning):
            cut = physics.compile(grid.feeder())
        assert np.array_equal(~cut.energised, factors[e] != 0.0)
        row["status"] = True


def test_transfer_factors_refuse_what_they_cannot_say() -> None:
    """Loops without reactance, per-phase networks."""
    grid: Grid = chain(4)
    grid.branch("n3", "n0", 0.01, 0.0, branch_id="resistor")
    with pytest.raises(ValueError, match="branches without reactance: 'resistor'"):
        linear.ptdf(physics.compile(grid.feeder(), keep_loops=True))
    with pytest.raises(ValueError, match="of balanced feeders"):
        linear.ptdf(physics.compile(cases.load("ieee13")))


def test_marginal_values_are_what_a_further_mw_costs(network: Compiled) -> None:
    """Capability 40: energy, losses, voltage and congestion add up to the difference of the whole cost."""
    net = network("case33bw")
    rng = np.random.default_rng(3)
    v_price, price = np.where(rng.random(net.n_bus) < 0.2, rng.normal(size=net.n_bus) * 100, 0.0), 47.0
    rated = np.isfinite(net.rating_mva) & (physics.solve(net).loading > 0.05)
    load_price = np.where(rated & (rng.random(net.n_branch) < 0.3), 10.0, 0.0)

    def cost(sol: physics.Solution) -> float:
        limits = (v_price * sol.v_pu).sum() + (load_price * np.nan_to_num(sol.loading)).sum()
        return float(price * sol.p_slack_mw + 3.0 * sol.q_slack_mvar + limits)

    sol = physics.solve(net, **TIGHT)
    found = linear.marginal_values(sol, price, price_per_mvarh=3.0, v_pu=v_price, loading=load_price)
    assert (found.energy == price).all()
    assert found.total.shape == (net.n_bus,)
    h = 1e-4
    for bus in (0, 9, 17, 32):
        for reactive, total in ((False, found.total), (True, found.q_total)):
            up, down = (shifted(net, bus, (), sign * h, reactive) for sign in (-1, 1))
            assert total[bus] == pytest.approx((cost(up) - cost(down)) / (2 * h), rel=1e-6)
    losses = linear.marginal_values(sol, price)
    by = physics.gradient(sol, p_loss_mw=1.0)
    np.testing.assert_allclose(losses.losses, -price * by.p_inject_mw, atol=1e-9)
    assert (losses.voltage == 0.0).all()
    assert losses.total[17] > price  # the far end pays for its losses


def test_marginal_values_of_batches_and_phases() -> None:
    """A price of each row; NaN on phases that do not exist and in rows without a solution."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    loads = np.stack([net.load_p_mw, 0.5 * net.load_p_mw, 40.0 * net.load_p_mw])
    sol = physics.solve(net, loads)
    found = linear.marginal_values(sol, np.array([50.0, 30.0, 20.0]), v_pu=np.ones((net.n_bus, 3)))
    assert found.total.shape == (3, net.n_bus, 3)
    assert np.isnan(found.total[2]).all()
    assert np.isnan(found.energy[0][~net.present]).all()
    assert np.nanmax(np.abs(found.energy[1] - 30.0)) == 0.0
    alone = linear.marginal_values(physics.solve(net, loads[1]), 30.0, v_pu=np.ones((net.n_bus, 3)))
    np.testing.assert_array_equal(alone.voltage, found.voltage[1])
    with pytest.raises(ValueError, match="must not be below 0"):
        linear.marginal_values(sol, 50.0, loading=-np.ones((net.n_branch, 3)))
