"""The parser of case files computes arithmetic and runs nothing."""

from __future__ import annotations

import ast
import inspect
import math
from pathlib import Path

import numpy as np
import pytest

from distgrid.cases import CaseError, import_matpower
from distgrid.cases.importers.matpower import evaluator as meval
from distgrid.cases.importers.matpower import lexer as mlex
from distgrid.cases.importers.matpower import parser as mparse
from distgrid.cases.importers.matpower.evaluator import read_case


def value(expression: str) -> object:
    """What an expression is as the file's baseMVA."""
    return read_case(f"mpc.baseMVA = {expression};", "case.m").fields["baseMVA"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("50/3", 50 / 3),
        ("135/sqrt(3)", 135 / math.sqrt(3)),
        ("12 / sqrt( 3 )", 12 / math.sqrt(3)),
        ("sin(acos(0.85))", math.sin(math.acos(0.85))),
        ("1 + 2*3 - 4/2", 5.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2^3^2", 64.0),
        ("(1 + 2) * 3", 9.0),
        ("--3", 3.0),
        ("1.33E-05", 1.33e-05),
        (".5e1", 5.0),
        ("1d3", 1000.0),
        ("1e3 ... a remark\n + 1", 1001.0),
        ("pi", math.pi),
        ("10  % a comment; system('ls')", 10.0),
    ],
)
def test_arithmetic(expression: str, expected: float) -> None:
    """Capability 2: as MATLAB computes it."""
    assert value(expression) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("[1 -2]", [[1, -2]]),
        ("[1 - 2]", [[-1]]),
        ("[1 -2 + 3]", [[1, 1]]),
        ("[1, -2; 3 4]", [[1, -2], [3, 4]]),
        ("[\n1 2 % first\n\n3 4;\n]", [[1, 2], [3, 4]]),
        ("[1 ...\n 2]", [[1, 2]]),
        ("[ -1/2 (3) sqrt(4)*2 ]", [[-0.5, 3, 4]]),
        ("[1e3 50/3]", [[1000, 50 / 3]]),
    ],
)
def test_matrices(literal: str, expected: list[list[float]]) -> None:
    """White space separates the elements of a matrix, except around an operator."""
    np.testing.assert_array_equal(value(literal), np.array(expected, dtype=float))


def test_statements_of_the_case_files() -> None:
    """Capability 2: conversions by column names, single elements and other variables."""
    case = read_case(
        """function mpc = c
%{
a block comment with a call: system('ls')
%}
mpc.bus = [1 2 3; 4 5 6];
[A, B, ...
    C] = idx_bus;      % 1, 2, 3
k = mpc.bus(2, B) * 1e3;
mpc.bus(:, [A, C]) = mpc.bus(:, [A C]) / (k^2 / 25e6);
mpc.bus(1, B) = -1, mpc.bus(:, C) = mpc.bus(:, C) .* mpc.bus(:, A);
end
""",
        "case.m",
    )
    np.testing.assert_array_equal(case.fields["bus"], [[1.0, -1.0, 3.0], [4.0, 5.0, 24.0]])
    assert case.title == "c"
    assert case.lines["bus"] == (5, 5)
    assert read_case("define_constants; mpc.baseMVA = ANGMAX + APF;", "c").fields["baseMVA"] == 34.0


REFUSED = [
    "os.system('rm -rf x')",
    "system('touch pwned')",
    "!touch pwned",
    "x = eval('1');",
    "eval('mpc = 1')",
    "x = feval('system', 'ls');",
    "x = cellfun(@(x) system(x), {'ls'});",
    "x = @(y) y;",
    "for k = 1:3, mpc.bus(k, 1) = 1; end",
    "while 1, end",
    "if mpc.baseMVA > 1, end",
    "[s, o] = system('ls');",
    "[s, o] = system;",
    "function helper()\nend",
    "mpc.baseMVA = __import__('os').getpid();",
    "mpc.baseMVA = open('/etc/passwd');",
    "mpc.baseMVA = sqrt('ls');",
    "mpc.baseMVA = exit(1);",
    "mpc.baseMVA = sqrt(1, 2);",
    "mpc.baseMVA = nosuchname;",
    "mpc.baseMVA.x = 1;",
    "mpc.__class__ = 1;",
    "mpc.dcline = [1 2];",
    "other.baseMVA = 1;",
    "mpc.bus = [1 2; 3];",
    "mpc.bus = [1 2",
    "mpc.bus(1, 1) = 1;",
    "mpc.gen = ['a' 'b'];",
    "mpc.gen = [[1 2] 3];",
    "mpc.gen = mpc.nothing;",
    "sqrt = 3;",
    "x = 1:3;",
    "x = [1 2]';",
    "x = 1 == 2;",
    "x = 3 y;",
    "x = \u20ac;",
    "x = 'open",
    "x = {1, system('ls')};",
    "load('other.mat');",
    "clear all",
    "x = " + "(" * 5000 + "1" + ")" * 5000 + ";",
    "x = " + "[" * 5000,
    "x = " + "-" * 5000 + "1;",
    "x = " + "+".join(["1"] * 5000) + ";",
    "x = " + "sqrt(" * 5000,
]


@pytest.mark.parametrize("line", REFUSED, ids=lambda text: text[:24])
def test_everything_else_is_refused_with_its_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Capability 2: a malicious file is refused, naming file and line, and has no effect."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.m"
    file.write_text(f"function mpc = evil\nmpc.baseMVA = 10;\n{line}\n")
    with pytest.raises(CaseError) as caught:
        import_matpower(file)
    problem = caught.value.problems[0]
    assert problem.file == str(file)
    # An opened string or bracket that never closes is noticed where the file ends.
    assert problem.row is not None
    assert 3 <= problem.row <= 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.m"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("x = [1 2] * [1 2];", "matrix \\* matrix"),
        ("x = [1 2] + [1 2 3];", "matrix \\+ matrix"),
        ("x = 1 / [1 2];", "/ with a matrix"),
        ("x = 2 ^ [1 2];", "\\^ with a matrix"),
        ("mpc.bus = [1 2]; mpc.bus(:, 3) = 1;", "column numbers from 1 to 2"),
        ("mpc.bus = [1 2]; mpc.bus(0, 1) = 1;", "row numbers from 1 to 1"),
        ("mpc.bus = [1 2]; mpc.bus(:, [1 1]) = 1;", "each once"),
        ("mpc.bus = [1 2]; mpc.bus(:, 1.5) = 1;", "column numbers"),
        ("mpc.bus = [1 2]; mpc.bus(:, 1) = [1; 2];", "a 2x1 matrix"),
        ("mpc.bus = [1 2]; mpc.bus(:, 1) = 'a';", "text"),
        ("function [a, b] = f", "version 2 of the format"),
        ("mpc.baseMVA = 1; end; x = 2;", "nothing after the end"),
    ],
)
def test_what_cannot_be_computed_is_explained(statement: str, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        read_case(statement, "case.m")


def test_the_parser_calls_no_interpreter() -> None:
    """Capability 2: no eval, exec, compile or attribute lookup by name, in any of its modules."""
    for module in (mlex, mparse, meval):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = node.func.id
                assert called not in ("eval", "exec", "compile", "getattr", "setattr", "__import__"), called
