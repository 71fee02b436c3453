"""Generators: commitment, ramps, minimum times, fuel and starts in money."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.envs import DistGrid3PhaseEnv, DistGridEnv, Generator
from distgrid.envs.resources import Fleet

from .faces import check_faces, refuses
from .world import FEEDER, FEEDER3, flat_load


def started(*specs: Generator, dt_h: float = 0.25) -> Fleet:
    """A fleet of one row, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, dt_h, None)
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


def act(fleet: Fleet, *action: float) -> float:
    """One interval; the power that the first unit delivered."""
    fleet.advance(np.array([action]), np.zeros(1, dtype=np.int64))
    return float(fleet.delivered_p_mw[0, 0])


def test_every_action_means_one_thing() -> None:
    """Trap 16: below 0 off, from 0 on the least power, at +1 the rated one; linear between."""
    fleet = started(Generator(18, 0.5, 100.0, p_min_mw=0.1))
    asked = (-1.0, -0.01, 0.0, 0.25, 0.5, 1.0, -0.5)
    powers = [act(fleet, a) for a in asked]
    np.testing.assert_allclose(powers, [0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.0], rtol=1e-15)


def test_fuel_and_starts_cost_what_they_say() -> None:
    """In USD for the interval, by what was delivered (Trap 17); nothing while it is off."""
    spec = Generator(18, 0.5, 80.0, p_min_mw=0.1, cost_per_h=12.0, cost_per_mw2h=20.0, start_cost=30.0)
    env = DistGridEnv(FEEDER, [spec], load=flat_load())
    env.reset(seed=0)
    starts, fuel = [], []
    for a in (-1.0, 0.5, 1.0, -1.0, 0.0):
        *_, info = env.step([a])
        p = info["delivered"]["p_mw"][0]
        fuel.append(info["costs"]["generator.fuel"])
        starts.append(info["costs"]["generator.start"])
        assert fuel[-1] == pytest.approx(0.25 * (12.0 + 80.0 * p + 20.0 * p * p) * (p > 0.0))
    assert starts == [0.0, 30.0, 0.0, 0.0, 30.0]
    assert max(fuel) == pytest.approx(env.fleet.most_of("fuel_cost", 0.25))


def test_minimum_times_override_requests() -> None:
    """On for an hour after a start, off for half an hour after a stop; delivered and observed tell."""
    fleet = started(Generator(18, 0.5, 100.0, p_min_mw=0.1, min_up_h=1.0, min_down_h=0.45))
    powers, seen = [], []
    for a in (1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0):
        seen.append(fleet.observe(np.zeros(1, dtype=np.int64))[0].tolist())
        powers.append(act(fleet, a))
    np.testing.assert_allclose(powers, [0.5, 0.1, 0.1, 0.1, 0.0, 0.0, 0.5, 0.1], rtol=1e-15)
    assert seen[0] == [0.0, 1.0], "free to start at once"
    assert seen[1:6] == [[1.0, 0.25], [1.0, 0.5], [1.0, 0.75], [1.0, 1.0], [0.0, 0.25]]


def test_masks_tell_what_minimum_times_forbid() -> None:
    fleet = started(Generator(18, 0.5, 100.0, min_up_h=1.0, controls="pq"), Generator(25, 0.5, 100.0))
    values = np.repeat(np.array([[-1.0], [0.0], [1.0]]), 3, axis=1)
    (program,) = fleet.programs
    t = np.zeros(1, dtype=np.int64)
    assert program.allowed(values, t).all()
    act(fleet, 1.0, 0.0, 1.0)
    np.testing.assert_array_equal(program.allowed(values, t)[0, :, 0], [False, True, True])
    assert program.allowed(values, t)[0, :, 1:].all()


def test_a_stop_from_above_takes_its_time() -> None:
    """0.4 MW/h is 0.1 MW a quarter hour: up by it, and down to the least power before it stops."""
    fleet = started(Generator(18, 0.5, 100.0, p_min_mw=0.15, ramp_mw_per_h=0.4))
    powers = [act(fleet, a) for a in (1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0)]
    np.testing.assert_allclose(powers, [0.15, 0.25, 0.35, 0.25, 0.15, 0.0, 0.0], rtol=1e-12)
    assert list(fleet.observation_blocks) == ["generator.on", "generator.since_h", "generator.p_mw"]


def test_reactive_power_has_a_range_of_its_own_and_the_circle() -> None:
    """+1 gives the most, -1 takes the least; at rated power what the circle leaves; none while off."""
    fleet = started(Generator(18, 0.4, 100.0, s_mva=0.5, q_min_mvar=-0.1, q_max_mvar=0.45, controls="pq"))
    reactive = []
    for a in ((0.0, 1.0), (0.0, -1.0), (0.0, 0.5), (1.0, 1.0), (-1.0, 1.0)):
        act(fleet, *a)
        reactive.append(float(fleet.delivered_q_mvar[0, 0]))
    np.testing.assert_allclose(reactive, [0.45, -0.1, 0.225, 0.3, 0.0], rtol=1e-12)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=60), st.floats(0.0, 0.5),
    st.one_of(st.none(), st.floats(0.05, 3.0)), st.floats(0.0, 2.0), st.floats(0.0, 2.0), st.booleans(),
)  # fmt: skip
def test_no_request_breaks_a_limit(
    plan: list[tuple[float, float]], least: float, ramp: float | None, up: float, down: float, on: bool
) -> None:
    """Capability 57: power, ramps, minimum times and the circle hold under any schedule; costs follow."""
    spec = Generator(
        18, 0.5, 90.0, p_min_mw=least, ramp_mw_per_h=ramp, min_up_h=up, min_down_h=down, cost_per_h=3.0,
        start_cost=8.0, controls="pq", on=on,
    )  # fmt: skip
    fleet = started(spec)
    runs, before, since = on, least if on else 0.0, 10**6
    step = math.inf if ramp is None else 0.25 * ramp
    for a, q in plan:
        p = act(fleet, a, q)
        now = bool(fleet.state()["generator.on"][0, 0])
        if now != runs:
            assert since >= math.ceil((up if runs else down) * 4 - 1e-9)
            assert now == (a >= 0.0), "it changes only where that is asked"
        if now and runs:
            assert abs(p - before) <= step + 1e-12
        if now:
            assert least <= p <= 0.5
            assert runs or p <= max(least, step) + 1e-12
        else:
            assert p == 0.0
            assert not runs or before <= max(least, step) + 1e-12
        assert math.hypot(p, fleet.delivered_q_mvar[0, 0]) <= 0.625 * (1.0 + 1e-12)
        costs = fleet.costs()
        assert costs["generator.fuel"][0] == pytest.approx(0.25 * (3.0 + 90.0 * p) * now)
        assert costs["generator.start"][0] == 8.0 * (now and not runs)
        since = since + 1 if now == runs else 1
        runs, before = now, p


def test_the_neutral_action_keeps_the_state() -> None:
    """Off stays off; one that begins on stays on at its least power."""
    fleet = started(Generator(18, 0.5, 90.0), Generator(25, 0.5, 90.0, p_min_mw=0.2, on=True, controls="pq"))
    assert fleet.neutral_action.tolist() == [-1.0, 0.0, 0.0]
    assert act(fleet, *fleet.neutral_action) == 0.0
    assert fleet.delivered_p_mw.tolist() == [[0.0, 0.2]]
    assert not fleet.accounts["start_cost"].any()


def test_rows_of_every_face_are_alike() -> None:
    """Trap 25b: balanced and per phase, with states that are restored and bounds that hold."""
    check_faces(
        [
            Generator(18, 0.4, 90.0, p_min_mw=0.1, ramp_mw_per_h=0.6, min_up_h=1.0, controls="pq"),
            Generator(25, 0.2, 70.0, cost_per_mw2h=9.0, start_cost=3.0, on=True),
        ]
    )
    own = [
        Generator("671", 0.3, 90.0, controls="pq"),
        Generator("611", 0.05, 90.0, phase="C", min_down_h=1.0),
    ]
    check_faces(own, case=FEEDER3, phased=True, steps=15)


def test_a_planner_is_told_the_commitment() -> None:
    env = DistGridEnv(FEEDER, [Generator(18, 0.5, 90.0, p_min_mw=0.1, min_up_h=1.0, start_cost=4.0)])
    env.reset(seed=0)
    env.step([1.0])
    told = env.scenario.window(horizon=4).outlooks["generator"]
    assert told.commitment is not None
    assert (told.p_min_mw.min(), told.p_max_mw.max()) == (0.0, 0.5)
    commitment = told.commitment
    assert (commitment.on[0], commitment.since[0], commitment.min_up[0]) == (True, 1.0, 4.0)
    assert (commitment.p_mw[0], commitment.start_cost[0]) == (0.5, 4.0)


GOOD: dict[str, Any] = {"bus": 18, "p_mw": 0.5, "cost_per_mwh": 90.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": 0.0}, "p_mw must be greater than 0, got 0.0"),
        ({"p_min_mw": 0.6}, r"p_min_mw must be in \[0, 0.5\], got 0.6"),
        ({"cost_per_mwh": math.nan}, "cost_per_mwh must be a finite number, got nan"),
        ({"cost_per_h": -1.0}, "cost_per_h must be at least 0, got -1.0"),
        ({"cost_per_mw2h": -1.0}, "cost_per_mw2h must be at least 0, got -1.0"),
        ({"start_cost": math.inf}, "start_cost must be a finite number, got inf"),
        ({"min_up_h": -1.0}, r"min_up_h must be in \[0, 168\], got -1.0"),
        ({"min_down_h": 400.0}, r"min_down_h must be in \[0, 168\], got 400.0"),
        ({"ramp_mw_per_h": 0.0}, "ramp_mw_per_h must be greater than 0, got 0.0"),
        ({"s_mva": 0.4}, "s_mva must be at least 0.5, got 0.4"),
        ({"q_max_mvar": 0.7}, r"q_max_mvar must be in \[0, 0.625\], got 0.7"),
        ({"q_min_mvar": 0.1}, r"q_min_mvar must be in \[-0.625, 0\], got 0.1"),
        ({"s_mva": 0.5, "controls": "pq"}, "its range of Q is 0, .* use controls='p'"),
        ({"controls": "q"}, "controls 'q' is unknown; expected one of p, pq"),
        ({"on": 1}, "on must be True or False, got 1"),
        ({"phase": "ACB"}, "phase 'ACB' is unknown; expected one of ABC"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    refuses(Generator, GOOD, change, f"Generator at bus 18: .*{message}|{message}")


def test_a_phase_that_the_bus_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="phase B needs B, but bus 611"):
        DistGrid3PhaseEnv(FEEDER3, [Generator("611", 0.1, 90.0, phase="B")])
