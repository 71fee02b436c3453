"""Values of the statements of a MATPOWER case file, with nothing but arithmetic.

The only functions are those of `FUNCTIONS`, the only variables those that the file itself assigns, and the
only things assigned to are these variables and the fields of the case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from .lexer import SourceText, refuse
from .parser import parse
from .syntax import Assign, Call, Cells, ColumnList, Expr, Field, Matrix, Name, Num, Op, Statement, Str

Value = float | str | np.ndarray

FUNCTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "abs": np.abs,
}
CONSTANTS: Mapping[str, float] = {"pi": np.pi, "Inf": np.inf, "inf": np.inf, "NaN": np.nan, "nan": np.nan}
MAX_WORK = 200_000_000  # numbers computed or copied; the largest files need a tenth of it
MAX_VARIABLES = 1000  # files have a handful; each takes many times its text
TABLE_FIELDS = ("bus", "gen", "branch")  # what a feeder is made of
# Without influence on a power flow: of these nothing is said, of the next that they are there.
SILENT_FIELDS = ("gencost", "areas", "bus_name")
NOTED_FIELDS = (
    "branch_name", "gen_name", "gentype", "genfuel", "dcline", "dclinecost", "dcline_name", "userfcn", "zone",
    "zones", "reserves", "softlims", "bus_geo", "et", "success", "f", "iterations", "order", "om",
)  # fmt: skip
DC_LINE = range(17, 24)  # columns of mpc.dcline: 17, and up to 6 results
FIELDS = ("version", "baseMVA", *TABLE_FIELDS, *SILENT_FIELDS, *NOTED_FIELDS)

# What idx_bus, idx_brch and idx_gen of MATPOWER 8.1 return, in this order.
COLUMN_NUMBERS: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "idx_bus": (
        tuple(
            "PQ PV REF NONE BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN "
            "LAM_P LAM_Q MU_VMAX MU_VMIN".split()
        ),
        (1, 2, 3, 4, *range(1, 18)),
    ),
    "idx_brch": (
        tuple(
            "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS PF QF PT QT MU_SF MU_ST "
            "ANGMIN ANGMAX MU_ANGMIN MU_ANGMAX".split()
        ),
        (*range(1, 12), *range(14, 20), 12, 13, 20, 21),
    ),
    "idx_gen": (
        tuple(
            "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS PMAX PMIN MU_PMAX MU_PMIN MU_QMAX MU_QMIN "
            "PC1 PC2 QC1MIN QC1MAX QC2MIN QC2MAX RAMP_AGC RAMP_10 RAMP_30 RAMP_Q APF".split()
        ),
        (*range(1, 11), 22, 23, 24, 25, *range(11, 22)),
    ),
}


@dataclass
class CaseData:
    """The fields of a case file after its last statement.

    Attributes:
        file: the file's name as it stands in errors.
        title: name of the case function.
        fields: value of each field; matrices are (rows, columns) float64.
        lines: line of each row of bus, gen, branch and dcline.
        written: the expression that each field was first assigned.
        assigned: line on which each field was first assigned, those of texts too.
    """

    file: str
    title: str = ""
    fields: dict[str, Value] = field(default_factory=dict)
    lines: dict[str, tuple[int, ...]] = field(default_factory=dict)
    written: dict[str, Expr] = field(default_factory=dict)
    assigned: dict[str, int] = field(default_factory=dict)


def read_case(text: str | SourceText, file: str) -> CaseData:
    """Read the text of a case file; each statement is done before the next is read.

    Raises:
        CaseError: the first statement that is not case data or cannot be computed, with its line.
    """
    run = _Run(CaseData(file))
    source = SourceText(text) if isinstance(text, str) else text
    run.case.title, statements = parse(source, file, run.value)
    with np.errstate(all="ignore"):  # what is not finite is reported with its place by the importer
        for statement in statements:
            run.do(statement)
    return run.case


class _Run:
    def __init__(self, case: CaseData) -> None:
        self.case = case
        self.variables: dict[str, Value] = {}
        self.work = 0
        self.own: set[str] = set()  # fields whose matrix nothing else refers to

    def spend(self, line: int, count: int) -> None:
        """Statements are few and matrices large: what they do together is limited."""
        self.work += count
        if self.work > MAX_WORK:
            self.refuse(line, "", f"at most {MAX_WORK} numbers computed or copied by all statements")

    def refuse(self, line: int, what: str, expected: str) -> NoReturn:
        refuse(self.case.file, line, what, expected)

    def do(self, statement: Statement) -> None:
        if isinstance(statement, ColumnList):
            self.columns(statement)
        elif isinstance(statement.target, Name):
            if statement.target.name in FUNCTIONS or statement.target.name in COLUMN_NUMBERS:
                self.refuse(statement.line, repr(statement.target.name), "a name that is not a function's")
            if len(self.variables) >= MAX_VARIABLES:
                self.refuse(statement.line, repr(statement.target.name), f"at most {MAX_VARIABLES} variables")
            self.variables[statement.target.name] = self.value(statement.value)
        elif statement.target.index is None:
            self.assign(statement.target, statement)
        else:
            self.assign_part(statement.target, statement)

    def columns(self, statement: ColumnList) -> None:
        if statement.function == "define_constants":
            for names, numbers in COLUMN_NUMBERS.values():
                self.variables.update(zip(names, map(float, numbers), strict=True))
            return
        if statement.function not in COLUMN_NUMBERS:
            expected = f"one of {', '.join(COLUMN_NUMBERS)} (no other call is allowed)"
            self.refuse(statement.line, repr(statement.function), expected)
        numbers = COLUMN_NUMBERS[statement.function][1]
        if len(statement.names) > len(numbers):
            self.refuse(statement.line, f"{len(statement.names)} names", f"at most {len(numbers)} names")
        self.variables.update(zip(statement.names, map(float, numbers), strict=False))

    def assign(self, target: Field, statement: Assign) -> None:
        if target.field not in FIELDS:
            self.refuse(statement.line, repr(target.field), f"one of the fields {', '.join(FIELDS)}")
        self.case.assigned.setdefault(target.field, statement.line)
        if isinstance(statement.value, Cells):
            return
        value = self.value(statement.value)
        if target.field == "dcline" and not (
            isinstance(value, np.ndarray) and value.shape[1] in (0, *DC_LINE)
        ):
            self.refuse(
                statement.line, "mpc.dcline", f"a matrix of {DC_LINE[0]} columns or more, or an empty one"
            )
        self.own.discard(target.field)
        self.case.written.setdefault(target.field, statement.value)
        if isinstance(value, np.ndarray):
            lines = statement.value.lines if isinstance(statement.value, Matrix) else ()
            if target.field in (*TABLE_FIELDS, "dcline"):
                self.case.lines[target.field] = tuple(lines) or (statement.line,) * len(value)
        self.case.fields[target.field] = value

    def assign_part(self, target: Field, statement: Assign) -> None:
        matrix, rows, columns = self.part(target)
        value = self.value(statement.value)
        shape = (len(rows), len(columns))
        if isinstance(value, str) or (isinstance(value, np.ndarray) and value.shape not in (shape, (1, 1))):
            shown = "text" if isinstance(value, str) else f"a {value.shape[0]}x{value.shape[1]} matrix"
            self.refuse(statement.line, shown, f"a {shape[0]}x{shape[1]} matrix or one number")
        if target.field not in self.own:
            self.spend(statement.line, matrix.size)
            matrix = matrix.copy()
            self.own.add(target.field)
        self.spend(statement.line, shape[0] * shape[1])
        matrix[np.ix_(rows, columns)] = value
        self.case.fields[target.field] = matrix

    def part(self, target: Field) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The matrix that an indexed field names, and the zero-based rows and columns."""
        matrix = self.case.fields.get(target.field)
        if not isinstance(matrix, np.ndarray) or target.index is None:
            self.refuse(target.line, f"mpc.{target.field}", "a matrix that an earlier line assigns")
        picked = []
        for axis, wanted in enumerate(target.index):
            size = matrix.shape[axis]
            if wanted is None:
                self.spend(target.line, size)
                picked.append(np.arange(size))
                continue
            value = self.value(wanted)
            numbers = np.atleast_1d(np.nan if isinstance(value, str) else value).ravel()
            self.spend(target.line, len(numbers))
            whole = (numbers == np.round(numbers)) & (numbers >= 1) & (numbers <= size)
            if not (whole.all() and len(np.unique(numbers)) == len(numbers)):
                expected = f"{('row', 'column')[axis]} numbers from 1 to {size}, each once"
                self.refuse(target.line, f"mpc.{target.field}", expected)
            picked.append(numbers.astype(np.intp) - 1)
        return matrix, picked[0], picked[1]

    # -- expressions -----------------------------------------------------------------------------------

    def value(self, node: Expr) -> Value:
        if isinstance(node, Num | Str):
            return node.value
        if isinstance(node, Name):
            return self.named(node)
        if isinstance(node, Op):
            return self.operation(node)
        if isinstance(node, Call):
            return self.call(node)
        if isinstance(node, Field):
            return self.field(node)
        if isinstance(node, Cells):
            self.refuse(node.line, "{...}", "a number or a matrix")
        return node.values

    def named(self, node: Name) -> Value:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name not in CONSTANTS:
            self.refuse(node.line, repr(node.name), "a name that an earlier line assigns")
        return CONSTANTS[node.name]

    def field(self, node: Field) -> Value:
        if node.index is None:
            if node.field not in self.case.fields:
                self.refuse(node.line, f"mpc.{node.field}", "a field that an earlier line assigns")
            self.own.discard(node.field)  # it may stand in two places from now on
            return self.case.fields[node.field]
        matrix, rows, columns = self.part(node)
        self.spend(node.line, len(rows) * len(columns))
        part: np.ndarray = matrix[np.ix_(rows, columns)]
        return float(part[0, 0]) if part.shape == (1, 1) else part

    def call(self, node: Call) -> Value:
        if node.name not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            self.refuse(node.line, f"{node.name}(...)", f"no call but of {known}")
        arg = self.number(node.arg, node.line)
        self.spend(node.line, np.size(arg))
        result = FUNCTIONS[node.name](np.asarray(arg))
        return result if isinstance(arg, np.ndarray) else float(result)

    def number(self, node: Expr, line: int) -> float | np.ndarray:
        value = self.value(node)
        if isinstance(value, str):
            self.refuse(line, repr(value), "a number, not a text")
        return value

    def operation(self, node: Op) -> Value:
        left = self.number(node.args[0], node.line)
        self.spend(node.line, np.size(left))
        if len(node.args) == 1:
            return -left
        right = self.number(node.args[1], node.line)
        a, b = np.asarray(left), np.asarray(right)
        if a.ndim and b.ndim and (node.op not in ("+", "-", ".*", "./") or a.shape != b.shape):
            expected = "matrices of one shape with + - .* ./, or a matrix and a number"
            self.refuse(node.line, f"matrix {node.op} matrix", expected)
        if (node.op == "/" and b.ndim) or (node.op == "^" and (a.ndim or b.ndim)):
            self.refuse(node.line, f"{node.op} with a matrix", "a number there (or ./ for each element)")
        self.spend(node.line, b.size)
        result = _ARITHMETIC[node.op](a, b)
        return result if a.ndim or b.ndim else float(result)


_ARITHMETIC: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    ".*": np.multiply,
    "/": np.divide,
    "./": np.divide,
    "^": np.power,
}
