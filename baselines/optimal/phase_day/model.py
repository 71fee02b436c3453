"""What the cost of an interval is about its power flow: slopes by adjoints, curvature, hinges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..affine import FloatArray, IntArray
from .network import PhaseNetwork, Setpoints
from .terms import Hinges, Look, NetworkTerms

_FEWEST = 3  # intervals whose curvature is looked at
_TRACKED = 6  # hinges of a kind in an interval that are followed each for itself
_MOST_ROWS, _MOST_VOLTAGES = 2500, 1_000_000  # of power flows for the curvature
_SLACK = "p_slack_mw"
_HEAD, _REST = "head", "rest"


@dataclass(frozen=True, eq=False)
class Columns:
    """The entries of setpoints that may change: P of ``p`` and Q of ``q``, places of units.

    Attributes:
        reach: (p.size + q.size,) MVA that the units cannot exceed.
    """

    p: IntArray
    q: IntArray
    reach: FloatArray

    @property
    def size(self) -> int:
        """How many."""
        return self.p.size + self.q.size

    def of(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """(rows, size) picked out of (rows, n_units) twice."""
        return np.concatenate([p[:, self.p], q[:, self.q]], axis=1)

    def put(self, at: Setpoints, x: FloatArray) -> Setpoints:
        """Setpoints with these entries."""
        p, q = at.p_mw.copy(), at.q_mvar.copy()
        p[:, self.p], q[:, self.q] = x[:, : self.p.size], x[:, self.p.size :]
        return Setpoints(p, q, at.position)


@dataclass(frozen=True, eq=False)
class Hinge:
    """One of each interval: weight * max(excess + slope . change, 0)."""

    weight: float
    excess: FloatArray  # (steps,)
    slope: FloatArray  # (steps, columns)


@dataclass(frozen=True, eq=False)
class LocalModel:
    """Cost of the network about setpoints, interval by interval, of changes of the columns.

    Attributes:
        x: (steps, columns) where it is made.
        cost: (steps,) there.
        slope: (steps, columns) of the smooth part.
        curvature: (steps, columns, columns), positive semidefinite.
        hinges: The rest.
    """

    x: FloatArray
    cost: FloatArray
    slope: FloatArray
    curvature: FloatArray
    hinges: tuple[Hinge, ...]

    def predicted(self, x: FloatArray) -> FloatArray:
        """(steps,) cost at other values of the columns."""
        dx = x - self.x
        bent = 0.5 * np.einsum("ti,tij,tj->t", dx, self.curvature, dx)
        total = self.cost + (self.slope * dx).sum(axis=1) + bent
        for h in self.hinges:
            after = np.maximum(h.excess + (h.slope * dx).sum(axis=1), 0.0)
            total += h.weight * (after - np.maximum(h.excess, 0.0))
        return np.asarray(total)


class ModelMaker:
    """Makes local models of a day's network costs."""

    def __init__(
        self, network: PhaseNetwork, terms: NetworkTerms, columns: Columns, most_q: FloatArray
    ) -> None:
        self.network, self.terms, self.columns, self.most_q = network, terms, columns, most_q
        self._all = np.arange(network.steps)
        #: Of the last model.
        self.curvature: FloatArray = np.zeros((network.steps, columns.size, columns.size))

    def cost(self, at: Setpoints, steps: IntArray | None = None) -> FloatArray:
        """(rows,) of the network; ``steps``: the intervals that rows are of."""
        return self.terms.cost(self._look(at, steps))

    def _look(self, at: Setpoints, steps: IntArray | None = None) -> Look:
        return Look(self.network, self.network.solve(at, steps), self._all if steps is None else steps)

    def smooth_slope(self, at: Setpoints, steps: IntArray) -> FloatArray:
        """(rows, columns) of the smooth part."""
        look = self._look(at, steps)
        return self._by_columns(look, self.terms.smooth_seeds(look))

    def model(self, at: Setpoints, bend: bool = True) -> LocalModel:
        """About these setpoints, where every power flow has a solution.

        ``bend``: whether its curvature is looked at anew; else it is that of the model before.
        """
        look = self._look(at)
        if bend:
            self.curvature = self._curvature(at, look)
        return LocalModel(
            self.columns.of(at.p_mw, at.q_mvar), self.terms.cost(look),
            self._by_columns(look, self.terms.smooth_seeds(look)), self.curvature,
            tuple(h for hinges in self.terms.hinges(look) for h in self._tracked(at, hinges)),
        )  # fmt: skip

    def _by_columns(self, look: Look, seeds: Mapping[str, FloatArray]) -> FloatArray:
        found = self.columns.of(*self.network.by_setpoints(look.sol, seeds))
        return np.nan_to_num(found)

    def _curvature(self, at: Setpoints, look: Look) -> FloatArray:
        """Differences of slopes: of the head's power, which prices multiply, and of the rest apart.

        Intervals in between take over that of the nearest; what is not convex is left out.
        """
        n, steps = self.columns.size, self.network.steps
        most = min(_MOST_ROWS, _MOST_VOLTAGES // (3 * self.network.net.n_bus)) // max(n, 1)
        some = np.unique(np.linspace(0, steps - 1, min(steps, max(most, _FEWEST))).astype(int))
        nearest = np.abs(self._all[:, None] - some[None]).argmin(axis=1)
        rows, which = np.repeat(some, n), np.tile(np.arange(n), some.size)
        x = self.columns.of(at.p_mw, at.q_mvar)[rows]
        delta = 0.02 * self.columns.reach + 1e-6
        sign = np.where(x[np.arange(rows.size), which] > 0.0, -1.0, 1.0)
        x[np.arange(rows.size), which] += sign * delta[which]
        moved = self._look(self.columns.put(at.at(rows), x), rows)
        whole = np.zeros((steps, n, n))
        for part, factor in self._parts(look).items():
            slopes = [self._by_columns(each, _part(self.terms, each, part)) for each in (look, moved)]
            apart = (slopes[1] - slopes[0][rows]) / (sign * delta[which])[:, None]
            whole += factor[:, None, None] * apart.reshape(some.size, n, n)[nearest]
            if part == _HEAD:
                whole += self.terms.head_curvature * slopes[0][:, :, None] * slopes[0][:, None, :]
        return _convex(whole)

    def _parts(self, look: Look) -> dict[str, FloatArray]:
        """(steps,) factors of what has a curvature of its own, by name."""
        seeds = self.terms.smooth_seeds(look)
        ones, head = np.ones(self.network.steps), seeds.pop(_SLACK, None)
        parts = {_REST: ones} if any(seed.any() for seed in seeds.values()) else {}
        return parts if head is None else {**parts, _HEAD: head}

    def _tracked(self, at: Setpoints, hinges: Hinges) -> list[Hinge]:
        """The worst of every interval each for itself; all others that are exceeded together."""
        excess = hinges.excess
        order = np.argsort(-excess, axis=1)[:, :_TRACKED]
        worst = np.take_along_axis(excess, order, axis=1)
        rest = np.where(excess > 0.0, 1.0, 0.0)
        np.put_along_axis(rest, order, 0.0, axis=1)
        masks: list[tuple[NDArray[np.bool_], FloatArray, FloatArray]] = []
        for k in range(order.shape[1]):
            active = worst[:, k] > -hinges.near
            factor = np.zeros(excess.shape)
            factor[self._all, order[:, k]] = active
            masks.append((active, factor, worst[:, k]))
        masks.append((np.asarray(rest.any(axis=1)), rest, np.where(rest > 0.0, excess, 0.0).sum(axis=1)))
        masks = [mask for mask in masks if mask[0].any()]
        if not masks:
            return []
        rows = np.concatenate([np.flatnonzero(active) for active, _, _ in masks])
        factors = np.concatenate([factor[active] for active, factor, _ in masks])
        look = self._look(at.at(rows), rows)
        slopes = self._by_columns(look, self.terms.hinges_like(look, hinges.index).seeds(factors))
        found, first = [], 0
        for active, _, amount in masks:
            slope, count = np.zeros((self.network.steps, self.columns.size)), int(active.sum())
            slope[active] = slopes[first : first + count]
            found.append(Hinge(hinges.weight, np.where(active, amount, -1e3), slope))
            first += count
        return found


def _part(terms: NetworkTerms, look: Look, part: str) -> dict[str, FloatArray]:
    if part == _HEAD:
        return {_SLACK: np.ones(len(look.steps))}
    seeds = terms.smooth_seeds(look)
    seeds.pop(_SLACK, None)
    return seeds


def _convex(matrices: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(0.5 * (matrices + matrices.transpose(0, 2, 1)))
    return np.asarray((vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1))
