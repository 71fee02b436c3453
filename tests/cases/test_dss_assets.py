"""Generators, PV systems and storage of OpenDSS scripts as assets that nobody counts twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError
from distgrid.cases.phases import PLACE
from distgrid.cli import build_app
from distgrid.envs import options_from_assets

pytest.importorskip("dss")
from .dss_days import END, GRID, LOADS, SHAPES, written
from .dss_engine import read_text


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an import with a generator of three phases and one of one, PV and storage."""
    folder = tmp_path_factory.mktemp("assets")
    return import_feeder(written(folder, GRID + SHAPES + LOADS + END), verified=False).save(folder / "out")


def test_resources_are_assets_with_their_ratings(imported: Path) -> None:
    """Row 41: kva, pmpp, kwrated, kwhrated, %stored, %reserve, efficiencies, by hand; they validate."""
    place = str(imported)
    asked = ["derms", "validate-assets", f"{place}/der_assets.parquet", "--feeder", place]
    validated = CliRunner().invoke(build_app(), asked)
    assert validated.exit_code == 0, validated.output
    rows = {row["asset_id"]: row for row in cases.assets.read_assets(imported).assets.to_pylist()}
    assert {name: (row["asset_type"], row["bus_id"], row["phase"]) for name, row in rows.items()} == {
        "gen": ("generator", "b", "ABC"), "yearly": ("generator", "low", "C"), "roof": ("pv", "low", "ABC"),
        "box": ("battery", "low", "ABC"),
    }  # fmt: skip
    wanted = {
        "gen": {"p_min_mw": 0.0, "p_max_mw": 0.09, "s_rated_mva": 0.108, "q_max_mvar": 0.09 * 0.44**0.5},
        "roof": {"p_min_mw": 0.0, "p_max_mw": 0.055, "s_rated_mva": 0.06, "q_min_mvar": -0.06},
        "box": {"p_min_mw": -0.04, "p_max_mw": 0.04, "energy_cap_mwh": 0.09, "soc_init": 0.4, "soc_min": 0.2,
                "efficiency": 0.9, "efficiency_discharge": 0.9},
    }  # fmt: skip
    for name, cells in wanted.items():
        for column, value in cells.items():
            assert rows[name][column] == pytest.approx(value, abs=1e-9), (name, column)


def test_no_resource_counts_twice(imported: Path) -> None:
    """Row 83: the snapshot has their power as loads; with the assets these loads are gone, by every door."""
    whole = cases.load(imported)
    alone = cases.load(imported, der="imported")
    stand_for = {"gen", "yearly", "roof", "box"}
    assert set(whole.column("loads", "load_id")) - set(alone.column("loads", "load_id")) == stand_for
    own = whole.column("loads", "p_mw")[[one not in stand_for for one in whole.column("loads", "load_id")]]
    assert alone.column("nodes", "load_p_mw").sum() == pytest.approx(own.sum(), abs=1e-12)
    kinds = dict(zip(alone.column("nodes", "node_id"), alone.column("nodes", "type"), strict=True))
    assert kinds == {"head": "source", "b": "der", "c": "load", "low": "der"}
    fleet = cases.assets.load_assets(alone.metadata["der_assets"])
    assert fleet.n_assets == 4
    for case in (whole, alone, imported):
        options = options_from_assets(case, fleet)
        assert isinstance(options.case, cases.Feeder) or case is not whole
        feeder = options.case if isinstance(options.case, cases.Feeder) else cases.load(options.case)
        assert stand_for.isdisjoint(feeder.column("loads", "load_id"))
    part = options_from_assets(whole, fleet.select(["roof"])).case
    assert isinstance(part, cases.Feeder)
    assert {"gen", "yearly", "box"} < set(part.column("loads", "load_id"))
    assert "roof" not in part.column("loads", "load_id")


def test_loads_and_resources_together_are_the_snapshot(imported: Path) -> None:
    """What was taken out of the loads, injected as constant power, gives the voltages of the whole."""
    whole, alone = cases.load(imported), cases.load(imported, der="imported")
    injected = np.zeros((2, 2, whole.n_nodes, 3))
    for row in whole.loads.to_pylist():
        if row["load_id"] not in alone.column("loads", "load_id").tolist():
            at = [PLACE[letter] for letter in row["phase"]]
            for part, name in enumerate(("p_mw", "q_mvar")):
                injected[part, 0, whole.node_index[row["node_id"]], at] -= row[name] / len(at)
    solutions = [
        physics.solve(physics.compile(feeder), p_inject_mw=p, q_inject_mvar=q, tol=1e-11, max_iter=1000)
        for feeder, p, q in ((whole, None, None), (alone, injected[0, 0], injected[1, 0]))
    ]
    np.testing.assert_allclose(solutions[0].v, solutions[1].v, atol=1e-9)


def test_folders_keep_their_assets(imported: Path, tmp_path: Path) -> None:
    """A folder imports with them, none takes the place of an old one's, and no feeder is saved over them."""
    again = import_feeder(imported, feeder_id="F1")
    out = again.save(tmp_path / "again")
    assert cases.assets.read_assets(out).assets.equals(cases.assets.read_assets(imported).assets)
    with pytest.raises(CaseError, match=r"der_assets.parquet: expected a new or empty folder"):
        cases.load("case33bw").save(out)
    plain = import_feeder(cases.load("case33bw").save(tmp_path / "plain"))
    plain.save(out)
    assert not (out / "der_assets.parquet").exists()
    with pytest.raises(CaseError, match=r"a folder of an import with der_assets\.parquet"):
        cases.load(out, der="imported")


PLACES = """new pvsystem.x bus1=c.1.2 phases=1 conn=delta kv=12.47 kva=50 pmpp=40
new pvsystem.two bus1=c.1.2 phases=2 kv=12.47 kva=50 pmpp=40
new pvsystem.small bus1=b.3 phases=1 kv=7.2 kva=30 pmpp=90 %pmpp=50 kvarmax=20 kvarmaxabs=10
new generator.held bus1=b kv=12.47 kw=80 kva=100 model=3 minkvar=-15 maxkvar=25
new generator.motor bus1=b kv=12.47 kw=-80 kvar=0
new transformer.ct phases=1 windings=3 buses=[b.1 house.1.0 house.0.2] kvs=[7.2 .12 .12] kvas=[25 25 25]
~ xhl=2 xht=2 xlt=1.3
new storage.home bus1=house.1.2 phases=1 conn=delta kv=.24 kwrated=5 kwhrated=10
new load.x bus1=c.1 phases=1 kv=7.2 kw=30
"""


def test_where_assets_stand() -> None:
    """Legs, two phases as two halves, a name that a load has, limits of Q; what is none says why."""
    feeder, report = read_text(GRID + PLACES + "set voltagebases=[12.47 .4 .208]\ncalcvoltagebases\nsolve\n")
    rows = {row["asset_id"]: row for row in report.assets}
    assert {name: (row["phase"], row["p_max_mw"]) for name, row in rows.items()} == {
        "pvsystem.x": ("AB", 0.04), "two-a": ("A", 0.02), "two-b": ("B", 0.02), "small": ("C", 0.03),
        "held": ("ABC", 0.08),
    }  # fmt: skip
    assert (rows["small"]["q_min_mvar"], rows["small"]["q_max_mvar"]) == (-0.01, 0.01)
    assert (rows["held"]["q_min_mvar"], rows["held"]["q_max_mvar"]) == (-0.015, 0.025)
    assert {"x", "pvsystem.x", "motor", "home"} < set(feeder.column("loads", "load_id"))
    assert set(report.der_loads) == {"pvsystem.x", "two", "small", "held"}
    told = "; ".join(report.notes)
    assert (
        "storage.home stands in the loads and in no asset: legs behind a centre tap have no phase of assets"
        in told
    )
    assert "generator.motor stands in the loads and in no asset: no power by its ratings" in told


def test_a_script_without_resources_has_no_assets() -> None:
    """Neither rows nor a mark in the metadata."""
    feeder, report = read_text(GRID + "new load.x bus1=b kv=12.47 kw=100\n" + END)
    assert report.assets == ()
    assert "der_loads" not in feeder.metadata
