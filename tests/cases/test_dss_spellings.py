"""A script that the importer accepts means to it what it means to OpenDSS, in whatever order it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError, Feeder

from .dss_engine import feeder_from_text, read_path, read_text
from .dss_readers import compare, our_volts
from .dss_spellings import HEAD, SCENES, TAIL, script

REPORTED = Path(__file__).parents[1] / "reference" / "reported"


@pytest.mark.quick(3)
@pytest.mark.parametrize("scene", SCENES)
def test_random_scripts_mean_the_same_to_both_readers(scene: str, tmp_path: Path) -> None:
    """Six scripts of each kind: equal voltages to 3e-6 pu, or a refusal that names the file.

    To 3e-6, as the control of this test keeps load models at every voltage, where OpenDSS adds a millionth.
    """
    pytest.importorskip("dss")
    path, refused = tmp_path / "m.dss", 0
    for seed in range(6):
        path.write_bytes(script(scene, seed).encode())
        verdict = compare(path, tolerance=3e-6)
        assert not verdict.wrong, f"{scene} {seed}: {verdict.wrong}\n{script(scene, seed)}"
        refused += bool(verdict.refused)
    assert refused < 6


def noticed(path: Path) -> bool:
    """Whether `distgrid case import` refuses a script that is not what OpenDSS makes of it."""
    try:
        import_feeder(path)
    except (CaseError, RunError):
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_many_random_scripts_mean_the_same_to_both_readers(scene: str, tmp_path: Path) -> None:
    """Some fifty more of each kind: nine in ten, and what differs is not imported, but refused with the node.

    Differing are phases that hang on nothing but the charging of those beside them, which the tables have
    dead.
    """
    pytest.importorskip("dss")
    path, differing = tmp_path / "m.dss", 0
    for seed in range(6, 60):
        path.write_bytes(script(scene, seed).encode())
        verdict = compare(path, tolerance=3e-6)
        differing += bool(verdict.wrong)
        assert not verdict.wrong or noticed(path), f"{scene} {seed}: {verdict.wrong}\n{script(scene, seed)}"
    assert differing <= 5


# -- what was reported ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in REPORTED.iterdir() if path.is_dir()))
def test_what_was_reported_is_right(name: str) -> None:
    """Every script that was once read differently has OpenDSS's voltages, to 1e-6 of them."""
    path = REPORTED / name / "m.dss"
    expected = json.loads((REPORTED / name / "expected.json").read_text())["volts"]
    feeder, report = read_path(path)
    found, neutrals = our_volts(feeder), {f"{bus}.{node}" for bus, node in report.eliminated}
    assert {f"{bus}.{node}" for bus, node in found} == set(expected) - neutrals
    for (bus, node), v in found.items():
        size, degrees = expected[f"{bus}.{node}"]
        assert abs(v - size * np.exp(1j * np.deg2rad(degrees))) < 1e-6 * max(size, 1.0), (bus, node)


def read(*lines: str) -> Feeder:
    """A feeder from lines between the head and the tail that all scenes share."""
    return feeder_from_text(HEAD + "\n".join(lines) + "\n" + TAIL, "m.dss")


SPELLINGS = """new load.x bus1=b kv=12.47,,kw=7

new load.x bus1=[b] , kw=7

new load.x bus1=b kw=(2,,3 *)

new load.x bus1=b kw=5 like=a

new load.x bus1=b enabled=1

new load.x bus1=b allocationfactor=.4

var @p=70
new load.x bus1=b kw=@p

edit circuit.t pu=1

open line.l1 2 1
close line.l1 2 1

new line.x bus1=b bus2=c switch=y rmatrix=(1|0 1|0 0 1)

new capacitor.x bus1=b.1.2 phases=1

new linecode.k nphases=4
new line.x bus1=b bus2=c linecode=k

new linecode.m rmatrix=(1|0 1|0 0 1)
new line.x bus1=b bus2=c switch=y linecode=m

new linecode.m rmatrix=(1|0 1|0 0 1)
new linecode.n like=m
new line.x bus1=b bus2=c linecode=n

new line.x bus1=b bus2=c r1=1
new line.y like=x bus1=b bus2=d

new load.x bus1=b like=a
~ kw=7

new loadshape.s npts=1 mult=[5] useactual=y
new load.x bus1=b daily=s

disable load.a
~ kw=7

new transformer.t buses=[b d] kvs=[12.47 4.16]
new regcontrol.r transformer=t winding=2 tapnum=4
transformer.t.numtaps=16

set loadmult=1.3
load.a.status=fixed
new load.x bus1=b kw=50 kv=12.47

set year=3

batchedit load..* kw=70

new generator.g bus1=b kv=12.47 kw=70 pf=.9

new pvsystem.p bus1=b.2 phases=1 kv=7.2 pmpp=50 kva=60 irradiance=.8

new storage.s bus1=b kv=12.47 kwrated=60 kwhrated=200 state=discharging

new reactor.r bus1=b kvar=90 kv=12.47

new reactor.r bus1=b bus2=c r=1 x=3
new load.c bus1=c kv=12.47 kw=50

new capacitor.c bus1=b kv=12.47 kvar=[50 60] numsteps=2 states=[1 0]

new capacitor.c bus1=b bus2=b.4.4.4 kv=12.47 kvar=80
new load.x bus1=b.1 phases=1 kv=7.2 kw=60

new capacitor.c bus1=b kv=12.47 kvar=100 xl=20

new transformer.t windings=3 buses=[b d e] conns=[delta wye wye] kvs=[12.47 4.16 .48] xhl=6 xht=7 xlt=9
new load.d bus1=d kv=4.16 kw=90
new load.e bus1=e.2 phases=1 kv=.277 kw=40

new transformer.t buses=[b.1.2.3.4 d] conns=[wye delta] kvs=[12.47 4.16]
new load.d bus1=d.1.2 phases=1 kv=4.16 kw=90

new transformer.t phases=1 buses=[b.1.2 d.1] conns=[delta wye] kvs=[12.47 .24]
new load.d bus1=d.1 phases=1 kv=.24 kw=9

new load.x bus1=b phases=2 conn=delta kv=12.47 kw=80

new load.x bus1=b kv=12.47 kw=80 model=7

new fault.f bus1=b.2 phases=1 r=500

new line.p bus1=src bus2=b r1=.4 x1=.7 r0=.9 x0=1.9 c1=9 c0=4 length=3

new linecode.w nphases=2 rmatrix=(.4|.1 .5) xmatrix=(1|.2 1)
new line.w bus1=b.3.1 bus2=w.3.1 phases=2 linecode=w
new load.w bus1=w.1 phases=1 kv=7.2 kw=40

new line.c bus1=b.1.2 bus2=c.2.1 phases=2
new load.c bus1=c.1 phases=1 kv=7.2 kw=40

new line.c bus1=b.3 bus2=c.1 phases=1
new load.c bus1=c.1 phases=1 kv=7.2 kw=40

new line.c bus1=b.1 bus2=c.5 phases=1
new load.c bus1=c.5 phases=1 kv=7.2 kw=40

new vsource.two bus1=z basekv=12.47 pu=1.01
new load.z bus1=z kv=12.47 kw=40

new vsource.two bus1=b basekv=12.47 pu=1.01 mvasc3=10 mvasc1=10

new vsource.two bus1=z.2 phases=1 basekv=7.2 pu=1.01
new load.z bus1=z.2 phases=1 kv=7.2 kw=40

new isource.i bus1=b amps=5

new indmach012.m bus1=b kv=12.47 kw=50 kva=60

new pvsystem.p bus1=b.1.2 phases=1 conn=delta kv=12.47 pmpp=50 kva=60

new line.c bus1=b bus2=c r1=.3 x1=.6 r0=.8 x0=1.8 c1=0 c0=0 length=2
new load.c bus1=c.2.3 phases=1 kv=12.47 kw=40
open line.c 1 1

new load.c bus1=nowhere kv=12.47 kw=40

new transformer.t phases=1 windings=3 buses=[b.1 s.2.0 s.0.3] kvs=[7.2 .12 .12] kvas=[25 25 25] xlt=1.3
new load.s bus1=s.3 phases=1 kv=.12 kw=4
new load.t bus1=s.2.3 phases=1 kv=.24 kw=4

new transformer.t phases=2 buses=[b.1.2 c.1.2] kvs=[12.47 .208]
new load.c bus1=c.1.2 phases=2 kv=.208 kw=10

new transformer.t phases=2 buses=[b.1.2.3 c.1.2] kvs=[12.47 .208] conns=[delta wye]
new load.c bus1=c.1.2 phases=2 kv=.208 kw=10

new transformer.t buses=[b c.1.2.3.4] kvs=[12.47 4.16] conns=[delta wye]
new reactor.n phases=1 bus1=c.4 r=2 x=1
new load.c bus1=c.1 phases=1 kv=2.4 kw=100

new transformer.t buses=[b c.1.2.3.4] kvs=[12.47 4.16] conns=[delta wye] wdg=2 rneut=3 xneut=1
new load.c bus1=c.1 phases=1 kv=2.4 kw=100

new wiredata.w diam=.72 gmr=.0244 rac=.306 runits=mi radunits=in gmrunits=ft
new linegeometry.g nconds=2 nphases=1 cond=1 wire=w x=0 h=28 units=ft cond=2 wire=w x=1 h=24 reduce=y
new line.g bus1=b.2 bus2=g.2 phases=1 geometry=g length=1 units=mi earthmodel=carson
new load.g bus1=g.2 phases=1 kv=7.2 kw=300

new line.g bus1=b bus2=g switch=y
new load.g bus1=g kv=12.47 kw=300
new fuse.f monitoredobj=line.g
new recloser.r monitoredobj=line.l1
new swtcontrol.s switchedobj=line.g switchedterm=1 normal=closed
""".split("\n\n")  # read property by property, these came out differently


@pytest.mark.quick(14)
@pytest.mark.parametrize("lines", SPELLINGS)
def test_spellings_mean_what_they_mean_to_opendss(lines: str, tmp_path: Path) -> None:
    """Rows 5 to 9: every voltage of every node within a millionth of OpenDSS's."""
    path = tmp_path / "m.dss"
    path.write_text(HEAD + lines + "\n" + TAIL)
    verdict = compare(path)
    assert not verdict.wrong
    assert not verdict.refused


def test_what_was_left_out_is_in_the_notes() -> None:
    """Disabled lines, switches that lead nowhere, and a solution that controls would have acted in."""
    feeder = read(
        "new line.gone bus1=src bus2=b enabled=no",
        "new line.tie bus1=b bus2=nowhere switch=y enabled=no",
        "new transformer.t buses=[b d] kvs=[12.47 4.16]",
        "new regcontrol.r transformer=t winding=2 tapnum=4",
        "solve",
        "solve",
        *(f"new load.off{k} bus1=b kw=5 enabled=no" for k in range(7)),
        "new capacitor.c bus1=b kvar=5 enabled=no",
    )
    notes = feeder.metadata["notes"]
    assert "disabled and left out: load off0, off1, off2, off3, off4 and 2 more" in notes
    assert "disabled and left out: capacitor c" in notes
    assert "line gone is disabled and was left out" in notes
    assert "switch tie is disabled, leads nowhere, and was left out" in notes
    assert "notes" not in read("solve").metadata


def test_a_snapshot_stands_for_a_year_of_quarters() -> None:
    """Public feeders end with 35040 steps: the import neither runs nor hides them; controls act once."""
    unit = ("new transformer.t buses=[b d] kvs=[12.47 4.16]", "new load.d bus1=d kv=4.16 kw=900 kvar=400")
    control = "new regcontrol.r transformer=t winding=2 vreg=125 band=2 ptratio=20"
    for text in (
        "solve mode=yearly stepsize=15m number=35040",
        "set mode=yearly number=35040\nsolve",
    ):
        long = read(*unit, control, *text.split("\n"))
        assert "solve: 35040 steps are not run, a snapshot stands for them" in long.metadata["notes"]
        assert long.column("regulators", "tap_pos")[0] > 0
    day = read(*unit, control, "solve mode=daily number=24")
    assert "notes" not in day.metadata


def test_a_line_that_is_open_at_one_end() -> None:
    """A cable keeps its charging and its closed end; a switch, which has none, is open."""
    cable = "new line.x bus1=b bus2=c r1=.2 x1=.1 r0=.6 x0=.3 c1=300 c0=300 length=8 units=km"
    for commands, status, open_ends in (
        (["open line.x 2"], True, "to"),
        (["open line.x 1"], True, "from"),
        (["open line.x 1", "open line.x 2"], False, ""),
        (["open line.x 1", "open line.x 2", "close line.x 1"], True, "to"),
        (["open line.x 2", "close line.x 2"], True, ""),
    ):
        feeder = read(cable, "new line.y bus1=c bus2=d", *commands)
        row = feeder.branch_index["x"]
        assert feeder.column("branches", "status")[row] == status, commands
        assert feeder.column("branches", "open_ends")[row] == open_ends, commands
    switch = read("new line.x bus1=b bus2=c switch=y", "open line.x 2")
    assert not switch.column("branches", "status")[switch.branch_index["x"]]
    assert set(switch.column("branches", "open_ends")) == {""}


def test_neutral_conductors_are_reduced_on_request_only() -> None:
    """A neutral between two loads and ground is refused; taken as grounded, the import says so."""
    lines = (
        "new linecode.n nphases=4 rmatrix=(.4|.1 .4|.1 .1 .4|.1 .1 .1 .6) xmatrix=(1|.4 1|.4 .4 1|0 0 0 1)",
        "new line.g bus1=b.1.2.3.0 bus2=g.1.2.3.4 phases=4 linecode=n",
        "new load.g bus1=g.1.4 phases=1 kv=7.2 kw=300",
    )
    with pytest.raises(CaseError, match="needs --approximate"):
        read(*lines)
    feeder = feeder_from_text(HEAD + "\n".join(lines) + "\n" + TAIL, "m.dss", approximate=True)
    assert feeder.metadata["notes"] == "1 neutral conductors taken as grounded (g.4)"


def test_a_zone_without_ground_does_not_keep_a_circuit_from_its_solution() -> None:
    """Rounding moves such a zone as a whole in OpenDSS: all that is fixed is as close as elsewhere."""
    text = """new circuit.a basekv=115 mvasc3=2000000 mvasc1=2000000
    new transformer.s buses=[sourcebus b] conns=[delta wye] kvs=[115 12.47] kvas=[27500 27500] xhl=1
    new line.l bus1=b bus2=c length=.1 units=km
    new transformer.t buses=[c d] conns=[wye delta] kvs=[12.47 .48] kvas=[750 750] xhl=5.75 ppm_antifloat=1e-5
    new load.d bus1=d conn=delta kv=.48 kw=200 kvar=50
    new load.e bus1=c.1 phases=1 kv=7.2 kw=900
    new generator.g bus1=d conn=delta kv=.48 kw=100
    set voltagebases=[115 12.47 .48]
    calcv
    """
    feeder, report = read_text(text)
    assert feeder.column("loads", "p_mw")[feeder.column("loads", "load_id") == "g"] == pytest.approx([-0.1])
    assert "OpenDSS solves this circuit to 1e-05 only" in report.notes
    ours = our_volts(feeder_from_text(text.replace("ppm_antifloat=1e-5", "")))
    for bus in "bc":
        for node in (1, 2, 3):
            assert abs(ours[bus, node] - report.volts[bus, node]) < 1e-6 * 7200
    for node in (1, 2):
        line = [volts["d", node] - volts["d", node + 1] for volts in (ours, report.volts)]
        assert abs(line[0] - line[1]) < 1e-6 * 480
