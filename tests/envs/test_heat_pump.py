"""Heat pumps: the heat balance closes, comfort is priced exactly, the thermostat holds, every face agrees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.cases.profiles import load_profiles
from distgrid.envs import (
    DataTask,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Forecaster,
    HeatPump,
    OutdoorForecast,
    Term,
    Wind,
    WindForecast,
)
from distgrid.envs.resources import Fleet
from distgrid.envs.resources.heat_pump import HeatPumpProgram, coefficient_of_performance

from .world import FEEDER, FEEDER3, flat_load


@dataclass(frozen=True)
class Weather:
    """Outdoor temperature of each interval."""

    outdoor_c: NDArray[np.float64]


def started(spec: HeatPump, outdoor_c: list[float], dt_h: float = 0.25) -> tuple[Fleet, HeatPumpProgram]:
    fleet = Fleet([spec], FEEDER)
    fleet.bind(1, dt_h, Weather(np.array(outdoor_c, dtype=np.float64)))  # type: ignore[arg-type]
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    program = fleet.programs[0]
    assert isinstance(program, HeatPumpProgram)
    return fleet, program


def act(fleet: Fleet, action: float, step: int) -> float:
    """MW drawn."""
    fleet.advance(np.array([[action]]), np.array([step]))
    return -float(fleet.delivered_p_mw[0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": -1.0}, "p_mw must be greater than 0"),
        ({"heat_loss_mw_per_k": 0.0}, "heat_loss_mw_per_k must be greater than 0"),
        ({"time_constant_h": math.nan}, "time_constant_h must be a finite number"),
        ({"time_constant_h": 0.0}, r"time_constant_h must be in \[0.1, 10000\], got 0"),
        ({"gains_mw": -0.1}, "gains_mw must be at least 0"),
        ({"supply_c": 293.0}, r"supply_c must be in \[20, 80\]"),
        ({"t_min_c": 23.0}, "t_min_c 23.0 must be below t_max_c 23.0"),
        ({"t_cut_c": 22.0}, r"t_cut_c must be in \[23, 50\]"),
        ({"t_init_c": (22.0, 20.0)}, r"t_init_c \(22.0, 20.0\) must be \(low, high\) with low <= high"),
        ({"t_init_c": (20.0,)}, r"t_init_c must be x or \(low, high\)"),
        ({"t_init_c": 294.0}, r"t_init_c must be in \[-20, 50\]"),
        ({"power_factor": 1.1}, r"power_factor must be in \(0, 1\]"),
        ({"discomfort_cost_per_kh": -1.0}, "discomfort_cost_per_kh must be at least 0"),
        ({"phase": "N"}, "phase 'N' is unknown"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """Capability 92: the error names the device, the field, the value and what was expected."""
    with pytest.raises(ValueError, match=f"HeatPump at bus 18: .*{message}"):
        HeatPump(**{"bus": 18, "p_mw": 0.003, **change})


def test_profiles_without_temperature_are_refused() -> None:
    with pytest.raises(ValueError, match="HeatPump needs profiles with outdoor_c"):
        Fleet([HeatPump(18, 1.0)], FEEDER).bind(1, 0.25, None)


def test_performance_is_that_of_the_source() -> None:
    """Staffell et al. 2012: 6.81 - 0.121 dT + 0.00063 dT^2; less in the cold, held outside 15 to 60 K."""
    found = coefficient_of_performance(np.array([-40.0, -20.0, 0.0, 20.0, 35.0]), np.array([40.0]))[:, 0]
    assert found[2] == pytest.approx(6.81 - 0.121 * 40 + 0.00063 * 1600)
    assert found[0] == found[1] == pytest.approx(6.81 - 0.121 * 60 + 0.00063 * 3600)
    assert found[4] == pytest.approx(6.81 - 0.121 * 15 + 0.00063 * 225)
    assert (np.diff(found) >= 0.0).all()


def test_actions_span_the_rating_around_the_thermostat() -> None:
    """-1 draws the rating, +1 nothing, 0 what holds the middle; Q follows by the power factor."""
    spec = HeatPump(18, 0.5, power_factor=0.9)
    for action, share in ((-1.0, 1.0), (1.0, 0.0)):
        fleet, _ = started(spec, [0.0])
        assert act(fleet, action, 0) == 0.5 * share
        assert fleet.delivered_q_mvar[0, 0] == pytest.approx(-0.5 * share * math.tan(math.acos(0.9)))
    fleet, program = started(spec, [0.0, 5.0, 25.0])
    assert fleet.neutral_action.tolist() == [0.0]
    held = act(fleet, 0.0, 0)
    assert program.indoor_c[0, 0] == pytest.approx(21.5, abs=1e-12)
    assert 0.2 < held < 0.4
    assert act(fleet, 0.0, 1) < held
    fleet, _ = started(spec, [0.0])
    assert act(fleet, -0.5, 0) == pytest.approx(held + 0.5 * (0.5 - held))
    fleet, _ = started(spec, [-12.0])
    assert act(fleet, 0.0, 0) == pytest.approx(0.5)  # it is sized for this
    fleet, program = started(spec, [30.0])
    assert act(fleet, 0.0, 0) == 0.0
    assert program.indoor_c[0, 0] > 21.5


def test_power_is_cut_where_the_room_is_warm_enough() -> None:
    """Trap 17: what is delivered differs from what is asked, and the room ends at the cut."""
    fleet, program = started(HeatPump(18, 0.5, time_constant_h=10.0, t_cut_c=24.0), [0.0] * 12)
    drawn = [act(fleet, -1.0, step) for step in range(12)]
    assert drawn[0] == 0.5
    assert 0.0 < drawn[-1] < 0.3
    assert program.indoor_c[0, 0] == pytest.approx(24.0, abs=1e-9)


@given(
    actions=st.lists(st.floats(-1, 1), min_size=1, max_size=12),
    outdoor=st.floats(-30, 40),
    tau=st.floats(0.5, 500),
    gains=st.floats(0.0, 0.3),
    begin=st.floats(-10, 40),
    dt_h=st.sampled_from([1 / 12, 0.25, 1.0]),
)
def test_heat_in_is_heat_stored_and_lost(
    actions: list[float], outdoor: float, tau: float, gains: float, begin: float, dt_h: float
) -> None:
    """Capability 92: heat balance of every interval to 1e-9, power within the rating, cost in bounds."""
    spec = HeatPump(18, 0.4, time_constant_h=tau, gains_mw=gains, t_init_c=begin)
    fleet, program = started(spec, [outdoor] * len(actions), dt_h)
    capacity = program.capacity_mwh_per_k[0]
    performance = coefficient_of_performance(outdoor, 40.0)[0, 0]
    for step, action in enumerate(actions):
        before = program.indoor_c[0, 0]
        drawn = act(fleet, action, step)
        assert 0.0 <= drawn <= 0.4
        assert program.heat_mwh[0, 0] == pytest.approx(performance * drawn * dt_h, abs=1e-12)
        stored = capacity * (program.indoor_c[0, 0] - before)
        assert program.heat_mwh[0, 0] + gains * dt_h == pytest.approx(
            stored + program.lost_mwh[0, 0], abs=1e-9
        )
        cost = fleet.costs()["heat_pump.discomfort"][0]
        assert 0.0 <= cost <= fleet.max_cost_per_step * (1 + 1e-9)


@given(begin=st.floats(10, 35), outdoor=st.floats(-20, 40), action=st.floats(-1, 1), tau=st.floats(0.3, 60))
@settings(max_examples=40)
def test_one_interval_is_the_exact_solution(begin: float, outdoor: float, action: float, tau: float) -> None:
    """Temperature, loss and discomfort agree with the differential equation in ten thousand small steps."""
    spec = HeatPump(18, 0.4, time_constant_h=tau, t_init_c=begin, discomfort_cost_per_kh=2.0)
    fleet, program = started(spec, [outdoor], 1.0)
    drawn = act(fleet, action, 0)
    loss = spec.rated_heat_loss_mw_per_k
    heat = drawn * coefficient_of_performance(outdoor, 40.0)[0, 0]
    hours = (np.arange(10_000) + 0.5) / 10_000
    end = outdoor + heat / loss
    room = end + (begin - end) * np.exp(-hours / tau)
    assert program.lost_mwh[0, 0] == pytest.approx(loss * (room.mean() - outdoor), abs=1e-6)
    outside = np.maximum(20.0 - room, 0.0) + np.maximum(room - 23.0, 0.0)
    assert fleet.accounts.total("discomfort_cost")[0] == pytest.approx(2.0 * outside.mean(), abs=1e-5)
    missing = max(21.5 - program.indoor_c[0, 0], 0.0) * program.capacity_mwh_per_k[0]
    owed = fleet.accounts.total("owed_mwh")[0]
    assert owed == pytest.approx(missing / coefficient_of_performance(outdoor, 40.0)[0, 0], abs=1e-9)
    assert owed <= fleet.most_of("owed_mwh", 1.0) * (1 + 1e-9)
    slope = (heat - loss * (room[-1] - outdoor)) / program.capacity_mwh_per_k[0]
    assert program.indoor_c[0, 0] == pytest.approx(room[-1] + slope * 0.5e-4, abs=1e-5)


def test_rooms_begin_where_they_are_told() -> None:
    """A range is drawn from the row's own generator; the default is the middle of the band."""
    fleet = Fleet([HeatPump(18, 0.1, t_init_c=(18.0, 24.0)), HeatPump(22, 0.1)], FEEDER)
    fleet.bind(2, 0.25, Weather(np.zeros(3)))  # type: ignore[arg-type]
    fleet.reset(np.arange(2), [np.random.default_rng(row) for row in (4, 4)])
    program = fleet.programs[0]
    assert isinstance(program, HeatPumpProgram)
    assert program.indoor_c[0].tolist() == program.indoor_c[1].tolist()
    assert 18.0 <= program.indoor_c[0, 0] <= 24.0
    assert program.indoor_c[0, 0] != 21.0
    assert program.indoor_c[0, 1] == 21.5


def test_a_winter_day_on_the_thermostat_is_comfortable_and_idleness_is_not() -> None:
    """On the shipped weather: no action costs nothing, switching off saves energy and costs comfort."""
    env = DistGridEnv(FEEDER, [HeatPump(18, 0.3)], split="cold-snap", splits="weeks-apart")
    cost, energy = {}, {}
    for action in (0.0, 1.0):
        env.reset(seed=0, options={"day": 353})
        infos = [env.step(np.array([action], dtype=np.float32))[4] for _ in range(96)]
        cost[action] = sum(info["costs"]["heat_pump.discomfort"] for info in infos)
        energy[action] = -0.25 * sum(info["delivered"]["p_mw"][0] for info in infos)
    assert cost[0.0] == pytest.approx(0.0, abs=1e-9)
    assert cost[1.0] > 1000.0
    assert energy[1.0] == 0.0
    assert 0.6 * 24 * 0.3 < energy[0.0] < 24 * 0.3


FACES: list[tuple[Any, Any, Any, str, str]] = [
    (DistGridEnv, DistGridVectorEnv, FEEDER, "18", "ABC"),
    (DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, FEEDER3, "675", "ABC"),
    (DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, FEEDER3, "671", "B"),
]


@pytest.mark.parametrize(("one", "many", "feeder", "bus", "phase"), FACES)
def test_a_row_of_a_vector_is_the_single_environment(
    one: Any, many: Any, feeder: Any, bus: str, phase: str
) -> None:
    """Capability 93: bit for bit, balanced and per phase, and after the state of a row is put back."""
    fleet = [HeatPump(bus, 0.1, t_init_c=(19.0, 22.0), phase=phase)]
    single, vector = one(feeder, fleet, split="test"), many(feeder, fleet, split="test", num_envs=2)
    observation, _ = single.reset(seed=3)
    observations, _ = vector.reset(seed=[3, 5])
    saved = single.get_state()
    first = None
    for action in ([-0.7], [0.4], [0.0]):
        assert observation.tobytes() == observations[0].tobytes()
        assert single.observation_space.contains(observation)
        observation, reward, *_ = single.step(np.array(action, dtype=np.float32))
        observations, rewards, *_ = vector.step(np.array([action, action], dtype=np.float32))
        assert reward == rewards[0]
        first = reward if first is None else first
    single.set_state(saved)
    assert single.step(np.array([-0.7], dtype=np.float32))[1] == first


def test_planners_know_rooms_and_weather() -> None:
    """The outlook follows the room through the intervals that come; forecasts err, but not at once."""
    env = DistGridEnv(FEEDER, [HeatPump(18, 0.2)], load=flat_load(days=2))
    env.reset(seed=0, options={"day": 0})
    window = env.scenario.window(horizon=6)
    rooms = window.outlooks["heat_pump"].rooms
    assert rooms is not None
    np.testing.assert_allclose(rooms.outdoor_c, load_profiles().outdoor_c[:6])
    assert window.outlooks["heat_pump"].p_min_mw == pytest.approx(np.full((6, 1), -0.2))
    assert not window.outlooks["heat_pump"].p_max_mw.any()
    room = rooms.indoor_c[0]
    for k in range(6):
        drawn = -env.step(np.array([-0.3], dtype=np.float32))[4]["delivered"]["p_mw"][0]
        end = rooms.outdoor_c[k] + (rooms.cop[k, 0] * drawn + rooms.gains_mw[0]) / rooms.heat_loss_mw_per_k[0]
        fade = math.exp(-0.25 * rooms.heat_loss_mw_per_k[0] / rooms.capacity_mwh_per_k[0])
        room = end + (room - end) * fade
    assert env.fleet.programs[0].state()["indoor_c"][0, 0] == pytest.approx(room)
    env.reset(seed=0, options={"day": 0})
    told = env.scenario.window(horizon=6, forecast=Forecaster()).outlooks["heat_pump"].rooms
    assert told is not None
    assert told.outdoor_c[0] == rooms.outdoor_c[0]
    assert 0.0 < np.abs(told.outdoor_c[1:] - rooms.outdoor_c[1:]).max() < 6.0


def test_forecast_blocks_show_weather_that_comes() -> None:
    """Without a forecaster they are the truth; a fleet without turbines has no wind to forecast."""
    blocks = ("clock", WindForecast(horizon=3), OutdoorForecast(horizon=3))
    task = DataTask(blocks=blocks, rewards=(Term("loss", "loss_mw", -1.0),))
    fleet = [HeatPump(18, 0.1), Wind(22, 0.5, site=1)]
    env = DistGridEnv(FEEDER, fleet, task, load=flat_load(days=2))
    observation, _ = env.reset(seed=0, options={"day": 0})
    year = load_profiles()
    np.testing.assert_allclose(
        observation[env.layout["wind_forecast_mw"]], 0.5 * year.wind[1:4, 1], atol=1e-6
    )
    np.testing.assert_allclose(observation[env.layout["outdoor_forecast_c"]], year.outdoor_c[1:4], atol=1e-5)
    with pytest.raises(ValueError, match="no wind turbine"):
        DistGridEnv(FEEDER, [HeatPump(18, 0.1)], task)
