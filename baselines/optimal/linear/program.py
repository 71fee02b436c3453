"""The linear (or mixed-integer) program of a linear model, by HiGHS, with the rows that matter.

Circles of inverters, ratings, and the curvature of losses are convex: each is a set of tangents, and one more
is added where a solution passes the curve, as is the row of a voltage limit that a solution breaks (Kelley,
J. SIAM 8(4), 1960). A limit may be exceeded at a price far above anything the objective could be worth: a
program has a solution where the feeder has none, and says by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RunError
from ..affine import FloatArray
from .controls import Controls
from .limits import FlatLimits
from .model import LinearModel

_KEPT = 1e-9  # excess over a limit that is left, pu, MVA, MW
_CURVE = 1e-9  # of the range of the objective: error of its curvature that is left
_PRICE = 1e4  # of the range of the objective, per pu, MVA, MW beyond a limit
_CURVE_WHOLE = 1e-5  # the same with integers, once the program without them is solved to the full
_FLAT = 1e-6  # of the range of the objective: curvature of no account
_ROUNDS = 80


@dataclass(frozen=True)
class Task:
    """What is made small beside the smooth part that the model has.

    Attributes:
        p_price: (n_unit,) per MW of each unit. p_curve: (n_unit,) second derivative.
        pieces: For each unit (n, 2) slopes and intercepts of which the largest counts.
        deviation: Weight of the sum over nodes of |V - 1|. on_off: Units that may be off, with nothing.
        most_on: Of these at once.
    """

    p_price: FloatArray
    p_curve: FloatArray
    pieces: tuple[FloatArray, ...]
    deviation: float = 0.0
    on_off: tuple[int, ...] = ()
    most_on: int | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """The solution of a program: columns, what it says of squared voltages, and prices of limits."""

    x: FloatArray
    v2: FloatArray
    slack: float  # the largest excess that the program itself leaves, in its unit
    mip_gap: float
    duals: tuple[tuple[str, int, float], ...]  # kind, element, price


def solve_program(
    controls: Controls, model: LinearModel, limits: FlatLimits, task: Task, least: FloatArray,
    most: FloatArray,
) -> Found:  # fmt: skip
    """The best of the linear model between ``least`` and ``most`` (n,), the trust region."""
    return _Program(controls, model, limits, task, least, most).solved()


class _Program:
    def __init__(
        self, controls: Controls, model: LinearModel, limits: FlatLimits, task: Task, least: FloatArray,
        most: FloatArray,
    ) -> None:  # fmt: skip
        import highspy

        self.controls, self.model, self.limits, self.task = controls, model, limits, task
        self.highs = highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        highs.setOptionValue("random_seed", 0)
        highs.setOptionValue("primal_feasibility_tolerance", 1e-9)
        highs.setOptionValue("dual_feasibility_tolerance", 1e-9)
        highs.setOptionValue("mip_rel_gap", 1e-6)
        self.whole: list[int] = []
        self.n_columns, self.n_rows, self.precision = 0, 0, _CURVE
        self.has: dict[tuple[str, int], int] = {}  # slack column of a limit
        self.named: list[
            tuple[int, str, int, float]
        ] = []  # row, kind, element, by how much for one of its unit
        n_unit, n = len(controls.units), controls.n
        slope, curve = model.slope.copy(), model.curve.copy()
        p0 = model.x0[:n_unit]
        slope[:n_unit] += task.p_price + task.p_curve * p0
        curve[np.arange(n_unit), np.arange(n_unit)] += task.p_curve
        wide = most - least
        self.range = float(np.abs(slope) @ wide + 0.5 * wide @ np.abs(curve) @ wide) + 1e-6
        for k in range(n):
            self.column(least[k], most[k], slope[k], bool(controls.whole[k]))
        self._curvature(curve, wide)
        self._pieces()
        self._deviation()
        self._switches()

    def column(self, least: float, most: float, cost: float, whole: bool = False) -> int:
        self.highs.addCol(float(cost), float(least), float(most), 0, np.empty(0, np.int32), np.empty(0))
        if whole:
            self.whole.append(self.n_columns)
        self.n_columns += 1
        return self.n_columns - 1

    def row(self, least: float, most: float, columns: Sequence[int] | Any, values: Any) -> int:
        at, value = np.asarray(columns, dtype=np.int32), np.asarray(values, dtype=np.float64)
        some = value != 0.0
        self.highs.addRow(float(least), float(most), int(some.sum()), at[some], value[some])
        self.n_rows += 1
        return self.n_rows - 1

    # -- what the objective has beside its slope ----------------------------------------------------------

    def _curvature(self, curve: FloatArray, wide: FloatArray) -> None:
        """A direction s of each eigenvector, weighted, with e at least s^2 / 2 by tangents."""
        scaled = curve * np.outer(wide, wide)
        size, vector = np.linalg.eigh(scaled)
        kept = np.flatnonzero(size > max(_FLAT * self.range, 1e-12))
        safe = np.where(wide > 0.0, wide, 1.0)
        self.weight, self.s, self.e = size[kept], [], []
        for k in kept:
            direction = np.where(wide > 0.0, vector[:, k] / safe, 0.0)
            s = self.column(-np.inf, np.inf, 0.0)
            e = self.column(0.0, np.inf, size[k])
            n = self.controls.n
            at = float(direction @ self.model.x0)
            self.row(-at, -at, [*range(n), s], [*(-direction), 1.0])
            reach = float(np.abs(direction) @ wide)
            self.s.append(s)
            self.e.append(e)
            for point in (-1.0, -0.3, -0.1, 0.1, 0.3, 1.0):
                self._tangent(s, e, point * reach)

    def _tangent(self, s: int, e: int, point: float) -> None:
        self.row(-0.5 * point * point, np.inf, [e, s], [1.0, -point])

    def _pieces(self) -> None:
        for k, pieces in enumerate(self.task.pieces):
            if len(pieces):
                top = self.column(-np.inf, np.inf, 1.0)
                for slope, intercept in pieces:
                    self.row(intercept, np.inf, [top, k], [1.0, -slope])

    def _deviation(self) -> None:
        """|V - 1| of every node, V linear about the operating point."""
        if not self.task.deviation:
            return
        v = np.sqrt(self.model.v2)
        for node in np.flatnonzero(np.isfinite(v)):
            by = self.model.by_v2[:, node] / (2.0 * v[node])
            own = v[node] - by @ self.model.x0 - 1.0
            if not np.abs(by).any():
                continue
            size = self.column(0.0, np.inf, self.task.deviation)
            every = [*range(self.controls.n), size]
            self.row(own, np.inf, every, [*(-by), 1.0])
            self.row(-own, np.inf, every, [*by, 1.0])

    def _switches(self) -> None:
        """A unit that is off has no power; one that is on keeps its box."""
        n_unit, columns = len(self.controls.units), []
        for k in self.task.on_off:
            on = self.column(0.0, 1.0, 0.0, True)
            columns.append(on)
            for at in (k, n_unit + k):
                self.row(0.0, np.inf, [at, on], [1.0, -self.controls.least[at]])
                self.row(-np.inf, 0.0, [at, on], [1.0, -self.controls.most[at]])
        if columns and self.task.most_on is not None:
            self.row(-np.inf, float(self.task.most_on), columns, np.ones(len(columns)))

    # -- rows where they matter -----------------------------------------------------------------------------

    def solved(self) -> Found:
        """Without whole numbers first: most of the tangents are those that whole numbers need, too."""
        value = self._cut()
        if self.whole:
            from highspy import HighsVarType

            for column in self.whole:
                self.highs.changeColIntegrality(column, HighsVarType.kInteger)
            self.precision = _CURVE_WHOLE
            value = self._cut()
        return self._found(value)

    def _cut(self) -> FloatArray:
        """Solve, add what the solution passes, until it passes nothing."""
        for _ in range(_ROUNDS):
            self._run()
            value = np.array(self.highs.getSolution().col_value)
            if not self._added(value):
                break
        return value

    def _run(self) -> None:
        """Solve; once more from nothing and less exactly where the solver does not get through."""
        for tolerance in (None, 1e-7):
            if tolerance is not None:
                self.highs.clearSolver()
                self.highs.setOptionValue("primal_feasibility_tolerance", tolerance)
                self.highs.setOptionValue("dual_feasibility_tolerance", tolerance)
            self.highs.run()
            status = self.highs.modelStatusToString(self.highs.getModelStatus())
            if status == "Optimal":
                return
            if status == "Infeasible":
                raise RunError(
                    "the boxes, circles, steps and the number of units that may be on leave nothing to "
                    "choose from"
                )
        raise RunError(f"HiGHS ends with {status!r}: neither a solution nor that there is none")

    def _added(self, value: FloatArray) -> bool:
        x, before = value[: self.controls.n], self.n_rows
        for s, e, weight in zip(self.s, self.e, self.weight, strict=True):
            if weight * (0.5 * value[s] ** 2 - value[e]) > self.precision * self.range:
                self._tangent(s, e, value[s])
        self._circles(x)
        v2, flow, head = self._at(x)
        for kind, excess in self.limits.excess(v2, flow, head).items():
            for k in np.flatnonzero(excess > _KEPT):
                self._limit(kind, int(k), flow, value, float(excess[k]))
        return self.n_rows > before

    def _at(self, x: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        step, model = x - self.model.x0, self.model
        flow = model.flow + np.tensordot(step, model.by_flow, 1)
        return model.v2 + step @ model.by_v2, flow, float(model.head + step @ model.by_head)

    def _circles(self, x: FloatArray) -> None:
        n_unit = len(self.controls.units)
        scale = self.controls.scale
        for k, unit in enumerate(self.controls.units):
            p, q = x[k] * scale[k], x[n_unit + k] * scale[n_unit + k]
            size = np.hypot(p, q)
            if size > unit.s_mva + _KEPT:
                row = self.row(-np.inf, unit.s_mva, [k, n_unit + k],
                               [p / size * scale[k], q / size * scale[n_unit + k]])  # fmt: skip
                self.named.append((row, "s_max", k, 1.0))

    def _limit(self, kind: str, k: int, flow: FloatArray, value: FloatArray, excess: float) -> None:
        model, limits, n = self.model, self.limits, self.controls.n
        slack = self.has.get((kind, k))
        if slack is not None and (not kind.startswith("thermal") or excess <= value[slack] + _KEPT):
            return
        if slack is None:
            slack = self.has[kind, k] = self.column(0.0, np.inf, _PRICE * self.range)
        limit = limits.limit(kind, k)
        if kind.startswith("v_"):
            sign = 1.0 if kind == "v_max" else -1.0
            by, own, most, one = sign * model.by_v2[:, k], sign * model.v2[k], sign * limit**2, 2.0 * limit
        elif kind.startswith("thermal"):
            end = 0 if kind == "thermal_from" else 1
            p, q = flow[end, :, k] / np.hypot(*flow[end, :, k])
            by = p * model.by_flow[:, end, 0, k] + q * model.by_flow[:, end, 1, k]
            own, most, one = p * model.flow[end, 0, k] + q * model.flow[end, 1, k], limit, 1.0
        else:
            sign = 1.0 if kind == "import" else -1.0
            by, own, most, one = sign * model.by_head, sign * model.head, limit, 1.0
        row = self.row(-np.inf, most - own + by @ model.x0, [*range(n), slack], [*by, -one])
        self.named.append((row, kind, k, one))

    def _found(self, value: FloatArray) -> Found:
        x = value[: self.controls.n].copy()
        x[self.controls.whole] = np.round(x[self.controls.whole])
        v2, flow, head = self._at(x)
        info, duals = self.highs.getInfo(), []
        if not self.whole:
            price = np.array(self.highs.getSolution().row_dual)
            duals = [(kind, k, float(-price[row] * one)) for row, kind, k, one in self.named]
        gap = float(info.mip_gap) if self.whole else 0.0
        return Found(x, v2, self.limits.worst(v2, flow, head), gap, tuple(duals))
