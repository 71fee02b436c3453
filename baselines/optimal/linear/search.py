"""Linear programs, each about the replay of the last, until the AC power flow agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RunError
from ..affine import FloatArray
from .controls import Controls
from .limits import FlatLimits
from .model import Observed, linearised
from .program import Found, Task, solve_program

KEPT = 1e-6  # of a limit in the replay, in its own unit
_STILL = 1e-6  # of a column's range: a step of no account
GAIN = 1e-8  # of the objective: no gain of account
_FLAT = 1e-3  # of the objective: steps among plans that are about as good are damped the more
_FLAT_DAMPING = 0.1
_LEAST_RADIUS = 1e-7


@dataclass(frozen=True, eq=False)
class Wanted:
    """The objective, as a program reads it and as a replay is worth."""

    controls: Controls
    objective: str
    head_usd_mwh: float
    on_off: tuple[int, ...]
    most_on: int | None

    @property
    def scalar(self) -> dict[str, float]:
        """The smooth part, of the power flow."""
        if self.objective == "loss":
            return {"p_loss_mw": 1.0}
        return {"p_slack_mw": self.head_usd_mwh} if self.objective == "cost" else {}

    @property
    def task(self) -> Task:
        """The rest."""
        units, cost = self.controls.units, self.objective == "cost"
        price, curve = np.zeros(len(units)), np.zeros(len(units))
        if cost:
            price = np.array([unit.cost[1] for unit in units], dtype=np.float64)
            curve = np.array([2.0 * unit.cost[0] for unit in units], dtype=np.float64)
        elif self.objective == "host":
            price = -np.ones(len(units))
        pieces = tuple(unit.pieces if cost and unit.points else np.empty((0, 2)) for unit in units)
        deviation = 1.0 if self.objective == "voltage" else 0.0
        return Task(price, curve, pieces, deviation, self.on_off, self.most_on)

    def values(self, x: FloatArray, sol: Any) -> FloatArray:
        """(batch,) of replays of rows ``x``, smaller is better."""
        p = x[:, : len(self.controls.units)]
        if self.objective == "loss":
            return np.array(sol.p_loss_mw, dtype=np.float64)
        if self.objective == "host":
            return np.asarray(-p.sum(axis=1))
        if self.objective == "voltage":
            return np.asarray(np.nansum(np.abs(sol.v_pu - 1.0).reshape(len(x), -1), axis=1))
        units = self.controls.units
        own = [sum(u.cost_usd_per_h(float(one)) for u, one in zip(units, row, strict=True)) for row in p]
        return self.head_usd_mwh * np.array(sol.p_slack_mw, dtype=np.float64) + np.array(own)


@dataclass(frozen=True, eq=False)
class Point:
    """A plan and its replay."""

    x: FloatArray
    sol: Any
    seen: Observed
    value: float
    violation: float
    found: Found
    residual: float

    @property
    def merit(self) -> tuple[float, float]:
        """Limits first."""
        return merit_of(self.violation, self.value)


def merit_of(violation: float, value: float) -> tuple[float, float]:
    """Of a replay, smaller is better: limits first."""
    return (violation if violation > KEPT else 0.0, value)


class Search:
    """Program after program, each about the replay of the last."""

    def __init__(self, controls: Controls, limits: FlatLimits, wanted: Wanted, tolerance_pu: float) -> None:
        self.controls, self.limits, self.wanted, self.tolerance = controls, limits, wanted, tolerance_pu
        least, most = controls.least.copy(), controls.most.copy()
        for k in (k + shift for k in wanted.on_off for shift in (0, len(controls.units))):
            least[k], most[k] = min(least[k], 0.0), max(most[k], 0.0)
        self.least, self.most, self.range = least, most, np.maximum(most - least, 1e-12)
        self.residuals: list[float] = []
        self.best: Point | None = None

    def run(self, most_iterations: int) -> bool:
        """Whether it converged; the plan is ``best``."""
        point = self._step(self.controls.nothing, np.inf, of_no_load=True)
        radius, last = 1.0, np.inf
        while len(self.residuals) < most_iterations:
            new = self._step(point.x, radius, of_no_load=False)
            step = float((np.abs(new.x - point.x) / self.range).max(initial=0.0))
            agrees = new.residual <= self.tolerance and new.violation <= KEPT
            still = step <= _STILL or abs(new.value - point.value) <= GAIN * abs(point.value)
            if agrees and still and self._as_good_as_any(new):
                self.best = new  # the setpoints may have been there before, from a program farther off
                return True
            gained = self.best is not None and new.merit <= self.best.merit
            if step > 0.5 * last or radius < _LEAST_RADIUS:
                flat = self.best is not None and abs(new.value - self.best.value) <= _FLAT * abs(new.value)
                radius = (_FLAT_DAMPING if flat else 0.5) * min(radius, step)
                if radius < _LEAST_RADIUS:
                    break
            last = step
            point = new if gained or self.best is None else self._better(new)
        return self._settled()

    def _as_good_as_any(self, new: Point) -> bool:
        assert self.best is not None
        return self.best.violation > KEPT or new.value <= self.best.value + GAIN * abs(self.best.value)

    def _better(self, new: Point) -> Point:
        assert self.best is not None
        return new if new.merit[0] > 0.0 and self.best.merit[0] > 0.0 else self.best

    def _settled(self) -> bool:
        """Steps are small or used up: whether the best of all plans is a solution nevertheless."""
        assert self.best is not None
        return self.best.violation <= KEPT and self.best.residual <= self.tolerance

    def _step(self, x0: FloatArray, radius: float, *, of_no_load: bool) -> Point:
        controls = self.controls
        model = linearised(controls, x0, self.wanted.scalar, of_no_load=of_no_load)
        reach = radius * self.range
        least, most = np.maximum(self.least, x0 - reach), np.minimum(self.most, x0 + reach)
        least, most = np.minimum(least, self.most), np.maximum(most, self.least)
        whole = controls.whole
        least[whole], most[whole] = np.ceil(least[whole] - 1e-9), np.floor(most[whole] + 1e-9)
        found = solve_program(controls, model, self.limits, self.wanted.task, least, most)
        point = self._replayed(found)
        self.residuals.append(point.residual)
        if self.best is None or point.merit < self.best.merit:
            self.best = point
        return point

    def _replayed(self, found: Found) -> Point:
        sol = self.controls.solve(found.x[None], np.ones(1))
        seen = Observed.of(sol)
        if not seen.converged[0]:
            raise RunError(
                "the power flow does not converge at a plan: the loads or injections are too large"
            )
        with np.errstate(invalid="ignore"):
            off = np.abs(np.sqrt(np.maximum(found.v2, 0.0)) - np.sqrt(seen.v2[0]))
        violation = self.limits.worst(seen.v2[0], seen.flow[0], float(seen.head[0]))
        residual = float(np.nanmax(off))
        value = float(self.wanted.values(found.x[None], sol)[0])
        return Point(found.x, sol, seen, value, violation, found, residual)
