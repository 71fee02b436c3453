"""Whatever a folder of tables holds, the reader makes a valid feeder of it or says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import Feeder, table
from distgrid.cases.schema import TABLES

from .fuzzing import BYTE_DAMAGE, SCALE, HangError, check_input, damaged, no_hang

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
NAMES = tuple(TABLES)


def every_table() -> Feeder:
    """A small feeder with rows in each of its tables."""
    feeder = cases.load(REFERENCE / "case33bw.m").with_switch("25-29", closed=True).with_switch("5-6", False)
    node, branch = feeder.nodes["node_id"][5].as_py(), feeder.branches["branch_id"][0].as_py()
    ends = {"phase": ["ABC"], "feeder_id": ["f"]}
    return dataclasses.replace(
        feeder,
        capacitors=table(
            "capacitors", {"cap_id": ["c"], "node_id": [node], "q_mvar": [0.1], "status": [True], **ends}
        ),
        regulators=table(
            "regulators",
            {
                "reg_id": ["r"], "branch_id": [branch], "tap_pos": [0], "tap_min": [-16], "tap_max": [16],
                "tap_step_pu": [0.00625], "v_set_pu": [1.0], "band_pu": [0.02], **ends,
            },
        ),
        transformers=table(
            "transformers",
            {
                "transformer_id": ["t"], "branch_id": [branch], "s_mva": [10.0], "hv_kv": [110.0],
                "lv_kv": [12.66], "feeder_id": ["f"],
            },
        ),
    )  # fmt: skip


class Base:
    """The folder that is damaged and mended again, the bytes of its files, and where copies go."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder.parent / "out"
        self.files = {name: (folder / f"{name}.parquet").read_bytes() for name in NAMES}
        self.tables = {name: pq.read_table(pa.BufferReader(data)) for name, data in self.files.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = every_table().save(tmp_path_factory.mktemp("fuzz") / "feeder")
    return Base(folder)


def check(base: Base, name: str, data: bytes) -> None:
    """The feeder with one file replaced: valid, or a CaseError that names the file; never anything else."""
    path = base.folder / f"{name}.parquet"
    path.write_bytes(data)
    try:
        check_input(base.folder, base.out)
    finally:
        path.write_bytes(base.files[name])


# -- damaged bytes -------------------------------------------------------------------------------------

DAMAGE = st.tuples(st.sampled_from(NAMES), BYTE_DAMAGE)


@pytest.mark.slow
@given(damage=DAMAGE)
@settings(max_examples=200)
def test_damaged_tables(base: Base, damage: tuple[str, tuple[str, int, int, int]]) -> None:
    """Issue 3: a clear CaseError or a valid feeder, never another exception."""
    check(base, damage[0], damaged(base.files[damage[0]], *damage[1]))


@pytest.mark.slow
@given(damage=DAMAGE)
@settings(max_examples=250)
def test_many_damaged_tables(base: Base, damage: tuple[str, tuple[str, int, int, int]]) -> None:
    check(base, damage[0], damaged(base.files[damage[0]], *damage[1]))


# -- intact files of wrong tables ----------------------------------------------------------------------

VALUES: list[Any] = [
    None, "", "1", "2", "ABC", "A", "CBA", "x", "\x00", "\u00e9\u4e2d", "a" * 1000, "line", "source", "tie",
    0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 0, 1, -1,
    2**53 + 1, 2**63 - 1, -(2**63), True, False, b"\xff\xfe", [1.0], {"a": 1},
]  # fmt: skip
TYPES = [
    None, pa.string(), pa.large_string(), pa.binary(), pa.float32(), pa.float64(), pa.int8(), pa.int64(),
    pa.uint64(), pa.bool_(), pa.dictionary(pa.int8(), pa.string()), pa.date32(), pa.decimal128(38, 10),
    pa.timestamp("ns"), pa.null(), pa.float16(), pa.string_view(), pa.list_(pa.float64()),
]  # fmt: skip
KINDS = [
    "value",
    "value",
    "value",
    "all",
    "type",
    "drop",
    "double",
    "rename",
    "rows",
    "order",
    "header",
    "chunks",
]
REWRITE = st.tuples(
    st.sampled_from(NAMES),
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.integers(0, SCALE - 1),
            st.integers(0, SCALE - 1),
            st.sampled_from(range(len(VALUES))),
        ),
        min_size=1,
        max_size=3,
    ),
)
Rewrite = tuple[str, list[tuple[str, int, int, int]]]
HEADERS: list[Any] = [
    b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 5_000, b"9" * 5_000,
    {"base_mva": 10**400}, {"base_mva": "nan"}, {"base_mva": -1}, {"base_mva": None}, {"base_mva": True},
    {"name": None}, {"name": ""}, {"name": "\ud800"}, {"name": "x\x00y"}, {"feeder_id": "\udfff"},
    {"metadata": []}, {"metadata": [["a", 1]]}, {"metadata": "ab"}, {"metadata": {"a": {"b": [1]}}},
    {"metadata": {"\ud800": "\udfff"}}, {"metadata": None}, {},
]  # fmt: skip


def header(data: pa.Table, choice: int) -> pa.Table:
    """The table with another header in its metadata."""
    change = HEADERS[choice % len(HEADERS)]
    if isinstance(change, dict):
        usual = {"name": "n", "base_mva": 10.0, "feeder_id": "f", "metadata": {}}
        change = json.dumps({**usual, **change}).encode()
    return data.replace_schema_metadata({**(data.schema.metadata or {}), b"distgrid.feeder": change})


def with_value(data: pa.Table, column: int, rows: range, value: Any) -> pa.Table:
    """The table with a value in these rows of a column, if Arrow can hold it beside the others."""
    values = data.column(column).to_pylist()
    for row in rows:
        values[row] = value
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        array = pa.array([value] * len(values))  # a column of nothing else
    return data.set_column(column, data.column_names[column], array)


def drop(data: pa.Table, column: int, _row: int, _choice: int) -> pa.Table:
    return data.remove_column(column)


def double(data: pa.Table, column: int, _row: int, _choice: int) -> pa.Table:
    return data.append_column(data.column_names[column], data.column(column))


def rename(data: pa.Table, column: int, _row: int, _choice: int) -> pa.Table:
    return data.rename_columns([*data.column_names[:column], "other", *data.column_names[column + 1 :]])


def one_value(data: pa.Table, column: int, row: int, choice: int) -> pa.Table:
    return with_value(data, column, range(row, min(row + 1, data.num_rows)), VALUES[choice])


def all_values(data: pa.Table, column: int, _row: int, choice: int) -> pa.Table:
    return with_value(data, column, range(data.num_rows), VALUES[choice])


def rows(data: pa.Table, _column: int, row: int, choice: int) -> pa.Table:
    return [data.slice(row), data.slice(0, row), pa.concat_tables([data, data]), data.slice(0, 0)][choice % 4]


def reverse(data: pa.Table, _column: int, _row: int, _choice: int) -> pa.Table:
    return data.take(pa.array(range(data.num_rows - 1, -1, -1), type=pa.int64()))


EDITS = {
    "value": one_value,
    "all": all_values,
    "type": lambda data, column, _row, choice: cast(data, column, TYPES[choice % len(TYPES)]),
    "drop": drop,
    "double": double,
    "rename": rename,
    "rows": rows,
    "order": reverse,
    "header": lambda data, _column, _row, choice: header(data, choice),
    "chunks": lambda data, _column, row, _choice: pa.concat_tables([data.slice(0, row), data.slice(row)]),
}


def rewritten(data: pa.Table, edits: list[tuple[str, int, int, int]]) -> bytes:
    """A sound Parquet file of a table with a few edits."""
    for kind, across, down, choice in edits:
        if data.num_columns:
            column, row = across * data.num_columns // SCALE, down * data.num_rows // SCALE
            stamp = data.schema.metadata  # which some edits lose, so that nothing behind it would be tried
            data = EDITS[kind](data, column, row, choice)
            data = data if kind == "header" else data.replace_schema_metadata(stamp)
    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="zstd", row_group_size=max(1, data.num_rows // 2))
    return bytes(sink.getvalue())


def cast(data: pa.Table, column: int, kind: pa.DataType | None) -> pa.Table:
    """The table with a column of another type: cast where it can be, else full of nulls."""
    name = data.column_names[column]
    if kind is None:
        return data
    try:
        return data.set_column(column, name, data.column(column).cast(kind))
    except pa.ArrowException:
        return data.set_column(column, name, pa.nulls(data.num_rows, kind))


@pytest.mark.slow
@given(change=REWRITE)
@settings(max_examples=150)
def test_rewritten_tables(base: Base, change: Rewrite) -> None:
    """Issue 3: a clear CaseError or a valid feeder, never another exception."""
    check(base, change[0], rewritten(base.tables[change[0]], change[1]))


@pytest.mark.slow
@given(change=REWRITE)
@settings(max_examples=250)
def test_many_rewritten_tables(base: Base, change: Rewrite) -> None:
    check(base, change[0], rewritten(base.tables[change[0]], change[1]))


@pytest.mark.quick(8)
@pytest.mark.parametrize("choice", range(len(HEADERS)))
def test_every_bad_header(base: Base, tmp_path: Path, choice: int) -> None:
    """In one file, and in all of them."""
    check(base, "nodes", rewritten(base.tables["nodes"], [("header", 0, 0, choice)]))
    folder = tmp_path / "f"
    folder.mkdir()
    for name, data in base.tables.items():
        (folder / f"{name}.parquet").write_bytes(rewritten(data, [("header", 0, 0, choice)]))
    check_input(folder, tmp_path / "out")


@pytest.mark.parametrize("kind", TYPES[1:], ids=str)
@pytest.mark.parametrize("column", ["node_id", "base_kv"])
def test_every_type_of_column(base: Base, column: str, kind: pa.DataType) -> None:
    data = cast(base.tables["nodes"], TABLES["nodes"].names.index(column), kind)
    check(base, "nodes", rewritten(data, []))


def test_a_hang_is_noticed() -> None:
    """The watchdog itself."""
    with pytest.raises(HangError), no_hang(0.01):
        time.sleep(5.0)
