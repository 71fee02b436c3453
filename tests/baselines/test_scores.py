"""Normalised scores: in `distgrid run`, in its tables, and where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow.parquet as pq
import pytest

from distgrid import baselines, cli
from distgrid.baselines.errors import RunError
from distgrid.baselines.scoring.certificates import Scale, certificates, scored
from distgrid.baselines.scoring.summary import interquartile_mean

ID = "distgrid/VoltVar-33bw-v1"


@pytest.mark.slow
def test_a_run_prints_scores_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for doing nothing, 1 for the plan of the day, a rule in between; table and terminal agree."""
    out = tmp_path / "out"
    rivals = "do-nothing,volt-var-ieee1547,optimal"
    with pytest.raises(SystemExit) as left:
        cli.main(["run", ID, "--policy", rivals, "--episodes", "1", "--out", str(out), "--no-progress"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "Score" in said
    assert max(len(line.rstrip()) for line in said.splitlines() if str(out) not in line) <= 80
    rows = {row["policy"]: row for row in pq.read_table(out / "episodes.parquet").to_pylist()}
    assert rows["do-nothing"]["normalised_score"] == pytest.approx(0.0, abs=1e-12)
    assert rows["optimal"]["normalised_score"] == pytest.approx(1.0, abs=1e-6)
    rule = rows["volt-var-ieee1547"]
    assert 0.0 < rule["normalised_score"] < 1.0
    assert rule["normalised_score"] == baselines.normalised_score(ID, rule["day"], rule["return"])
    assert f"{rule['normalised_score']:.3f}" in said


def test_other_days_and_other_settings_have_no_score() -> None:
    """A certificate belongs to its data: heavier loads or train days get null, and a dash in the table."""

    def heavier() -> Any:
        return gymnasium.make(ID, split="test", load_scale=1.3, disable_env_checker=True)

    for env, split in ((heavier, None), (ID, "train")):
        result = baselines.rollout(env, "do-nothing", 1, split=split, progress=False, report=False)
        assert result.episodes["normalised_score"].to_pylist() == [None]
        assert result.summary[0].score_mean is None


def test_a_day_that_is_drawn_has_the_score_of_its_seed_alone() -> None:
    """Applications differ between seeds: the first episode of a run has the seed of the certificate."""
    name = "HostingCapacity-33bw-v0"
    row = next(row for row in certificates(name).to_pylist() if row["seed"] == 0)
    first = baselines.rollout(name, "host-nearest", 1, split="test", progress=False, report=False)
    assert first.episodes["day"].to_pylist() == [row["day"]]
    assert first.episodes["normalised_score"].to_pylist()[0] == pytest.approx(
        first.summary[0].return_mean / row["best_known"]
    )
    other = baselines.rollout(name, "host-nearest", 1, split="test", seed=7, progress=False, report=False)
    assert other.episodes["normalised_score"].to_pylist() == [None]
    with pytest.raises(RunError, match="is of seed 0, not of seed 7"):
        baselines.normalised_score(name, row["day"], 1.0, seed=7)


def test_scores_by_hand() -> None:
    """A quarter of the way is 0.25; where nothing can be gained there is no score."""
    assert Scale(-8.0, -4.0, None).score(-7.0) == 0.25
    assert np.isnan(Scale(-8.0, -8.0, None).score(-8.0))
    assert scored("Mine-v0", {}, [1, 2], [0, 1], [0.0, 1.0]) == [None, None]


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    """By hand: of eight values the four in the middle, of five the middle one and parts of its neighbours."""
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, 4.0, -50.0, 5.0, 90.0])) == 3.5
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 4.0, 100.0])) == pytest.approx(
        (0.75 * 1.0 + 2.0 + 0.75 * 4.0) / 2.5
    )
    assert interquartile_mean(np.array([7.0])) == 7.0
