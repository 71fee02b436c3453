"""A week in quarter hours and two days of hours in all faces: time is data of the scenario."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import EV, PV, Battery, DistGrid3PhaseEnv, DistGridEnv, baselines
from distgrid.baselines.rollouts.env_content import content_of
from distgrid.cases import profiles
from distgrid.envs import (
    Calendar,
    DistGrid3PhaseVectorEnv,
    DistGridVectorEnv,
    Duration,
    LossMinimisation,
    SeriesLoad,
    TimeSeries,
    VoltVar,
    VoltVar3,
)
from distgrid.envs.core.time_axis import first_days

from .world import FEEDER, FEEDER3

YEAR = profiles.load_profiles()
P, Q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
NIGHT = EV(18, 0.02, sessions=[(18.0, 7.0, 0.12), (9.0, 12.0, 0.03)], v2g_mw=0.01, name="night")
WEEKEND = EV(22, 0.05, sessions=[(4 * 24 + 17.0, 7 * 24 + 6.0, 0.4)], repeats="weekly", name="weekend")
FLEET = [NIGHT, WEEKEND, EV(25, 0.0074), PV(25, 0.5, site=3, controls="pq"), Battery(30, 0.2, 0.8)]
FLEET3 = [
    EV("671", 0.02, sessions=[(18.0, 7.0, 0.12)]), PV("675", 0.3, site=3, phase="A"),
    Battery("671", 0.2, 0.8),
]  # fmt: skip


def week(**options: Any) -> dict[str, Any]:
    return {"task": VoltVar(episode=Duration(hours=168)), **options}


def hours(**options: Any) -> dict[str, Any]:
    return {"task": VoltVar(episode=Duration(hours=48)), "profiles": YEAR.resampled(1.0), **options}


WORLDS: dict[str, tuple[Callable[..., DistGridEnv], Callable[..., Any], dict[str, Any], int]] = {
    "week": (DistGridEnv, DistGridVectorEnv, {"case": FEEDER, "resources": FLEET, **week()}, 672),
    "48 x 1 h": (DistGridEnv, DistGridVectorEnv, {"case": FEEDER, "resources": FLEET, **hours()}, 48),
    "6 h x 5 min": (
        DistGridEnv, DistGridVectorEnv,
        {"case": FEEDER, "resources": FLEET, "profiles": YEAR.resampled(5 / 60),
         "task": VoltVar(episode=Duration(hours=6))}, 72,
    ),
    "48 x 1 h, per phase": (
        DistGrid3PhaseEnv, DistGrid3PhaseVectorEnv,
        {"case": FEEDER3, "resources": FLEET3, **hours(task=VoltVar3(episode=Duration(hours=48)))}, 48,
    ),
}  # fmt: skip


# -- all faces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORLDS)
def test_a_row_of_a_vector_is_a_single_environment(name: str) -> None:
    """Trap 25b: bit for bit over the whole episode and into the next, cars that stay overnight included."""
    single, vector, options, steps = WORLDS[name]
    many = vector(num_envs=2, threads=1, **options)
    singles = [single(**options) for _ in range(2)]
    observations, infos = many.reset(seed=7)
    for row, env in enumerate(singles):
        obs, info = env.reset(seed=7 + row)
        assert obs.tobytes() == observations[row].tobytes()
        assert info["t_index"] == infos["t_index"][row]
    rng = np.random.default_rng(1)
    days = []
    for step in range(1, steps + 1):
        actions = rng.uniform(-1, 1, many.action_space.shape).astype(np.float32)
        observations, rewards, terminated, truncated, infos = many.step(actions)
        for row, env in enumerate(singles):
            obs, reward, ended, cut, info = env.step(actions[row])
            assert obs.tobytes() == observations[row].tobytes()
            assert (reward, info["cost"]) == (rewards[row], infos["cost"][row])
            assert (ended, cut) == (terminated[row], truncated[row]) == (False, step == steps)
            assert (info["day"], info["step"]) == (infos["day"][row], step)
        days.append(info["day"])
    assert len(set(days)) == max(options["task"].episode.hours / 24, 1)
    observations, *_, infos = many.step(np.zeros_like(actions))  # the next episode begins
    for row, env in enumerate(singles):
        obs, info = env.reset()
        assert obs.tobytes() == observations[row].tobytes()
        assert info["day"] == infos["day"][row]


@pytest.mark.parametrize(
    ("name", "policies"),
    [("week", ["do-nothing"]), ("48 x 1 h", ["do-nothing", "ev-valley-filling"])],
)
def test_a_run_is_played_recorded_and_drawn(name: str, policies: list[str], tmp_path: Path) -> None:
    """Capability 90: policies, tables, scores and the report of episodes of several days."""
    single, _, options, steps = WORLDS[name]
    make = functools.partial(single, split="test", **options)
    result = baselines.rollout(make, policies, 2, tmp_path / "run", progress=False)
    assert result.steps.num_rows == len(policies) * 2 * steps
    assert result.episodes["n_steps"].to_pylist() == [steps] * 2 * len(policies)
    assert (tmp_path / "run" / "report.png").stat().st_size > 20_000
    for summary in result.summary:
        assert summary.n_steps == 2 * steps
        assert 0.0 < summary.loss_mwh_per_day < 5.0  # a day's, however long episodes are
    held_out = set(profiles.split_days("test").tolist())
    per_day = round(24 / options.get("profiles", YEAR).dt_h)
    assert {t // per_day for t in result.steps["t_index"].to_pylist()} <= held_out


@pytest.mark.parametrize("name", ["week", "48 x 1 h, per phase"])
def test_the_picture_shows_the_whole_episode(name: str) -> None:
    """The axis of time is as long as the episode, and shows its dates; the title is the time that it is."""
    single, _, options, steps = WORLDS[name]
    env = single(render_mode="rgb_array", split="train", **options)
    env.reset(seed=0, options={"day": 4})
    for _ in range(steps // 2):
        env.step(env.neutral_action)
    half = env.render()
    assert half is not None
    renderer: Any = env._view._renderer  # type: ignore[union-attr]
    ax = renderer._strips[0]
    assert ax.get_xlim() == (0.0, options["task"].episode.hours)
    for _ in range(steps // 2):
        env.step(env.neutral_action)
    whole = env.render()
    assert whole is not None
    assert not np.array_equal(half, whole)
    end = {672: "2016-01-11 24:00", 48: "2016-01-06 24:00"}[steps]
    assert renderer._title.get_text().endswith(end)
    if steps == 672:
        labels = renderer._panels[-1].get_xticklabels()
        assert [label.get_text() for label in labels][:2] == ["Tue\n5 Jan", "Wed\n6 Jan"]


def test_a_state_in_the_middle_of_the_week_is_restored() -> None:
    """Cars in the middle of a night, days and clock: the future is the same again."""
    env = DistGridEnv(FEEDER, FLEET, **week())
    env.reset(seed=3, options={"day": 4})
    for _ in range(96 * 3 + 8):
        env.step(env.action_space.sample() * 0.3)
    saved = copy.deepcopy(env.get_state())
    played = []
    for _ in range(2):
        env.set_state(saved)
        played.append([env.step(env.neutral_action) for _ in range(100)])
    for (obs, reward, *_, info), (again, same, *_, told) in zip(*played, strict=True):
        assert obs.tobytes() == again.tobytes()
        assert (reward, info["day"], info["t_index"]) == (same, told["day"], told["t_index"])


# -- starts ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 59), min_size=1), st.integers(1, 96 * 4))
def test_starts_never_leave_the_split(days: set[int], steps: int) -> None:
    """Trap 13: every interval of an episode from one of the starts is on a day of its split."""
    split = np.array(sorted(days))
    calendar = Calendar("2016-01-01", 0.25, 96 * 60)
    try:
        first = first_days(calendar, split, steps, "mine")
    except ValueError:
        runs = np.split(split, np.flatnonzero(np.diff(split) != 1) + 1)
        assert max(len(run) for run in runs) * 96 < steps
        return
    for start in first * 96:
        assert {t // 96 for t in range(start, start + steps)} <= days
    left = set(days) - set(first.tolist())  # and no other day would do
    assert all(not {day + k for k in range(-(-steps // 96))} <= days for day in left)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_no_week_runs_from_train_into_test(split: str) -> None:
    """Trap 13: drawn weeks of each split stay in it, single and vector alike."""
    env = DistGridEnv(FEEDER, **week(), split=split)
    inside = set(profiles.split_days(split).tolist())
    assert len(env.days) > 4
    assert env.scenario.starts.tolist() == [96 * day for day in env.days]
    assert env.scenario.episode_steps == 672
    for seed in range(20):
        _, info = env.reset(seed=seed)
        assert {info["day"] + k for k in range(7)} <= inside
    many = DistGridVectorEnv(FEEDER, num_envs=20, **week(), split=split)
    _, infos = many.reset(seed=0)
    assert set(infos["day"].tolist()) <= set(env.days.tolist())


def test_an_episode_begins_at_any_interval_of_its_split() -> None:
    """`start` as a number or a time; at midnight it is the day, bit for bit; the clock is that of then."""
    env = DistGridEnv(FEEDER, FLEET, VoltVar(episode=Duration(hours=36)), split="train")
    by_day, info = env.reset(seed=1, options={"day": 22})
    by_start, told = env.reset(seed=1, options={"start": 96 * 22})
    assert by_day.tobytes() == by_start.tobytes()
    assert info["t_index"] == told["t_index"]
    _, info = env.reset(seed=1, options={"start": "2016-01-23 06:30"})
    assert (info["t_index"], info["day"], info["step"]) == (96 * 22 + 26, 22, 0)
    *_, truncated, info = [env.step(env.neutral_action) for _ in range(144)][-1]
    assert (truncated, info["day"], info["t_index"]) == (True, 23, 96 * 22 + 26 + 144)
    many = DistGridVectorEnv(FEEDER, FLEET, VoltVar(episode=Duration(hours=36)), split="train", num_envs=3)
    times = ["2016-01-23 06:30", 96 * 22, None]
    observations, infos = many.reset(seed=1, options={"start": times})
    assert infos["t_index"][:2].tolist() == [96 * 22 + 26, 96 * 22]
    assert observations[0].tobytes() == env.reset(seed=1, options={"start": times[0]})[0].tobytes()
    assert observations[2].tobytes() == env.reset(seed=3)[0].tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 96 * 10}, r"leaves split 'train' on day 10 \(2016-01-11\)"),
        ({"start": "2016-01-05 00:10"}, "no step begins at 2016-01-05 00:10:00: steps are 0.25 h long"),
        ({"start": "2017-01-05"}, "2017-01-05 00:00:00 is outside the data"),
        ({"start": -1}, "step -1 is outside the data"),
        ({"start": 1.5}, "start must be a step, or a time"),
        ({"start": True}, "start must be a step, or a time"),
        ({"day": 360}, "from 2016-12-26 00:00:00 is longer than the data, which end at 2017-01-01"),
        ({"day": 366}, "day 366 is outside the data"),
        ({"day": 4, "start": 96}, "give one of them"),
    ],
)  # fmt: skip
def test_a_start_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    for env in (DistGridEnv(FEEDER, **week()), DistGridVectorEnv(FEEDER, **week(), num_envs=1)):
        with pytest.raises((TypeError, ValueError), match=message):
            env.reset(options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": VoltVar(episode=Duration(hours=0.3))}, "0.3 h is no whole number of steps of 0.25 h"),
        (hours(task=VoltVar(episode=Duration(hours=0.5))), "no whole number of steps of 1 h"),
        (week(split="summer-pv"), "7 days does not fit inside split 'summer-pv', which has at most 4"),
        (week(days=[3, 4, 5]), "does not fit inside split 'days', which has at most 3 days in a row"),
        (week(load=SeriesLoad(FEEDER, np.tile(P, (96, 1)))), "longer than the data, which end at 2016-01-02"),
        ({"profiles": "2016"}, "profiles must be Profiles"),
        ({"prices": object()}, "prices must be a TimeSeries, one number for each step"),
        ({"prices": [1.0, 2.0]}, "prices must be one number for each of 35136 steps"),
        ({"prices": "sce-tou"}, "did you mean 'sce-tou-ev-4'"),
    ],
)  # fmt: skip
def test_times_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    for make in (DistGridEnv, DistGridVectorEnv):
        with pytest.raises((TypeError, ValueError), match=message):
            make(FEEDER, **options)


# -- data of one's own -----------------------------------------------------------------------------------


class SeesPrices(LossMinimisation):
    """The loss task, which observes prices and the clock."""

    @property
    def blocks(self) -> tuple[str, ...]:
        return ("clock", "price_usd_mwh", "load_p_mw")


def test_an_own_series_brings_its_own_calendar() -> None:
    """Half-hourly loads of June: sun, prices, clock and sessions are those of June, in half hours."""
    june = Calendar("2016-06-01", 0.5, 48 * 10)
    load = SeriesLoad(FEEDER, np.linspace(0.4, 0.8, 480)[:, None] * P, calendar=june)
    env = DistGridEnv(FEEDER, [PV(25, 0.5, site=3), EV(18, 0.0074)], SeesPrices(), load=load)
    observation, info = env.reset(seed=0, options={"start": "2016-06-03 12:00"})
    assert (info["day"], info["t_index"]) == (2, 120)
    half_hours = YEAR.resampled(0.5)
    at = 48 * 154 + 24
    seen = {name: observation[part] for name, part in env.layout.items()}
    assert seen["pv.p_avail_mw"][0] == pytest.approx(0.5 * half_hours.pv[at, 3], abs=1e-3)
    assert seen["price_usd_mwh"][0] == np.float32(half_hours.price_usd_mwh[at])
    angle = 2 * np.pi * np.array([0.5, (154.5) / 366])
    np.testing.assert_allclose(seen["clock"], [f(a) for a in angle for f in (np.sin, np.cos)], atol=1e-6)
    np.testing.assert_allclose(seen["load_p_mw"].sum(), load.active_mw[120].sum(), rtol=1e-6)
    cuts = [env.step(env.neutral_action)[3] for _ in range(48)]
    assert cuts == [False] * 47 + [True]
    assert env.reset(options={"day": 9})[1]["t_index"] == 48 * 9


@pytest.mark.parametrize("dt_h", [1.0, 5 / 60])
def test_an_own_series_in_other_steps_keeps_its_energy(dt_h: float) -> None:
    """Of every day and node to 1e-9, P and Q; splits and dates stay."""
    wave = 0.6 + 0.3 * np.sin(np.arange(480) / 7.0)[:, None]
    june = Calendar("2016-06-01", 0.5, 480)
    load = SeriesLoad(FEEDER, wave * P, wave[::-1] * Q, june, splits={"late": range(5, 10)})
    other = load.resampled(dt_h)
    assert (other.n_days, other.calendar.start, other.splits["late"].tolist()) == (
        10,
        june.start,
        [5, 6, 7, 8, 9],
    )
    for name in ("active_mw", "reactive_mvar"):
        mine, theirs = (
            np.asarray(getattr(one, name)).reshape(10, -1, 33).mean(axis=1) for one in (other, load)
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_prices_and_profiles_are_content_of_a_run() -> None:
    """Trap 39: equal ids and seeds, other prices or steps, another run; the same ones are the same run."""

    def content(**options: Any) -> str:
        return content_of(DistGridEnv(FEEDER, **options)).sha256

    def price(of: float) -> TimeSeries:
        return TimeSeries(np.full(240, of), Calendar("2016-03-01", 1.0, 240))

    assert content(prices=price(1.0)) == content(prices=price(1.0))
    assert content(profiles=YEAR.resampled(1.0)) == content(profiles=copy.deepcopy(YEAR.resampled(1.0)))
    every: list[dict[str, Any]] = [{}, {"prices": price(1.0)}, {"prices": price(2.0)}]
    every += [{"profiles": YEAR.resampled(1.0)}]
    every += [{"profiles": YEAR.with_series(price_usd_mwh=price(1.0))}]
    assert len({content(**options) for options in every}) == len(every)


def test_what_is_short_is_told_with_by_how_much() -> None:
    """Trap 40: loads of other days than the sun's, prices that end before the loads do."""
    load = SeriesLoad(FEEDER, np.tile(P, (240, 1)), calendar=Calendar("2016-12-28", 1.0, 240))
    message = r"sun, prices, sessions and clock cover 2016-01-01.*short of 2016-12-28.*by 144 h at its end"
    with pytest.raises(ValueError, match=message):
        DistGridEnv(FEEDER, load=load)
    mine = SeriesLoad(FEEDER, np.tile(P, (240, 1)), calendar=Calendar("2016-03-01", 1.0, 240))
    price = TimeSeries(np.ones(120), Calendar("2016-03-02", 1.0, 120))
    with pytest.raises(ValueError, match=r"prices cover.*by 24 h at its begin and 96 h at its end"):
        DistGridEnv(FEEDER, load=mine, prices=price)


def test_prices_of_ones_own_say_which_days_are_played() -> None:
    """The shipped loads on the days that the prices have; a tariff by name; numbers for each step."""
    price = TimeSeries(np.arange(240.0), Calendar("2016-03-01", 1.0, 240))
    env = DistGridEnv(FEEDER, task=SeesPrices(), prices=price)
    assert (env.load.n_days, env.profiles.day_label(0)) == (10, "2016-03-01")
    assert set(env.days) <= set(range(10))
    observation, _ = env.reset(seed=0, options={"day": 1})
    assert observation[env.layout["price_usd_mwh"]][0] == 24.0
    whole = DistGridEnv(FEEDER, task=SeesPrices())
    same, _ = whole.reset(seed=0, options={"day": 61})
    np.testing.assert_array_equal(observation[env.layout["load_p_mw"]], same[whole.layout["load_p_mw"]])
    np.testing.assert_allclose(observation[env.layout["clock"]], same[whole.layout["clock"]], atol=1e-6)
    tariff = DistGridEnv(FEEDER, task=SeesPrices(), prices="sce-tou-ev-4", profiles=YEAR.resampled(1.0))
    observation, _ = tariff.reset(options={"start": 24 * 4 + 13})
    assert observation[tariff.layout["price_usd_mwh"]][0] == np.float32(86.9)
    flat = DistGridEnv(FEEDER, task=SeesPrices(), prices=np.full(YEAR.n_steps, 50.0))
    assert flat.reset(seed=0)[0][flat.layout["price_usd_mwh"]][0] == 50.0


def test_years_of_ones_own_need_no_shipped_day() -> None:
    """731 days of 2023 and 2024 with prices and sun of their own: Trap 40's data, played on its last day."""
    span = Calendar("2023-01-01", 1.0, 731 * 24)
    price = TimeSeries(np.ones(span.n_steps), span)
    sun = TimeSeries(np.full((span.n_steps, 1), 0.25), span)
    load = SeriesLoad(FEEDER, np.ones((span.n_steps, 1)) * P, calendar=span, splits={"late": range(700, 731)})
    env = DistGridEnv(
        FEEDER, [PV(25, 0.5, site=0)], load=load, split="late",
        profiles=profiles.series_profiles(price_usd_mwh=price, pv=sun),
    )  # fmt: skip
    _, info = env.reset(seed=0, options={"start": "2024-12-31"})
    assert info["day"] == 730
    for _ in range(24):
        *_, truncated, info = env.step([0.0])
        assert info["delivered"]["p_mw"][0] == pytest.approx(0.125)
    assert truncated
