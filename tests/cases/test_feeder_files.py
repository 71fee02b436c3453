"""Feeders on disk: what is written comes back, and what is damaged is refused in words."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import CaseError
from distgrid.cases.model.edit import replaced
from distgrid.cases.schema import SINCE_2, SINCE_3
from distgrid.cases.storage import folder as tables
from distgrid.cases.storage import folder_exchange as exchange


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """33bw as a folder."""
    return cases.load("case33bw").save(tmp_path / "feeder")


@pytest.mark.parametrize("name", cases.names())
def test_round_trip(name: str, tmp_path: Path) -> None:
    feeder = cases.load(name)
    again = cases.load(feeder.save(tmp_path / name))
    assert again.equals(feeder)
    assert again.feeder_id == feeder.feeder_id
    assert again.base_mva == feeder.base_mva
    assert dict(again.metadata) == dict(feeder.metadata)


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(
    p=st.lists(st.floats(-1e6, 1e6), min_size=33, max_size=33),
    x=st.lists(finite, min_size=33, max_size=33),
    title=st.text(),
    mark=st.text(min_size=1).filter(str.isprintable),
)
@settings(max_examples=20)
def test_any_values_survive(
    tmp_path_factory: pytest.TempPathFactory, p: list[float], x: list[float], title: str, mark: str
) -> None:
    """Bit for bit, whatever the numbers and texts are."""
    feeder = cases.load("case33bw").with_loads(p_mw=np.array(p))
    nodes = replaced(replaced(feeder.nodes, "x", np.array(x)), "feeder_id", pa.array([mark] * 33))
    title = title.encode("utf-8", "replace").decode()
    feeder = dataclasses.replace(feeder, nodes=nodes, metadata={"title": title})
    folder = tmp_path_factory.mktemp("any") / "f"
    assert cases.load(feeder.save(folder)).equals(feeder)


def test_equal_feeders_make_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = cases.load(folder).save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


@pytest.mark.parametrize("keep", [0, 3, 100, -9, -1])
def test_truncated_parquet(folder: Path, keep: int) -> None:
    path = folder / "branches.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CaseError, match=r"branches\.parquet: expected a readable Parquet file; it is damaged"
    ):
        cases.load(folder)


def test_corrupt_parquet(folder: Path) -> None:
    """Bytes overturned anywhere are refused or change nothing; nothing else is raised."""
    path = folder / "nodes.parquet"
    good, rng = path.read_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        raw = bytearray(good)
        for at in rng.integers(0, len(raw), 8):
            raw[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(raw))
        try:
            cases.load(folder)
        except CaseError:
            refused += 1
    assert refused > 30


def test_all_missing_files_are_named(folder: Path) -> None:
    (folder / "loads.parquet").unlink()
    (folder / "sources.parquet").write_bytes(b"not parquet")
    with pytest.raises(CaseError) as caught:
        cases.load(folder)
    assert [Path(p.file).name for p in caught.value.problems] == ["loads.parquet", "sources.parquet"]


def test_values_are_named_with_file_and_row(folder: Path) -> None:
    """Capability 116: a load on an unknown bus, named with its file."""
    path = folder / "loads.parquet"
    data = pq.read_table(path)
    pq.write_table(replaced(data, "node_id", pa.array(["99", *data["node_id"].to_pylist()[1:]])), path)
    with pytest.raises(CaseError, match=r"loads\.parquet, row 0: node_id = '99'"):
        cases.load(folder)


def test_versions_and_mixed_folders(folder: Path, tmp_path: Path) -> None:
    other = cases.load("case69").save(tmp_path / "other")
    (folder / "loads.parquet").write_bytes((other / "loads.parquet").read_bytes())
    with pytest.raises(CaseError, match=r"loads\.parquet: .*the same feeder as in nodes\.parquet"):
        cases.load(folder)
    data = pq.read_table(other / "nodes.parquet")
    for stamp, message in (
        ({"distgrid.schema_version": "99"}, "schema_version = '99'"),
        ({}, "schema_version = ''"),
        ({"distgrid.schema_version": "1", "distgrid.feeder": "{"}, "JSON with name"),
    ):
        pq.write_table(data.replace_schema_metadata(stamp), other / "nodes.parquet")
        with pytest.raises(CaseError, match=message):
            cases.load(other)


def test_feeders_of_the_first_version_still_load(folder: Path) -> None:
    """Written before there were per-phase feeders: fewer columns, no control tables, no word on phases."""
    for path in folder.iterdir():
        data = pq.read_table(path)
        stamp = {key.decode(): value.decode() for key, value in data.schema.metadata.items()}
        header = json.loads(stamp["distgrid.feeder"])
        del header["phases"]
        stamp |= {"distgrid.schema_version": "1", "distgrid.feeder": json.dumps(header, sort_keys=True)}
        old = data.drop_columns([*SINCE_2.get(path.stem, ()), *SINCE_3.get(path.stem, ())])
        pq.write_table(old.replace_schema_metadata(stamp), path)
    (folder / "cap_controls.parquet").unlink()
    assert cases.load(folder).equals(cases.load("case33bw"))
    (folder / "sources.parquet").unlink()
    with pytest.raises(CaseError, match=r"sources\.parquet: expected this file"):
        cases.load(folder)


def test_feeders_of_the_second_version_still_load(folder: Path) -> None:
    """Written before a branch could be open at one end: no column that says so, and no open end."""
    for path in folder.iterdir():
        data = pq.read_table(path)
        stamp = {key.decode(): value.decode() for key, value in data.schema.metadata.items()}
        old = data.drop_columns(list(SINCE_3.get(path.stem, ())))
        pq.write_table(old.replace_schema_metadata({**stamp, "distgrid.schema_version": "2"}), path)
    assert cases.load(folder).equals(cases.load("case33bw"))
    assert set(cases.load(folder).column("branches", "open_ends")) == {""}


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CaseError, match=r"notes\.txt: expected a new or empty folder"):
        cases.load("case33bw").save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(CaseError, match="expected a new or empty folder"):
        cases.load("case33bw").save(tmp_path / "notes.txt")


def test_a_feeder_is_replaced_whole(folder: Path) -> None:
    cases.load("case69").save(folder)
    assert cases.load(folder).n_nodes == 69
    assert [path.name for path in folder.parent.iterdir()] == ["feeder"]


def test_a_full_disk_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def full(data: pa.Table, path: Path) -> None:
        nonlocal calls
        calls += 1
        path.write_bytes(b"PAR1 half")
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(tables, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        cases.load("case69").save(folder)
    calls = 0
    with pytest.raises(OSError, match="No space left"):
        cases.load("case69").save(folder.parent / "new")
    assert [path.name for path in folder.parent.iterdir()] == ["feeder"]
    assert cases.load(folder).equals(cases.load("case33bw"))


def test_a_failed_last_step_puts_the_old_feeder_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two folders cannot change places in one step."""
    monkeypatch.setattr(exchange, "_call", lambda: None)
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EACCES, "Permission denied", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(OSError, match="Permission denied"):
        cases.load("case69").save(folder)
    assert cases.load(folder).n_nodes == 33
    assert [path.name for path in folder.parent.iterdir()] == ["feeder"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("case33", "case33bw"),
        ("cas118zh", "case118zh"),
        ("CASE141", "known: "),
        ("zzz", "known: case33bw"),
        ("nowhere/case33bw.m", "case33bw"),
        ("case33bw.m", "did you mean case33bw"),
        ("", "known: case33bw"),
    ],
)
def test_unknown_names_suggest_the_nearest(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaseError, match=hint):
        cases.load(name)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "feeder.xlsx").write_text("")
    with pytest.raises(CaseError, match=r"\.xlsx: expected a MATPOWER file"):
        cases.load(tmp_path / "feeder.xlsx")
    with pytest.raises(CaseError, match="a feeder has all nine tables"):
        cases.load(tmp_path)


def test_a_shipped_feeder_is_read_once() -> None:
    assert cases.load("case33bw") is cases.load("case33bw")
