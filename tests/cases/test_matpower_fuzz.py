"""Whatever a file holds, the importer makes a valid feeder of it or says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from distgrid.baselines.cli.case import app
from distgrid.cases import CaseError, Feeder, Problem
from distgrid.cases.importers.matpower.importer import feeder_from_text

from .fuzzing import BYTE_DAMAGE, SCALE, check_input, damaged, no_hang

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
SEEDS = [(REFERENCE / f"{name}.m").read_text() for name in ("case4_dist", "case12da", "case18", "case141")]
SEEDS[-1] = "\n".join(SEEDS[-1].splitlines()[:12] + SEEDS[-1].splitlines()[-22:])  # its statements, few rows
SEEDS.append(
    """function mpc = phase
%PHASE  Per phase, with a block comment
%{
mpc.bus = [];
%}
mpc.version = '2';
mpc.baseMVA = 30/3;
mpc.bus = [ 1 3 0 0 0 0 1 1 0 135/sqrt(3) 1 1.1 0.9
 2 1 0.4 0.2 0 0 1 1 0 12/sqrt(3) 1 1.1 0.9; 3 1 .1, -.2 0 0 1 1 0 12/sqrt(3) 1 1.1 0.9];
mpc.gen = [1 0 0 10 -10 1.05 100 1 10 0];
mpc.branch = [
  1 2 0.003 0.006 0 0 0 0 1 30 1 -360 360;   % a transformer
  2 3 0.003 0.006 0 4 0 0 0 0 1 -360 ...
    360;
  3 2 0.003 0.006 0 4 0 0 0 0 0 -360 360;
];
mpc.bus(:, 3) = mpc.bus(:, 3) * 2;
"""
)
PIECES = [re.findall(r"[\w.]+|\s+|\S", text) for text in SEEDS]
SPICE = [
    "-", "0", "1e999", "NaN", "Inf", "[", "]", "(", ")", ";", ",", "'", "=", "...", "%", "%{\n", "mpc.", ":",
    "sqrt(", "/0", "^", "end", "\n", "\x00", "\u00e9", "3", "1", "mpc.bus", "system('ls')", "1e308", "2.5",
    "*", "%}\n", "\r\n", " ", "1 -2", "- 1", "/sqrt(3)", "1d3", "1;2;", "mpc.bus(:,2) = 3;", "\U0001f600",
    "mpc.bus = mpc.gen;", "mpc.gen = [];", "9" * 400, "\n" * 50, "[" * 50, "-" * 150, "\t",
]  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.integers(0, SCALE - 1),
        st.sampled_from(["replace", "insert", "delete", "double", "replace", "insert", "cut"]),
        st.sampled_from(SPICE),
    ),
    min_size=1,
    max_size=4,
)
CHANGE = st.tuples(st.sampled_from(range(len(SEEDS))), EDITS)
Change = tuple[int, list[tuple[int, str, str]]]


def mutated(change: Change) -> str:
    """A case file with a few edits: pieces deleted, doubled, replaced or spiced, or the rest cut off."""
    seed, edits = change
    pieces = list(PIECES[seed])
    for place, kind, spice in edits:
        at = place * len(pieces) // SCALE
        if kind == "cut":
            del pieces[at:]
        elif kind == "insert":
            pieces.insert(at, spice)
        elif kind == "double":
            pieces[at:at] = pieces[at : at + 1]
        else:
            pieces[at : at + 1] = [spice] if kind == "replace" else []
    return "".join(pieces)


def check(text: str) -> None:
    """A feeder that knows its nodes and can be analysed, or a CaseError that names the file."""
    feeder: Feeder | None = None
    problems: tuple[Problem, ...] = ()
    try:
        with no_hang():
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matpower")


@given(CHANGE)
@settings(max_examples=250)
def test_mutated_files(change: Change) -> None:
    """Capability 2: a feeder or a CaseError, never another exception."""
    check(mutated(change))


@pytest.mark.slow
@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@pytest.mark.slow
@given(change=CHANGE)
@settings(max_examples=800)
def test_many_mutated_files(folder: Path, change: Change) -> None:
    """Capability 2: read and written again, a whole folder or none."""
    path = folder / "mutant.m"
    path.write_bytes(mutated(change).encode())
    check_input(path, folder / "out")


@pytest.mark.slow
@given(seed=st.sampled_from(range(len(SEEDS))), damage=BYTE_DAMAGE)
@settings(max_examples=500)
def test_many_files_of_damaged_bytes(folder: Path, seed: int, damage: tuple[str, int, int, int]) -> None:
    """Capability 2: bytes that are no text in any encoding among them."""
    path = folder / "mutant.m"
    path.write_bytes(damaged(SEEDS[seed].encode(), *damage))
    check_input(path, folder / "out")


@pytest.mark.slow
@given(change=CHANGE)
@settings(max_examples=40)
def test_the_command_leaves_a_whole_folder_or_none(folder: Path, change: Change) -> None:
    """Capability 4: `distgrid case import FILE -o FOLDER`."""
    path, out = folder / "command.m", folder / "imported" / "feeder"
    path.write_bytes(mutated(change).encode())
    result = CliRunner().invoke(app, ["import", str(path), "-o", str(out)])
    assert result.exit_code in (0, 2), result.output
    assert out.exists() == (result.exit_code == 0)
    if out.exists():
        assert check_input(out, out.parent / "copy")
        for file in out.iterdir():
            file.unlink()
        out.rmdir()


@pytest.mark.parametrize("end", range(0, len(SEEDS[0]), 23))
def test_a_file_cut_off_anywhere(end: int) -> None:
    check(SEEDS[0][:end])
