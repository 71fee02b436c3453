"""Wind and outdoor temperature: what is shipped, what a user gives in their place, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import distgrid
from distgrid import cases
from distgrid.cases import profiles

DATA = Path(distgrid.__file__).parent / "cases" / "data"
YEAR = profiles.load_profiles()


def _hourly(values: NDArray[np.float64], start: str = "2016-03-01") -> profiles.TimeSeries:
    return profiles.TimeSeries(values, profiles.Calendar(start, 1.0, len(values)))


def test_shipped_wind_is_per_unit_of_each_site() -> None:
    """Twelve sites between 0 and 1 that blow together, by day and by night, more in winter than in summer."""
    assert YEAR.wind.shape == (profiles.N_STEPS, 12)
    assert not YEAR.wind.flags.writeable
    assert YEAR.wind.flags.c_contiguous
    assert YEAR.wind.min() >= 0.0
    assert 0.95 < YEAR.wind.max() <= 1.0
    assert 0.2 < YEAR.wind.mean(axis=0).min() < YEAR.wind.mean(axis=0).max() < 0.65
    between = np.asarray(np.corrcoef(YEAR.wind.T))[np.triu_indices(12, 1)]
    assert 0.3 < between.min() < between.max() < 0.98
    month = np.array([profiles.month(day) for day in range(366)])
    daily = YEAR.wind.mean(axis=1).reshape(366, 96).mean(axis=1)
    assert daily[(month <= 2) | (month == 12)].mean() > daily[(month >= 6) & (month <= 8)].mean()


def test_shipped_temperature_goes_with_the_heat_pumps() -> None:
    """A German year with a cold December, warmest in the afternoon; heat pumps draw more on cold days."""
    outdoor = YEAR.outdoor_c
    assert outdoor.shape == (profiles.N_STEPS,)
    assert not outdoor.flags.writeable
    assert -11.0 < outdoor.min() < -9.0
    assert 9.5 < outdoor.mean() < 10.1
    assert np.abs(np.diff(outdoor)).max() < 3.0
    assert 11 <= outdoor.reshape(366, 24, 4).mean(axis=(0, 2)).argmax() <= 16
    cold = outdoor.reshape(366, 96).mean(axis=1)
    snap = profiles.split_days("cold-snap", "weeks-apart")
    assert np.convolve(cold, np.ones(14) / 14, "valid").argmin() == snap[0]
    assert len(snap) == 14
    pumps = [k for k, kind in enumerate(YEAR.load_shape_kinds) if kind == "single-heatpump"]
    drawn = YEAR.load_p[:, pumps].mean(axis=1).reshape(366, 96).mean(axis=1)
    assert np.corrcoef(cold, drawn)[0, 1] < -0.7


def test_quarter_hours_keep_the_mean_of_the_hour() -> None:
    """Resampled to hours and back nothing drifts, and other steps keep the mean of the year."""
    hourly = YEAR.resampled(1.0)
    np.testing.assert_allclose(hourly.outdoor_c, YEAR.outdoor_c.reshape(-1, 4).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(hourly.wind, YEAR.wind.reshape(-1, 4, 12).mean(axis=1), atol=1e-12)
    fine = YEAR.between("2016-12-20", "2016-12-22").resampled(5 / 60)
    assert fine.outdoor_c.shape == (2 * 288,)
    assert fine.outdoor_c.mean() == pytest.approx(YEAR.outdoor_c[354 * 96 : 356 * 96].mean())
    assert fine.wind.max() <= YEAR.wind.max()


def test_series_of_ones_own() -> None:
    """They take the place of the shipped ones, on the days and in the steps of the profiles."""
    own = YEAR.with_series(
        wind=_hourly(np.full((72, 2), 0.25)), outdoor_c=_hourly(np.linspace(-5.0, 5.0, 72))
    )
    assert (own.n_days, own.wind.shape, own.outdoor_c.shape) == (3, (288, 2), (288,))
    assert (own.wind == 0.25).all()
    assert own.outdoor_c.mean() == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(own.pv, YEAR.pv[60 * 96 : 63 * 96])
    price = _hourly(np.ones(48), "2023-01-01")
    alone = profiles.series_profiles(price_usd_mwh=price, outdoor_c=_hourly(np.zeros(48), "2023-01-01"))
    assert (alone.has("outdoor_c"), alone.has("wind"), YEAR.has("wind")) == (True, False, True)
    assert not alone.outdoor_c.any()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "wind",
            np.full((24, 2), 1.2),
            "wind, row 0: column 0 = 1.2: expected 0 to 1.1, per unit of the rating",
        ),
        ("wind", np.full((24, 1), -0.1), "wind, row 0: column 0 = -0.1: expected 0 to 1.1"),
        ("wind", np.ones(24), r"wind must have shape \(n_steps, sites\)"),
        ("wind", np.ones((24, 0)), r"wind must have shape \(n_steps, sites\), got \(24, 0\)"),
        (
            "outdoor_c",
            np.append(np.zeros(23), 283.0),
            "outdoor_c, row 23: 283: expected -90 to 60, degC",
        ),
        ("outdoor_c", np.ones((24, 1)), r"outdoor_c must have shape \(n_steps,\)"),
    ],
)
def test_bad_series_name_field_and_row(name: str, values: np.ndarray, message: str) -> None:
    """Bad input: kelvin for degrees, per cent for per unit, a missing dimension."""
    with pytest.raises(ValueError, match=message):
        YEAR.with_series(**{name: _hourly(values)})


def test_bad_files_name_column_and_row(tmp_path: Path) -> None:
    """Bad input: a null in a file of one's own, and a file that is not there."""
    for part in ("simbench", "profiles"):
        (tmp_path / part).mkdir()
    shutil.copy(DATA / "profiles" / "outdoor.parquet", tmp_path / "profiles")
    path = tmp_path / "profiles" / "outdoor.parquet"
    values = [None if k == 11 else x for k, x in enumerate(pq.read_table(path)["outdoor_c"].to_pylist())]
    pq.write_table(pa.table({"outdoor_c": pa.array(values, pa.int16())}), path)
    year = profiles.Profiles(tmp_path)
    with pytest.raises(cases.CaseError, match=r"outdoor\.parquet, row 11: outdoor_c = null"):
        _ = year.outdoor_c
    with pytest.raises(cases.CaseError, match=r"wind\.parquet.*no such file"):
        _ = year.wind
    assert not year.has("wind")
