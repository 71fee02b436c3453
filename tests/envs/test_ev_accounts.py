"""What charging stations owe, wear and miss: accounts that tasks which count money settle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.envs import EV, DistGrid3PhaseEnv, DistGridEnv
from distgrid.envs.resources import Fleet

from .faces import check_faces
from .world import FEEDER, FEEDER3, flat_load


def started(*specs: EV) -> Fleet:
    """A fleet of one row, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, 0.25, None)
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


@settings(max_examples=30)
@given(
    st.lists(st.floats(-1, 1), min_size=96, max_size=96), st.floats(0.0, 0.3), st.floats(0.5, 1.0),
    st.sampled_from([0.0, 0.04]),
)  # fmt: skip
def test_a_car_owes_what_the_station_is_still_to_draw(
    actions: list[float], energy: float, eta: float, v2g: float
) -> None:
    """Capability 57: need over efficiency while it is there, nothing afterwards."""
    fleet = started(EV(18, 0.05, sessions=[(6.0, 30.0, energy)], eta_charge=eta, v2g_mw=v2g))
    for t, action in enumerate(actions, start=24):
        fleet.advance(np.array([[action]]), np.array([t]))
        owed = fleet.accounts.total("owed_mwh")[0]
        need = fleet.state()["ev.need_mwh"][0, 0]
        assert owed == pytest.approx(need / eta, abs=1e-12)
        assert owed <= fleet.most_of("owed_mwh", 0.25) * (1.0 + 1e-12)
    assert owed == 0.0, "it has left"


def test_a_car_that_stays_beyond_the_episode_is_owed_for() -> None:
    """Else a station that rests at midnight would have saved what the car needs in the morning."""
    env = DistGridEnv(FEEDER, [EV(18, 0.05, sessions=[(18.0, 7.0, 0.19)])], load=flat_load(days=2))
    left = {}
    for action in (-1.0, 1.0):
        env.reset(seed=0, options={"day": 0})
        for _ in range(96):
            env.step([action])
        left[action] = env.fleet.accounts.total("owed_mwh")[0]
    assert left[-1.0] == pytest.approx(0.0, abs=1e-12)
    assert left[1.0] == pytest.approx(0.19 / 0.95)


def test_what_cars_give_back_wears_them() -> None:
    """In USD for each MWh that flows out; without a price there is no such cost."""
    sessions = [(0.0, 24.0, 0.2)]
    priced = EV(18, 0.05, v2g_mw=0.03, sessions=sessions, v2g_cost_per_mwh=40.0)
    fleet = started(priced, EV(25, 0.05, v2g_mw=0.03, sessions=sessions))
    wear = []
    for t, action in enumerate([-1.0, -1.0, 1.0, 1.0, -1.0]):
        fleet.advance(np.full((1, 2), action), np.array([t]))
        wear.append(float(fleet.costs()["ev.wear"][0]))
        np.testing.assert_allclose(fleet.accounts["wear_cost"][0, 1], 0.0)
    assert wear == pytest.approx([0.0, 0.0, 0.25 * 0.03 * 40.0, wear[3], 0.0])
    assert 0.0 < wear[3] <= fleet.most_of("wear_cost", 0.25) == pytest.approx(0.3)
    assert fleet.max_cost_per_step == pytest.approx(2 * 0.2 * 1.0 + 0.3)
    assert "ev.wear" not in started(EV(25, 0.05, v2g_mw=0.03, sessions=sessions)).costs()


def test_rows_of_every_face_are_alike() -> None:
    """Trap 25b: with vehicle-to-grid that wears, overnight, balanced and per phase."""
    check_faces([EV(18, 0.05, v2g_mw=0.05, sessions=[(20.0, 6.0, 0.1)], v2g_cost_per_mwh=30.0)])
    own: list[Any] = [EV("611", 0.01, sessions=[(0.0, 3.0, 0.02)], phase="C"), EV("671", 0.1)]
    check_faces(own, case=FEEDER3, phased=True, steps=15)


def test_a_planner_is_told_what_a_car_may_give_back() -> None:
    """What it has taken since it came, and the efficiencies of both ways."""
    spec = EV(18, 0.05, v2g_mw=0.02, sessions=[(0.0, 4.0, 0.1)], eta_charge=0.9, eta_discharge=0.8)
    env = DistGridEnv(FEEDER, [spec], load=flat_load())
    env.reset(seed=0)
    env.step([-1.0])
    (now,) = env.scenario.window(horizon=20).outlooks["ev"].sessions
    assert (now.first, now.stop) == (0, 15)
    assert now.taken_mwh == pytest.approx(0.25 * 0.05 * 0.9)
    assert now.energy_mwh + now.taken_mwh == pytest.approx(0.1)
    assert (now.eta_charge, now.eta_discharge) == (0.9, 0.8)


def test_sessions_that_overlap_are_named_both() -> None:
    with pytest.raises(
        ValueError,
        match=r"EV at bus 18: sessions \(8.0, 10.0, 0.01\) and \(9.0, 11.0, 0.02\) overlap: .* one outlet",
    ):
        EV(18, 0.02, sessions=[(9.0, 11.0, 0.02), (8.0, 10.0, 0.01)])
    with pytest.raises(ValueError, match=r"v2g_cost_per_mwh is 5, but v2g_mw is 0; expected 0"):
        EV(18, 0.02, v2g_cost_per_mwh=5.0)
    with pytest.raises(ValueError, match=r"v2g_cost_per_mwh must be at least 0, got -1.0"):
        EV(18, 0.02, v2g_mw=0.01, v2g_cost_per_mwh=-1.0)
    with pytest.raises(ValueError, match="ev_611: phase B needs B, but bus 611 of feeder ieee13 has phase C"):
        DistGrid3PhaseEnv(FEEDER3, [EV("611", 0.02, phase="B")])
