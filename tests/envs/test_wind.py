"""Wind turbines: curtailment the right way round, ramps, the circle, any phase, every face."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.cases.profiles import load_profiles
from distgrid.envs import DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, DistGridEnv, DistGridVectorEnv, Wind
from distgrid.envs.resources import Fleet
from distgrid.envs.resources.wind import N_WIND_SITES

from .world import FEEDER, FEEDER3, flat_load

CALM, BREEZE, STORM = 0, 1, 2


@dataclass(frozen=True)
class Weather:
    """Three intervals: no wind, 0.5 and 1 of the rating on every site."""

    wind: NDArray[np.float64]


WEATHER = Weather(np.repeat(np.array([[0.0], [0.5], [1.0]]), N_WIND_SITES, axis=1))


def started(*specs: Wind) -> Fleet:
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, 0.25, WEATHER)  # type: ignore[arg-type]
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


def act(fleet: Fleet, action: Any, step: int) -> tuple[float, float, float]:
    """(P, Q, curtailed) of the first unit."""
    fleet.advance(np.array([action], dtype=np.float64), np.array([step]))
    p, q = fleet.delivered_p_mw[0, 0], fleet.delivered_q_mvar[0, 0]
    return float(p), float(q), float(fleet.accounts.total("curtailed_mw")[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": 0.0}, "p_mw must be greater than 0"),
        ({"s_mva": math.nan}, "s_mva must be a finite number"),
        ({"site": 12}, "site must be an integer from 0 to 11 or None, got 12"),
        ({"site": True}, "site must be an integer from 0 to 11"),
        ({"q_max_frac": -0.1}, r"q_max_frac must be in \[0, 1\]"),
        ({"q_max_frac": 0.0, "controls": "pq"}, "use controls='p'"),
        ({"ramp_mw_per_h": 0.0}, "ramp_mw_per_h must be greater than 0"),
        ({"controls": "v"}, "controls 'v' is unknown; expected one of p, pq, q"),
        ({"priority": "watt"}, "priority 'watt' is unknown"),
        ({"phase": "D"}, "phase 'D' is unknown"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """Capability 92: the error names the device, the field, the value and what was expected."""
    with pytest.raises(ValueError, match=f"Wind at bus 18: .*{message}"):
        Wind(**{"bus": 18, "p_mw": 1.0, **change})


def test_profiles_without_wind_are_refused() -> None:
    with pytest.raises(ValueError, match="Wind needs profiles with wind"):
        Fleet([Wind(18, 1.0)], FEEDER).bind(1, 0.25, None)
    with pytest.raises(ValueError, match=r"shape \(3, 1\); site 5 is not among them"):
        Fleet([Wind(18, 1.0, site=5)], FEEDER).bind(1, 0.25, Weather(np.zeros((3, 1))))  # type: ignore[arg-type]


def test_curtailment_is_not_inverted_and_neutral_keeps_everything() -> None:
    """Trap 16: p = +1 is the neutral action and feeds all of it in, p = -1 nothing."""
    fleet = started(Wind(18, 2.0))
    assert fleet.neutral_action.tolist() == [1.0]
    for action, fed, lost in ((1.0, 1.0, 0.0), (0.0, 0.5, 0.5), (-1.0, 0.0, 1.0)):
        assert act(fleet, [action], BREEZE) == (fed, 0.0, lost)


def test_ramps_bind_both_ways_but_the_wind_may_fall() -> None:
    """0.4 MW in a quarter hour: up and, where asked, down; never above what the wind offers."""
    fleet = started(Wind(18, 2.0, ramp_mw_per_h=1.6))
    assert act(fleet, [1.0], BREEZE) == (1.0, 0.0, 0.0)  # the first interval is free
    assert act(fleet, [1.0], STORM) == pytest.approx((1.4, 0.0, 0.6))
    assert act(fleet, [-1.0], STORM) == pytest.approx((1.0, 0.0, 1.0))
    assert act(fleet, [1.0], CALM) == (0.0, 0.0, 0.0)
    assert [entry.name for entry in fleet.observation_entries] == ["wind_18.p_avail_mw", "wind_18.p_mw"]
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    assert act(fleet, [1.0], STORM)[0] == 2.0


@given(
    actions=st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 2)), min_size=1, max_size=8
    ),
    priority=st.sampled_from(["reactive", "active"]),
    s_mva=st.floats(1.0, 3.0),
    ramp=st.none() | st.floats(0.01, 20.0),
)
def test_power_is_conserved_inside_the_circle(
    actions: list[tuple[float, float, int]], priority: str, s_mva: float, ramp: float | None
) -> None:
    """Capability 92: fed in plus curtailed is what the wind offers, to 1e-9; P and Q stay in the circle."""
    turbine = Wind(18, 2.0, s_mva, 0, 0.44, "pq", priority, ramp)
    fleet = started(turbine)
    before = None
    for p_action, q_action, step in actions:
        p, q, lost = act(fleet, [p_action, q_action], step)
        offered = min(2.0 * WEATHER.wind[step, 0], s_mva)
        assert p + lost == pytest.approx(offered, abs=1e-9)
        assert 0.0 <= p <= offered
        assert math.hypot(p, q) <= s_mva * (1.0 + 1e-12)
        assert abs(q) <= 0.44 * s_mva * (1.0 + 1e-12)
        if before is not None and ramp is not None:
            assert p <= before + ramp * 0.25 + 1e-12
        before = p


FACES: list[tuple[Any, Any, Any, str, str]] = [
    (DistGridEnv, DistGridVectorEnv, FEEDER, "18", "ABC"),
    (DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, FEEDER3, "675", "ABC"),
    (DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv, FEEDER3, "671", "B"),
]


@pytest.mark.parametrize(("one", "many", "feeder", "bus", "phase"), FACES)
def test_a_row_of_a_vector_is_the_single_environment(
    one: Any, many: Any, feeder: Any, bus: str, phase: str
) -> None:
    """Capability 93: bit for bit, balanced and per phase, on three phases and on one; the action acts."""
    fleet = [Wind(bus, 0.6, site=2, controls="pq", ramp_mw_per_h=1.0, phase=phase)]
    single, vector = one(feeder, fleet, split="test"), many(feeder, fleet, split="test", num_envs=2)
    observation, _ = single.reset(seed=3)
    observations, _ = vector.reset(seed=[3, 5])
    rng, delivered = np.random.default_rng(1), []
    for _ in range(5):
        assert observation.tobytes() == observations[0].tobytes()
        assert single.observation_space.contains(observation)
        action = rng.uniform(-1.0, 1.0, 2).astype(np.float32)
        observation, reward, *_, info = single.step(action)
        observations, rewards, *_ = vector.step(np.tile(action, (2, 1)))
        assert reward == rewards[0]
        delivered.append(info["delivered"]["p_mw"][0])
    assert max(delivered) > 0.0


def test_planners_know_the_wind_or_its_forecast() -> None:
    """The outlook is what the turbine will meet; as forecast it errs, and not in the decided interval."""
    env = DistGridEnv(FEEDER, [Wind(18, 1.0, site=4)], load=flat_load(days=2))
    env.reset(seed=0, options={"day": 0})
    outlook = env.scenario.window(horizon=8).outlooks["wind"]
    truth = load_profiles().wind[:8, 4]
    assert outlook.available_mw is not None
    np.testing.assert_allclose(outlook.available_mw[:, 0], truth)
    assert not outlook.p_min_mw.any()
    from distgrid.envs import Forecaster

    told = env.scenario.window(horizon=8, forecast=Forecaster()).outlooks["wind"].available_mw
    assert told is not None
    assert told[0, 0] == truth[0]
    assert not np.allclose(told[1:, 0], truth[1:])
