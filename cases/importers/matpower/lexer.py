"""Tokens of MATPOWER case files, lexed line by line as they are asked for.

Case files are MATLAB programs. They are read here by a parser that knows the few statements such files use
and that runs nothing: see `mparse` for the grammar and `meval` for what a statement may do. Nearly all of a
file are rows of plain numbers, which `Lexer.plain_row` and `Lexer.plain_run` hand over without a token for
each. Whatever a file holds, the time that it takes is in proportion to its size: words one by one cost some
ten times as much as plain numbers, so there may only be so many of them.
"""

from __future__ import annotations

import io
import re
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from ...errors import CaseError, Problem

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+)
      | (?P<continue>\.\.\.[^\n]*\n)
      | (?P<comment>[%\#][^\n]*+)
      | (?P<newline>\n)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>'[^'\n]*+(?:''[^'\n]*+)*+'|"[^"\n]*+")
      | (?P<op>\.\*|\./|\.\^|[-+*/^=()\[\]{},;:.])""",
    re.VERBOSE | re.ASCII,
)
_BLOCK = r"^[ \t]*+[%#]([{}])[ \t]*+\r?$"  # the first or the last line of a block comment
_BLOCK_TEXT, _BLOCK_BYTES = re.compile(_BLOCK, re.MULTILINE), re.compile(_BLOCK.encode(), re.MULTILINE)
# Of these characters `float` reads just what _TOKEN calls a number with at most one sign before it.
_PLAIN_ROW = re.compile(r"([-+0-9.eE \t,]*+);?[ \t]*+(?:[%#][^\n]*+)?\n")
_PLAIN_RUN = re.compile(r"[-+0-9.eE \t,;]*+")
_SEMICOLONS = re.compile(r";[ \t,;]*+")
_LONGEST_PLAIN_ROW, _LONGEST_RUN = 4096, 512  # characters: what is split at once
_NOTHING = re.compile(r"[ \t\r\f\v,;]*+")
_CELLS = re.compile(
    r"""(?:[ \t\r\f\v,;]++|'[^'\n]*+'|"[^"\n]*+"|(?:\d++\.?\d*+|\.\d++)(?:[eEdD][-+]?\d++)?+)*+""", re.ASCII
)

# Beyond these a file is refused; real ones of the largest size have a tenth of them.
MAX_BYTES = 2**26
MAX_LINES = 2_000_000
MAX_TOKENS = 3_000_000  # besides plain numbers
_SHOWN = 60  # characters of a word in an error


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind "number", "name", "string", "op", "newline" or "end"."""

    kind: str
    text: str
    line: int
    spaced: bool  # white space before it, which separates the elements of a matrix


def refuse(file: str, line: int, what: str, expected: str) -> NoReturn:
    """Stop at a line that a case file may not hold."""
    what = what if len(what) <= _SHOWN else what[:_SHOWN] + "..."
    raise CaseError([Problem(file, line, "", what, expected)])


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of a case file; iterate over it for its lines, which are decoded one at a time."""

    data: str | bytes
    encoding: str = "utf-8"

    def __iter__(self) -> Iterator[str]:
        if isinstance(self.data, bytes):
            for line in io.BytesIO(self.data):  # shares the bytes
                yield (line[:-2] + b"\n" if line.endswith(b"\r\n") else line).decode(self.encoding)
            return
        start = 0
        while start < len(self.data):
            end = self.data.find("\n", start) + 1 or len(self.data)
            text = self.data[start:end]
            yield text[:-2] + "\n" if text.endswith("\r\n") else text
            start = end

    @property
    def n_lines(self) -> int:
        """Number of line ends."""
        return self.data.count(b"\n" if isinstance(self.data, bytes) else "\n")  # type: ignore[arg-type]

    def marks(self) -> Iterator[tuple[int, bool]]:
        """Number of each line that may begin or end a block comment, and whether it may begin one."""
        number, counted = 1, 0
        if isinstance(self.data, bytes):
            for match in _BLOCK_BYTES.finditer(self.data):
                number += self.data.count(b"\n", counted, match.start())
                counted = match.start()
                yield number, match[1] == b"{"
        else:
            for found in _BLOCK_TEXT.finditer(self.data):
                number += self.data.count("\n", counted, found.start())
                counted = found.start()
                yield number, found[1] == "{"


def _block_comments(source: SourceText) -> array[int]:
    """First and last line of each block comment, in turns; one that never closes is none."""
    found = array("q")
    for number, begins in source.marks():
        if begins == (len(found) % 2 == 0):
            found.append(number)
    return found[: len(found) // 2 * 2]


class Lexer:
    """The tokens of a text, ending with one of kind "end" that is never used up.

    Attributes:
        line: number of the line that was read last.
    """

    def __init__(self, source: SourceText, file: str) -> None:
        self.file, self.line = file, 0
        if source.n_lines > MAX_LINES:
            refuse(file, MAX_LINES, f"{source.n_lines} lines", f"a file of at most {MAX_LINES} lines")
        self._lines = iter(source)
        self._blocks = _block_comments(source)
        self._block = 0
        self._text, self._at = "", 0
        self._spaced = False
        self._tokens = self._begun = 0
        self._tried = 0  # up to here the line is no plain run
        self._ahead: deque[Token] = deque()
        self._starts: deque[int] = deque()  # where in the line each of them begins

    def peek(self, ahead: int = 0) -> Token:
        """The next token, or the one after it.

        Raises:
            CaseError: a character that no case file needs.
        """
        if ahead < len(self._ahead):
            return self._ahead[ahead]
        while len(self._ahead) <= ahead:
            self._ahead.append(self._lex())
            self._starts.append(self._begun)
        return self._ahead[ahead]

    def step(self) -> Token:
        """The next token, used up."""
        token = self.peek()
        if token.kind != "end":
            self._ahead.popleft()
            self._starts.popleft()
        return token

    def plain_row(self) -> list[float] | None:
        """The next line, used up, if a new line begins here that holds nothing but numbers (or nothing)."""
        if self._ahead or self._at < len(self._text) or not self._next_line():
            return None
        while self._text == "\n" and self._next_line():
            pass
        row = _PLAIN_ROW.fullmatch(self._text) if len(self._text) <= _LONGEST_PLAIN_ROW else None
        if row is None:
            return None
        try:
            numbers = [float(text) for text in row.group(1).replace(",", " ").split()]
        except ValueError:  # arithmetic without brackets or names, such as 1-2
            return None
        self._at = len(self._text)
        return numbers

    def plain_run(self) -> list[list[float]] | None:
        """Numbers within a line of a matrix, used up; semicolons between them begin a new list.

        None where no plain numbers follow. The last number before anything else is not among them, as it may
        be the left side of an operator.
        """
        start = self._starts[0] if self._ahead else self._at
        if start >= len(self._text) or start < self._tried:
            return None
        if self._ahead:  # what was looked at behind the element before may be the first of many
            if self._ahead[0].line != self.line or self._ahead[0].kind not in ("number", "op"):
                return None
            self._at, self._spaced = start, self._ahead[0].spaced
            self._tokens -= len(self._ahead)
            self._ahead.clear()
            self._starts.clear()
        found = _PLAIN_RUN.match(self._text, start, start + _LONGEST_RUN)
        run = found[0] if found else ""
        numbers = run.rstrip(" \t,")
        cut = 1 + max(map(numbers.rfind, " \t,;"))  # where the last number begins
        last, used = numbers[cut:], run[:cut] if numbers[cut:] else run
        try:
            if last:
                float(last)
            rows = [
                [float(text) for text in row.replace(",", " ").split()] for row in _SEMICOLONS.split(used)
            ]
        except ValueError:
            used = ""
        if not used:
            self._tried = start + len(run)
            return None
        self._at, self._spaced = start + len(used), used[-1] in " \t"
        return rows

    def skip_nothing(self) -> None:
        """Pass over blanks, commas, semicolons and the ends of lines."""
        self._skip(_NOTHING)

    def skip_cells(self) -> None:
        """Pass over texts and numbers, and what stands between them."""
        self._skip(_CELLS)

    def _skip(self, what: re.Pattern[str]) -> None:
        while not self._ahead:
            found = what.match(self._text, self._at)
            if found is not None and found.end() > self._at:
                self._at, self._spaced = found.end(), True
            if self._at < len(self._text) and self._text[self._at] != "\n":
                return
            self._at = len(self._text)
            if not self._next_line():
                return
            self._spaced = True

    def _next_line(self) -> bool:
        text = next(self._lines, "")
        if not text:
            return False
        self.line, self._at, self._tried = self.line + 1, 0, 0
        while self._block < len(self._blocks) and self._blocks[self._block + 1] < self.line:
            self._block += 2
        if self._block < len(self._blocks) and self._blocks[self._block] <= self.line:
            text = "\n" if text.endswith("\n") else ""
        self._text = text
        return True

    def _lex(self) -> Token:
        while True:
            if self._at >= len(self._text) and not self._next_line():
                return Token("end", "", max(1, self.line + self._text.endswith("\n")), False)
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                if self._at >= len(self._text):  # the last line of a block comment that ends the file
                    continue
                what = repr(self._text[self._at])
                refuse(self.file, self.line, what, "MATPOWER case data (this character has no place in it)")
            kind, self._begun, self._at = str(match.lastgroup), match.start(), match.end()
            if kind in ("space", "continue"):
                self._spaced = True
            elif kind != "comment":
                spaced, self._spaced = self._spaced, False
                self._tokens += 1
                if self._tokens > MAX_TOKENS:
                    refuse(self.file, self.line, "", f"at most {MAX_TOKENS} words besides rows of numbers")
                return Token(kind, match.group(), self.line, spaced)
