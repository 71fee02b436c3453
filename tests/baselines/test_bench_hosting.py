"""`distgrid bench hosting`: it runs, its JSON keeps its form, all who answer agree. No wall times."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from distgrid.baselines.bench.contenders.bus_by_bus import ALONE, LONE, PANDAPOWER, plain_bisection
from distgrid.baselines.bench.report.results import HostingReport
from distgrid.cli import build_app


@pytest.mark.slow
def test_quick_run(tmp_path: Path) -> None:
    """Row 31, 39: bisection bus by bus, also by pandapower, ends where the batch does, and the batch solves
    at most ceil(log2(range / tol)) + 4 power flows a bus where the bracket is known.
    """
    path = tmp_path / "hosting.json"
    command = ["bench", "hosting", "--quick", "--json", str(path)]
    result = CliRunner().invoke(build_app(), command, catch_exceptions=False)
    assert result.exit_code == 0
    report = HostingReport.model_validate_json(path.read_text())
    assert report.schema_version == "distgrid.bench.hosting/1"
    balanced, per_phase = report.rows
    assert (balanced.feeder, balanced.candidates) == ("case33bw", 32)
    assert [peer.name for peer in balanced.peers] == [LONE, PANDAPOWER]
    assert [peer.name for peer in per_phase.peers] == [ALONE]
    for row in report.rows:
        for peer in row.peers:
            assert peer.disagreement_kw < 0.21, peer.name  # both to 0.1 kW
    assert balanced.bracket_power_flows is not None
    assert balanced.bracket_bound is not None
    assert balanced.bracket_power_flows <= balanced.bracket_bound
    assert balanced.peers[0].power_flows_mean > 1.5 * balanced.power_flows_mean
    assert (per_phase.bracket_power_flows, per_phase.bracket_bound) == (None, None)
    assert "power flows each" in result.stdout


@pytest.mark.parametrize(("limit", "largest", "found"), [(3.3, 60.0, 3.3), (99.0, 60.0, 60.0)])
def test_plain_bisection_brackets_and_halves(limit: float, largest: float, found: float) -> None:
    """Doubling from a small size and halving: within the tolerance below the limit, or the largest size."""
    asked: list[float] = []

    def kept(size: float) -> bool:
        asked.append(size)
        return size <= limit

    size, count = plain_bisection(kept, 0.5, largest, 1e-3)
    assert count == len(asked)
    assert found - 1e-3 <= size <= found
    assert max(asked) <= largest
