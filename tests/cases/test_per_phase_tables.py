"""Per-phase feeders: what their tables may say, and that every error names table, row, field and value."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder

from .dss_engine import feeder_from_text
from .scripts import EVERYTHING


@pytest.fixture(scope="module")
def feeder() -> Feeder:
    """One of everything."""
    return feeder_from_text(EVERYTHING.removesuffix("solve\n"), "all.dss")


def row(feeder: Feeder, table: str, key: str) -> int:
    return int(np.flatnonzero(feeder.column(table, getattr(feeder, table).column_names[0]) == key)[0])


def changed(feeder: Feeder, table: str, column: str, key: str, value: Any) -> Feeder:
    """The feeder with one value replaced."""
    data = getattr(feeder, table)
    values = data[column].to_pylist()
    values[row(feeder, table, key)] = value
    at = data.schema.get_field_index(column)
    new = data.set_column(at, data.schema.field(at), pa.array(values, type=data.schema.field(at).type))
    return dataclasses.replace(feeder, **{table: new})


EYE = [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]
BAD = [
    ("nodes", "phase", "n3", "B", "phases that its from_node has|phases that its to_node has|a phase"),
    ("nodes", "phase", "n3", "CA", "one of A, B, C"),
    ("nodes", "phase", "sourcebus", "AB", "a node with the phases ABC"),
    ("branches", "phase", "a", "AB", "zeros for phases that the branch has not"),
    ("branches", "type", "f", "transformer", "a row in transformers for this branch"),
    ("branches", "type", "sub", "line", "a 3x3 matrix for every line and switch"),
    ("branches", "r_ohm", "a", None, "a 3x3 matrix for every line and switch"),
    ("branches", "b_us", "e", None, "a 3x3 matrix for every line and switch"),
    ("branches", "x_ohm", "a", [*EYE[:1], 0.1, *EYE[2:]], "a symmetric matrix"),
    ("branches", "r_ohm", "a", [-1.0, *EYE[1:]], "a diagonal >= 0"),
    ("branches", "r_ohm", "a", [float("nan"), *EYE[1:]], "nine finite numbers or null"),
    ("branches", "b_us", "c", EYE, "zeros for phases that the branch has not"),
    ("branches", "open_ends", "a", "both", "one of , from, to"),
    ("branches", "open_ends", "sub", "to", "an open end of a line or switch only"),
    ("branches", "open_ends", "vreg", "from", "an open end of a line or switch only"),
    ("loads", "phase", "cvr", "B", "phases that its node has"),
    ("loads", "phase", "delta", "A", "two phases (a leg) or three for a delta connection"),
    ("loads", "phase", "h1", "A", "phases that its node has"),
    ("loads", "connection", "pq", "star", "one of wye, delta"),
    ("loads", "v_low_pu", "pq", 0.0, "a number > 0, or null"),
    ("loads", "v_high_pu", "pq", 0.5, "a voltage above v_low_pu"),
    ("capacitors", "phase", "c3", "C", "two phases (a leg) or three for a delta connection"),
    ("transformers", "connection", "dd", "zigzag", "one of wye-wye"),
    ("transformers", "connection", "dd", None, "a value, as the feeder is per-phase"),
    ("transformers", "branch_id", "dd", "a", "a branch of type transformer or regulator"),
    ("transformers", "to_phase", "dd", "AB", "three phases at both ends of a unit, or at neither"),
    ("transformers", "from_phase", "dd", "ABB", "three phases, one phase of a wye"),
    ("transformers", "to_phase", "house", "AB", "three phases, one phase of a wye"),
    ("transformers", "to_phase", "va", "AB", "three phases, one phase of a wye"),
    ("transformers", "x_12_pct", "house", None, "a value for a centre-tap unit"),
    ("transformers", "r_h_pct", "dd", 1.0, "null, as the unit has no centre tap"),
    ("transformers", "tap_to", "dd", 0.0, "a number > 0"),
    ("transformers", "r_pct", "dd", -1.0, "a number >= 0"),
    ("regulators", "transformer_id", "va", "nobody", "the id of a row of the transformers table"),
    ("regulators", "transformer_id", "va", None, "the id of a row of the transformers table"),
    ("regulators", "transformer_id", "va", "dd", "a unit of the branch branch_id"),
    ("regulators", "monitored_phase", "va", "12", "phases that the to node of its branch has"),
    ("regulators", "delay_s", "va", -1.0, "a number >= 0"),
    ("sources", "r_ohm", "source", None, "r_ohm and x_ohm together, or neither"),
    ("cap_controls", "cap_id", "cc", "c9", "the id of a row of the capacitors table"),
    ("cap_controls", "branch_id", "cc", "q", "the id of a row of the branches table"),
    ("cap_controls", "type", "cc", "time", "one of kvar, voltage, current"),
    ("cap_controls", "end", "cc", "middle", "one of from, to"),
    ("cap_controls", "monitored_phase", "cc", "1", "phases that its branch has"),
]


@pytest.mark.parametrize(("table", "column", "key", "value", "expected"), BAD)
def test_bad_values_are_named(
    feeder: Feeder, table: str, column: str, key: str, value: Any, expected: str
) -> None:
    """Capability 116: table, row, field, value, and what was expected."""
    with pytest.raises(CaseError) as caught:
        changed(feeder, table, column, key, value)
    said = [str(problem) for problem in caught.value.problems]
    assert any(part in text for part in expected.split("|") for text in said), said
    if table not in ("nodes",) and "row in transformers" not in expected and column not in ("type", "phase"):
        assert any(f"{table}, row {row(feeder, table, key)}: {column}" in text for text in said), said


def test_power_on_an_absent_phase_is_an_error(feeder: Feeder) -> None:
    """Trap 3, capability 107: n3 has phase A alone."""
    with pytest.raises(CaseError, match=r"loads, row .*: phase = 'ABC': expected phases that its node has"):
        changed(feeder, "loads", "phase", "z", "ABC")


def test_balanced_feeders_have_no_matrices_and_no_legs() -> None:
    base = cases.load("case33bw")
    assert base.phases == "balanced"
    assert np.isnan(base.column("branches", "r_ohm")).all()
    assert base.column("branches", "r_ohm").shape == (37, 3, 3)
    assert set(base.column("loads", "connection")) == {"wye"}
    data = base.branches
    given = pa.array([EYE] + [None] * 36, type=data.schema.field("r_ohm").type)
    with pytest.raises(CaseError, match=r'r_ohm = .*: expected null, unless Feeder.phases is "per-phase"'):
        dataclasses.replace(
            base, branches=data.set_column(data.schema.get_field_index("r_ohm"), "r_ohm", given)
        )
    with pytest.raises(CaseError, match="phases = 'three': expected one of balanced, per-phase"):
        dataclasses.replace(base, phases="three")
    with pytest.raises(CaseError, match="a 3x3 matrix for every line and switch"):
        dataclasses.replace(base, phases="per-phase")


def test_round_trips(feeder: Feeder, tmp_path: Path) -> None:
    """Through Parquet and through pickle, bit for bit, with its word on phases and its control tables."""
    for again in (cases.load(feeder.save(tmp_path / "f")), pickle.loads(pickle.dumps(feeder))):  # noqa: S301
        assert again.equals(feeder)
        assert again.phases == "per-phase"
        assert again.cap_controls.num_rows == 1
        z, other = feeder.column("branches", "x_ohm"), again.column("branches", "x_ohm")
        assert np.array_equal(z, other, equal_nan=True)


def test_edits_keep_the_phases(feeder: Feeder) -> None:
    """A switch moved, a bank switched, another feeder id, and a filter that keeps all."""
    assert feeder.with_switch("tie", closed=True).phases == "per-phase"
    assert feeder.with_capacitor("c3", on=True).column("capacitors", "status").all()
    moved = feeder.with_regulator("vb", -16)
    assert moved.column("regulators", "tap_pos").tolist() == [5, -16, 8]
    with pytest.raises(CaseError, match="a position from tap_min to tap_max"):
        feeder.with_regulator("vb", 17)
    with pytest.raises(CaseError, match="known: va, vb, vc"):
        feeder.with_regulator("vx", 1)
    with pytest.raises(ValueError, match="use with_regulator"):
        feeder.with_tap("sub", 1.05)
    named = feeder.with_feeder_id("F1")
    assert set(named.column("cap_controls", "feeder_id")) == {"F1"}
    assert named.filter("F1").equals(named)
    assert feeder.with_loads(q_mvar={"n3": 0.0}).phases == "per-phase"


def test_one_phase_wires_side_by_side_are_one_branch(feeder: Feeder) -> None:
    assert "per-phase, " in feeder.describe()
    k = feeder.branch_index["p1+p2"]
    assert feeder.column("branches", "phase")[k] == "AC"
    assert feeder.topology().is_radial
    x = feeder.column("branches", "x_ohm")[k]
    assert x[2, 2] == pytest.approx(1.2 * x[0, 0])
    assert x[0, 2] == 0.0


def test_units_of_split_phase_wires(feeder: Feeder) -> None:
    """Behind the centre tap the phases are the two hot legs."""
    assert feeder.column("nodes", "phase")[feeder.node_index["yard"]] == "12"
    assert feeder.column("loads", "phase")[row(feeder, "loads", "h240")] == "12"
    assert feeder.column("branches", "phase")[feeder.branch_index["house"]] == "C"


def test_a_line_may_be_open_at_one_end(feeder: Feeder, tmp_path: Path) -> None:
    """It joins nothing, is kept on disk and in pickles, is told, and switching moves both of its ends."""
    half = changed(feeder, "branches", "open_ends", "a", "to")
    loaded = cases.load(half.save(tmp_path / "half"))
    assert loaded.equals(half)
    assert pickle.loads(pickle.dumps(half)).equals(half)  # noqa: S301
    assert loaded.column("branches", "open_ends")[row(half, "branches", "a")] == "to"
    assert ", 1 of them at one end only, " in half.describe()
    whole, opened = half.with_switch("a", closed=True), half.with_switch("a", closed=False)
    assert whole.equals(feeder)
    assert "at one end only" not in whole.describe()
    islands = [{island.nodes for island in each.topology().islands} for each in (half, opened, feeder)]
    assert islands[0] == islands[1] != islands[2]
    assert opened.column("branches", "open_ends")[row(half, "branches", "a")] == ""
    with pytest.raises(CaseError, match="open at both ends"):
        changed(opened, "branches", "open_ends", "a", "to")


def test_a_balanced_feeder_has_no_open_ends() -> None:
    """Its physics has no half lines, so the tables refuse them, with row and field."""
    with pytest.raises(CaseError, match=r"row 0: open_ends = 'to': expected .*per-phase"):
        changed(cases.load("case33bw"), "branches", "open_ends", "1-2", "to")
