"""Cars that stay overnight, for a weekend, or that are there when an episode begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import EV, DistGridEnv, baselines
from distgrid.cases import profiles
from distgrid.envs import Duration, LossMinimisation
from distgrid.envs.resources import Fleet

from .world import FEEDER

YEAR = profiles.load_profiles()
WEEKEND = EV(22, 0.05, sessions=[(4 * 24 + 17.0, 7 * 24 + 6.0, 0.4)], repeats="weekly", name="weekend")


def played_stations(specs: list[EV], action: float, start: Any, n_hours: int) -> dict[str, np.ndarray]:
    """What stations deliver and cost from `start` on, an entry a quarter hour."""
    task = LossMinimisation(episode=Duration(hours=n_hours))
    env = DistGridEnv(FEEDER, specs, task, days=range(366))
    observation, _ = env.reset(seed=0, options={"start": start})
    told: dict[str, list[Any]] = {"p": [], "cost": [], "plugged_in": [], "need_mwh": [], "departure_h": []}
    for _ in range(4 * n_hours):
        for name in ("plugged_in", "need_mwh", "departure_h"):
            told[name].append(observation[env.layout[f"ev.{name}"]])
        observation, *_, info = env.step(np.full(len(specs), action, dtype=np.float32))
        told["p"].append(info["delivered"]["p_mw"])
        told["cost"].append(info["cost_resource"])
    return {name: np.array(values) for name, values in told.items()}


@pytest.mark.parametrize("written", [(18.0, 7.0, 0.12), (18.0, 31.0, 0.12)])
def test_a_car_stays_overnight(written: tuple[float, float, float]) -> None:
    """Capability 57: what it takes before and after midnight is one need; it leaves in the morning."""
    slow = EV(18, 0.01, sessions=[written], undelivered_cost_per_mwh=2.0)
    told = played_stations([slow], -1.0, "2016-03-01 12:00", 24)
    stay = slice(4 * 6, 4 * 19)
    assert (told["plugged_in"][stay] == 1.0).all()
    assert told["plugged_in"].sum() == 4 * 13
    assert told["departure_h"][stay.start] == 13.0
    assert told["need_mwh"][stay.start] == pytest.approx(0.12)
    assert (told["p"][stay] <= 0.0).all()
    assert (np.delete(told["p"], np.r_[stay]) == 0.0).all()
    taken = -0.25 * told["p"].sum()
    assert taken == pytest.approx(min(0.12 / 0.95, 13 * 0.01), rel=1e-9)
    missing = 0.12 - 0.95 * taken
    assert told["cost"][stay.stop - 1] == pytest.approx(2.0 * max(missing, 0.0), abs=1e-9)
    assert (np.delete(told["cost"], stay.stop - 1) == 0.0).all()


def test_a_car_stays_for_the_weekend() -> None:
    """A weekly plan: from Friday 17:00 to Monday 6:00, over three midnights, and nobody else all week."""
    told = played_stations([WEEKEND], 1.0, "2016-03-03", 168)  # a Thursday
    there = np.flatnonzero(told["plugged_in"][:, 0])
    assert (there[0], there[-1], there.size) == (4 * (24 + 17), 4 * (4 * 24 + 6) - 1, 4 * 61)
    assert told["departure_h"][there[0], 0] == 61.0
    assert told["cost"][there[-1]] == pytest.approx(0.4)  # +1: rests all the time


def test_a_car_that_is_there_at_the_start_has_charged_since_it_came() -> None:
    """As where nobody controls: what it needs at midnight is what was left of it then."""
    car = EV(18, 0.01, sessions=[(18.0, 7.0, 0.12)])
    before = played_stations([car], -1.0, "2016-03-01 12:00", 24)
    after = played_stations([car], -1.0, "2016-03-02 00:00", 12)
    np.testing.assert_allclose(after["need_mwh"][:, 0], before["need_mwh"][48:, 0], atol=1e-7)
    np.testing.assert_allclose(after["p"], before["p"][48:], rtol=1e-9)
    assert after["need_mwh"][0, 0] == pytest.approx(0.12 - 6 * 0.01 * 0.95)
    fresh = played_stations([car], -1.0, "2016-03-01 18:00", 12)
    assert fresh["need_mwh"][0, 0] == pytest.approx(0.12)


night_stays = st.tuples(st.integers(48, 95), st.integers(1, 96), st.floats(0.0, 0.3))


@settings(max_examples=25, deadline=None)
@given(night_stays, st.lists(st.floats(-1.0, 1.0), min_size=192, max_size=192), st.sampled_from([0.0, 0.03]))
def test_every_mwh_of_a_night_is_accounted_for(
    drawn: tuple[int, int, float], actions: list[float], v2g: float
) -> None:
    """Capability 57, Trap 21: need is delivered or missing, to 1e-9, wherever midnight falls."""
    first, length, energy = drawn
    spec = EV(18, 0.04, sessions=[(first / 4, (first + length) / 4, energy)], v2g_mw=v2g)
    fleet = Fleet([spec], FEEDER)
    fleet.bind(1, 0.25, YEAR)
    fleet.reset(np.zeros(1, dtype=np.int64), [np.random.default_rng(0)])
    p, short = np.zeros(192), np.zeros(192)
    for k, action in enumerate(actions):
        fleet.advance(np.array([[action]]), np.array([96 * 60 + k]))
        p[k], short[k] = fleet.delivered_p_mw[0, 0], fleet.state()["ev.undelivered_mwh"][0, 0]
    stay = slice(first, first + length)
    into = 0.25 * (0.95 * np.maximum(-p[stay], 0.0) - np.maximum(p[stay], 0.0) / 0.95)
    assert energy - into.sum() == pytest.approx(short[stay.stop - 1], abs=1e-9)
    assert (np.cumsum(into) >= -1e-9).all()


@pytest.mark.parametrize("policy", ["ev-asap", "ev-valley-filling", "ev-cheapest"])
def test_policies_deliver_overnight(policy: str) -> None:
    """Three days in hours, from noon: each car leaves with what it needs, over midnight and the weekend."""
    night = EV(18, 0.03, sessions=[(18.0, 7.0, 0.12)], undelivered_cost_per_mwh=2.0)
    task = LossMinimisation(episode=Duration(hours=96))
    env = DistGridEnv(FEEDER, [night, WEEKEND], task, profiles=YEAR.resampled(1.0), days=range(366))
    obs, info = env.reset(seed=0, options={"start": "2016-03-04 12:00"})  # a Friday
    chosen = baselines.make(policy, env)
    chosen.reset(obs, info)
    taken, truncated = np.zeros(2), False
    while not truncated:
        obs, _, _, truncated, info = env.step(chosen.act(obs, info))
        assert info["cost_resource"] == 0.0
        taken -= info["delivered"]["p_mw"]
    assert taken[1] == pytest.approx(0.4 / 0.95, rel=1e-6)
    assert taken[0] >= 3 * 0.12 / 0.95 - 1e-6  # three nights are over
