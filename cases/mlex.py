"""Tokens of MATPOWER case files.

Case files are MATLAB programs. They are read here by a parser that knows the few statements such files use
and that runs nothing: see `mparse` for the grammar and `meval` for what a statement may do.
"""

from __future__ import annotations

import re
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
_BLOCK_COMMENT = re.compile(r"^[ \t]*[%#]\{[ \t]*$.*?^[ \t]*[%#]\}[ \t]*$", re.MULTILINE | re.DOTALL)


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


def tokenize(text: str, file: str) -> list[Token]:
    """Tokens of the text, ending with one of kind "end".

    Raises:
        CaseError: a character that no case file needs.
    """
    # A block comment keeps its line breaks, so that line numbers stay right.
    text = _BLOCK_COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text.replace("\r\n", "\n"))
    tokens: list[Token] = []
    line, position, spaced = 1, 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            refuse(file, line, repr(text[position]), "MATPOWER case data (this character has no place in it)")
        kind, position = str(match.lastgroup), match.end()
        if kind == "space":
            spaced = True
        elif kind == "continue":
            line, spaced = line + 1, True
        elif kind != "comment":
            tokens.append(Token(kind, match.group(), line, spaced))
            spaced = False
            line += kind == "newline"
    tokens.append(Token("end", "", line, False))
    return tokens
