"""Prices, tariffs and charging sessions on the model year."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid.cases import profiles


@pytest.fixture(scope="module")
def year() -> profiles.Profiles:
    return profiles.load_profiles()


def test_prices_are_hourly_and_on_the_right_weekday(year: profiles.Profiles) -> None:
    """ERCOT 2021 on the days of 2016: both years begin on a Friday; the storm of February is kept."""
    hourly = year.price_hourly_usd_mwh
    assert hourly.shape == (8784,)
    assert np.array_equal(year.price_usd_mwh.reshape(8784, 4), np.repeat(hourly[:, None], 4, axis=1))
    assert hourly[0] == 18.31  # 2021-01-01, first hour
    by_day = hourly.reshape(366, 24)
    peak = int(by_day.max(axis=1).argmax())
    assert profiles.day_label(peak) in {f"2016-02-{d}" for d in range(14, 20)}
    assert by_day.max() == pytest.approx(8994.63)
    work = np.array([profiles.weekday(d) < 5 for d in range(366)])
    assert np.median(by_day[work]) > np.median(by_day[~work])


def test_tariffs_follow_the_published_hours(year: profiles.Profiles) -> None:
    """SCE TOU-EV-4 (2019-03-01) and PG&E A-10 TOU (2019-07-01), by season, weekday and hour."""
    assert year.tariff_names == ("sce-tou-ev-4", "pge-a10-tou")
    sce, pge = (year.tariff(name).reshape(366, 96) for name in year.tariff_names)
    summer, winter, sunday = 172, 10, 170  # Tuesday 21 June, Monday 11 January, Sunday 19 June
    assert [profiles.weekday(d) for d in (summer, winter, sunday)] == [1, 0, 6]
    assert sce[summer, [0, 31, 32, 48, 71, 72, 91, 92]] == pytest.approx(
        [56.23, 56.23, 92.5, 266.68, 266.68, 92.5, 92.5, 56.23]
    )
    assert sce[winter, [0, 40, 50, 80]] == pytest.approx([60.87, 74.92, 86.9, 74.92])
    assert sce[sunday] == pytest.approx(np.full(96, 56.23))
    assert pge[summer, [0, 33, 34, 48, 72, 85, 86]] == pytest.approx(
        [149.03, 149.03, 177.1, 232.23, 177.1, 177.1, 149.03]
    )
    assert pge[winter, [0, 34, 86]] == pytest.approx([130.64, 147.7, 130.64])
    # The seasons change where the tariff books say: 1 June and 1 October; 1 May and 1 November.
    change = np.flatnonzero(np.diff([sce[d, 0] for d in range(366)]))
    assert [profiles.day_label(d + 1) for d in change] == ["2016-06-01", "2016-10-01"]
    change = np.flatnonzero(np.diff([pge[d, 0] for d in range(366)]))
    assert [profiles.day_label(d + 1) for d in change] == ["2016-05-01", "2016-11-01"]


def test_tariffs_name_their_source() -> None:
    """Figures are committed with where they come from; demand charges stand beside them."""
    for tariff in profiles.TARIFFS.values():
        assert tariff.source.startswith("https://")
        assert sorted(m for season in tariff.seasons for m in season.months) == list(range(1, 13))
        assert all(season.demand_usd_kw > 0 for season in tariff.seasons)


def test_sessions_keep_weekday_and_time_of_day(year: profiles.Profiles) -> None:
    """ACN-Data (workplaces): mornings of workdays; energy and stay are positive."""
    table = year.ev_sessions
    assert table.num_rows > 25_000
    day, arrival = table["day"].to_numpy(), table["arrival_h"].to_numpy()
    assert day.min() >= 0
    assert day.max() <= 365
    assert (np.diff(day) >= 0).all()
    assert arrival.min() >= 0.0
    assert arrival.max() < 24.0
    assert table["stay_h"].to_numpy().min() > 0.0
    assert table["del_kwh"].to_numpy().min() > 0.0
    weekdays = np.bincount([profiles.weekday(int(d)) for d in day], minlength=7)
    assert weekdays[:5].min() > 3 * weekdays[5:].max()
    assert 6.0 < np.median(arrival) < 11.0
    assert set(table["site"].unique().to_pylist()) == {"caltech", "jpl"}
    assert set(table["year"].unique().to_pylist()) == {2019, 2020, 2021}
    assert table.schema.field("del_kwh").metadata == {b"unit": b"kWh"}
