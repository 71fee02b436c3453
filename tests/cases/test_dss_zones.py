"""Zones that windings without ground feed: what lies there between phases, and how far that is verified."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distgrid.baselines.workflows.importing.verification import (
    LARGEST_PU,
    ImportDifferenceError,
    Verification,
    compare,
)
from distgrid.cases import CaseError, Feeder
from distgrid.cases.importers.opendss.voltages import engine_voltages

pytest.importorskip("dss")
from .dss_engine import read_text

GRID = """new circuit.zone basekv=12.47 bus1=s pu=1.02
new line.l bus1=s bus2=a length=2 units=km r1=.3 x1=.4 r0=.6 x0=1.2 c1=0 c0=0
"""
PULL = "new load.pull phases=1 bus1=a.1 kv=7.2 kw=700 kvar=200\n"  # pulls the phases apart
FED = """new transformer.t buses=(a b) conns=(wye delta) kvs=(12.47 .48) kvas=(500 500) xhl=5
new line.m bus1=b bus2=c length=.05 units=km r1=.1 x1=.1 r0=.3 x0=.3 c1=0 c0=0
"""
END = "set voltagebases=[12.47 .48]\ncalcv\nsolve\n"
STAR = "new load.w bus1=c kv=.48 kw=90 kvar=30"


def read(lines: str) -> tuple[Feeder, Any]:
    """Feeder and report of a grid with these lines."""
    return read_text(GRID + lines + "\n" + END)


def verified(lines: str) -> Verification:
    """What comes of comparing it with OpenDSS."""
    feeder, report = read(lines)
    return compare(feeder, engine_voltages(feeder, report))


def stars(kinds: str, more: str = "") -> str:
    """Two transformers whose star points are joined on their high side, and stars behind both."""
    units = "".join(
        f"new transformer.u{k} buses=[a.1.2.3.4 d{k}] conns=[{kinds}] kvs=[12.47 .48] kvas=[{kva} {kva}] "
        f"xhl={4 + k}\nnew load.u{k} bus1=d{k} kv=.48 kw={kva / 3:g} kvar=20 model=2\n"
        f"new load.v{k} bus1=d{k}.1.2 phases=1 kv=.48 kw={kva / 9:g} model=2\n"
        for k, kva in ((1, 300), (2, 750))
    )
    return PULL + units + more


EXACT = {
    "constant impedance": PULL + FED + STAR + " model=2",
    "constant power, phases alike": FED + STAR,
    "constant current, phases alike": FED + STAR + " model=5",
    "generator": PULL + FED + "new generator.g bus1=c kv=.48 kw=120 kvar=40 model=1",
    "storage": PULL
    + FED
    + "new storage.b bus1=c kv=.48 kva=100 kwrated=90 kwhrated=200 kw=60 state=discharging",
    "photovoltaics": PULL + FED + "new pvsystem.p bus1=c kv=.48 kva=100 pmpp=80 irradiance=.7",
    "between phases besides": PULL + FED + STAR + " model=2\nnew load.d bus1=b.1.3 phases=1 kv=.48 kw=40",
    "star without ground to star": PULL
    + "new transformer.t buses=[a.1.2.3.4 c] kvs=[12.47 .48] kvas=[500 400] taps=[1.025 .975] %imag=.5\n"
    + STAR
    + " model=2",
    "star to star without ground": PULL
    + "new transformer.t buses=[a c.1.2.3.4] kvs=[12.47 .48] kvas=[500 400] xhl=6\n"
    + STAR
    + " model=2",
    "joined stars before deltas": stars("wye delta"),
    "joined stars before stars": stars("wye wye"),
}


@pytest.mark.parametrize("name", EXACT)
def test_stars_on_three_phases_lie_between_them(name: str) -> None:
    """Row 115: what is alike on three phases needs no ground, and is what OpenDSS solves, between phases."""
    found = verified(EXACT[name])
    assert found.largest_pu < LARGEST_PU
    said = f"{found.between} of them between phases, in zones without ground"
    assert (said in str(found)) == (found.potential_pu > LARGEST_PU) == (found.between > 0)


def test_what_stands_between_phases_is_noted() -> None:
    """The rows are deltas of the same power, and the notes name what was a star."""
    feeder, _ = read(FED + STAR + " model=2")
    assert feeder.column("loads", "connection").tolist() == ["delta"]
    assert feeder.column("loads", "phase").tolist() == ["ABC"]
    assert feeder.column("loads", "p_mw") == pytest.approx([0.09])
    assert "between phases, as windings without ground feed them: load.w" in feeder.metadata["notes"]


def test_a_difference_between_phases_is_found() -> None:
    """A star of constant power without ground has a star point that moves where voltages are not alike: that
    is no delta, and the comparison says so.
    """
    with pytest.raises(ImportDifferenceError, match="compared between phases, as the zone has no ground"):
        verified(PULL + FED + STAR)


@pytest.mark.parametrize("factor", [1.0 + 2e-6, np.exp(2e-6j)])
def test_the_comparison_between_phases_has_the_same_limit(factor: complex) -> None:
    """A zone whose voltages differ by two millionths in size or angle is refused, not one that is moved."""
    feeder, report = read(FED + STAR + " model=2")
    theirs = engine_voltages(feeder, report)
    zone = [feeder.node_index[name] for name in ("b", "c")]
    theirs.v_pu[zone] += 0.03j
    moved = compare(feeder, theirs)
    assert moved.largest_pu < LARGEST_PU
    assert moved.potential_pu == pytest.approx(0.03, rel=1e-3)
    theirs.v_pu[zone] *= factor
    with pytest.raises(ImportDifferenceError, match=r"node [bc] phase"):
        compare(feeder, theirs)
    theirs.v_pu[zone] = np.nan
    with pytest.raises(ImportDifferenceError, match="inf pu at node b"):
        compare(feeder, theirs)


WRONG = {
    "new load.w bus1=c.2 phases=1 kv=.277 kw=30": "a load between phases, or alike on three",
    "new load.w bus1=c.1.2 phases=2 kv=.48 kw=30": "a load between phases, or alike on three",
    "new generator.w bus1=c.3 phases=1 kv=.277 kw=30": "a load between phases, or alike on three",
    "new isource.w bus1=c amps=9 sequence=zero": "current to ground = 27 A of 9 A: expected none",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_needs_ground_is_refused_with_its_line(line: str) -> None:
    """Row 116: element and reason."""
    with pytest.raises(CaseError, match=WRONG[line]) as caught:
        read(FED + line)
    assert "w" in caught.value.problems[0].field
    assert caught.value.problems[0].row == 5


def test_dead_islands_need_no_ground() -> None:
    """What nothing feeds is dead, and no zone."""
    found = verified(FED + STAR + " model=2\nopen line.l 1")
    assert not found.compared or found.between == 0


def test_machines_that_hold_a_voltage_are_read_as_they_are_solved() -> None:
    """The snapshot is what the script's last solution is, after switching: OpenDSS starts such a machine anew
    where a mode is set.
    """
    found = verified(
        PULL
        + "new line.k bus1=a bus2=e switch=y\nnew load.k bus1=e kv=12.47 kw=300\n"
        + "new generator.g bus1=a kv=12.47 kw=900 kva=1200 model=3\n"
        + f"{END}generator.g.kw=300\nsolve\nopen line.k\nsolve"
    )
    assert found.largest_pu < LARGEST_PU
    assert found.between == 0
