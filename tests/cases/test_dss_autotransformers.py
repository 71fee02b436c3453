"""Autotransformers, and transformers open at one side: what OpenDSS solves with them, or a refusal."""

from __future__ import annotations

import pytest

from distgrid.baselines.workflows.importing.verification import LARGEST_PU, compare
from distgrid.cases import CaseError
from distgrid.cases.importers.opendss.voltages import engine_voltages

pytest.importorskip("dss")
from .dss_engine import read_text

GRID = """new circuit.auto basekv=69 pu=1.02 bus1=s
new line.l bus1=s bus2=h length=9 units=km r1=.3 x1=.4 r0=.6 x0=1.2 c1=0 c0=0
"""
LOADS = """new load.a bus1=x kv=34.5 kw=9000 pf=.85
new load.b phases=1 bus1=x.2 kv=19.92 kw=2000 pf=.9 model=2
"""
END = "set voltagebases=[69 34.5 13.8 .48]\ncalcv\nsolve\n"
TWO = "buses=[h x] conns=[series wye] kvs=[69 34.5] kvas=[20000 20000] xhx=6 %rs=[.4 .6] "
THREE = (
    "windings=3 buses=[h x t] kvs=[69 34.5 13.8] kvas=[20000 20000 5000] xhx=7 xht=24 xxt=28 %rs=[.06 .05 2]"
)
THIRD = "new load.t bus1=t.1.2 phases=1 kv=13.8 kw=900 model=2\n"

RIGHT = {
    "two windings": f"new autotrans.t {TWO}\n",
    "taps and a core": f"new autotrans.t {TWO} taps=[1.05 .975] %imag=.5 %noloadloss=.2 ppm=0\n",
    "one phase": "new autotrans.t phases=1 buses=[h.2 x.2] conns=[series wye] kvs=[39.84 19.92] xhx=6 "
    "kvas=[9000 9000] %rs=[.4 .6]\n",
    "third winding in delta": f"new autotrans.t {THREE} conns=[series wye delta] taps=[1.02 1 .95]\n{THIRD}",
    "third winding in wye": f"new autotrans.t {THREE} conns=[series wye wye]\n{THIRD}",
    "leading": f"new autotrans.t {THREE} conns=[series wye delta] leadlag=lead\n{THIRD}",
    "named as a transformer": f"new autotrans.t {TWO}\nnew transformer.t buses=[x y] kvs=[34.5 .48]\n",
}


@pytest.mark.parametrize("name", RIGHT)
def test_autotransformers_are_what_opendss_solves(name: str) -> None:
    """Row 115: from its buses an autotransformer is a transformer of separate windings."""
    loads = LOADS if "one phase" not in name else LOADS.splitlines()[1] + "\n"
    feeder, report = read_text(GRID + RIGHT[name] + loads + END)
    found = compare(feeder, engine_voltages(feeder, report))
    assert found.largest_pu < (LARGEST_PU if "ppm=0" not in RIGHT[name] else 1e-8)
    assert found.compared >= 7
    assert report.converted["transformer"] == 1 + ("transformer.t" in RIGHT[name])


OPEN = {
    "a core behind a star": "conns=[delta wye] %imag=2 %noloadloss=.5\nopen transformer.o 1",
    "a core behind a delta": "conns=[delta wye] %imag=2 %noloadloss=.5\nopen transformer.o 2",
    "a delta that short-circuits a star": "conns=[wye delta] ppm=0\nopen transformer.o 2",
    "nothing": "conns=[wye wye] ppm=0\nopen transformer.o 2",
    "both sides": "conns=[delta wye] %imag=2\nopen transformer.o 1\nopen transformer.o 2",
}


@pytest.mark.parametrize("name", OPEN)
def test_a_transformer_open_at_one_side_draws_at_the_other(name: str) -> None:
    """Row 115: its core, and zero sequence where a delta closes it, are constant impedances."""
    buses = "buses=[x y] kvs=[34.5 13.8] kvas=[5000 5000] xhl=7 "
    feeder, report = read_text(
        GRID + RIGHT["two windings"] + LOADS + f"new transformer.o {buses}{OPEN[name]}\n" + END
    )
    found = compare(feeder, engine_voltages(feeder, report))
    assert found.largest_pu < LARGEST_PU
    drawn = feeder.loads.num_rows - 2
    assert drawn == {"nothing": 0, "both sides": 0}.get(name, drawn)
    assert any(note.startswith("transformer.o is open and") for note in report.notes)


WRONG = {
    "new autotrans.t windings=4 buses=[h x t u] kvs=[69 34.5 13.8 .48]": "a series winding",
    f"new autotrans.t {TWO.replace('x]', 'x.1.2.3.4]')}": "phases, and ground as neutral",
    f"new autotrans.t {THREE.replace('.06', '.01')} conns=[series wye wye]": r"autotrans\.t %rs = star of -",
}


@pytest.mark.parametrize("line", WRONG)
def test_autotransformers_that_the_tables_cannot_hold_are_refused(line: str) -> None:
    """Row 116: with the element, its line and the reason."""
    with pytest.raises(CaseError, match=WRONG[line]) as caught:
        read_text(GRID + line + "\n" + END)
    assert caught.value.problems[0].row == 3


def test_a_control_of_an_autotransformer_is_left_out() -> None:
    """Its taps move two windings; the tables' regulators have one. The snapshot needs none."""
    control = "new regcontrol.r transformer=t winding=2 vreg=120 ptratio=166\n"
    feeder, report = read_text(GRID + RIGHT["two windings"] + LOADS + control + END)
    assert feeder.regulators.num_rows == 0
    assert any("regcontrol.r was left out" in note for note in report.notes)
