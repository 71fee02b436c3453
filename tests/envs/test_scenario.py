"""The planning door: what a window tells is what then happens."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid.envs import EV, DistGrid3PhaseEnv, DistGridEnv, DistGridVectorEnv, TapChanger, VoltVar
from distgrid.envs.core.forecasts import Forecaster, Forecasts

from .test_vector import vector
from .world import FEEDER, FEEDER3, make


@pytest.fixture
def env() -> DistGridEnv:
    """Three hours into a day."""
    env = make(task=VoltVar())
    env.reset(seed=4)
    for _ in range(12):
        env.step(env.neutral_action)
    return env


def test_a_window_is_the_future(env: DistGridEnv) -> None:
    """Loads and available power of every interval until the end are those that the steps then meet."""
    scenario = env.scenario
    window = scenario.window()
    assert window.t_index.size == 84
    assert window.t_index[0] == scenario.now()
    available = window.outlooks["pv"].available_mw
    assert available is not None
    for k in range(window.t_index.size):
        np.testing.assert_array_equal(env.grid.stepper.load_p_mw[0], window.load_p_mw[k])
        np.testing.assert_array_equal(env.grid.stepper.load_q_mvar[0], window.load_q_mvar[k])
        info = env.step(env.neutral_action)[4]
        assert info["delivered"]["p_mw"][1] == available[k, 0]
    np.testing.assert_array_equal(window.price_usd_mwh, env.profiles.price_usd_mwh[window.t_index])


def test_limits_are_those_of_the_devices(env: DistGridEnv) -> None:
    """Battery: rated power and what is stored now; PV that may curtail: none to what the sun offers."""
    env.step(np.array([1.0, 1.0, 0.0], dtype=np.float32))
    outlooks = env.scenario.window(horizon=3).outlooks
    battery, pv = outlooks["battery"], outlooks["pv"]
    assert battery.units == ("battery_18",)
    np.testing.assert_array_equal(battery.p_max_mw, np.full((3, 1), 0.2))
    assert battery.storage is not None
    assert battery.storage.stored_mwh == pytest.approx(
        0.8 * env.obs()[env.fleet.units("battery")[0].observation["soc"]], rel=1e-6
    )
    assert (battery.storage.min_mwh < battery.storage.stored_mwh).all()
    np.testing.assert_array_equal(pv.p_max_mw, pv.available_mw)
    assert (pv.p_min_mw == 0.0).all()


def test_a_plan_on_a_window_can_be_played(env: DistGridEnv) -> None:
    """What a battery delivers along a feasible plan is the plan: its limits are those of the step."""
    outlook = env.scenario.window(horizon=8).outlooks["battery"]
    plan = 0.5 * outlook.p_min_mw[:, 0]  # charge
    for p in plan:
        info = env.step(np.array([p / 0.2, 1.0, 0.0], dtype=np.float32))[4]
        assert info["delivered"]["p_mw"][0] == pytest.approx(p)


def test_windows_of_rows_differ_as_their_days_do() -> None:
    """A vector environment tells by row what its row meets; its views tell the same."""
    env = vector("distgrid/VoltVar-33bw-v0", 3)
    env.reset(seed=0, options={"day": [3, 40, 3]})
    loads = [env.scenario.window(horizon=4, row=row).load_p_mw for row in range(3)]
    np.testing.assert_array_equal(loads[0], loads[2])
    assert (loads[0] != loads[1]).any()
    for row, (at, view) in enumerate(zip(loads, env.call("scenario"), strict=True)):
        np.testing.assert_array_equal(view.window(horizon=4).load_p_mw, at)
        assert view.now() == env.scenario.now(row)


def test_every_face_has_the_same_scenario() -> None:
    """Feeder, network, task, fleet and neutral action of single and vector faces."""
    single = make()
    vec = DistGridVectorEnv(single.feeder, single.resources, num_envs=2)
    for face in (single, vec):
        scenario = face.scenario
        assert scenario.feeder is face.feeder
        assert scenario.network is face.net
        assert scenario.task is face.task
        assert scenario.fleet is face.fleet
        assert scenario.layout["v_pu"] == single.layout["v_pu"]
        assert scenario.action_layout == single.action_layout
        np.testing.assert_array_equal(scenario.neutral_action, single.neutral_action)


def test_positions_are_told() -> None:
    """Tap changers: where they stand and how far they go."""
    env = DistGrid3PhaseEnv(FEEDER3, [TapChanger("reg1", max_steps=2)])
    env.reset(seed=0)
    taps = env.scenario.window(horizon=2).outlooks["tap_changer"]
    assert taps.positions is not None
    np.testing.assert_array_equal(taps.positions.now, env.step(env.neutral_action)[4]["delivered"]["tap_pos"])
    assert (taps.positions.max_steps == 2.0).all()
    assert (taps.p_max_mw == 0.0).all()


def test_windows_that_cannot_be_are_refused(env: DistGridEnv) -> None:
    """Nothing, the past of the data, and no whole number."""
    with pytest.raises(ValueError, match="a window of 0 intervals"):
        env.scenario.window(horizon=0)
    with pytest.raises(ValueError, match="a window of 4 intervals from -1"):
        env.scenario.window(-1, 4)
    with pytest.raises(TypeError):
        env.scenario.window(1.5, 4)  # type: ignore[arg-type]


def test_cars_come_as_foretold() -> None:
    """Sessions of a day drawn from the sites: when cars are there and what they need."""
    env = DistGridEnv(FEEDER, [EV(18, 0.05), EV(25, 0.05, site="caltech"), EV(8, 0.02, [(7.9, 17.0, 0.05)])])
    env.reset(seed=5, options={"day": 100})
    env.step(env.neutral_action)
    outlook = env.scenario.window().outlooks["ev"]
    assert {s.unit for s in outlook.sessions} >= {2}
    (own,) = [s for s in outlook.sessions if s.unit == 2]
    assert (own.first, own.stop, own.energy_mwh) == (31, 67, 0.05)
    units, obs = env.fleet.units("ev"), env.obs()
    for k in range(95):
        for u, unit in enumerate(units):
            here = [s for s in outlook.sessions if s.unit == u and s.first <= k < s.stop]
            assert obs[unit.observation["plugged_in"]] == len(here) == (outlook.p_min_mw[k, u] < 0)
            if here and here[0].first == k:
                assert obs[unit.observation["need_mwh"]] == pytest.approx(here[0].energy_mwh, rel=1e-6)
        obs = env.step(env.neutral_action)[0]


def test_a_car_that_is_there_needs_what_it_lacks() -> None:
    """Halfway through a stay a window begins with the rest of the need; a later one with the whole."""
    env = DistGridEnv(FEEDER, [EV(8, 0.02, [(0.25, 17.0, 0.05)])])
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.neutral_action)
    window = env.scenario.window()
    (now,) = window.outlooks["ev"].sessions
    lacking = env.obs()[env.fleet.units("ev")[0].observation["need_mwh"]]
    assert now.energy_mwh == pytest.approx(float(lacking), rel=1e-6)
    assert now.energy_mwh == pytest.approx(0.05 - 2 * 0.25 * 0.02 * 0.95)
    (later,) = env.scenario.window(env.scenario.now() + 1, 10).outlooks["ev"].sessions
    assert (later.first, later.stop, later.energy_mwh) == (0, 10, 0.05)


def test_a_forecast_is_what_blocks_would_show(env: DistGridEnv) -> None:
    """Known at lead 0, uncertain later; sun and loads as the forecaster says; the truth without errors."""
    door = env.scenario
    truth, foretold = door.window(), door.window(forecast=Forecaster())
    for name in ("load_p_mw", "price_usd_mwh"):
        a, b = getattr(truth, name), getattr(foretold, name)
        np.testing.assert_array_equal(a[0], b[0])
        assert (a[1:] != b[1:]).any()
    shown = Forecasts(env.load, env.profiles, Forecaster()).window(int(env.grid.row_key[0]), door.now(), 84)
    np.testing.assert_array_equal(foretold.load_p_mw, shown.load_p_mw)
    available = foretold.outlooks["pv"].available_mw
    assert available is not None
    np.testing.assert_allclose(available[:, 0], np.minimum(0.5 * shown.pv[:, 3], 0.5 * 1.1), rtol=1e-12)
    later = door.window(door.now() + 5, 4, forecast=Forecaster())
    np.testing.assert_array_equal(later.load_p_mw, foretold.load_p_mw[5:9])
    same_as_truth = door.window(forecast=door.forecasts)
    np.testing.assert_array_equal(same_as_truth.load_p_mw, truth.load_p_mw)
    with pytest.raises(ValueError, match="a forecast from"):
        door.window(door.now() - 1, 4, forecast=Forecaster())
