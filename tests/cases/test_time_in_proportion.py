"""Time and memory in proportion to the file, whatever it holds; refused at stated sizes before that.

Every text here is a megabyte or two. Time is that of the process, compared with reading a real feeder of the
same size, which takes about half a second a megabyte; what is quadratic takes minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distgrid import cases
from distgrid.cases import CaseError
from distgrid.cases.importers.matpower import lexer as mlex
from distgrid.cases.importers.matpower.importer import feeder_from_text
from distgrid.cases.importers.opendss.engine.script import MAX_LINE, MAX_LINES
from distgrid.cases.profiles.splits import read_days
from distgrid.cases.storage.parquet_reader import MAX_FILE_BYTES, read_parquet
from distgrid.cases.storage.regular_files import read_regular

from .fuzzing import no_hang
from .memory import peak_of

SIZE = 1_000_000  # bytes of each text
SECONDS = 15.0  # the slowest takes five on a machine with nothing else to do
HEAD = "function mpc = x\nmpc.version = '2';\nmpc.baseMVA = 10;\n"
BUS = "1 3 0 0 0 0 1 1 0 12.66 1 1.1 0.9"


def of(text: str, share: float = 1.0) -> str:
    return text * int(share * SIZE / len(text.encode()))


def table(text: str) -> str:
    return HEAD + f"mpc.bus = [{text}];\n"


ROWS = f"mpc.bus = [{of(BUS + chr(10), 0.5)}];\n"

TEXTS = {
    "numbers in one line": table(of("1 2.5 3 ")),
    "rows in one line": table(of(BUS + ";")),
    "columns in one line": table(of("1;")),
    "one number": table(of("9")),
    "newlines": of("\n"),
    "newlines in a matrix": table(of("\n")),
    "semicolons": of(";"),
    "semicolons in a matrix": table(of(";")),
    "semicolons in lines": table(of(";" * 5000 + "\n")),
    "commas": table(of(",")),
    "blanks": table(of(" ")),
    "blanks in lines": table(of(" " * 4000 + "x\n")),
    "one string": HEAD + f"mpc.version = '{of('x')}';",
    "quotes in a string": HEAD + f"mpc.version = '{of(chr(39) * 2)}';",
    "a string that does not end": HEAD + f"mpc.version = '{of(chr(39) * 2)}",
    "other quotes": HEAD + f'mpc.version = "{of("x")}";',
    "cells": HEAD + f"mpc.bus_name = {{{of(chr(39) * 2 + ';')}}};",
    "rows of cells": HEAD + f"mpc.bus_name = {{{of(chr(39) * 2 + chr(10))}}};",
    "rows of empty cells": HEAD + f"mpc.bus_name = {{{of(';' + chr(10))}}};",
    "cells of numbers": HEAD + f"mpc.bus_name = {{{of('1e5 ')}}};",
    "expressions": table(of("1+1 ", 0.3)),
    "differences": table(of("1 - 1 ", 0.3)),
    "names": table(of("pi ", 0.3)),
    "infinite": table(of("Inf 1 2 3 4 5 6 7 8 9 10 11 12\n")),
    "infinite in one line": table(of("Inf 1 2 3 4 5 6 7 8 9 10 11 12;")),
    "brackets": table(of("(1) ", 0.3)),
    "open brackets": HEAD + "mpc.bus = " + of("["),
    "signs": HEAD + "mpc.baseMVA = " + of("-") + "1;",
    "dots": table(of("...")),
    "continued": table(of("1 ...\n", 0.3)),
    "comment": of("%"),
    "comments": of("%\n", 0.5),
    "block comments": of("%{\n%}\n", 0.5),
    "block comment": "%{\n" + of("mpc.bus = 1;\n") + "%}\n",
    "title": "%A " + of("é"),
    "name": of("a") + " = 1;",
    "function": "function mpc = " + of("a"),
    "variables": of("a=1;", 0.3),
    "elements": HEAD + ROWS + of("mpc.bus(1, 1) = 5;\n", 0.3),
    "columns": HEAD + ROWS + of("mpc.bus(:, 1) = mpc.bus(:, 2);\n", 0.3),
    "matrices": HEAD + ROWS + of("mpc.bus = mpc.bus * 2;\n", 0.3),
    "copies": HEAD + ROWS + of("mpc.gen = mpc.bus; mpc.bus(1, 1) = 5;\n", 0.3),
    "sources": HEAD + f"mpc.bus = [{of(BUS + chr(10), 0.5)}];\n"
    f"mpc.gen = [{of('1 0 0 10 -10 1 100 1 10 0' + chr(10), 0.5)}];\nmpc.branch = [];",
}  # fmt: skip


def check(read: Callable[[str, str], object], text: str) -> None:
    """Refused in a few words, in time and memory that belong to its size."""
    start = time.process_time()
    with no_hang(120.0), pytest.raises(CaseError) as caught:
        read(text, "made")
    assert time.process_time() - start < SECONDS
    assert len(str(caught.value)) < 20_000


@pytest.mark.quick(3)
@pytest.mark.parametrize("name", list(TEXTS))
def test_texts_of_matpower(name: str) -> None:
    """A line, a string, cells, semicolons without end, and what stands in for them."""
    check(lambda text, file: feeder_from_text(text, file, "made"), TEXTS[name])


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "name",
    ["numbers in one line", "semicolons in a matrix", "one string", "quotes in a string", "cells", "title"],
)
def test_memory_within_ten_times_the_file(name: str, tmp_path: Path) -> None:
    """A string of 50 MB took 5.6 GB."""
    path = tmp_path / "made.m"
    path.write_text(TEXTS[name])

    def read() -> None:
        with pytest.raises(CaseError):
            cases.load(path)

    assert peak_of(read).total < 10 * path.stat().st_size


def test_one_word_of_a_script_takes_no_more(tmp_path: Path) -> None:
    """The engine of regular expressions took 120 bytes for each character, unseen by tracemalloc."""
    import resource

    path = tmp_path / "made.dss"
    path.write_text("a" * 16_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CaseError):
        cases.load(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 10 * 16_000_000


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n" * (mlex.MAX_LINES + 1), f"a file of at most {mlex.MAX_LINES} lines"),
        (table("1+1 " * (mlex.MAX_TOKENS // 20)), f"at most {mlex.MAX_TOKENS // 10} words besides rows"),
    ],
    ids=["lines", "words"],
)
def test_stated_sizes_of_case_files(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "words" in expected:
        monkeypatch.setattr(mlex, "MAX_TOKENS", mlex.MAX_TOKENS // 10)
    with pytest.raises(CaseError, match=expected):
        feeder_from_text(text, "made.m", "made")


def test_stated_sizes_of_scripts(tmp_path: Path) -> None:
    pytest.importorskip("dss")
    for text, expected in (
        ("a " * (MAX_LINE // 2 + 1), f"at most {MAX_LINE} characters in a line"),
        ("\n" * (MAX_LINES + 1), f"at most {MAX_LINES} lines"),
    ):
        (tmp_path / "made.dss").write_text(text)
        with pytest.raises(CaseError, match=expected):
            cases.load(tmp_path / "made.dss")


@pytest.mark.parametrize("suffix", ["m", "dss"])
def test_files_larger_than_is_read_are_refused_unread(suffix: str, tmp_path: Path) -> None:
    """With holes: a terabyte on paper."""
    path = tmp_path / f"made.{suffix}"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CaseError, match=r"a readable file \((larger than the 67108864 bytes|too large)"):
        cases.load(path)


def test_tables_larger_than_is_read_are_refused_unread(tmp_path: Path) -> None:
    folder = cases.load("case33bw").save(tmp_path / "f")
    with (folder / "nodes.parquet").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(CaseError, match=rf"nodes\.parquet.*larger than the {MAX_FILE_BYTES} bytes"):
        cases.load(folder)


@pytest.mark.timeout(60)
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    """By every reader of files: a pipe without a writer, an endless device."""
    folder = cases.load("case33bw").save(tmp_path / "f")
    pipe, zero = tmp_path / "pipe.m", tmp_path / "zero.m"
    os.mkfifo(pipe)
    zero.symlink_to("/dev/zero")
    for path in (pipe, zero):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path, 100)
        with pytest.raises(OSError, match="not a regular file"):
            read_parquet(path)
        for read in (cases.load, cases.import_matpower, cases.import_dss, read_days):
            with pytest.raises(CaseError):
                read(path)
        (folder / "loads.parquet").unlink()
        (folder / "loads.parquet").symlink_to(path)
        with pytest.raises(CaseError, match=r"loads\.parquet"):
            cases.load(folder)


def test_a_file_that_says_it_is_empty_is_read_no_further_than_allowed() -> None:
    """Those of /proc have no size."""
    path = Path("/proc/self/maps")
    if path.exists():
        with pytest.raises(OSError, match="larger than the 100 bytes"):
            read_regular(path, 100)


PLAIN = [
    "1 2 3", "1,2,3", "1;2;3", "1 -2 3", "1 - 2 3", "1 -2*3 4", "1 2 *3", "1 2* 3", "1 2 ^2", "1+2 3",
    "-1 -2", "1\n\n\n2", "\n\n1 2\n\n", "1 2\n;\n3 4",
    "+1 - 2", "1 2;3 4", "1, -2; 3, - 4", "1 2 ...\n 3", "1 2 % 3\n 4 5", "1 2 3\n 4 5 6", "1e3 2E-3 .5 5.",
    "1d3 2", "1 Inf -Inf", "Inf 1 2 -3", "(1) 2 3", "pi 2 - 1", "1 pi 2 3", "1 2;;3 4", ";1 2;", ",1,,2,",
    "1 -pi", "1 - pi", "2 pi -1", "[1 2] 3", "1\t2\t-3", "--1 2", "1 --2",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_plain_runs_mean_what_their_words_mean(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are read at once equal those read word by word, or are refused alike."""
    from distgrid.cases.importers.matpower.evaluator import read_case

    def value(row: str) -> object:
        try:
            matrix = read_case(f"mpc.gen = [{row}];", "made").fields["gen"]
        except CaseError as error:
            return str(error)
        return matrix.tolist()  # type: ignore[union-attr]

    quick = value(text)
    for longest in (1, 2, 3, 5, 8):
        monkeypatch.setattr(mlex, "_LONGEST_RUN", longest)
        assert value(text) == quick
    monkeypatch.setattr(mlex.Lexer, "plain_run", lambda _: None)
    monkeypatch.setattr(mlex.Lexer, "plain_row", lambda _: None)
    assert value(text) == quick
