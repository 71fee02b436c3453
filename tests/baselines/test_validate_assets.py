"""`distgrid derms validate-assets`: every bad row, or what is in the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid.baselines.workflows.derms.validation import SUMMARY, validate_assets
from distgrid.cases import CaseError, assets
from distgrid.cases.assets.shipped import SETS
from distgrid.cli import build_app

BAD = """asset_id,bus_id,phase,asset_type,p_min,p_max,energy_cap,efficiency
b1,18,ABC,battery,-0.2,0.2,-0.8,0.95

b2,99,ABC,battery,-0.2,nan,0.8,1.2
b1,18,ABC,battery,-0.2,0.2,0.8,0.95
"""
UNFIT = """asset_id,bus_id,phase,asset_type,p_min,p_max,energy_cap,settings
b1,18,ABC,battery,-0.2,0.2,0.8,
b2,18,ABC,battery,-0.3,0.2,0.8,
b3,18,ABC,battery,-0.2,0.2,0.8,"{""colour"":1}"
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner with a terminal wide enough to keep lines whole."""
    monkeypatch.setenv("COLUMNS", "250")
    return CliRunner()


def written(folder: Path, text: str) -> str:
    """The path of a file of assets."""
    path = folder / "mine.csv"
    path.write_text(text)
    return str(path)


def test_every_bad_row_is_listed_and_the_status_is_two(run: CliRunner, tmp_path: Path) -> None:
    """Row 41: line, column, value and expectation of each; nothing stands on stdout."""
    path = written(tmp_path, BAD)
    result = run.invoke(build_app(), ["derms", "validate-assets", path, "--feeder", "case33bw"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}:2: energy_cap_mwh = -0.8: expected more than 0",
        f"{path}:4: p_max_mw = nan: expected a finite number",
        f"{path}:4: bus_id = 99: expected a bus of case33bw; did you mean 9?",
        f"{path}:4: efficiency = 1.2: expected a share above 0, up to 1",
        f"{path}:5: asset_id = b1: expected each id once (it is in row 2)",
        f"distgrid: error: {path}: 5 problems",
    ]


def test_assets_that_no_resource_can_be_are_listed_by_their_line(run: CliRunner, tmp_path: Path) -> None:
    path = written(tmp_path, UNFIT)
    result = run.invoke(build_app(), ["derms", "validate-assets", path])
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert (
        lines[0]
        == f"{path}:3: p_min_mw = -0.3: expected -0.2: a battery charges and discharges at one rating"
    )
    assert lines[1].startswith(f"{path}:4: asset_id = b3: expected a battery that can be")
    assert "unknown key 'colour'" in lines[1]
    assert len(lines) == 3


def test_good_tables_are_summed_up(run: CliRunner) -> None:
    result = run.invoke(build_app(), ["derms", "validate-assets", str(SETS / "ieee13"), "--feeder", "ieee13"])
    assert result.exit_code == 0
    found = assets.load_assets("ieee13")
    sun = found.select(found.groups("type")["pv"]).numbers("p_max_mw").sum()
    row = next(line.split() for line in result.stdout.splitlines() if line.strip().startswith("pv"))
    assert row[1] == str(len(found.groups("type")["pv"]))
    assert float(row[5]) == pytest.approx(sun, abs=1e-6)


def test_the_report_has_what_was_read() -> None:
    report = validate_assets(SETS / "case33bw", feeder="case33bw")
    assert report.problems == ()
    assert report.assets is not None
    assert report.assets.equals(assets.load_assets("case33bw"))
    assert report.summary.schema.equals(SUMMARY)
    assert sum(report.summary.column("assets").to_pylist()) == report.assets.n_assets
    assert np.isclose(
        np.nansum(report.assets.numbers("p_max_mw")), sum(report.summary.column("p_max_mw").to_pylist())
    )


def test_an_unknown_feeder_and_zone_are_told(run: CliRunner, tmp_path: Path) -> None:
    path = written(tmp_path, UNFIT)
    with pytest.raises(CaseError, match="did you mean case33bw"):
        validate_assets(path, feeder="case33bx")
    with pytest.raises(ValueError, match="zone 'Mars' is unknown"):
        validate_assets(path, zone="Mars")
    result = run.invoke(build_app(), ["derms", "validate-assets", str(tmp_path / "none.csv")])
    assert result.exit_code == 2
    assert "a file that can be read" in result.stderr
