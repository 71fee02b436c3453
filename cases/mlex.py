"""Tokens of MATPOWER case files, lexed line by line as they are asked for.

Case files are MATLAB programs. They are read here by a parser that knows the few statements such files use
and that runs nothing: see `mparse` for the grammar and `meval` for what a statement may do. Nearly all of a
file are rows of plain numbers, which `Lexer.plain_row` hands over without a token for each.
"""

from __future__ import annotations

import io
import re
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from .errors import CaseError, Problem

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+)
      | (?P<continue>\.\.\.[^\n]*\n)
      | (?P<comment>[%\#][^\n]*)
      | (?P<newline>\n)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>'(?:[^'\n]|'')*'|"[^"\n]*")
      | (?P<op>\.\*|\./|\.\^|[-+*/^=()\[\]{},;:.])""",
    re.VERBOSE | re.ASCII,
)
_OPENS = re.compile(r"[ \t]*[%#]\{[ \t]*\r?\n?")
_CLOSES = re.compile(r"[ \t]*[%#]\}[ \t]*\r?\n?")
# Of these characters `float` reads just what _TOKEN calls a number with at most one sign before it.
_PLAIN_ROW = re.compile(r"([-+0-9.eE \t,]*);?[ \t]*(?:[%#][^\n]*)?\n")
_LONGEST_PLAIN_ROW = 4096  # characters: what is split at once; a longer line goes token by token


@dataclass(frozen=True, slots=True)
class Token:
    """One token: kind "number", "name", "string", "op", "newline" or "end"."""

    kind: str
    text: str
    line: int
    spaced: bool  # white space before it, which separates the elements of a matrix


def refuse(file: str, line: int, what: str, expected: str) -> NoReturn:
    """Stop at a line that a case file may not hold."""
    raise CaseError([Problem(file, line, "", what, expected)])


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a case file; iterate over it for its lines, which are decoded one at a time."""

    data: str | bytes
    encoding: str = "utf-8"

    def __iter__(self) -> Iterator[str]:
        if isinstance(self.data, bytes):
            for line in io.BytesIO(self.data):  # shares the bytes
                yield line.decode(self.encoding)
            return
        start = 0
        while start < len(self.data):
            end = self.data.find("\n", start) + 1 or len(self.data)
            yield self.data[start:end]
            start = end


def _block_comments(source: Source) -> array[int]:
    """First and last line of each block comment, in turns; one that never closes is none."""
    found = array("q")
    for number, line in enumerate(source, 1):
        if (_CLOSES if len(found) % 2 else _OPENS).fullmatch(line):
            found.append(number)
    return found[: len(found) // 2 * 2]


class Lexer:
    """The tokens of a text, ending with one of kind "end" that is never used up.

    Attributes:
        line: number of the line that was read last.
    """

    def __init__(self, source: Source, file: str) -> None:
        self.file, self.line = file, 0
        self._lines = iter(source)
        self._blocks = _block_comments(source)
        self._block = 0
        self._text, self._at = "", 0
        self._spaced = False
        self._ahead: deque[Token] = deque()

    def peek(self, ahead: int = 0) -> Token:
        """The next token, or the one after it.

        Raises:
            CaseError: a character that no case file needs.
        """
        while len(self._ahead) <= ahead:
            self._ahead.append(self._lex())
        return self._ahead[ahead]

    def step(self) -> Token:
        """The next token, used up."""
        token = self.peek()
        if token.kind != "end":
            self._ahead.popleft()
        return token

    def plain_row(self) -> list[float] | None:
        """The next line, used up, if a new line begins here that holds nothing but numbers (or nothing)."""
        if self._ahead or self._at < len(self._text) or not self._next_line():
            return None
        row = _PLAIN_ROW.fullmatch(self._text) if len(self._text) <= _LONGEST_PLAIN_ROW else None
        if row is None:
            return None
        try:
            numbers = [float(text) for text in row.group(1).replace(",", " ").split()]
        except ValueError:  # arithmetic without brackets or names, such as 1-2
            return None
        self._at = len(self._text)
        return numbers

    def _next_line(self) -> bool:
        text = next(self._lines, "")
        if not text:
            return False
        self.line, self._at = self.line + 1, 0
        while self._block < len(self._blocks) and self._blocks[self._block + 1] < self.line:
            self._block += 2
        if self._block < len(self._blocks) and self._blocks[self._block] <= self.line:
            text = "\n" if text.endswith("\n") else ""
        self._text = text[:-2] + "\n" if text.endswith("\r\n") else text
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
            kind, self._at = str(match.lastgroup), match.end()
            if kind in ("space", "continue"):
                self._spaced = True
            elif kind != "comment":
                spaced, self._spaced = self._spaced, False
                return Token(kind, match.group(), self.line, spaced)
