"""Which units are on, bettered by exchanges: a linear program that chooses them errs by its linearisation.

Each exchange of one unit that is on for one that is off is judged by the AC power flow with the setpoints of
the one at the place of the other. The best of them are dispatched again with what is on held. It ends where
no exchange that was tried gains: a local search (E. Aarts, J. K. Lenstra: Local Search in Combinatorial
Optimization, Princeton 2003), which proves nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..affine import FloatArray, IntArray
from .model import Observed
from .search import GAIN, Search, merit_of

_TRIED = 6  # exchanges that are dispatched before it is said that none gains
_ROUNDS = 50  # exchanges that are made at most
_ON = 1e-9  # MW or Mvar of a unit that is on


def swap_units(search: Search, most_iterations: int) -> None:
    """Better the plan of a search by exchanges of what is on.

    Args:
        search: Converged, with units that may be off; its best plan changes.
        most_iterations: Programs of each dispatch at most.
    """
    _take(search, _running(search), most_iterations)
    for _ in range(_ROUNDS):
        if not any(_take(search, on, most_iterations) for on in _exchanges(search)[:_TRIED]):
            return


def _take(search: Search, on: set[int], most_iterations: int) -> bool:
    """Whether the dispatch of these units is better, and then the plan."""
    found = held(search, on)
    if not (found.run(most_iterations) and _gains(found, search)):
        return False
    search.best, search.residuals = found.best, search.residuals + found.residuals
    return True


def _gains(new: Search, old: Search) -> bool:
    assert new.best is not None
    assert old.best is not None
    allowed = GAIN * abs(old.best.value)
    return new.best.merit[0] <= old.best.merit[0] and new.best.value < old.best.value - allowed


def _columns(search: Search, units: IntArray) -> IntArray:
    """(n, 2) of P and Q."""
    return np.asarray(units[:, None] + np.array([0, len(search.controls.units)]))


def _running(search: Search) -> set[int]:
    """Units that may be off, and are on."""
    assert search.best is not None
    units = np.array(search.wanted.on_off, dtype=np.int64)
    power = (search.best.x * search.controls.scale)[_columns(search, units)]
    return set(units[(np.abs(power) > _ON).any(axis=1)].tolist())


def _exchanges(search: Search) -> list[set[int]]:
    """Sets of units that are on after an exchange, the most promising first."""
    assert search.best is not None
    on = _running(search)
    pairs = [(a, b) for a in sorted(on) for b in search.wanted.on_off if b not in on]
    if not pairs:
        return []
    order = _order(search, np.array([_moved(search, search.best.x, *pair) for pair in pairs]))
    return [on - {pairs[k][0]} | {pairs[k][1]} for k in order]


def _moved(search: Search, x: FloatArray, start: int, end: int) -> FloatArray:
    """A plan with the setpoints of one unit at another."""
    controls, moved = search.controls, x.copy()
    here, there = _columns(search, np.array([start, end]))
    moved[here] = 0.0
    power = x[here] * controls.scale[here] / controls.scale[there]
    power = np.where(controls.whole[there], np.round(power), power)
    moved[there] = np.clip(power, controls.least[there], controls.most[there])
    return moved


def _order(search: Search, rows: FloatArray) -> list[int]:
    """Rows with a power flow, the best first."""
    sol = search.controls.solve(rows, np.ones(len(rows)))
    seen, value = Observed.of(sol), search.wanted.values(rows, sol)
    merit = {
        k: merit_of(search.limits.worst(seen.v2[k], seen.flow[k], float(seen.head[k])), float(value[k]))
        for k in np.flatnonzero(seen.converged).tolist()
    }
    return sorted(merit, key=lambda k: merit[k])


def held(search: Search, on: set[int]) -> Search:
    """The search with some of its units on, the others off, and no choice between them."""
    controls = search.controls
    off = _columns(search, np.array(sorted(set(search.wanted.on_off) - on), dtype=np.int64)).ravel()
    least, most = controls.least.copy(), controls.most.copy()
    least[off] = most[off] = 0.0
    held = replace(controls, least=least, most=most)
    wanted = replace(search.wanted, controls=held, on_off=(), most_on=None)
    return Search(held, search.limits, wanted, search.tolerance)
