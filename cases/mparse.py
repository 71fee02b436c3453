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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from .mlex import Token, refuse, tokenize

# Both keep hostile files from exhausting the stack.
MAX_DEPTH = 40  # nested brackets
MAX_OPERATORS = 100  # in one matrix element or statement


@dataclass(frozen=True, slots=True)
class Num:
    """A number."""

    value: float
    line: int


@dataclass(frozen=True, slots=True)
class Str:
    """A text in quotes."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or constant."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Op:
    """An operator with one or two operands."""

    op: str
    args: tuple[Expr, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one argument."""

    name: str
    arg: Expr
    line: int


@dataclass(frozen=True, slots=True)
class Field:
    """`mpc.field` or `mpc.field(rows, columns)`; an index of None is `:`."""

    field: str
    index: tuple[Expr | None, Expr | None] | None
    line: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of elements, with the line on which each row starts."""

    rows: tuple[tuple[Expr, ...], ...]
    lines: tuple[int, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Cells:
    """`{ ... }` of texts (bus names), which the importer does not use."""

    line: int


Expr: TypeAlias = Num | Str | Name | Op | Call | Field | Matrix | Cells


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value`; the target is a Name or a Field."""

    target: Name | Field
    value: Expr
    line: int


@dataclass(frozen=True, slots=True)
class Columns:
    """`[names] = idx_bus` and its like."""

    names: tuple[str, ...]
    function: str
    line: int


Statement: TypeAlias = Assign | Columns


def parse(text: str, file: str) -> tuple[str, list[Statement]]:
    """Name of the case function ("" for a script) and its statements.

    Raises:
        CaseError: the first line that is not case data.
    """
    return _Parser(tokenize(text, file), file).run()


class _Parser:
    def __init__(self, tokens: list[Token], file: str) -> None:
        self.tokens, self.file = tokens, file
        self.at = 0
        self.depth = 0
        self.operators = 0
        self.in_matrix = False  # white space separates elements
        self.struct = "mpc"  # what the function returns

    # -- tokens ----------------------------------------------------------------------------------------

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def is_op(self, *texts: str) -> bool:
        token = self.now
        return token.kind == "op" and token.text in texts

    def step(self) -> Token:
        token = self.now
        self.at += token.kind != "end"
        return token

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

    def run(self) -> tuple[str, list[Statement]]:
        title, statements = "", []
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
        while self.now.kind != "end":
            if self.now.kind == "name" and self.now.text in ("end", "endfunction"):
                self.step()
                self.blank()
                if self.now.kind != "end":
                    self.fail("nothing after the end of the case function")
                break
            statements.append(self.statement())
            if not (self.is_op(";", ",") or self.now.kind in ("newline", "end")):
                self.fail("the end of the statement")
            self.blank()
        return title, statements

    def blank(self) -> None:
        while self.now.kind == "newline" or self.is_op(";", ","):
            self.step()

    def statement(self) -> Statement:
        line = self.now.line
        if self.is_op("["):
            return self.columns()
        if self.now.kind != "name":
            self.fail("a statement of a case file, such as 'mpc.bus = [...]' or 'pf = 0.85'")
        head = self.step()
        if head.text == "define_constants":
            return Columns((), head.text, line)
        target: Name | Field = Name(head.text, line)
        if self.is_op("."):
            self.at -= 1
            target = self.field()
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
        return Columns(tuple(names), self.name().text, line)

    def field(self) -> Field:
        head = self.name()
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
        return self.in_matrix and self.now.spaced and not self.tokens[self.at + 1].spaced

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
        if self.tokens[self.at + 1].kind == "op" and self.tokens[self.at + 1].text == ".":
            return self.field()
        token = self.step()
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
        rows: list[tuple[Expr, ...]] = []
        lines: list[int] = []
        row: list[Expr] = []
        first = start.line
        while True:
            if self.is_op(";", "]") or self.now.kind == "newline":
                if row:
                    rows.append(tuple(row))
                    lines.append(first)
                    row = []
                if self.step().text == "]":
                    break
            elif self.is_op(","):
                self.step()
            else:
                if not row:
                    first = self.now.line
                self.operators = 0
                row.append(self.expression())
        self.in_matrix = outside
        return Matrix(tuple(rows), tuple(lines), start.line)

    def cells(self) -> Cells:
        line = self.step().line
        while not self.is_op("}"):
            if not (self.now.kind in ("string", "number", "newline") or self.is_op(";", ",")):
                self.fail("texts between the braces, and a closing brace")
            self.step()
        self.step()
        return Cells(line)
