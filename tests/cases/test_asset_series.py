"""Prices, loads and telemetry with time stamps: order, gaps, zones and changes of clocks."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.cases import CaseError, assets
from distgrid.cases.profiles import Calendar

UTC = datetime.UTC
BERLIN = ZoneInfo("Europe/Berlin")
STANDARD = datetime.timezone(datetime.timedelta(hours=1))


def instants(first: str, hours: float, count: int) -> list[datetime.datetime]:
    """Instants at equal steps, the first in UTC."""
    start = datetime.datetime.fromisoformat(first).replace(tzinfo=UTC)
    return [start + k * datetime.timedelta(hours=hours) for k in range(count)]


def clock(times: Sequence[datetime.datetime], zone: datetime.tzinfo = BERLIN) -> list[str]:
    """What a clock on the wall shows."""
    return [time.astimezone(zone).replace(tzinfo=None).isoformat(" ") for time in times]


def price_file(folder: Path, stamps: Sequence[str]) -> Path:
    """Prices 0, 1, 2, ..."""
    path = folder / "prices.csv"
    rows = [f"{stamp},{k}" for k, stamp in enumerate(stamps)]
    path.write_text("\n".join(["ts,price_usd_mwh", *rows]) + "\n")
    return path


def told(path: Path, zone: str | None = None) -> list[tuple[int | None, str, str]]:
    """Row, value and expectation of every problem of a file of prices."""
    with pytest.raises(CaseError) as caught:
        assets.read_prices(path, zone=zone)
    return [(one.row, one.value, one.expected) for one in caught.value.problems]


GOOD = ["2016-06-21T00:00Z", "2016-06-21T01:00Z", "2016-06-21T02:00Z", "2016-06-21T03:00Z"]


def test_stamps_in_utc_are_one_hour_behind_standard_time_of_the_data(tmp_path: Path) -> None:
    """Row 51: the model year has UTC+1 all the year, as its first page says."""
    found = assets.read_prices(price_file(tmp_path, GOOD))
    assert found.calendar == Calendar("2016-06-21 01:00", 1.0, 4)
    np.testing.assert_array_equal(found.values, [0.0, 1.0, 2.0, 3.0])


def test_stamps_without_zone_are_standard_time_of_the_data(tmp_path: Path) -> None:
    found = assets.read_prices(price_file(tmp_path, [one[:-1] for one in GOOD]))
    assert found.calendar == Calendar("2016-06-21 00:00", 1.0, 4)


@pytest.mark.parametrize(
    ("change", "row", "expected"),
    [
        (lambda s: [*s[:2], *s[3:]], 4, "2016-06-21 02:00Z before it (1 stamp missing)"),
        (lambda s: [*s[:3], s[2], *s[3:]], 5, "each stamp once (it is in row 4)"),
        (lambda s: [*s[:2], s[3], s[2]], 5, "stamps in order (after 2016-06-21 03:00Z)"),
        (lambda s: [*s[:3], "2016-06-21T02:20Z", *s[3:]], 5, "steps of 1 h, as most have"),
        (lambda s: [*s[:2], "noon", *s[3:]], 4, "a time such as"),
        (lambda s: [*s[:2], "", *s[3:]], 4, "a text"),
        (lambda s: [*s[:2], s[2][:-1], *s[3:]], 4, "a zone or offset, as other stamps of the file have"),
        (lambda s: s[:1], 2, "two stamps or more"),
        (lambda s: [one.replace(":00Z", ":10Z") for one in s], 2, "no whole number of steps after midnight"),
    ],
)
def test_missing_doubled_unordered_and_odd_stamps_are_errors_with_their_row(
    change: object, row: int, expected: str, tmp_path: Path
) -> None:
    """Row 51: each is told with file and row."""
    problems = told(price_file(tmp_path, change(list(GOOD))))  # type: ignore[operator]
    assert any(line == row and expected in said for line, _, said in problems), problems


def test_no_rows_and_no_number_are_errors(tmp_path: Path) -> None:
    assert told(price_file(tmp_path, [])) == [(None, "no rows", "one row or more")]
    path = price_file(tmp_path, GOOD)
    path.write_text(path.read_text().replace("Z,1", "Z,nan").replace("Z,2", "Z,"))
    assert told(path) == [(3, "nan", "a finite number"), (4, "nothing", "a finite number")]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 94), min_size=1, max_size=5, unique=True))
def test_every_gap_is_told_once(left_out: list[int]) -> None:
    """Row 51: as many stamps are told to be missing as are."""
    stamps = [one.isoformat() for one in instants("2016-06-21", 0.25, 96)]
    with tempfile.TemporaryDirectory() as folder:
        path = price_file(Path(folder), [one for k, one in enumerate(stamps) if k not in left_out])
        problems = told(path)
    counted = [int(said.split("(")[1].split()[0]) for _, _, said in problems]
    assert sum(counted) == len(left_out)


def test_the_hour_that_comes_twice_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Row 51: on 2016-10-30 clocks of Berlin go back; the day has 25 hours, and none is lost or doubled."""
    times = instants("2016-10-29 22:00", 0.25, 100)
    stamps = clock(times)
    assert stamps.count("2016-10-30 02:15:00") == 2
    found = assets.read_prices(price_file(tmp_path, stamps), zone="Europe/Berlin")
    assert found.calendar == Calendar("2016-10-29 23:00", 0.25, 100)
    np.testing.assert_array_equal(found.values, np.arange(100.0))


def test_an_hour_that_comes_twice_and_is_written_once_is_a_gap(tmp_path: Path) -> None:
    stamps = clock(instants("2016-10-29 22:00", 1.0, 25))
    once = list(dict.fromkeys(stamps))
    assert len(once) == 24
    problems = told(price_file(tmp_path, once), "Europe/Berlin")
    assert problems == [(5, "2016-10-30 03:00:00", "2016-10-30 01:00Z before it (1 stamp missing)")]


def test_the_hour_that_clocks_skip_does_not_exist(tmp_path: Path) -> None:
    """Row 51: on 2016-03-27 clocks of Berlin go from 2 to 3."""
    stamps = clock(instants("2016-03-26 23:00", 0.25, 92))
    found = assets.read_prices(price_file(tmp_path, stamps), zone="Europe/Berlin")
    assert found.calendar == Calendar("2016-03-27 00:00", 0.25, 92)
    every = [f"2016-03-27 {hour:02d}:00" for hour in range(5)]
    problems = told(price_file(tmp_path, every), "Europe/Berlin")
    assert problems == [
        (4, "2016-03-27 02:00", "a time that clocks of Europe/Berlin show: they skip this one")
    ]


@settings(max_examples=25)
@given(
    st.datetimes(datetime.datetime(2015, 1, 1), datetime.datetime(2030, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    st.sampled_from([0.25, 0.5, 1.0]),
)
def test_clocks_of_any_zone_tell_the_same_instants(start: datetime.datetime, zone: str, hours: float) -> None:
    """Two days by the clock of a zone are the two days in UTC, whatever the clock does meanwhile."""
    first = start.replace(minute=0, second=0, microsecond=0).isoformat(" ")
    times = instants(first, hours, round(48 / hours))
    with tempfile.TemporaryDirectory() as folder:
        path = price_file(Path(folder), clock(times, ZoneInfo(zone)))
        found = assets.read_prices(path, zone=zone)
    assert found.calendar.start == times[0].astimezone(STANDARD).replace(tzinfo=None)
    assert found.calendar.n_steps == len(times)


def test_parquet_stamps_with_and_without_zone(tmp_path: Path) -> None:
    times = instants("2016-10-29 22:00", 1.0, 25)
    for zone in ("UTC", "Europe/Berlin"):
        table = pa.table({"ts": pa.array(times, pa.timestamp("ns", zone)), "price": np.arange(25)})
        pq.write_table(table, tmp_path / "prices.parquet")
        found = assets.read_prices(tmp_path / "prices.parquet")
        assert found.calendar == Calendar("2016-10-29 23:00", 1.0, 25)
    walls = [datetime.datetime.fromisoformat(one) for one in clock(times)]
    pq.write_table(pa.table({"ts": pa.array(walls), "price": np.arange(25.0)}), tmp_path / "prices.parquet")
    found = assets.read_prices(tmp_path / "prices.parquet", zone="Europe/Berlin")
    assert found.calendar == Calendar("2016-10-29 23:00", 1.0, 25)


def test_an_unknown_zone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone 'Europe/Berln' is unknown"):
        assets.read_prices(price_file(tmp_path, GOOD), zone="Europe/Berln")


def load_file(folder: Path, rows: Sequence[str]) -> Path:
    path = folder / "loads.csv"
    path.write_text("\n".join(["ts,bus_id,p_mw,q_mvar", *rows]) + "\n")
    return path


def test_loads_of_several_buses_may_be_mixed(tmp_path: Path) -> None:
    rows = [f"{ts},{bus},{k}.5,0.1" for k, ts in enumerate(GOOD) for bus in ("7", "18")]
    found = assets.read_loads(load_file(tmp_path, rows))
    assert (found.buses, found.phases) == (("7", "18"), ("", ""))
    np.testing.assert_array_equal(found.p_mw[:, 1], [0.5, 1.5, 2.5, 3.5])
    assert found.q_mvar is not None
    assert found.q_mvar.shape == (4, 2)


@pytest.mark.parametrize(
    ("drop", "row", "expected"),
    [(7, 7, "2016-06-21 03:00Z, as other series of the file have"), (1, 4, "2016-06-21 00:00Z, as other"),
     (3, 6, "2016-06-21 01:00Z before it")],
)  # fmt: skip
def test_a_bus_that_lacks_a_stamp_is_told(drop: int, row: int, expected: str, tmp_path: Path) -> None:
    """Row 51: each bus has the stamps of the others."""
    rows = [f"{ts},{bus},1.0," for ts in GOOD for bus in ("7", "18")]
    with pytest.raises(CaseError) as caught:
        assets.read_loads(load_file(tmp_path, rows[:drop] + rows[drop + 1 :]))
    assert any(one.row == row and expected in one.expected for one in caught.value.problems), str(
        caught.value
    )


def test_reactive_loads_are_given_for_all_rows_or_none(tmp_path: Path) -> None:
    rows = [f"{ts},7,1.0,{'' if k == 2 else 0.1}" for k, ts in enumerate(GOOD)]
    with pytest.raises(
        CaseError, match=r"loads\.csv:4: q_mvar = nothing: expected a number, as in other rows"
    ):
        assets.read_loads(load_file(tmp_path, rows))


TELEMETRY = "telemetry_id,ts,p_min_mw,p_max_mw"
PLANT = ("asset_id,bus_id,phase,asset_type,p_min_mw,p_max_mw,telemetry_id\n"
         "a,18,ABC,pv,0,0.5,t\nb,19,ABC,pv,0,0.5,pv:3\nc,20,ABC,battery,-0.1,0.1,t2\n")  # fmt: skip


def plant_set(folder: Path, rows: Sequence[str]) -> Path:
    (folder / "der_assets.csv").write_text(PLANT.replace("telemetry_id\n", "telemetry_id,energy_cap_mwh\n")
                                           .replace("t\n", "t,\n").replace("pv:3\n", "pv:3,\n")
                                           .replace("t2\n", "t2,0.2\n"))  # fmt: skip
    (folder / "telemetry.csv").write_text("\n".join([TELEMETRY, *rows]) + "\n")
    return folder


def test_limits_follow_telemetry_step_by_step(tmp_path: Path) -> None:
    """Row 42: series of limits are joined by telemetry_id and time, hourly ones hold for quarter hours."""
    stamps = clock(instants("2016-06-20 23:00", 1.0, 24), STANDARD)
    rows = [f"t,{ts},,{0.01 * k:.2f}" for k, ts in enumerate(stamps)]
    rows += [f"t2,{ts},{-0.002 * k:.3f},{0.003 * k:.3f}" for k, ts in enumerate(stamps)]
    found = assets.read_assets(plant_set(tmp_path, rows)).limits(Calendar("2016-06-21 06:00", 0.25, 8))
    hours = np.repeat([6.0, 7.0], 4)
    np.testing.assert_allclose(found.p_max_mw[:, 0], 0.01 * hours)
    np.testing.assert_allclose(found.p_min_mw[:, 0], 0.0)
    np.testing.assert_allclose(found.p_min_mw[:, 2], -0.002 * hours)
    np.testing.assert_allclose(found.p_max_mw[:, 2], 0.003 * hours)
    assert (found.p_max_mw[:, 1] <= 0.5).all()
    assert (found.q_max_mvar == 0.0).all()


def test_telemetry_short_of_the_calendar_is_told(tmp_path: Path) -> None:
    stamps = clock(instants("2016-06-20 23:00", 1.0, 20), STANDARD)
    rows = [f"{key},{ts},-0.1,0.01" for key in ("t", "t2") for ts in stamps]
    found = assets.read_assets(plant_set(tmp_path, rows))
    with pytest.raises(ValueError, match=r"telemetry t cover .* by 4 h at its end"):
        found.limits(Calendar("2016-06-21", 0.25, 96))


@pytest.mark.parametrize(
    ("change", "row", "column", "expected"),
    [
        (lambda r: [*r[:1], *r[2:]], 3, "ts", "before it (1 stamp missing)"),
        (lambda r: [*r[:2], r[1], *r[2:]], 4, "ts", "each stamp once"),
        (lambda r: [r[0].replace("0.01", "0.01x"), *r[1:]], 2, "p_max_mw", "a finite number"),
        (lambda r: [r[0].replace("-0.1,", "0.2,"), *r[1:]], 2, "p_min_mw", "p_max_mw (0.01) or less"),
        (lambda r: [*r[:2], r[2].replace("-0.1", ""), *r[3:]], 4, "p_min_mw", "as in other steps"),
    ],
)
def test_bad_telemetry_is_told(change: object, row: int, column: str, expected: str, tmp_path: Path) -> None:
    """Row 42: a bad stamp or limit is told with file and row."""
    stamps = clock(instants("2016-06-20 23:00", 1.0, 24), STANDARD)
    rows = [f"t,{ts},-0.1,0.01" for ts in stamps] + [f"t2,{ts},-0.1,0.01" for ts in stamps]
    folder = plant_set(tmp_path, change(rows))  # type: ignore[operator]
    found = [one for one in assets.check_assets(folder) if one.file.endswith("telemetry.csv")]
    assert any((one.row, one.field) == (row, column) and expected in one.expected for one in found), found
