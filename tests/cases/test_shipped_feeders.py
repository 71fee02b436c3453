"""The feeders in the package: complete, documented, and reproducible from their sources."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases, physics
from distgrid.cases import Feeder
from distgrid.cases.library import FEEDERS
from distgrid.cases.model.edit import replaced
from distgrid.cases.model.tree_drawing import with_layout

from .scripts import tool

MATPOWER = Path(__file__).resolve().parents[1] / "reference" / "matpower"
TOTALS = {  # MW, branches, open branches
    "case33bw": (3.715, 37, 5),
    "case69": (3.80210, 68, 0),
    "case118zh": (22.7097, 132, 15),
    "case136ma": (18.3138, 156, 21),
    "case141": (11.9446, 140, 0),
    "case533mt_hi": (44.6206, 577, 45),
    "case533mt_lo": (-4.83809, 577, 45),
}


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """tools/build_feeders.py as a module."""
    tool("shipping")  # which it imports
    return tool("build_feeders")


def test_names() -> None:
    assert cases.names(phases="balanced") == list(TOTALS)


@pytest.mark.parametrize("name", TOTALS)
def test_totals_ties_and_radiality(name: str) -> None:
    """Capability 1: the published loads; open branches are kept as tie switches."""
    feeder = cases.load(name)
    total, branches, open_branches = TOTALS[name]
    assert feeder.column("loads", "p_mw").sum() == pytest.approx(total, abs=5e-5)
    assert (feeder.name, feeder.feeder_id, feeder.n_branches) == (name, name, branches)
    is_open = ~feeder.column("branches", "status")
    assert is_open.sum() == open_branches
    tied = set(feeder.column("switches", "branch_id"))
    assert tied == set(feeder.column("branches", "branch_id")[is_open])
    assert not feeder.column("switches", "normally_closed").any()
    topology = feeder.topology()
    assert topology.is_radial
    assert [island.energised for island in topology.islands] == [True]


@pytest.mark.parametrize("name", TOTALS)
def test_every_rating_is_finite_and_binds(name: str) -> None:
    """Trap 7: no vacuous limit: every rating is below twice the largest flow that the feeder can carry."""
    feeder = cases.load(name)
    rating = feeder.column("branches", "thermal_limit_mva")
    assert np.isfinite(rating).all()
    assert (rating > 0).all()
    synthetic = not name.startswith("case533mt")
    assert set(feeder.column("branches", "rating_source")) == {"synthetic" if synthetic else "source"}
    solution = physics.solve(physics.compile(feeder))
    closed = feeder.column("branches", "status")
    assert solution.loading[closed].max() <= (0.70 + 1e-9 if synthetic else 1.0)
    if synthetic:
        total = np.hypot(solution.p_slack_mw, solution.q_slack_mvar)
        assert rating.max() < 2 * total
        assert np.median(solution.loading[closed]) > 0.2
        assert solution.loading[closed].max() > 0.6


@pytest.mark.parametrize("name", TOTALS)
def test_limits_coordinates_and_metadata(name: str, repo_root: Path) -> None:
    """Trap 9: limits that leave room; coordinates; source and licence also in SOURCES.md."""
    feeder = cases.load(name)
    column = feeder.column
    assert (column("nodes", "v_min") < column("nodes", "v_max")).all()
    assert np.isfinite(column("nodes", "x")).all()
    assert np.isfinite(column("nodes", "y")).all()
    places = set(zip(column("nodes", "x"), column("nodes", "y"), strict=True))
    assert len(places) == feeder.n_nodes
    assert set(column("nodes", "coord_source")) == {"layout"}
    assert {"title", "source", "licence", "notes", "file"} <= set(feeder.metadata)
    text = (repo_root / "cases" / "data" / "SOURCES.md").read_text()
    assert f"| {name} |" in text
    if "533mt" in name:
        assert "CC BY 4.0" in feeder.metadata["licence"]
        assert "Malmer" in feeder.metadata["licence"]
        assert "https://creativecommons.org/licenses/by/4.0/" in text


@pytest.mark.parametrize("name", TOTALS)
def test_the_builder_reproduces_what_is_shipped(name: str, builder: ModuleType, tmp_path: Path) -> None:
    """From the case file to the very tables; to the very bytes with the version of Arrow that wrote them."""
    built = builder.finish(cases.import_matpower(MATPOWER / f"{name}.m"))
    assert built.equals(cases.load(name))
    folder = built.save(tmp_path / name)
    for path in sorted(folder.iterdir()):
        shipped = FEEDERS / name / path.name
        if pq.read_metadata(shipped).created_by == pq.read_metadata(path).created_by:
            assert path.read_bytes() == shipped.read_bytes(), path.name


@pytest.mark.parametrize("name", ["case33bw", "case136ma"])
def test_layout_and_ratings_follow_from_the_shipped_tables(name: str, builder: ModuleType) -> None:
    """Without its coordinates and ratings the shipped feeder gets the same ones again."""
    shipped = cases.load(name)
    bare = _without(shipped)
    assert np.isnan(bare.column("branches", "thermal_limit_mva")).all()
    again = builder.with_synthetic_ratings(with_layout(bare))
    assert again.equals(shipped)


def _without(feeder: Feeder) -> Feeder:
    nodes, branches = feeder.nodes, feeder.branches
    for column in ("x", "y", "coord_source"):
        nodes = replaced(nodes, column, pa.nulls(len(nodes), nodes.schema.field(column).type))
    for column in ("thermal_limit_mva", "rating_source"):
        branches = replaced(branches, column, pa.nulls(len(branches), branches.schema.field(column).type))
    return dataclasses.replace(feeder, nodes=nodes, branches=branches)


def test_open_ties_get_the_larger_neighbouring_rating() -> None:
    feeder = cases.load("case33bw")
    column, index = feeder.column, feeder.branch_index
    rating = column("branches", "thermal_limit_mva")
    ends = {"21", "8"}
    pairs = zip(column("branches", "from_node"), column("branches", "to_node"), strict=True)
    meets = np.array([not ends.isdisjoint(pair) for pair in pairs])
    neighbours = meets & column("branches", "status")
    assert rating[index["21-8"]] == rating[neighbours].max()


def test_limits_that_pin_load_buses_are_not_shipped(builder: ModuleType) -> None:
    """Trap 9: a file with Vmin = Vmax at load buses is no source of voltage limits."""
    with pytest.raises(ValueError, match="cannot be shipped"):
        builder.with_usable_limits(cases.load(MATPOWER / "case28da.m"))


@pytest.mark.slow
def test_the_tool_checks_and_writes(
    repo_root: Path,
    builder: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a process, and then what it calls."""
    words = [
        str(repo_root / "tools" / "build_feeders.py"),
        "--matpower",
        str(MATPOWER),
        "--out",
        str(tmp_path),
    ]
    wrote = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert wrote.returncode == 0, wrote.stderr
    monkeypatch.setattr(sys, "argv", [*words, "--check"])
    assert builder.main() == 0, capsys.readouterr().out
    capsys.readouterr()
    (tmp_path / "case69" / "nodes.parquet").write_bytes(b"x")
    assert builder.main() == 1
    assert "case69 differs: nodes.parquet" in capsys.readouterr().out
