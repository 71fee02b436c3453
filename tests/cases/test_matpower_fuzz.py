"""Whatever a file holds, the importer makes a valid feeder of it or says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.matpower import feeder_from_text

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
SEEDS = [(REFERENCE / f"{name}.m").read_text() for name in ("case4_dist", "case12da", "case18", "case141")]
SEEDS[-1] = "\n".join(SEEDS[-1].splitlines()[:12] + SEEDS[-1].splitlines()[-22:])  # its statements, few rows
SPICE = [
    "-", "0", "1e999", "NaN", "Inf", "[", "]", "(", ")", ";", ",", "'", "=", "...", "%", "%{\n", "mpc.", ":",
    "sqrt(", "/0", "^", "end", "\n", "\x00", "\u00e9", "3", "1", "mpc.bus", "system('ls')", "1e308", "2.5",
    "*",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A case file with a few edits: pieces deleted, doubled, swapped, or spiced."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        spans = [match.span() for match in re.finditer(r"[\w.]+|\S|\n", text)] or [(0, 0)]
        start, end = draw(st.sampled_from(spans))
        piece = draw(st.sampled_from(SPICE))
        kind = draw(st.sampled_from(["replace", "insert", "delete", "double", "cut"]))
        if kind == "cut":
            text = text[:end]
        else:
            middle = {"replace": piece, "insert": text[start:end] + piece, "delete": ""}
            text = text[:start] + middle.get(kind, 2 * text[start:end]) + text[end:]
    return text


def check(text: str) -> None:
    """A feeder that knows its nodes and can be analysed, or a CaseError that names the file."""
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        feeder = feeder_from_text(text, "mutant.m", "mutant")
    except CaseError as error:
        problems = error.problems
    if feeder is None:
        assert problems
        assert all(problem.file == "mutant.m" for problem in problems), problems
    else:
        assert feeder.describe()
        assert len(feeder.topology().islands) >= 1
        assert abs(feeder.column("nodes", "load_p_mw").sum() - feeder.column("loads", "p_mw").sum()) < 1e-6


@given(mutated())
@settings(max_examples=250)
def test_mutated_files(text: str) -> None:
    """Capability 2: a feeder or a CaseError, never another exception."""
    check(text)


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@pytest.mark.slow
@given(mutated())
@settings(max_examples=1500)
def test_many_mutated_files(text: str) -> None:
    check(text)


@pytest.mark.parametrize("end", range(0, len(SEEDS[0]), 23))
def test_a_file_cut_off_anywhere(end: int) -> None:
    check(SEEDS[0][:end])
