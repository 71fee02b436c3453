"""Data centers: work is done, waiting or dropped, never lost; servers and cooling draw what they say."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distgrid.envs import DataCenter, DistGrid3PhaseEnv, DistGridEnv
from distgrid.envs.resources import Fleet

from .faces import check_faces, refuses
from .world import FEEDER, FEEDER3, flat_load

Floats = NDArray[np.float64]


def started(*specs: DataCenter, profiles: Any = None, dt_h: float = 0.25) -> Fleet:
    """A fleet of one row, bound and reset."""
    fleet = Fleet(specs, FEEDER)
    fleet.bind(1, dt_h, profiles)
    fleet.reset(np.arange(1), [np.random.default_rng(0)])
    return fleet


def act(fleet: Fleet, action: float, t: int) -> float:
    """One interval; the power that is drawn."""
    fleet.advance(np.array([[action]]), np.array([t]))
    return -float(fleet.delivered_p_mw[0, 0])


def waiting(fleet: Fleet) -> float:
    return float(fleet.state()["data_center.queue_mwh"].sum())


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=80), st.floats(0.0, 0.6), st.floats(0.01, 0.4),
    st.floats(0.5, 5.0), st.floats(0.0, 0.9), st.floats(1.0, 2.0), st.integers(0, 95),
)  # fmt: skip
def test_work_is_done_waiting_or_dropped(
    plan: list[float], busy: float, arrives: float, deadline: float, idle: float, pue: float, start: int
) -> None:
    """Capability 57, Trap 21: arrived = done + waiting + dropped to 1e-9, by what was delivered; in time."""
    spec = DataCenter(
        18, 0.4, 900.0, interactive=busy, deferrable=arrives, deadline_h=deadline, idle_share=idle, pue=pue
    )
    fleet = started(spec)
    capacity = 0.4 * (1.0 - idle)
    arrived, done, dropped = [], [], []
    for k, a in enumerate(plan):
        p = act(fleet, a, start + k)
        arrived.append(0.25 * arrives * capacity)
        done.append(0.25 * (p / pue - 0.4 * idle - busy * capacity))
        dropped.append(fleet.accounts.total("dropped_mwh")[0])
        assert sum(arrived) == pytest.approx(sum(done) + waiting(fleet) + sum(dropped), abs=1e-9)
        assert -1e-9 <= done[-1] <= 0.25 * (1.0 - busy) * capacity + 1e-9
        assert p <= pue * 0.4 * (1.0 + 1e-12)
        assert fleet.accounts.total("owed_mwh")[0] == pytest.approx(pue * waiting(fleet), abs=1e-12)
        assert fleet.accounts.total("owed_mwh")[0] <= fleet.most_of("owed_mwh", 0.25) + 1e-12
        assert fleet.costs()["data_center.dropped"][0] == pytest.approx(900.0 * dropped[-1])
        depth = math.floor(deadline / 0.25 + 1e-9)
        late = sum(arrived[: max(k + 1 - depth + 1, 0)]) - sum(done) - sum(dropped)
        assert late <= 1e-9, "nothing waits for longer than the deadline"


def test_work_is_dropped_when_its_time_is_over() -> None:
    """Two hours are eight intervals: what came in the first is dropped when the eighth ends, at its price."""
    fleet = started(DataCenter(18, 0.2, 500.0, interactive=0.0, deferrable=0.4, deadline_h=2.0))
    each = 0.25 * 0.4 * 0.1
    seen = []
    for t in range(10):
        seen.append(fleet.observe(np.array([t]))[0].tolist())
        assert act(fleet, 1.0, t) == pytest.approx(1.3 * 0.1)
        assert fleet.accounts.total("dropped_mwh")[0] == pytest.approx(each if t >= 7 else 0.0)
    np.testing.assert_allclose([queue for queue, _ in seen], each * np.minimum(np.arange(10), 7))
    np.testing.assert_allclose([due for _, due in seen], each * np.clip(np.arange(10) - 5, 0, 2), atol=1e-15)


def test_the_oldest_work_is_done_first() -> None:
    """Then nothing is dropped that could have been done."""
    fleet = started(DataCenter(18, 0.2, 500.0, interactive=0.5, deferrable=0.3, deadline_h=1.0))
    for t in range(3):
        act(fleet, 1.0, t)
    for t in range(3, 40):
        act(fleet, -1.0, t)
        assert fleet.accounts.total("dropped_mwh")[0] == 0.0


def test_doing_nothing_works_off_what_comes() -> None:
    """The neutral action: nothing waits, and nothing is owed at the end of the day."""
    spec = DataCenter(18, 0.2, 500.0)
    env = DistGridEnv(FEEDER, [spec], load=flat_load())
    env.reset(seed=0)
    powers = [env.step(env.neutral_action)[-1]["delivered"]["p_mw"][0] for _ in range(96)]
    assert env.fleet.accounts.total("owed_mwh")[0] == 0.0
    shares = spec.by_hour("interactive")
    expected = [-1.3 * (0.1 + 0.1 * (share + 0.2)) for share in shares for _ in range(4)]
    np.testing.assert_allclose(powers, expected, rtol=1e-12)


def test_cooling_follows_the_weather() -> None:
    """Xu, Feng and Li's fit: 1.30 at 35 degC in their table, 1.05 to 1.06 at -3.9; held beyond its range."""
    air = np.array([35.0, -3.9, 15.6, -30.0, 60.0])
    fleet = started(
        DataCenter(18, 0.2, 500.0, interactive=0.2, pue=None), profiles=SimpleNamespace(outdoor_c=air)
    )
    ratios = [act(fleet, 1.0, t) / (0.1 + 0.2 * 0.1) for t in range(5)]
    np.testing.assert_allclose(ratios[:3], [1.3056, 1.0594, 1.1557], atol=1e-4)
    np.testing.assert_allclose(ratios[3:], [1.0405, 1.4040], atol=1e-4)
    told = fleet.outlooks(np.arange(5), 0, 0)["data_center"]
    assert told.work is not None
    np.testing.assert_allclose(told.work.pue[:, 0], ratios, rtol=1e-12)
    with pytest.raises(
        ValueError, match="data_center_18: pue=None needs profiles with an outdoor temperature"
    ):
        started(DataCenter(18, 0.2, 500.0, pue=None), profiles=SimpleNamespace())


@pytest.mark.parametrize("dt_h", [0.25, 1.0, 2.0])
def test_hours_of_the_day_are_kept_in_any_step(dt_h: float) -> None:
    """Work arrives by its hour: the same in a day whatever the step."""
    hours = [0.0] * 8 + [0.6] * 10 + [0.1] * 6
    fleet = started(DataCenter(18, 0.2, 500.0, interactive=0.1, deferrable=hours), dt_h=dt_h)
    steps = round(24.0 / dt_h)
    energy = sum(dt_h * act(fleet, -1.0, t) for t in range(steps))
    assert energy == pytest.approx(1.3 * (24.0 * 0.1 + 0.1 * (2.4 + sum(hours))), rel=1e-12)


def test_rows_of_every_face_are_alike() -> None:
    """Trap 25b: balanced and per phase, with states that are restored and bounds that hold."""
    check_faces([DataCenter(18, 0.2, 500.0, deadline_h=2.0), DataCenter(25, 0.1, 90.0, deferrable=0.5)])
    own = [DataCenter("671", 0.3, 500.0, deadline_h=1.0), DataCenter("611", 0.02, 90.0, phase="C")]
    check_faces(own, case=FEEDER3, phased=True, steps=15)


def test_a_planner_is_told_what_waits_and_what_comes() -> None:
    env = DistGridEnv(FEEDER, [DataCenter(18, 0.2, 500.0, deadline_h=1.0)], load=flat_load())
    env.reset(seed=0)
    env.step([1.0])
    told = env.scenario.window(horizon=8).outlooks["data_center"]
    assert told.work is not None
    assert told.work.waiting_mwh.T.tolist() == [[0.0, 0.0, pytest.approx(0.25 * 0.2 * 0.1), 0.0]]
    np.testing.assert_allclose(told.work.arriving_mwh, 0.25 * 0.2 * 0.1)
    low, high = told.p_min_mw[0, 0], told.p_max_mw[0, 0]
    assert env.step([1.0])[-1]["delivered"]["p_mw"][0] == pytest.approx(high)
    assert low == pytest.approx(-1.3 * 0.2)


GOOD: dict[str, Any] = {"bus": 18, "p_mw": 0.5, "dropped_cost_per_mwh": 90.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": -0.5}, "p_mw must be greater than 0, got -0.5"),
        ({"dropped_cost_per_mwh": 0.0}, "dropped_cost_per_mwh must be greater than 0, got 0.0"),
        ({"interactive": 1.2}, r"interactive must be in \[0, 1\], got 1.2"),
        ({"interactive": [0.1] * 23}, "interactive must be one number or 24, one for each hour, got 23"),
        ({"deferrable": [0.1] * 23 + [math.nan]}, "deferrable of hour 23 must be a finite number, got nan"),
        ({"deferrable": 0.0}, "deferrable is 0 all day, so its action would do nothing"),
        ({"interactive": 0.6, "deferrable": 0.5}, "are 1.1 of what the servers can do in a day; expected 1"),
        ({"deadline_h": 0.0}, r"deadline_h must be in \(0, 168\], got 0.0"),
        ({"idle_share": 1.0}, r"idle_share must be in \[0, 0.95\], got 1.0"),
        ({"pue": 0.9}, r"pue must be in \[1, 3\], got 0.9"),
        ({"phase": "N"}, "phase 'N' is unknown; expected one of ABC"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    refuses(DataCenter, GOOD, change, f"DataCenter at bus 18: .*{message}|{message}")


def test_deadlines_and_phases_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"deadline_h must be two intervals of 0\.25 h or more.* got 0\.4"):
        started(DataCenter(18, 0.2, 500.0, deadline_h=0.4))
    with pytest.raises(ValueError, match="phase A needs A, but bus 611"):
        DistGrid3PhaseEnv(FEEDER3, [DataCenter("611", 0.1, 90.0, phase="A")])
