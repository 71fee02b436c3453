"""The folder of a run: killed and resumed, damaged, occupied by others, on a full disk."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.cases.profiles import Duration
from distgrid.envs import PV, DistGridEnv, VoltVar

from .mortal import Mortal, make_env

_SCRIPT = """
import os, resource, signal, sys
import numpy as np
from distgrid import baselines
from distgrid.baselines.jobs import files

sys.path.insert(0, sys.argv[3])
from mortal import Mortal, make_env

mode, out = sys.argv[1:3]
if mode == "episode":
    os.environ["DIES_IN_EPISODE"] = "4"
if mode == "write":
    real, calls = os.fsync, []
    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)
    files.os.fsync = fsync
if mode.startswith("limit"):
    warm = make_env()  # a cold kernel cache is written before the limit
    warm.reset(seed=0)
    warm.step(np.zeros(1, dtype=np.float32))
    size = int(mode[5:])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
baselines.rollout(make_env, Mortal(), 8, out=out, chunk_episodes=1, progress=False, report=False)
"""


def script(mode: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Start the run in a process of its own, which something happens to."""
    command = [sys.executable, "-c", _SCRIPT, mode, str(out), str(Path(__file__).parent)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def same_run(out: Path) -> None:
    """Give the command of the script again."""
    baselines.rollout(make_env, Mortal(), 8, out=out, chunk_episodes=1, progress=False, report=False)


def run(out: Path, episodes: int = 4, **options: Any) -> baselines.RunResult:
    options = {"progress": False, "report": False, "chunk_episodes": 1, **options}
    return baselines.rollout(make_env, "volt-var-fuzzy", episodes, out=out, **options)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    same_run(out)
    return {name: data for name, data in content(out).items() if name.endswith(".parquet")}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["episode", "write"])
def test_killed_and_resumed_gives_the_same_bytes(
    mode: str, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    """Capability 77: kill -9 within an episode and within a write; the same command finishes the run."""
    out = tmp_path / "out"
    assert script(mode, out).returncode == -9
    stopped = json.loads((out / "run.json").read_text())
    done = [c["index"] for c in stopped["chunks"] if c["status"] == "done"]
    assert stopped["status"] == "running"
    assert 0 < len(done) < 8
    assert not (out / "steps.parquet").exists()
    if mode == "write":
        assert any(name.endswith(".distgrid-tmp") for name in content(out))
    kept = {name: data for name, data in content(out).items() if name.startswith("parts/0000")}
    same_run(out)
    after = content(out)
    assert {name: data for name, data in after.items() if name.endswith(".parquet")} == uninterrupted
    assert not any(name.endswith(".distgrid-tmp") for name in after)
    resumed = json.loads(after["run.json"])
    assert (resumed["status"], resumed["timings"]["sittings"], resumed["id"]) == ("done", 2, stopped["id"])
    for index in done:  # what was finished was not played again
        assert resumed["chunks"][index] == stopped["chunks"][index]
    assert all(after[name] == data for name, data in kept.items() if not name.endswith("-tmp"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is a limit of POSIX systems")
@pytest.mark.parametrize("victim", ["parts/00000.steps.parquet", "steps.parquet"])
def test_disk_full_leaves_nothing_half_written(
    victim: str, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    """Bad input: the system refuses to write on, at the first part or at the end; a later run finishes."""
    out = tmp_path / "out"
    limit = len(uninterrupted[victim]) - 1
    stopped = script(f"limit{limit}", out)
    assert stopped.returncode == 1
    assert "OSError" in stopped.stderr
    assert f"cannot write {out / victim}" in stopped.stderr
    assert "give the same command again" in stopped.stderr
    there = content(out)
    assert not any(n.endswith(".distgrid-tmp") for n in there)
    written = {n for n in there if n.endswith(".parquet")}
    assert written == ({n for n in uninterrupted if "parts/" in n} if victim == "steps.parquet" else set())
    assert all(there[n] == uninterrupted[n] for n in written)
    assert json.loads(there["run.json"])["status"] == "failed"
    same_run(out)
    assert {n: d for n, d in content(out).items() if n.endswith(".parquet")} == uninterrupted


def test_a_finished_run_is_not_played_again(tmp_path: Path) -> None:
    """Same command, same folder: read back, nothing written."""
    first = run(tmp_path / "out")
    before = content(tmp_path / "out")
    again = run(tmp_path / "out", chunk_episodes=3)
    assert (again.skipped, again.computed) == (4, 0)
    assert content(tmp_path / "out") == before
    assert again.episodes.equals(first.episodes)
    assert again.summary == first.summary


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "output"])
def test_damaged_files_are_made_again(damage: str, tmp_path: Path) -> None:
    """A part or a table that no longer matches its hash is computed again, to the same bytes."""
    out = tmp_path / "out"
    run(out)
    before = content(out)
    victim = out / ("episodes.parquet" if damage == "output" else "parts/00002.steps.parquet")
    data = bytearray(victim.read_bytes())
    if damage == "remove":
        victim.unlink()
    elif damage == "truncate":
        victim.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    again = run(out)
    assert again.computed == (0 if damage == "output" else 1)
    after = content(out)
    assert {n: d for n, d in after.items() if n.endswith(".parquet")} == {
        n: d for n, d in before.items() if n.endswith(".parquet")
    }


def test_another_run_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    """Bad input: an out folder that holds another run; nothing in it is touched."""
    out = tmp_path / "out"
    run(out)
    before = content(out)
    with pytest.raises(RunError) as caught:
        run(out, episodes=5, seed=9)
    message = str(caught.value)
    assert "holds another run" in message
    assert "episodes: 4 in the folder, 5 asked for" in message
    assert "seed: 0 in the folder, 9 asked for" in message
    assert "--fresh" in message
    assert "policies" not in message
    with pytest.raises(RunError, match="policies: volt-var-fuzzy in the folder, random asked for"):
        baselines.rollout(make_env, "random", 4, out=out)
    with pytest.raises(RunError, match="holds this run already"):
        run(out, resume=False)
    assert content(out) == before


def test_other_inputs_are_another_run(tmp_path: Path) -> None:
    """The same command on a changed environment must not be mixed with the old results."""
    run(tmp_path / "out")
    dearer = functools.partial(
        DistGridEnv,
        "case33bw",
        (PV(18, 1.0),),
        VoltVar(episode=Duration(hours=6 / 4), loss_weight=3.0),
        "test",
    )
    with pytest.raises(RunError, match="input environment"):
        baselines.rollout(dearer, "volt-var-fuzzy", 4, out=tmp_path / "out", progress=False)


def test_the_damping_of_a_policy_is_part_of_the_run(tmp_path: Path) -> None:
    """Trap 23: the same name with other constants is not the same policy."""
    from distgrid.baselines.scripted.fuzzy import FuzzyVoltVar

    run(tmp_path / "out")
    other = FuzzyVoltVar(make_env(), step_response=0.9)
    with pytest.raises(RunError, match="policy volt-var-fuzzy"):
        baselines.rollout(make_env, other, 4, out=tmp_path / "out", progress=False)


def test_fresh_throws_away_the_run_and_nothing_else(tmp_path: Path) -> None:
    """--fresh removes the files that run.json lists; a note of the user stays."""
    out = tmp_path / "out"
    run(out, episodes=6)
    (out / "notes.txt").write_text("mine")
    result = run(out, episodes=2, fresh=True)
    assert result.episodes.num_rows == 2
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in (out / "parts").iterdir()) == [
        f"0000{k}.{kind}.parquet" for k in range(2) for kind in ("branches", "nodes", "steps", "violations")
    ]


def test_foreign_folders_and_files_are_refused(tmp_path: Path) -> None:
    """Bad input: a folder of somebody else (--fresh too), a file, a path below one, a foreign run.json."""
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("...")
    for fresh in (False, True):
        with pytest.raises(RunError, match=r"no run\.json"):
            run(foreign, fresh=fresh)
    assert content(foreign) == {"chapter1.tex": b"..."}
    with pytest.raises(RunError, match="is a file"):
        run(foreign / "chapter1.tex")
    with pytest.raises(RunError, match="choose another --out folder"):
        run(foreign / "chapter1.tex" / "out")
    for text in ("{}", "not json", '{"status": "done"}'):
        (foreign / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"is not a run\.json that this version can read"):
            run(foreign, fresh=True)


def test_an_empty_folder_and_leftovers_of_a_killed_start_are_welcome(tmp_path: Path) -> None:
    """A run killed before its first run.json leaves an empty parts folder and perhaps a temporary file."""
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    (out / ".run.json.123.distgrid-tmp").write_text("{")
    run(out)
    assert (out / "run.json").exists()
    assert not list(out.glob(".*"))
