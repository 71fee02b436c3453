"""Loads of one's own: which day of sun, clock and split they meet, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import baselines, physics
from distgrid.cases import profiles
from distgrid.cases.profiles import Calendar, Duration
from distgrid.envs import (
    EV,
    PV,
    Battery,
    DistGrid3PhaseEnv,
    DistGridEnv,
    DistGridVectorEnv,
    Fleet,
    ProfileLoad,
    SeriesLoad,
    VoltVar,
)
from distgrid.envs.core.columns import load_points

from .world import FEEDER, FEEDER3, flat_load, make

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
P, Q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
YEAR = profiles.load_profiles()


def ramp(days: int) -> SeriesLoad:
    """Loads that grow a little with every interval: each is told from all others."""
    growth = 0.4 + 0.5 * np.arange(96 * days)[:, None] / (96 * days)
    return SeriesLoad(FEEDER, P * growth, Q * growth)


# -- time ------------------------------------------------------------------------------------------------


def test_a_load_longer_than_the_year_is_refused() -> None:
    """Trap 40: 731 days made PV read behind its profile."""
    for days in (367, 731):
        load = SeriesLoad(FEEDER, np.ones((96 * days, 1)) * P)
        with pytest.raises(ValueError, match=f"by {24 * (days - 366)} h at its end"):
            DistGridEnv(FEEDER, load=load)
    assert SeriesLoad(FEEDER, np.ones((96 * 366, 1)) * P).n_days == 366


@pytest.mark.parametrize("calendar", [24, 0.25, "2016-01-01", Calendar("2016-01-01", 1.0, 24)])
def test_rows_that_do_not_fit_the_calendar_are_refused(calendar: Any) -> None:
    """Trap 40: hourly data was replayed four times a day, 5-minute data played its first eight hours."""
    with pytest.raises(
        (TypeError, ValueError), match=r"calendar must be a Calendar|must have shape \(24, 33"
    ):
        SeriesLoad(FEEDER, np.ones((288 * 2, 1)) * P, None, calendar)


def test_the_sun_of_a_day_is_that_of_the_model_year() -> None:
    """Day d of a series meets day d: power available, clock, day in info; the last day of 366 included."""
    env = DistGridEnv(FEEDER, [PV(25, 0.5, site=3)], load=flat_load(0.5, days=366))
    for day in (0, 171, 365):
        observation, info = env.reset(options={"day": day})
        for step in range(96):
            t = 96 * day + step
            assert info["t_index"] == t
            assert observation[env.layout["pv.p_avail_mw"]][0] == pytest.approx(0.5 * YEAR.pv[t, 3], abs=1e-6)
            angle = 2 * np.pi * t / YEAR.n_steps
            np.testing.assert_allclose(
                observation[env.layout["clock"]][2:], [np.sin(angle), np.cos(angle)], atol=1e-6
            )
            observation, _, _, truncated, info = env.step([0.0])
        assert truncated
        assert np.isfinite(observation).all()


def test_before_its_first_day_a_series_shows_its_first_interval() -> None:
    """Not its own evening: a day that has not been played yet cannot have been before."""
    env = make(resources=[], load=ramp(1))
    _, info = env.reset(options={"day": 0})
    wanted = physics.solve(env.net, 0.4 * P, 0.4 * Q)
    np.testing.assert_allclose(info["voltages"], wanted.v_pu, atol=1e-12)
    many = DistGridVectorEnv(FEEDER, load=ramp(1), num_envs=3)
    np.testing.assert_allclose(many.reset(seed=0)[1]["voltages"], np.tile(wanted.v_pu, (3, 1)), atol=1e-12)


def test_the_second_day_begins_after_the_first() -> None:
    env = make(resources=[], load=ramp(2))
    _, info = env.reset(options={"day": 1})
    growth = 0.4 + 0.5 * 95 / 192
    np.testing.assert_allclose(
        info["voltages"], physics.solve(env.net, growth * P, growth * Q).v_pu, atol=1e-12
    )


def test_after_its_last_day_a_series_holds() -> None:
    """The observation at the end of the last day, from which values are bootstrapped, shows no other day."""
    env = make(resources=[], load=ramp(2))
    env.reset(options={"day": 1})
    for _ in range(96):
        observation, *_ = env.step([])
    growth = 0.4 + 0.5 * 191 / 192
    np.testing.assert_allclose(observation[env.layout["load_p_mw"]], growth * P, atol=1e-6)
    clock = observation[env.layout["clock"]]
    np.testing.assert_allclose(clock[:2], [0.0, 1.0], atol=1e-6, err_msg="midnight")
    np.testing.assert_allclose(clock[2], np.sin(2 * np.pi * 2 / 366), atol=1e-6, err_msg="of the third day")


def test_cars_of_an_own_series_follow_the_weekday() -> None:
    """Charging sessions, too, are those of the model year's day."""
    env = DistGridEnv(FEEDER, [EV(18, 0.05)], load=flat_load(0.5, days=9))
    shipped = DistGridEnv(FEEDER, [EV(18, 0.05)])
    for day in (3, 8):  # a Monday, a Saturday
        for world in (env, shipped):
            world.reset(seed=5, options={"day": day})
        for _ in range(96):
            mine, theirs = env.step([-1.0])[4], shipped.step([-1.0])[4]
            assert mine["delivered"]["p_mw"][0] == theirs["delivered"]["p_mw"][0]


class ShortSun:
    """Profiles whose sun ends after a day."""

    pv = YEAR.pv[:96]


def test_a_sun_that_is_shorter_than_the_load_is_told_of() -> None:
    """No kernel reads beyond its arrays: whoever asks for a later or an earlier interval gets an error."""
    fleet = Fleet([PV(25, 0.5, controls="pq")], FEEDER)
    fleet.bind(2, 0.25, ShortSun())
    fleet.reset(np.arange(2), [np.random.default_rng(0)] * 2)
    fleet.advance(np.ones((2, 2)), np.array([0, 95]))
    fleet.observe(np.array([0, 95]))
    for t in (96, 10**9, -1):
        with pytest.raises(ValueError, match=f"interval {t} is beyond the PV profile, which has 96"):
            fleet.advance(np.ones((2, 2)), np.array([0, t]))
        with pytest.raises(ValueError, match=f"interval {t}"):
            fleet.observe(np.array([t, 0]))


# -- which feeder ----------------------------------------------------------------------------------------


def test_a_load_of_another_feeder_is_refused() -> None:
    """Compiled loops read as many columns as the feeder has nodes."""
    mine = flat_load()
    with pytest.raises(ValueError, match=r"SeriesLoad is not for feeder 'case69'"):
        DistGridEnv("case69", load=mine)
    with pytest.raises(ValueError, match="load points"):
        DistGrid3PhaseEnv(FEEDER3, load=mine)
    with pytest.raises(ValueError, match="no room"):
        mine.fill(np.zeros(1, dtype=np.int64), np.zeros((1, 34)), np.zeros((1, 34)))
    with pytest.raises(ValueError, match="no room"):
        mine.fill(np.zeros(2, dtype=np.int64), np.zeros((1, 33)), np.zeros((1, 33)))


def test_an_assignment_of_another_feeder_or_to_other_shapes_is_refused() -> None:
    wanted = profiles.assignment(FEEDER)
    with pytest.raises(ValueError, match=r"make it with profiles.assignment"):
        ProfileLoad(FEEDER3, wanted, YEAR)
    for shape in (-1, 10**6):
        index = wanted.shape_index.copy()
        index[3] = shape
        with pytest.raises(ValueError, match="shapes that the profiles do not have"):
            ProfileLoad(FEEDER, dataclasses.replace(wanted, shape_index=index), YEAR)


def test_growth_is_for_the_loads_of_the_case() -> None:
    """`load_scale` beside a series of one's own would change nothing."""
    with pytest.raises(ValueError, match="scale the series"):
        DistGridEnv(FEEDER, load=flat_load(), load_scale=1.4)
    made = gym.make("distgrid/VoltVar-33bw-v0", load=flat_load()).unwrapped
    assert isinstance(made, DistGridEnv)
    assert made.load_scale == 1.0


def test_a_fleet_is_advanced_row_by_row_of_its_own() -> None:
    """Another number of rows or columns would be read and written beside arrays."""
    fleet = Fleet([PV(25, 0.5), Battery(18, 0.2, 0.8)], FEEDER)
    fleet.bind(2, 0.25, YEAR)
    fleet.reset(np.arange(2), [np.random.default_rng(0)] * 2)
    for t in (np.zeros(1, dtype=np.int64), np.zeros(3, dtype=np.int64)):
        with pytest.raises(ValueError, match=r"t_index has shape \(\d,\), expected \(2,\)"):
            fleet.advance(np.zeros((2, 2)), t)
        with pytest.raises(ValueError, match="t_index has shape"):
            fleet.observe(t)
    for shape in ((2, 12), (1, 33), (2, 34)):
        with pytest.raises(ValueError, match=r"injections need arrays of shape \(2, 33\)"):
            fleet.add_injections(np.zeros(shape), np.zeros((2, 33)))


def test_a_run_on_own_data_is_told_as_what_it_is() -> None:
    """`run.json` of a run on all days says neither `train` nor `test`; a split not played is refused."""
    env = DistGridEnv(
        FEEDER,
        [Battery(18, 0.2, 0.8)],
        load=flat_load(0.8, days=12),
        task=VoltVar(episode=Duration(hours=2 / 4)),
    )
    result = baselines.rollout(env, "do-nothing", episodes=2, progress=False)
    assert result.manifest.parameters["split"] == "all"
    with pytest.raises(baselines.RunError, match="plays split 'all', the run was asked for 'test'"):
        baselines.rollout(env, "do-nothing", episodes=1, split="test", progress=False)
    held_out = make(resources=[Battery(18, 0.2, 0.8)], load=flat_load(0.8, days=12), split="test")
    result = baselines.rollout(held_out, "do-nothing", episodes=2, progress=False)
    assert result.manifest.parameters["split"] == "test"
    assert set(result.episodes["day"].to_pylist()) == {10, 11}


# -- splits ----------------------------------------------------------------------------------------------


def days_of(**options: Any) -> list[int]:
    env = make(**options)
    many = DistGridVectorEnv(FEEDER, num_envs=2, **options)
    assert env.days.tolist() == many.days.tolist()
    assert env.split == many.split
    assert {env.reset(seed=s)[1]["day"] for s in range(20)} <= set(env.days.tolist())
    return [int(day) for day in env.days]


def test_splits_of_own_data_are_disjoint() -> None:
    """Trap 40: train and test had the same days. Day d is day d of the model year, and in its split."""
    load = flat_load(days=60)
    found = {split: days_of(load=load, split=split) for split in ("train", "val", "test")}
    for split, days in found.items():
        assert days == [d for d in profiles.split_days(split).tolist() if d < 60]
    assert not set(found["train"]) & set(found["test"])
    assert days_of(load=load) == list(range(60))
    assert make(load=load).split == "all"


def test_splits_that_own_data_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"none of the 5 days.*first is day 10"):
        make(load=flat_load(days=5), split="test")
    with pytest.raises(ValueError, match=r"extreme days of the shipped loads"):
        make(load=flat_load(days=366), split="winter-peak")
    with pytest.raises(ValueError, match="unknown split"):
        make(load=flat_load(days=5), split="all")


def test_own_splits_are_what_their_owner_says() -> None:
    p = np.tile(P, (96 * 6, 1))
    load = SeriesLoad(FEEDER, p, splits={"train": [0, 1, 2], "test": range(3, 5), "holiday": [5]})
    assert days_of(load=load, split="holiday") == [5]
    assert days_of(load=load, split="train") == [0, 1, 2]
    assert make(load=load, split="holiday").split == "holiday"
    with pytest.raises(ValueError, match="train, test, holiday"):
        make(load=load, split="val")
    for splits, message in (
        ({"train": [0, 6]}, r"'train' must list days of the series, whole numbers in 0\.\.5"),
        ({"train": []}, "'train' must list days"),
        ({"train": [0.5]}, "whole numbers"),
        ({"train": [0, 1], "test": [1]}, "day 1 is in the split train and held out"),
    ):
        with pytest.raises(ValueError, match=message):
            SeriesLoad(FEEDER, p, splits=splits)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dict of days by name"):
        SeriesLoad(FEEDER, p, splits=[0, 1])  # type: ignore[arg-type]


def test_days_choose_what_reset_draws() -> None:
    """On the shipped year and on one's own, in both faces."""
    assert days_of(days=[200, 17]) == [200, 17]
    assert days_of(days=range(3, 5), load=flat_load(days=5)) == [3, 4]
    assert make(days=np.array([7])).split == "days"
    made = gym.make_vec("distgrid/VoltVar-33bw-v0", num_envs=3, days=[40])
    np.testing.assert_array_equal(made.reset(seed=0)[1]["day"], [40, 40, 40])
    for days, error, message in (
        ([], ValueError, "empty"),
        ([366], ValueError, r"expected 0\.\.365"),
        ([-1], ValueError, "outside"),
        ([1.5], TypeError, "whole numbers"),
        ([True], TypeError, "whole numbers"),
        (5, TypeError, "list of days"),
        ("12", TypeError, "list of days"),
    ):
        with pytest.raises(error, match=message):
            make(days=days)
    with pytest.raises(ValueError, match="both say"):
        make(days=[3], split="test")
    with pytest.raises(ValueError, match=r"expected 0\.\.4"):
        make(days=[5], load=flat_load(days=5))


def test_points_of_a_three_phase_series() -> None:
    """Per phase the columns are the load points; splits and days hold there, too."""
    n = len(load_points(FEEDER3).names)
    load = SeriesLoad(FEEDER3, np.full((96 * 12, n), 0.01))
    env = DistGrid3PhaseEnv(FEEDER3, load=load, split="test", task=VoltVar())
    assert env.days.tolist() == [10, 11]
    with pytest.raises(ValueError, match=f"{n} load points"):
        SeriesLoad(FEEDER3, np.zeros((96, n + 1)))
