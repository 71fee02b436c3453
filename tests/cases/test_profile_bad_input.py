"""What is wrong with a profile is said with file, column and row; a wrong day or name with what is valid."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import distgrid
from distgrid import cases
from distgrid.cases import profiles

DATA = Path(distgrid.__file__).parent / "cases" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("simbench", "profiles"):
        shutil.copytree(DATA / part, tmp_path / part)
    return tmp_path


def replaced(path: Path, column: str, change: Callable[[np.ndarray], pa.Array]) -> None:
    table = pq.read_table(path)
    values = change(table[column].to_numpy() / 1e4)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)


def test_nan_in_a_profile(folder: Path) -> None:
    """Bad input: NaN and null are found on reading, never handed to the power flow."""
    path = folder / "simbench" / "load_shapes.parquet"

    def spoil(values: np.ndarray) -> pa.Array:
        values[123] = np.nan
        return pa.array(values)

    replaced(path, "G3-A.q", spoil)
    with pytest.raises(cases.CaseError) as error:
        _ = profiles.Profiles(folder).load_p
    (problem,) = error.value.problems
    assert (problem.file, problem.row, problem.field, problem.value) == (str(path), 123, "G3-A.q", "nan")
    assert "load_shapes.parquet, row 123: G3-A.q = nan: expected a finite number" in str(error.value)


def test_null_and_out_of_range(folder: Path) -> None:
    """Bad input: every bad column is listed."""
    path = folder / "profiles" / "pv.parquet"
    replaced(path, "pv03", lambda v: pa.array([None if i == 7 else x for i, x in enumerate(v)]))
    replaced(path, "pv04", lambda v: pa.array(np.where(np.arange(len(v)) == 9, 3.0, v)))
    with pytest.raises(cases.CaseError) as error:
        _ = profiles.Profiles(folder).pv
    assert [(p.row, p.field, p.value) for p in error.value.problems] == [
        (7, "pv03", "null"),
        (9, "pv04", "3.0"),
    ]


def test_floating_columns_are_taken_as_they_are(folder: Path) -> None:
    """A user's own table may hold plain floating numbers."""
    replaced(folder / "profiles" / "pv.parquet", "pv03", lambda v: pa.array(v))
    assert np.array_equal(profiles.Profiles(folder).pv, profiles.load_profiles().pv)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_file(folder: Path, share: float) -> None:
    """Bad input: a file cut short names itself."""
    path = folder / "profiles" / "pv.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(cases.CaseError, match=r"pv\.parquet.*a complete Parquet file"):
        _ = profiles.Profiles(folder).pv


def test_damaged_file(folder: Path) -> None:
    """Bad input: bytes lost in the middle are noticed by the page checksums, not read as other numbers."""
    path = folder / "simbench" / "load_shapes.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[2_000_000:2_000_400] = bytes(400)
    path.write_bytes(bytes(damaged))
    with pytest.raises(cases.CaseError, match=r"load_shapes\.parquet"):
        _ = profiles.Profiles(folder).load_p


def test_missing_file_column_and_rows(folder: Path) -> None:
    """Bad input: what is missing is named."""
    (folder / "profiles" / "price.parquet").unlink()
    with pytest.raises(cases.CaseError, match=r"price\.parquet: no such file"):
        _ = profiles.Profiles(folder).price_usd_mwh
    path = folder / "profiles" / "pv.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["pv07"]).slice(0, 100), path)
    with pytest.raises(cases.CaseError) as error:
        _ = profiles.Profiles(folder).pv
    assert [(p.field, p.value) for p in error.value.problems] == [("pv07", "missing"), ("", "100 rows")]


@pytest.mark.parametrize("day", [366, -1, 10_000])
def test_day_outside_the_data(day: int) -> None:
    """Bad input: the valid range is named."""
    expected = rf"day {day} is outside the data: valid days are 0 \(2016-01-01\) to 365 \(2016-12-31\)"
    with pytest.raises(ValueError, match=expected):
        profiles.check_day(day)
    with pytest.raises(ValueError, match="outside the data"):
        profiles.day_label(day)


def test_day_must_be_an_integer() -> None:
    """Bad input: 1.5 is no day; NumPy integers are."""
    with pytest.raises(TypeError, match="integer from 0 to 365"):
        profiles.check_day(1.5)  # type: ignore[arg-type]
    assert profiles.check_day(np.int64(365)) == 365


def test_unknown_tariff_names_the_nearest() -> None:
    """Bad input: the error says what was probably meant."""
    with pytest.raises(ValueError, match="unknown tariff 'sce-tou-ev4'; did you mean 'sce-tou-ev-4'"):
        profiles.load_profiles().tariff("sce-tou-ev4")
