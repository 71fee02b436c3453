"""Asset tables: every bad cell is found and told with its place; good tables come back as they were."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import CaseError, assets

COLUMNS = assets.ASSET_TABLES["der_assets"].names
#: A good asset of each kind that tables hold, on IEEE 13.
GOOD: tuple[dict[str, Any], ...] = (
    {"asset_id": "b", "bus_id": "671", "phase": "ABC", "asset_type": "battery", "p_min_mw": -0.2,
     "p_max_mw": 0.2, "energy_cap_mwh": 0.8, "soc_min": 0.1, "soc_max": 0.9, "soc_init": 0.4,
     "efficiency": 0.95, "cost_curve_id": "wear", "ramp_up_mw_per_h": 0.5, "ramp_down_mw_per_h": 0.5},
    {"asset_id": "s", "bus_id": "634", "phase": "A", "asset_type": "pv", "p_min_mw": 0.0, "p_max_mw": 0.1,
     "q_min_mvar": -0.04, "q_max_mvar": 0.04, "s_rated_mva": 0.11, "telemetry_id": "pv:3", "controls": "pq"},
    {"asset_id": "w", "bus_id": "675", "phase": "ABC", "asset_type": "wind", "p_min_mw": 0.0,
     "p_max_mw": 0.3, "telemetry_id": "mast"},
    {"asset_id": "e", "bus_id": "645", "phase": "B", "asset_type": "ev", "p_min_mw": -0.05, "p_max_mw": 0.0,
     "energy_cap_mwh": 0.3, "efficiency": 0.9, "agg_id": "agg-1", "priority": 2},
    {"asset_id": "f", "bus_id": "671", "phase": "ABC", "asset_type": "flexible_load", "p_min_mw": -0.1,
     "p_max_mw": 0.1, "settings": '{"return_h":4.0}'},
)  # fmt: skip
CURVES = ({"cost_curve_id": "wear", "p_mw": -0.2, "cost_usd_per_h": 2.0},
          {"cost_curve_id": "wear", "p_mw": 0.0, "cost_usd_per_h": 0.0},
          {"cost_curve_id": "wear", "p_mw": 0.2, "cost_usd_per_h": 2.0})  # fmt: skip
SESSIONS = (
    {"asset_id": "e", "arrival_h": 18.0, "departure_h": 7.0, "soc_arrival": 0.3, "soc_departure": 0.9},
)
TELEMETRY = tuple(
    {"telemetry_id": "mast", "ts": f"2016-06-21 {hour:02d}:00", "p_max_mw": 0.01 * hour} for hour in range(24)
)
#: Row, column, what stands there, and a part of what is expected.
BAD_CELLS = (
    (0, "p_max_mw", "NaN", "a finite number"),
    (0, "p_max_mw", "much", "a finite number"),
    (0, "p_max_mw", "", "a number of MW"),
    (0, "p_min_mw", "0.3", "p_max_mw (0.2) or less"),
    (1, "q_min_mvar", "0.05", "q_max_mvar (0.04) or less"),
    (1, "bus_id", "699", "a bus of ieee13"),
    (1, "bus_id", "", "a text"),
    (1, "phase", "", "a text"),
    (1, "phase", "D", "one of ABC"),
    (3, "phase", "A", "phases that bus 645 has: BC"),
    (2, "asset_id", "b", "each id once"),
    (0, "energy_cap_mwh", "-0.8", "more than 0"),
    (0, "energy_cap_mwh", "", "the MWh of the battery"),
    (0, "efficiency", "1.05", "a share above 0, up to 1"),
    (0, "soc_min", "-0.1", "a share from 0 to 1"),
    (0, "soc_min", "0.95", "less than soc_max (0.9)"),
    (0, "soc_init", "0.05", "from soc_min (0.1) to soc_max (0.9)"),
    (0, "cost_curve_id", "war", "did you mean wear?"),
    (2, "telemetry_id", "mest", "did you mean mast?"),
    (1, "telemetry_id", "pv:25", "pv:0 to pv:24"),
    (2, "telemetry_id", "pv:3", "a series of telemetry"),
    (1, "asset_type", "solar", "one of pv, wind, battery"),
    (1, "p_min_mw", "-0.1", "0 or more, as a pv takes no power"),
    (1, "controls", "x", "one of none, p, q, pq"),
    (3, "priority", "1.5", "a whole number"),
    (0, "ramp_up_mw_per_h", "0", "more than 0"),
    (1, "s_rated_mva", "-1", "more than 0"),
    (4, "settings", "[1]", "a JSON object"),
)


def write(folder: Path, name: str, rows: Any) -> Path:
    """A CSV file of rows; columns that a row lacks are empty."""
    path = folder / f"{name}.csv"
    columns = [one for one in assets.ASSET_TABLES[name].names if any(one in row for row in rows)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_all(folder: Path, **changed: Any) -> Path:
    """All tables of the good set, some replaced; the file of the assets."""
    tables = {"der_assets": GOOD, "cost_curves": CURVES, "sessions": SESSIONS, "telemetry": TELEMETRY}
    paths = [write(folder, name, changed.get(name, rows)) for name, rows in tables.items()]
    return paths[0]


def with_cell(row: int, column: str, text: str, rows: Any = GOOD) -> list[dict[str, Any]]:
    """The rows with one cell replaced."""
    return [{**one, column: text} if k == row else dict(one) for k, one in enumerate(rows)]


def problems_of(folder: Path, **changed: Any) -> list[tuple[Any, str, str, str]]:
    """Row, column, value and expectation of every problem on IEEE 13."""
    found = assets.check_assets(write_all(folder, **changed), feeder=cases.load("ieee13"))
    return [(one.row, one.field, one.value, one.expected) for one in found]


def test_good_tables_have_no_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == []
    found = assets.read_assets(tmp_path)
    assert found.ids == ("b", "s", "w", "e", "f")
    assert found.numbers("soc_init")[0] == 0.4
    assert np.isnan(found.numbers("soc_init")[1])
    assert found.texts("agg_id") == ("", "", "", "agg-1", "")


@pytest.mark.parametrize(("row", "column", "text", "expected"), BAD_CELLS)
def test_a_bad_cell_is_told_with_its_place(
    row: int, column: str, text: str, expected: str, tmp_path: Path
) -> None:
    """Row 41: line of the file, column, value and expectation of a bad cell, and nothing about other rows."""
    found = problems_of(tmp_path, der_assets=with_cell(row, column, text))
    assert found, "the bad cell was taken"
    assert {line for line, *_ in found} == {row + 2}
    told = [(value, said) for _, name, value, said in found if name == column]
    assert any(expected in said for _, said in told), found
    assert told[0][0] == (text or "nothing") or text == "1.5"


@settings(max_examples=30)
@given(st.lists(st.sampled_from(BAD_CELLS), min_size=2, max_size=4, unique_by=lambda one: one[0]))
def test_every_bad_row_is_told(chosen: list[tuple[int, str, str, str]]) -> None:
    """Row 41: several bad rows are all told at once."""
    rows: Any = GOOD
    for row, column, text, _ in chosen:
        rows = with_cell(row, column, text, rows)
    with tempfile.TemporaryDirectory() as folder:
        found = problems_of(Path(folder), der_assets=rows)
    for row, column, _, expected in chosen:
        assert any(
            line == row + 2 and name == column and expected in said for line, name, _, said in found
        ), (row, column, found)


def test_columns_that_are_missing_unknown_or_doubled_are_told(tmp_path: Path) -> None:
    path = write_all(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("phase", "fase").replace("soc_min", "soc_max"), *lines[1:]]))
    told = [str(one) for one in assets.check_assets(path)]
    assert any("column = fase: expected one of asset_id" in one for one in told)
    assert any("column = phase: expected a column of this name (it is missing)" in one for one in told)
    assert any("column = soc_max: expected each column once" in one for one in told)


def test_a_row_of_another_length_is_told(tmp_path: Path) -> None:
    path = write_all(tmp_path)
    path.write_text(path.read_text() + "too,short\n")
    assert [str(one) for one in assets.check_assets(path)] == [
        f"{path}:7: row = 2 values: expected 22 values, as the header has"
    ]


def test_wrong_types_of_a_parquet_table_fail_early(tmp_path: Path) -> None:
    """Row 79: a column of texts where numbers are wanted is told as such, once."""
    good = assets.read_assets(write_all(tmp_path)).assets
    at = COLUMNS.index("p_max_mw")
    pq.write_table(good.set_column(at, "p_max_mw", pa.array(["1"] * 5)), tmp_path / "texts.parquet")
    told = [str(one) for one in assets.check_assets(tmp_path / "texts.parquet")]
    assert [one for one in told if "p_max_mw" in one] == [
        f"{tmp_path / 'texts.parquet'}: p_max_mw = string: expected a column of numbers (double)"
    ]
    pq.write_table(good.set_column(1, "bus_id", pa.array([1.5] * 5)), tmp_path / "numbers.parquet")
    told = [str(one) for one in assets.check_assets(tmp_path / "numbers.parquet")]
    assert any("bus_id = double: expected texts, or whole numbers" in one for one in told)


def test_whole_numbers_are_taken_as_ids_of_buses(tmp_path: Path) -> None:
    good = assets.read_assets(write_all(tmp_path)).assets
    buses = pa.array([671, 634, 675, 645, 671])
    pq.write_table(good.set_column(1, "bus_id", buses), tmp_path / "der_assets.parquet")
    found = assets.read_assets(tmp_path / "der_assets.parquet", feeder=cases.load("ieee13"))
    assert found.texts("bus_id") == ("671", "634", "675", "645", "671")


def test_names_without_units_are_taken(tmp_path: Path) -> None:
    """Row 41: the column names of the field's other programs are aliases of those with units."""
    path = write_all(tmp_path)
    text = path.read_text()
    for bare, own in assets.ALIASES.items():
        text = text.replace(f",{own}", f",{bare}", 1)
    assert ",p_min," in text
    path.write_text(text)
    assert assets.read_assets(path).equals(assets.read_assets(write_all(tmp_path)))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_saved_set_comes_back(suffix: str, tmp_path: Path) -> None:
    good = assets.read_assets(write_all(tmp_path))
    assert assets.read_assets(good.save(tmp_path / "out", suffix)).equals(good)


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.floats(-10.0, 10.0), st.floats(0.0, 10.0), st.floats(1e-6, 10.0), st.floats(0.01, 1.0),
            st.one_of(st.none(), st.integers(1, 9)),
            st.text("abc,\"' \n\u00e4", min_size=1, max_size=6).filter(lambda text: text.strip() == text),
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_any_numbers_and_texts_come_back(suffix: str, rows: list[tuple[Any, ...]]) -> None:
    """Row 41: what is written is read bit for bit, whatever the numbers and however ids are spelt."""
    table = pa.Table.from_pylist(
        [
            {**dict.fromkeys(COLUMNS), "asset_id": f"{k}{text}", "bus_id": "1", "phase": "ABC",
             "asset_type": "battery", "p_min_mw": low, "p_max_mw": low + wide, "energy_cap_mwh": energy,
             "efficiency": share, "priority": priority, "owner_id": text}
            for k, (low, wide, energy, share, priority, text) in enumerate(rows)
        ],
        assets.ASSET_TABLES["der_assets"],
    )  # fmt: skip
    made = assets.AssetSet(table)
    with tempfile.TemporaryDirectory() as folder:
        assert assets.read_assets(made.save(folder, suffix)).equals(made)


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        (CURVES[:1], 2, "two points or more"),
        ((CURVES[1], CURVES[0], CURVES[2]), 3, "powers that rise"),
        ((*CURVES, {"cost_curve_id": "wear", "p_mw": 0.4, "cost_usd_per_h": 2.1}), 5, "do not fall (convex)"),
        (({**CURVES[0], "cost_usd_per_h": "inf"}, *CURVES[1:]), 2, "a finite number"),
    ],
)
def test_a_curve_that_is_not_convex_is_told(rows: Any, line: int, expected: str, tmp_path: Path) -> None:
    found = problems_of(tmp_path, cost_curves=rows)
    assert [one[0] for one in found] == [line]
    assert expected in found[0][3]


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        ({"asset_id": "b"}, "asset_id", "an asset of type ev"),
        ({"soc_departure": 0.2}, "soc_departure", "soc_arrival (0.3) or more"),
        ({"soc_departure": 1.2}, "soc_departure", "a share from 0 to 1"),
        ({"soc_departure": ""}, "energy_mwh", "MWh, or soc_arrival and soc_departure"),
        ({"energy_mwh": 0.1}, "soc_arrival", "nothing, as energy_mwh is given"),
        ({"arrival_h": "NaN"}, "arrival_h", "a finite number"),
    ],
)
def test_a_bad_session_is_told(changed: dict[str, Any], column: str, expected: str, tmp_path: Path) -> None:
    """Row 57: a car says what it needs by its departure, as energy or as states of charge."""
    found = problems_of(tmp_path, sessions=[{**SESSIONS[0], **changed}])
    assert any(line == 2 and name == column and expected in said for line, name, _, said in found), found


def test_states_of_charge_need_a_capacity(tmp_path: Path) -> None:
    found = problems_of(tmp_path, der_assets=with_cell(3, "energy_cap_mwh", ""))
    assert found == [(2, "soc_departure", "0.9", "energy_cap_mwh of the asset with it")]


def test_what_cannot_be_read_is_told_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"nowhere\.csv: expected a file that can be read"):
        assets.read_assets(tmp_path / "nowhere.csv")
    with pytest.raises(CaseError, match=r"assets\.xlsx: no suffix|assets\.xlsx: \.xlsx: expected"):
        assets.read_assets(tmp_path / "assets.xlsx")
    with pytest.raises(CaseError, match=r"der_assets\.parquet or der_assets\.csv"):
        assets.read_assets(tmp_path)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(CaseError, match="a Parquet file that can be read"):
        assets.read_assets(tmp_path / "damaged.parquet")
    (tmp_path / "latin.csv").write_bytes("asset_id\nä\n".encode("latin-1"))
    with pytest.raises(CaseError, match="text in UTF-8"):
        assets.read_assets(tmp_path / "latin.csv")
    with pytest.raises(CaseError, match="another schema"):
        assets.AssetSet(pa.table({"asset_id": ["a"]}))


def test_cost_curves_are_lines_between_points_and_beyond() -> None:
    """By hand: 5 USD/MWh up to 2 MW, 20 beyond."""
    curve = assets.CostCurve(np.array([0.0, 2.0, 3.0]), np.array([1.0, 11.0, 31.0]))
    np.testing.assert_allclose(
        curve.cost([0.0, 1.0, 2.0, 2.5, 4.0, -1.0]), [1.0, 6.0, 11.0, 21.0, 51.0, -4.0]
    )
    np.testing.assert_allclose(curve.marginal([0.0, 1.9, 2.0, 9.0]), [5.0, 5.0, 20.0, 20.0])
    low, high, price = curve.segments()
    np.testing.assert_allclose(np.c_[low, high, price], [[0.0, 2.0, 5.0], [2.0, 3.0, 20.0]])
    with pytest.raises(ValueError, match="convex"):
        assets.CostCurve(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 3.0]))


def test_groups_and_parts(tmp_path: Path) -> None:
    found = assets.read_assets(write_all(tmp_path))
    assert {key: rows.tolist() for key, rows in found.groups("bus").items()} == {
        "671": [0, 4], "634": [1], "675": [2], "645": [3]
    }  # fmt: skip
    assert {key: rows.tolist() for key, rows in found.groups("aggregator").items()} == {"agg-1": [3]}
    assert found.groups("feeder")["feeder"].tolist() == [0, 1, 2, 3, 4]
    part = found.select(["w", "e"])
    assert part.ids == ("w", "e")
    assert (part.cost_curves.num_rows, part.sessions.num_rows, part.telemetry.num_rows) == (0, 1, 24)
    assert part.cost_curve("w") is None
    with pytest.raises(ValueError, match="expected one of asset, bus"):
        found.groups("colour")
    with pytest.raises(ValueError, match="no asset 'bb'; did you mean b"):
        found.row("bb")
    with pytest.raises(ValueError, match="did you mean p_max_mw"):
        found.numbers("p_max")
