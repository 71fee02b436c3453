"""Two processes in one folder, and how the verbs behave when they are killed, repeated or given a folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.jobs import lock
from distgrid.baselines.jobs.lock import OWNER_FILE, FolderLock
from distgrid.cli import main

from .mortal import Mortal, make_env

_HOLDER = """
import sys, time
from pathlib import Path
from distgrid.baselines.jobs.lock import FolderLock
held = FolderLock(Path(sys.argv[1]))
held.acquire()
held.sign(["distgrid", "run", "VoltVar-33bw-v0"])
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works in `folder`, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def play(out: Path, **options: Any) -> baselines.RunResult:
    options = {"progress": False, "report": False, "chunk_episodes": 1, **options}
    return baselines.rollout(make_env, Mortal(), 3, out=out, **options)


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


VERBS = {
    "run": ["run", "VoltVar-33bw-v0", "--policy", "do-nothing", "--episodes", "1", "--no-progress"],
    "pf": ["dist", "pf", "case33bw"],
    "controls": ["dist", "controls", "ieee13"],
}
OTHER = {"run": ["--seed", "5"], "pf": ["--tol", "1e-7"], "controls": ["--start", "neutral"]}
EVERY = pytest.mark.parametrize("verb", list(VERBS))


@pytest.mark.slow
@EVERY
def test_the_second_is_told_who_runs_there(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trap 41: with --fresh too, nothing is touched; the folder of a killed process is taken over."""
    out = tmp_path / "out"
    assert command([*VERBS[verb], "--out", str(out)], capsys)[0] == 0
    finished = content(out)
    with holder(out) as other:
        before = content(out)
        for more in ([], ["--fresh"], OTHER[verb], [*OTHER[verb], "--fresh"]):
            code, shown, err = command([*VERBS[verb], "--out", str(out), *more], capsys)
            assert (code, shown) == (2, "")
            for told in (
                f"process {other.pid}",
                socket.gethostname(),
                "distgrid run VoltVar-33bw-v0",
                "in use",
            ):
                assert told in err
        assert content(out) == before
    assert (out / OWNER_FILE).exists()  # it was killed, and could not tidy up
    assert command([*VERBS[verb], "--out", str(out)], capsys)[0] == 0
    assert {**content(out), OWNER_FILE: b""} == {**finished, OWNER_FILE: b""}
    assert command([*VERBS[verb], "--out", str(out), *OTHER[verb], "--fresh"], capsys)[0] == 0
    assert not list(out.glob(".*"))


def test_two_runs_in_one_process_are_kept_apart(tmp_path: Path) -> None:
    """Threads of a notebook: the second is told that it is this very process."""
    FolderLock(tmp_path).release()  # without a lock, nothing happens
    held = FolderLock(tmp_path)
    held.acquire()
    held.sign(["a notebook"])
    told: list[str] = []

    def second() -> None:
        with pytest.raises(RunError) as caught:
            play(tmp_path)
        told.append(str(caught.value))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    assert f"process {os.getpid()}" in told[0]
    held.release()
    assert play(tmp_path).computed == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a child as of os.fork")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Workers of a process that was killed may live on; they do not run there."""
    held = FolderLock(tmp_path)
    held.acquire()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        time.sleep(0.2)
        held.release()
        again = FolderLock(tmp_path)
        again.acquire()
        again.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class TestWithoutLocksOfTheSystem:
    """The file that says who runs there is the lock: network drives, Windows."""

    @pytest.fixture(autouse=True)
    def no_flock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lock, "fcntl", None)
        monkeypatch.setattr(lock, "PATIENCE_S", 0.1)

    def owner(self, folder: Path, **changes: Any) -> None:
        pid = changes.get("pid", os.getpid())
        told = {
            "pid": pid,
            "host": socket.gethostname(),
            "born": lock._born(pid),
            "command": ["x"],
            "since": "now",
        }
        (folder / OWNER_FILE).write_text(json.dumps({**told, **changes}))

    def test_a_living_process_keeps_it(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        self.owner(tmp_path / "out")
        with pytest.raises(RunError, match=f"process {os.getpid()} on"):
            play(tmp_path / "out")
        assert list(content(tmp_path / "out")) == [OWNER_FILE]

    def test_another_machine_keeps_it(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        self.owner(tmp_path / "out", host="elsewhere")
        with pytest.raises(RunError, match="on elsewhere"):
            play(tmp_path / "out")

    @pytest.mark.parametrize(
        "changes", [{"pid": 2**22 + 1}, {"born": "1"}], ids=["dead", "number used again"]
    )
    def test_one_that_is_gone_does_not(self, changes: dict[str, Any], tmp_path: Path) -> None:
        if "born" in changes and lock._born(os.getpid()) is None:
            changes = {"pid": 2**22 + 1}
        (tmp_path / "out").mkdir()
        self.owner(tmp_path / "out", **changes)
        assert play(tmp_path / "out").computed == 3
        assert not list((tmp_path / "out").glob(".*"))


@EVERY
def test_who_runs_is_told_while_it_computes(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only while files are written."""
    owners: list[str] = []

    def note(*args: Any, **options: Any) -> Any:
        owners.append((tmp_path / "out" / OWNER_FILE).read_text())
        raise KeyboardInterrupt

    monkeypatch.setattr("distgrid.physics.solve", note)
    monkeypatch.setattr("distgrid.physics.settle_controls", note)
    monkeypatch.setattr("distgrid.baselines.rollouts.job.play", note)
    with pytest.raises(SystemExit):
        main([*VERBS[verb], "--out", str(tmp_path / "out")])
    assert json.loads(owners[0])["pid"] == os.getpid()
    assert not list(tmp_path.rglob(OWNER_FILE))


@EVERY
def test_repeated_it_is_read_back(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command again: the same numbers, no file written, and it says so."""
    arguments = [*VERBS[verb], "--out", str(tmp_path / "out")]
    first = command(arguments, capsys)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    again = command(arguments, capsys)
    assert first[0] == again[0] == 0
    assert "complete already" in again[1]
    assert "complete already" not in first[1]
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert after == before


@EVERY
def test_a_finished_run_in_a_read_only_folder_can_be_asked_for_again(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one call that writes; another run there is refused in words."""
    out = tmp_path / "out"
    arguments = [*VERBS[verb], "--out", str(out)]
    assert command(arguments, capsys)[0] == 0
    before = content(out)
    really = os.access

    def no_writing(*args: Any, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(args[0]))

    monkeypatch.setattr(os, "access", lambda p, mode, **k: not mode & os.W_OK and really(p, mode, **k))
    monkeypatch.setattr(os, "open", _only_reading(os.open))
    for name in ("mkdir", "unlink", "replace", "rename", "touch"):
        monkeypatch.setattr(Path, name, no_writing)
    code, shown, err = command(arguments, capsys)
    assert (code, err) == (0, "")
    assert "complete already" in shown
    code, _, err = command([*arguments, *OTHER[verb], "--fresh"], capsys)
    assert code == 2
    assert "no permission to write" in err or "cannot create" in err
    monkeypatch.undo()
    assert content(out) == before


def _only_reading(really: Any) -> Any:
    def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(13, "Permission denied", str(path))
        return int(really(path, flags, *args, **options))

    return opened


@pytest.mark.quick(1)
@EVERY
def test_told_another_parameter_it_says_which(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused, with both values, and --fresh as the way out; with it, the old files go."""
    arguments = [*VERBS[verb], "--out", str(tmp_path / "out")]
    assert command(arguments, capsys)[0] == 0
    before = content(tmp_path / "out")
    code, _, err = command([*arguments, *OTHER[verb]], capsys)
    assert code == 2
    name = OTHER[verb][0].removeprefix("--")
    assert f"\n  {name}: " in err
    assert f"{OTHER[verb][1]} asked for" in err.replace("1e-07", "1e-7")
    assert "--fresh" in err
    assert content(tmp_path / "out") == before
    assert command([*arguments, *OTHER[verb], "--fresh"], capsys)[0] == 0
    assert content(tmp_path / "out")["run.json"] != before["run.json"]


@pytest.mark.quick(1)
@EVERY
def test_given_a_folder_that_is_not_its_own(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody's files, the run of each other verb, a file: refused, with --fresh too, and untouched."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for other in VERBS.keys() - {verb}:
        assert command([*VERBS[other], "--out", str(tmp_path / other)], capsys)[0] == 0
    before = content(tmp_path)
    for place in ("thesis", "file", "file/below", *(VERBS.keys() - {verb})):
        for fresh in ([], ["--fresh"]):
            code, shown, err = command([*VERBS[verb], "--out", str(tmp_path / place), *fresh], capsys)
            assert (code, shown) == (2, ""), place
            assert "choose another --out folder" in err or "is a file" in err
            if place in VERBS:
                assert f"a run of `distgrid {' '.join(VERBS[place][: 1 if place == 'run' else 2])}`" in err
    assert content(tmp_path) == before


@pytest.mark.quick(1)
@EVERY
@pytest.mark.parametrize("at", range(4))
def test_killed_at_any_write_and_given_again(
    verb: str, at: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the `at`-th file is put in its place: the same command ends with the same bytes."""
    assert command([*VERBS[verb], "--out", str(tmp_path / "whole")], capsys)[0] == 0
    replace, calls = Path.replace, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt
        return replace(self, target)

    arguments = [*VERBS[verb], "--out", str(tmp_path / "out")]
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 130
    monkeypatch.undo()
    assert not list((tmp_path / "out").rglob(".*"))
    capsys.readouterr()
    assert command(arguments, capsys)[0] == 0
    tables = [{n: d for n, d in content(tmp_path / name).items() if n.endswith((".parquet", ".png"))}
              for name in ("whole", "out")]  # fmt: skip
    assert tables[0] == tables[1]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "done"


@EVERY
def test_leftovers_of_a_start_that_was_killed_are_welcome(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed before the first run.json: temporary files, the name of who ran there, an empty folder."""
    out = tmp_path / "out"
    (out / "parts").mkdir(parents=True)
    (out / ".run.json.123.distgrid-tmp").write_text("{")
    (out / OWNER_FILE).write_text("{")
    assert command([*VERBS[verb], "--out", str(out)], capsys)[0] == 0
    assert not list(out.glob(".*"))


def test_what_fails_before_anything_is_written_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders that were made on the way go, too; those that were there stay."""
    (tmp_path / "there").mkdir()
    for place in ("there", "a/b/c"):
        code, _, err = command(
            ["dist", "pf", "case33bw", "--tol", "0", "--out", str(tmp_path / place)], capsys
        )
        assert code == 2
        assert "tol must be" in err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
