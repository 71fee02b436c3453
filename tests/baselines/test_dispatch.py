"""Optimal power flow of an operating point: published optima, IPOPT, the bound, the replay, bad input."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.dispatch import Dispatch, optimal_dispatch
from distgrid.baselines.optimal.local import local_optimum
from distgrid.baselines.optimal.redispatch import Redispatch
from distgrid.baselines.optimal.units import Unit

from .ipopt import optimum

WIDE = NetworkLimits((0.9, 1.1), thermal_margin=None)


@cache
def network(name: str) -> physics.Network:
    """Compiled."""
    return physics.compile(cases.load(name))


def proved(found: Dispatch) -> None:
    """What every result must show: real in AC, inside its limits, at its bound."""
    assert found.status == "optimal"
    assert found.replay.v_error_pu < 1e-8
    assert found.replay.violation <= 1e-9
    assert -1e-9 <= found.gap <= 1e-5 * max(abs(found.bound), 0.01)


@pytest.mark.parametrize(
    ("q_most", "loss_kw", "p_kw"),
    [(0.0, 71.4985, (788.2, 1093.3, 1057.9)), (5.0, 11.6696, None)],
)
def test_least_loss_with_three_plants_is_the_published_one(
    q_most: float, loss_kw: float, p_kw: tuple[float, ...] | None
) -> None:
    """Capability 20, 30: 33bw, plants at 13, 24 and 30, power alone and with reactive power."""
    units = [Unit(bus, bus, 0.0, 5.0, 0.0, q_most) for bus in ("13", "24", "30")]
    found = optimal_dispatch(network("case33bw"), units, limits=WIDE)
    proved(found)
    assert 1e3 * found.replay.objective == pytest.approx(loss_kw, abs=5e-5)
    if p_kw is not None:
        np.testing.assert_allclose(1e3 * found.p_mw, p_kw, atol=0.06)
    assert np.abs(found.relaxation_gap).max() < 1e-8


@pytest.mark.parametrize(
    ("kvar", "loss_kw"),
    [
        ({"30": 1252.7}, 143.6017),
        ({"12": 468.9, "30": 1057.8}, 135.7532),
        ({"13": 378.7, "24": 544.2, "30": 1036.7}, 132.1726),
    ],
)
def test_capacitors_have_the_published_sizes(kvar: dict[str, float], loss_kw: float) -> None:
    """One, two and three banks of constant reactive power on 33bw."""
    units = [Unit(bus, bus, q_max_mvar=5.0) for bus in kvar]
    found = optimal_dispatch(network("case33bw"), units, limits=WIDE)
    proved(found)
    assert 1e3 * found.replay.objective == pytest.approx(loss_kw, abs=6e-5)
    np.testing.assert_allclose(1e3 * found.q_mvar, list(kvar.values()), atol=0.06)


@pytest.mark.parametrize(
    ("costs", "usd_per_h", "p_mw", "q_mvar"),
    [
        (((0.0, 40.0, 0.0), (0.0, 55.0, 0.0)), 180.591830, (1.0, 0.0), (0.433031, 0.5)),
        (((5.0, 48.0, 0.0), (8.0, 49.0, 0.0)), 190.387950, (0.452452, 0.287476), (0.394234, 0.5)),
    ],
)
def test_least_cost_is_that_of_pandapowers_interior_point(
    costs: Any, usd_per_h: float, p_mw: Any, q_mvar: Any
) -> None:
    """Capability 21, 22, 26: linear and quadratic costs; a limit that binds has a multiplier."""
    units = [
        Unit("a", "18", 0.0, 1.0, -0.5, 0.5, cost=costs[0]),
        Unit("b", "33", 0.0, 1.5, -0.5, 0.5, cost=costs[1]),
    ]
    found = optimal_dispatch(
        network("case33bw"), units, objective="cost", head_usd_mwh=50.0, limits=WIDE, gap_tolerance=1e-8
    )
    proved(found)
    assert found.replay.objective == pytest.approx(usd_per_h, abs=1e-5)
    np.testing.assert_allclose(found.p_mw, p_mw, atol=2e-6)
    np.testing.assert_allclose(found.q_mvar, q_mvar, atol=2e-6)
    assert ("q_max", "b") in {(one.kind, one.element) for one in found.binding}


@pytest.mark.quick(1)
@pytest.mark.parametrize("objective", ["loss", "voltage"])
@pytest.mark.parametrize("name", ["case33bw", "case118zh"])
def test_the_optimum_is_that_of_ipopt(name: str, objective: str) -> None:
    """Capability 20, 23, 24, 30: six inverters with a circle; another model of the grid, another solver."""
    feeder = cases.load(name)
    buses = [str(n) for n in feeder.column("nodes", "node_id")[5 :: feeder.n_nodes // 6][:6]]
    box = (0.0, 0.6, -0.5, 0.5)
    found = optimal_dispatch(
        network(name), [Unit(bus, bus, *box, s_mva=0.65) for bus in buses], objective=objective,
        limits=NetworkLimits((0.85, 1.1), thermal_margin=None),
    )  # fmt: skip
    proved(found)
    exact = optimum(feeder, buses, [box] * 6, objective, (0.85, 1.1), 0.65)
    assert exact.solved
    assert found.replay.objective == pytest.approx(exact.value, rel=1e-5)
    np.testing.assert_allclose(np.asarray(found.replay.solution.v_pu[0]), exact.v_pu, atol=2e-5)
    assert (np.hypot(found.p_mw, found.q_mvar) <= 0.65 + 1e-7).all()


def test_a_binding_multiplier_is_what_relaxing_the_limit_is_worth() -> None:
    """By difference: the band, a box and a rating, each relaxed by a little."""
    units = [Unit(bus, bus, 0.0, 0.4, -0.3, 0.3) for bus in ("18", "33", "25")]
    limits = NetworkLimits((0.94, 1.05), thermal_margin=None)
    found = optimal_dispatch(network("case33bw"), units, limits=limits)
    by = {(one.kind, one.element): one.dual for one in found.binding}
    assert ("p_max", "18") in by
    step = 1e-4
    more = [Unit(u.name, u.bus, 0.0, u.p_max_mw + step * (u.name == "18"), -0.3, 0.3) for u in units]
    gain = (
        found.replay.objective - optimal_dispatch(network("case33bw"), more, limits=limits).replay.objective
    )
    assert gain / step == pytest.approx(by["p_max", "18"], rel=2e-2)


@settings(max_examples=15)
@given(scale=st.floats(0.2, 1.2), seed=st.integers(0, 2**31 - 1))
def test_nobody_passes_the_bound(scale: float, seed: int) -> None:
    """Random setpoints inside all limits never lose less than the bound says."""
    net, rng = network("case33bw"), np.random.default_rng(seed)
    buses = rng.choice(np.arange(2, 34), 4, replace=False).astype(str)
    units = [Unit(bus, bus, 0.0, 0.8, -0.4, 0.4, s_mva=0.85) for bus in buses]
    loads: dict[str, Any] = {"p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar}
    found = optimal_dispatch(net, units, limits=WIDE, **loads)
    proved(found)
    row = [net.feeder.node_index[bus] for bus in buses]
    p, q = np.zeros((40, net.n_bus)), np.zeros((40, net.n_bus))
    p[:, row], q[:, row] = rng.uniform(0.0, 0.8, (40, 4)), rng.uniform(-0.25, 0.25, (40, 4))
    tried = physics.solve(net, **loads, p_inject_mw=p, q_inject_mvar=q)
    assert (tried.p_loss_mw >= found.bound).all()


def test_objectives_give_different_optima_each_best_in_its_own_metric() -> None:
    """Capability 29."""
    units = [Unit(bus, bus, 0.0, 1.2, -0.6, 0.6, cost=(2.0, 45.0, 0.0)) for bus in ("18", "25", "33")]
    plans = {
        word: optimal_dispatch(network("case33bw"), units, objective=word, head_usd_mwh=50.0, limits=WIDE)
        for word in ("loss", "cost", "voltage", "host")
    }
    value = {word: _metrics(plan, units) for word, plan in plans.items()}
    for word in plans:
        best = min(value, key=lambda other: value[other][word])
        assert value[word][word] <= value[best][word] + 1e-6
    assert len({tuple(np.round([plan.p_mw, plan.q_mvar], 3).ravel()) for plan in plans.values()}) == 4


def _metrics(plan: Dispatch, units: list[Unit]) -> dict[str, float]:
    sol = plan.replay.solution
    own = sum(u.cost[0] * p * p + u.cost[1] * p for u, p in zip(units, plan.p_mw, strict=True))
    return {
        "loss": float(sol.p_loss_mw[0]), "cost": float(50.0 * sol.p_slack_mw[0] + own),
        "voltage": float(((sol.v_pu - 1.0) ** 2).sum()), "host": -float(plan.p_mw.sum()),
    }  # fmt: skip


def test_bands_and_ratings_hold_in_the_replay_where_they_bind() -> None:
    """Capability 23: the most that three plants can feed in, with voltage and thermal limits."""
    units = [Unit(bus, bus, 0.0, 20.0) for bus in ("18", "22", "33")]
    free = optimal_dispatch(
        network("case33bw"), units, objective="host", limits=NetworkLimits((0.9, 1.05), None)
    )
    rated = optimal_dispatch(
        network("case33bw"), units, objective="host", limits=NetworkLimits((0.9, 1.05), 0.1)
    )
    for plan in (free, rated):
        assert plan.status in ("optimal", "feasible")
        assert plan.replay.violation <= 1e-6
        assert plan.replay.objective <= plan.bound + 1e-9
    assert rated.replay.objective < free.replay.objective
    assert np.nanmax(rated.replay.solution.loading) <= 0.9 + 1e-6
    assert {one.kind for one in rated.binding} & {"thermal_from", "thermal_to"}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"objective": "losses"}, "objective 'losses'"),
    ({"units": [Unit("a", "99", 0.0, 1.0)]}, "unit 'a': bus '99'"),
    ({"units": [Unit("a", "18", 0.0, 1.0)] * 2}, "unit 'a' is there twice"),
    ({"limits": NetworkLimits((1.1, 0.9))}, "v_band must be within 0.5 and 1.5 pu"),
    ({"limits": NetworkLimits((0.2, 1.1))}, "v_band must be within 0.5 and 1.5 pu"),
    ({"limits": NetworkLimits((0.99, 1.05), None)}, "v_min at 18 by"),
    ({"p_mw": np.full(33, np.nan)}, "p_mw must be 33 finite numbers"),
    ({"limits": NetworkLimits((0.8, 1.1), None, most_import_mw=1.0)}, "import at head by"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_and_conflicting_limits_are_named(arguments: dict[str, Any], said: str) -> None:
    """Which unit, which limit, by how much."""
    given = {"units": [Unit("a", "6", 0.0, 0.1)], **arguments}
    units = given.pop("units")
    with pytest.raises(RunError, match=said):
        optimal_dispatch(network("case33bw"), units, **given)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"p_min_mw": 1.0, "p_max_mw": 0.5}, "p_min_mw 1 is above p_max_mw 0.5"),
        ({"q_max_mvar": float("nan")}, "q_min_mvar and q_max_mvar must be finite"),
        ({"cost": (-1.0, 0.0, 0.0)}, r"cost\[0\] must be at least 0, got -1"),
        ({"s_mva": 0.0}, "s_mva must be greater than 0"),
        ({"points": ((0.0, 1.0),)}, "points must be two or more"),
        ({"points": ((0.0, 1.0), (0.0, 2.0))}, "p_mw of points must ascend"),
        ({"points": ((0.0, 0.0), (0.5, 30.0)), "p_max_mw": 1.0}, "points reach from 0 to 0.5 MW"),
        ({"points": ((0.0, 0.0), (0.5, 30.0), (1.0, 50.0))}, "slopes that do not fall"),
    ],
)
def test_units_say_what_is_wrong(arguments: dict[str, Any], said: str) -> None:
    """Boxes that are empty, numbers that are none, costs without a bound."""
    with pytest.raises(ValueError, match=said):
        Unit("a", "18", **arguments)


def test_a_meshed_and_a_per_phase_feeder_are_refused() -> None:
    """With what to do about it."""
    feeder = cases.load("case33bw")
    meshed = physics.compile(feeder.with_switch("s9-15", closed=True), keep_loops=True)
    with pytest.raises(RunError, match=r"is meshed: the branches .* open one branch of each loop"):
        optimal_dispatch(meshed, [Unit("a", "6", 0.0, 0.1)])
    with pytest.raises(RunError, match="this one is per phase"):
        optimal_dispatch(cast(Any, physics.compile(cases.load("ieee13"))), [])


def test_again_with_other_numbers_is_what_a_fresh_dispatch_gives() -> None:
    """Row 71: loads, source voltage, limits of units and prices change in place, the matrices stay."""
    net, rng = network("case33bw"), np.random.default_rng(4)
    start = [Unit(bus, bus, 0.0, 0.6, -0.4, 0.4, s_mva=0.65, cost=(1.0, 44.0, 0.0)) for bus in ("18", "25")]
    again = Redispatch(net, start, objective="cost", head_usd_mwh=50.0, limits=WIDE)
    for _ in range(4):
        scale = rng.uniform(0.4, 1.3, net.n_bus)
        numbers: dict[str, Any] = {
            "p_mw": scale * net.load_p_mw, "q_mvar": scale * net.load_q_mvar,
            "v_source_pu": float(rng.uniform(0.98, 1.04)), "head_usd_mwh": float(rng.uniform(40.0, 60.0)),
        }  # fmt: skip
        units = [replace(unit, p_max_mw=float(rng.uniform(0.1, 0.7)), s_mva=0.7) for unit in start]
        found = again.solve(units=units, **numbers)
        fresh = optimal_dispatch(net, units, objective="cost", limits=WIDE, **numbers)
        proved(found)
        assert found.replay.objective == pytest.approx(fresh.replay.objective, rel=1e-9)
        assert found.bound == pytest.approx(fresh.bound, rel=1e-6)
        np.testing.assert_allclose(found.p_mw, fresh.p_mw, atol=1e-6)
        assert {b.limit for b in found.binding if b.kind == "p_max"} <= {u.p_max_mw for u in units}
    proved(again.solve(units=[replace(unit, s_mva=np.inf, p_max_mw=6.0) for unit in start]))


def test_costs_of_straight_pieces_are_least_where_a_grid_of_powers_says_so() -> None:
    """Capability 22: at a kink, between the slopes that the price of the head lies between."""
    points = ((0.0, 1.0), (0.4, 15.0), (0.7, 34.0), (1.0, 55.0))
    unit = Unit("a", "18", 0.0, 1.0, points=points)
    net = network("case33bw")
    found = optimal_dispatch(net, [unit], objective="cost", head_usd_mwh=50.0, limits=WIDE)
    proved(found)
    tried = np.linspace(0.0, 1.0, 1001)
    inject = np.zeros((tried.size, net.n_bus))
    inject[:, net.feeder.node_index["18"]] = tried
    sol = physics.solve(net, p_inject_mw=inject)
    total = 50.0 * sol.p_slack_mw + np.interp(tried, *np.array(points).T)
    assert found.replay.objective == pytest.approx(float(total.min()), abs=1e-5)
    assert found.p_mw[0] == pytest.approx(float(tried[total.argmin()]), abs=1.1e-3)
    assert found.p_mw[0] == pytest.approx(0.4, abs=1e-6)


def test_the_dual_of_a_rating_is_what_it_is_worth() -> None:
    """Row 26: the difference of the optimum where all ratings give way by a ten-thousandth."""
    net = network("case33bw")
    units = [
        Unit("a", "18", 0.0, 0.2, 0.0, 0.1, cost=(0.0, 90.0, 0.0)),
        Unit("b", "25", 0.0, 3.0, -0.1, 0.1, cost=(0.0, 40.0, 0.0)),
    ]

    def at(margin: float) -> Dispatch:
        limits = NetworkLimits((0.85, 1.1), margin)
        return optimal_dispatch(net, units, objective="cost", head_usd_mwh=50.0, limits=limits)

    rating = dict(zip(net.feeder.column("branches", "branch_id"), net.rating_mva, strict=True))
    duals = [one for one in at(0.1).binding if one.kind.startswith("thermal")]
    assert duals
    by = (at(0.1001).replay.objective - at(0.0999).replay.objective) / 2e-4
    assert by == pytest.approx(sum(one.dual * rating[one.element] for one in duals), rel=1e-4)


def test_a_repair_tries_other_starts_than_the_relaxation() -> None:
    """Row 36: the most that six plants feed in has many local optima; what is told is no worse than any."""
    net = network("case33bw")
    units = [Unit(bus, bus, 0.0, 5.0) for bus in ("9", "14", "18", "22", "25", "33")]
    limits = NetworkLimits((0.95, 1.05), 0.0)
    found = optimal_dispatch(net, units, objective="host", limits=limits)
    starts = [(np.full(6, p_mw), np.zeros(6)) for p_mw in (0.0, 1.0, 2.5, 5.0)]
    others = [local_optimum(net, units, objective="host", limits=limits, start=start) for start in starts]
    assert (found.status, found.repaired) == ("feasible", True)
    assert found.replay.violation <= 1e-6
    assert found.replay.objective >= max(one.objective for one in others if one.violation <= 1e-6) - 1e-6
    assert found.replay.objective == pytest.approx(5.596, abs=1e-3)
    assert found.bound >= found.replay.objective
