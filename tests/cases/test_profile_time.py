"""Time as data: calendars, durations, and series in other steps with their energy kept."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distgrid.cases import CaseError, profiles
from distgrid.cases.profiles import MODEL_YEAR, Calendar, Duration, TimeSeries, resample

YEAR = profiles.load_profiles()
FIVE_MINUTES = 5 / 60
STEPS = (1.0, 0.5, 0.25, FIVE_MINUTES, 1 / 3, 0.75)


def test_a_calendar_turns_times_into_steps_and_back() -> None:
    """Begin, step and number say everything else: days, dates, weekdays, the step of a time."""
    june = Calendar("2016-06-01", 0.5, 48 * 30)
    assert (june.steps_per_day, june.n_days, june.weekday(0), june.day_label(29)) == (48, 30, 2, "2016-06-30")
    assert june.end == datetime.datetime(2016, 7, 1)
    assert june.index("2016-06-02 06:30") == 48 + 13 == june.index(61)
    assert june.time(61) == datetime.datetime(2016, 6, 2, 6, 30)
    assert june.index(np.datetime64("2016-06-30T23:30")) == june.n_steps - 1
    assert june.whole_days
    assert not Calendar("2016-06-01 06:00", 0.5, 48).whole_days
    assert not june.whole_years
    assert MODEL_YEAR.whole_years
    assert Calendar(datetime.date(2023, 1, 1), 1.0, 2 * 8784 - 24).whole_years  # 2023 and 2024
    assert copy.deepcopy(june) == june
    assert june.resampled(FIVE_MINUTES).n_steps == 288 * 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2016-06-01", 0.7, 10), "dt_h must be hours that divide a day.*got 0.7"),
        (("2016-06-01", 48.0, 10), "dt_h must be hours that divide a day"),
        (("2016-06-01", 0.0, 10), "dt_h must be"),
        (("2016-06-01", True, 10), "dt_h must be"),
        (("2016-06-01", 1e-6, 10), "no less than a second"),
        (("2016-06-01 00:10", 0.25, 10), "no whole number of steps after midnight"),
        (("1 June", 0.25, 10), "start must be a time such as"),
        (("2016-06-01T00:00+02:00", 0.25, 10), "without a time zone"),
        ((6, 0.25, 10), "start must be a time"),
        (("2016-06-01", 0.25, 0), "n_steps must be a whole number of at least 1, got 0"),
        (("2016-06-01", 0.25, 9.5), "n_steps must be a whole number"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Calendar(*arguments)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("2016-06-01 00:10", "no step begins at 2016-06-01 00:10:00: steps are 0.5 h long"),
        ("2016-07-01", r"2016-07-01 00:00:00 is outside the data: expected step 0 \(2016-06-01 00:00:00\)"),
        (-1, "step -1 is outside the data"),
        (1440, "step 1440 is outside the data"),
        (2.5, "start must be a step, or a time"),
    ],
)
def test_a_time_that_no_step_has_is_refused(when: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Calendar("2016-06-01", 0.5, 1440).index(when)


def test_a_duration_is_a_whole_number_of_steps() -> None:
    """Any up to a year; what is not whole is told with the nearest that is."""
    assert Duration().hours == 24.0
    assert Duration(hours=168).steps(0.25) == 672
    assert Duration(hours=1).steps(FIVE_MINUTES) == 12
    assert Duration(hours=8784).steps(1.0) == 8784
    with pytest.raises(
        ValueError, match=r"an episode of 1.1 h is no whole number of steps of 0.25 h: 1 h is"
    ):
        Duration(hours=1.1).steps(0.25)
    with pytest.raises(ValueError, match="no whole number of steps of 1 h: 1 h is"):
        Duration(hours=0.25).steps(1.0)
    for hours in (0.0, -1.0, 8785.0, float("nan"), "24", True):
        with pytest.raises(ValueError, match="hours of a duration must be above 0"):
            Duration(hours=hours)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 3).map(lambda d: 48 * d), st.integers(1, 3)),
           elements=st.floats(-1e3, 1e3)),
    st.sampled_from([24, 48, 96, 288, 72, 32]), st.sampled_from(["hold", "linear"]),
)  # fmt: skip
def test_energy_is_kept_in_steps_of_any_length(values: np.ndarray, per_day: int, refine: str) -> None:
    """Trap 40: the energy of every day, and of every step that is cut into finer ones, to 1e-9."""
    other = resample(values, 48, per_day, refine)
    days = values.shape[0] // 48
    scale = np.abs(values).max() + 1e-12
    before, after = (x.reshape(days, n, -1).mean(axis=1) for x, n in ((values, 48), (other, per_day)))
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9 * scale)
    if per_day % 48 == 0:
        steps = other.reshape(values.shape[0], per_day // 48, -1).mean(axis=1)
        np.testing.assert_allclose(steps, values, rtol=1e-9, atol=1e-9 * scale)
    assert other.min() >= values.min() - 1e-9 * scale
    assert other.max() <= values.max() + 1e-9 * scale


def test_prices_are_held_and_powers_run_on_lines() -> None:
    """What was published for an hour holds for it; a rising load rises inside its step, too."""
    ramp = np.array([0.0, 1.0, 2.0, 3.0])
    assert resample(ramp, 24, 48, "hold").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resample(ramp, 24, 48, "linear").tolist() == [0, 0, 0.75, 1.25, 1.75, 2.25, 3, 3]
    peak = np.array([0.0, 1.0, 0.0, 0.0])
    assert resample(peak, 24, 48, "linear").tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="expected one of hold, linear"):
        resample(ramp, 24, 48, "cubic")
    with pytest.raises(ValueError, match="4 steps of 1 h are no whole number of steps of 3 h"):
        resample(ramp, 24, 8, "hold")


@pytest.mark.parametrize("dt_h", STEPS)
def test_the_year_in_other_steps(dt_h: float) -> None:
    """Every series keeps the energy of every day to 1e-9, its length follows, sun and loads stay in range."""
    other = YEAR.resampled(dt_h)
    assert other is YEAR.resampled(dt_h)
    assert other.n_steps == round(366 * 24 / dt_h)
    assert other.n_days == 366
    assert other.dt_h == pytest.approx(dt_h)
    for name in ("load_p", "load_q", "pv", "wind", "price_usd_mwh"):
        mine, theirs = (getattr(p, name).reshape(366, p.steps_per_day, -1).sum(axis=1) * p.dt_h
                        for p in (other, YEAR))  # fmt: skip
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)
        assert not getattr(other, name).flags.writeable
    assert other.pv.min() >= 0.0
    assert other.pv.max() <= YEAR.pv.max()
    tariff = other.tariff("pge-a10-tou").reshape(366, -1).mean(axis=1)
    np.testing.assert_allclose(tariff, YEAR.tariff("pge-a10-tou").reshape(366, -1).mean(axis=1), rtol=1e-12)
    assert other.charger_days("jpl") is YEAR.charger_days("jpl")  # sessions keep their own times
    assert YEAR.resampled(0.25) is YEAR


def test_days_of_the_year_are_those_of_the_year() -> None:
    """A part begins with day 0; its sun, sessions and splits are those of the same dates."""
    june = YEAR.between("2016-06-01", "2016-07-01")
    assert (june.n_days, june.day_label(0), june.calendar.weekday(0)) == (30, "2016-06-01", 2)
    np.testing.assert_array_equal(june.pv, YEAR.pv[152 * 96 : 182 * 96])
    np.testing.assert_array_equal(
        june.tariff("sce-tou-ev-4"), YEAR.tariff("sce-tou-ev-4")[152 * 96 : 182 * 96]
    )
    test = profiles.split_days("test")
    assert june.split_days("test").tolist() == [d - 152 for d in test if 152 <= d < 182]
    days = june.ev_sessions["day"].to_numpy()
    wanted = YEAR.ev_sessions["day"].to_numpy()
    assert days.tolist() == (wanted[(wanted >= 152) & (wanted < 182)].astype(int) - 152).tolist()
    again = copy.deepcopy(june.resampled(1.0))
    np.testing.assert_array_equal(again.load_p, june.resampled(1.0).load_p)
    assert june.source is YEAR
    with pytest.raises(ValueError, match="outside these profiles"):
        YEAR.between("2016-12-01", "2017-01-02")
    with pytest.raises(ValueError, match="whole days from midnight"):
        YEAR.between("2016-06-01 06:00", "2016-06-03 06:00")


def test_series_of_ones_own_are_cut_to_the_days_that_all_have() -> None:
    """Hourly prices from noon to noon: what is played are the whole days between, in the year's steps."""
    hours = Calendar("2016-03-01 12:00", 1.0, 24 * 10)
    price = TimeSeries(np.arange(240.0), hours)
    mine = YEAR.with_series(price_usd_mwh=price)
    assert (str(mine.calendar.start), mine.n_days, mine.dt_h) == ("2016-03-02 00:00:00", 9, 0.25)
    assert mine.price_usd_mwh[:5].tolist() == [12.0] * 4 + [13.0]
    assert mine.resampled(2.0).price_usd_mwh[:2].tolist() == [12.5, 14.5]
    np.testing.assert_array_equal(mine.pv, YEAR.pv[61 * 96 : 70 * 96])
    sun = TimeSeries(np.full((48, 2), 0.5), Calendar("2016-03-05", 1.0, 48))
    both = mine.with_series(pv=sun)
    assert (both.n_days, both.pv.shape) == (2, (192, 2))
    assert both.price_usd_mwh[0] == 84.0
    with pytest.raises(
        ValueError, match=r"no whole day is common to profiles from 2016-01-01.*price_usd_mwh: 2023"
    ):
        YEAR.with_series(price_usd_mwh=TimeSeries(np.ones(24), Calendar("2023-03-01", 1.0, 24)))


def test_own_years_need_nothing_that_is_shipped() -> None:
    """Prices and sun of 2023: their dates, their weekdays; what is missing is told when it is asked for."""
    hours = Calendar("2023-03-01", 1.0, 24 * 5)
    mine = profiles.series_profiles(price_usd_mwh=TimeSeries(np.arange(120.0), hours), dt_h=0.5)
    assert (mine.day_label(0), mine.steps_per_day, mine.price_usd_mwh[3]) == ("2023-03-01", 48, 1.0)
    shipped = profiles.load_profiles().charger_days("jpl")
    np.testing.assert_array_equal(mine.charger_days("jpl").first, shipped.first)
    for ask, message in (
        (lambda: mine.pv, "no sun"), (lambda: mine.wind, "no wind"), (lambda: mine.outdoor_c, "no outdoor"),
        (lambda: mine.load_p, "give the loads by load="),
        (lambda: mine.split_days("train"), "shipped year 2016"), (lambda: mine.ev_sessions, "no table"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            ask()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeSeries(np.ones(23), Calendar("2016-01-01", 1.0, 24)), "must have 24 rows, got shape"),
        (lambda: YEAR.with_series(pv=_untyped([0.5] * 24)), "pv must be a TimeSeries"),
        (lambda: YEAR.with_series(pv=_day(np.ones(24))), r"pv must have shape \(n_steps, sites\)"),
        (lambda: YEAR.with_series(price_usd_mwh=_day(np.ones((24, 2)))), r"price_usd_mwh must have shape"),
        (
            lambda: YEAR.with_series(pv=_day(np.full((24, 2), -0.1))),
            "pv, row 0: column 0 = -0.1: expected 0 or more",
        ),
        (lambda: YEAR.resampled(0.7), "dt_h must be hours that divide a day"),
    ],
)
def test_series_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_value_that_is_no_number_is_named() -> None:
    values = np.ones((24, 3))
    values[7, 2] = np.nan
    with pytest.raises(CaseError, match=r"7.*column 2.*a finite number"):
        _day(values)


def _day(values: np.ndarray) -> TimeSeries:
    return TimeSeries(values, Calendar("2016-01-01", 1.0, 24))


def _untyped(value: Any) -> Any:
    return value
