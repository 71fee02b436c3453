"""AC local optima: IPOPT, proven bounds, exact slopes, batches, repair of relaxations that are not exact."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.ac_problem import AcLimits, AcProblem
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.local import local_optimum, setpoints_of
from distgrid.baselines.optimal.units import Unit

from ..physics.grids import chain
from .ipopt import optimum


@cache
def network(name: str) -> physics.Network:
    """Compiled."""
    return physics.compile(cases.load(name))


def six_buses(name: str) -> list[str]:
    """Spread over the feeder."""
    feeder = cases.load(name)
    return [str(n) for n in feeder.column("nodes", "node_id")[5 :: feeder.n_nodes // 6][:6]]


@pytest.mark.parametrize("objective", ["loss", "voltage"])
@pytest.mark.parametrize("name", ["case33bw", pytest.param("case118zh", marks=pytest.mark.slow)])
def test_the_local_optimum_is_that_of_ipopt(name: str, objective: str) -> None:
    """Capability 20, 23, 24: from nothing; another model of the grid, another solver."""
    buses, box = six_buses(name), (0.0, 0.6, -0.5, 0.5)
    limits = NetworkLimits((0.85, 1.1), thermal_margin=None)
    units = [Unit(bus, bus, *box, s_mva=0.65) for bus in buses]
    found = local_optimum(network(name), units, objective=objective, limits=limits)
    exact = optimum(cases.load(name), buses, [box] * 6, objective, (0.85, 1.1), 0.65)
    assert exact.solved
    assert (found.status, found.violation) == ("local", pytest.approx(0.0, abs=1e-8))
    assert found.objective == pytest.approx(exact.value, rel=1e-5)
    assert np.isnan(found.bound)
    np.testing.assert_allclose(found.solution.v_pu[0], exact.v_pu, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "objective", "q"), [("case33bw", "voltage", 0.0), ("case33bw", "voltage", 0.5)]
)
def test_a_relaxation_that_is_not_exact_is_repaired(name: str, objective: str, q: float) -> None:
    """Capability 23, 24: the value is IPOPT's, the bound stays on the other side of it, and both are told."""
    buses, box = six_buses(name), (0.0, 5.0, -q, q)
    units = [Unit(bus, bus, *box, s_mva=6.0) for bus in buses]
    limits = NetworkLimits((0.85, 1.05), thermal_margin=None)
    found = optimal_dispatch(network(name), units, objective=objective, limits=limits)
    assert found.repaired
    assert found.status == "feasible"  # its bound is lower than what can be reached
    assert found.replay.violation < 1e-8
    exact = optimum(cases.load(name), buses, [box] * 6, objective, (0.85, 1.05), 6.0)
    assert exact.solved
    assert found.bound <= exact.value
    assert found.replay.objective == pytest.approx(exact.value, rel=1e-5, abs=1e-9)
    assert found.replay.objective == found.objective
    assert found.gap == pytest.approx(found.replay.objective - found.bound, abs=1e-12)


def test_an_exact_relaxation_is_not_repaired_and_its_point_stays() -> None:
    """The local optimum has nothing to add to a point that is proved."""
    units = [Unit(bus, bus, 0.0, 0.6, -0.5, 0.5, s_mva=0.65) for bus in six_buses("case33bw")]
    found = optimal_dispatch(network("case33bw"), units, limits=NetworkLimits((0.9, 1.1), None))
    assert (found.status, found.repaired) == ("optimal", False)
    start = (found.p_mw, found.q_mvar)
    near = local_optimum(network("case33bw"), units, limits=NetworkLimits((0.9, 1.1), None), start=start)
    assert near.objective == pytest.approx(found.replay.objective, rel=1e-9)


@pytest.mark.parametrize("objective", ["loss", "cost", "voltage", "host"])
def test_it_never_passes_the_bound_and_keeps_every_limit(objective: str) -> None:
    """Capability 23: bands, ratings and the head's limits that bind, on the power flow itself."""
    net = network("case33bw")
    own: dict[str, Any] = {"cost": (2.0, 30.0, 1.0), "points": ((0.0, 0.0), (1.0, 5.0), (3.0, 20.0))}
    units = [Unit(bus, bus, 0.0, 3.0, -1.0, 1.0, **own) for bus in ("18", "25", "33")]
    limits = NetworkLimits((0.9, 1.02), 0.1, most_import_mw=3.0, most_export_mw=0.5)
    numbers: dict[str, Any] = {"objective": objective, "limits": limits, "head_usd_mwh": 50.0}
    proven = optimal_dispatch(net, units, **numbers)
    found = local_optimum(net, units, **numbers)
    sol = found.solution
    assert found.status == "local"
    sign = -1.0 if objective == "host" else 1.0
    assert sign * found.objective >= sign * proven.bound - 1e-7 * abs(proven.bound)
    assert sign * proven.replay.objective <= sign * found.objective + 1e-5 * abs(proven.bound)
    v = sol.v_pu[0, 1:]
    assert v.min() >= 0.9 - 1e-7
    assert v.max() <= 1.02 + 1e-7
    assert np.nanmax(sol.loading) <= 0.9 + 1e-7
    assert -0.5 - 1e-7 <= sol.p_slack_mw[0] <= 3.0 + 1e-7


def test_no_small_change_that_keeps_the_limits_gains() -> None:
    """First-order optimality by differences of the power flow and a linear program, without the adjoint."""
    net = network("case33bw")
    units = [Unit(bus, bus, 0.0, 2.0, -0.5, 0.5) for bus in ("18", "25", "33")]
    found = local_optimum(net, units, limits=NetworkLimits((0.95, 1.0), None))
    at, x = [net.feeder.node_index[u.bus] for u in units], np.concatenate([found.p_mw, found.q_mvar])
    step = 1e-5
    moves = np.concatenate([np.zeros((1, 6)), step * np.eye(6), -step * np.eye(6)]) + x
    p, q = np.zeros((13, net.n_bus)), np.zeros((13, net.n_bus))
    p[:, at], q[:, at] = moves[:, :3], moves[:, 3:]
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q, tol=1e-12)
    loss, v = sol.p_loss_mw, sol.v_pu[:, 1:]
    by_loss = (loss[1:7] - loss[7:]) / (2 * step)
    by_v = (v[1:7] - v[7:]) / (2 * step)
    reach = 1e-3
    low = np.maximum([0.0] * 3 + [-0.5] * 3 - x, -reach)
    high = np.minimum([2.0] * 3 + [0.5] * 3 - x, reach)
    rows = np.concatenate([by_v.T, -by_v.T])
    room = np.maximum(np.concatenate([1.0 - v[0], v[0] - 0.95]), 0.0)
    best = linprog(by_loss, A_ub=rows, b_ub=room, bounds=np.stack([low, high], axis=1))
    assert best.fun >= -1e-8
    assert (room < 1e-7).any()


@pytest.mark.parametrize(("low", "scale"), [(0.95, 1.0), (0.93, 1.0), (0.9, 0.3)])
def test_multipliers_are_those_of_the_exact_relaxation(low: float, scale: float) -> None:
    """Capability 27: two proofs of the same point agree on what each limit is worth, band, box and circle."""
    net = network("case33bw")
    units = [Unit(bus, bus, 0.0, 2.0, -0.5, 0.5, s_mva=1.8) for bus in ("18", "25", "33")]
    numbers: dict[str, Any] = {
        "limits": NetworkLimits((low, 1.05), 0.0, most_import_mw=1.8), "objective": "cost",
        "head_usd_mwh": 20.0, "p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar,
    }  # fmt: skip
    own = [replace(unit, cost=(4.0, 30.0, 0.0)) for unit in units]
    exact, found = optimal_dispatch(net, own, **numbers), local_optimum(net, own, **numbers)
    assert exact.status == "optimal"
    worth = [{(b.kind, b.element): b.dual for b in one.binding if b.dual > 1e-3} for one in (exact, found)]
    assert worth[1] == pytest.approx(worth[0], rel=1e-3, abs=1e-3)
    assert worth[0] or scale < 1.0


def test_slopes_are_finite_differences() -> None:
    """Row 74: of the objective and of each kind of limit, all in one batch of adjoint sweeps."""
    net = network("case33bw")
    units = [Unit(bus, bus, -1.0, 1.0, -1.0, 1.0) for bus in ("18", "25")]
    live = np.ones(net.n_bus, dtype=bool)
    live[0] = False
    limits = AcLimits.of(net, NetworkLimits((0.9, 1.1), 0.0, 9.0, 9.0), live)
    share = np.zeros((2, net.n_bus))
    share[[0, 1], [net.feeder.node_index[u.bus] for u in units]] = 1.0
    x, step = np.array([[0.3, -0.2, 0.1, 0.25]]), 1e-5
    for objective in ("loss", "cost", "voltage"):
        problem = AcProblem(net, setpoints_of(units, objective), share, objective, 50.0, limits, {})
        state = problem.evaluate(np.zeros(1, dtype=np.int64), x, None)
        n = limits.scale.size
        found = problem.slopes(state, np.eye(1, n + 1)[0], np.eye(n + 1, n, k=-1))
        moved = np.concatenate([x + step * np.eye(4), x - step * np.eye(4)])
        around = problem.evaluate(np.zeros(8, dtype=np.int64), moved, None)
        every = np.concatenate([around.value[:, None], around.excess], axis=1)
        np.testing.assert_allclose(found.T, (every[:4] - every[4:]) / (2 * step), atol=2e-6, rtol=1e-6)


def test_steps_of_a_batch_are_those_solved_alone() -> None:
    """Steps that time does not couple: each ends where it ends by itself."""
    net = network("case33bw")
    units = [Unit(bus, bus, 0.0, 1.5, -0.5, 0.5, s_mva=1.5) for bus in ("18", "25", "33")]
    scale = np.linspace(0.3, 1.2, 7)[:, None]
    loads: dict[str, Any] = {"p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar}
    limits = NetworkLimits((0.93, 1.01), None)
    together = local_optimum(net, units, limits=limits, **loads)
    assert together.p_mw.shape == (7, 3)
    assert list(together.status) == ["local"] * 7
    for k in range(7):
        alone = local_optimum(net, units, limits=limits, **{name: a[k] for name, a in loads.items()})
        assert together.objective[k] == pytest.approx(alone.objective, rel=1e-8)
        np.testing.assert_allclose(together.p_mw[k], alone.p_mw, atol=2e-5)


def test_limits_that_cannot_be_kept_are_said_with_the_excess() -> None:
    """Never called local: the voltage at the end stays below the band by what is told."""
    net = network("case33bw")
    found = local_optimum(net, [Unit("a", "6", 0.0, 0.1)], limits=NetworkLimits((0.95, 1.05), None))
    assert found.status == "infeasible"
    assert found.violation == pytest.approx(0.95 - found.solution.v_pu.min(), abs=1e-9)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"objective": "losses"}, "objective 'losses'"),
    ({"units": [Unit("a", "99", 0.0, 1.0)]}, "unit 'a': bus '99'"),
    ({"p_mw": np.full(33, np.nan)}, "p_mw must be"),
    ({"p_mw": np.ones(7)}, "p_mw must have shape"),
    ({"p_mw": np.ones((2, 33)), "q_mvar": np.ones((3, 33))}, "loads disagree on the number of steps"),
    ({"start": (np.ones(4), np.ones(1))}, "start: P must be 1 finite numbers"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_named(arguments: dict[str, Any], said: str) -> None:
    """Which argument, and what was expected."""
    given = {"units": [Unit("a", "6", 0.0, 0.1)], **arguments}
    with pytest.raises(RunError, match=said):
        local_optimum(network("case33bw"), given.pop("units"), **given)


def with_loops(name: str, ties: int) -> cases.Feeder:
    """A shipped feeder, its first ties closed."""
    feeder = cases.load(name)
    for tie in feeder.column("switches", "switch_id")[:ties]:
        feeder = feeder.with_switch(str(tie), closed=True)
    return feeder


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["loss", "voltage"])
@pytest.mark.parametrize(
    ("name", "ties"), [("case33bw", 5), pytest.param("case118zh", 15, marks=pytest.mark.slow)]
)
def test_the_local_optimum_of_a_meshed_feeder_is_that_of_ipopt(name: str, ties: int, objective: str) -> None:
    """Row 20: no relaxation covers loops; the local optimum runs on the power flow that closes them."""
    feeder, box = with_loops(name, ties), (0.0, 0.6, -0.5, 0.5)
    buses, limits = six_buses(name), NetworkLimits((0.85, 1.1), thermal_margin=None)
    units = [Unit(bus, bus, *box, s_mva=0.65) for bus in buses]
    net = physics.compile(feeder, keep_loops=True)
    found = local_optimum(net, units, objective=objective, limits=limits)
    exact = optimum(feeder, buses, [box] * 6, objective, (0.85, 1.1), 0.65)
    assert exact.solved
    assert (found.status, found.violation) == ("local", pytest.approx(0.0, abs=1e-8))
    assert found.objective == pytest.approx(exact.value, rel=1e-5)
    np.testing.assert_allclose(found.solution.v_pu[0], exact.v_pu, atol=2e-5)
    with pytest.raises(RunError, match="is meshed"):
        optimal_dispatch(net, units, objective=objective, limits=limits)


def test_a_band_that_binds_on_a_meshed_feeder_is_that_of_ipopt() -> None:
    """Row 20, 27: the limit is met to rounding, its multiplier is above zero, and the value is IPOPT's."""
    feeder, box, band = with_loops("case33bw", 5), (0.0, 2.0, -0.2, 0.2), (0.986, 1.005)
    buses = ["18", "25", "33"]
    units = [Unit(bus, bus, *box, s_mva=2.1) for bus in buses]
    net = physics.compile(feeder, keep_loops=True)
    found = local_optimum(net, units, objective="loss", limits=NetworkLimits(band, None))
    exact = optimum(feeder, buses, [box] * 3, "loss", band, 2.1)
    assert exact.solved
    assert found.objective == pytest.approx(exact.value, rel=1e-5)
    assert np.abs(found.solution.v_pu[0, 1:] - 0.986).min() < 1e-7
    assert "v_min" in {one.kind for one in found.binding}


def test_a_held_voltage_stays_where_it_is_held() -> None:
    """Row 20: a generator that holds is part of the physics: the best unit is that of a scan."""
    grid = chain(6, p=0.2, q=0.1, r=0.02, x=0.03)
    grid.branch("n5", "n0", 0.02, 0.03)
    grid.generator("n3", 0.2, 1.0)
    net = physics.compile(grid.feeder(), keep_loops=True)
    found = local_optimum(net, [Unit("g", "n4", 0.0, 1.0)], limits=NetworkLimits((0.9, 1.1), None))
    sizes = np.linspace(0.0, 1.0, 2001)
    inject = np.zeros((2001, 6))
    inject[:, 4] = sizes
    scan = physics.solve(net, p_inject_mw=inject, tol=1e-11).p_loss_mw
    assert found.objective <= scan.min() + 1e-12
    assert abs(found.p_mw[0] - sizes[scan.argmin()]) < 1e-3
    assert found.solution.v_pu[0, 3] == pytest.approx(1.0, abs=1e-9)
