"""Sequential quadratic programming of many small problems at once, with a trust region and an exact penalty.

R. Fletcher: Practical methods of optimization, 2nd ed., Wiley 1987, ch. 14.4 (Sl1QP), with
the correction for curved limits of ch. 14.5. The rows of a batch share nothing but the calls: all are
evaluated as one batch, and their subproblems are blocks of one conic program.
Boxes and circles stay exact in the subproblem, so that every iterate keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .ac_problem import AcProblem, AcState
from .affine import FloatArray, IntArray
from .quadratic import Blocks, Step, best_step

BoolArray = NDArray[np.bool_]

KEPT = 1e-7  # limits, each in its scale
_MARGIN = 0.1  # limits nearer than this, in their scale, enter the subproblem
_DIFFERENCE = 1e-4  # of a setpoint's size, for second derivatives out of two gradients
_SMALL_STEP, _SMALL_GAIN = 1e-9, 1e-12
_PENALTY, _MOST_GUESS, _MOST_PENALTY = 1.0, 1e4, 1e8
_LEAST_CURVATURE = 1e-8


@dataclass(frozen=True, eq=False)
class Ended:
    """Where each row ended.

    Attributes:
        x: (rows, n_x). value: (rows,) of the whole objective. violation: (rows,) largest excess, scaled.
        converged: (rows,) no step gains more.
        multiplier: (rows, n) of the limits: by how much the objective falls when one gives way by its scale.
        iterations: Of the slowest row.
    """

    x: FloatArray
    value: FloatArray
    violation: FloatArray
    converged: BoolArray
    multiplier: FloatArray
    iterations: int


def minimise(problem: AcProblem, start: FloatArray, *, max_iterations: int = 60) -> Ended:
    """A local minimum of each row.

    Args:
        problem: Of ``start.shape[0]`` rows.
        start: (rows, n_x); brought into boxes and circles first.
        max_iterations: Subproblems of a row at most.
    """
    search = _Search(problem, problem.setpoints.projected(start))
    if not start.shape[1]:
        search.going[:] = False  # there is nothing to set
    done = 0
    while search.going.any() and done < max_iterations:
        search.advance()
        done += 1
    violation = np.maximum(search.excess.max(axis=1, initial=0.0), 0.0)
    total = search.value + problem.setpoints.own(search.x)
    solved = np.isfinite(search.value)
    violation = np.where(solved, violation, np.inf)
    multiplier = search.multiplier / np.where(search.scale > 0.0, search.scale, 1.0)[:, None]
    return Ended(search.x, total, violation, ~search.going & solved, multiplier, done)


class _Search:
    """The iterates of all rows."""

    def __init__(self, problem: AcProblem, x: FloatArray) -> None:
        self.problem, self.x = problem, x
        n = x.shape[0]
        state = problem.evaluate(np.arange(n), x, None)
        self.value, self.excess, self.state = state.value, state.excess, state
        self.multiplier = np.zeros_like(self.excess)
        self.seen = np.zeros(self.excess.shape, dtype=bool)
        self.radius, self.penalty = np.ones(n), np.full(n, _PENALTY)
        self.scale = np.zeros(n)  # of the objective: set by the first gradient
        self.going = np.isfinite(self.value)

    def advance(self) -> None:
        """One subproblem, one power flow and what becomes of it, for all rows that go on."""
        rows = np.flatnonzero(self.going)
        state = self._state_of(rows, np.arange(rows.size))
        blocks = self._blocks(rows, state)
        step = best_step(self.problem.setpoints, blocks)
        trial = np.where(np.isfinite(step.x), step.x, self.x[rows])
        found = self.problem.evaluate(rows, trial, state.v)
        trial, found = self._corrected(rows, blocks, trial, found)
        self._judge(rows, trial, found, step)

    def _corrected(
        self, rows: IntArray, blocks: Blocks, trial: FloatArray, found: AcState
    ) -> tuple[FloatArray, AcState]:
        """The trial with the curvature of limits that it showed taken into account, where that is better."""
        moved = np.einsum("ij,ij->i", blocks.jacobian, (trial - blocks.x)[blocks.row])
        curved = found.excess[blocks.row, blocks.limit] - moved - blocks.excess
        over = np.asarray(np.isfinite(found.value)[:, None] & (found.excess > 0.1 * KEPT))
        row_over: BoolArray = np.asarray(over.any(axis=1))
        if not row_over.any():
            return trial, found
        curved = np.where(np.isfinite(curved), curved, 0.0)
        second = best_step(self.problem.setpoints, replace(blocks, excess=blocks.excess + curved))
        again = np.where(np.isfinite(second.x) & row_over[:, None], second.x, trial)
        other = self.problem.evaluate(rows, again, found.v)
        with np.errstate(invalid="ignore"):
            before = self._merit(rows, trial, found.value, found.excess)
            gains = self._merit(rows, again, other.value, other.excess) < before
        if gains.all():
            return again, other
        if not gains.any():
            return trial, found
        mixed = np.where(gains[:, None], again, trial)
        return mixed, self.problem.evaluate(rows, mixed, other.v)

    def _state_of(self, rows: IntArray, lanes: IntArray) -> AcState:
        """The state of lanes of some rows, solved again where it is not the one that there is."""
        which = rows[lanes]
        if np.array_equal(which, np.arange(self.x.shape[0])):
            return self.state
        return self.problem.evaluate(which, self.x[which], self.state.v[which])

    def _blocks(self, rows: IntArray, state: AcState) -> Blocks:
        near = (self.excess[rows] > -_MARGIN) | self.seen[rows]
        row, limit = np.nonzero(near)
        gradient, jacobian = self._first_derivatives(rows, state, row, limit)
        fresh = self.scale[rows] == 0.0
        if fresh.any():
            size = self.problem.setpoints.size
            whole = np.abs((gradient + self.problem.setpoints.own_slope(self.x[rows])) * size)
            self.scale[rows[fresh]] = 1.0 / np.maximum(whole.max(axis=1, initial=0.0), 1e-9)[fresh]
        scale = self.scale[rows]
        return Blocks(
            x=self.x[rows], radius=self.radius[rows], scale=scale, gradient=gradient * scale[:, None],
            hessian=self._hessian(rows, state), row=row, limit=limit, excess=self.excess[rows][row, limit],
            jacobian=jacobian, penalty=self.penalty[rows],
        )  # fmt: skip

    def _first_derivatives(
        self, rows: IntArray, state: AcState, row: IntArray, limit: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Of the value of each row, and of each (row, limit)."""
        n, m = state.excess.shape
        of_value, of_excess = np.zeros(n + row.size), np.zeros((n + row.size, m))
        of_value[:n] = 1.0
        of_excess[n + np.arange(row.size), limit] = 1.0
        lanes = np.concatenate([np.arange(n), row])
        every = state if n == 1 else self._state_of(rows, lanes)
        found = self.problem.slopes(every, of_value, of_excess)
        return found[:n], found[n:]

    def _hessian(self, rows: IntArray, state: AcState) -> FloatArray:
        """(rows, n_x, n_x) of the Lagrangian, in sizes of setpoints, its negative curvature left out."""
        size = self.problem.setpoints.size
        n, k = rows.size, size.size
        lanes = np.repeat(np.arange(n), 2 * k)
        move = np.concatenate([np.diag(size), -np.diag(size)]) * _DIFFERENCE
        x = self.x[rows][lanes] + np.tile(move, (n, 1))
        moved = self.problem.evaluate(rows[lanes], x, state.v[lanes])
        of_value = self.scale[rows][lanes]
        slope = self.problem.slopes(moved, of_value, self.multiplier[rows][lanes]).reshape(n, 2, k, k)
        second = (slope[:, 0] - slope[:, 1]) * size / (2.0 * _DIFFERENCE)
        second = np.nan_to_num(0.5 * (second + second.transpose(0, 2, 1)))
        values, vectors = np.linalg.eigh(second)
        return np.asarray(
            (vectors * np.maximum(values, _LEAST_CURVATURE)[:, None]) @ vectors.transpose(0, 2, 1)
        )

    def _merit(self, rows: IntArray, x: FloatArray, value: FloatArray, excess: FloatArray) -> FloatArray:
        """(rows,) objective and penalties; inf where the power flow has no solution."""
        total = self.scale[rows] * (value + self.problem.setpoints.own(x))
        over = np.maximum(np.nan_to_num(excess, nan=np.inf), 0.0)
        return np.asarray(total + self.penalty[rows] * over.sum(axis=1))

    def _judge(self, rows: IntArray, trial: FloatArray, found: AcState, step: Step) -> None:
        size = self.problem.setpoints.size
        self._raise_penalty(rows, step)
        step_merit = step.merit(self.penalty[rows])
        now = self._merit(rows, self.x[rows], self.value[rows], self.excess[rows])
        then = self._merit(rows, trial, found.value, found.excess)
        expected = now - self.scale[rows] * self.value[rows] - step_merit - self._unseen(rows, step)
        length = np.abs((trial - self.x[rows]) / size).max(axis=1, initial=0.0)
        noise = 1e-12 * (1.0 + np.abs(now))
        better = np.isfinite(then) & (now - then >= 0.05 * expected - noise)
        small = (length < _SMALL_STEP) | (expected < _SMALL_GAIN * (1.0 + np.abs(now)))
        violated = np.where(np.isfinite(found.value)[:, None], found.excess > 0.0, False)
        self.seen[rows] |= violated
        self._take(rows[better], trial[better], found, better)
        self.multiplier[rows] = 0.0
        self.multiplier[rows[step.row], step.limit] = step.multiplier
        good = better & (now - then > 0.75 * expected) & (length > 0.9 * self.radius[rows])
        self.radius[rows[good]] = np.minimum(2.0 * self.radius[rows[good]], 4.0)
        self.radius[rows[~better]] = 0.25 * np.minimum(self.radius[rows], length)[~better]
        self._finish(rows, small | (self.radius[rows] < _SMALL_STEP))

    def _raise_penalty(self, rows: IntArray, step: Step) -> None:
        """Well above the multipliers, or limits would be exceeded for the sake of the objective."""
        most = np.zeros(rows.size)
        np.maximum.at(most, step.row, step.multiplier)
        wanted = np.where(most > 0.5 * self.penalty[rows], 4.0 * most, self.penalty[rows])
        self.penalty[rows] = np.maximum(np.minimum(wanted, _MOST_GUESS), self.penalty[rows])

    def _unseen(self, rows: IntArray, step: Step) -> FloatArray:
        """The penalty of limits that the subproblem did not have: none is expected to change."""
        inside = np.zeros((rows.size, self.excess.shape[1]), dtype=bool)
        inside[step.row, step.limit] = True
        over = np.where(inside, 0.0, np.maximum(self.excess[rows], 0.0))
        return np.asarray(self.penalty[rows] * over.sum(axis=1))

    def _take(self, rows: IntArray, x: FloatArray, found: AcState, which: BoolArray) -> None:
        if not rows.size:
            return
        self.x[rows], self.value[rows], self.excess[rows] = x, found.value[which], found.excess[which]
        if rows.size == self.x.shape[0]:
            self.state = found
        else:
            every = np.arange(self.x.shape[0])
            self.state = self.problem.evaluate(every, self.x, self.state.v)

    def _finish(self, rows: IntArray, small: BoolArray) -> None:
        """Rows whose steps gain nothing end, unless a higher penalty may bring them inside the limits."""
        over = self.excess[rows].max(axis=1, initial=0.0) > KEPT
        again = small & over & (self.penalty[rows] < _MOST_PENALTY)
        self.penalty[rows[again]] *= 10.0
        self.radius[rows[again]] = 1.0
        self.going[rows[small & ~again]] = False
