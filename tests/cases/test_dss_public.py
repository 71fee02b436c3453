"""What the scripts of public feeders say beside the circuit, and spell in their own way, is no obstacle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid.baselines.workflows.importing.series_verification import verify_series
from distgrid.baselines.workflows.importing.verification import verify
from distgrid.cases import CaseError, Feeder
from distgrid.cases.importers.opendss.engine import session
from distgrid.cases.importers.opendss.importer import read_file
from distgrid.cases.importers.opendss.reader import DssReport
from distgrid.cases.importers.reading import ReadOptions

pytest.importorskip("dss")
from .dss_children import compiled, in_child
from .dss_engine import converted, read_path, read_text

SMALL = """new circuit.small basekv=12.47
new line.a bus1=sourcebus bus2=b length=1 units=km r1=.1 x1=.2 r0=.3 x0=.6 c1=0 c0=0
new load.l bus1=b kv=12.47 kw=100 kvar=20
set voltagebases=[12.47]
"""
REGULATED = f"""{SMALL}
new transformer.r buses=[b c] conns=[wye wye] kvs=[12.47 12.47] kvas=[5000 5000] xhl=1 wdg=2 tap=1.025
new load.m bus1=c kv=12.47 kw=800 kvar=200
new regcontrol.r transformer=r winding=2 vreg=120 band=2 ptratio=60
"""


def test_coordinates_without_their_file_are_left_out_and_counted(tmp_path: Path) -> None:
    """Row 116: a circuit has its meaning without them; the rest of the script is run."""
    script = tmp_path / "m.dss"
    script.write_text(
        f"{SMALL}buscoords nothere.csv\nlatlongcoords ..\\nor\\here.csv\nbuscoords\nload.l.kw=70\n"
    )
    feeder, report = read_path(script)
    assert feeder.column("loads", "p_mw").tolist() == [0.07]
    assert report.ignored["command buscoords without its file"] == 2
    assert report.ignored["command latlongcoords without its file"] == 1


def test_files_of_traces_are_not_written() -> None:
    """Row 116: a control with `debugtrace` is the control, and the traces are counted."""
    plain, _ = read_text(REGULATED)
    asked, report = read_text(
        REGULATED.replace("winding=2 vreg", "debugtrace=yes winding=2 vreg") + "regcontrol.r.debug=y band=2\n"
    )
    assert asked.regulators.equals(plain.regulators)
    assert report.ignored["property debugtrace"] == 2


def test_percent_signs_and_their_abbreviation_are_one() -> None:
    """Row 3: some versions of OpenDSS write `pctpmpp`, others `%pmpp`; `pctperm` is itself."""
    sun = "new pvsystem.s bus1=b kv=12.47 kva=90 pmpp=80 {}=50 irradiance=1\n"
    by_sign, _ = read_text(SMALL + sun.format("%pmpp"))
    by_letters, _ = read_text(SMALL + sun.format("pctPmpp") + "line.a.pctperm=20\n")
    later, _ = read_text(SMALL + sun.format("%pmpp").replace("50", "90") + "pvsystem.s.pctpmpp=50\n")
    assert by_letters.loads.equals(by_sign.loads)
    assert later.loads.equals(by_sign.loads)


@pytest.mark.parametrize(
    "said",
    [
        "npts=24 interval=1 mult=(file=none.csv)",
        "24 1 csvfile=none.csv npts=24",
        "npts=24 mult=(file=none.csv) qmult=(file=none.csv) action=normalize",
    ],
)
def test_a_day_is_played_where_the_data_of_a_shape_are_absent(said: str) -> None:
    """Row 3: one point stands for them, as OpenDSS ends with a shape that has none; the report counts."""
    day = f"new loadshape.s {said}\nload.l.daily=s\nsolve mode=daily number=3\n"
    feeder, report = read_text(SMALL + day)
    assert feeder.column("loads", "p_mw").tolist() == [0.1]
    assert report.ignored["data file of a shape that does not exist"] >= 1


def test_data_of_shapes_outside_of_the_root_are_not_read(tmp_path: Path) -> None:
    """Row 3: a snapshot has no use for them; the report counts, and a root that holds them brings them in."""
    (tmp_path / "data.csv").write_text("0.5\n0.5\n")
    (tmp_path / "case").mkdir()
    script = tmp_path / "case" / "m.dss"
    script.write_text(f"{SMALL}new loadshape.s npts=2 interval=12 mult=(file=../data.csv)\nload.l.daily=s\n")
    near = read_file(script, ReadOptions())
    assert near.ignored["data file of a shape that lies outside of the folder"] == 1
    assert near.profiles is not None
    with pytest.raises(CaseError, match="nothing outside of the folder"):
        near.profiles()
    whole = read_file(script, ReadOptions(root=tmp_path))
    assert whole.feeder.equals(near.feeder)
    assert whole.profiles is not None
    assert whole.profiles().p_mw[:, 0].tolist() == pytest.approx([0.1 / 3 / 2] * 2)


def test_names_with_dots_are_names(tmp_path: Path) -> None:
    """Row 3: shapes called by coordinates, and elements called by anything, are found by their whole name."""
    script = tmp_path / "m.dss"
    script.write_text(
        SMALL.replace("line.a", "line.a.1").replace("load.l", "load.l.2")
        + "new loadshape.15_30.44_-97.6 npts=2 interval=12 mult=(.5 1) qmult=(.25 .5)\n"
        "new loadshape.x.y npts=2 interval=12 mult=(.5 1) interpolation=edge\n"
        "edit load.l.2 yearly=15_30.44_-97.6\nnew load.m.3 bus1=b kv=12.47 kw=60 kvar=30 daily=x.y\n"
    )
    reading = read_file(script, ReadOptions())
    assert reading.feeder.column("loads", "load_id").tolist() == ["l.2", "m.3"]
    assert reading.profiles is not None
    series = reading.profiles()
    assert series.p_mw[:, 0].tolist() == pytest.approx([0.16 / 6, 0.16 / 3])
    assert series.q_mvar[:, 0].tolist() == pytest.approx([(0.005 + 0.015) / 3, (0.01 + 0.03) / 3])


def test_reactive_power_of_models_6_and_7_is_fixed(tmp_path: Path) -> None:
    """Row 3: no load multiplier and no shape moves it; OpenDSS agrees in the snapshot and in each step."""
    script = tmp_path / "m.dss"
    script.write_text(
        f"{SMALL}new loadshape.s npts=2 interval=12 mult=(.5 1)\nset loadmult=.8\n"
        "new load.six bus1=b.1 phases=1 kv=7.2 kw=90 kvar=40 model=6 daily=s\n"
        "new load.seven bus1=b.2 phases=1 kv=7.2 kw=90 kvar=30 model=7 daily=s\n"
    )
    reading = read_file(script, ReadOptions())
    assert verify(reading).largest_pu < 1e-8
    loads = reading.feeder.loads.to_pylist()
    q_mvar = {load["load_id"]: load["q_mvar"] for load in loads}
    assert q_mvar["six"] == pytest.approx(0.04)
    assert q_mvar["l"] == pytest.approx(0.016)
    assert reading.profiles is not None
    series = reading.profiles()
    assert np.ptp(series.q_mvar, axis=0).tolist() == [0.0, 0.0, 0.0]
    assert np.ptp(series.p_mw, axis=0).max() > 0.01
    assert float(verify_series(reading.feeder, series).partition("difference ")[2].split()[0]) < 1e-8


def left_out(report: DssReport) -> str:
    """What the notes say of a control that stands in no table."""
    return next(note for note in report.notes if "regcontrol.r was left out" in note)


def test_controls_beyond_the_tables_leave_the_tap_where_it_is() -> None:
    """Row 4: a control that may not move its tap, or stands outside of its taps, is none."""
    whole, _ = read_text(REGULATED)
    assert whole.regulators.num_rows == 1
    for line, told in (
        ("regcontrol.r.maxtapchange=0", "maxtapchange = 0: expected a number > 0"),
        ("transformer.r.wdg=2 tap=1.2", "tap 1.2: expected a tap from 0.9 to 1.1"),
        ("transformer.r.wdg=2 numtaps=0", "expected taps that it can move"),
        ("regcontrol.r.delay=-1", "delay = -1: expected a number >= 0"),
    ):
        feeder, report = read_text(f"{REGULATED}set controlmode=off\n{line}\n")
        assert feeder.regulators.num_rows == 0
        assert told in left_out(report)


def test_capacitor_controls_watch_the_phase_that_their_kind_looks_at() -> None:
    """Row 4: a voltage control its ptphase, others their ctphase; an average of phases stands in no table."""
    bank = "new capacitor.c bus1=b kv=12.47 kvar=300\nnew capcontrol.c capacitor=c element=line.a terminal=1 "
    off = "\nset controlmode=off\n"
    watched = {
        "type=voltage ptphase=2 onsetting=118 offsetting=124": "B",
        "type=kvar ctphase=3 onsetting=300 offsetting=-200": "C",
        "type=current ctphase=2 ptphase=1 onsetting=300 offsetting=200": "B",
        "type=voltage ptphase=avg onsetting=118 offsetting=124": "ptphase = avg: expected one phase",
        "type=kvar ctphase=max ptphase=max onsetting=300 offsetting=-200": "ctphase = max",
        "type=kvar ctphase=3 voltoverride=yes onsetting=300 offsetting=-200": "ctphase, ptphase = 3, 1",
        "type=kvar\ncapacitor.c.numsteps=2": "capacitor = c: expected a bank of one step that takes part",
        "type=kvar\ncapacitor.c.enabled=no": "capacitor = c: expected a bank of one step",
    }
    for said, phase in watched.items():
        feeder, report = read_text(SMALL + bank + said + off)
        if len(phase) == 1:
            assert feeder.column("cap_controls", "monitored_phase").tolist() == [phase]
        else:
            assert feeder.cap_controls.num_rows == 0
            assert phase in "; ".join(report.notes)


def here(folder: Path, text: str) -> tuple[Feeder, DssReport]:
    """Read in a fork of this process, which has what was changed in it."""
    path = folder / "script.dss"
    path.write_text(text)
    return converted(in_child(lambda: compiled(path)), path)


def test_a_script_solves_so_many_steps_of_so_many_nodes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Row 116: beyond that a snapshot stands for a series; what it is counts, not what a snapshot is told."""
    monkeypatch.setattr(session, "WORK", 400)
    day = "new loadshape.s npts=24 interval=1 mult=(1 .5)\nload.l.daily=s\nsolve mode=daily number=60\n"
    once, _ = here(tmp_path, f"{SMALL}{day}set mode=snap number=5000\nsolve\nsolve\n")
    assert "are not run" not in once.metadata.get("notes", "")
    twice, _ = here(tmp_path, f"{SMALL}{day}solve mode=daily number=60\n")
    assert "script.dss:8: solve: 60 steps are not run, a snapshot stands for them" in twice.metadata["notes"]


def test_an_allocation_that_does_not_settle_is_noted() -> None:
    """Row 116: its warnings end no script, as those of `solve` do not."""
    metered = f"{REGULATED}new energymeter.m element=line.a peakcurrent=(9 9 9)\nregcontrol.r.vreg=100\n"
    feeder, report = read_text(f"{metered}set maxcontroliter=1\nallocateloads\nload.m.kw=700\n")
    assert feeder.column("loads", "p_mw").tolist()[-1] == pytest.approx(0.7)
    assert any("script.dss:12: allocateloads: " in note for note in report.notes)


def test_such_a_feeder_verifies(tmp_path: Path) -> None:
    """Row 9: with all of it at once OpenDSS and the tables agree."""
    script = tmp_path / "m.dss"
    script.write_text(
        f"{REGULATED}new pvsystem.s bus1=c kv=12.47 kva=90 pmpp=80 pctpmpp=50\n"
        "regcontrol.r.debugtrace=y maxtapchange=0\nbuscoords none.csv\nsolve\n"
    )
    assert "of 9 voltages" in str(verify(read_file(script, ReadOptions())))
