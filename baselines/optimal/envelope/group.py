"""P and Q of a group of devices on the AC power flow, and problems that ask for some of it.

A group is seen where it meets the rest: a whole feeder at its head, where losses and loads count, other
groups by what their devices feed in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from ..ac_problem import AcProblem, AcState, ComplexArray
from ..affine import FloatArray, IntArray

#: What P and Q of a group are: power that arrives from the sources, or what its devices feed in.
HEAD, INJECTION = "head", "injection"


@dataclass(frozen=True, eq=False)
class GroupState(AcState):
    """Power flows with what a group shows in them.

    Attributes:
        pq: (rows, 2) P and Q of the group. by_pq: (rows, 2) slopes of ``value`` by them.
    """

    pq: FloatArray
    by_pq: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupProblem(AcProblem, ABC):
    """A problem whose value is a function of P and Q of a group.

    Attributes:
        seen_at: `HEAD` or `INJECTION`.
        wanted: (rows, 2) what is asked for, by each problem.
    """

    seen_at: str
    wanted: FloatArray

    @abstractmethod
    def _worth(self, wanted: FloatArray, pq: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(rows,) value and (rows, 2) its slopes."""

    @classmethod
    def of(cls, problem: AcProblem, seen_at: str, wanted: FloatArray) -> Self:
        """The network, units and limits of a problem of one row, asked for something else by many rows."""
        base = {field.name: vars(problem)[field.name] for field in fields(AcProblem)}
        rows = wanted.shape[0]
        base["loads"] = {name: np.repeat(array[:1], rows, axis=0) for name, array in problem.loads.items()}
        return cls(**base, seen_at=seen_at, wanted=wanted)

    def taken(self, rows: IntArray) -> Self:
        """Some of the rows."""
        loads = {name: array[rows] for name, array in self.loads.items()}
        return replace(self, loads=loads, wanted=self.wanted[rows])

    def evaluate(self, rows: IntArray, x: FloatArray, v: ComplexArray | None) -> GroupState:
        """See `AcProblem.evaluate`."""
        state = super().evaluate(rows, x, v)
        n = self.share.shape[0]
        if self.seen_at == HEAD:
            pq = np.stack([state.solution.p_slack_mw, state.solution.q_slack_mvar], axis=1)
        else:
            pq = np.stack([x[:, :n].sum(axis=1), x[:, n:].sum(axis=1)], axis=1)
        value, by_pq = self._worth(self.wanted[rows], pq)
        value = np.where(np.isfinite(state.value), value, np.inf)
        solved = (state.solution, state.v, state.v_pu, state.flows)
        return GroupState(*solved, value, state.excess, pq, by_pq)

    def slopes(self, state: AcState, of_value: FloatArray, of_excess: FloatArray) -> FloatArray:
        """See `AcProblem.slopes`."""
        assert isinstance(state, GroupState)
        found = super().slopes(state, of_value, of_excess)
        if self.seen_at == INJECTION:
            found += np.repeat(of_value[:, None] * state.by_pq, self.share.shape[0], axis=1)
        return found

    def _of_objective(self, state: AcState, of_value: FloatArray) -> dict[str, Any]:
        if self.seen_at == INJECTION or not of_value.any():
            return {}
        assert isinstance(state, GroupState)
        by_p, by_q = (of_value[:, None] * state.by_pq).T
        return {"p_slack_mw": by_p, "q_slack_mvar": by_q}


@dataclass(frozen=True, eq=False, kw_only=True)
class DirectedProblem(GroupProblem):
    """The most of P and Q in a direction, ``wanted`` (rows, 2) of length 1; the value is its negative."""

    def _worth(self, wanted: FloatArray, pq: FloatArray) -> tuple[FloatArray, FloatArray]:
        return -(wanted * pq).sum(axis=1), -wanted


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetProblem(GroupProblem):
    """P and Q as near as can be to ``wanted`` (rows, 2); the value is the squared distance, MVA^2."""

    def _worth(self, wanted: FloatArray, pq: FloatArray) -> tuple[FloatArray, FloatArray]:
        away = pq - wanted
        return (away**2).sum(axis=1), 2.0 * away
