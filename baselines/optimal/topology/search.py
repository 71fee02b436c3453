"""Topologies on the AC power flow itself: rows of a batch, and exchanges of one branch for another.

The losses of an exchange are guessed from the currents of the present solution, as if they did not change:
S. Civanlar, J. J. Grainger, H. Yin, S. S. H. Lee: Distribution feeder reconfiguration for loss reduction,
IEEE Trans. Power Delivery 3 (1988) 1217-1223. The best guesses are solved; kicks lead out of local optima
(variable neighbourhood search: N. Mladenovic, P. Hansen, Computers & Operations Research 24, 1997).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .... import physics
from ..affine import FloatArray
from ..branch_flow import NetworkLimits
from ..verdict import KEPT
from .candidates import BoolArray, Candidates

OBJECTIVES: dict[str, Callable[[Any], FloatArray]] = {
    "loss": lambda sol: np.asarray(sol.p_loss_mw),
    "cost": lambda sol: np.asarray(sol.p_slack_mw),
    "voltage": lambda sol: np.nansum((sol.v_pu.reshape(len(sol.v_pu), -1) - 1.0) ** 2, axis=1),
}
_ROWS = 512  # power flows of a batch
_GUESSES = 12  # that are solved of those that are guessed
_GAIN = 1e-9  # of the objective: no gain of account


@dataclass(frozen=True)
class Tried:
    """A topology and what it is worth: the sum of what is beyond limits first, then the objective."""

    closed: BoolArray
    violation: float
    value: float

    @property
    def merit(self) -> tuple[float, float]:
        """Smaller is better."""
        return (self.violation if self.violation > KEPT else 0.0, self.value)


@dataclass
class Judge:
    """Solves topologies and says what they are worth.

    Attributes:
        objective: "loss", "cost" (here the power of all sources, MW) or "voltage".
        power_flow: Further arguments of `physics.solve` for one row: loads, injections, source voltage.
        n_solved: Power flows.
    """

    candidates: Candidates
    objective: str
    limits: NetworkLimits
    power_flow: dict[str, Any]
    n_solved: int = 0
    _fed: BoolArray = field(init=False)
    _judged: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        net = self.candidates.net
        self._fed = np.isfinite(self._solved(self.candidates.start[None]).v_pu[0])
        judged = self._fed.copy()
        judged[self.candidates.ends_of_sources] = False
        if self.limits.band_at is not None:
            named = np.isin(net.feeder.column("nodes", "node_id").astype(str), list(self.limits.band_at))
            judged &= named.reshape(-1, *(1,) * (judged.ndim - 1))
        self._judged = judged

    def best(self, topologies: Iterator[BoolArray]) -> Tried | None:
        """The best of all, of equals the first; None of none."""
        found: Tried | None = None
        rows: list[BoolArray] = []
        for one in topologies:
            rows.append(one)
            if len(rows) == _ROWS:
                found, rows = self._better(found, rows), []
        return self._better(found, rows) if rows else found

    def guessed(self, closed: BoolArray) -> list[tuple[float, BoolArray]]:
        """(guess of the change, topology) of every exchange; all guesses 0 per phase."""
        net, branch = self.candidates.net, self.candidates.branch
        place = {int(row): k for k, row in enumerate(branch)}
        balanced = isinstance(net, physics.Network)
        current = self._currents(closed) if balanced else np.zeros(0, dtype=np.complex128)
        found = []
        for tie, loop in self.candidates.exchanges(closed):
            rows = np.array([row for row, _ in loop], dtype=np.int64)
            change = np.zeros(rows.size)
            if balanced:
                along = current[rows] * np.array([sign for _, sign in loop])
                r = net.r_pu[rows]
                around = float(r.sum() + net.r_pu[branch[tie]])
                change = np.abs(along) ** 2 * around - 2.0 * np.real(np.conj(along) * (r @ along))
            for row, guess in zip(rows.tolist(), change.tolist(), strict=True):
                if row in place:
                    other = closed.copy()
                    other[tie], other[place[row]] = True, False
                    found.append((guess, other))
        return found

    def _currents(self, closed: BoolArray) -> Any:
        sol = self._solved(closed[None])
        net = self.candidates.net
        power = (sol.p_from_mw[0] + 1j * sol.q_from_mvar[0]) / net.base_mva
        return np.nan_to_num(np.conj(power / sol.v[0, net.from_row]))

    def _solved(self, topologies: Any) -> Any:
        self.n_solved += len(topologies)
        return physics.solve(self.candidates.net, closed=np.asarray(topologies), **self.power_flow)

    def _better(self, found: Tried | None, rows: list[BoolArray]) -> Tried:
        sol = self._solved(rows)
        beyond, value = self._beyond(sol), OBJECTIVES[self.objective](sol)
        v = sol.v_pu.reshape(len(rows), -1)
        fed = np.isfinite(v[:, self._fed.ravel()]).all(axis=1)
        usable = sol.converged & ~sol.collapsed & fed
        beyond, value = np.where(usable, beyond, np.inf), np.where(usable, value, np.inf)
        k = int(np.lexsort((value, np.where(beyond > KEPT, beyond, 0.0)))[0])
        one = Tried(rows[k], float(beyond[k]), float(value[k]))
        return one if found is None or one.merit < found.merit else found

    def _beyond(self, sol: Any) -> FloatArray:
        """(rows,) the sum of what is beyond each limit, in the limits' own units."""
        net, limits, n = self.candidates.net, self.limits, len(sol.v_pu)
        total = np.zeros(n)
        if limits.v_band is not None:
            v = sol.v_pu.reshape(n, -1)[:, self._judged.ravel()]
            over = np.maximum(limits.v_band[0] - v, 0.0) + np.maximum(v - limits.v_band[1], 0.0)
            total += np.nansum(over, axis=1)
        if limits.thermal_margin is not None:
            share = 1.0 - limits.thermal_margin
            if isinstance(net, physics.Network3):
                ends = ((sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar))
                for (p_mw, q_mvar), rating in zip(ends, np.array(net.phase_rating_mva), strict=True):
                    size = np.hypot(p_mw, q_mvar)
                    excess = np.nan_to_num(np.maximum(size - share * rating, 0.0), posinf=0.0)
                    total += excess.reshape(n, -1).sum(axis=1)
            else:
                excess = np.nan_to_num((sol.loading - share) * net.rating_mva)
                total += np.maximum(excess, 0.0).sum(axis=1)
        head = np.asarray(sol.p_slack_mw)
        total += np.maximum(head - limits.most_import_mw, 0.0)
        return np.asarray(total + np.maximum(-head - limits.most_export_mw, 0.0))


def searched(judge: Judge, start: BoolArray, kicks: int, rng: np.random.Generator) -> Tried:
    """The best topology that exchanges lead to, from a start and from kicks away from the best."""
    best = _descended(judge, start)
    for _ in range(kicks):
        one = _descended(judge, _kicked(judge.candidates, best.closed, rng))
        if _gains(one, best):
            best = one
    return best


def _descended(judge: Judge, start: BoolArray) -> Tried:
    best = judge.best(iter([start]))
    assert best is not None
    while True:
        moves = judge.guessed(best.closed)
        moves.sort(key=lambda move: move[0])
        few = moves[:_GUESSES] if moves and moves[0][0] != moves[-1][0] else moves
        one = judge.best(topology for _, topology in few)
        if one is None or not _gains(one, best):
            return best
        best = one


def _gains(one: Tried, best: Tried) -> bool:
    if one.merit[0] != best.merit[0]:
        return one.merit[0] < best.merit[0]
    return one.value < best.value - _GAIN * abs(best.value)


def _kicked(candidates: Candidates, closed: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Two to four exchanges by chance."""
    found = closed.copy()
    place = {int(row): k for k, row in enumerate(candidates.branch)}
    for _ in range(int(rng.integers(2, 5))):
        loops = list(candidates.exchanges(found))
        tie, loop = loops[int(rng.integers(len(loops)))]
        members = [place[row] for row, _ in loop if row in place]
        if members:
            found[tie], found[members[int(rng.integers(len(members)))]] = True, False
    return found
