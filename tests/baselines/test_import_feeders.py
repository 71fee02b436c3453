"""One feeder out of several: of nets, RAW files and CIM models, renamed in every row."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from distgrid import cases
from distgrid.baselines.workflows.importing.exporting import export_feeder
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.verification import nominal_voltages
from distgrid.cases import CaseError, Feeder
from distgrid.cases.exporters.cim_files import mrid
from distgrid.cases.importers.several import feeder_ids
from distgrid.cases.schema import TABLES

from .pandapower_nets import SMALL

RAW = Path(__file__).parents[1] / "reference" / "imports" / "psse"


def two_grids() -> Any:
    """Two rows of cables with a grid of their own each, and an open tie between them."""
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [int(k) for k in pp.create_buses(net, 6, vn_kv=20.0)]
    for name, head in (("north", 0), ("south", 3)):
        pp.create_ext_grid(net, buses[head], vm_pu=1.0 + 0.01 * head, name=name)
        for start in (head, head + 1):
            pp.create_line_from_parameters(net, start, start + 1, 2.0, 0.25, 0.12, 250.0, 0.3)
            pp.create_load(net, start + 1, p_mw=0.4, q_mvar=0.1)
    tie = int(pp.create_line_from_parameters(net, buses[2], buses[5], 2.0, 0.25, 0.12, 0.0, 0.3))
    pp.create_switch(net, buses[2], tie, et="l", closed=False)
    return net


def same_voltages(part: Feeder, whole: Feeder) -> None:
    """Every node of one feeder is where it is in the model of all."""
    v = dict(zip(whole.column("nodes", "node_id"), nominal_voltages(whole), strict=True))
    ids = part.column("nodes", "node_id")
    np.testing.assert_allclose(nominal_voltages(part), [v[node] for node in ids], atol=1e-9)


def check_renamed(feeder: Feeder) -> None:
    """All rows of all tables are F1's."""
    assert feeder.name == feeder.feeder_id == "F1"
    for name in TABLES:
        assert set(feeder.column(name, "feeder_id")) <= {"F1"}, name


@pytest.mark.slow
def test_each_grid_of_a_net_is_a_feeder(tmp_path: Path) -> None:
    """Rows 3 and 4: by the name of what feeds it; the open tie to the other one stays behind."""
    path = tmp_path / "two.json"
    pp.to_json(two_grids(), str(path))
    whole = cases.load(path)
    assert feeder_ids(whole) == ("north", "south")
    done = import_feeder(path, feeder_only="south", feeder_id="F1")
    assert done.verification is not None
    assert done.feeder.column("nodes", "node_id").tolist() == ["bus3", "bus4", "bus5"]
    assert done.feeder.column("branches", "branch_id").tolist() == ["line2", "line3"]
    check_renamed(done.feeder)
    check_renamed(import_feeder(done.feeder.save(tmp_path / "out")).feeder)
    same_voltages(done.feeder, whole)
    with pytest.raises(CaseError, match=r"'soth': expected a known id; did you mean south or north\?"):
        import_feeder(path, verified=False, feeder_only="soth")


@pytest.mark.slow
def test_a_zone_fed_by_another_gets_a_source(tmp_path: Path) -> None:
    """Row 4: zones are feeders; one behind another's transformer starts at the voltage that holds there."""
    net = SMALL["taps"]()
    net.bus["zone"] = ["MV"] * 4 + ["LV1", "LV2"]
    path = tmp_path / "zones.json"
    pp.to_json(net, str(path))
    whole = cases.load(path)
    assert feeder_ids(whole) == ("MV", "LV1", "LV2")
    part = import_feeder(path, feeder_only="LV2").feeder
    assert part.column("nodes", "node_id").tolist() == ["bus2", "bus5"]
    assert part.column("sources", "node_id").tolist() == ["bus2"]
    assert part.column("loads", "p_mw").tolist() == [0.2]
    head = [float(nominal_voltages(part)[0].real)]
    assert head == [pytest.approx(nominal_voltages(whole)[2].real, abs=1e-10)]
    assert feeder_ids(cases.from_pandapower(net, feeder_id="one")) == ("one",)


def test_areas_of_a_raw_file_are_feeders(tmp_path: Path) -> None:
    """Row 3: by the name of the area, with what feeds it."""
    text = (RAW / "feeder_v33.raw").read_text()
    for old, new in (
        ("'B           ',20,2,1", "'B           ',20,2,7"),
        ("'C           ',20,1,1", "'C           ',20,1,7"),
        ("1,1,0.0,10.0,'AREA1'\n", "1,1,0.0,10.0,'TOWN'\n7,4,0.0,10.0,'VALLEY'\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "areas.raw"
    path.write_text(text)
    whole = cases.load(path)
    assert feeder_ids(whole) == ("TOWN", "VALLEY")
    done = import_feeder(path, feeder_only="VALLEY", feeder_id="F1")
    check_renamed(done.feeder)
    assert done.feeder.column("sources", "node_id").tolist() == ["3"]
    same_voltages(done.feeder, whole)


def test_feeders_of_a_cim_model(tmp_path: Path) -> None:
    """Row 3: equipment in a container of class Feeder is a feeder, by its name."""
    written = tmp_path / "taps.zip"
    export_feeder(cases.from_pandapower(SMALL["taps"](), "taps"), "cim", written)
    level, feeder = mrid("level", "taps/0.4"), mrid("feeders", "village")
    path = tmp_path / "feeders.zip"
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            text = source.read(name).decode()
            if name.endswith("_EQ.xml"):
                old = f'EquipmentContainer rdf:resource="#{level}"'
                assert old in text
                title = "<cim:IdentifiedObject.name>village</cim:IdentifiedObject.name>"
                text = text.replace(old, old.replace(level, feeder))
                end = f'<cim:Feeder rdf:ID="{feeder}">{title}</cim:Feeder></rdf:RDF>'
                text = text.replace("</rdf:RDF>", end)
            target.writestr(name, text)
    whole = cases.load(path)
    assert feeder_ids(whole) == ("feeders", "village")
    done = import_feeder(path, feeder_only="village", feeder_id="F1")
    check_renamed(done.feeder)
    assert set(done.feeder.column("nodes", "base_kv")) == {0.4, 20.0}
    assert done.feeder.sources.num_rows == 1
    assert len(done.feeder.column("loads", "p_mw")) == 2


def test_a_per_phase_feeder_needs_a_source(tmp_path: Path) -> None:
    """A source that is the same in all phases could not stand for an unbalanced head."""
    from .pandapower_nets import per_phase

    net = per_phase()
    net.bus["zone"] = ["MV"] * 2 + ["LV"] * 4
    path = tmp_path / "phases.json"
    pp.to_json(net, str(path))
    with pytest.raises(CaseError, match="'LV': expected a feeder with a source of its own"):
        import_feeder(path, verified=False, feeder_only="LV")
