"""Words of the OpenDSS script language: lines into parameters, texts into numbers, lists and matrices.

A line is a list of parameters, `value` or `name=value`, between blanks and commas. A value that holds blanks
stands in one of five kinds of brackets or quotes; where a number is wanted, what they hold may be reverse
Polish notation: `(8 1000 /)`. `!` and `//` begin a comment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from .errors import CaseError, Problem

CLOSING = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
BLANKS = " \t\r\n\f\v,"
_PLAIN_WORD = re.compile(r"(?:[^ \t\r\n\f\v,=!/]++|/(?!/))++")  # up to a blank, an equals sign or a comment
MAX_STACK = 10  # registers of the calculator in OpenDSS
MAX_PARAMS = 200_000  # in one line; each takes many times its text
MAX_ORDER = 12  # of a matrix
SMALLEST, LARGEST = 1e-30, 1e30  # of a number; products of a few stay finite


@dataclass(frozen=True)
class Place:
    """Where in the files something stands."""

    file: str
    line: int

    def error(self, field: str, value: str, expected: str) -> CaseError:
        """The error to raise about something that stands here."""
        return CaseError([Problem(self.file, self.line, field, value, expected)])


@dataclass(frozen=True)
class Param:
    """One parameter of a line; `name` is lower case, empty where the line gives none."""

    name: str
    value: str
    quoted: bool
    place: Place


def split(text: str, place: Place) -> list[Param]:
    """The parameters of one line.

    Raises:
        CaseError: a bracket or quote without its end, or a name without a value.
    """
    result: list[Param] = []
    at = 0
    while True:
        at = _skip(text, at)
        if _over(text, at):
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
            result.append(Param(word.lower(), value, quoted, place))
        else:
            result.append(Param("", word, quoted, place))


def _skip(text: str, at: int, blanks: str = BLANKS) -> int:
    while at < len(text) and text[at] in blanks:
        at += 1
    return at


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
    """The value as yes or no; OpenDSS looks at the first letter."""
    first = param.value.strip()[:1].lower()
    if first in ("y", "t", "1"):
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
    return [Param(param.name, element.value, element.quoted, param.place) for element in inner]


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
    rows = [numbers(Param(param.name, row, param.quoted, param.place)) for row in text]
    rows = [row for row in rows if row]
    triangle = [len(row) for row in rows] == list(range(1, order + 1))
    square = [len(row) for row in rows] == [order] * order
    if not (triangle or square):
        expected = f"{order} rows between bars, each of {order} numbers, or the lower triangle"
        raise param.place.error(param.name, repr(param.value), expected)
    full = [[rows[max(i, j)][min(i, j)] for j in range(order)] for i in range(order)]
    if square and full != rows:
        raise param.place.error(param.name, repr(param.value), "a symmetric matrix")
    return full


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
