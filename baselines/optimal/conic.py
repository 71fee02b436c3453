"""A program as matrices in Clarabel, solved again and again with other numbers in place."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from .affine import Affine, FloatArray
from .program import CONE, NONNEG, ZERO, Program, Rows

SOLVED, ALMOST, INFEASIBLE, UNBOUNDED, FAILED = "solved", "almost", "infeasible", "unbounded", "failed"
_STATUS = {
    "Solved": SOLVED, "AlmostSolved": ALMOST, "InsufficientProgress": ALMOST,
    "PrimalInfeasible": INFEASIBLE, "AlmostPrimalInfeasible": INFEASIBLE,
    "DualInfeasible": UNBOUNDED, "AlmostDualInfeasible": UNBOUNDED,
}  # fmt: skip


@dataclass(frozen=True)
class Bound:
    """A value of the objective that no point of the program can fall below.

    It is the Lagrangian at the solver's multipliers, moved onto the dual cones where rounding left them
    outside, at the worst point of a box. So it holds whatever tolerance the solver ended at, for all points
    whose columns keep to the reach that they were made with.

    Attributes:
        value: The bound, ``margin`` taken off.
        margin: The most that the dual residual can be worth within the box: the numerical safety margin.
    """

    value: float
    margin: float


@dataclass(frozen=True, eq=False)
class ConicSolution:
    """What the solver ended with.

    Attributes:
        status: SOLVED, ALMOST, INFEASIBLE, UNBOUNDED or FAILED; ``solver_status`` in its own words.
        x: Values of the columns; z: multipliers of the rows.
        iterations, seconds: Of the solver alone.
    """

    status: str
    solver_status: str
    x: FloatArray
    z: FloatArray
    iterations: int
    seconds: float
    compiled: Compiled
    cost: FloatArray
    constant: float
    right: FloatArray

    def dual(self, rows: Rows) -> FloatArray:
        """Multipliers in the shape of the rows, the members of a cone along a further last axis.

        By so much the objective falls when the expression of a row grows by 1 beyond its own.
        """
        shape = rows.shape if rows.dimension == 1 else (*rows.shape, rows.dimension)
        return self.z[self.compiled.place(rows)].reshape(shape)

    @property
    def solved(self) -> bool:
        """Whether there is a point and a bound, to the solver's tolerance or nearly."""
        return self.status in (SOLVED, ALMOST)

    @cached_property
    def objective(self) -> float:
        """Of the point x."""
        return float(self.cost @ self.x + self.constant)

    @cached_property
    def bound(self) -> Bound:
        """See `Bound`; minus infinity where the solver has no multipliers to show."""
        if not self.solved:
            return Bound(-np.inf, np.inf)
        return self.compiled.lagrangian(self)


class Compiled:
    """Matrices of a program, kept by the solver; costs and constants of rows change in place."""

    def __init__(self, program: Program, *, tolerance: float = 1e-11, max_iterations: int = 200) -> None:
        import scipy.sparse as sp

        self.program = program
        self.n_columns = program.n_columns
        counts = {kind: sum(r.size for r in program.rows if r.kind == kind) for kind in (ZERO, NONNEG, CONE)}
        self._offset = {ZERO: 0, NONNEG: counts[ZERO], CONE: counts[ZERO] + counts[NONNEG]}
        self.n_rows = sum(counts.values())
        self.right: FloatArray = np.zeros(self.n_rows)
        row, column, value = [], [], []
        for rows in program.rows:
            place = self.place(rows)
            self.right[place] = rows.expression.constant
            row.append(place.start + rows.expression.row)
            column.append(rows.expression.column)
            value.append(-rows.expression.value)
        entries = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
        self.matrix = sp.csc_matrix(entries, shape=(self.n_rows, self.n_columns))
        self.matrix.sum_duplicates()
        self.cost, self.constant = self._costs(program.objective)
        self.reach = np.concatenate(program.reach)
        self._counts = counts
        self._dimensions = self._cone_dimensions()
        self._settings = (tolerance, max_iterations)
        self._solver = self._made()

    def place(self, rows: Rows) -> slice:
        """Where these rows stand."""
        first = self._offset[rows.kind] + rows.first
        return slice(first, first + rows.size)

    def set_constant(self, rows: Rows, constant: FloatArray) -> None:
        """Other constants of the expressions of rows, for the next solve."""
        self.right[self.place(rows)] = np.asarray(constant, dtype=np.float64).ravel()

    def set_objective(self, objective: Affine) -> None:
        """Another objective, in the columns that there are."""
        self.cost, self.constant = self._costs(objective)

    def add_to_objective(self, change: Affine) -> None:
        """Add an expression of shape () to the objective."""
        cost, constant = self._costs(change)
        self.cost, self.constant = self.cost + cost, self.constant + constant

    def _costs(self, objective: Affine) -> tuple[FloatArray, float]:
        cost = np.bincount(objective.column, weights=objective.value, minlength=self.n_columns)
        return np.asarray(cost, dtype=np.float64), float(objective.constant)

    def solve(self) -> ConicSolution:
        """Solve with the present numbers."""
        start = time.perf_counter()
        self._solver.update(b=self.right, q=self.cost)
        found = self._solver.solve()
        took = time.perf_counter() - start
        said = str(found.status)
        return ConicSolution(
            _STATUS.get(said, FAILED), said, np.array(found.x), np.array(found.z), int(found.iterations),
            took, self, self.cost, self.constant, self.right.copy(),
        )  # fmt: skip

    def lagrangian(self, found: ConicSolution) -> Bound:
        """The bound that the multipliers of a solution prove."""
        z = self.in_dual_cones(found.z)
        residual = np.abs(found.cost + self.matrix.T @ z)
        rounding = np.finfo(float).eps * (abs(self.matrix).T @ np.abs(z) + np.abs(found.cost))
        margin = float((residual + rounding) @ self.reach)
        margin += float(np.finfo(float).eps * (np.abs(found.right) @ np.abs(z)))
        return Bound(float(found.constant - found.right @ z) - margin, margin)

    def in_dual_cones(self, multipliers: FloatArray) -> FloatArray:
        """Multipliers that prove a bound: those of a solution, put where its tolerance left them outside."""
        z = multipliers.copy()
        low, cones = self._offset[NONNEG], self._offset[CONE]
        np.maximum(z[low:cones], 0.0, out=z[low:cones])
        for rows in self.program.rows:
            if rows.kind == CONE:
                own = z[self.place(rows)].reshape(-1, rows.dimension)
                length = np.sqrt(np.square(own[:, 1:]).sum(axis=1)) * (1.0 + 1e-15)
                np.maximum(own[:, 0], length, out=own[:, 0])
        return z

    def _cone_dimensions(self) -> NDArray[np.int64]:
        each = [
            np.full(rows.size // rows.dimension, rows.dimension)
            for rows in self.program.rows
            if rows.kind == CONE
        ]
        return np.concatenate(each) if each else np.empty(0, dtype=np.int64)

    def _square(self) -> Any:
        """(n_columns, n_columns) sparse, of the quadratic part of the objective: there is none."""
        import scipy.sparse as sp

        return sp.csc_matrix((self.n_columns, self.n_columns))

    def _made(self) -> Any:
        import scipy.sparse as sp

        solver = clarabel()
        settings = solver.DefaultSettings()
        settings.verbose = False
        settings.presolve_enable = settings.chordal_decomposition_enable = False  # or nothing can be updated
        tolerance, settings.max_iter = self._settings
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        settings.max_threads = 1
        cones = [solver.ZeroConeT(self._counts[ZERO]), solver.NonnegativeConeT(self._counts[NONNEG])]
        cones = [cone for cone, kind in zip(cones, (ZERO, NONNEG), strict=True) if self._counts[kind]]
        cones += [solver.SecondOrderConeT(int(n)) for n in self._dimensions]
        return solver.DefaultSolver(
            sp.triu(self._square(), format="csc"), self.cost, self.matrix, self.right, cones, settings
        )


def clarabel() -> Any:
    """The module of the solver; RunError that names the extra where it is not installed."""
    try:
        return importlib.import_module("clarabel")
    except ImportError as missing:
        raise RunError("this needs the conic solver clarabel: pip install 'distgrid[optimal]'") from missing
