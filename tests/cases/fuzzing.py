"""What the fuzzers share: damage, a limit on the time of one file, and the rule for folders."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pyarrow as pa
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.storage.folder import FILES

SECONDS = 20.0  # of one file; the slowest takes a tenth of one
SCALE = 2**16  # positions are drawn as shares of the length, in these units


class HangError(BaseException):
    """A file took too long; not an Exception, so that nothing in the package can swallow it."""


@contextmanager
def no_hang(seconds: float = SECONDS) -> Iterator[None]:
    """Stop what does not end; where there are no timers, the limit of the whole test has to do."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise HangError(f"a file took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


BYTE_DAMAGE = st.tuples(
    st.sampled_from(["cut", "flip", "flip", "flip", "zero", "insert", "swap", "empty"]),
    st.integers(0, SCALE - 1),
    st.integers(0, SCALE // 5),
    st.integers(0, 255),
)


def damaged(data: bytes, kind: str, at: int, length: int, byte: int) -> bytes:
    """``data`` with one piece cut off, changed, zeroed, doubled or moved; places are shares of its length."""
    start = at * len(data) // SCALE
    end = start + max(1, length * len(data) // SCALE)
    if kind == "cut":
        return data[:start]
    if kind == "flip":
        return data[:start] + bytes([byte]) + data[start + 1 :]
    if kind == "zero":
        return data[:start] + bytes(len(data[start:end])) + data[end:]
    if kind == "insert":
        return data[:start] + bytes([byte]) * (end - start) + data[start:]
    return data[end:] + data[:end] if kind == "swap" else b""


_PASSED: dict[bytes, bool] = {}  # what inputs that passed were, by content: many edits make the same file
_KEPT: set[bytes] = set()  # feeders that were written and read again: many files hold the same one


def _content(path: Path) -> bytes:
    """A digest of the name and the bytes of a file, or of those of every file of a folder."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        data = file.read_bytes()
        digest.update(f"{file.name}\0{len(data)}\0".encode() + data)
    return digest.digest()


def _written(feeder: Feeder) -> bytes:
    """A digest of all that a feeder holds: its tables byte for byte, and its other fields."""
    digest = hashlib.sha256()
    for field in dataclasses.fields(feeder):
        value = getattr(feeder, field.name)
        if isinstance(value, pa.Table):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, value.schema) as stream:
                stream.write_table(value)
            digest.update(sink.getvalue())
        else:
            digest.update(repr(value).encode("utf-8", "surrogatepass"))
    return digest.digest()


def check_input(path: Path, out: Path) -> bool:
    """Read `path`, write it to `out`: a whole feeder there, or a CaseError and nothing. Returns which.

    What has passed once is not tried again: the answer depends on the bytes alone.
    """
    content = _content(path)
    if content not in _PASSED:
        _PASSED[content] = _checked(path, out)
    return _PASSED[content]


def _checked(path: Path, out: Path) -> bool:
    beside = sorted(out.parent.iterdir())
    assert out not in beside
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        with no_hang():
            feeder = cases.load(path)
    except CaseError as error:
        problems = error.problems
    if feeder is None:
        assert problems
        assert all(problem.file for problem in problems)
        assert sorted(out.parent.iterdir()) == beside
        return False
    content = _written(feeder)
    if content not in _KEPT:
        _check_written(feeder, out)
        _KEPT.add(content)
    assert sorted(out.parent.iterdir()) == beside
    return True


def _check_written(feeder: Feeder, out: Path) -> None:
    """A feeder is written to `out`, read again from there and can be analysed; `out` is removed again."""
    with no_hang():
        feeder.save(out)
    assert sorted(file.name for file in out.iterdir()) == sorted(FILES)
    again = cases.load(out)
    assert again.equals(feeder)
    assert again.describe()
    assert again.n_nodes > 0
    assert len(again.topology().islands) >= 1
    for file in out.iterdir():
        file.unlink()
    out.rmdir()
