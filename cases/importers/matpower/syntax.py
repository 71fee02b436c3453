"""The tree of a statement of a MATPOWER case file, which `mparse` makes and `meval` computes."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np


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


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A matrix that was computed while it was read, as a tree of its elements would take 50 times the file.

    Attributes:
        values: (rows, columns) numbers.
        lines: line on which each row starts.
        roots: positions (row by row) of the elements that are written `Y/sqrt(3)`, rising.
        numerators: Y of each of these; NaN where it is no plain number.
        line: line of the opening bracket.
    """

    values: np.ndarray
    lines: array[int]
    roots: np.ndarray
    numerators: np.ndarray
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
class ColumnList:
    """`[names] = idx_bus` and its like."""

    names: tuple[str, ...]
    function: str
    line: int


Statement: TypeAlias = Assign | ColumnList
