"""Hosting capacity as one decision: how much to connect where, so that most is connected in all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..policy import Action, AnyEnv, FloatArray
from .hosting_search import ASKS_MW, BoolArray, IntArray, LooksAhead, Opened

_ROUNDS, _LEAST_TRUST = 30, 2e-3
_PARTS = np.arange(1, 17) / 16.0
_WORTH_MW = 1e-4  # less is no gain


class PlannedSites(LooksAhead):
    """The largest total that a search finds within the limits, connected unit after unit.

    Successive mixed-integer linear programs: voltages and loadings are linearised at the last sizes, HiGHS
    finds the largest total within a region that is trusted, no more units than there are steps, and the power
    flow says how far towards it every limit is kept. Applications, loads and limits are those that are
    observed when the episode opens; nothing else is known to it. What it ends with keeps every limit; that
    nothing is better is not proved.
    """

    name = "optimal"
    transient = ("_opened", "_new", "_plan", "_step")

    def __init__(self, env: AnyEnv) -> None:
        """Find the sites. RunError when there are none, or too little is observed."""
        super().__init__(env)
        self._steps = self._scenario.episode_steps

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Remember the grid that the episode opens with; plans are made when the first action is due."""
        super().reset(obs, info)
        rows = self._new.size
        self._plan: list[list[tuple[int, float]]] = [[] for _ in range(rows)]
        self._step: IntArray = np.zeros(rows, dtype=np.int64)
        self._new[:] = True

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The next unit of each row's plan; nothing where it has ended."""
        batch, single = self._observations.batch(obs)
        self._opened[self._new] = self._shown(batch[self._new])
        for row in np.flatnonzero(self._new).tolist():
            self._plan[row] = self._planned(batch[row], self._opened[row])
        self._step[self._new] = 0
        self._new[:] = False
        action = self._actions.neutral(len(batch))
        for row, plan in enumerate(self._plan):
            if self._step[row] < len(plan):
                site, size_mw = plan[self._step[row]]
                action[row, self._action[site]] = min(size_mw / self._step_mw[site], 1.0)
        self._step += 1
        return self._actions.coded(action, single)

    def _planned(self, shown: FloatArray, opened: FloatArray) -> list[tuple[int, float]]:
        """(site, MW) of each step."""
        asked = shown[self._asked]
        sites = np.flatnonzero(asked > ASKS_MW)
        grid = self._opening(shown, opened, sites)
        if sites.size == 0 or not grid.kept(np.zeros((1, sites.size)))[0]:
            return []
        sizes = _largest(grid, asked[sites], self._step_mw[sites], self._steps)
        units = [
            (int(site), float(size))
            for site, total, unit in zip(sites, sizes, self._step_mw[sites], strict=True)
            for size in _units(total, unit)
        ]
        # Big ones last: what is connected first leaves limits more room.
        return sorted(units, key=lambda unit: unit[1])


def _units(total_mw: float, unit_mw: float) -> list[float]:
    if total_mw <= ASKS_MW:
        return []
    count = int(np.ceil(total_mw / unit_mw - 1e-9))
    return [min(unit_mw, total_mw - k * unit_mw) for k in range(count)]


def _count(sizes: FloatArray, unit_mw: FloatArray) -> IntArray:
    """(rows,) units that sizes (rows, sites) take."""
    return np.ceil(np.where(sizes > ASKS_MW, sizes, 0.0) / unit_mw - 1e-9).sum(axis=1).astype(np.int64)


def _largest(grid: Opened, asked_mw: FloatArray, unit_mw: FloatArray, steps: int) -> FloatArray:
    """(sites,) MW."""
    best, trust = np.zeros(asked_mw.size), 1.0
    for _ in range(_ROUNDS):
        aim = _linear(grid, best, asked_mw, unit_mw, steps, trust * float(asked_mw.max()))
        gained = 0.0
        if aim is not None:
            tried = np.clip(best + _PARTS[:, None] * (aim - best), 0.0, asked_mw)
            fit: BoolArray = grid.kept(tried) & (_count(tried, unit_mw) <= steps)
            totals = np.where(fit, tried.sum(axis=1), -np.inf)
            gained = float(totals.max()) - float(best.sum())
            if gained > 0.0:
                best = tried[totals.argmax()]
        if gained < _WORTH_MW:
            trust *= 0.4
            if trust < _LEAST_TRUST:
                break
    return best


def _linear(
    grid: Opened, sizes: FloatArray, asked_mw: FloatArray, unit_mw: FloatArray, steps: int, trust_mw: float
) -> FloatArray | None:
    """(sites,) what the linear model at ``sizes`` likes best; None where it has no answer."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    n, delta = sizes.size, 1e-3
    x = grid.columns(sizes + np.vstack([np.zeros(n), delta * np.eye(n)]))
    slope = (x[1:] - x[0]).T / delta
    room_up, room_down = grid.bounds.high[0] - x[0], grid.bounds.low[0] - x[0]
    kept = (np.isfinite(room_up) | np.isfinite(room_down)) & np.isfinite(slope).all(axis=1)
    origin = slope[kept] @ sizes
    limits = LinearConstraint(
        np.hstack([slope[kept], np.zeros((int(kept.sum()), n))]), room_down[kept] + origin,
        room_up[kept] + origin,
    )  # fmt: skip
    units = LinearConstraint(np.hstack([np.eye(n), -np.diag(unit_mw)]), -np.inf, 0.0)
    few = LinearConstraint(np.concatenate([np.zeros(n), np.ones(n)])[None], -np.inf, float(steps))
    low = np.concatenate([np.maximum(sizes - trust_mw, 0.0), np.zeros(n)])
    high = np.concatenate([np.minimum(sizes + trust_mw, asked_mw), np.ceil(asked_mw / unit_mw)])
    cost = np.concatenate([-np.ones(n), np.full(n, 1e-6)])
    whole = np.concatenate([np.zeros(n), np.ones(n)])
    found = milp(
        cost, constraints=[limits, units, few], bounds=Bounds(low, high), integrality=whole,
        options={"mip_rel_gap": 1e-6},
    )  # fmt: skip
    return None if found.x is None else np.asarray(found.x[:n])
