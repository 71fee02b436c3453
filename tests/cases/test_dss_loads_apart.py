"""Loads of one point that follow different shapes and depend on the voltage in different ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import baselines, cases, physics
from distgrid.baselines.errors import RunError
from distgrid.cases.importers.opendss.importer import read_file
from distgrid.cases.importers.reading import ReadOptions

pytest.importorskip("dss")

GRID = """new circuit.day basekv=12.47 pu=1.02
new line.a bus1=sourcebus bus2=b length=3 units=km r1=.3 x1=.5 r0=.6 x0=1.4 c1=9 c0=5
new transformer.h phases=1 windings=3 buses=(b.3 home.1.0 home.0.2) kvs=(7.2 .12 .12) kvas=(50 50 50) xhl=2
~ xht=2 xlt=1.4 %rs=(.6 1.2 1.2)
new loadshape.home npts=6 interval=4 mult=(.3 .5 .9 .7 1 .6)
new loadshape.shop npts=4 interval=6 mult=(.2 1 .8 .5) qmult=(.4 .8 1 .6)
new loadshape.sun npts=5 interval=0 hour=(0 6 12 18 24) mult=(0 .1 1 .2 0)
"""
MIXED = """new load.cvr bus1=b kv=12.47 kw=1500 kvar=600 model=4 cvrwatts=.8 cvrvars=3 daily=home
~ vminpu=.8 vmaxpu=1.2
new load.z bus1=b.1 phases=1 kv=7.2 kw=300 kvar=90 model=2 daily=shop
new load.zip bus1=b.2 phases=1 kv=7.2 kw=200 kvar=90 model=8 zipv=(.5 .2 .3 .4 .3 .3 .5)
new load.leg bus1=b.1.3 phases=1 conn=delta kv=12.47 kw=250 kvar=80 model=5 daily=shop
new load.delta bus1=b conn=delta kv=12.47 kw=300 kvar=80 model=2 daily=home
new load.one bus1=home.1 phases=1 kv=.12 kw=9 kvar=2 model=2 daily=home
new load.both bus1=home.1.2 phases=1 kv=.24 kw=12 kvar=3 model=5 daily=shop
new pvsystem.roof bus1=b kv=12.47 kva=900 pmpp=800 irradiance=1 daily=sun
"""
END = "set voltagebases=[12.47 .208]\ncalcvoltagebases\nsolve\n"


def written(folder: Path, text: str) -> Path:
    """The script as a file."""
    path = folder / "day.dss"
    path.write_text(text)
    return path


def test_loads_that_no_series_of_a_point_holds_get_nodes_of_their_own(tmp_path: Path) -> None:
    """Row 9: phases, legs and hot legs with ZIP, CVR and constant power verify step by step."""
    path = written(tmp_path, GRID + MIXED + END)
    refused = baselines.import_feeder(path)
    with pytest.raises(RunError, match=r"one mixture of loads at b\.A"):
        refused.series_verdict(refused.series())
    done, series, verdict = baselines.import_with_series(path)
    assert verdict.startswith("series verified by OpenDSS in daily mode: largest difference")
    assert float(verdict.partition("difference ")[2].split()[0]) < 1e-7
    assert not series.mixed
    assert "verified by OpenDSS" in done.verdict
    at = dict(
        zip(done.feeder.column("loads", "load_id"), done.feeder.column("loads", "node_id"), strict=True)
    )
    assert at["roof"] == "b"  # what its asset stands at
    assert len({at["cvr"], at["z"], at["zip"], at["leg"]}) == 4
    assert {at["z"], at["cvr"]}.isdisjoint({"b"})
    assert done.feeder.column("switches", "switch_id").tolist() == []
    alone = cases.load(done.save(tmp_path / "out"), der="imported")
    assert "roof" not in alone.column("loads", "load_id")


def test_loads_that_cancel_get_nodes_of_their_own(tmp_path: Path) -> None:
    """Row 3: a load and what feeds as much in, of unlike models, in a phase and in a leg."""
    pairs = """new load.a bus1=b.1 phases=1 kv=7.2 kw=90 kvar=30 model=2
new load.b bus1=b.1 phases=1 kv=7.2 kw=-90 kvar=10 model=1
new load.c bus1=b conn=delta kv=12.47 kw=60 kvar=20 model=5
new load.d bus1=b.2.3 phases=1 conn=delta kv=12.47 kw=-20 kvar=9 model=2
"""
    done = baselines.import_feeder(written(tmp_path, GRID + pairs + END))
    assert "verified by OpenDSS" in done.verdict
    assert done.verification is not None
    assert done.verification.largest_pu < 1e-7
    assert {"b~1", "b~2"} <= set(done.feeder.node_index)


def test_the_nodes_change_no_voltage(tmp_path: Path) -> None:
    """Row 3: the lines to them are next to nothing: the nodes of the script are where they are without."""
    path = written(tmp_path, GRID + MIXED + END)
    plain, apart = (read_file(path, ReadOptions(apart=apart)).feeder for apart in (False, True))
    assert apart.n_nodes == plain.n_nodes + 5
    v = [
        np.asarray(physics.solve(physics.compile(one, voltage_bands=True), tol=1e-11).v)
        for one in (plain, apart)
    ]
    rows = [apart.node_index[str(node)] for node in plain.column("nodes", "node_id")]
    np.testing.assert_allclose(v[1][rows], v[0], atol=1e-7)


@pytest.mark.parametrize(
    "loads",
    [
        MIXED.replace("daily=shop", "daily=home").replace("kvar=90 model=8", "kvar=90 daily=home model=8")
        .partition("new pvsystem")[0],
        MIXED.partition("new load.z")[0]
        + MIXED.partition("new load.z")[0].replace("load.cvr", "load.other").replace("home", "shop"),
    ],
)  # fmt: skip
def test_one_shape_or_one_model_needs_none(loads: str, tmp_path: Path) -> None:
    """Row 9: a mixture that follows one shape, and one model with several shapes, are what a series holds."""
    path = written(tmp_path, GRID + loads + END)
    done, _, verdict = baselines.import_with_series(path)
    assert "series verified" in verdict
    assert done.feeder.equals(baselines.import_feeder(path).feeder)
    assert read_file(path, ReadOptions(apart=True)).feeder.equals(read_file(path, ReadOptions()).feeder)


def test_the_cost_of_one_mixture_is_told_where_that_is_asked_for(tmp_path: Path) -> None:
    """Row 9: with `approximate` the feeder stays as it is."""
    path = written(tmp_path, GRID + MIXED + END)
    done, series, verdict = baselines.import_with_series(path, ReadOptions(approximate=True))
    assert series.mixed
    assert verdict.startswith("series approximate: one mixture of loads at b.A")
    assert "b~1" not in done.feeder.node_index
