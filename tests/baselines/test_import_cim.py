"""CIM models: typed at the border, with mRIDs that come back."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.exporting import export_feeder
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.verification import nominal_voltages
from distgrid.cases import CaseError
from distgrid.cases.importers.quiet import quiet

from .pandapower_nets import SMALL

IMPORTS = Path(__file__).parents[1] / "reference" / "imports" / "cim"
BANK = "_0b6d6f5e-5a0e-4d6a-9f5e-2f1f6f0e9a11"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two transformers, taps, a shift of 150 degrees, cables, and a bank whose id is an mRID."""
    file = tmp_path_factory.mktemp("cim") / "taps.zip"
    feeder = cases.from_pandapower(SMALL["taps"](), "taps").with_new_capacitor("bus3", 0.2, cap_id=BANK)
    export_feeder(feeder, "cim", file)
    return file


def rewritten(archive: Path, folder: Path, old: str, new: str) -> Path:
    """The model with one text replaced wherever it stands."""
    path, hits = folder / "other.zip", 0
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            text, count = re.subn(old, new, source.read(name).decode())
            hits += count
            target.writestr(name, text)
    assert hits, f"nothing matches {old}"
    return path


def test_mrids_are_kept_both_ways(archive: Path, tmp_path: Path) -> None:
    """Row 115: what comes from CIM goes back with the same mRIDs, and is the same feeder."""
    first = cases.load(archive)
    assert BANK in first.column("capacitors", "cap_id")
    export_feeder(first, "cim", tmp_path / "again.zip")
    second = cases.load(tmp_path / "again.zip")
    for table, key in (
        ("nodes", "node_id"), ("branches", "branch_id"), ("loads", "load_id"), ("capacitors", "cap_id"),
        ("sources", "source_id"),
    ):  # fmt: skip
        assert set(first.column(table, key)) == set(second.column(table, key)), table
    at = [second.branch_index[name] for name in first.column("branches", "branch_id")]
    for column in ("r", "x", "b", "tap", "shift_deg"):
        ours, theirs = first.column("branches", column), second.column("branches", column)[at]
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-15)


def test_an_import_is_verified_by_the_solution_in_the_model(archive: Path, tmp_path: Path) -> None:
    """Row 3: against the SV profile; a model whose impedance is another one is found."""
    done = import_feeder(archive)
    assert done.verification is not None
    assert done.verification.compared == 6
    assert done.verification.largest_pu < 1e-9
    wrong = rewritten(archive, tmp_path, r"ACLineSegment\.r>[^<]*<", "ACLineSegment.r>0.9<")
    with pytest.raises(RunError, match="the SV profile differs by"):
        import_feeder(wrong)
    no_state = rewritten(archive, tmp_path, r"(?s)<cim:SvVoltage .*?</cim:SvVoltage>", "")
    with pytest.raises(RunError, match=r"no SV profile.*--no-verify"):
        import_feeder(no_state)
    assert import_feeder(no_state, verified=False).verdict == "not verified"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"ACLineSegment\.r>[^<]*<", "ACLineSegment.r>-1<", r"_\S+ ACLineSegment\.r = -1.*equal to 0"),
        (r"nominalVoltage>[^<]*<", "nominalVoltage>0<", r"BaseVoltage\.nominalVoltage = 0.*greater than 0"),
        (r"Conductor\.length>[^<]*<", "Conductor.length>-2<", r"Conductor\.length = -2"),
        (r"EnergyConsumer\.p>[^<]*<", "EnergyConsumer.p>nan<", r"EnergyConsumer\.p = nan.*finite"),
        (r"<cim:ACLineSegment\.r>[^<]*</cim:ACLineSegment\.r>", "", r"ACLineSegment\.r.*field required"),
        (r"(?s)<cim:BaseVoltage .*?</cim:BaseVoltage>", "", r"BaseVoltage = _\S+: expected an object of"),
        (r"(?s)<cim:EnergySource .*?</cim:EnergySource>", "", "Terminal.ConductingEquipment = _"),
        ("ACLineSegment", "SeriesCompensator", "SeriesCompensator .*no equipment of this class"),
        ("<rdf:RDF", "<!DOCTYPE x [<!ENTITY a 'b'>]><rdf:RDF", "a document without a DOCTYPE"),
        ("</rdf:RDF>", "", "a whole XML document"),
    ],
)  # fmt: skip
def test_the_border_names_class_object_and_field(
    archive: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Row 116: impossible values, missing fields, dangling references, entities: one line each."""
    path = rewritten(archive, tmp_path, old, new)
    with pytest.raises(CaseError, match=message):
        cases.load(path)


def test_a_damaged_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    """Cut anywhere, a zip is not read as half a model."""
    raw = archive.read_bytes()
    for keep in (0.2, 0.5, 0.9):
        path = tmp_path / "cut.zip"
        path.write_bytes(raw[: int(keep * len(raw))])
        with pytest.raises(CaseError, match="a whole zip archive"):
            cases.load(path)


def test_taps_go_by_their_table(tmp_path: Path) -> None:
    """Row 5: ratio and impedance are those of the step in the table; a step that it has not is told."""
    archive = IMPORTS / "powsybl_cgmes2.zip"
    tap = cases.load(archive).column("branches", "tap")
    assert tap.min() == pytest.approx(112.0 / 110.0 / (20.5 / 20.0) / 1.015, rel=1e-12)
    wrong = rewritten(archive, tmp_path, "TapChanger.step>1<", "TapChanger.step>7<")
    with pytest.raises(CaseError, match=r"TapChanger\.step = 7: expected a step of its table: -1, 0, 1"):
        cases.load(wrong)


def test_machines_hold_their_voltage(tmp_path: Path) -> None:
    """Row 3: the reference machine is the source; another one under voltage control holds its own node."""
    archive = IMPORTS / "powsybl_cgmes2.zip"
    feeder = cases.load(archive)
    assert feeder.column("sources", "v_pu").tolist() == [pytest.approx(1.03)]
    assert np.isnan(feeder.column("loads", "v_set_pu")).all()
    held = rewritten(archive, tmp_path, "nabled>false<", "nabled>true<")
    assert 1.0 in cases.load(held).column("loads", "v_set_pu")
    lost = rewritten(archive, tmp_path, r"(?s)<cim:TopologicalIsland .*?</cim:TopologicalIsland>", "")
    with pytest.raises(CaseError, match="a SynchronousMachine with a referencePriority above 0"):
        cases.load(lost)


@pytest.mark.slow
def test_pandapowers_converter_reads_the_same_network(archive: Path) -> None:
    """Row 115: what is written here, and a model of powsybl's, through a converter that is not ours.

    pandapower puts the magnetising of a transformer into the middle of a T, which moves the second model by
    9e-5 pu; here both are where powsybl has them (`test_import_cases`).
    """
    pytest.importorskip("lxml", reason="pandapower's CIM converter needs lxml (extra `oracle`)")
    from pandapower.converter.cim.cim2pp.from_cim import from_cim

    for file, atol in ((archive, 1e-8), (IMPORTS / "powsybl_cgmes2.zip", 2e-4)):
        with quiet():
            net = from_cim(file_list=[str(file)])
            if not len(net.ext_grid):  # the converter knows referencePriority only, and this model has none
                net.gen["slack"] = True
            pp.runpp(net, numba=False, calculate_voltage_angles=True, tolerance_mva=1e-10)
            theirs = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
        feeder = cases.load(file)
        ours = nominal_voltages(feeder)[[feeder.node_index[node] for node in net.bus.origin_id]]
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=atol)
