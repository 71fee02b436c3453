"""Schedules of assets: energies, limits that bind, objectives, orders, rules, rolling horizon, dispatch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.local import local_optimum
from distgrid.baselines.optimal.scheduling.assets import Asset, Reservoir
from distgrid.baselines.optimal.scheduling.case import HEAD, OverLimitsError, PowerCap, ScheduleCase
from distgrid.baselines.optimal.scheduling.objectives import OBJECTIVES
from distgrid.baselines.optimal.scheduling.plan import AssetSchedule, best_schedule, replayed
from distgrid.baselines.optimal.scheduling.rolling import RollingSettings, rolling_schedule
from distgrid.baselines.optimal.scheduling.rules import RULES, by_rule
from distgrid.baselines.optimal.units import Unit

pytest.importorskip("clarabel")

STEPS, DT_H = 8, 3.0
LOAD = np.array([0.45, 0.4, 0.6, 0.75, 0.7, 0.75, 0.95, 0.7])
SUN = np.array([0.0, 0.0, 0.4, 0.9, 1.0, 0.3, 0.0, 0.0])
PRICE = np.array([20.0, 18.0, 35.0, 30.0, 28.0, 80.0, 50.0, 40.0])
WIDE = NetworkLimits((0.9, 1.1))


def flat(value: float) -> Any:
    return np.full(STEPS, float(value))


def battery(name: str = "battery", bus: str = "18", **changes: Any) -> Asset:
    """0.3 MW and 1.5 MWh, from 10 to 90 %, half full at both ends."""
    least = flat(0.15)
    least[-1] = 0.75
    store = Reservoir(0.75, least, flat(1.35), 0.95, 0.9, capacity_mwh=1.5)
    whole = Asset(name, bus, flat(-0.3), flat(0.3), flat(0), flat(0), kind="battery", reservoir=store)
    return replace(whole, **changes)


def sun(name: str = "pv", bus: str = "30", rated: float = 1.0, q: float = 0.3) -> Asset:
    return Asset(
        name, bus, flat(0), rated * SUN, flat(-q), flat(q), kind="pv", s_mva=1.1 * rated, offered=True
    )


def cars(name: str = "cars", bus: str = "25", need: float = 0.5) -> Asset:
    """At the station from step 1 to 4; they need energy when they leave, and give none back."""
    here = np.array([0, 1, 1, 1, 1, 0, 0, 0.0])
    least, most = np.array([0, 0, 0, 0, 1, 1, 1, 1.0]), np.array([0, 1, 1, 1, 1, 1, 1, 1.0])
    store = Reservoir(0.0, need * least, need * most, 0.9, 0.9)
    return Asset(name, bus, -0.15 * here, flat(0), flat(0), flat(0), kind="ev", reservoir=store)


def made(*assets: Asset, price: Any = PRICE, **changes: Any) -> ScheduleCase:
    net = physics.compile(cases.load("case33bw"))
    loads = {"p_mw": np.outer(LOAD, net.load_p_mw), "q_mvar": np.outer(LOAD, net.load_q_mvar)}
    return ScheduleCase(net, assets, loads, price, DT_H, **{"limits": WIDE, **changes})


@pytest.fixture(scope="module")
def case() -> ScheduleCase:
    return made(battery(), sun(), cars())


@pytest.fixture(scope="module")
def best(case: ScheduleCase) -> dict[str, AssetSchedule]:
    return {name: best_schedule(case, name) for name in OBJECTIVES}


def check_identity(found: AssetSchedule) -> None:
    """Energies are those of the powers, to 1e-9 kWh, within their bounds; nothing goes both ways at once."""
    for k, asset in enumerate(found.case.assets):
        store, p = asset.reservoir, found.p_mw[:, k]
        assert (p >= asset.p_min_mw - 1e-9).all()
        assert (p <= asset.p_max_mw + 1e-9).all()
        if store is None:
            continue
        gained = DT_H * (store.eta_charge * np.maximum(-p, 0.0) - np.maximum(p, 0.0) / store.eta_discharge)
        stored = store.start_mwh + np.cumsum(gained - store.drained)
        assert np.abs(stored - found.stored_mwh[:, k]).max() < 1e-12
        assert (stored >= store.least_mwh - 1e-9).all()
        assert (stored <= store.most_mwh + 1e-9).all()


# -- optima ------------------------------------------------------------------------------------------------


def test_each_optimum_is_proved_and_replayed(best: dict[str, AssetSchedule]) -> None:
    """Row 47, 49: the bound is met to 1e-4, the AC power flow keeps every limit, energies add up."""
    for name, found in best.items():
        assert found.status == "optimal", name
        assert not found.exceeded
        assert found.gap == pytest.approx(0.0, abs=1e-4 * max(abs(found.bound), 0.01))
        check_identity(found)


def test_each_objective_is_best_in_its_own_schedule(best: dict[str, AssetSchedule]) -> None:
    """Row 50, 55: nobody beats a schedule in what it was made for; the peak is really lower than of cost."""
    for name in OBJECTIVES:
        sign = -1.0 if name == "revenue" else 1.0
        own = sign * best[name].value
        for other in best.values():
            assert own <= sign * other.value_of(name) + 1e-6 * max(abs(own), 1.0)
    assert best["min-peak"].value < best["cost"].value_of("min-peak") - 0.02
    assert best["cost"].value < best["min-peak"].value_of("cost") - 0.5


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_is_cheaper_than_the_optimum(
    case: ScheduleCase, best: dict[str, AssetSchedule], rule: str
) -> None:
    """Row 47, 57: rules keep all limits of the assets, cars leave with what they need, and cost more."""
    found = by_rule(case, rule)
    check_identity(found)
    assert not found.exceeded
    assert found.value > best["cost"].value
    assert found.stored_mwh[4, 2] == pytest.approx(0.5, abs=1e-9)


def test_a_tariff_rule_moves_energy_from_cheap_to_dear_hours(case: ScheduleCase) -> None:
    """It draws in the cheapest third and gives in the dearest, which pays."""
    found, idle = by_rule(case, "tariff"), by_rule(case, "idle")
    assert found.p_mw[:2, 0].min() < -0.1
    assert found.p_mw[5:7, 0].max() > 0.1
    assert found.value < idle.value


def test_valley_filling_lowers_the_peak_of_the_station(case: ScheduleCase) -> None:
    """Charging where the load is least gives a lower sum of squares of the feeder's load than at once."""
    filled, idle = by_rule(case, "valley-filling"), by_rule(case, "idle")
    squares = [float(np.square(found.head_mw).sum()) for found in (filled, idle)]
    assert squares[0] < squares[1]


def test_foresight_is_worth_something_over_a_rolling_horizon(
    case: ScheduleCase, best: dict[str, AssetSchedule]
) -> None:
    """MPC on wrong forecasts keeps the assets' limits, costs no less than the optimum, and less than idling;
    the same seed plays the same day.
    """
    settings = RollingSettings(horizon_h=15.0, every_h=3.0, error=0.2, seed=3)
    found, again = (rolling_schedule(case, "cost", settings) for _ in range(2))
    check_identity(found)
    assert found.value >= best["cost"].value - 1e-6
    assert found.value < by_rule(case, "idle").value
    assert np.array_equal(found.p_mw, again.p_mw)
    other = rolling_schedule(case, "cost", replace(settings, seed=4))
    assert not np.array_equal(found.p_mw, other.p_mw)


def test_the_dual_of_the_balance_is_the_price_at_the_head(best: dict[str, AssetSchedule]) -> None:
    """Where nothing else binds a MWh at the source is worth its price, and more at the end of a feeder that
    imports: losses are in it.
    """
    found = best["cost"]
    assert found.lmp_usd_mwh is not None
    assert np.allclose(found.lmp_usd_mwh[:, 0], PRICE, rtol=1e-4)
    end = found.case.net.feeder.node_index["18"]
    importing = found.p_mw[:, 0] <= 0.0
    assert (found.lmp_usd_mwh[importing, end] > PRICE[importing]).all()


# -- limits of a store that bind ---------------------------------------------------------------------------


def optimum(*assets: Asset, **changes: Any) -> AssetSchedule:
    found = best_schedule(made(*assets, **changes))
    assert found.status == "optimal"
    check_identity(found)
    return found


def test_power_energy_and_efficiency_bind() -> None:
    """Row 48: at a spread of four the battery is filled to its most, emptied to its least, at full power, and
    what comes out is what went in times both efficiencies.
    """
    found = optimum(battery())
    p, stored = found.p_mw[:, 0], found.stored_mwh[:, 0]
    assert stored.max() == pytest.approx(1.35, abs=1e-6)
    assert stored.min() == pytest.approx(0.15, abs=1e-6)
    assert p.max() == pytest.approx(0.3, abs=1e-6)
    assert stored[-1] == pytest.approx(0.75, abs=1e-6)
    drawn, given = DT_H * np.maximum(-p, 0.0).sum(), DT_H * np.maximum(p, 0.0).sum()
    assert given == pytest.approx(0.95 * 0.9 * drawn, abs=1e-6)


def test_losses_larger_than_the_spread_leave_a_battery_idle() -> None:
    """Row 48: at half the energy lost no spread below two pays."""
    store = battery().reservoir
    assert store is not None
    store = replace(store, eta_charge=0.5, eta_discharge=0.5)
    found = optimum(battery(reservoir=store), price=np.linspace(40.0, 60.0, STEPS))
    assert np.abs(found.p_mw).max() < 1e-4


def test_ramps_bind() -> None:
    """Row 48: power changes by no more than the ramp, and would without it."""
    free, slow = optimum(battery()), optimum(battery(ramp_up_mw_per_h=0.04, ramp_down_mw_per_h=0.03))
    change, free_change = np.diff(slow.p_mw[:, 0]), np.diff(free.p_mw[:, 0])
    assert change.max() == pytest.approx(0.12, abs=1e-6)
    assert change.min() == pytest.approx(-0.09, abs=1e-6)
    assert free_change.max() > 0.2
    assert slow.value > free.value


def test_negative_prices_do_not_burn_energy_in_a_battery() -> None:
    """Row 48: where a lossy store might earn by drawing and giving at once, it does not."""
    found = best_schedule(made(battery(), price=PRICE - 45.0))
    check_identity(found)
    assert found.gap >= -1e-6
    assert not found.exceeded


def test_cars_leave_with_what_they_need(best: dict[str, AssetSchedule]) -> None:
    """Row 57: departure energy is there to 1e-9 MWh, and nothing is drawn when nobody is there."""
    for found in best.values():
        assert found.stored_mwh[4, 2] == pytest.approx(0.5, abs=1e-9)
        assert np.abs(found.p_mw[[0, 5, 6, 7], 2]).max() == 0.0


def test_a_generator_runs_where_it_is_cheaper_than_the_head() -> None:
    """Row 57: each straight piece of its cost is used where the nodal price is above its slope."""
    points = ((0.0, 0.0), (0.2, 8.0), (0.4, 22.0))
    unit = Asset("unit", "22", flat(0), flat(0.4), flat(0), flat(0), kind="generator", points=points)
    found = optimum(unit)
    assert found.lmp_usd_mwh is not None
    worth = found.lmp_usd_mwh[:, found.case.net.feeder.node_index["22"]]
    p = found.p_mw[:, 0]
    assert np.abs(p[worth < 39.5]).max() < 1e-4
    assert np.allclose(p[(worth > 40.5) & (worth < 69.5)], 0.2, atol=1e-4)
    assert np.allclose(p[worth > 70.5], 0.4, atol=1e-4)
    assert (worth > 70.5).any()
    assert (worth < 39.5).any()


# -- orders ------------------------------------------------------------------------------------------------


def test_a_cap_at_the_head_is_kept(case: ScheduleCase, best: dict[str, AssetSchedule]) -> None:
    """Row 54: import of the schedule and of its replay stays at the cap, at a higher cost."""
    most = best["min-peak"].value + 0.02
    found = best_schedule(replace(case, caps=(PowerCap(HEAD, flat(most), flat(np.inf)),)))
    assert found.status == "optimal"
    assert found.head_mw.max() <= most + 1e-6
    assert found.head_mw.max() == pytest.approx(most, abs=1e-5)
    assert found.value > best["cost"].value


def test_a_cap_that_cannot_be_kept_says_by_how_much_and_when(
    case: ScheduleCase, best: dict[str, AssetSchedule]
) -> None:
    """Row 54: a cap below the least peak must give way by the difference, at the head, in that step."""
    most = best["min-peak"].value - 0.1
    caps = flat(np.inf)
    caps[6] = most
    needed = best_schedule(replace(case, price_usd_mwh=np.eye(STEPS)[6] * 1e3)).head_mw[6]
    caps[6] = needed - 0.1
    with pytest.raises(OverLimitsError, match=r"import at head by 0\.1\d* MW in step 6") as told:
        best_schedule(replace(case, caps=(PowerCap(HEAD, caps, flat(np.inf)),)))
    (only,) = told.value.excess
    assert only.excess == pytest.approx(0.1, abs=1e-3)
    caps[6] += only.excess + 1e-4
    assert not best_schedule(replace(case, caps=(PowerCap(HEAD, caps, flat(np.inf)),))).exceeded


def test_an_order_at_a_branch_curtails_the_sun_behind_it(case: ScheduleCase) -> None:
    """Row 54: at least 0.35 MW go through the branch to bus 26 at noon, in AC; sun is curtailed for it."""
    branch = next(
        str(name) for name, to in zip(
            case.net.feeder.column("branches", "branch_id"), case.net.feeder.column("branches", "to_node"),
            strict=True,
        ) if str(to) == "26"
    )  # fmt: skip
    export = flat(np.inf)
    export[3:5] = -0.35  # that is, an import of 0.35 MW at the least
    ordered = replace(case, caps=(PowerCap(branch, flat(np.inf), export),))
    found, free = best_schedule(ordered), best_schedule(case)
    place = case.branch_ids.index(branch)
    sent = case.sent_mw(found.solution)[3:5, place]
    assert found.status == "optimal"
    assert (sent >= 0.35 - 1e-6).all()
    assert (case.sent_mw(free.solution)[3:5, place] < 0.3).all()
    assert found.value_of("min-curtailment") > 0.5 > free.value_of("min-curtailment")


def test_what_cannot_be_is_said(case: ScheduleCase) -> None:
    """Unknown names, impossible energies and wrong numbers are named."""
    with pytest.raises(RunError, match="unknown objective 'profit'"):
        best_schedule(case, "profit")
    with pytest.raises(RunError, match="unknown rule 'hope'"):
        by_rule(case, "hope")
    with pytest.raises(RunError, match="unknown branch 'x'"):
        replace(case, caps=(PowerCap("x", flat(1), flat(1)),))
    with pytest.raises(RunError, match=r"'cars' cannot keep its own limits of energy: .* short of 0\.38"):
        made(cars(need=2.0))
    with pytest.raises(RunError, match="'battery' is there twice"):
        made(battery(), battery())
    with pytest.raises(RunError, match=r"p_min_mw 0\.5 is above p_max_mw 0\.3 in step 0"):
        battery(p_min_mw=flat(0.5))
    with pytest.raises(RunError, match="every_h 4 is above horizon_h 2"):
        RollingSettings(horizon_h=2.0, every_h=4.0)


def test_a_feeder_with_loops_is_scheduled_on_its_power_flow() -> None:
    """Row 47: all five ties of 33bw closed: where time couples nothing each step is the local optimum of that
    step alone; a battery makes the day cheaper; nothing is proved.
    """
    feeder = cases.load("case33bw")
    for tie in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(tie), closed=True)
    net = physics.compile(feeder, keep_loops=True)
    loads = {"p_mw": np.outer(LOAD, net.load_p_mw), "q_mvar": np.outer(LOAD, net.load_q_mvar)}
    bounds, q, prices = flat(0.5), flat(0.4), {"18": 45.0, "33": 70.0}
    assets = tuple(
        Asset(
            bus, bus, flat(0), bounds, -q, q, "generator", s_mva=0.55, points=((0.0, 0.0), (0.5, 0.5 * usd))
        )
        for bus, usd in prices.items()
    )
    case = ScheduleCase(net, assets, loads, PRICE, DT_H, limits=NetworkLimits((0.9, 1.05), None))
    found = best_schedule(case)
    units = [Unit(bus, bus, 0.0, 0.5, -0.4, 0.4, 0.55, cost=(0.0, usd, 0.0)) for bus, usd in prices.items()]
    alone = [
        local_optimum(
            net, units, objective="cost", head_usd_mwh=float(PRICE[t]), limits=case.limits,
            p_mw=loads["p_mw"][t], q_mvar=loads["q_mvar"][t],
        ).objective
        for t in range(STEPS)
    ]  # fmt: skip
    assert (found.status, found.exceeded) == ("best known", ())
    assert np.isnan(found.bound)
    assert found.value == pytest.approx(DT_H * sum(alone), rel=1e-5)
    stored = best_schedule(replace(case, assets=(*assets, battery())))
    check_identity(stored)
    assert stored.value < found.value - 1.0


# -- per phase -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_feeder_with_phases_has_a_best_known_schedule() -> None:
    """Row 47, 49: on IEEE 13 the local optimum keeps the ratings and band in AC, is cheaper than every rule,
    and is not called optimal.
    """
    net = physics.compile_per_phase(cases.load("ieee13"))
    names = {
        "p_mw": "load_p_mw",
        "q_mvar": "load_q_mvar",
        "p_delta_mw": "delta_p_mw",
        "q_delta_mvar": "delta_q_mvar",
    }
    loads = {name: 0.6 * LOAD[:, None, None] * getattr(net, source) for name, source in names.items()}
    assets = (battery(bus="675"), replace(sun(bus="611", rated=0.1, q=0.05), phase="C"))
    case = ScheduleCase(net, assets, loads, PRICE, DT_H, WIDE)
    found = best_schedule(case)
    assert found.status == "best known"
    assert np.isnan(found.bound)
    check_identity(found)
    rules = [by_rule(case, rule).value for rule in RULES]
    assert found.value < min(rules)
    peak = best_schedule(case, "min-peak")
    assert peak.value < found.value_of("min-peak") - 0.01
    again = replayed(case, "cost", found.p_mw, found.q_mvar)
    assert again.value == pytest.approx(found.value, abs=1e-9)
