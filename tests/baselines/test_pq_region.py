"""P-Q regions: a nonlinear solver's area, replays, sums of devices, worth of limits, points inside."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics
from distgrid.baselines.errors import RunError
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.envelope.inside import setpoints_at
from distgrid.baselines.optimal.envelope.polygon import beyond, inner_box, outer_box
from distgrid.baselines.optimal.envelope.region import Region, Surroundings, pq_region
from distgrid.baselines.optimal.phase_dispatch import PhaseUnit
from distgrid.baselines.optimal.units import Unit

#: Ten inverters of 0.35 MVA: casadi 3.8.2 with IPOPT, 72 directions, an own model of the grid.
BUSES = ("6", "9", "12", "14", "18", "22", "25", "28", "30", "33")
IPOPT_AREA, IPOPT_P, IPOPT_Q = 30.40611, (0.73125, 6.75919), (-1.08714, 5.79035)
BAND = NetworkLimits((0.9, 1.05), thermal_margin=None)


@cache
def network(name: str = "case33bw") -> Any:
    """Compiled."""
    feeder = cases.load(name)
    return physics.compile(feeder) if feeder.phases == "balanced" else physics.compile_per_phase(feeder)


def inverters() -> list[Unit]:
    """Of the published sweep."""
    return [Unit(f"i{bus}", bus, -0.3, 0.3, -0.35, 0.35, s_mva=0.35) for bus in BUSES]


@cache
def of_the_feeder() -> Region:
    """The published sweep."""
    return pq_region(network(), inverters(), limits=BAND)


def replayed(region: Region, p_mw: Any, q_mvar: Any) -> Any:
    """Setpoints through the power flow, without anything of the optimisation."""
    net = network()
    at = [net.feeder.node_index[unit.bus] for unit in region.units]
    p, q = np.zeros((len(p_mw), net.n_bus)), np.zeros((len(p_mw), net.n_bus))
    p[:, at], q[:, at] = p_mw, q_mvar
    return physics.solve(net, p_inject_mw=p, q_inject_mvar=q)


@pytest.mark.slow
def test_the_hull_has_the_area_of_the_nonlinear_solvers() -> None:
    """Row 45: 97 % are asked for; two solvers agree to a ten-thousandth."""
    found = of_the_feeder()
    assert found.area == pytest.approx(IPOPT_AREA, rel=1e-4)
    assert (found.p_mw.min(), found.p_mw.max()) == pytest.approx(IPOPT_P, abs=2e-5)
    assert (found.q_mvar.min(), found.q_mvar.max()) == pytest.approx(IPOPT_Q, abs=2e-5)
    assert (found.status, found.unsettled) == ("best known", 0)


def test_every_vertex_is_a_power_flow_that_keeps_the_limits() -> None:
    """Row 44: band, boxes and circles, and P and Q at the head are those that are told."""
    found = of_the_feeder()
    sol = replayed(found, found.unit_p_mw, found.unit_q_mvar)
    assert sol.converged.all()
    v = sol.v_pu[:, 1:]
    assert v.min() >= 0.9 - 1e-7
    assert v.max() <= 1.05 + 1e-7
    np.testing.assert_allclose(sol.p_slack_mw, found.p_mw, atol=1e-7)
    np.testing.assert_allclose(sol.q_slack_mvar, found.q_mvar, atol=1e-7)
    assert np.abs(found.unit_p_mw).max() <= 0.3 + 1e-9
    assert np.hypot(found.unit_p_mw, found.unit_q_mvar).max() <= 0.35 + 1e-9


@pytest.mark.slow
def test_what_is_fed_in_lies_inside_the_sum_of_devices() -> None:
    """Row 45: the naive sum of ten devices, 36.044 MW Mvar, has what the grid does not let out."""
    found = pq_region(network(), inverters(), at="injection", limits=BAND, directions=12)
    assert found.naive_area == pytest.approx(36.04423, rel=1e-3)
    assert beyond(found.naive_corners, found.corners).max() <= 1e-6
    assert found.area < found.naive_area
    wide = NetworkLimits((0.5, 1.5), None)
    free = pq_region(network(), inverters(), at="injection", limits=wide, directions=12)
    assert free.area > found.area
    reach = (free.corners @ free.corners.T).max(axis=1)
    assert reach == pytest.approx((free.corners @ free.naive_corners.T).max(axis=1), rel=1e-3)


@pytest.mark.slow
def test_a_wider_band_lets_more_out_and_a_rating_less() -> None:
    """Monotone in limits: every vertex of the narrower one is inside of the wider one."""
    narrow = pq_region(network(), inverters(), limits=NetworkLimits((0.92, 1.05), None), directions=12)
    assert narrow.area < of_the_feeder().area
    assert beyond(of_the_feeder().corners, narrow.corners).max() < 5e-3  # chords cut off what bulges
    capped = pq_region(network(), inverters(), limits=replace(BAND, most_import_mw=4.0), directions=12)
    assert capped.p_mw.max() == pytest.approx(4.0, abs=1e-6)
    assert {limit.kind for limit in capped.binding[int(capped.p_mw.argmax())]} >= {"import"}


def test_a_limit_that_binds_is_worth_what_it_lets_out_when_it_gives_way() -> None:
    """Row 44: multipliers of a vertex are differences of two sweeps."""
    step, found = 1e-4, of_the_feeder()
    vertex = int(np.abs(found.direction_deg - 90.0).argmin())
    low = [limit for limit in found.binding[vertex] if limit.kind == "v_min"]
    wider = pq_region(network(), inverters(), limits=NetworkLimits((0.9 - step, 1.05), None), directions=4)
    gained = wider.q_mvar.max() - found.q_mvar.max()
    assert low
    assert gained / step == pytest.approx(sum(limit.dual for limit in low), rel=0.02)
    assert {limit.unit for limit in low} == {"pu"}


def test_points_inside_are_tracked_on_the_power_flow() -> None:
    """Row 56: within 1 % is asked for, of points anywhere in the hull and in the middle of its edges."""
    found = of_the_feeder()
    middle = found.corners.mean(axis=0)
    edges = 0.5 * (found.corners + np.roll(found.corners, 1, axis=0))
    for share, most in ((0.35, 1e-5), (0.9, 1e-5), (1.0, 0.01)):
        wanted = middle + share * (edges[::3] - middle)
        track = setpoints_at(found, *wanted.T)
        assert track.error.max() <= most
        sol = replayed(found, track.unit_p_mw, track.unit_q_mvar)
        away = np.hypot(sol.p_slack_mw - wanted[:, 0], sol.q_slack_mvar - wanted[:, 1])
        assert away.max() <= most * np.hypot(*(found.corners - middle).T).max()
        assert sol.v_pu[:, 1:].min() >= 0.9 - 1e-6
        assert sol.v_pu.max() <= 1.05 + 1e-6


def test_a_point_outside_is_refused_with_the_distance() -> None:
    """The error says by how much."""
    with pytest.raises(RunError, match=r"P 9 MW, Q 2 Mvar is outside of the region by 2\.\d+ MVA"):
        setpoints_at(of_the_feeder(), np.array([9.0]), np.array([2.0]))


def test_the_others_of_a_group_stay_at_their_base_points() -> None:
    """Row 43: a bus by itself; what it can do depends on what the others do."""
    numbers: dict[str, Any] = {"group": ["i18"], "at": "injection", "directions": 16}
    limits = NetworkLimits((0.915, 1.05), None)
    base = {unit.name: (0.0, 0.2) for unit in inverters()}
    idle = pq_region(network(), inverters(), limits=limits, **numbers)
    helped = pq_region(network(), inverters(), limits=limits, base=base, **numbers)
    assert [unit.name for unit in helped.units] == ["i18"]
    assert helped.base == pytest.approx([0.0, 0.2])
    assert helped.area > 1.2 * idle.area
    assert helped.area <= helped.naive_area
    net, at = network(), [network().feeder.node_index[bus] for bus in BUSES]
    p, q = np.zeros((len(idle.p_mw), net.n_bus)), np.zeros((len(idle.p_mw), net.n_bus))
    p[:, at[4]], q[:, at[4]] = idle.p_mw, idle.q_mvar
    v = physics.solve(net, p_inject_mw=p, q_inject_mvar=q).v_pu
    assert v.min() == pytest.approx(0.915, abs=1e-7)


def test_a_group_that_cannot_keep_the_limits_has_no_vertex() -> None:
    """Told with by how much, and nothing is made up."""
    found = pq_region(network(), inverters()[:1], limits=NetworkLimits((0.95, 1.05), None), directions=8)
    assert (found.status, found.p_mw.size, found.area) == ("infeasible", 0, 0.0)
    assert found.shortfall == pytest.approx(0.95 - 0.9186, abs=2e-3)
    with pytest.raises(RunError, match="empty"):
        setpoints_at(found, np.array([1.0]), np.array([1.0]))


def test_a_region_per_phase_keeps_every_phase_inside_the_band() -> None:
    """Row 44, 45: IEEE 13 with devices of one, two and three phases, taps as stored."""
    units = [
        PhaseUnit("a", "671", -0.4, 0.4, -0.3, 0.3, s_mva=0.45),
        PhaseUnit("b", "675", 0.0, 0.3, -0.2, 0.2, s_mva=0.3, phase="A"),
        PhaseUnit("c", "645", -0.1, 0.2, -0.1, 0.1, phase="B"),
    ]  # fmt: skip
    net, limits = network("ieee13"), NetworkLimits((0.95, 1.0575), None)
    found = pq_region(net, units, limits=limits, directions=16)
    assert found.status == "best known"
    at = [net.feeder.node_index[unit.bus] for unit in units]
    p, q = (np.zeros((len(found.p_mw), net.n_bus, 3)) for _ in range(2))
    for power, set_ in ((p, found.unit_p_mw), (q, found.unit_q_mvar)):
        power[:, at[0]] += set_[:, :1] / 3.0
        power[:, at[1], 0] += set_[:, 1]
        power[:, at[2], 1] += set_[:, 2]
    sol = physics.solve(net, p_inject_mw=p, q_inject_mvar=q)
    v = np.delete(sol.v_pu, [source.node for source in net.sources], axis=1)
    assert np.nanmin(v) >= 0.95 - 1e-6
    assert np.nanmax(v) <= 1.0575 + 1e-6
    np.testing.assert_allclose(sol.p_slack_mw, found.p_mw, atol=1e-6)
    assert found.v_max_pu.max() == pytest.approx(np.nanmax(v), abs=1e-7)
    loose = pq_region(net, units, limits=NetworkLimits((0.9, 1.1), None), directions=16)
    assert loose.area > found.area > 0.0


def test_loads_and_source_voltages_of_the_hour_count() -> None:
    """Half the load moves the region by what is not drawn, and leaves more room."""
    net = network()
    half = Surroundings(p_mw=0.5 * net.load_p_mw, q_mvar=0.5 * net.load_q_mvar, v_source_pu=1.01)
    found = pq_region(net, inverters(), limits=BAND, around=half, directions=6)
    assert found.base[0] == pytest.approx(0.5 * 3.715, abs=0.06)
    assert found.p_mw.max() - found.base[0] > of_the_feeder().p_mw.max() - of_the_feeder().base[0]


def polygons() -> list[NDArray[np.float64]]:
    """Regular, oblong and random ones, counter-clockwise."""
    angle = np.linspace(0.0, 2.0 * np.pi, 7)[:-1]
    regular = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    random = np.sort(np.random.default_rng(3).uniform(0.0, 2.0 * np.pi, (4, 9)), axis=1)
    round_ = [np.stack([np.cos(a), np.sin(a)], axis=1) for a in random]
    return [regular, regular * [40.0, 0.01] + 5.0, *round_, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])]


@pytest.mark.parametrize("corners", polygons())
def test_boxes_are_the_largest_inside_and_the_least_around(corners: NDArray[np.float64]) -> None:
    """Row 46: no box of a thousand drawn at random inside of the polygon is larger."""
    p_min, p_max, q_min, q_max = inner_box(corners)
    box = np.array([[p_min, q_min], [p_max, q_min], [p_max, q_max], [p_min, q_max]])
    size = np.ptp(corners, axis=0)
    assert beyond(corners, box).max() <= 1e-9 * size.max()
    largest = (p_max - p_min) * (q_max - q_min)
    random = np.random.default_rng(0)
    for low, high in random.uniform(corners.min(axis=0), corners.max(axis=0), (1000, 2, 2)):
        pairs = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
        if beyond(corners, pairs).max() <= 0.0:
            assert abs(np.prod(high - low)) <= largest * (1.0 + 1e-6)
    around = outer_box(corners)
    assert around == pytest.approx(
        (corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].min(), corners[:, 1].max())
    )


def test_the_largest_box_of_a_right_triangle_is_half_of_it() -> None:
    """By hand: sides of half the legs."""
    assert inner_box(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) == pytest.approx(
        (0.0, 1.0, 0.0, 0.5), abs=1e-5
    )


BAD: list[tuple[dict[str, Any], str]] = [
    ({"group": ["i7"]}, "device of the group 'i7'"),
    ({"base": {"i7": (0.0, 0.0)}}, "device with a base point 'i7'"),
    ({"group": []}, "at least one device"),
    ({"directions": 3}, "directions is 3"),
    ({"at": "tail"}, "place where P and Q are seen 'tail'"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_named(arguments: dict[str, Any], said: str) -> None:
    """Which argument, and what was expected."""
    with pytest.raises(RunError, match=said):
        pq_region(network(), inverters(), limits=BAND, **arguments)
