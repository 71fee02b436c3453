"""The subproblems of a batch as one conic program: quadratic models, linear limits, boxes and circles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .affine import FloatArray, IntArray
from .conic import clarabel


@dataclass(frozen=True, eq=False)
class Setpoints:
    """What is set, the same in every row: boxes, circles and costs of their own.

    Attributes:
        lower, upper: (n_x,).
        size: (n_x,) of each, by which it is scaled.
        circle: (n, 2) places of what lies in a circle together; radius: (n,).
        square, slope: (n_x,) of the own cost, square x^2 + slope x; constant: of it all.
        piece_of: (n,) place that each straight piece is of; piece: (n, 2) its slope and intercept. The cost
            of a place is the largest of its pieces.
    """

    lower: FloatArray
    upper: FloatArray
    size: FloatArray
    circle: IntArray
    radius: FloatArray
    square: FloatArray
    slope: FloatArray
    constant: float
    piece_of: IntArray
    piece: FloatArray

    def projected(self, x: FloatArray) -> FloatArray:
        """The setpoints inside boxes and circles: reactive power gives way last."""
        inside = np.clip(x, self.lower, self.upper)
        for (a, b), most in zip(self.circle, self.radius, strict=True):
            length = np.hypot(inside[:, a], inside[:, b])
            over = np.maximum(length / most, 1.0)
            shrunk = np.clip(inside[:, [a, b]] / over[:, None], self.lower[[a, b]], self.upper[[a, b]])
            least = np.clip(0.0, self.lower[[a, b]], self.upper[[a, b]])
            outside = np.hypot(*shrunk.T) > most * (1.0 + 1e-12)
            inside[:, [a, b]] = np.where(outside[:, None], least, shrunk)
        return np.asarray(inside)

    def own(self, x: FloatArray) -> FloatArray:
        """(rows,) costs of the setpoints themselves."""
        total = (self.square * x * x + self.slope * x).sum(axis=1) + self.constant
        for place in np.unique(self.piece_of):
            slope, intercept = self.piece[self.piece_of == place].T
            total = total + (x[:, [place]] * slope + intercept).max(axis=1)
        return np.asarray(total)

    def own_slope(self, x: FloatArray) -> FloatArray:
        """(rows, n_x) slopes of `own`, at kinks of one of the two pieces."""
        found = 2.0 * self.square * x + self.slope
        for place in np.unique(self.piece_of):
            slope, intercept = self.piece[self.piece_of == place].T
            found[:, place] += slope[(x[:, [place]] * slope + intercept).argmax(axis=1)]
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Quadratic models around the present setpoints of a batch.

    Attributes:
        x: (rows, n_x) where they are. radius: (rows,) most step, in sizes of setpoints.
        scale: (rows,) of the objective.
        gradient: (rows, n_x) of the scaled value. hessian: (rows, n_x, n_x) in sizes of setpoints.
        row, limit: (n,) the limits that enter. excess: (n,) where they are; jacobian: (n, n_x).
        penalty: (rows,) of each unit beyond a limit.
    """

    x: FloatArray
    radius: FloatArray
    scale: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    row: IntArray
    limit: IntArray
    excess: FloatArray
    jacobian: FloatArray
    penalty: FloatArray


@dataclass(frozen=True, eq=False)
class Step:
    """The best of the models.

    Attributes:
        x: (rows, n_x) setpoints.
        change: (rows,) what the models expect there of the scaled objective, less the value where they stand.
        row, limit, multiplier: (n,) of the limits that entered; beyond: (n,) what they expect of each, at
            least 0.
    """

    x: FloatArray
    change: FloatArray
    beyond: FloatArray
    row: IntArray
    limit: IntArray
    multiplier: FloatArray

    def merit(self, penalty: FloatArray) -> FloatArray:
        """(rows,) the expected objective with a (rows,) penalty for what is beyond the limits."""
        n = self.change.size
        over = np.bincount(self.row, weights=self.beyond, minlength=n)
        return np.asarray(self.change + penalty * over)


def best_step(given: Setpoints, blocks: Blocks) -> Step:
    """Minimise the models of all rows within their radius."""
    n, k = blocks.x.shape
    free = np.flatnonzero(given.upper > given.lower)
    columns = _Columns(n, free, blocks.row.size, np.unique(given.piece_of))
    rows = _Rows(columns.count)
    _add_boxes(rows, given, blocks, columns)
    _add_limits(rows, given, blocks, columns)
    _add_pieces(rows, given, blocks, columns)
    n_linear = rows.count
    circles = _add_circles(rows, given, blocks, columns)
    found = _solved(rows, n_linear, circles, _objective(given, blocks, columns))
    step = np.zeros((n, k))
    z = np.array(found.x)
    step[:, free] = z[columns.step]
    moved = given.projected(blocks.x + step * given.size)
    step = (moved - blocks.x) / given.size
    slack = blocks.excess + np.einsum("ij,ij->i", blocks.jacobian * given.size, step[blocks.row])
    first = columns.box_rows
    multiplier = np.array(found.z)[first : first + blocks.row.size]
    change = _values(given, blocks, moved, step)
    return Step(moved, change, np.maximum(slack, 0.0), blocks.row, blocks.limit, multiplier)


def _values(given: Setpoints, blocks: Blocks, moved: FloatArray, step: FloatArray) -> FloatArray:
    curved = 0.5 * np.einsum("ni,nij,nj->n", step, blocks.hessian, step)
    return np.asarray(
        (blocks.gradient * given.size * step).sum(axis=1) + curved + blocks.scale * given.own(moved)
    )


class _Columns:
    """Places of the steps (rows, free), slacks (limits) and tops of pieces (rows, places)."""

    def __init__(self, n: int, free: IntArray, n_limits: int, pieces: IntArray) -> None:
        self.free, self.pieces = free, pieces
        self.step = np.arange(n * free.size).reshape(n, free.size)
        self.slack = self.step.size + np.arange(n_limits)
        self.top = self.step.size + n_limits + np.arange(n * pieces.size).reshape(n, pieces.size)
        self.count = self.step.size + n_limits + self.top.size
        self.box_rows = 2 * self.step.size


class _Rows:
    """Rows of A x + s = b as they are put together."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns, self.count = n_columns, 0
        self.row: list[IntArray] = []
        self.column: list[IntArray] = []
        self.value: list[FloatArray] = []
        self.right: list[FloatArray] = []

    def add(self, right: FloatArray, *entries: tuple[IntArray, IntArray, FloatArray]) -> None:
        """Rows with (row, column, value), rows counted from the first of them."""
        for row, column, value in entries:
            self.row.append(self.count + row.ravel())
            self.column.append(column.ravel())
            self.value.append(np.broadcast_to(value, row.shape).ravel())
        self.right.append(right.ravel())
        self.count += right.size


def _add_boxes(rows: _Rows, given: Setpoints, blocks: Blocks, columns: _Columns) -> None:
    free, size = columns.free, given.size[columns.free]
    up = np.minimum((given.upper[free] - blocks.x[:, free]) / size, blocks.radius[:, None])
    down = np.minimum((blocks.x[:, free] - given.lower[free]) / size, blocks.radius[:, None])
    one, at = np.ones(columns.step.size), np.arange(columns.step.size)
    rows.add(up, (at, columns.step.ravel(), one))
    rows.add(down, (at, columns.step.ravel(), -one))


def _add_limits(rows: _Rows, given: Setpoints, blocks: Blocks, columns: _Columns) -> None:
    """excess + J step <= slack, 0 <= slack."""
    n = blocks.row.size
    at, one = np.arange(n), np.ones(n)
    jacobian = (blocks.jacobian * given.size)[:, columns.free]
    steps = columns.step[blocks.row]
    lines = np.broadcast_to(at[:, None], steps.shape)
    rows.add(-blocks.excess, (lines, steps, jacobian), (at, columns.slack, -one))
    rows.add(np.zeros(n), (at, columns.slack, -one))


def _add_pieces(rows: _Rows, given: Setpoints, blocks: Blocks, columns: _Columns) -> None:
    """slope x + intercept <= top, both in the scale of the objective."""
    n = blocks.x.shape[0]
    at, one = np.arange(n), np.ones(n)
    for place, (slope, intercept) in zip(given.piece_of, given.piece, strict=True):
        right = -blocks.scale * (slope * blocks.x[:, place] + intercept)
        entries = [(at, columns.top[:, int(np.searchsorted(columns.pieces, place))], -one)]
        moves = np.flatnonzero(columns.free == place)
        if moves.size:
            entries.append((at, columns.step[:, moves[0]], blocks.scale * slope * given.size[place]))
        rows.add(right, *entries)


def _add_circles(rows: _Rows, given: Setpoints, blocks: Blocks, columns: _Columns) -> int:
    """Triples (radius, a, b) of each row and circle; their number."""
    n = blocks.x.shape[0]
    for (a, b), most in zip(given.circle, given.radius, strict=True):
        right = np.stack([np.full(n, most), blocks.x[:, a], blocks.x[:, b]], axis=1)
        entries = []
        for member, place in ((1, a), (2, b)):
            moves = np.flatnonzero(columns.free == place)
            if moves.size:
                size = np.full(n, -given.size[place])
                entries.append((3 * np.arange(n) + member, columns.step[:, moves[0]], size))
        rows.add(right, *entries)
    return n * len(given.circle)


def _objective(given: Setpoints, blocks: Blocks, columns: _Columns) -> tuple[Any, FloatArray]:
    import scipy.sparse as sp

    free, size = columns.free, given.size[columns.free]
    k = columns.step.shape[1]
    curvature = blocks.hessian[:, free[:, None], free].copy()
    own = 2.0 * blocks.scale[:, None] * given.square[free] * size**2
    curvature[:, np.arange(k), np.arange(k)] += own
    linear = np.zeros(columns.count)
    slope = 2.0 * given.square[free] * blocks.x[:, free] + given.slope[free]
    linear[columns.step] = (blocks.gradient[:, free] + blocks.scale[:, None] * slope) * size
    linear[columns.slack] = blocks.penalty[blocks.row]
    linear[columns.top] = 1.0
    i, j = np.triu_indices(k)
    entries = (curvature[:, i, j].ravel(), (columns.step[:, i].ravel(), columns.step[:, j].ravel()))
    return sp.csc_matrix(entries, shape=(columns.count, columns.count)), linear


def _solved(rows: _Rows, n_linear: int, circles: int, objective: tuple[Any, FloatArray]) -> Any:
    import scipy.sparse as sp

    solver = clarabel()
    settings = solver.DefaultSettings()
    settings.verbose = settings.presolve_enable = settings.chordal_decomposition_enable = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    settings.max_threads = 1
    entries = (np.concatenate(rows.value), (np.concatenate(rows.row), np.concatenate(rows.column)))
    matrix = sp.csc_matrix(entries, shape=(rows.count, rows.n_columns))
    cones = [solver.NonnegativeConeT(n_linear)] + [solver.SecondOrderConeT(3)] * circles
    return solver.DefaultSolver(*objective, matrix, np.concatenate(rows.right), cones, settings).solve()
