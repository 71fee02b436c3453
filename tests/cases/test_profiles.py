"""The year of profiles: shape, order, immutability, laziness, size."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import distgrid
from distgrid.cases import profiles

DATA = Path(distgrid.__file__).parent / "cases" / "data"
ARRAYS = ("load_p", "load_q", "pv", "price_usd_mwh", "price_hourly_usd_mwh")


@pytest.fixture(scope="module")
def year() -> profiles.Profiles:
    return profiles.load_profiles()


def test_one_year_at_a_quarter_hour(year: profiles.Profiles) -> None:
    """The year is 2016: 366 days of 96 steps, in every table."""
    assert (year.n_days, year.steps_per_day, year.n_steps, year.dt_h) == (366, 96, 35136, 0.25)
    assert len(year.load_shape_names) == len(set(year.load_shape_names)) >= 24
    assert year.load_p.shape == year.load_q.shape == (35136, len(year.load_shape_names))
    assert year.pv.shape == (35136, 25) == (35136, year.pv_sites.num_rows)
    assert year.price_usd_mwh.shape == (35136,)
    assert profiles.day_label(0) == "2016-01-01"
    assert profiles.day_label(59) == "2016-02-29"
    assert year.day_label(172) == "2016-06-21"
    assert profiles.day_label(365) == "2016-12-31"
    assert [profiles.weekday(d) for d in (0, 1, 3)] == [4, 5, 0]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_cannot_be_changed_in_place(year: profiles.Profiles, name: str) -> None:
    """Trap 14, 25a: a shared array that one user changes drifts for all; these refuse to be written."""
    array = getattr(year, name)
    assert array.dtype == np.float64
    assert array.flags.c_contiguous
    assert np.isfinite(array).all()
    assert getattr(year, name) is array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
    tariff = year.tariff("sce-tou-ev-4")
    with pytest.raises(ValueError, match="read-only"):
        tariff[0] = 1.0


def test_one_object_for_all_threads_and_a_light_pickle() -> None:
    """Trap 14: read once per process; a worker gets the path, not the arrays."""
    year = profiles.load_profiles()
    assert profiles.load_profiles() is year
    fresh = profiles.Profiles()
    seen: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: seen.append(fresh.load_p)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert all(array is seen[0] for array in seen)
    packed = pickle.dumps(year)
    assert len(packed) < 1000
    assert pickle.loads(packed) is year  # noqa: S301


def test_load_shapes_are_normalised(year: profiles.Profiles) -> None:
    """P peaks at 1; Q averages P over the high-load hours, so Q/P is nominal there, without spikes."""
    assert np.array_equal(year.load_p.max(axis=0), np.ones(year.load_p.shape[1]))
    assert year.load_p.min() >= 0.0
    assert np.abs(year.load_q).max() <= 1.2
    for p, q in zip(year.load_p.T, year.load_q.T, strict=True):
        high = p >= np.quantile(p, 0.95)
        assert q[high].mean() == pytest.approx(p[high].mean(), rel=2e-3)


def test_load_shapes_are_distinct(year: profiles.Profiles) -> None:
    """Trap 11: many shapes that really differ, of every kind of customer."""
    kinds = set(year.load_shape_kinds)
    assert {"household", "commercial", "farm", "heatpump"} <= kinds
    many = [i for i, kind in enumerate(year.load_shape_kinds) if not kind.startswith("single-")]
    corr = np.asarray(np.corrcoef(year.load_p[:, many].T))
    pairs = corr[np.triu_indices(len(many), 1)]
    assert pairs.max() < 0.985
    assert np.median(pairs) < 0.6


def test_local_standard_time(year: profiles.Profiles) -> None:
    """Trap 12: SimBench's labels are local with DST, the rows continuous: here the clock never jumps.

    A business (G1, open on workdays) therefore opens an hour earlier in summer on this clock,
    and the sun stands in the south near 12:20 the year round.
    """
    shop = year.load_p[:, year.load_shape_names.index("G1-A")].reshape(366, 96)
    work = np.array([profiles.weekday(d) < 5 for d in range(366)])
    opening = []
    for days in (np.arange(14, 45), np.arange(160, 190)):
        mean = shop[days[work[days]]].mean(axis=0)
        opening.append(float(np.argmax(mean > 0.5 * mean.max())) / 4.0)
    assert 0.5 <= opening[0] - opening[1] <= 2.5
    noon = year.pv.mean(axis=1).reshape(366, 96)
    for part in (slice(0, 80), slice(130, 230)):
        centre = (noon[part].sum(axis=0) * (np.arange(96) + 0.5) / 4.0).sum() / noon[part].sum()
        assert centre == pytest.approx(12.35, abs=0.4)


def test_importing_reads_no_data() -> None:
    """`import distgrid.cases` opens no table; each table is opened on its own first use."""
    code = """
import sys
opened = []
sys.addaudithook(lambda e, a: opened.append(str(a[0])) if e == "open" and "cases/data" in str(a[0]) else None)
import distgrid.cases
from distgrid.cases import profiles
year = profiles.load_profiles()
assert not opened, opened
assert "pandas" not in sys.modules
year.tariff("pge-a10-tou")
assert not year._known.keys() - {"tariff pge-a10-tou"}
year.price_usd_mwh
assert not {"loads", "pv", "ev"} & set(year._known)
year.load_p, year.pv
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_reading_is_quick() -> None:
    """Read once per process, but that once should not be felt: well below a second (0.1 s when measured)."""
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        fresh = profiles.Profiles()
        assert fresh.load_p.size
        assert fresh.pv.size
        best = min(best, time.perf_counter() - start)
    assert best < 1.0


def test_data_stay_below_twelve_megabytes() -> None:
    """All profiles together take less than 12 MB."""
    files = [f for part in ("profiles", "simbench") for f in (DATA / part).rglob("*") if f.is_file()]
    assert len(files) >= 8
    assert sum(f.stat().st_size for f in files) < 12_000_000


def test_simbench_lies_in_its_own_folder_with_licence_and_notice() -> None:
    """ODbL: what derives from SimBench carries its licence and a notice beside it."""
    folder = DATA / "simbench"
    assert "Open Database" in (folder / "LICENSE.txt").read_text(encoding="utf-8")
    notice = (folder / "NOTICE.md").read_text(encoding="utf-8")
    for word in ("SimBench", "ODbL", "University of Kassel", "load_shapes.parquet"):
        assert word in notice
    for name in ("load_shapes", "shapes", "assignment"):
        assert (folder / f"{name}.parquet").is_file()
