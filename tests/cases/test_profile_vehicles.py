"""Days of single charging stations, from the shipped sessions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from distgrid.cases import profiles


@pytest.fixture(scope="module")
def year() -> profiles.Profiles:
    return profiles.load_profiles()


@pytest.mark.parametrize("site", profiles.CHARGER_SITES)
def test_days_hold_the_sessions_of_the_table(year: profiles.Profiles, site: str) -> None:
    """Capability 57: what is left out is said: stays beyond midnight and days that overlap."""
    days = year.charger_days(site)
    table = year.ev_sessions
    mine = table.filter(pc.and_(pc.equal(table["site"], site), pc.equal(table["year"], 2019)))
    energy = mine["del_kwh"].to_numpy()
    kept = days.energy_kwh
    assert 0.9 * energy.size < kept.size < energy.size
    assert np.isin(kept, energy).all()
    assert days.at[-1] == kept.size
    assert days.first[-1] == days.at.size - 1
    assert (days.arrival_h < days.departure_h).all()
    assert days.arrival_h.min() >= 0.0
    assert days.departure_h.max() <= 24.0
    for k in range(days.at.size - 1):
        own = slice(days.at[k], days.at[k + 1])
        assert (days.departure_h[own][:-1] <= days.arrival_h[own][1:]).all()
    stations = len(mine["station_id"].unique())
    whole = [profiles.weekday(int(d)) for d in mine["day"].unique().to_pylist()]
    for weekday in range(7):
        count = days.first[weekday + 1] - days.first[weekday]
        assert 0.95 * stations * whole.count(weekday) < count <= stations * whole.count(weekday)


def test_a_day_by_hand() -> None:
    """Two stations, three days: an idle one counts, an impossible one does not."""
    rows = [  # Friday 0, Saturday 1, Friday 7
        (0, 8.0, 2.0, "a"), (0, 9.5, 1.0, "a"), (0, 8.0, 17.0, "b"), (1, 8.0, 1.0, "a"),
        (7, 10.0, 1.0, "b"), (7, 8.0, 2.0, "b"),
    ]  # fmt: skip
    n = len(rows)
    table = pa.table(
        {
            "day": [r[0] for r in rows], "arrival_h": [r[1] for r in rows], "stay_h": [r[2] for r in rows],
            "req_kwh": [9.0] * n, "del_kwh": [float(k + 1) for k in range(n)], "site": ["jpl"] * n,
            "station_id": [r[3] for r in rows], "year": [2019] * n,
        }
    )  # fmt: skip
    days = profiles.charger_days(table, "jpl")
    # Friday 0: a overlaps, b passes midnight. Friday 7: a idle, b busy. Saturday 1: a busy, b idle.
    assert days.first.tolist() == [0, 0, 0, 0, 0, 2, 4, 4]
    assert days.at.tolist() == [0, 0, 2, 3, 3]
    assert days.energy_kwh.tolist() == [6.0, 5.0, 4.0]
    assert days.departure_h.tolist() == [10.0, 11.0, 9.0]
    with pytest.raises(ValueError, match="no charging sessions of caltech"):
        profiles.charger_days(table, "caltech")


def test_unknown_sites_and_one_object(year: profiles.Profiles) -> None:
    with pytest.raises(ValueError, match="unknown charging site 'mit'; choose one of jpl, caltech"):
        year.charger_days("mit")
    days = year.charger_days("jpl")
    assert year.charger_days("jpl") is days
    with pytest.raises(ValueError, match="read-only"):
        days.energy_kwh[0] = 0.0
