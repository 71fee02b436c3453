"""Feeders written as OpenDSS scripts: read back by the importer, and solved by OpenDSS as they are here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from distgrid import cases
from distgrid.baselines.workflows.importing.exporting import export_feeder
from distgrid.cases import CaseError, Feeder
from distgrid.cases.model.edit import replaced

from .pandapower_nets import SMALL

LARGE = ("case118zh", "case136ma", "case141", "case533mt_hi", "case533mt_lo", "european_lv")


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in cases.names()]
)
def test_every_shipped_feeder_is_what_opendss_solves(name: str, tmp_path: Path) -> None:
    """Rows 1, 8, 83: balanced or per phase, each node of the engine is where the feeder has it."""
    feeder, file = cases.load(name), tmp_path / f"{name}.dss"
    found = export_feeder(feeder, "opendss", file)
    assert found.engine == "OpenDSS"
    assert found.largest_pu < 1e-7
    assert found.compared == (~np.isnan(_letters(feeder))).sum()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def _letters(feeder: Feeder) -> np.ndarray:
    """One number for each voltage of a feeder, NaN for phases that a node has not."""
    if feeder.phases == "balanced":
        return np.zeros(feeder.n_nodes)
    here = [[letter in phase for letter in "ABC"] for phase in feeder.column("nodes", "phase")]
    return np.where(here, 0.0, np.nan)


def test_loops_are_closed_by_both(tmp_path: Path) -> None:
    """Row 19: 33bw with all five ties closed, and a tie of IEEE 123."""
    feeder = cases.load("case33bw")
    for tie in feeder.column("switches", "switch_id"):
        feeder = feeder.with_switch(str(tie), closed=True)
    assert export_feeder(feeder, "opendss", tmp_path / "mesh.dss").largest_pu < 1e-8
    meshed = cases.load("ieee123").with_switch("sw7", closed=True)
    assert export_feeder(meshed, "opendss", tmp_path / "phases.dss").largest_pu < 1e-8
    again = cases.load(tmp_path / "phases.dss")
    assert len(again.topology().meshes) == len(meshed.topology().meshes) == 1


def test_what_comes_back_is_what_was_written(tmp_path: Path) -> None:
    """Rows 4, 6 to 9: taps, controls, banks, shares, bands, ratings, limits and places of IEEE 13."""
    feeder, file = cases.load("ieee13").with_capacitor("cap2", on=False), tmp_path / "a.dss"
    export_feeder(feeder, "opendss", file)
    back = cases.load(file)
    assert back.name == "ieee13"
    skipped = {"feeder_id", "source_id", "length_km", "coord_source", "rating_source", "normally_closed", "r",
               "x", "b", "tap", "shift_deg"}  # fmt: skip
    tables = (
        ("nodes", "node_id"), ("branches", "branch_id"), ("loads", "load_id"), ("capacitors", "cap_id"),
        ("regulators", "reg_id"), ("transformers", "transformer_id"), ("switches", "branch_id"),
        ("sources", "node_id"),
    )  # fmt: skip
    for table, key in tables:
        ours, theirs = ({row[key]: row for row in getattr(one, table).to_pylist()} for one in (feeder, back))
        assert set(ours) == set(theirs)
        for one, row in ours.items():
            for column, value in row.items():
                if column in skipped or value is None:
                    continue
                if column == "thermal_limit_mva" and row["type"] not in ("line", "switch"):
                    continue  # that of a transformer is its kVA
                other = theirs[one][column]
                if isinstance(value, float | list):
                    np.testing.assert_allclose(other, value, rtol=1e-6, atol=1e-9, err_msg=f"{one} {column}")
                else:
                    assert other == value, (table, one, column)


@pytest.mark.slow
def test_what_opendss_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    """Row 3: a held voltage, a shift of no windings, phases of a source that differ; nothing is written."""
    bare = cases.load("ieee13")
    z = np.array(bare.sources.column("r_ohm")[0].as_py()) * ([2.0] + [1.0] * 8)
    field = bare.sources.schema.field("r_ohm")
    skewed = bare.sources.set_column(5, field, pa.array([z.tolist()], field.type))
    shifted = cases.from_pandapower(SMALL["taps"](), "taps").with_tap("trafo0", shift_deg=180.0)
    for feeder, file, message in (
        (
            cases.from_pandapower(SMALL["equivalents"](), "e"),
            "a.dss",
            "xward0:source.*v_set_pu.*constant pow",
        ),
        (shifted, "a.dss", "'trafo0'.*shift_deg = 180: expected 0, 30, 90, 120 or 150 degrees"),
        (dataclasses.replace(bare, sources=skewed), "a.dss", "'source'.*the same in each phase"),
        (bare, "a.txt", r"expected \.dss, as opendss files have"),
    ):
        with pytest.raises(CaseError, match=message):
            export_feeder(feeder, "opendss", tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_ids_that_opendss_would_mix_up_stay_apart(tmp_path: Path) -> None:
    """Row 4: three buses whose names differ in case, dots and spaces alone, told in the file."""
    feeder, file = (
        _renamed(cases.load("case33bw"), {"2": "Bus 3", "3": "bus.3", "4": "BUS_3"}),
        tmp_path / "a.dss",
    )
    assert export_feeder(feeder, "opendss", file).largest_pu < 1e-8
    text = file.read_text()
    for line in ("! bus bus_3 is Bus 3", "! bus bus_3_2 is bus.3", "! bus bus_3_3 is BUS_3"):
        assert line in text.splitlines()
    assert export_feeder(feeder, "opendss", file).compared == 33  # written over itself


def _renamed(feeder: Feeder, names: dict[str, str]) -> Feeder:
    tables = {}
    for table, columns in (("nodes", ["node_id"]), ("branches", ["from_node", "to_node"]),
                           ("loads", ["node_id"]), ("sources", ["node_id"])):  # fmt: skip
        found = getattr(feeder, table)
        for column in columns:
            new = [names.get(one, one) for one in found.column(column).to_pylist()]
            found = replaced(found, column, pa.array(new))
        tables[table] = found
    return dataclasses.replace(feeder, **tables)
