"""Words of the OpenDSS script language: lines into parameters, texts into numbers, lists and matrices.

A line is a list of parameters, `value` or `name=value`, between blanks and commas. A value that holds blanks
stands in one of five kinds of brackets or quotes; where a number is wanted, what they hold may be reverse
Polish notation: `(8 1000 /)`. `!` and `//` begin a comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...errors import CaseError, Problem

CLOSING = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
BLANKS = " \t,"
_PLAIN_WORD = re.compile(r"(?:[^ \t,=!/]++|/(?!/))++")  # up to a blank, an equals sign or a comment
# What OpenDSS takes for part of a word, while a reader (or Python) sees a blank, a new line or nothing.
_STRANGE = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
)
# A parameter and what is behind it, in the spellings of nearly every line: nothing that needs a second look.
_PLAIN_PARAM = re.compile(
    r"(?:([A-Za-z0-9_.%+-]+)[ ]*=[ ]*)?"
    r"(?:([A-Za-z0-9_.%+:;?$&#~*-]+(?:/[A-Za-z0-9_.%+:;?$&#~*-]+)*)"
    r"|(\([ !#-(*-?A-~]*\)|\[[ !#-?A-\\^-~]*\]|\"[ !#-?A-~]*\"))"
    r"(?:,[ ]*(?![ ,=])|[ ]+(?![ ,=!/])|$)",
    re.ASCII,
)
_EMPTY = re.compile(r"^[ \t]*,|,[ \t]*,")  # nothing before a comma: OpenDSS stops there
_LINE_END = re.compile(r"\r\n|\n|\r")  # and nothing else that Unicode ends lines with
MAX_STACK = 10  # registers of the calculator in OpenDSS
MAX_PARAMS = 200_000  # in one line; each takes many times its text
MAX_ORDER = 12  # of a matrix
SMALLEST, LARGEST = 1e-30, 1e30  # of a number; products of a few stay finite


class Place(NamedTuple):
    """Where in the files something stands."""

    file: str
    line: int

    def error(self, field: str, value: str, expected: str) -> CaseError:
        """The error to raise about something that stands here."""
        return CaseError([Problem(self.file, self.line, field, value, expected)])


class Param(NamedTuple):
    """One parameter of a line; `name` is lower case, empty where the line gives none."""

    name: str
    value: str
    quoted: bool
    place: Place
    order: int = 0  # which of all values of the script it is; set where it becomes part of an object


def split(text: str, place: Place) -> list[Param]:
    """The parameters of one line.

    Raises:
        CaseError: a bracket or quote without its end, a name without a value, an empty value between two
            commas (where OpenDSS stops reading the line), a variable, or a control character.
    """
    result: list[Param] = []
    at, end = len(text) - len(text.lstrip(" ")), len(text)
    while at < end:  # as long as the text is plain
        found = _PLAIN_PARAM.match(text, at)
        if found is None or len(result) >= MAX_PARAMS:
            break
        name, value, quoted = found.group(1, 2, 3)
        result.append(Param(name.lower() if name else "", value or quoted[1:-1], not value, place))
        at = found.end()
    else:
        return result
    result.clear()
    at = _gap(text, 0, place, commas=0)
    while True:
        if _over(text, at):
            _no_strangers(text[:at], place)
            return result
        if len(result) >= MAX_PARAMS:
            raise place.error("", "", f"at most {MAX_PARAMS} parameters in a line")
        word, quoted, at = _word(text, at, place)
        after = _skip(text, at, BLANKS[:-1])
        if after < len(text) and text[after] == "=":
            at = _skip(text, after + 1, BLANKS[:-1])
            if quoted or not word or _over(text, at):
                raise place.error(word, "", "a name before and a value behind the equals sign")
            value, quoted, at = _word(text, at, place)
            # Behind a bracket of a named value OpenDSS looks for the comma at once, not behind blanks.
            at = _gap(text, at, place, commas=0 if quoted and text[at : at + 1] in (" ", "\t") else 1)
        else:
            value, word, at = word, "", _gap(text, at, place, commas=1)
        if value.startswith("@"):
            raise place.error(word, value, "a value: variables are not read")
        result.append(Param(word.lower(), value, quoted, place))


def _skip(text: str, at: int, blanks: str = BLANKS) -> int:
    while at < len(text) and text[at] in blanks:
        at += 1
    return at


def _gap(text: str, at: int, place: Place, commas: int) -> int:
    """Where the text goes on behind a word: blanks, and at most some commas among them."""
    end = _skip(text, at)
    if text.count(",", at, end) > commas and not _over(text, end):
        raise place.error(
            "", text[at:end].strip() or ",", "a value before the comma: OpenDSS stops reading here"
        )
    return end


def _no_strangers(code: str, place: Place) -> None:
    """Raise where a line, before its comment, holds what looks like a blank or nothing, but is none."""
    found = _STRANGE.search(code)
    if found:
        raise place.error(
            "", repr(found[0]), "text without control characters and blanks other than space and tab"
        )
    if not code.isascii() and any(letter.lower() != letter for letter in code if ord(letter) > 127):
        raise place.error(
            "", repr(code[:40]), "capital letters A to Z: OpenDSS does not know others as the same name"
        )


def _over(text: str, at: int) -> bool:
    return at >= len(text) or text[at] == "!" or text.startswith("//", at)


def _word(text: str, at: int, place: Place) -> tuple[str, bool, int]:
    """The word that begins at `at`, whether it was quoted, and where the text goes on."""
    closing = CLOSING.get(text[at])
    if closing:
        end = text.find(closing, at + 1)
        if end < 0:
            raise place.error("", text[at : at + 30], f"a closing {closing} on the same line")
        return text[at + 1 : end], True, end + 1
    found = _PLAIN_WORD.match(text, at)
    return (found[0], False, found.end()) if found else ("", False, at)


def logical_lines(text: str, file: str) -> Iterator[tuple[str, Place]]:
    """The lines of a text that are not in a block comment, with their places."""
    hidden: Place | None = None
    for count, line in enumerate(_LINE_END.split(text), 1):
        place = Place(file, count)
        if hidden is None and line.startswith("/*"):
            hidden = place
        if hidden is not None:
            _, end, rest = line.partition("*/")
            if end:
                hidden = None
                if rest.strip():
                    raise place.error("", rest.strip()[:30], "nothing behind the end of a block comment")
            continue
        yield line, place
    if hidden is not None:
        raise hidden.error("/*", "", "an end of this comment (*/)")


# -- values --------------------------------------------------------------------------------------------------


def number(param: Param) -> float:
    """The value as a number; reverse Polish notation where it was quoted.

    Raises:
        CaseError: it is none.
    """
    value = _plain(param.value)
    if value is None and param.quoted:
        value = rpn(param)
    if value is None or not (value == 0.0 or SMALLEST <= abs(value) <= LARGEST):
        expected = f"0, or a number of the size {SMALLEST:g} to {LARGEST:g}"
        raise param.place.error(param.name, repr(param.value), expected)
    return value


def _plain(text: str) -> float | None:
    if "_" in text or text.strip(" \t+-.0123456789eE"):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def whole(param: Param) -> int:
    """The value as a whole number."""
    value = number(param)
    if value != int(value) or abs(value) > 1e9:
        raise param.place.error(param.name, repr(param.value), "a whole number")
    return int(value)


def flag(param: Param) -> bool:
    """The value as yes or no; OpenDSS looks at the first letter, and takes all but y and t for no."""
    first = param.value.strip()[:1].lower()
    if first in ("y", "t"):
        return True
    if first in ("n", "f", "0"):
        return False
    raise param.place.error(param.name, repr(param.value), "yes or no")


def parts(param: Param) -> list[Param]:
    """The elements of a list, each with the name of the list."""
    inner = split(param.value, param.place)
    for element in inner:
        if element.name:
            raise param.place.error(param.name, repr(param.value), "a list without equals signs")
    return [Param(param.name, element.value, element.quoted, param.place, param.order) for element in inner]


def texts(param: Param) -> list[str]:
    """The elements of a list as they are written."""
    return [element.value for element in parts(param)]


def numbers(param: Param) -> list[float]:
    """The elements of a list as numbers; a single formula is a list of one."""
    return [number(element) for element in parts(param)]


def matrix(param: Param, order: int) -> list[list[float]]:
    """A symmetric matrix, given whole or as its lower triangle, rows between bars."""
    if order > MAX_ORDER:
        raise param.place.error(param.name, str(order), f"at most {MAX_ORDER} conductors")
    text = param.value.split("|")
    rows = [_row(Param(param.name, row, param.quoted, param.place)) for row in text]
    if len(rows) == order + 1 and not rows[-1]:
        rows.pop()  # a bar behind the last row
    triangle = [len(row) for row in rows] == list(range(1, order + 1))
    square = [len(row) for row in rows] == [order] * order
    if not (triangle or square):
        expected = f"{order} rows between bars, each of {order} numbers, or the lower triangle"
        raise param.place.error(param.name, repr(param.value), expected)
    full = [[rows[max(i, j)][min(i, j)] for j in range(order)] for i in range(order)]
    if square and full != rows:
        raise param.place.error(param.name, repr(param.value), "a symmetric matrix")
    return full


def _row(param: Param) -> list[float]:
    """One row of a matrix; no formulas, behind which OpenDSS misses the bar."""
    elements = parts(param)
    if any(element.quoted for element in elements):
        raise param.place.error(param.name, repr(param.value), "a matrix of plain numbers")
    return [number(element) for element in elements]


# -- the calculator ------------------------------------------------------------------------------------------


def _power(x: float, y: float) -> float:
    result = x**y
    if isinstance(result, complex):
        raise ValueError
    return float(result)


_TWO: dict[str, Callable[[float, float], float]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "^": _power,
    "atan2": lambda x, y: math.degrees(math.atan2(x, y)),
}
_ONE: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "sqr": lambda x: x * x,
    "inv": lambda x: 1.0 / x,
    "ln": math.log,
    "exp": math.exp,
    "log10": math.log10,
    "sin": lambda x: math.sin(math.radians(x)),
    "cos": lambda x: math.cos(math.radians(x)),
    "tan": lambda x: math.tan(math.radians(x)),
    "asin": lambda x: math.degrees(math.asin(x)),
    "acos": lambda x: math.degrees(math.acos(x)),
    "atan": lambda x: math.degrees(math.atan(x)),
}


def rpn(param: Param) -> float:
    """The value of a formula in reverse Polish notation; angles in degrees.

    Raises:
        CaseError: an unknown word, too few or too many numbers, or no value.
    """
    stack: list[float] = []
    if _EMPTY.search(param.value):
        raise _no_formula(param)
    for word in param.value.replace(",", " ").lower().split():
        value = math.pi if word == "pi" else _plain(word)
        try:
            if value is not None:
                stack.append(value)
            elif word in _TWO:
                y, x = stack.pop(), stack.pop()
                stack.append(_TWO[word](x, y))
            elif word in _ONE:
                stack.append(_ONE[word](stack.pop()))
            else:
                raise param.place.error(param.name, repr(word), "a number or an operator of the calculator")
        except (IndexError, ArithmeticError, ValueError) as error:
            if isinstance(error, CaseError):
                raise
            raise _no_formula(param) from None
        if len(stack) > MAX_STACK:
            raise _no_formula(param)
    if len(stack) != 1:
        raise _no_formula(param)
    return stack[0]


def _no_formula(param: Param) -> CaseError:
    return param.place.error(param.name, repr(param.value), "a formula in reverse Polish notation")
