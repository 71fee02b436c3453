"""`distgrid bench marl`: what it times, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from distgrid.baselines.bench import MarlReport
from distgrid.baselines.bench.marl import many
from distgrid.cases import load
from distgrid.cli import build_app


@pytest.mark.parametrize("agents", [20, 90])
def test_the_fleet_has_one_agent_for_each_device_and_much_the_same_power(agents: int) -> None:
    """What grows with the number of agents is their number, not what they do to the feeder."""
    env = many(load("case33bw"), agents, 2)
    assert env.num_agents == agents == len(env.unwrapped.units)
    assert 2.0 < sum(unit.p_mw for unit in env.unwrapped.units) < 4.0
    env.reset(seed=0)
    _, rewards, ended, _, _ = env.step(np.zeros((2, agents, env.action_width), dtype=np.float32))
    assert rewards.shape == (2, agents)
    assert not ended.any()


@pytest.mark.slow
def test_the_benchmark_of_many_agents() -> None:
    """Both forms of stepping and the growth, told as JSON; a peer that is not there is told, too."""
    shown = CliRunner().invoke(build_app(), ["bench", "marl", "--quick", "--json", "-"])
    assert shown.exit_code == 0, shown.output
    report = MarlReport.model_validate_json(shown.stdout)
    assert "QUICK RUN" in shown.stderr
    assert [row.agents for row in report.rows][:3] == [50, 1000, 1000]
    assert all((row.timing is None) == (row.status != "ok") for row in report.rows)
    assert report.rows[0].timing is not None
    assert np.isfinite(report.growth.exponent)
