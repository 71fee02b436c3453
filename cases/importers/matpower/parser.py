"""Grammar of MATPOWER case files: statements and arithmetic, by recursive descent.

    file      := ["function" NAME "=" NAME] { statement } ["end"]
    statement := NAME "=" expr                           a scalar or matrix of its own
               | NAME "." FIELD "=" expr                 a field of the case
               | NAME "." FIELD "(" index "," index ")" "=" expr
               | "[" NAME {"," NAME} "]" "=" NAME        column numbers: idx_bus, idx_brch, idx_gen
               | "define_constants"
    index     := ":" | expr
    expr      := sums and products of numbers, names, fields, calls of a few functions, [matrices]

Everything else, loops, conditions, calls of anything, further functions, is refused with its line.

Statements are handed out one by one, to be done before the next is read. So the elements of a matrix can be
computed as they are read, and only their numbers are kept.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np

from .lexer import Lexer, SourceText, Token, refuse
from .syntax import Assign, Call, Cells, ColumnList, Expr, Field, Matrix, Name, Num, Op, Statement, Str

# Both keep hostile files from exhausting the stack.
MAX_DEPTH = 40  # nested brackets
MAX_OPERATORS = 100  # in one matrix element or statement


def parse(
    source: SourceText, file: str, evaluate: Callable[[Expr], object]
) -> tuple[str, Iterator[Statement]]:
    """Name of the case function ("" for a script) and its statements, which are read as they are asked for.

    Args:
        source: the text.
        file: the name that errors give.
        evaluate: value of an expression, after the statements that were handed out before.

    Raises:
        CaseError: the first line that is not case data, when it is reached.
    """
    parser = _Parser(source, file, evaluate)
    return parser.head(), parser.statements()


class _Parser:
    def __init__(self, source: SourceText, file: str, evaluate: Callable[[Expr], object]) -> None:
        self.file, self.evaluate = file, evaluate
        self.lexer = Lexer(source, file)
        self.depth = 0
        self.operators = 0
        self.in_matrix = False  # white space separates elements
        self.struct = "mpc"  # what the function returns

    # -- tokens ----------------------------------------------------------------------------------------

    @property
    def now(self) -> Token:
        return self.lexer.peek()

    def is_op(self, *texts: str) -> bool:
        token = self.now
        return token.kind == "op" and token.text in texts

    def step(self) -> Token:
        return self.lexer.step()

    def operator(self) -> Token:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            self.fail(f"at most {MAX_OPERATORS} operators in one expression")
        return self.step()

    def expect(self, text: str) -> Token:
        if not self.is_op(text):
            self.fail(f"{text!r}")
        return self.step()

    def name(self) -> Token:
        if self.now.kind != "name":
            self.fail("a name")
        return self.step()

    def fail(self, expected: str) -> NoReturn:
        token = self.now
        shown = {"newline": "the end of the line", "end": "the end of the file"}.get(token.kind, token.text)
        refuse(self.file, token.line, repr(shown), expected)

    # -- statements ------------------------------------------------------------------------------------

    def head(self) -> str:
        title = ""
        self.blank()
        if self.now.kind == "name" and self.now.text == "function":
            self.step()
            if self.is_op("["):
                self.fail("one returned struct, as in 'function mpc = case33bw' (version 2 of the format)")
            self.struct = self.name().text
            self.expect("=")
            title = self.name().text
            if self.is_op("("):
                self.step()
                self.expect(")")
        self.blank()
        return title

    def statements(self) -> Iterator[Statement]:
        while self.now.kind != "end":
            if self.now.kind == "name" and self.now.text in ("end", "endfunction"):
                self.step()
                self.blank()
                if self.now.kind != "end":
                    self.fail("nothing after the end of the case function")
                break
            yield self.statement()
            if not (self.is_op(";", ",") or self.now.kind in ("newline", "end")):
                self.fail("the end of the statement")
            self.blank()

    def blank(self) -> None:
        self.lexer.skip_nothing()
        while self.now.kind == "newline" or self.is_op(";", ","):
            self.step()
            self.lexer.skip_nothing()

    def statement(self) -> Statement:
        line = self.now.line
        if self.is_op("["):
            return self.columns()
        if self.now.kind != "name":
            self.fail("a statement of a case file, such as 'mpc.bus = [...]' or 'pf = 0.85'")
        head = self.step()
        if head.text == "define_constants":
            return ColumnList((), head.text, line)
        target: Name | Field = Name(head.text, line)
        if self.is_op("."):
            target = self.field(head)
        if not self.is_op("="):
            what = f"{head.text} {self.now.text}".strip()
            expected = "an assignment; case files are read, not run: calls, loops and conditions are refused"
            refuse(self.file, line, repr(what), expected)
        self.step()
        self.operators = 0
        return Assign(target, self.expression(), line)

    def columns(self) -> Statement:
        line = self.step().line
        names = []
        while not self.is_op("]"):
            names.append(self.name().text)
            if self.is_op(","):
                self.step()
        self.step()
        self.expect("=")
        return ColumnList(tuple(names), self.name().text, line)

    def field(self, head: Token) -> Field:
        """The rest of a field whose struct's name was just read."""
        if head.text != self.struct:
            refuse(self.file, head.line, repr(head.text), f"the struct {self.struct!r}")
        self.expect(".")
        field = self.name().text
        if not self.is_op("(") or (self.in_matrix and self.now.spaced):
            return Field(field, None, head.line)
        self.step()
        outside, self.in_matrix = self.in_matrix, False
        rows = self.index()
        self.expect(",")
        columns = self.index()
        self.expect(")")
        self.in_matrix = outside
        return Field(field, (rows, columns), head.line)

    def index(self) -> Expr | None:
        if self.is_op(":"):
            self.step()
            return None
        return self.expression()

    # -- expressions, by precedence: sums, products, signs, powers, atoms -------------------------------

    def expression(self) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"at most {MAX_DEPTH} nested brackets")
        left = self.product()
        while self.is_op("+", "-") and not self.starts_element():
            token = self.operator()
            left = Op(token.text, (left, self.product()), token.line)
        self.depth -= 1
        return left

    def starts_element(self) -> bool:
        """Whether this sign belongs to a new matrix element, as in `[1 -2]`."""
        return self.in_matrix and self.now.spaced and not self.lexer.peek(1).spaced

    def product(self) -> Expr:
        left = self.signed()
        while self.is_op("*", "/", ".*", "./"):
            token = self.operator()
            left = Op(token.text, (left, self.signed()), token.line)
        return left

    def signed(self) -> Expr:
        signs = []
        while self.is_op("+", "-"):
            signs.append(self.operator())
        value = self.power()
        for sign in reversed(signs):
            if sign.text == "-":
                negated = Op("-", (value,), sign.line)
                value = Num(-value.value, sign.line) if isinstance(value, Num) else negated
        return value

    def power(self) -> Expr:
        base = self.atom()
        while self.is_op("^", ".^"):
            token = self.operator()
            negative = self.is_op("-")
            if negative or self.is_op("+"):
                self.step()
            exponent = self.atom()
            base = Op("^", (base, Op("-", (exponent,), token.line) if negative else exponent), token.line)
        return base

    def atom(self) -> Expr:
        token = self.now
        if token.kind == "number":
            self.step()
            return Num(float(token.text.replace("d", "e").replace("D", "e")), token.line)
        if token.kind == "string":
            self.step()
            return Str(token.text[1:-1].replace("''", "'"), token.line)
        if token.kind == "name":
            return self.named()
        if self.is_op("["):
            return self.matrix()
        if self.is_op("{"):
            return self.cells()
        if not self.is_op("("):
            self.fail("a number, a name or a bracket")
        self.step()
        outside, self.in_matrix = self.in_matrix, False
        value = self.expression()
        self.expect(")")
        self.in_matrix = outside
        return value

    def named(self) -> Expr:
        token = self.step()
        if self.is_op("."):
            return self.field(token)
        if not self.is_op("(") or (self.in_matrix and self.now.spaced):
            return Name(token.text, token.line)
        self.step()
        outside, self.in_matrix = self.in_matrix, False
        arg = self.expression()
        self.expect(")")
        self.in_matrix = outside
        return Call(token.text, arg, token.line)

    def matrix(self) -> Matrix:
        start = self.step()
        outside, self.in_matrix = self.in_matrix, True
        rows = _Rows(self.file)
        while True:
            plain = None if rows.is_open else self.lexer.plain_row()
            run = self.lexer.plain_run() if plain is None else None
            if plain is not None:
                rows.add_row(plain, self.lexer.line)
            elif run is not None:
                rows.add_run(run, self.lexer.line)
            elif self.is_op(";", "]") or self.now.kind == "newline":
                rows.close()
                if self.step().text == "]":
                    break
            elif self.is_op(","):
                self.step()
            else:
                line = self.now.line
                self.operators = 0
                element = self.expression()
                value = element.value if isinstance(element, Num) else self.evaluate(element)
                rows.add(value, line, element)
        self.in_matrix = outside
        return rows.matrix(start.line)

    def cells(self) -> Cells:
        line = self.step().line
        self.lexer.skip_cells()
        while not self.is_op("}"):
            if not (self.now.kind in ("string", "number", "newline") or self.is_op(";", ",")):
                self.fail("texts between the braces, and a closing brace")
            self.step()
            self.lexer.skip_cells()
        self.step()
        return Cells(line)


class _Rows:
    """The numbers of a matrix, eight bytes each, and the line of each row."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values, self.lines = array("d"), array("i")
        self.roots, self.numerators = array("q"), array("d")
        self.width = 0  # of the first row, and so of all
        self.start = 0  # of the open row in `values`

    @property
    def is_open(self) -> bool:
        """Whether the present row has elements."""
        return len(self.values) > self.start

    def add(self, value: object, line: int, written: Expr) -> None:
        """Add one element, the first of a row with the row's line."""
        if not self.is_open:
            self.lines.append(line)
        if not isinstance(value, float):
            refuse(self.file, self.lines[-1], "a text or a matrix", "numbers as the elements of a matrix")
        if _is_over_root_three(written):
            self.roots.append(len(self.values))
            top = written.args[0] if isinstance(written, Op) else written
            self.numerators.append(top.value if isinstance(top, Num) else math.nan)
        self.values.append(value)

    def add_row(self, row: list[float], line: int) -> None:
        """Add a whole row; an empty one is none."""
        if row:
            self.lines.append(line)
            self.values.extend(row)
            self.close()

    def add_run(self, run: list[list[float]], line: int) -> None:
        """Add to the open row, and begin a new one between the lists."""
        for at, values in enumerate(run):
            if at:
                self.close()
            if values and not self.is_open:
                self.lines.append(line)
            self.values.extend(values)

    def close(self) -> None:
        """End the row, if one is open."""
        found = len(self.values) - self.start
        self.width = self.width or found
        if found not in (0, self.width):
            expected = f"{self.width} values, as in the row of line {self.lines[0]}"
            refuse(self.file, self.lines[-1], f"a row of {found} values", expected)
        self.start = len(self.values)

    def matrix(self, line: int) -> Matrix:
        """The matrix of all rows."""
        values = np.frombuffer(self.values).reshape(-1, self.width) if self.width else np.zeros((0, 0))
        roots = np.frombuffer(self.roots, dtype=np.int64)
        return Matrix(values, self.lines, roots, np.frombuffer(self.numerators), line)


def _is_over_root_three(node: Expr) -> bool:
    return (
        isinstance(node, Op)
        and node.op == "/"
        and isinstance(node.args[1], Call)
        and node.args[1].name == "sqrt"
        and isinstance(node.args[1].arg, Num)
        and node.args[1].arg.value == 3.0
    )
