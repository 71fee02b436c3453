"""A conic program while it is put together: columns, rows in cones, an objective.

Rows are written as expressions that lie in a cone: ``zero(e)`` says e = 0, ``nonneg(e)`` e >= 0 and
``cone(h, a, b)`` sqrt(a^2 + b^2) <= h, for arrays element by element. Rows that stand for a limit of the
outside world carry a `Limit`, which names it when it binds or when it cannot be kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .affine import Affine, FloatArray, stacked

ZERO, NONNEG, CONE = "zero", "nonneg", "cone"


@dataclass(frozen=True)
class Limit:
    """What a group of rows stands for outside of the program.

    Attributes:
        kind: "v_max", "thermal", "p_max", ...
        unit: Of ``value`` and of slacks: "pu", "MVA", "MW".
        element: Name of bus, branch or device of each row, in the shape of the last axis.
        value: The limit itself, broadcast to the rows.
        per_unit: How much the expression of a row grows when the limit is relaxed by one ``unit``.
    """

    kind: str
    unit: str
    element: NDArray[np.object_]
    value: FloatArray
    per_unit: FloatArray


@dataclass(eq=False)
class Rows:
    """Rows that belong together; (..., dimension) of them lie in one cone each.

    Attributes:
        shape: Of the array of cones.
        dimension: Of each cone; 1 where rows stand alone.
        first: Place of the first row among those of its kind.
    """

    kind: str
    shape: tuple[int, ...]
    dimension: int
    first: int
    expression: Affine = field(repr=False)
    limit: Limit | None = None
    slack: Affine | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dimension


class Program:
    """Columns, rows and the objective, until `conic.Compiled` turns them into matrices.

    With ``elastic=True`` every row that has a `Limit` may be exceeded: the objective is then the sum of what
    is exceeded, and whatever `minimise` is told is left out.
    """

    def __init__(self, *, elastic: bool = False) -> None:
        self.elastic = elastic
        self.n_columns = 0
        self.reach: list[FloatArray] = []
        self.rows: list[Rows] = []
        self.objective = Affine(0.0)
        self._counts = {ZERO: 0, NONNEG: 0, CONE: 0}

    # -- columns -----------------------------------------------------------------------------------------

    def columns(self, shape: tuple[int, ...], reach: float | FloatArray) -> Affine:
        """New columns.

        Args:
            shape: Of the array.
            reach: Size that they cannot exceed at any point worth a bound; see `conic.Bound`.
        """
        size = int(np.prod(shape, dtype=np.int64))
        found = np.arange(self.n_columns, self.n_columns + size).reshape(shape)
        self.n_columns += size
        self.reach.append(np.broadcast_to(np.asarray(reach, dtype=np.float64), shape).ravel())
        return Affine.of_columns(found)

    def reach_of(self, expression: Affine) -> FloatArray:
        """(its shape) sizes that the expressions cannot exceed where the columns keep to their reach."""
        reach = np.concatenate(self.reach) if self.reach else np.empty(0)
        bare = Affine(
            np.abs(expression.constant), expression.row, expression.column, np.abs(expression.value)
        )
        return bare.at(reach)

    # -- rows --------------------------------------------------------------------------------------------

    def zero(self, expression: Affine) -> Rows:
        """Each expression is 0."""
        return self._add(ZERO, expression, expression.shape, 1, None)

    def nonneg(self, expression: Affine, limit: Limit | None = None) -> Rows:
        """Each expression is 0 or more."""
        slack = self._slack(expression.shape, limit)
        return self._add(
            NONNEG, expression if slack is None else expression + slack, expression.shape, 1, limit, slack
        )

    def cone(self, head: Affine, *tail: Affine, limit: Limit | None = None) -> Rows:
        """The root of the sum of squares of the tails is at most the head, element by element."""
        shape = np.broadcast_shapes(head.shape, *(part.shape for part in tail))
        slack = self._slack(shape, limit)
        parts = [(head if slack is None else head + slack).broadcast(shape)]
        parts += [part.broadcast(shape) for part in tail]
        together = stacked([part.reshape(-1) for part in parts])  # (dimension, cones)
        order = np.arange(together.size).reshape(together.shape).T
        return self._add(CONE, together.reshape(-1)[order.ravel()], shape, len(parts), limit, slack)

    def rotated(self, a: Affine, b: Affine, *tail: Affine) -> Rows:
        """The sum of squares of the tails is at most a b, and a and b are 0 or more."""
        return self.cone(a + b, a - b, *(2.0 * part for part in tail))

    def _slack(self, shape: tuple[int, ...], limit: Limit | None) -> Affine | None:
        if not self.elastic or limit is None:
            return None
        slack = self.columns(shape, 1.0)
        self._add(NONNEG, slack, shape, 1, None)
        self.objective = self.objective + slack.sum()
        return slack * np.broadcast_to(limit.per_unit, shape)

    def _add(
        self, kind: str, expression: Affine, shape: tuple[int, ...], dimension: int, limit: Limit | None,
        slack: Affine | None = None,
    ) -> Rows:  # fmt: skip
        rows = Rows(kind, shape, dimension, self._counts[kind], expression.reshape(-1), limit, slack)
        self._counts[kind] += rows.size
        self.rows.append(rows)
        return rows

    # -- objective ---------------------------------------------------------------------------------------

    def minimise(self, expression: Affine) -> None:
        """Add an expression of shape () to what is minimised."""
        if not self.elastic:
            self.objective = self.objective + expression

    def square(self, expression: Affine, weight: float | FloatArray = 1.0) -> Affine:
        """(shape of the expression) an upper bound of its square, tight where it is minimised.

        A square is a cone of its own; what is minimised may have it with any weight of 0 or more.
        """
        top = self.columns(expression.shape, self.reach_of(expression) ** 2)
        one = Affine(np.ones(expression.shape))
        self.rotated(top, one, expression)
        return top * weight

    def most(self, expression: Affine, floor: float | None = None) -> Affine:
        """(shape ()) an upper bound of all expressions (and of ``floor``), tight where it is minimised."""
        top = self.columns((), max(float(self.reach_of(expression).max()), abs(floor or 0.0)))
        self.nonneg(top - expression)
        if floor is not None:
            self.nonneg(top - floor)
        return top

    def positive(self, expression: Affine) -> Affine:
        """(its shape) an upper bound of the part of each expression above 0, tight where minimised."""
        top = self.columns(expression.shape, self.reach_of(expression))
        self.nonneg(top)
        self.nonneg(top - expression)
        return top
