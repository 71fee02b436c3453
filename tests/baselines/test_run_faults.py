"""What held when it was tried, kept: faults at every rename, full disks, odd places for --out."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.dist import pf_job
from distgrid.cli import main

from .mortal import Mortal, make_env


def play(out: Path, **options: Any) -> baselines.RunResult:
    options = {"progress": False, "report": False, "chunk_episodes": 1, **options}
    return baselines.rollout(make_env, Mortal(), 2, out=out, **options)


def tables(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.parquet")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    play(out)
    return tables(out)


Fault = Callable[[], BaseException]
FAULTS: dict[str, Fault] = {
    "refused": lambda: PermissionError(13, "Permission denied"),
    "interrupted": KeyboardInterrupt,
    "memory": MemoryError,
}


@contextmanager
def fault(at: int, kind: str, when: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The `at`-th rename fails, before or after it is done; yields how many there were."""
    replace, calls = Path.replace, [0]

    def failing(self: Path, target: Path) -> Path:
        calls[0] += 1
        if calls[0] != at:
            return replace(self, target)
        if when == "after":
            replace(self, target)
        raise FAULTS[kind]()

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", failing)
        yield calls


STEPS = [(kind, when) for when in ("before", "after") for kind in FAULTS]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_at_every_rename(
    when: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability 77: all of them, one after the other."""
    for at in range(1, 18):
        out = tmp_path / str(at)
        with fault(at, "interrupted", when, monkeypatch), pytest.raises(KeyboardInterrupt):
            play(out)
        play(out)
        assert tables(out) == whole


@pytest.mark.quick(1)
@pytest.mark.parametrize(("kind", "when"), STEPS)
def test_a_fault_at_any_rename_is_resumed_to_the_same_bytes(
    kind: str, when: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability 77: whatever was there is whole, and the same command ends the run."""
    with fault(0, kind, when, monkeypatch) as calls:
        play(tmp_path / "counted")
    assert calls[0] > 15
    for at in range(1 + STEPS.index((kind, when)), calls[0] + 1, len(STEPS)):
        out = tmp_path / str(at)
        with fault(at, kind, when, monkeypatch), pytest.raises((OSError, KeyboardInterrupt, MemoryError)):
            play(out)
        assert all(whole[name] == data for name, data in tables(out).items())
        play(out)
        assert tables(out) == whole
        assert not list(out.rglob(".*"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_faults_in_a_row(
    when: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run that is stopped again."""
    for at in (3, 7, 12):
        out = tmp_path / str(at)
        for _ in range(2):
            with fault(at, "interrupted", when, monkeypatch), pytest.raises(KeyboardInterrupt):
                play(out)
            at = 2
        play(out)
        assert tables(out) == whole


def test_a_disk_full_at_any_size(whole: dict[str, bytes], tmp_path: Path) -> None:
    """Capability 77: just short of every file; nothing half-written stays, and the run goes on later."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = sorted({len(data) - 1 for data in whole.values()} | {0, 1, 100})
    for size in sizes[::2]:
        out = tmp_path / str(size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises((OSError, RunError), match="cannot write"):
                play(out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(out.rglob("*.distgrid-tmp"))
        assert all(whole[name] == data for name, data in tables(out).items())
        play(out)
        assert tables(out) == whole


GOOD = [
    "plain", "with blank", "ünï", "電力", "-dash", "--out", "new\nline", "tab\t", "a'b\"c", "$HOME", "~", "*",
    "a/b/c", "./dots/../dots", "trailing/", "x" * 200, ".hidden", "run.json", "parts", "steps.parquet",
    "a.distgrid-tmp", "\\", "c:", "%s", "{0}", "\x1b[31m", "link", "through/below", "empty",
]  # fmt: skip
BAD = [
    "file", "file/below", "dangling", "loop", "loop/x", "x" * 300, "/dev/null", "/dev/null/x", "/proc/self/x",
    "foreign", "pipe", "nul\0",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with everything that the odd places need."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "through").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def power_flow(out: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["dist", "pf", "case33bw", f"--out={out}"])
    return int(left.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("name", GOOD)
def test_odd_places_that_can_be(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice: written, and read back. The picture is a file like the others, and takes most of the time."""
    monkeypatch.setattr(pf_job, "pf_png", lambda *_: b"a picture")
    assert power_flow(name, capsys) == (0, "")
    assert (Path(name) / "run.json").is_file()
    assert power_flow(name, capsys) == (0, "")


@pytest.mark.parametrize("name", BAD)
def test_odd_places_that_cannot_be(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and no traceback, by both; nothing new anywhere."""
    before = sorted(place.rglob("*"))
    code, err = power_flow(name, capsys)
    assert code == 2
    assert "rror" in err
    assert "Traceback" not in err
    with pytest.raises(ValueError, match=r"--out folder|takes a folder|null byte"):
        play(Path(name))
    assert sorted(place.rglob("*")) == before
    assert (place / "file").read_text() == "mine"


def test_many_odd_places_for_a_run(place: Path) -> None:
    """What the runner itself writes, in some of them."""
    for name in ("with blank", "電力", "new\nline", "link", "parts"):
        assert play(Path(name)).computed == 2
        assert play(Path(name)).computed == 0
