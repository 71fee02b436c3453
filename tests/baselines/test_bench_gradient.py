"""`distgrid bench gradient`: it runs, its JSON keeps its form, both gradients agree. No wall times."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from distgrid import cases, physics
from distgrid.baselines.bench.contenders.dense_jacobian import DenseJacobian
from distgrid.baselines.bench.report.results import GradientReport
from distgrid.cli import build_app


@pytest.mark.slow
def test_quick_run(tmp_path: Path) -> None:
    """A row and a batch of a balanced and of a per-phase feeder."""
    path = tmp_path / "gradient.json"
    command = ["bench", "gradient", "--quick", "--json", str(path)]
    result = CliRunner().invoke(build_app(), command, catch_exceptions=False)
    assert result.exit_code == 0
    report = GradientReport.model_validate_json(path.read_text())
    assert report.schema_version == "distgrid.bench.gradient/1"
    assert [(row.feeder, row.rows) for row in report.rows] == [
        ("case33bw", 1), ("case33bw", 16), ("ieee13", 1), ("ieee13", 16)
    ]  # fmt: skip
    assert [row.dense is None for row in report.rows] == [False, True, True, True]
    assert report.rows[0].disagreement is not None
    assert report.rows[0].disagreement < 1e-8
    assert "power flows" in result.stdout


@pytest.mark.parametrize("name", ["case69", "case118zh", "case141"])
def test_the_dense_jacobian_gives_the_same_gradient(name: str) -> None:
    """Capability 40: dLoss/dP and dLoss/dQ of every bus, by a method that shares nothing with the sweep."""
    net = physics.compile(cases.load(name))
    sol = physics.solve(net, tol=1e-12)
    p, q = DenseJacobian.of(net).loss_gradient(sol.v)
    found = physics.gradient(sol, p_loss_mw=1.0)
    assert abs(found.p_inject_mw - p).max() < 1e-8 * abs(p).max()
    assert abs(found.q_inject_mvar - q).max() < 1e-8 * abs(q).max()
