"""Loads at next to no voltage: the impedances that OpenDSS makes of them, and a power flow that says so."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid import physics
from distgrid.baselines.workflows.importing.verification import compare
from distgrid.cases.importers.opendss.voltages import engine_voltages

pytest.importorskip("dss")
from .dss_engine import read_text

GRID = """new circuit.faint basekv=12.47 pu=1.05 bus1=s
new line.l bus1=s bus2=a length=8 units=km r1=.3 x1=.4 r0=.6 x0=1.2 c1=200 c0=150
new load.y bus1=a kv=12.47 kw=900 vmaxpu=1.02
new line.m bus1=a.2 bus2=b.2 phases=1 length=1 units=km c1=0 c0=0 {weak}
new load.x bus1=b.2 phases=1 kv=7.2 kw=300 model={model} {band}
set voltagebases=[12.47]
calcv
solve
"""
BANDS = ("vminpu=.9 vmaxpu=1.02", "vminpu=0 vmaxpu=1.2", "vminpu=.3 vmaxpu=1.02")


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize(("ohm", "model"), [(300, 1), (3000, 4), (50_000, 1), (50_000, 5)])
def test_a_load_at_next_to_no_voltage_is_an_impedance(ohm: int, model: int, band: str) -> None:
    """Row 5: below half of its rated voltage, whatever its band says; such a state is found, not diverged."""
    feeder, report = read_text(GRID.format(weak=f"r1={ohm} x1={ohm}", model=model, band=band))
    theirs = engine_voltages(feeder, report)
    assert compare(feeder, theirs).largest_pu < 1e-8
    solution = physics.solve(physics.compile(feeder, voltage_bands=True))
    assert solution.converged
    assert solution.collapsed
    assert not solution.diverged
    assert np.nanmin(np.abs(solution.v)) < 0.5


def test_without_a_band_nothing_is_found_there() -> None:
    """Row 100: constant power that the line cannot carry has no solution, and the flags say so."""
    feeder, _ = read_text(GRID.format(weak="r1=3000 x1=3000", model=1, band=BANDS[0]))
    solution = physics.solve(physics.compile(feeder))
    assert solution.diverged
    assert not solution.converged


def test_constant_power_down_to_nothing_stays() -> None:
    """A script that switches the impedance off (`vlowpu=0`) has loads without a lower end of their band."""
    feeder, _ = read_text(GRID.format(weak="r1=1 x1=1", model=1, band="vminpu=0 vlowpu=0"))
    low = dict(zip(feeder.column("loads", "load_id"), feeder.column("loads", "v_low_pu"), strict=True))
    assert np.isnan(low["x"])
    assert low["y"] == pytest.approx(0.95)
