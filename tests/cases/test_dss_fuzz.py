"""Whatever a script holds, the importer makes a valid feeder of it or says what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.importers.opendss.importer import feeder_from_text

from .scripts import EVERYTHING

SPICE = [
    "-", "0", "1e999", "NaN", "[", "]", "(", ")", "{", "'", '"', "|", "=", ".", ",", "~ ", "!", "//", "/*",
    "*/", "\n", "new ", "edit ", "open ", "like=", "line.a", "load.z", "transformer.sub", "bus1=", "n1.2",
    ".0", "kv=", ".1.2.3", "(1 0 /)", "(2 sqr)", "kron=y", "phases=2", "windings=3", "wdg=2", "%", "set ",
    "conn=delta", "switch=y", "enabled=no", "redirect x.dss", "model=8", "\x00", "\u00e9", "1e308", "1e-308",
    "1e29", "1e-29", "units=mi", "linecode=four",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The script with everything, with a few edits: pieces deleted, doubled, swapped, spiced, or moved."""
    text = EVERYTHING
    for _ in range(draw(st.integers(1, 4))):
        spans = [match.span() for match in re.finditer(r"[\w.%]+|\S|\n", text)] or [(0, 0)]
        start, end = draw(st.sampled_from(spans))
        piece = draw(st.sampled_from(SPICE))
        kind = draw(st.sampled_from(["replace", "insert", "delete", "double", "cut", "swap", "drop-line"]))
        if kind == "cut":
            text = text[:end]
        elif kind == "drop-line":
            lines = text.splitlines(keepends=True)
            del lines[text[:start].count("\n")]
            text = "".join(lines)
        elif kind == "swap":
            other = draw(st.sampled_from(spans))
            text = text[:start] + text[other[0] : other[1]] + text[end:]
        else:
            middle = {"replace": piece, "insert": text[start:end] + piece, "delete": ""}
            text = text[:start] + middle.get(kind, 2 * text[start:end]) + text[end:]
    return text


def check(text: str) -> None:
    """A feeder whose tables physics may rely on, or a CaseError that names the file."""
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        feeder = feeder_from_text(text, "mutant.dss")
    except CaseError as error:
        problems = error.problems
    if feeder is None:
        assert problems
        assert all(problem.file == "mutant.dss" for problem in problems), problems
        return
    assert feeder.phases == "per-phase"
    assert feeder.describe()
    assert len(feeder.topology().islands) >= 1
    for column in ("r_ohm", "x_ohm", "b_us"):
        matrix = feeder.column("branches", column)
        matrix = matrix[~np.isnan(matrix).any(axis=(1, 2))]
        assert np.abs(matrix - matrix.swapaxes(1, 2)).max(initial=0) <= 1e-9 * np.abs(matrix).max(initial=1)


@given(mutated())
@settings(max_examples=120)
def test_mutated_scripts(text: str) -> None:
    """Capability 2: a feeder or a CaseError, never another exception."""
    check(text)


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from([*SPICE, *EVERYTHING.split()]), max_size=60))
@settings(max_examples=60)
def test_any_words(words: list[str]) -> None:
    check("new circuit.x\n" + " ".join(words))


@pytest.mark.slow
@given(mutated())
@settings(max_examples=1500)
def test_many_mutated_scripts(text: str) -> None:
    check(text)


@pytest.mark.parametrize("end", range(0, len(EVERYTHING), 331))
def test_a_script_cut_off_anywhere(end: int) -> None:
    check(EVERYTHING[:end])
