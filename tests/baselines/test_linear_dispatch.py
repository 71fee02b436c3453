"""Corrected linear programs: the relaxation's optimum, LinDistFlow, enumeration, limits after replay."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.linear.controls import controls_of
from distgrid.baselines.optimal.linear.dispatch import LinearDispatch, linear_dispatch
from distgrid.baselines.optimal.linear.limits import FlatLimits
from distgrid.baselines.optimal.linear.search import Search, Wanted
from distgrid.baselines.optimal.linear.swaps import held, swap_units
from distgrid.baselines.optimal.switched import best_settings
from distgrid.baselines.optimal.units import Unit
from distgrid.envs import CapacitorBank
from distgrid.physics import linear

WIDE = NetworkLimits((0.9, 1.1), thermal_margin=None)
BAND = NetworkLimits((0.95, 1.05), thermal_margin=None)


@cache
def network(name: str) -> physics.Network:
    """Balanced."""
    return physics.compile(cases.load(name))


@cache
def phases(name: str) -> physics.Network3:
    """Per phase."""
    return physics.compile_per_phase(cases.load(name))


def _constant_power(feeder: cases.Feeder) -> cases.Feeder:
    """The feeder with loads that do not depend on voltage."""
    loads = feeder.loads
    for name in ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"):
        none = pa.array(np.zeros(loads.num_rows))
        loads = loads.set_column(loads.schema.get_field_index(name), name, none)
    return replace(feeder, loads=loads)


def holds(found: LinearDispatch) -> None:
    """What every result must show: the program's voltages are the replay's, and limits are kept."""
    assert found.status == "best known"
    assert found.residual_pu <= 1e-5
    assert found.residuals[0] > found.residual_pu
    assert found.violation <= 1e-6


def plants(net: physics.Network) -> list[Unit]:
    """Six inverters with a circle, linear, quadratic and piecewise costs."""
    buses = [str(n) for n in net.feeder.column("nodes", "node_id")[5 :: net.n_bus // 6][:6]]
    pieces = ((0.0, 0.0), (0.3, 12.0), (0.6, 28.0))
    return [
        Unit(bus, bus, 0.0, 0.6, -0.5, 0.5, 0.65, cost=(1.0, 40.0 + 5 * k, 0.0), points=pieces * (k == 2))
        for k, bus in enumerate(buses)
    ]


@pytest.mark.parametrize("objective", ["cost", "loss", "host"])
@pytest.mark.parametrize("name", ["case33bw", "case118zh"])
def test_the_relaxation_proves_what_linear_programs_find(name: str, objective: str) -> None:
    """Row 21, 23, 29: another method, another solver; and nobody passes the bound."""
    net, limits = network(name), NetworkLimits((0.85, 1.1), thermal_margin=None)
    exact = optimal_dispatch(net, plants(net), objective=objective, head_usd_mwh=50.0, limits=limits)
    found = linear_dispatch(net, plants(net), objective=objective, head_usd_mwh=50.0, limits=limits)
    holds(found)
    assert exact.status == "optimal"
    assert found.objective == pytest.approx(exact.replay.objective, rel=1e-6)
    sign = -1.0 if objective == "host" else 1.0
    assert sign * found.objective >= sign * exact.replay.objective - 1e-6 * abs(found.objective)


def test_binding_band_on_33bw_as_the_relaxation_has_it() -> None:
    """Row 26: limits of the network bind, with the price that the cone program's dual has."""
    net, limits = network("case33bw"), NetworkLimits((0.94, 1.05), thermal_margin=None)
    units = [Unit(bus, bus, 0.0, 0.4, -0.1, 0.1, cost=(0.0, 80.0, 0.0)) for bus in ("18", "33", "25")]
    exact = optimal_dispatch(net, units, objective="cost", head_usd_mwh=50.0, limits=limits)
    found = linear_dispatch(net, units, objective="cost", head_usd_mwh=50.0, limits=limits)
    holds(found)
    assert found.objective == pytest.approx(exact.replay.objective, rel=1e-6)
    prices = {(one.kind, one.element): one.dual for one in exact.binding if one.kind == "v_min"}
    mine = {(one.kind, one.element): one.dual for one in found.binding}
    assert prices
    for key, dual in prices.items():
        assert mine[key] == pytest.approx(dual, rel=1e-2)


@pytest.mark.parametrize(("q_most", "loss_kw"), [(0.0, 71.4985), (5.0, 11.6696)])
def test_published_least_loss(q_most: float, loss_kw: float) -> None:
    """33bw, plants at 13, 24 and 30: interior optima, found by tangents of the losses."""
    units = [Unit(bus, bus, 0.0, 5.0, 0.0, q_most) for bus in ("13", "24", "30")]
    found = linear_dispatch(network("case33bw"), units, limits=WIDE)
    holds(found)
    assert 1e3 * found.objective == pytest.approx(loss_kw, abs=6e-5)


@pytest.mark.parametrize("name", ["case33bw", "ieee13"])
def test_the_first_program_is_lindistflow(name: str) -> None:
    """Its error at its own plan is that of `linear.lin_dist_flow`, a separate computation.

    With loads of constant power: how much others take without load is told in two ways.
    """
    balanced = name == "case33bw"
    net: Any = network(name) if balanced else physics.compile_per_phase(_constant_power(cases.load(name)))
    bus = "18" if balanced else "675"
    unit = Unit("a", bus, 0.0, 0.5, 0.0, 0.3)
    first = linear_dispatch(
        net, [unit], limits=NetworkLimits(None, None), most_iterations=1, objective="host"
    )
    assert first.status == "not converged"
    inject = np.zeros((2, *net.load_p_mw.shape))
    inject[:, net.feeder.node_index[bus]] = np.array([first.p_mw[0], first.q_mvar[0]]).reshape(
        2, *(1,) * (net.load_p_mw.ndim - 1)
    ) / (1 if balanced else 3)
    model: Any = linear.lin_dist_flow(net)
    flow = model.evaluate(p_inject_mw=inject[0], q_inject_mvar=inject[1])
    v = np.asarray(flow.v_pu if balanced else flow)
    off = np.nanmax(np.abs(v.ravel() - first.solution.v_pu[0].ravel()))
    assert len(first.residuals) == 1
    assert first.residuals[0] == pytest.approx(off, abs=2e-6)


@pytest.mark.parametrize("objective", ["cost", "loss", "voltage", "host"])
def test_every_phase_of_ieee123_is_in_its_band_after_the_replay(objective: str) -> None:
    """Row 28: one- and three-phase inverters; the voltages are those of a power flow of the setpoints."""
    net = phases("ieee123")
    places = ("48", "65.b", "76", "83", "93", "114.a")
    units = [
        Unit(bus, bus, 0.0, 0.1, -0.05, 0.05, 0.11, cost=(0.0, 45.0 + 2 * k, 0.0))
        for k, bus in enumerate(places)
    ]
    found = linear_dispatch(net, units, objective=objective, head_usd_mwh=50.0)
    holds(found)
    p, q = np.zeros((2, net.n_bus, 3))
    for k, bus in enumerate(places):
        node, _, phase = bus.partition(".")
        at = ["abc".index(phase)] if phase else [0, 1, 2]
        p[net.feeder.node_index[node], at] += found.p_mw[k] / len(at)
        q[net.feeder.node_index[node], at] += found.q_mvar[k] / len(at)
    replay = physics.solve(net, p_inject_mw=p, q_inject_mvar=q, tol=1e-11)
    np.testing.assert_allclose(replay.v_pu, found.solution.v_pu[0], atol=1e-9)
    inside = np.delete(np.asarray(replay.v_pu), [source.node for source in net.sources], axis=0)
    assert np.nanmin(inside) >= 0.95 - 1e-6
    assert np.nanmax(inside) <= 1.05 + 1e-6
    assert (np.hypot(found.p_mw, found.q_mvar) <= 0.11 + 1e-8).all()


@pytest.mark.slow
def test_taps_and_banks_of_ieee13_are_the_exhaustive_optimum() -> None:
    """Row 27, 28: 47,628 settings were tried elsewhere; here it takes a handful of integer programs."""
    net = phases("ieee13")
    loads = sorted({str(name) for name in net.feeder.column("loads", "node_id")})
    found = linear_dispatch(net, taps=True, banks=True, limits=replace(BAND, band_at=tuple(loads)))
    holds(found)
    assert tuple(found.tap_pos) == (15, 7, 16)
    assert found.cap_on.all()
    assert 1e3 * found.objective == pytest.approx(105.9578, abs=6e-4)


@pytest.mark.slow
def test_customers_of_european_lv_feed_in_what_their_phases_hold() -> None:
    """Row 28: twelve customers on one phase each of 907 nodes; the upper limit binds and holds in AC."""
    net = phases("european_lv")
    names = net.feeder.column("nodes", "node_id")
    places = np.argwhere(np.asarray(net.load_p_mw) > 0.0)[:12]
    units = [
        Unit(f"u{k}", f"{names[node]}.{'abc'[phase]}", 0.0, 0.02, -0.005, 0.005, 0.02)
        for k, (node, phase) in enumerate(places)
    ]
    found = linear_dispatch(net, units, objective="host")
    holds(found)
    assert any(one.kind.startswith(("v_max", "thermal")) for one in found.binding)


def test_two_banks_are_placed_where_enumeration_places_them() -> None:
    """Row 27: which two of six candidates, each with its best size, by all pairs of the relaxation."""
    net = network("case33bw")
    buses = ("6", "12", "18", "24", "30", "33")
    units = [Unit(bus, bus, q_max_mvar=2.0) for bus in buses]
    found = linear_dispatch(net, units, on_off=buses, most_on=2, limits=WIDE)
    pairs = {
        pair: optimal_dispatch(net, [units[k] for k in pair], limits=WIDE).replay.objective
        for pair in itertools.combinations(range(len(buses)), 2)
    }
    best = min(pairs, key=lambda pair: pairs[pair])
    holds(found)
    assert np.flatnonzero(found.q_mvar > 1e-6).tolist() == list(best)
    assert 1e3 * found.objective == pytest.approx(1e3 * pairs[best], rel=1e-5)
    assert [buses[k] for k in best] == ["12", "30"]
    assert 1e3 * found.objective == pytest.approx(135.7532, abs=1e-4)


@pytest.mark.parametrize(
    ("start", "best", "loss_kw"),
    [(("18", "22"), ["12", "30"], 135.7532), (("6", "18", "22"), ["13", "24", "30"], 132.1726)],
)
def test_exchanges_of_banks_end_at_the_published_sites(
    start: tuple[str, ...], best: list[str], loss_kw: float
) -> None:
    """Row 27: from banks at bad places, one at a time moves over all 32 buses as the power flow judges."""
    net = network("case33bw")
    buses = [str(bus) for bus in net.feeder.column("nodes", "node_id")[1:]]
    units = [Unit(bus, bus, q_max_mvar=2.0) for bus in buses]
    controls = controls_of(net, units, (None, None), None, False, False, {})
    wanted = Wanted(controls, "loss", 0.0, tuple(range(32)), len(start))
    search = Search(controls, FlatLimits.of(net, WIDE), wanted, 1e-5)
    bad = held(search, {buses.index(bus) for bus in start})
    assert bad.run(40)
    search.best = bad.best
    assert search.best is not None
    before = search.best.value
    swap_units(search, 40)
    assert [buses[k] for k in np.flatnonzero(search.best.x[32:] > 1e-6)] == best
    assert 1e3 * search.best.value == pytest.approx(loss_kw, abs=1e-4)
    assert search.best.value < 0.95 * before
    assert search.best.residual <= 1e-5


def test_banks_in_steps_are_those_of_enumeration() -> None:
    """Row 27: steps of 300 kvar at two buses, all 49 combinations by the power flow."""
    net, step = network("case33bw"), 0.3
    units = [Unit(bus, bus, q_max_mvar=1.9) for bus in ("12", "30")]
    found = linear_dispatch(net, units, q_steps_mvar={"12": step, "30": step}, limits=WIDE)
    holds(found)
    settings = np.array(list(itertools.product(range(7), repeat=2)))
    q = np.zeros((len(settings), net.n_bus))
    q[:, [net.feeder.node_index["12"], net.feeder.node_index["30"]]] = step * settings
    losses = physics.solve(net, q_inject_mvar=q).p_loss_mw
    np.testing.assert_allclose(found.q_mvar, step * settings[losses.argmin()], atol=1e-9)
    assert found.objective == pytest.approx(losses.min(), abs=1e-9)


def test_banks_of_the_feeder_as_all_combinations_have_them() -> None:
    """Row 27: switched susceptances, against the search over all states."""
    feeder = cases.load("case33bw")
    for bus, q_mvar in (("18", 0.35), ("25", 0.4), ("30", 0.9)):
        feeder = CapacitorBank(bus=bus, q_mvar=q_mvar, on=False).equip(feeder)
    net = physics.compile(feeder)
    found, best = linear_dispatch(net, banks=True, limits=WIDE), best_settings(net, v_band=(0.9, 1.1))
    holds(found)
    assert found.cap_on.tolist() == best.cap_on.tolist()
    assert found.objective == pytest.approx(best.objective_mw, abs=1e-8)


def test_what_cannot_be_kept_is_named_with_by_how_much() -> None:
    """The largest excess comes first, and it is what the least violation leaves."""
    net = network("case33bw")
    with pytest.raises(RunError, match=r"no setpoints keep the limits: .* v_min at 18 by 0\.0[0-9]+ pu"):
        linear_dispatch(net, [Unit("a", "30", 0.0, 0.1)])
    with pytest.raises(RunError, match="import at head by"):
        linear_dispatch(
            net, [Unit("a", "30", 0.0, 0.1)], limits=NetworkLimits(None, None, most_import_mw=3.0)
        )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"objective": "losses"}, "objective 'losses'"),
        ({"limits": NetworkLimits((1.05, 0.95))}, "v_band must be"),
        ({"limits": NetworkLimits((0.9, 1.1), thermal_margin=1.5)}, "thermal_margin must be"),
        ({"units": [Unit("a", "99")]}, "bus '99'"),
        ({"units": [Unit("a", "18.b")]}, "bus '18.b'"),
        ({"units": [Unit("a", "18"), Unit("a", "33")]}, "'a' is there twice"),
        ({"units": []}, "nothing to set"),
        ({"limits": NetworkLimits(band_at=("99",))}, "band_at: bus '99'"),
        ({"on_off": ["b"]}, "unit of on_off 'b'"),
        ({"q_steps_mvar": {"b": 0.1}}, "unit of q_steps_mvar 'b'"),
        ({"on_off": ["a"], "most_on": -1}, "leave nothing to choose from"),
        ({"q_steps_mvar": {"a": 0.0}}, "must be greater than 0"),
        ({"taps": ["reg1"]}, "tap changer 'reg1'"),
        ({"banks": ["c1"]}, "bank 'c1'"),
        ({"p_mw": np.ones(3)}, "p_mw must be finite and of shape"),
        ({"q_mvar": np.full(33, np.nan)}, "q_mvar must be finite"),
        ({"p_mw": np.full(33, 40.0), "limits": WIDE}, "does not converge"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"units": [Unit("a", "18", 0.0, 0.1)], **change}
    with pytest.raises(RunError, match=match):
        linear_dispatch(network("case33bw"), arguments.pop("units"), **arguments)


def test_a_phase_that_is_not_there_is_named() -> None:
    with pytest.raises(RunError, match=r"node '611' has the phases 'c'"):
        linear_dispatch(phases("ieee13"), [Unit("a", "611.a", 0.0, 0.1)])


def test_twice_the_same_is_the_same_to_the_last_bit() -> None:
    net = network("case33bw")
    one, two = (linear_dispatch(net, plants(net), limits=WIDE) for _ in range(2))
    assert one.p_mw.tobytes() == two.p_mw.tobytes()
    assert one.residuals == two.residuals
