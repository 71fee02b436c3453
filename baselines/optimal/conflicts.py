"""Which limits of an infeasible program conflict: an irreducible set of them.

J. W. Chinneck: Feasibility and Infeasibility in Optimization, Springer 2008, chapter 6: the elastic program
and the deletion filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import RunError
from .affine import Affine, FloatArray, IntArray
from .conic import INFEASIBLE, Compiled, ConicSolution
from .program import CONE, Program, Rows

EXCESS = 1e-6  # limits that are exceeded by no more, all together, are kept
_FREE = 1e-5  # price of what need not be kept, which keeps the solver at finite points
_DEAR = 1e3  # price of what must be kept, beside what may give way
_TOUCHED = 1e-7  # multipliers above it prove something
_SHOWN = 6


class Conflict(NamedTuple):
    """A member of an irreducible set: without it, the others can be kept."""

    kind: str  # as `dispatch.Binding`
    element: str
    limit: float
    unit: str
    excess: float  # by how much it must give way, at the least, where the other members are kept

    def __str__(self) -> str:
        return f"{self.kind} at {self.element} by {self.excess:.4g} {self.unit}"


class LimitsError(RunError):
    """Nothing keeps all limits, or nothing was found that does.

    Attributes:
        conflicts: An irreducible set of limits, where one was looked for.
    """

    conflicts: tuple[Conflict, ...] = ()


class InfeasibleError(LimitsError):
    """No setpoints keep all limits.

    Attributes:
        conflicts: An irreducible set; empty where the loads alone are beyond the feeder.
    """

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(f"no setpoints keep the limits: {_told(self.conflicts)}")

    def __reduce__(self) -> tuple[type[InfeasibleError], tuple[tuple[Conflict, ...]]]:
        return type(self), (self.conflicts,)


def _told(conflicts: Sequence[Conflict]) -> str:
    if not conflicts:
        return "not even where each might be exceeded: the loads are beyond the feeder"
    if len(conflicts) == 1:
        return f"one cannot be kept whatever the others are: {conflicts[0]}"
    shown = "; ".join(str(one) for one in conflicts[:_SHOWN])
    more = f" and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    return f"these {len(conflicts)} conflict, and one of them must give way: {shown}{more}"


def solved_or_conflicts(found: ConicSolution, elastic: Callable[[], Program]) -> ConicSolution:
    """The solution, where there is one.

    Args:
        found: What the solver ended with.
        elastic: Puts the same program together with limits that may be exceeded.

    Raises:
        InfeasibleError: No point keeps the limits; those that conflict are named.
        RunError: The solver failed.
    """
    if found.solved:
        return found
    if found.status == INFEASIBLE:
        raise InfeasibleError(conflicting_limits(elastic()))
    raise RunError(f"the conic solver ended with {found.solver_status!r} after {found.iterations} steps")


def conflicting_limits(program: Program) -> tuple[Conflict, ...]:
    """An irreducible set of limits of a program that cannot be kept together, the largest excess first.

    Every row without a `Limit` holds. No proper subset of what is found conflicts: each member was left out
    once, and the others could be kept then. The multipliers of the elastic program say where to look; of what
    it exceeds, as few as still conflict are taken; then the deletion filter.

    Args:
        program: Made with ``elastic=True``; all its limits together cannot be kept.

    Returns:
        The members; empty where even the elastic program has no point.
    """
    elastic = _Elastic(program)
    if not elastic.possible:
        return ()
    kept = elastic.candidates()
    for one in list(kept):
        rest = [other for other in kept if other != one]
        if rest and elastic.excess(rest) > EXCESS:
            kept = rest
    found = [elastic.conflict(one, kept) for one in kept]
    return tuple(sorted(found, key=lambda one: (-one.excess, one.kind, one.element)))


class _Elastic:
    """An elastic program whose slacks have other prices at each solve; members are rows' last axis."""

    def __init__(self, program: Program) -> None:
        self._compiled = Compiled(program, tolerance=1e-9)
        self._rows: list[tuple[Rows, int]] = []
        self._columns: list[IntArray] = []
        for rows in program.rows:
            if rows.limit is not None and rows.slack is not None:
                of = rows.slack.row % rows.shape[-1]
                for k in range(rows.shape[-1]):
                    self._rows.append((rows, k))
                    self._columns.append(rows.slack.column[of == k])
        self._everything = np.concatenate(self._columns) if self._columns else np.empty(0, dtype=np.int64)
        self._all = list(range(len(self._rows)))
        self._first = self._solved(self._priced(self._all))

    @property
    def possible(self) -> bool:
        """Whether there is a point at all."""
        return self._first is not None

    def _priced(self, members: Sequence[int], price: float = 1.0) -> FloatArray:
        prices = np.full(self._compiled.n_columns, _FREE)
        for one in members:
            prices[self._columns[one]] = price
        return prices

    def _solved(self, prices: FloatArray) -> ConicSolution | None:
        at = self._everything
        self._compiled.set_objective(Affine(0.0, np.zeros_like(at), at, prices[at]))
        found = self._compiled.solve()
        return found if found.solved else None

    def _of(self, found: ConicSolution, member: int) -> float:
        """How far a member is exceeded, in its own unit."""
        return float(np.maximum(found.x[self._columns[member]], 0.0).max(initial=0.0))

    def excess(self, members: Sequence[int]) -> float:
        """By how much these alone must be exceeded, all together; inf where the solver does not say."""
        found = self._solved(self._priced(members))
        return np.inf if found is None else sum(self._of(found, one) for one in members)

    def candidates(self) -> list[int]:
        """Members that conflict: those that hold a multiplier, and of what is exceeded as few as will do."""
        assert self._first is not None
        over = {one: self._of(self._first, one) for one in self._all}
        touched = [one for one in self._all if self._multiplier(one) > _TOUCHED]
        exceeded = sorted((one for one in touched if over[one] > EXCESS), key=lambda one: -over[one])
        held = [one for one in touched if over[one] <= EXCESS]
        for base in (held, [one for one in self._all if one not in set(exceeded)]):
            few = self._fewest(base, exceeded)
            if few is not None:
                return sorted(base, key=self._multiplier) + few[::-1]
        return self._all

    def _fewest(self, base: list[int], exceeded: list[int]) -> list[int] | None:
        """The shortest beginning of a list that conflicts with the base, by doubling."""
        size = 1
        while True:
            part = exceeded[:size]
            if self.excess([*base, *part]) > EXCESS:
                return part
            if size >= len(exceeded):
                return None
            size *= 2

    def _multiplier(self, member: int) -> float:
        """Of the elastic program where all limits have the same price: 1 where it is exceeded."""
        assert self._first is not None
        rows, k = self._rows[member]
        assert rows.limit is not None
        dual = self._first.dual(rows)
        each = (dual[..., 0] if rows.kind == CONE else dual)[..., k]
        return float(np.max(each) * rows.limit.per_unit[k])

    def conflict(self, member: int, kept: Sequence[int]) -> Conflict:
        """A member, with how far it gives way alone."""
        prices = self._priced(kept, _DEAR)
        prices[self._columns[member]] = 1.0
        found = self._solved(prices)
        rows, k = self._rows[member]
        assert rows.limit is not None
        excess, limit = np.inf if found is None else self._of(found, member), float(rows.limit.value[k])
        if rows.limit.unit == "pu":  # rows are of the squared voltage
            sign = 1.0 if rows.limit.kind.startswith("v_max") else -1.0
            excess = abs(float(np.sqrt(max(limit**2 + sign * 2.0 * limit * excess, 0.0))) - limit)
        return Conflict(rows.limit.kind, str(rows.limit.element[k]), limit, rows.limit.unit, excess)
