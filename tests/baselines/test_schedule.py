"""Optimal schedules: energy identity, the bound, a linear program without a network, bad input."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.conflicts import InfeasibleError
from distgrid.baselines.optimal.schedule import Horizon, Schedule, optimal_schedule
from distgrid.baselines.optimal.storage import Storage, netted
from distgrid.baselines.optimal.units import Unit

HOURS = np.arange(24.0)
PRICE = 50.0 + 30.0 * np.sin((HOURS - 10.0) / 24.0 * 2.0 * np.pi)
LOAD = 0.6 + 0.3 * np.sin((HOURS - 9.0) / 24.0 * 2.0 * np.pi)
WIDE = NetworkLimits((0.85, 1.1), thermal_margin=None)
STORES = tuple(
    Storage(f"s{bus}", bus, 0.3, 0.25, 0.9, 0.3, least_mwh=0.05, eta_charge=0.93, eta_discharge=0.9,
            q_max_mvar=0.1, s_mva=0.32, wear_usd_mwh=2.0, ramp_mw_per_h=0.4)
    for bus in ("18", "25", "33")
)  # fmt: skip


@cache
def network() -> physics.Network:
    return physics.compile(cases.load("case33bw"))


def horizon(scale: float = 1.0, **other: Any) -> Horizon:
    net = network()
    load = scale * LOAD[:, None]
    return replace(Horizon(1.0, PRICE, load * net.load_p_mw, load * net.load_q_mvar), **other)


@cache
def planned() -> Schedule:
    return optimal_schedule(network(), [], STORES, horizon(), limits=WIDE)


def test_energy_in_store_is_what_went_in_and_out() -> None:
    """Row 47, 48: the identity holds to 1e-9 kWh, within energies, powers and ramps."""
    found = planned()
    assert found.status == "optimal"
    for k, one in enumerate(STORES):
        p = found.storage_p_mw[:, k]
        change = -one.eta_charge * np.minimum(p, 0.0) - np.maximum(p, 0.0) / one.eta_discharge
        stored = one.start_mwh + np.cumsum(change)
        np.testing.assert_allclose(found.stored_mwh[:, k], stored, atol=1e-12)
        assert stored.min() >= one.least_mwh - 1e-9
        assert stored.max() <= one.energy_mwh + 1e-9
        assert stored[-1] >= one.start_mwh - 1e-6
        assert p.min() >= -one.charge_mw
        assert p.max() <= one.discharge_mw
        assert np.abs(np.diff(p)).max() <= one.ramp_mw_per_h + 1e-7
        assert np.hypot(p, found.storage_q_mvar[:, k]).max() <= one.s_mva + 1e-6
        cheap, dear = PRICE < 35.0, PRICE > 65.0
        assert p[cheap].sum() < 0.0 < p[dear].sum(), "it charges when energy is cheap"


def test_the_replay_costs_no_less_than_the_bound_and_no_other_schedule_does() -> None:
    """Row 47, 49: the bound holds for the schedule and for random ones, replayed in AC."""
    found, net = planned(), network()
    assert found.v_error_pu < 1e-6
    assert -1e-6 <= found.gap <= 1e-4 * found.bound
    asked = horizon()
    rng = np.random.default_rng(3)
    for _ in range(10):
        wish = rng.normal(scale=0.1, size=(24, 3))
        p, stored = netted(STORES, np.maximum(-wish, 0.0), np.maximum(wish, 0.0), 1.0)
        inject = np.zeros((24, net.n_bus))
        inject[:, [net.feeder.node_index[one.bus] for one in STORES]] = p
        sol = physics.solve(net, asked.p_mw, asked.q_mvar, p_inject_mw=inject)
        lacking = sum(max(one.start_mwh - stored[-1, k], 0.0) for k, one in enumerate(STORES))
        usd = PRICE @ sol.p_slack_mw + 2.0 * np.abs(p).sum() + lacking / 0.9 * PRICE.max() * 1.2
        assert usd >= found.bound


def test_without_a_network_to_speak_of_it_is_a_linear_program() -> None:
    """By HiGHS: prices, wear, efficiencies and energies alone, where losses are too small to count."""
    size = 1e-3
    stores = [replace(STORES[0], charge_mw=0.3 * size, discharge_mw=0.25 * size, energy_mwh=0.9 * size,
                      start_mwh=0.3 * size, least_mwh=0.05 * size, ramp_mw_per_h=0.2 * size, q_max_mvar=0.0,
                      s_mva=np.inf)]  # fmt: skip
    sun = 2.0 * size * np.clip(np.sin((HOURS - 6.0) / 12.0 * np.pi), 0.0, None)
    units = [Unit("pv", "33", 0.0, 2.0 * size)]
    found = optimal_schedule(
        network(), units, stores, horizon(0.0, p_max_mw=sun[:, None]),
        limits=NetworkLimits((0.85, 1.1), None, most_import_mw=0.2 * size),
    )  # fmt: skip
    assert found.status == "optimal"
    one, n = stores[0], 24
    lower = np.tril(np.ones((n, n)))
    stored = np.hstack([one.eta_charge * lower, -lower / one.eta_discharge, np.zeros((n, n))])
    head = np.hstack([np.eye(n), -np.eye(n), -np.eye(n)])  # charge, discharge, sun
    steps = np.diff(np.eye(n), axis=0)
    ramp = np.hstack([-steps, steps, np.zeros((n - 1, n))])
    rows = np.vstack([stored, -stored, -stored[-1:], head, ramp, -ramp])
    most = np.concatenate([
        np.full(n, one.energy_mwh - one.start_mwh), np.full(n, one.start_mwh - one.least_mwh), [0.0],
        np.full(n, 0.2 * size), np.full(2 * (n - 1), one.ramp_mw_per_h),
    ])  # fmt: skip
    cost = PRICE @ head + 2.0 * np.concatenate([np.ones(2 * n), np.zeros(n)])
    bounds = [(0.0, one.charge_mw)] * n + [(0.0, one.discharge_mw)] * n + [(0.0, s) for s in sun]
    exact = linprog(cost / size, A_ub=rows / size, b_ub=most / size, bounds=bounds)
    assert exact.status == 0
    assert found.usd == pytest.approx(size * exact.fun, rel=2e-3)
    assert found.usd >= size * exact.fun - 1e-6, "losses only add to it"


def test_limits_of_the_network_bind_in_the_replay() -> None:
    """Row 54, 55: a cap on import is kept at every step, and costs something; so does a price of the peak."""
    free = planned()
    peak = free.solution.p_slack_mw.max()
    capped = optimal_schedule(
        network(), [], STORES, horizon(), limits=replace(WIDE, most_import_mw=0.97 * peak)
    )
    assert capped.solution.p_slack_mw.max() <= 0.97 * peak + 1e-6
    assert capped.usd > free.usd
    dear = optimal_schedule(network(), [], STORES, horizon(), limits=WIDE, peak_usd_per_mw=500.0)
    assert dear.solution.p_slack_mw.max() < peak
    assert dear.usd == pytest.approx(
        PRICE @ dear.solution.p_slack_mw + 2.0 * np.abs(dear.storage_p_mw).sum()
        + 500.0 * dear.solution.p_slack_mw.max()
    )  # fmt: skip


def test_units_cost_what_their_curves_say() -> None:
    """Quadratic and straight pieces: one step of a schedule is the dispatch of that operating point."""
    from distgrid.baselines.optimal.dispatch import optimal_dispatch

    units = [
        Unit("a", "18", 0.0, 1.0, -0.5, 0.5, cost=(5.0, 48.0, 0.0)),
        Unit("b", "33", 0.0, 1.5, -0.5, 0.5, points=((0.0, 0.0), (0.2, 9.0), (1.5, 80.0))),
    ]
    found = optimal_schedule(network(), units, [], Horizon(1.0, np.array([50.0])), limits=WIDE)
    alone = optimal_dispatch(network(), units, objective="cost", head_usd_mwh=50.0, limits=WIDE)
    assert found.usd == pytest.approx(alone.replay.objective, abs=1e-4)
    np.testing.assert_allclose(found.p_mw[0], alone.p_mw, atol=1e-3)


def test_netting_keeps_the_difference_and_what_is_in_store() -> None:
    """Both ways at once become one; what does not fit into a full store is left out."""
    (one,) = (replace(STORES[0], ramp_mw_per_h=np.inf),)
    into, out = np.full((4, 1), 0.3), np.full((4, 1), 0.2)
    p, stored = netted([one], into, out, 1.0)
    assert p[0, 0] == pytest.approx(-0.1)
    both = one.start_mwh + np.cumsum(0.93 * into - out / 0.9)
    assert (stored[:, 0] >= both).all()
    p, stored = netted([one], np.full((4, 1), 0.3), np.zeros((4, 1)), 1.0)
    assert stored.max() == pytest.approx(one.energy_mwh)
    assert p[-1, 0] == 0.0


def test_negative_prices_do_not_make_it_charge_and_discharge_at_once() -> None:
    """Row 48: where energy is paid for, the relaxation burns it in the store; the schedule does not."""
    found = optimal_schedule(network(), [], STORES[:1], horizon(price_usd_mwh=-PRICE), limits=WIDE)
    assert found.status in ("optimal", "feasible")
    assert found.usd >= found.bound - 1e-6
    p = found.storage_p_mw[:, 0]
    stored = STORES[0].start_mwh + np.cumsum(-0.93 * np.minimum(p, 0.0) - np.maximum(p, 0.0) / 0.9)
    np.testing.assert_allclose(found.stored_mwh[:, 0], stored, atol=1e-12)


def test_limits_that_no_schedule_keeps_are_named() -> None:
    """Bad input: an import cap below what the load needs over the day."""
    with pytest.raises(InfeasibleError, match="import at head by"):
        optimal_schedule(network(), [], STORES, horizon(), limits=replace(WIDE, most_import_mw=1.5))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"horizon": Horizon(1.0, np.array([np.nan]))}, r"price_usd_mwh must be finite numbers of shape \(1,\)"),
    ({"horizon": Horizon(0.0, PRICE)}, "dt_h must be finite and above 0"),
    ({"horizon": Horizon(1.0, PRICE, p_mw=np.zeros((3, 33)))},
     r"p_mw must be finite numbers of shape \(24, 33\)"),
    ({"storage": [replace(STORES[0], bus="99")]}, "'s18': bus '99'"),
    ({"storage": [STORES[0], STORES[0]]}, "'s18' is there twice"),
    ({"limits": NetworkLimits((1.1, 0.9))}, "v_band must be within 0.5 and 1.5 pu"),
    ({"peak_usd_per_mw": -1.0}, "peak_usd_per_mw must be finite and at least 0"),
    ({"units": [Unit("a", "18", 0.2, 1.0)], "horizon": Horizon(1.0, PRICE, p_max_mw=np.zeros((24, 1)))},
     "p_max_mw of unit 'a' falls below its p_min_mw 0.2"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_wrong_schedules_are_refused(arguments: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"units": [], "storage": [], "horizon": horizon(), **arguments}
    units, storage, when = given.pop("units"), given.pop("storage"), given.pop("horizon")
    with pytest.raises(RunError, match=said):
        optimal_schedule(network(), units, storage, when, **given)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"charge_mw": -1.0}, "charge_mw must be finite and 0 or more"),
     ({"eta_charge": 1.2}, "eta_charge must be above 0 and at most 1"),
     ({"start_mwh": 2.0}, "start_mwh must be from least_mwh 0.05 to energy_mwh 0.9"),
     ({"end_mwh": float("nan")}, "end_mwh must be from"),
     ({"ramp_mw_per_h": 0.0}, "ramp_mw_per_h must be greater than 0")],
)  # fmt: skip
def test_storage_says_what_is_wrong(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(STORES[0], **arguments)
