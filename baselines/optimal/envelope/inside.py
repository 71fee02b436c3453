"""Setpoints of a group that give a P and a Q inside its region, solved on the AC power flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import RunError
from ..affine import FloatArray, IntArray
from ..sequential import minimise
from .group import TargetProblem
from .polygon import beyond
from .region import Region

#: A point is met where it is within this share of the region's reach, and never asked for closer than that.
TRACKED = 0.01


@dataclass(frozen=True, eq=False)
class Tracked:
    """Setpoints for points of a region.

    Attributes:
        unit_p_mw, unit_q_mvar: (n, n_unit).
        p_mw, q_mvar: (n,) what the group then has, of the AC power flow.
        error: (n,) distance from what was asked for, as a share of the region's reach: the largest distance
            of a vertex from the middle.
        violation: (n,) largest excess over a limit, in its own unit.
    """

    unit_p_mw: FloatArray
    unit_q_mvar: FloatArray
    p_mw: FloatArray
    q_mvar: FloatArray
    error: FloatArray
    violation: FloatArray


def setpoints_at(region: Region, p_mw: FloatArray, q_mvar: FloatArray, max_iterations: int = 60) -> Tracked:
    """Setpoints that give P and Q of the group, limits kept.

    Each search starts at the mixture of two neighbouring vertices' setpoints and of all of them that is the
    point of the polygon; P and Q of the mixture are others, for losses are not linear, and the least squared
    distance on the power flow brings them there.

    Args:
        region: With vertices.
        p_mw: (n,) as `Region.p_mw`, inside the polygon.
        q_mvar: (n,) with it.
        max_iterations: Subproblems at most.

    Raises:
        RunError: a region without vertices, a point outside of the polygon (by how much).
    """
    wanted = np.stack([np.atleast_1d(p_mw), np.atleast_1d(q_mvar)], axis=1).astype(np.float64)
    if not region.p_mw.size:
        raise RunError("the region is empty: there is no point inside to be met")
    outside = beyond(region.corners, wanted)
    worst = int(np.argmax(outside)) if outside.size else 0
    if outside.size and outside[worst] > 1e-6:
        raise RunError(
            f"P {wanted[worst, 0]:g} MW, Q {wanted[worst, 1]:g} Mvar is outside of the region by "
            f"{outside[worst]:.4g} MVA"
        )
    problem = TargetProblem.of(region.problem, region.seen_at, wanted)
    ended = minimise(problem, _mixtures(region, wanted), max_iterations=max_iterations)
    state = problem.evaluate(np.arange(len(wanted)), ended.x, None)
    n = len(region.units)
    away = np.hypot(*(state.pq - wanted).T) / max(reach(region), 1e-12)
    excess = np.maximum((state.excess * problem.limits.scale).max(axis=1, initial=0.0), 0.0)
    violation = np.where(np.isfinite(state.value), excess, np.inf)
    return Tracked(
        ended.x[:, :n], ended.x[:, n:], state.pq[:, 0], state.pq[:, 1], np.asarray(away), violation
    )


def reach(region: Region) -> float:
    """The largest distance of a vertex from the middle of all, MVA."""
    corners = region.corners
    return float(np.hypot(*(corners - corners.mean(axis=0)).T).max())


def _mixtures(region: Region, wanted: FloatArray) -> FloatArray:
    """(n, n_x) setpoints mixed as the points are of vertices."""
    corners, x = region.corners, np.concatenate([region.unit_p_mw, region.unit_q_mvar], axis=1)
    middle, x_middle = corners.mean(axis=0), x.mean(axis=0)
    if len(corners) < 3:
        return np.repeat(x_middle[None], len(wanted), axis=0)
    first, second = np.arange(len(corners)), np.roll(np.arange(len(corners)), -1)
    sides = np.stack([corners[first] - middle, corners[second] - middle], axis=2)  # (m, 2, 2)
    share = np.einsum("mij,nj->nmi", np.linalg.pinv(sides), wanted - middle)
    which: IntArray = share.min(axis=2).argmax(axis=1)  # the triangle that it is inside of
    share = np.clip(share[np.arange(len(wanted)), which], 0.0, 1.0)
    a, b = first[which], second[which]
    return np.asarray(x_middle + share[:, :1] * (x[a] - x_middle) + share[:, 1:] * (x[b] - x_middle))
