"""Setpoints of the head given to assets, at once and through aggregators; a market with nodal prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.scheduling.assets import Asset
from distgrid.baselines.optimal.scheduling.case import ScheduleCase
from distgrid.baselines.optimal.scheduling.dispatch import (
    by_aggregators,
    disaggregate,
    offers,
    through_aggregators,
)
from distgrid.baselines.optimal.scheduling.market import clear
from distgrid.baselines.optimal.scheduling.plan import best_schedule

pytest.importorskip("clarabel")

STEPS = 3
BUSES = ("6", "9", "14", "18", "22", "25", "30", "33")


def flat(value: float) -> Any:
    return np.full(STEPS, float(value))


def unit(k: int, bus: str, **changes: Any) -> Asset:
    """0.3 MW both ways inside 0.35 MVA."""
    whole = Asset(
        f"u{bus}", bus, flat(-0.3), flat(0.3), flat(-0.35), flat(0.35), s_mva=0.35, priority=1 + k % 3,
        agg=("north", "south")[k % 2], points=((-0.3, -3.0 * (k + 1)), (0.3, 3.0 * (k + 1))),
    )  # fmt: skip
    return replace(whole, **changes)


@pytest.fixture(scope="module")
def case() -> ScheduleCase:
    net = physics.compile(cases.load("case33bw"))
    scale = np.array([0.6, 0.8, 1.0])
    loads = {"p_mw": np.outer(scale, net.load_p_mw), "q_mvar": np.outer(scale, net.load_q_mvar)}
    assets = tuple(unit(k, bus) for k, bus in enumerate(BUSES))
    return ScheduleCase(net, assets, loads, np.array([20.0, 40.0, 60.0]), 1.0, NetworkLimits((0.9, 1.05)))


def inside(case: ScheduleCase, seed: int) -> tuple[Any, Any]:
    """(steps,) P and Q at the head inside the convex hull of operating points that keep all limits."""
    rng = np.random.default_rng(seed)
    points: list[Any] = []
    while len(points) < 6:
        angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
        p = np.clip(0.33 * share * np.cos(angle), -0.29, 0.29) * np.ones((STEPS, len(case.assets)))
        q = 0.15 * np.sin(angle) * share * np.ones_like(p)
        sol = case.solve(p, q)
        if not case.exceeded(sol):
            points.append(np.stack([sol.p_slack_mw, sol.q_slack_mvar]))
    weights = rng.dirichlet(np.ones(len(points)))
    mixed = np.einsum("k,kij->ij", weights, np.array(points))
    return mixed[0], mixed[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_setpoint_inside_is_tracked(case: ScheduleCase, seed: int) -> None:
    """Row 56: P and Q at the head within 1 % by the AC power flow, all limits of grid and assets kept."""
    p, q = inside(case, seed)
    for found in (disaggregate(case, p, q), through_aggregators(case, p, q)):
        assert found.error.max() < 0.01
        assert not found.exceeded
        assert np.hypot(found.p_mw, found.q_mvar).max() <= 0.35 + 1e-7
        assert np.abs(found.p_mw).max() <= 0.3 + 1e-7
    assert disaggregate(case, p, q).error.max() < 1e-5


def test_the_lowest_priority_number_is_called_first_and_the_cheapest_among_equals(case: ScheduleCase) -> None:
    """Nobody of the next level gives before those of the first are used up; dear ones come last."""
    idle = case.solve(np.zeros((STEPS, 8)), np.zeros((STEPS, 8)))
    wanted_q = np.asarray(idle.q_slack_mvar)
    found = disaggregate(case, np.asarray(idle.p_slack_mw) - 0.45, wanted_q)
    level = np.array([asset.priority for asset in case.assets])
    assert np.abs(found.p_mw[:, level > 1]).max() < 1e-3
    first = found.p_mw[:, level == 1]  # u6, u18, u30 by rising cost
    assert (first[:, 0] > first[:, 2] - 1e-4).all()
    assert np.allclose(first[:, 0], 0.3, atol=1e-3)
    more = disaggregate(case, np.asarray(idle.p_slack_mw) - 1.2, wanted_q)
    assert np.allclose(more.p_mw[:, level == 1], 0.3, atol=1e-3)
    assert (more.p_mw[:, level == 2].sum(axis=1) > 0.1).all()
    assert np.abs(more.p_mw[:, level == 3]).max() < 1e-3


def test_offers_of_groups_are_sums_and_their_setpoints_lie_inside(case: ScheduleCase) -> None:
    """Row 56: envelopes up, setpoints down: the support of a sum is the sum of supports, by hand at the axes;
    each group's assets add up to its setpoint, which its offer holds.
    """
    groups = by_aggregators(case)
    assert list(groups) == ["north", "south"]
    up = offers(case, groups)
    assert up[0].reach_mva[0, 0] == pytest.approx(4 * 0.3)  # P
    assert up[0].reach_mva[0, 8] == pytest.approx(4 * 0.35)  # Q
    assert up[0].reach_mva[0, 4] == pytest.approx(4 * 0.35)  # on the circle, 45 degrees
    found = through_aggregators(case, *inside(case, 5))
    for offer in up:
        at = list(offer.members)
        p, q = found.p_mw[:, at].sum(axis=1), found.q_mvar[:, at].sum(axis=1)
        assert np.allclose(p, found.groups_mw[offer.name], atol=1e-4)
        assert np.allclose(q, found.groups_mvar[offer.name], atol=1e-4)
        reached = np.stack([p, q], axis=1) @ offer.normal.T
        assert (reached <= offer.reach_mva + 1e-6).all()


def test_a_setpoint_beyond_reach_is_missed_and_said(case: ScheduleCase) -> None:
    """What nobody can deliver leaves an error above 1 %, and limits are kept all the same."""
    found = disaggregate(case, flat(-3.0), flat(0.0))
    assert found.error.min() > 0.01
    assert not found.exceeded
    with pytest.raises(RunError, match="p_mw must be 3 finite numbers"):
        disaggregate(case, flat(np.nan), flat(0.0))
    with pytest.raises(RunError, match="groups must hold each asset once"):
        through_aggregators(case, flat(1.0), flat(1.0), {"a": [0, 1]})


# -- a market -----------------------------------------------------------------------------------------------


def bid(k: int) -> tuple[tuple[float, float], ...]:
    """Two pieces, dearer from asset to asset."""
    first, second = 0.15 * (15.0 + 6.0 * k), 0.15 * (45.0 + 6.0 * k)
    return ((0.0, 0.0), (0.15, first), (0.3, first + second))


@pytest.fixture(scope="module")
def congested(case: ScheduleCase) -> ScheduleCase:
    """Bids above and below the price of the head, and a branch that holds little power back."""
    bids = tuple(
        replace(a, p_min_mw=flat(0.0), q_min_mvar=flat(0.0), q_max_mvar=flat(0.0), points=bid(k))
        for k, a in enumerate(case.assets)
    )
    return replace(case, assets=bids, limits=NetworkLimits((0.93, 1.05)))


def test_no_asset_would_rather_do_something_else_at_the_prices(congested: ScheduleCase) -> None:
    """Prices are duals of the nodal balance: at the price of its bus every asset's cleared power is the most
    profitable one that it has, step by step; and profits are not below 0.
    """
    found = clear(congested)
    assert found.schedule.status == "optimal"
    for k, asset in enumerate(congested.assets):
        price = found.price_usd_mwh[:, congested.net.feeder.node_index[asset.bus]]
        other = [price * x - asset.cost_usd_per_h(flat(x)) for x in (0.0, 0.15, 0.3)]
        own = price * found.schedule.p_mw[:, k] - asset.cost_usd_per_h(found.schedule.p_mw[:, k])
        assert (own >= np.max(other, axis=0) - 1e-3).all()
        assert found.profit_usd[k] >= -1e-6


def test_prices_are_what_one_more_mw_costs(congested: ScheduleCase) -> None:
    """The dual at a bus is the change of the least cost for a load of 10 kW more there, to 1 %; losses make
    it dearer at the end of the feeder than at the head.
    """
    found = clear(congested)
    bus = congested.net.feeder.node_index["18"]
    for step in range(STEPS):
        load = np.array(congested.loads["p_mw"])
        load[step, bus] += 0.01
        more = best_schedule(replace(congested, loads={**congested.loads, "p_mw": load}))
        assert (more.value - found.schedule.value) / 0.01 == pytest.approx(
            found.price_usd_mwh[step, bus], rel=0.01
        )
    assert (found.price_usd_mwh[:, 17] > found.price_usd_mwh[:, 0]).all()


def test_a_market_needs_a_balanced_feeder(case: ScheduleCase) -> None:
    """Per phase there are no duals of a convex program."""
    net = physics.compile_per_phase(cases.load("ieee13"))
    names = {
        "p_mw": "load_p_mw",
        "q_mvar": "load_q_mvar",
        "p_delta_mw": "delta_p_mw",
        "q_delta_mvar": "delta_q_mvar",
    }
    loads = {name: np.repeat(getattr(net, source)[None], STEPS, axis=0) for name, source in names.items()}
    with pytest.raises(RunError, match="cleared on radial balanced feeders"):
        clear(replace(case, net=net, loads=loads, assets=(unit(0, "675"),)))
