"""A feeder saved over another: whatever stops it, all of the old one is there or all of the new one."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distgrid import cases
from distgrid.cases import CaseError
from distgrid.cases.storage import folder as tables
from distgrid.cases.storage import folder_exchange as exchange
from distgrid.cases.storage.folder import FILES
from distgrid.cases.storage.folder_exchange import put_in_place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """33bw as a folder."""
    return cases.load("case33bw").save(tmp_path / "feeder")


def the_feeder_in(folder: Path) -> str:
    """The name of the whole feeder that a folder holds."""
    feeder = cases.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert feeder.equals(cases.load(feeder.name))
    return feeder.name


class Faults:
    """Every call that changes names on the disk counts; the `at`-th fails, before or after it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
        self.error, self.at, self.after, self.calls = error, 0, False, 0
        for owner, name in (
            (Path, "rename"), (Path, "mkdir"), (tempfile, "mkdtemp"), (shutil, "rmtree"),
            (exchange, "exchange"), (tables, "write_table"), (tables, "sync"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != self.at:
                return really(*args, **options)
            if self.after:
                really(*args, **options)
            raise self.error

        return call

    def arm(self, at: int, after: bool) -> None:
        self.at, self.after, self.calls = at, after, 0


ERRORS = [KeyboardInterrupt, MemoryError, OSError]


@pytest.mark.quick(1)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("way", ["in one step", "by turns"])
def test_a_fault_at_any_step(
    way: str, error: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the two renames left neither; now each step may fail, before and after it is done."""
    if way == "by turns":
        monkeypatch.setattr(exchange, "_call", lambda: None)
    faults = Faults(monkeypatch, error)
    cases.load("case69").save(folder)
    names, steps = ["case33bw", "case69"], faults.calls
    assert steps > 20
    before = "case69"
    for at in range(1 + ERRORS.index(error), steps + 1, len(ERRORS)):  # each step by one of them
        for after in (False, True):
            wanted = names[names.index(before) - 1]
            faults.arm(at, after)
            try:
                cases.load(wanted).save(folder)
            except error:
                assert at <= steps
            faults.arm(0, False)
            before = the_feeder_in(folder)
            assert before in names
    cases.load("case33bw").save(folder)
    assert the_feeder_in(folder) == "case33bw"


def test_the_last_copy_is_never_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where folders cannot change places in one step, and putting the old one back fails as well."""
    monkeypatch.setattr(exchange, "_call", lambda: None)
    rename, calls = Path.rename, 0

    def once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(5, "Input/output error", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(OSError, match="Input/output error"):
        cases.load("case69").save(folder)
    monkeypatch.undo()
    (kept,) = folder.parent.glob(".feeder.*/old")
    assert the_feeder_in(kept) == "case33bw"


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2")
def test_linux_exchanges_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rename is called at all; a file system that cannot (EINVAL) gets the two renames."""
    one, other = tmp_path / "one", tmp_path / "other"
    for place in (one, other):
        place.mkdir()
        (place / "name").write_text(place.name)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", lambda *_: pytest.fail("a rename"))
        if not exchange.exchange(one, other):
            pytest.skip("this file system cannot")
    assert (one / "name").read_text() == "other"

    def cannot(*_: Any) -> int:
        ctypes.set_errno(22)
        return -1

    monkeypatch.setattr(exchange, "_call", lambda: cannot)
    put_in_place(one, other, tmp_path / "aside")
    assert (other / "name").read_text() == "other"
    assert (tmp_path / "aside" / "name").read_text() == "one"


_SAVES = """
import sys
from distgrid import cases
names, folder = ["case33bw", "case69"], sys.argv[1]
print("ready", flush=True)
while True:
    names.reverse()
    cases.load(names[0]).save(folder)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.slow
def test_killed_at_any_moment(folder: Path) -> None:
    """SIGKILL, at moments that spread over a save."""
    for number in range(4):
        process = subprocess.Popen([sys.executable, "-c", _SAVES, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            process.wait(0.05 + 0.021 * number)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        assert the_feeder_in(folder) in ("case33bw", "case69")


def test_readers_see_the_old_or_the_new_one(folder: Path) -> None:
    """There is no moment without a folder."""
    seen: set[bool] = set()
    over = threading.Event()

    def look() -> Iterator[bool]:
        while not over.is_set():
            yield os.path.exists(folder / "nodes.parquet")  # noqa: PTH110 - the quickest look there is

    watcher = threading.Thread(target=lambda: seen.update(look()))
    watcher.start()
    for name in ("case69", "case33bw", "case69"):
        cases.load(name).save(folder)
    over.set()
    watcher.join()
    if exchange._call() is not None:
        assert seen == {True}
    assert [path.name for path in folder.parent.iterdir()] == ["feeder"]


def test_a_link_to_a_folder_stays_one(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert cases.load("case69").save(link) == link
    assert link.is_symlink()
    assert the_feeder_in(folder) == "case69"


def test_folders_and_strangers_inside_are_not_replaced(folder: Path) -> None:
    """A folder with the name of a table is nobody's feeder."""
    (folder / "nodes.parquet").unlink()
    (folder / "nodes.parquet").mkdir()
    (folder / "nodes.parquet" / "thesis").write_text("mine")
    with pytest.raises(CaseError, match=r"nodes\.parquet: expected a new or empty folder"):
        cases.load("case69").save(folder)
    assert (folder / "nodes.parquet" / "thesis").read_text() == "mine"
