"""A feeder that exists is a feeder that is sound: everything wrong is found when it is made."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder, Problem, table


@pytest.fixture(scope="module")
def feeder() -> Feeder:
    """33bw with one device of each kind."""
    base = cases.load("case33bw")
    name = [base.feeder_id]
    return dataclasses.replace(
        base,
        capacitors=table(
            "capacitors",
            {
                "cap_id": ["c1"],
                "node_id": ["18"],
                "phase": ["ABC"],
                "q_mvar": [0.3],
                "status": [True],
                "feeder_id": name,
            },
        ),
        regulators=table(
            "regulators",
            {
                "reg_id": ["r1"],
                "branch_id": ["1-2"],
                "phase": ["ABC"],
                "tap_pos": [2],
                "tap_min": [-16],
                "tap_max": [16],
                "tap_step_pu": [0.00625],
                "v_set_pu": [1.0],
                "band_pu": [0.01],
                "feeder_id": name,
            },
        ),
        transformers=table(
            "transformers",
            {
                "transformer_id": ["t1"],
                "branch_id": ["1-2"],
                "s_mva": [None],
                "hv_kv": [12.66],
                "lv_kv": [12.66],
                "feeder_id": name,
            },
        ),
    )


def changed(feeder: Feeder, name: str, column: str, row: int, value: Any) -> Feeder:
    """The feeder with one value of one table replaced."""
    data = getattr(feeder, name)
    values = data[column].to_pylist()
    values[row] = value
    at = data.schema.get_field_index(column)
    new = data.set_column(at, data.schema.field(at), pa.array(values, type=data.schema.field(at).type))
    return dataclasses.replace(feeder, **{name: new})


BAD = [
    ("nodes", "node_id", 4, "4", "an id that no earlier row has"),
    ("nodes", "node_id", 4, "", "a non-empty id"),
    ("nodes", "base_kv", 4, 0.0, "kV > 0"),
    ("nodes", "base_kv", 4, float("nan"), "a finite number"),
    ("nodes", "v_min", 4, float("inf"), "a finite number"),
    ("nodes", "v_min", 4, -0.1, "a limit >= 0 pu"),
    ("nodes", "v_max", 4, 0.5, "a limit that is not below v_min"),
    ("nodes", "type", 4, "bus", "one of source, load, junction, der"),
    ("nodes", "phase", 4, "ACB", "one of A, B, C"),
    ("nodes", "load_p_mw", 4, 0.5, "the sum of p_mw in the loads table"),
    ("nodes", "load_q_mvar", 4, 0.5, "the sum of q_mvar in the loads table"),
    ("nodes", "x", 4, None, "x and y together, or neither"),
    ("nodes", "coord_source", 4, "guess", "one of source, layout"),
    ("nodes", "shunt_b_mvar", 4, float("nan"), "a finite number"),
    ("branches", "branch_id", 4, "1-2", "an id that no earlier row has"),
    ("branches", "from_node", 4, "99", "the id of a row of the nodes table"),
    ("branches", "to_node", 4, "99", "the id of a row of the nodes table"),
    ("branches", "to_node", 4, "5", "a node other than from_node"),
    ("branches", "type", 4, "cable", "one of line, transformer, switch"),
    ("branches", "phase", 4, "", "one of A, B, C"),
    ("branches", "r", 4, -0.01, "r >= 0"),
    ("branches", "r", 4, float("nan"), "a finite number"),
    ("branches", "x", 4, float("-inf"), "a finite number"),
    ("branches", "tap", 4, 0.0, "a ratio > 0"),
    ("branches", "thermal_limit_mva", 4, 0.0, "a rating > 0, or null"),
    ("branches", "thermal_limit_mva", 4, float("inf"), "a finite number or null"),
    ("branches", "thermal_limit_mva", 4, None, "a value exactly where thermal_limit_mva has one"),
    ("branches", "rating_source", 4, "measured", "one of source, synthetic"),
    ("branches", "length_km", 4, 0.0, "a length > 0, or null"),
    ("loads", "load_id", 4, "load2", "an id that no earlier row has"),
    ("loads", "node_id", 4, "99", "the id of a row of the nodes table"),
    ("loads", "p_mw", 4, float("nan"), "a finite number"),
    ("loads", "cvr_p", 4, 0.8, "cvr_p and cvr_q together"),
    ("capacitors", "node_id", 0, "99", "the id of a row of the nodes table"),
    ("capacitors", "phase", 0, "D", "one of A, B, C"),
    ("regulators", "branch_id", 0, "99", "the id of a row of the branches table"),
    ("regulators", "tap_pos", 0, 17, "a position from tap_min to tap_max"),
    ("regulators", "tap_max", 0, -20, "tap_max >= tap_min"),
    ("regulators", "tap_step_pu", 0, 0.0, "a number > 0"),
    ("regulators", "band_pu", 0, -1.0, "a number >= 0"),
    ("transformers", "branch_id", 0, "99", "the id of a row of the branches table"),
    ("transformers", "hv_kv", 0, 0.0, "a number > 0"),
    ("switches", "branch_id", 1, "99", "the id of a row of the branches table"),
    ("switches", "branch_id", 1, "21-8", "at most one switch per branch"),
    ("switches", "type", 1, "fuse", "one of tie, sectionaliser, breaker"),
    ("sources", "node_id", 0, "99", "the id of a row of the nodes table"),
    ("sources", "v_pu", 0, 0.0, "a voltage > 0 pu"),
    ("sources", "v_deg", 0, float("nan"), "a finite number"),
]


@pytest.mark.parametrize(("name", "column", "row", "value", "expected"), BAD)
def test_each_invalid_field_is_named(
    feeder: Feeder, name: str, column: str, row: int, value: Any, expected: str
) -> None:
    """Capability 116: table, row, field, value and what would have been accepted."""
    with pytest.raises(CaseError) as caught:
        changed(feeder, name, column, row, value)
    hits = [p for p in caught.value.problems if expected in p.expected]
    assert hits, str(caught.value)
    assert hits[0].file == name
    assert hits[0].row == row
    assert f"row {row}" in str(caught.value)


def test_everything_wrong_is_listed_at_once(feeder: Feeder) -> None:
    branches = feeder.branches
    minus_one = pa.array(-np.ones(len(branches)))
    worse = branches.set_column(branches.schema.get_field_index("r"), branches.schema.field("r"), minus_one)
    with pytest.raises(CaseError) as caught:
        dataclasses.replace(feeder, branches=worse, base_mva=float("nan"))
    assert len(caught.value.problems) == len(branches) + 1
    assert "and 18 more" in str(caught.value)
    assert caught.value.problems[0].field == "base_mva"
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems  # noqa: S301


def test_wrong_columns_are_named(feeder: Feeder) -> None:
    nodes = feeder.nodes
    with pytest.raises(CaseError, match=r"nodes: base_kv: expected a column of this name"):
        dataclasses.replace(feeder, nodes=nodes.drop_columns(["base_kv"]))
    with pytest.raises(CaseError, match="colour: expected no such column"):
        dataclasses.replace(feeder, nodes=nodes.append_column("colour", nodes["phase"]))
    text = nodes.set_column(3, "base_kv", pa.array(["high"] * len(nodes)))
    with pytest.raises(CaseError, match="base_kv = string: expected double"):
        dataclasses.replace(feeder, nodes=text)
    null = nodes.set_column(3, "base_kv", pa.array([None] * len(nodes), type=pa.float64()))
    with pytest.raises(CaseError, match="nodes, row 0: base_kv = null"):
        dataclasses.replace(feeder, nodes=null)
    with pytest.raises(CaseError, match="only once"):
        dataclasses.replace(feeder, nodes=nodes.append_column("phase", nodes["phase"]))
    with pytest.raises(CaseError, match="at least one node"):
        dataclasses.replace(feeder, nodes=nodes.slice(0, 0))


def test_columns_come_in_any_order_and_cast(feeder: Feeder) -> None:
    backwards = feeder.nodes.select(feeder.nodes.column_names[::-1])
    assert dataclasses.replace(feeder, nodes=backwards).equals(feeder)
    chunks = pa.concat_tables([feeder.nodes.slice(0, 5), feeder.nodes.slice(5)])
    assert dataclasses.replace(feeder, nodes=chunks).equals(feeder)


def test_two_sources_in_one_island(feeder: Feeder) -> None:
    """One source per energised island; opening a branch between them makes two islands of them."""
    columns: dict[str, list[Any]] = {"source_id": ["grid", "plant"], "node_id": ["1", "18"]}
    columns |= {"v_pu": [1.0, 1.0], "v_deg": [0.0, 0.0], "feeder_id": ["a", "a"]}
    sources = table("sources", columns)
    with pytest.raises(CaseError, match="sources 'grid' and 'plant' feed the same one"):
        dataclasses.replace(feeder, sources=sources)
    apart = dataclasses.replace(feeder.with_switch("17-18", closed=False), sources=sources)
    assert [island.sources for island in apart.topology().islands] == [("grid",), ("plant",)]
    with pytest.raises(CaseError, match="feed the same one"):
        apart.with_switch("s18-33", closed=True)


def test_phases_must_exist_at_both_ends(feeder: Feeder) -> None:
    one_phase = changed(feeder.with_loads({"18": 0.0}, {"18": 0.0}), "capacitors", "node_id", 0, "17")
    loads = one_phase.loads.filter(pa.array([n != "18" for n in one_phase.column("loads", "node_id")]))
    one_phase = dataclasses.replace(one_phase, loads=loads)
    with pytest.raises(CaseError, match="expected phases that its to_node has"):
        changed(one_phase, "nodes", "phase", 17, "B")
    row = feeder.branch_index["17-18"]
    tie = feeder.branch_index["18-33"]
    lateral = changed(changed(one_phase, "branches", "phase", row, "B"), "branches", "phase", tie, "B")
    assert changed(lateral, "nodes", "phase", 17, "B").column("nodes", "phase")[17] == "B"
    with pytest.raises(CaseError, match="expected phases that its node has"):
        changed(changed(lateral, "nodes", "phase", 17, "B"), "capacitors", "node_id", 0, "18")


def test_voltage_levels_meet_at_transformers_only(feeder: Feeder) -> None:
    with pytest.raises(CaseError, match="type = 'line': expected transformer, as base_kv differs"):
        changed(feeder, "nodes", "base_kv", 17, 0.4)


def test_zero_impedance_and_loops_and_dead_islands_are_legal(feeder: Feeder) -> None:
    solid = changed(changed(feeder, "branches", "r", 3, 0.0), "branches", "x", 3, 0.0)
    assert solid.column("branches", "r")[3] == 0.0
    assert changed(feeder, "branches", "x", 3, -0.1).column("branches", "x")[3] == -0.1
    assert not feeder.with_switch("s9-15", closed=True).topology().is_radial
    assert len(feeder.with_switch("2-3", closed=False).topology().islands) == 2
    assert dataclasses.replace(feeder, sources=feeder.sources.slice(0, 0)).n_nodes == 33


def test_a_problem_reads_well() -> None:
    assert str(Problem("a.m", 3, "r", "-1", "r >= 0")) == "a.m:3: r = -1: expected r >= 0"
    text = "n.parquet, row 3: r = -1: expected r >= 0"
    assert str(Problem("n.parquet", 3, "r", "-1", "r >= 0")) == text
    assert str(Problem("n", None, "", "", "a file")) == "n: expected a file"


def test_table_asks_for_its_columns() -> None:
    with pytest.raises(ValueError, match="needs the column 'node_id'"):
        table("sources", {"source_id": ["a"]})
    with pytest.raises(ValueError, match="no column 'colour'"):
        table("switches", {"colour": []})
