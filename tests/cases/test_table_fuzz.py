"""Whatever a folder of tables holds, the reader makes a valid feeder of it or says what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid import cases
from distgrid.cases import CaseError, Feeder, Problem

TABLES = ("nodes", "branches", "loads", "capacitors", "regulators", "transformers", "switches", "sources")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cases.load("case33bw").save(tmp_path_factory.mktemp("fuzz") / "case33bw")


@st.composite
def damage(draw: st.DrawFn) -> tuple[str, str, float, float, int]:
    """Which table, what happens to it, where (shares of its length), and a byte."""
    return (
        draw(st.sampled_from(TABLES)),
        draw(st.sampled_from(["cut", "flip", "zero", "insert", "swap", "empty"])),
        draw(st.floats(0.0, 1.0)),
        draw(st.floats(0.0, 0.2)),
        draw(st.integers(0, 255)),
    )


def damaged(data: bytes, kind: str, at: float, length: float, byte: int) -> bytes:
    """``data`` with one piece cut off, changed, zeroed, doubled or moved."""
    start = int(at * len(data))
    end = start + max(1, int(length * len(data)))
    if kind == "cut":
        return data[:start]
    if kind == "flip":
        return data[:start] + bytes([byte]) + data[start + 1 :]
    if kind == "zero":
        return data[:start] + bytes(len(data[start:end])) + data[end:]
    if kind == "insert":
        return data[:start] + bytes([byte]) * (end - start) + data[start:]
    return data[end:] + data[:end] if kind == "swap" else b""


def check(folder: Path, change: tuple[str, str, float, float, int]) -> None:
    """The feeder as it was, another valid one, or a CaseError that names the file; never anything else."""
    table, *how = change
    broken = folder.parent / "broken"
    shutil.copytree(folder, broken, dirs_exist_ok=True)
    (path,) = (p for p in broken.iterdir() if p.stem == table)
    path.write_bytes(damaged(path.read_bytes(), *how))  # type: ignore[arg-type]
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        feeder = cases.load(broken)
    except CaseError as error:
        problems = error.problems
    if feeder is None:
        assert problems
        assert all(problem.file for problem in problems)
    else:
        assert feeder.describe()
        assert feeder.n_nodes > 0


@given(damage())
@settings(max_examples=200)
def test_damaged_tables(folder: Path, change: tuple[str, str, float, float, int]) -> None:
    """Issue 3: a clear CaseError or a valid feeder, never another exception."""
    check(folder, change)


@pytest.mark.slow
@given(damage())
@settings(max_examples=1500)
def test_many_damaged_tables(folder: Path, change: tuple[str, str, float, float, int]) -> None:
    check(folder, change)
