"""`distgrid run`: the table, the files, and what the user reads when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distgrid.cli import main

ENV = "VoltVar-33bw-v0"


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as left:
        main(["run", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one complete run of this module lies."""
    return tmp_path_factory.mktemp("cli") / "out"


def arguments(folder: Path) -> list[str]:
    return [ENV, "--policy", "do-nothing, volt-var-ieee1547", "--episodes", "2", "--out", str(folder)]


def test_prints_scores_and_paths_and_writes_the_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Issue, section 5: return, losses, violation cost, failed power flows, steps per second; all files."""
    code, out, err = command(arguments(folder), capsys)
    assert (code, err) == (0, "")
    for title in ("Return", "Losses", "Score", "pu/day", "Outside", "Failed", "steps/s"):
        assert title in out
    names = [
        "steps.parquet",
        "nodes.parquet",
        "branches.parquet",
        "episodes.parquet",
        "report.png",
        "run.json",
    ]
    for name in names:
        assert (folder / name).exists()
        assert str(folder / name) in out
    episodes = pq.read_table(folder / "episodes.parquet").to_pylist()
    assert [e["policy"] for e in episodes] == ["do-nothing"] * 2 + ["volt-var-ieee1547"] * 2
    assert all(e["n_steps"] == 96 for e in episodes)
    for policy in ("do-nothing", "volt-var-ieee1547"):
        returns = [e["return"] for e in episodes if e["policy"] == policy]
        line = next(line for line in out.splitlines() if re.search(rf"\b{policy}\b", line))
        assert f"{sum(returns) / 2:.2f}".replace("-", "−") in line
    run_json = json.loads((folder / "run.json").read_text())
    assert run_json["command"][:4] == ["distgrid", "run", ENV, "--policy"]
    assert run_json["status"] == "done"


def test_the_same_command_again_reads_the_run_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is played twice; the table is the same."""
    if not (folder / "run.json").exists():
        command(arguments(folder), capsys)
    before = (folder / "steps.parquet").stat().st_mtime_ns
    code, out, _ = command(arguments(folder), capsys)
    assert code == 0
    assert "complete already" in out
    assert (folder / "steps.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: "VoltVar-33bv-v0"}, "did you mean 'distgrid/VoltVar-33bw-v0'"),
        ({2: "volt-var-iee1547"}, "did you mean 'volt-var-ieee1547'"),
        ({2: ","}, "no policy given"),
        ({4: "0"}, "episodes must be a whole number of at least 1"),
    ],
)
def test_wrong_names_and_numbers(
    change: dict[int, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input: exit code 2, one plain sentence, the nearest name, no traceback, no folder."""
    given = arguments(tmp_path / "out")
    for index, value in change.items():
        given[index] = value
    code, out, err = command(given, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_wrong_split_and_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: the nearest name is suggested."""
    given = arguments(tmp_path / "out")
    assert "did you mean 'winter-peak'" in command([*given, "--split", "winterpeak"], capsys)[2]
    assert "did you mean 'processes'" in command([*given, "--engine", "process"], capsys)[2]


def test_a_folder_that_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: another run, a foreign folder, a path that cannot be a folder."""
    (tmp_path / "notes.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "notes.txt", tmp_path / "notes.txt" / "below"):
        code, _, err = command(arguments(out), capsys)
        assert code == 2
        assert "choose another --out folder" in err or "is a file" in err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_run_needs_fresh(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: the message says what differs; --fresh takes the folder over."""
    if not (folder / "run.json").exists():
        command(arguments(folder), capsys)
    other = [*arguments(folder), "--seed", "5"]
    code, _, err = command(other, capsys)
    assert code == 2
    assert "seed: 0 in the folder, 5 asked for" in err
    assert command([*other, "--fresh"], capsys)[0] == 0
    assert json.loads((folder / "run.json").read_text())["seed"] == 5
