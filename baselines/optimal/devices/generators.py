"""Rows of generators that are started and stopped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....envs.resources.outlook import Commitment
from ..affine import Affine, FloatArray, IntArray, stacked
from .planned import BoolArray, Decided, Planned, Setting


def generator_rows(of: Setting) -> Planned:
    """Unit commitment with on and off relaxed to shares, or as they are decided.

    Power between least and most of the share that is on, ramps, least times on and off, fuel and starts:
    J. M. Arroyo, A. J. Conejo, Optimal response of a thermal unit to an electricity spot market, IEEE Trans.
    Power Systems 15 (2000) 1098-1104; least times as in D. Rajan, S. Takriti, IBM Research Report RC23628
    (2005), which is their convex hull.
    """
    program, outlook = of.program, of.outlook
    units = outlook.commitment
    assert units is not None
    on, starts, stops = _states(of, units)
    p = of.between(0.0, outlook.p_max_mw)
    program.nonneg(p - on * units.p_min_mw)
    program.nonneg(on * units.p_max_mw - p)
    _ramps(of, units, p, (on, starts, stops))
    q = _reactive(of, units, p, on)
    cost = (
        of.dt_h * (on * units.cost_per_h + p * units.cost_per_mwh).sum() + (starts * units.start_cost).sum()
    )
    curved = np.flatnonzero(units.cost_per_mw2h > 0.0)
    if curved.size:
        square = program.columns((of.steps, curved.size), units.p_max_mw[curved] ** 2)
        program.rotated(square, on[:, curved], p[:, curved])
        cost = cost + of.dt_h * (square * units.cost_per_mw2h[curved]).sum()

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        span = units.p_max_mw - units.p_min_mw
        runs = on.at(x) >= 0.5
        part = np.where(span > 0.0, (p.at(x) - units.p_min_mw) / np.where(span > 0.0, span, 1.0), 1.0)
        most, vars_ = outlook.q_max_mvar, q.at(x)
        least = np.where(units.q_min_mvar < 0.0, -units.q_min_mvar, 1.0)
        return {
            "p": np.where(runs, np.clip(part, 0.0, 1.0), -1.0),
            "q": np.where(vars_ > 0.0, vars_ / np.where(most > 0.0, most, 1.0), vars_ / least),
        }

    return Planned(
        outlook.units,
        p,
        q,
        outlook.s_mva,
        of.box(),
        asked,
        cost=cost,
        choice=_OnAndOff(of, units, (on, starts, stops), p, q),
    )


def _states(of: Setting, units: Commitment) -> tuple[Affine, Affine, Affine]:
    """(steps, n_units) shares that are on, are started and are stopped."""
    program, first = of.program, units.on.astype(np.float64)
    on, starts, stops = (of.between(0.0, np.ones(of.shape)) for _ in range(3))
    before = stacked([Affine(first), *(on[t] for t in range(of.steps - 1))])
    program.zero(on - before - starts + stops)
    for u in range(of.shape[1]):
        for moved, least, kept in ((starts, units.min_up[u], on), (stops, units.min_down[u], 1.0 - on)):
            _least_times(of, moved[:, u], kept[:, u], int(least))
    stays = units.since < np.where(units.on, units.min_up, units.min_down)
    left = np.where(stays, np.where(units.on, units.min_up, units.min_down) - units.since, 0.0)
    for u in np.flatnonzero(stays).tolist():
        program.zero(on[: int(left[u]), u] - first[u])
    for u, name in enumerate(of.outlook.units):
        if name in of.decided:
            program.zero(on[:, u] - of.decided[name])
    return on, starts, stops


def _least_times(of: Setting, moved: Affine, kept: Affine, least: int) -> None:
    """What was moved within the last ``least`` intervals is kept."""
    if least < 2:
        return
    recent = stacked([moved[max(t - least + 1, 0) : t + 1].sum() for t in range(of.steps)])
    of.program.nonneg(kept - recent)


def _ramps(of: Setting, units: Commitment, p: Affine, states: tuple[Affine, Affine, Affine]) -> None:
    """From interval to interval while on; started at, and stopped from, one ramp or the least at most."""
    for u in np.flatnonzero(np.isfinite(units.ramp_mw)):
        ramp, least = float(units.ramp_mw[u]), float(units.p_min_mw[u])
        reach = min(max(least, ramp), float(units.p_max_mw[u]))
        now = float(max(units.p_mw[u], least)) if units.on[u] else 0.0
        before = stacked([Affine(now), *(p[t, u] for t in range(of.steps - 1))])
        on, starts, stops = (state[:, u] for state in states)
        was_on = stacked([Affine(float(units.on[u])), *(on[t] for t in range(of.steps - 1))])
        of.program.nonneg(before - p[:, u] * 1.0 + was_on * ramp + starts * reach)
        of.program.nonneg(p[:, u] - before + on * ramp + stops * reach)


def _reactive(of: Setting, units: Commitment, p: Affine, on: Affine) -> Affine:
    free = np.array([unit.action_q is not None for unit in of.units])
    most, least = np.where(free, of.outlook.q_max_mvar, 0.0), np.where(free, units.q_min_mvar, 0.0)
    q = of.program.columns(of.shape, np.maximum(most, -least) + 1e-9)
    of.program.nonneg(on * most - q)
    of.program.nonneg(q - on * least)
    if free.any():
        of.program.cone(on * of.outlook.s_mva, p, q)
    return q


class _OnAndOff:
    """The best commitment at prices, unit by unit, by dynamic programming; ramps are left out of it."""

    def __init__(
        self, of: Setting, units: Commitment, states: tuple[Affine, Affine, Affine], p: Affine, q: Affine
    ) -> None:
        self._of, self._units, self._states, self._p, self._q = of, units, states, p, q

    def least(self, prices: FloatArray) -> tuple[float, Decided]:
        """See `planned.Choice`."""
        units, total, found = self._units, 0.0, {}
        per_p, per_q = (prices[part.column].reshape(self._of.shape) for part in (self._p, self._q))
        on, starts, stops = (prices[part.column].reshape(self._of.shape) for part in self._states)
        vars_ = np.minimum(per_q * self._of.outlook.q_max_mvar, per_q * units.q_min_mvar)
        for u, name in enumerate(self._of.outlook.units):
            running = on[:, u] + np.minimum(vars_[:, u], 0.0)
            running = running + _fuel(units, u, per_p[:, u])
            cost, path = _best_path(units, u, running, starts[:, u], stops[:, u])
            total += cost
            found[name] = path
        return total, found


def _fuel(units: Commitment, u: int, per_mw: FloatArray) -> FloatArray:
    """(steps,) the least that power costs in an interval on; what its square costs is left out."""
    return np.minimum(per_mw * float(units.p_min_mw[u]), per_mw * float(units.p_max_mw[u]))


def _best_path(
    units: Commitment, u: int, running: FloatArray, starts: FloatArray, stops: FloatArray
) -> tuple[float, IntArray]:
    """(cost, (steps,) on) where an interval on costs ``running``, and each start and stop its own.

    Backwards over the state and for how long it has been so: the least that the rest costs; then forwards.
    """
    least = {True: max(int(units.min_up[u]), 1), False: max(int(units.min_down[u]), 1)}
    value = {state: np.zeros(size) for state, size in least.items()}
    turns: list[dict[bool, BoolArray]] = []
    for t in range(running.size - 1, -1, -1):
        new, turn = {}, {}
        for state, size in least.items():
            stay = value[state][np.minimum(np.arange(size) + 1, size - 1)] + (running[t] if state else 0.0)
            leave = np.full(size, np.inf)
            leave[-1] = value[not state][0] + (stops[t] if state else running[t] + starts[t])
            new[state], turn[state] = np.minimum(stay, leave), leave < stay
        value = new
        turns.append(turn)
    state = bool(units.on[u])
    age = max(min(int(units.since[u]), least[state]) - 1, 0)
    cost, path = float(value[state][age]), []
    for turn in reversed(turns):
        state, age = (not state, 0) if turn[state][age] else (state, min(age + 1, least[state] - 1))
        path.append(state)
    return cost, np.array(path, dtype=np.int64)
