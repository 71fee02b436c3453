"""`distgrid bench opf`: it runs, its JSON keeps its form, all programs find the same losses. No times."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from distgrid.baselines.bench.report.results import OpfReport
from distgrid.cli import build_app


@pytest.mark.slow
def test_quick_run(tmp_path: Path) -> None:
    """One feeder and a day of eight steps; pandapower and IPOPT agree with ours, plans with their replay."""
    path = tmp_path / "opf.json"
    result = CliRunner().invoke(
        build_app(), ["bench", "opf", "--quick", "--json", str(path)], catch_exceptions=False
    )
    assert result.exit_code == 0
    report = OpfReport.model_validate_json(path.read_text())
    assert report.schema_version == "distgrid.bench.opf/1"
    assert {row.feeder for row in report.rows} == {"case33bw"}
    apart = {row.way.partition(" ")[0]: row.apart for row in report.rows if row.apart is not None}
    assert set(apart) == {"pandapower", "IPOPT"}
    assert apart["IPOPT"] < 1e-5
    assert apart["pandapower"] < 1e-3, "at its own tolerances"
    for row in report.rows[:2]:
        assert row.v_error_pu is not None
        assert row.v_error_pu < 1e-6
    (day,) = report.days
    assert (day.steps, day.storage, day.status) == (8, 10, "optimal")
    assert day.v_error_pu < 1e-6
    assert "Cheapest day of storage" in result.stdout
