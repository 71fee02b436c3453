"""Charging stations: energy, times, sessions, phases, the cost of a car that leaves without its energy."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid import EV, PV, Battery, DistGrid3PhaseEnv, DistGridEnv, cases
from distgrid.cases import profiles
from distgrid.envs import ChargingSession, DistGridVectorEnv
from distgrid.envs.resources import Fleet

from .world import FEEDER, FEEDER3

YEAR = profiles.load_profiles()
WEDNESDAY = 173  # 2016-06-22
Floats = NDArray[np.float64]


def started(*specs: EV, batch: int = 1, seed: int = 0) -> Fleet:
    """A fleet of stations at case33bw, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(batch, 0.25, YEAR)
    fleet.reset(np.arange(batch), [np.random.default_rng([seed, row]) for row in range(batch)])
    return fleet


class Day:
    """What a fleet did on a day under actions (96, n_units): arrays (96, n_units), cost (96,)."""

    def __init__(self, fleet: Fleet, actions: Any, day: int = WEDNESDAY) -> None:
        n = fleet.n_units
        actions = np.broadcast_to(np.asarray(actions, dtype=np.float64), (96, n))
        self.p, self.short, self.cost = np.zeros((96, n)), np.zeros((96, n)), np.zeros(96)
        self.plugged, self.need, self.departure = (np.zeros((96, n)) for _ in range(3))
        for k in range(96):
            t = np.array([96 * day + k])
            seen = fleet.observe(t)[0].reshape(3, n)
            self.plugged[k], self.need[k], self.departure[k] = seen
            fleet.advance(actions[k][None], t)
            self.p[k] = fleet.delivered_p_mw[0]
            self.short[k] = fleet.state()["ev.undelivered_mwh"][0]
            self.cost[k] = fleet.costs().get("ev.undelivered", np.zeros(1))[0]


def steps(hours: float) -> int:
    return round(4 * hours)


def test_as_soon_as_possible_reaches_what_the_car_needs() -> None:
    """Capability 57: full power from arrival until the energy is in, then nothing; nobody is charged for."""
    fleet = started(EV(18, 0.02, sessions=[(8.0, 17.0, 0.1)], eta_charge=0.9))
    day = Day(fleet, -1.0)
    hours = 0.1 / 0.9 / 0.02  # 5.56 h
    assert (day.p[: steps(8)] == 0.0).all()
    full = math.floor(hours * 4)
    np.testing.assert_array_equal(day.p[steps(8) : steps(8) + full], -0.02)
    np.testing.assert_allclose(-0.25 * day.p.sum(), 0.1 / 0.9, rtol=1e-12)
    assert (day.p[steps(8) + full + 1 :] == 0.0).all()
    assert (day.cost == 0.0).all()
    assert day.plugged[:, 0].tolist() == [0.0] * 32 + [1.0] * 36 + [0.0] * 28
    np.testing.assert_allclose(day.departure[steps(8) : steps(17), 0], np.arange(9.0, 0.0, -0.25))
    np.testing.assert_array_equal(day.need[steps(8)], 0.1)


def test_what_is_missing_at_departure_is_charged_for_once() -> None:
    """Capability 57, Trap 17: by what was delivered, at the price of a MWh, when the car leaves."""
    fleet = started(
        EV(18, 0.02, sessions=[(8.0, 10.0, 0.1), (12.0, 13.0, 0.01)], undelivered_cost_per_mwh=3.0),
        EV(25, 0.02, sessions=[(8.0, 10.0, 0.03)], undelivered_cost_per_mwh=5.0),
    )
    day = Day(fleet, [-1.0, 1.0])
    missing = 0.1 - 0.02 * 2.0 * 0.95
    assert np.flatnonzero(day.cost).tolist() == [steps(10) - 1]
    assert day.cost[steps(10) - 1] == pytest.approx(3.0 * missing + 5.0 * 0.03, rel=1e-12)
    np.testing.assert_allclose(day.short[steps(10) - 1], [missing, 0.03], rtol=1e-12)
    assert day.cost.max() <= fleet.max_cost_per_step == pytest.approx(3.0 * 0.1 + 5.0 * 0.03)


@pytest.mark.parametrize("cost", [0.0, 2.0])
def test_a_price_of_nothing_is_no_cost(cost: float) -> None:
    fleet = started(EV(18, 0.02, sessions=[(8.0, 10.0, 0.1)], undelivered_cost_per_mwh=cost))
    assert bool(fleet.costs()) == (cost > 0.0)


def test_minus_one_charges_and_plus_one_rests_or_gives_back() -> None:
    """Trap 15, 16: linear between the two powers; without v2g every action in between has its own power."""
    for v2g, expected in ((0.0, [-0.02, -0.015, -0.01, 0.0]), (0.01, [-0.02, -0.0125, -0.005, 0.01])):
        powers = []
        for a in (-1.0, -0.5, 0.0, 1.0):
            fleet = started(EV(18, 0.02, v2g_mw=v2g, sessions=[(0.0, 24.0, 0.4)]))
            day = Day(fleet, np.array([-1.0] * 8 + [a] * 88)[:, None])
            powers.append(day.p[8, 0])
        np.testing.assert_allclose(powers, expected, atol=1e-15)


def test_a_car_gives_back_only_what_it_has_taken() -> None:
    """Trap 21: and loses what the efficiencies say."""
    fleet = started(EV(18, 0.02, v2g_mw=0.02, sessions=[(1.0, 9.0, 0.05)], eta_charge=0.9, eta_discharge=0.8))
    day = Day(fleet, np.array([1.0] * 8 + [-1.0] * 8 + [1.0] * 80)[:, None])
    assert (day.p[:8] == 0.0).all()  # it has taken nothing yet
    taken, given_back = -0.25 * day.p[day.p < 0].sum(), 0.25 * day.p[day.p > 0].sum()
    assert given_back == pytest.approx(taken * 0.9 * 0.8, rel=1e-12)
    assert day.short.sum() == pytest.approx(0.05, abs=1e-15)


stays = st.lists(
    st.tuples(st.integers(0, 95), st.integers(1, 40), st.floats(0.0, 0.2)), min_size=1, max_size=4
)


def sessions_of(drawn: list[tuple[int, int, float]]) -> list[ChargingSession]:
    """Stays one after the other, as far as the day goes."""
    found, free = [], 0
    for start, length, energy in sorted(drawn):
        start = max(start, free)
        stop = min(start + length, 96)
        if stop > start:
            found.append(ChargingSession(start / 4, stop / 4, energy))
            free = stop
    return found


@settings(max_examples=40)
@given(
    stays, st.lists(st.floats(-1.0, 1.0), min_size=96, max_size=96), st.floats(1e-3, 0.1),
    st.sampled_from([0.0, 0.05]), st.floats(0.5, 1.0), st.floats(0.5, 1.0),
)  # fmt: skip
def test_every_mwh_is_accounted_for(
    drawn: list[tuple[int, int, float]], actions: list[float], p_mw: float, v2g: float, eta_c: float,
    eta_d: float,
) -> None:  # fmt: skip
    """Capability 57, Trap 21: need is delivered or missing, to 1e-9; no power without a car."""
    sessions = sessions_of(drawn)
    spec = EV(18, p_mw, sessions=sessions, v2g_mw=v2g, eta_charge=eta_c, eta_discharge=eta_d)
    day = Day(started(spec), np.array(actions)[:, None])
    there = np.zeros(96, dtype=bool)
    for session in sessions:
        stay = slice(steps(session.arrival_h), steps(session.departure_h))
        there[stay] = True
        flow = day.p[stay, 0]
        into = 0.25 * (eta_c * np.maximum(-flow, 0.0) - np.maximum(flow, 0.0) / eta_d)
        assert session.energy_mwh - into.sum() == pytest.approx(day.short[stay.stop - 1, 0], abs=1e-9)
        assert (np.cumsum(into) >= -1e-9).all()
        assert day.need[stay, 0].max() <= session.energy_mwh
        assert day.need[stay, 0].min() >= 0.0
    assert (day.p[~there] == 0.0).all()
    np.testing.assert_array_equal(day.plugged[:, 0], there)
    assert day.p.min() >= -p_mw
    assert day.p.max() <= v2g
    assert (day.cost >= 0.0).all()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 365), st.floats(0.002, 0.05))
def test_a_shipped_car_always_gets_what_it_needs_at_once(seed: int, day: int, p_mw: float) -> None:
    """Capability 57: as soon as possible leaves nothing undelivered: no car asks for more than can be."""
    fleet = started(*(EV(18, p_mw, site=site) for site in profiles.CHARGER_SITES), seed=seed)
    told = Day(fleet, -1.0, day)
    assert told.short.max() <= 1e-12
    assert told.p.min() >= -p_mw


def test_days_are_those_of_real_stations() -> None:
    """Trap 13: busy on workdays and idle on most weekends, as at JPL in 2019; another day is another plan."""
    fleet = started(*(EV(18, 0.0074, name=f"s{k}") for k in range(200)))
    busy = {day: (Day(fleet, -1.0, day).plugged.max(axis=0) > 0).mean() for day in range(172, 179)}
    assert [profiles.weekday(day) for day in busy] == [1, 2, 3, 4, 5, 6, 0]
    assert min(busy[day] for day in (172, 173, 174, 178)) > 0.8  # Tuesday to Thursday, Monday
    assert 0.5 < busy[175] < 0.8  # every other Friday is free at JPL
    assert max(busy[day] for day in (176, 177)) < 0.2  # the weekend
    first, second = (Day(fleet, -1.0, day).plugged.sum(axis=0) for day in (172, 173))
    assert not np.array_equal(first, second)


def test_the_same_seed_brings_the_same_cars() -> None:
    """Rows differ, and a row does not depend on the rows beside it."""
    specs = [EV(18, 0.0074, name=f"s{k}") for k in range(3)]
    draw = started(*specs, batch=4).state()["ev.draw"]
    np.testing.assert_array_equal(draw, started(*specs, batch=4).state()["ev.draw"])
    np.testing.assert_array_equal(draw[:1], started(*specs).state()["ev.draw"])
    assert len(np.unique(draw)) == 12


def test_rows_on_different_days_do_not_mix() -> None:
    """Trap 25b: a row of a batch has the same bits as that row alone, at its own time of its own day."""
    specs = [EV(18, 0.0074, v2g_mw=0.003), EV(25, 0.05, sessions=[(2.0, 9.0, 0.2), (9.0, 9.5, 0.01)])]
    days = np.array([10, 100, 176, 300, 365])
    batch = started(*specs, batch=5)
    alone = [started(*specs) for _ in days]
    for row, fleet in enumerate(alone):
        fleet.reset(np.array([0]), [np.random.default_rng([0, row])])
    rng = np.random.default_rng(3)
    for k in range(96):
        actions, t = rng.uniform(-1.0, 0.3, (5, 2)), 96 * days + (k + 7 * np.arange(5)) % 96
        seen = batch.observe(t).copy()
        batch.advance(actions, t)
        for row, fleet in enumerate(alone):
            assert fleet.observe(t[row : row + 1]).tobytes() == seen[row : row + 1].tobytes()
            fleet.advance(actions[row : row + 1], t[row : row + 1])
            for name, array in fleet.state().items():
                assert array.tobytes() == batch.state()[name][row : row + 1].tobytes(), name
            assert fleet.costs()["ev.undelivered"][0] == batch.costs()["ev.undelivered"][row]


def test_reset_touches_only_its_rows() -> None:
    fleet = started(EV(18, 0.02, sessions=[(0.0, 24.0, 0.3)]), EV(25, 0.02), batch=3)
    fleet.advance(np.full((3, 2), -1.0), np.full(3, 96 * WEDNESDAY))
    before = fleet.state()
    fleet.reset(np.array([1]), [np.random.default_rng(99)])
    after = fleet.state()
    for name, array in after.items():
        np.testing.assert_array_equal(array[[0, 2]], before[name][[0, 2]])
    assert after["ev.need_mwh"][1, 0] == 0.0
    assert after["ev.draw"][1, 1] != before["ev.draw"][1, 1]


def test_what_is_observed_is_inside_its_bounds() -> None:
    """Also at the moment of arrival, for both kinds of sessions."""
    fleet = started(EV(18, 0.0074), EV(25, 0.05, sessions=[(3.0, 9.0, 0.1)]))
    low, high = (np.array([getattr(e, side) for e in fleet.observation_entries]) for side in ("low", "high"))
    for day in range(60, 160, 7):
        for k in range(96):
            t = np.array([96 * day + k])
            seen = fleet.observe(t)[0]
            assert ((seen >= low) & (seen <= high)).all()
            fleet.advance(np.full((1, 2), -0.3), t)
    assert list(fleet.observation_blocks) == ["ev.plugged_in", "ev.need_mwh", "ev.departure_h"]


RESOURCES = [
    EV(18, 0.05, name="own", sessions=[(0.5, 3.0, 0.06), (3.0, 6.0, 0.2)], v2g_mw=0.02),
    EV(25, 0.0074), PV(25, 0.3, controls="pq"), Battery(30, 0.2, 0.8), EV(33, 0.022, site="caltech"),
]  # fmt: skip


def test_rows_of_a_vector_environment_are_single_environments() -> None:
    """Capability 57, Trap 25b: bit for bit, with other cars in every row."""
    many = DistGridVectorEnv(num_envs=3, case=FEEDER, resources=RESOURCES, threads=1)
    observations, _ = many.reset(seed=7, options={"day": WEDNESDAY})
    observations = observations.copy()
    actions = np.random.default_rng(1).uniform(-1, 1, (96, 3, len(many.action_layout)))
    singles = [DistGridEnv(FEEDER, RESOURCES) for _ in range(3)]
    for row, env in enumerate(singles):
        obs, _ = env.reset(seed=7 + row, options={"day": WEDNESDAY})
        np.testing.assert_array_equal(obs, observations[row])
    for k in range(60):
        action = actions[k].astype(np.float32)
        observations, rewards, _, _, infos = many.step(action)
        for row, env in enumerate(singles):
            obs, reward, *_, info = env.step(action[row])
            np.testing.assert_array_equal(obs, observations[row])
            assert reward == rewards[row]
            assert info["cost_resource"] == infos["cost_resource"][row]
    draws = many.shards.shards[0].grid.fleet.state()["ev.draw"]
    assert len(np.unique(draws)) == draws.size


def test_state_restores_a_car_in_the_middle_of_its_stay() -> None:
    env = DistGridEnv(FEEDER, RESOURCES)
    env.reset(seed=3, options={"day": WEDNESDAY})
    for _ in range(40):
        env.step(np.full(env.action_space.shape, -0.5, dtype=np.float32))
    saved = copy.deepcopy(env.get_state())
    played = []
    for _ in range(2):
        env.set_state(saved)
        played.append([env.step(env.neutral_action) for _ in range(30)])
    for (obs, reward, *_), (again, same, *_) in zip(*played, strict=True):
        np.testing.assert_array_equal(obs, again)
        assert reward == same


def test_phases_draw_where_the_station_is_connected() -> None:
    """Capability 110: A, BC, ABC (a third each), beside single-phase PV; the load of the phases rises."""
    at = {"A": "675", "BC": "646", "ABC": "671"}
    sessions = [(0.0, 24.0, 5.0)]
    stations = [EV(bus, 0.09, sessions=sessions, phase=phase) for phase, bus in at.items()]
    env = DistGrid3PhaseEnv(FEEDER3, [*stations, PV("675", 0.1, phase="C")])
    env.reset(seed=0, options={"day": WEDNESDAY})
    taken, volts = {}, {}
    for charging in ("nobody", *at):
        env.reset(seed=0, options={"day": WEDNESDAY})
        action = env.neutral_action.copy()
        action[:3] = [-1.0 if phase == charging else 1.0 for phase in at]
        *_, info = env.step(action)
        taken[charging] = info["p_slack_MW"] - info["p_loss_MW"]
        volts[charging] = info["voltages"].filled(np.nan)
    for phase, bus in at.items():
        assert taken[phase] - taken["nobody"] == pytest.approx(0.09, abs=1e-9)
        drop = (volts["nobody"] - volts[phase])[env.feeder.node_index[bus]]
        assert drop["ABC".index(phase[-1])] > 1e-4  # one phase of the pair may rise: mutual coupling
        if phase == "A":
            assert drop.argmax() == 0
            assert drop[1] < 0  # so does the neighbour of a single phase
        if phase == "ABC":
            assert drop.min() > 0.3 * drop.max()
    with pytest.raises(ValueError, match="phase A needs A, but bus 611"):
        DistGrid3PhaseEnv(FEEDER3, [EV("611", 0.007, phase="A")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": 0.0}, "p_mw must be greater than 0"),
        ({"p_mw": math.nan}, "p_mw must be a finite number"),
        ({"v2g_mw": -0.1}, "v2g_mw must be at least 0"),
        ({"eta_charge": 0.0}, r"eta_charge must be in \(0, 1\]"),
        ({"eta_discharge": 1.1}, r"eta_discharge must be in \(0, 1\]"),
        ({"undelivered_cost_per_mwh": -1.0}, "undelivered_cost_per_mwh must be at least 0"),
        ({"site": "mit"}, "site 'mit' is unknown; expected one of jpl, caltech"),
        ({"phase": "D"}, "phase 'D' is unknown; expected one of ABC"),
        ({"sessions": [(8.0, 8.0, 0.01)]}, "departure_h 8.0 must be after arrival_h, or before it"),
        ({"sessions": [(8.0, 9.0, -0.01)]}, "session 0: energy_mwh must be at least 0, got -0.01"),
        ({"sessions": [(8.0, math.nan, 0.01)]}, "session 0: departure_h must be a finite number, got nan"),
        ({"sessions": [(-1.0, 9.0, 0.01)]}, r"session 0: arrival_h must be in \[0, 24\], got -1.0"),
        ({"sessions": [(8.0, 33.0, 0.01)]}, r"more than 24 h after arrival_h 8.0.*repeats='weekly'"),
        ({"sessions": [(8.0, 49.0, 0.01)]}, r"departure_h must be in \[0, 48\], got 49.0"),
        ({"sessions": [(8.0, 9.0, 0.01)], "repeats": "monthly"}, "expected one of daily, weekly"),
        ({"sessions": [(18.0, 8.0, 0.01), (7.0, 9.0, 0.01)]}, "comes at 31.0 h before the one before it"),
        ({"sessions": [(8.0, 9.0)]}, "session 0 must be"),
        ({"sessions": [(8.0, 10.0, 0.01), (9.0, 11.0, 0.01)]}, "comes at 9.0 h before the one before"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EV(**{"bus": 18, "p_mw": 0.02, **change})


def test_what_shows_only_when_it_is_bound() -> None:
    with pytest.raises(ValueError, match=r"from 8.05 h to 8.2 h is not there for a whole interval of 0.25 h"):
        started(EV(18, 0.02, sessions=[(8.05, 8.2, 0.01)]))
    fleet = Fleet([EV(18, 0.02)], FEEDER)
    with pytest.raises(ValueError, match="EV without sessions needs profiles"):
        fleet.bind(1, 0.25, None)


def test_a_station_nobody_comes_to_and_whole_intervals() -> None:
    """No sessions are a valid plan; a car is there from the first whole interval to the last."""
    fleet = started(EV(18, 0.02, sessions=[]), EV(25, 0.02, sessions=[(8.1, 9.2, 0.1)]))
    day = Day(fleet, -1.0)
    assert (day.p[:, 0] == 0.0).all()
    assert np.flatnonzero(day.p[:, 1]).tolist() == [33, 34, 35]


def test_units_tell_what_a_policy_needs() -> None:
    unit = Fleet([EV(18, 0.02, v2g_mw=0.03)], cases.load("case33bw"), obs_offset=10).units("ev")[0]
    assert (unit.p_mw, unit.s_mva, unit.q_max_mvar, unit.energy_mwh) == (0.02, 0.03, 0.0, None)
    assert (unit.action_p, unit.action_q) == (0, None)
    assert unit.observation == {"plugged_in": 10, "need_mwh": 11, "departure_h": 12}
