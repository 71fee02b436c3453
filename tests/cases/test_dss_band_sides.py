"""Loads that jump at the edge of their voltage band: several solutions, and which of them is compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.band_sides import ABOVE, BELOW, INSIDE, held, jumping, sides
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.verification import (
    ImportDifferenceError,
    compare_solution,
    nominal_voltages,
    solution_of,
)
from distgrid.cases import Feeder
from distgrid.cases.importers.reading import EngineVoltages

pytest.importorskip("dss")
from .dss_engine import feeder_from_text

# 6 ohm of reactance: the load inside of its band takes 16 % more reactive power, and so comes to stand there.
JUMPY = """new circuit.jumpy basekv=12.47 pu=1.08 r1=1e-6 x1=1e-5 r0=1e-6 x0=1e-5
new line.a bus1=sourcebus.1 bus2=b.1 phases=1 r1=.01 x1=.75 c1=0 length=1
new load.l bus1=b.1 phases=1 kv=7.2 kw=10 kvar=2000 model=4 cvrwatts=.8 cvrvars=3 vminpu=.95 vmaxpu=1.05
set voltagebases=[12.47]
"""
DAY = f"new loadshape.s npts=24 interval=1 mult=({'1.3 1 ' * 12})\nload.l.daily=s\n"


def test_where_opendss_stays_inside_the_same_solution_is_compared(tmp_path: Path) -> None:
    """Row 9: coming from more load OpenDSS stays in the band; from none the power flow above it."""
    script = tmp_path / "m.dss"
    script.write_text(JUMPY + DAY)
    done = import_feeder(script)
    told = done.series_verdict(done.series())
    assert "series verified by OpenDSS" in told
    assert "in 9 of 24 steps, with 1 load on the side of the voltage band where OpenDSS in daily mode" in told
    assert float(told.partition("another one, ")[2].split()[0]) > 1e-3
    assert float(told.partition("largest difference ")[2].split()[0]) < 1e-8


def solved(feeder: Feeder) -> np.ndarray:
    """Voltages at nominal load."""
    return nominal_voltages(feeder)


def told(v: np.ndarray) -> EngineVoltages:
    """Voltages of an engine by that name."""
    return EngineVoltages("another engine", v, ~np.isnan(v))


def test_held_on_a_side_a_load_is_what_it_is_there() -> None:
    """Row 3: a solution with the band is one without the band on the side where the load stands."""
    for pu, kvar, side in ((1.08, 400, ABOVE), (1.08, 2900, INSIDE), (0.96, 3000, BELOW)):
        text = JUMPY.replace("pu=1.08", f"pu={pu}").replace("kvar=2000", f"kvar={kvar}")
        feeder = feeder_from_text(text)
        parts, v = jumping(feeder), solved(feeder)
        where = sides(feeder, parts, v)
        assert where.tolist() == [side]
        again = held(feeder, parts, where, {})
        assert not jumping(again)
        np.testing.assert_allclose(solved(again), v, atol=1e-9)


def test_an_engine_with_another_circuit_is_told_all_the_same() -> None:
    """Row 9: holding loads hides nothing; neither another line nor another load, nor where none jumps."""
    feeder = feeder_from_text(JUMPY)
    away = feeder_from_text(JUMPY.replace("x1=.75", "x1=.7").replace("vmaxpu=1.05", "vmaxpu=1.2"))
    for theirs in (solved(away), solved(feeder) * 1.001):
        with pytest.raises(ImportDifferenceError, match="another engine differs by"):
            compare_solution(feeder, solved(feeder), told(theirs), {})
    plain = feeder_from_text(JUMPY.replace("model=4", "model=2"))
    with pytest.raises(ImportDifferenceError):
        compare_solution(plain, solved(plain), told(solved(feeder)), {})


def test_without_a_solution_of_its_own_the_other_one_is_compared() -> None:
    """Row 9: where sweeps jump to and fro, what the engine has is a solution all the same, or refused."""
    feeder = feeder_from_text(JUMPY)
    parts = jumping(feeder)
    inside = np.asarray(solution_of(held(feeder, parts, np.zeros(1, dtype=np.int64), {}), {}).v)
    assert abs(inside[1, 0]) < 1.05 < abs(solved(feeder)[1, 0])
    verdict = compare_solution(feeder, None, told(inside), {})
    assert verdict.largest_pu < 1e-9
    with pytest.raises(RunError, match="finds no solution"):
        compare_solution(feeder, None, told(inside * 1.01), {})


def test_each_phase_and_leg_has_its_own_side() -> None:
    """Row 3: three phases of one load at unlike voltages, and the legs of a delta, in a step of a series."""
    text = JUMPY.replace(
        "bus1=sourcebus.1 bus2=b.1 phases=1 r1=.01", "bus1=sourcebus bus2=b r1=.01 r0=.02 x0=1 c0=0"
    )
    text = text.replace("bus1=b.1 phases=1 kv=7.2 kw=10 kvar=2000", "bus1=b kv=12.47 kw=90 kvar=3500")
    text += """new load.d bus1=b conn=delta kv=12.47 kw=200 kvar=100 model=4 cvrwatts=1 cvrvars=2 vmaxpu=1.03
new load.e bus1=b.1.3 phases=1 conn=delta kv=12.47 kw=200 kvar=3000 model=4 cvrwatts=1 cvrvars=2 vmaxpu=1.03
new load.p bus1=b.2 phases=1 kv=7.2 kw=500
"""
    feeder = feeder_from_text(text)
    parts = jumping(feeder)
    assert sorted(part.phase for part in parts) == ["A", "AB", "AC", "AC", "B", "BC", "C"]
    node = feeder.node_index["b"]
    powers = {
        name: np.zeros((feeder.n_nodes, 3)) for name in ("p_mw", "q_mvar", "p_delta_mw", "q_delta_mvar")
    }
    powers["p_mw"][node], powers["q_mvar"][node] = (0.1, 0.4, 0.2), (2.6, 0.3, 0.9)
    powers["p_delta_mw"][node], powers["q_delta_mvar"][node] = (0.05, 0.1, 0.3), (0.02, 0.05, 1.2)
    v = np.asarray(solution_of(feeder, powers).v)
    where = sides(feeder, parts, v)
    assert len(set(where.tolist())) > 1
    again = held(feeder, parts, where, powers)
    np.testing.assert_allclose(solved(again), v, atol=1e-9)
    assert dataclasses.asdict(compare_solution(feeder, v, told(v), powers))["held"] == 0
