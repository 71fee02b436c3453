"""Whatever a script holds, the importer makes a valid feeder of it or says what is wrong, and lives on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distgrid.cases import CaseError, Feeder, Problem, import_dss

pytest.importorskip("dss")
from .dss_engine import read_path
from .scripts import EVERYTHING

SPICE = [
    "-", "0", "1e999", "NaN", "[", "]", "(", ")", "{", "'", '"', "|", "=", ".", ",", "~ ", "!", "//", "/*",
    "*/", "\n", "new ", "edit ", "open ", "like=", "line.a", "load.z", "transformer.sub", "bus1=", "n1.2",
    ".0", "kv=", ".1.2.3", "(1 0 /)", "(2 sqr)", "kron=y", "phases=2", "windings=3", "wdg=2", "%", "set ",
    "conn=delta", "switch=y", "enabled=no", "redirect x.dss", "model=8", "\x00", "\u00e9", "1e308", "1e-308",
    "1e29", "1e-29", "units=mi", "linecode=four",
]  # fmt: skip


def mutated(seed: int) -> str:
    """The script with everything, with a few edits: pieces deleted, doubled, swapped, spiced, or moved."""
    draw, text = random.Random(seed), EVERYTHING
    for _ in range(draw.randint(1, 4)):
        spans = [match.span() for match in re.finditer(r"[\w.%]+|\S|\n", text)] or [(0, 0)]
        (start, end), other = draw.choice(spans), draw.choice(spans)
        piece = draw.choice(SPICE)
        kind = draw.choice(["replace", "insert", "delete", "double", "cut", "swap", "drop"])
        if kind == "cut":
            text = text[: max(end, len(text) // 2)]
        elif kind == "drop":
            lines = text.splitlines(keepends=True)
            del lines[text[:start].count("\n")]
            text = "".join(lines)
        elif kind == "swap":
            text = text[:start] + text[other[0] : other[1]] + text[end:]
        else:
            middle = {"replace": piece, "insert": text[start:end] + piece, "delete": ""}
            text = text[:start] + middle.get(kind, 2 * text[start:end]) + text[end:]
    return text


def check(text: str, folder: Path, read: Callable[[Path], Feeder]) -> None:
    """A feeder whose tables physics may rely on, or a CaseError that names a file."""
    path = folder / "mutant.dss"
    path.write_text(text, encoding="utf-8")
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        feeder = read(path)
    except CaseError as error:
        problems = error.problems
    if feeder is None:
        assert problems
        assert all(problem.file for problem in problems)
        return
    assert feeder.phases == "per-phase"
    assert feeder.describe()
    assert len(feeder.topology().islands) >= 1
    for column in ("r_ohm", "x_ohm", "b_us"):
        matrix = feeder.column("branches", column)
        matrix = matrix[~np.isnan(matrix).any(axis=(1, 2))]
        assert np.abs(matrix - matrix.swapaxes(1, 2)).max(initial=0) <= 1e-9 * np.abs(matrix).max(initial=1)


def by_fork(path: Path) -> Feeder:
    """What `import_dss` makes of a script: the same reader behind another way to start an engine."""
    return read_path(path)[0]


@pytest.mark.parametrize("seed", range(6))
def test_mutated_scripts(seed: int, tmp_path: Path) -> None:
    """Row 2: a feeder or a CaseError, never another exception, never the end of this process."""
    check(mutated(seed), tmp_path, import_dss)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 150))
def test_many_mutated_scripts(seed: int, tmp_path: Path) -> None:
    """The same, many more of them, by forks in place of fresh processes."""
    check(mutated(seed), tmp_path, by_fork)


@pytest.mark.slow
@pytest.mark.parametrize("end", range(0, len(EVERYTHING), 331))
def test_a_script_cut_off_anywhere(end: int, tmp_path: Path) -> None:
    """The half of a script is a circuit, or says what it lacks."""
    check(EVERYTHING[:end], tmp_path, by_fork)
