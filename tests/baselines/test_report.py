"""report.png: the numbers behind the picture, and that it is drawn for any number of policies."""

from __future__ import annotations

import dataclasses
import functools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distgrid import baselines
from distgrid.baselines.scoring.report import (
    Scene,
    draw_report,
    shown_policies,
    voltage_fan,
    worst_loading,
    worst_voltages,
)
from distgrid.baselines.scoring.score_table import SCORE_COLUMNS
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, DistGridEnv, VoltVar

make_env = functools.partial(
    DistGridEnv, "case33bw", (PV(18, 1.0),), VoltVar(episode=Duration(hours=5 / 4)), "test"
)


@pytest.fixture(scope="module")
def result() -> baselines.RunResult:
    """Five policies, two short days."""
    policies = ("do-nothing", "random", "volt-var-ieee1547", "volt-var-fuzzy", "power-factor-vde4105")
    return baselines.rollout(make_env, policies, 2, progress=False)


def texts(figure: Any) -> list[str]:
    """Every text of a figure."""
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text)]


def scene_of(result: baselines.RunResult, policies: int) -> Scene:
    env = make_env()
    return Scene(
        steps=result.steps, nodes=result.nodes, branches=result.branches, summary=result.summary[:policies],
        feeder=env.feeder, units=env.fleet.units(), band=(0.95, 1.05), dt_h=0.25,
        limits=env.v_limits_pu,        title="Title", subtitle="subtitle",
    )  # fmt: skip


def test_fan_is_the_envelope_of_the_day() -> None:
    """By hand: two days, the second worse, one step without a solution."""
    steps = pa.table(
        {
            "policy": ["a", "a", "a", "b"],
            "t_index": [0, 96, 97, 0],
            "pf_converged": [True, True, False, True],
            "v_min_pu": [0.97, 0.93, 0.10, 0.5],
            "v_median_pu": [0.99, 0.97, 0.10, 0.5],
            "v_max_pu": [1.00, 1.04, 0.10, 0.5],
        }
    )
    fan = voltage_fan(steps, "a", 0.25)
    assert fan.hour.tolist() == (np.arange(96) / 4).tolist()
    first = [band[0] for band in (fan.lowest, fan.low, fan.middle, fan.high, fan.highest)]
    assert first == pytest.approx([0.93, 0.95, 0.98, 1.02, 1.04])
    assert np.isnan(fan.lowest[1:]).all()


def test_worst_values_of_nodes_and_branches() -> None:
    """The side on which the voltage is farther off counts; a node that never had a solution is NaN."""
    nodes = pa.table(
        {
            "policy": ["a"] * 6,
            "v_min_pu": [0.99, 0.92, None, 0.98, 0.97, None],
            "v_max_pu": [1.00, 1.02, None, 1.06, 1.03, None],
        }
    )
    worst = worst_voltages(nodes, "a", 3, 1.0)
    assert worst[:2].tolist() == [1.06, 0.92]
    assert np.isnan(worst[2])
    branches = pa.table({"policy": ["a"] * 4, "loading_max": [0.4, None, 1.2, None]})
    heaviest = worst_loading(branches, "a", 2)
    assert heaviest[0] == 1.2
    assert np.isnan(heaviest[1])


def test_many_policies_show_the_first_and_the_best(result: baselines.RunResult) -> None:
    """Three panels at most; the order of the run is kept."""
    assert shown_policies(result.summary[:3]) == ["do-nothing", "random", "volt-var-ieee1547"]
    returns = (1.0, 2.0, 5.0, 3.0, 9.0)
    summary = [dataclasses.replace(s, return_mean=r) for s, r in zip(result.summary, returns, strict=True)]
    assert shown_policies(summary) == ["do-nothing", "volt-var-ieee1547", "power-factor-vde4105"]


@pytest.mark.parametrize("policies", [1, 2, 5])
def test_report_shows_every_policy_and_its_scores(policies: int, result: baselines.RunResult) -> None:
    """What is printed in the picture is what the summary says."""
    scene = scene_of(result, policies)
    shown = texts(draw_report(scene))
    for entry in scene.summary:
        assert entry.policy in shown
        for column in SCORE_COLUMNS:
            assert (column.text(entry) in shown) or not column.in_report
    assert {"Title", "subtitle"} <= set(shown)


def test_report_file_is_a_picture(tmp_path: Path) -> None:
    """Design 7: report.png in the folder, listed in run.json."""
    result = baselines.rollout(make_env, "do-nothing", 1, out=tmp_path / "out", progress=False)
    data = (tmp_path / "out" / "report.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert width > 1000
    assert height > 500
    assert [f.path for f in result.manifest.outputs][-1] == "report.png"


def test_a_run_without_report_gets_one_when_it_is_asked_for(tmp_path: Path) -> None:
    """Nothing is played again for the picture."""
    baselines.rollout(make_env, "do-nothing", 1, out=tmp_path / "out", progress=False, report=False)
    assert not (tmp_path / "out" / "report.png").exists()
    again = baselines.rollout(make_env, "do-nothing", 1, out=tmp_path / "out", progress=False)
    assert again.computed == 0
    assert (tmp_path / "out" / "report.png").exists()
