"""`distgrid describe`, and `distgrid run` of an environment that a file describes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distgrid.cli import main
from distgrid.envs import describe, load_env, read_options

TEXT = """\
case: case33bw
resources:
- {kind: Battery, bus: 18, p_mw: 0.2, energy_mwh: 0.8}
task: {kind: VoltVar, episode: {hours: 3}}
"""


def command(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as left:
        main(words)
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An environment of one's own."""
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


def test_an_id_becomes_a_file_that_describes_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--yaml` is a start for an environment of one's own; `--json` is for programs."""
    code, text, err = command(["describe", "VoltVar-33bw-v0", "--yaml"], capsys)
    assert (code, err) == (0, "")
    path = tmp_path / "copy.yaml"
    path.write_text(text)
    told = [
        json.loads(command(["describe", env, "--json"], capsys)[1]) for env in ("VoltVar-33bw-v0", str(path))
    ]
    assert [one.pop("env") for one in told] == ["VoltVar-33bw-v0", str(path)]
    assert told[0] == told[1] == describe(load_env(path))


def test_people_read_it_as_text(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(["describe", str(file)], capsys)
    assert code == 0
    for words in ("case33bw", "battery_18", "voltage_deviation", "3 h, 12 steps of 0.25 h", "train", "v_pu",
                  "battery_18.p", "actions: 1"):  # fmt: skip
        assert words in out, words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["VoltVar-33bv-v0"], "did you mean distgrid/VoltVar-33bw-v0"),
        (["none.yaml"], "cannot read none.yaml: No such file"),
        (["VoltVar-33bw-v0", "--json", "--yaml"], "give one of them"),
    ],
)
def test_what_is_wrong_is_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = command(["describe", *words], capsys)
    assert code == 2
    assert message in err


def test_the_schema_is_that_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(["describe", "VoltVar-33bw-v0", "--schema"], capsys)
    assert code == 0
    assert "load_scale" in out


def test_a_run_of_a_file_is_known_by_its_content(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Issue: `distgrid run --config`. It resumes; comments do not count, another number does."""
    out = file.parent / "out"
    config = file.parent / "run.yaml"
    config.write_text(f"env: {file}\npolicy: [do-nothing, random]\nepisodes: 2\n")
    words = ["run", "--config", str(config), "--out", str(out)]
    code, _, err = command(words, capsys)
    assert (code, err) == (0, "")
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["parameters"]["environment"] == "mine"
    assert manifest["command"][2] == str(file)
    assert [one["name"] for one in manifest["inputs"]].count("environment file") == 1
    rows = pq.read_table(out / "episodes.parquet").to_pylist()
    assert [(row["policy"], row["n_steps"]) for row in rows] == [("do-nothing", 12)] * 2 + [
        ("random", 12)
    ] * 2
    file.write_text(f"# mine\n{TEXT}")
    words = ["run", str(file), "--policy", "do-nothing,random", "--episodes", "2", "--out", str(out)]
    code, text, _ = command(words, capsys)
    assert code == 0
    assert "complete already" in text
    file.write_text(TEXT.replace("0.8", "0.9"))
    code, _, err = command(words, capsys)
    assert code == 2
    assert "input environment file" in err


def test_the_run_says_which_days(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The split of the run is played, whatever the file says; listed days are the split "days"."""
    file.write_text(f"{TEXT}days: [7, 9]\n")
    out = file.parent / "out"
    words = ["run", str(file), "--policy", "do-nothing", "--episodes", "2", "--out", str(out)]
    assert command([*words, "--split", "days"], capsys)[0] == 0
    days = pq.read_table(out / "episodes.parquet").column("day").to_pylist()
    assert sorted(days) == [7, 9]
    code, _, err = command([*words, "--split", "tset", "--fresh"], capsys)
    assert (code, "did you mean 'test'" in err) == (2, True)
    assert read_options(file).days == (7, 9)


def test_what_is_wrong_in_the_file_is_told_by_run(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As by `describe`: file, line and field, and what the feeder does not have."""
    words = ["run", str(file), "--policy", "do-nothing", "--out", str(file.parent / "out")]
    file.write_text(TEXT.replace("p_mw", "p_kw"))
    code, _, err = command(words, capsys)
    assert code == 2
    assert "mine.yaml, line 3: resources[0].p_kw: unknown key 'p_kw'" in err
    file.write_text(TEXT.replace("18", "99"))
    code, _, err = command(words, capsys)
    assert code == 2
    assert "mine.yaml: battery_99: feeder case33bw has no bus '99'" in err
