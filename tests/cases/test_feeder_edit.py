"""Feeders never change; `with_...` and `filter` make new ones."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder, table


def with_bank(feeder: Feeder) -> Feeder:
    """The feeder with a capacitor bank at its last node."""
    columns = {
        "cap_id": ["c1"],
        "node_id": [feeder.column("nodes", "node_id")[-1]],
        "phase": ["ABC"],
        "q_mvar": [0.3],
        "status": [True],
        "feeder_id": [feeder.feeder_id],
    }
    return dataclasses.replace(feeder, capacitors=table("capacitors", columns))


CHANGES: dict[str, tuple[Callable[[Feeder], Feeder], str, str, int, object]] = {
    "switch": (lambda f: f.with_switch("s9-15", closed=True), "branches", "status", 33, True),
    "branch": (lambda f: f.with_switch("1-2", closed=False), "branches", "status", 0, False),
    "loads": (lambda f: f.with_loads(p_mw={"18": 0.5}), "loads", "p_mw", 16, 0.5),
    "tap": (lambda f: f.with_tap("1-2", tap=0.95, shift_deg=30.0), "branches", "tap", 0, 0.95),
    "bank": (lambda f: f.with_capacitor("c1", on=False), "capacitors", "status", 0, False),
    "source": (lambda f: f.with_source(v_pu=1.02), "sources", "v_pu", 0, 1.02),
    "id": (lambda f: f.with_feeder_id("F1"), "nodes", "feeder_id", 5, "F1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_with_makes_a_new_feeder(what: str) -> None:
    """Capability 9: switching (and every other change) leaves the feeder it started from alone."""
    change, name, column, row, value = CHANGES[what]
    feeder = with_bank(cases.load("case33bw"))
    before = pickle.dumps(feeder)
    new = change(feeder)
    assert new.column(name, column)[row] == value
    assert feeder.column(name, column)[row] != value
    assert pickle.dumps(feeder) == before
    assert not new.equals(feeder)


def test_a_change_touches_one_value() -> None:
    feeder = cases.load("case33bw")
    new = feeder.with_switch("s9-15", closed=True)
    differs = new.column("branches", "status") != feeder.column("branches", "status")
    assert feeder.column("branches", "branch_id")[differs].tolist() == ["9-15"]
    assert new.with_switch("9-15", closed=False).equals(feeder)


def test_changes_are_validated() -> None:
    feeder = cases.load("case33bw")
    with pytest.raises(CaseError, match="a ratio > 0"):
        feeder.with_tap("1-2", tap=0.0)
    with pytest.raises(CaseError, match="a finite number"):
        feeder.with_loads({"2": float("nan")})
    with pytest.raises(CaseError, match="a voltage > 0 pu"):
        feeder.with_source(v_pu=-1.0)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda f: f.with_switch("s9-16", closed=True), "s9-15"),
        (lambda f: f.with_tap("1-22", tap=1.0), "1-2"),
        (lambda f: f.with_capacitor("c1", on=True), "there are none"),
        (lambda f: f.with_source(v_pu=1.0, source_id="source2"), "source1"),
        (lambda f: f.with_loads({"340": 1.0}), "node_id = '340'.*did you mean"),
        (lambda f: f.filter("case33"), "case33bw"),
    ],
)
def test_unknown_ids_suggest_the_nearest(change: Callable[[Feeder], Feeder], hint: str) -> None:
    feeder = cases.load("case33bw")
    with pytest.raises(CaseError, match=hint):
        change(feeder)


def test_with_loads_by_array_and_mapping() -> None:
    feeder = cases.load("case33bw")
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    double = feeder.with_loads(p_mw=2 * p, q_mvar=2 * q)
    np.testing.assert_array_equal(double.column("nodes", "load_p_mw"), 2 * p)
    np.testing.assert_array_equal(double.column("loads", "q_mvar"), 2 * feeder.column("loads", "q_mvar"))
    assert feeder.with_loads(p_mw=p, q_mvar=q).equals(feeder)
    only_p = feeder.with_loads(p_mw={"2": 7.0})
    assert only_p.column("nodes", "load_p_mw")[1] == 7.0
    np.testing.assert_array_equal(only_p.column("nodes", "load_q_mvar"), q)
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(33,\)"):
        feeder.with_loads(p_mw=np.zeros(3))


def test_with_loads_serves_nodes_without_and_with_several_loads() -> None:
    feeder = cases.load("case33bw")
    new = feeder.with_loads({"1": 0.1}, {"1": 0.05})
    assert new.column("loads", "load_id")[-1] == "load1"
    assert (new.column("nodes", "load_p_mw")[0], new.column("nodes", "load_q_mvar")[0]) == (0.1, 0.05)
    assert new.column("loads", "p_mw")[:-1].tolist() == feeder.column("loads", "p_mw").tolist()
    second = feeder.loads.slice(0, 1).set_column(0, feeder.loads.schema.field(0), pa.array(["extra"]))
    loads = pa.concat_tables([feeder.loads, second])
    total = feeder.column("nodes", "load_p_mw").copy(), feeder.column("nodes", "load_q_mvar").copy()
    nodes = feeder.nodes
    for name, values in zip(("load_p_mw", "load_q_mvar"), total, strict=True):
        values[1] *= 2
        at = nodes.schema.get_field_index(name)
        nodes = nodes.set_column(at, nodes.schema.field(at), pa.array(values))
    two = dataclasses.replace(feeder, nodes=nodes, loads=loads)
    half = two.with_loads({"2": 0.02})
    assert half.column("loads", "p_mw")[[0, -1]].tolist() == [0.01, 0.01]


def marked(feeder: Feeder, name: str, column: str, ids: set[str]) -> pa.Table:
    """One table with the feeder id F2 where the column holds one of the ids, else F1."""
    data = getattr(feeder, name)
    marks = ["F2" if value in ids else "F1" for value in data.column(column).to_pylist()]
    at = data.schema.get_field_index("feeder_id")
    return data.set_column(at, data.schema.field(at), [marks])


def test_feeder_ids_mark_every_row(tmp_path: Path) -> None:
    """Capability 4: a renamed feeder keeps its id in all rows, through a file too."""
    cases.load("case33bw").with_feeder_id("F1").save(tmp_path / "f1")
    feeder = cases.load(tmp_path / "f1")
    assert feeder.feeder_id == "F1"
    for name in cases.TABLES:
        assert set(feeder.column(name, "feeder_id")) <= {"F1"}
    assert feeder.filter("F1").equals(feeder)


def test_filter_takes_one_feeder_out_of_several() -> None:
    """Capability 4: the lateral 19-22 of 33bw as a feeder of its own."""
    feeder = cases.load("case33bw")
    lateral = {"19", "20", "21", "22"}
    own = {"2-19", "19-20", "20-21", "21-22", "21-8"}
    both = dataclasses.replace(
        feeder,
        nodes=marked(feeder, "nodes", "node_id", lateral),
        branches=marked(feeder, "branches", "branch_id", own),
        loads=marked(feeder, "loads", "node_id", lateral),
        switches=marked(feeder, "switches", "branch_id", own),
        sources=marked(feeder, "sources", "node_id", lateral),
    )
    second = both.filter("F2")
    assert second.feeder_id == "F2"
    # Node 2 is where the lateral hangs; its own load stays with F1, and ties into F1 are left out.
    assert set(second.column("nodes", "node_id")) == lateral | {"2"}
    assert second.column("nodes", "load_p_mw").sum() == pytest.approx(4 * 0.09)
    assert set(second.column("branches", "branch_id")) == own - {"21-8"}
    assert second.switches.num_rows == 0
    assert both.filter("F1").n_nodes == 29


def test_a_feeder_cannot_be_changed() -> None:
    feeder = cases.load("case33bw")
    with pytest.raises(dataclasses.FrozenInstanceError):
        feeder.base_mva = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        feeder.column("loads", "p_mw")[0] = 1.0
    with pytest.raises(TypeError):
        feeder.metadata["title"] = "x"  # type: ignore[index]
    with pytest.raises(TypeError):
        feeder.node_index["1"] = 5  # type: ignore[index]


def test_columns() -> None:
    feeder = cases.load("case33bw")
    assert feeder.column("nodes", "base_kv").dtype == np.float64
    assert feeder.column("branches", "status").dtype == np.bool_
    assert feeder.column("regulators", "tap_pos").dtype == np.int64
    assert feeder.column("nodes", "node_id").dtype == object
    assert np.isnan(feeder.column("branches", "length_km")).all()
    assert feeder.column("nodes", "base_kv") is feeder.column("nodes", "base_kv")
    assert feeder.column("nodes", "base_kv").flags.c_contiguous
    with pytest.raises(ValueError, match=r"no column nodes\.kv"):
        feeder.column("nodes", "kv")
    with pytest.raises(ValueError, match=r"no column buses\.kv"):
        feeder.column("buses", "kv")


def test_pickle_and_copies() -> None:
    feeder = cases.load("case141")
    for twin in (pickle.loads(pickle.dumps(feeder)), copy.deepcopy(feeder), copy.copy(feeder)):  # noqa: S301
        assert twin.equals(feeder)
        assert dict(twin.metadata) == dict(feeder.metadata)


def test_units_and_version_are_in_the_schema() -> None:
    feeder = cases.load("case33bw")
    assert feeder.nodes.schema.field("base_kv").metadata[b"unit"] == b"kV line to line"
    assert feeder.nodes.schema.metadata[b"distgrid.schema_version"] == b"3"
    assert feeder.nodes.schema.metadata[b"distgrid.table"] == b"nodes"


def test_threads_share_a_feeder() -> None:
    """Sixteen threads read, change and analyse one fresh feeder; all see the same."""
    feeder = pickle.loads(pickle.dumps(cases.load("case533mt_hi")))  # noqa: S301

    def work(number: int) -> tuple[float, int, int, str]:
        load = float(feeder.column("nodes", "load_p_mw").sum())
        opened = feeder.with_switch(feeder.column("branches", "branch_id")[number], closed=False)
        rows = feeder.node_index["533"]
        return load, len(feeder.topology().islands), rows + len(opened.topology().islands), feeder.describe()

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, [5] * 32))
    assert len(set(results)) == 1
    assert results[0][2] == 532 + 2
