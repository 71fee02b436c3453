"""The P-Q region of a group of devices on the AC power flow: a sweep of directions.

Of each direction the farthest point is looked for that keeps all limits of the grid and of the devices, by
sequential quadratic programming with exact gradients (`sequential.minimise`), all directions as one batch. A
direction that another one's point passes starts again from there, and those beside a long edge of the polygon
from further setpoints: the boundary may bulge between. The problem is not convex: each point is the best
known, never called optimal, and each is one power flow that keeps the limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ...errors import RunError, unknown
from ..ac_problem import AcProblem
from ..affine import FloatArray, IntArray
from ..binding import binding_limits
from ..branch_flow import NetworkLimits
from ..local import balanced_problem, setpoints_of
from ..phase_dispatch import PhaseUnit, phase_problem
from ..replay import Binding
from ..sequential import KEPT as ALSO_KEPT
from ..sequential import Ended, minimise
from ..units import Unit
from ..verdict import KEPT
from .group import HEAD, INJECTION, DirectedProblem
from .polygon import area, box_and_circle, convex_hull, minkowski_sum

DIRECTIONS = 72
_MOST_ROUNDS = 4
_LONG_EDGE = 0.05  # of the polygon's circumference, and twice the mean edge
_STARTS = 8  # further setpoints of directions beside a long edge
_SAME = 1e-9  # of the circumference
_PASSED = 1e-7  # of the reach of all points: another direction's point is farther by more than this
#: Words of `Region.status`.
FOUND, EMPTY = "best known", "infeasible"


@dataclass(frozen=True, eq=False)
class Region:
    """What a group can do.

    Attributes:
        units: Of the group, in the order of the setpoints.
        seen_at: "head": P and Q arrive from the sources, losses and loads included. "injection": they are
            the sum of what the group's devices feed in.
        problem: Network, units and limits, of one row: see `inside.setpoints_at`.
        base: (2,) P and Q at the base point.
        base_source_mva: (n_source,) complex power of each source there.
        direction_deg: (n,) of each vertex's own direction; 0: most P, 90: most Q.
        p_mw, q_mvar: (n,) vertices, counter-clockwise; each keeps all limits.
        unit_p_mw, unit_q_mvar: (n, n_unit) setpoints there.
        v_min_pu, v_max_pu: (n,) of the power flow there. violation: (n,) largest excess, in its own unit.
        binding: Of each vertex, dearest first; its dual is MVA of reach for one of the limit's unit.
        status: "best known", or "infeasible": no setpoints of the group keep the limits, by ``shortfall``.
        shortfall: The least excess that was found over all limits, in its own unit; 0 where they are kept.
        unsettled: Directions in which small changes still gained when the iterations were used up.
    """

    units: tuple[Unit, ...]
    seen_at: str
    problem: AcProblem
    base: FloatArray
    base_source_mva: NDArray[np.complex128]
    direction_deg: FloatArray
    p_mw: FloatArray
    q_mvar: FloatArray
    unit_p_mw: FloatArray
    unit_q_mvar: FloatArray
    v_min_pu: FloatArray
    v_max_pu: FloatArray
    violation: FloatArray
    binding: tuple[tuple[Binding, ...], ...]
    status: str
    shortfall: float
    unsettled: int

    @property
    def corners(self) -> FloatArray:
        """(n, 2) vertices."""
        return np.stack([self.p_mw, self.q_mvar], axis=1)

    @cached_property
    def area(self) -> float:
        """Of the hull, MW Mvar."""
        return area(self.corners)

    @cached_property
    def naive_corners(self) -> FloatArray:
        """(m, 2) corners of the sum of what the devices feed in, each by itself and without a grid."""
        parts = [
            box_and_circle((u.p_min_mw, u.p_max_mw), (u.q_min_mvar, u.q_max_mvar), u.s_mva)
            for u in self.units
        ]
        return minkowski_sum(parts)

    @property
    def naive_area(self) -> float:
        """Of that sum, MW Mvar."""
        return area(self.naive_corners)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a sweep stands in: loads, source voltages, settings of a feeder.

    Attributes:
        p_mw, q_mvar: Loads, (n_bus,) or (n_bus, 3); None: the nominal ones.
        p_delta_mw, q_delta_mvar: Per phase, between phases.
        v_source_pu: Of all sources; None: as stored.
        tap, cap_on: Per phase, ratios and states of banks; None: as stored. They are held.
    """

    p_mw: FloatArray | None = None
    q_mvar: FloatArray | None = None
    p_delta_mw: FloatArray | None = None
    q_delta_mvar: FloatArray | None = None
    v_source_pu: float | None = None
    tap: FloatArray | None = None
    cap_on: Any = None


def pq_region(
    net: physics.Network | physics.Network3,
    units: Sequence[Unit],
    *,
    group: Sequence[str] | None = None,
    base: Mapping[str, tuple[float, float]] | None = None,
    at: str = HEAD,
    limits: NetworkLimits | None = None,
    around: Surroundings | None = None,
    directions: int = DIRECTIONS,
) -> Region:
    """The region of a group of devices, all others at their base points.

    Args:
        net: Compiled, balanced and radial, or per phase.
        units: All devices; per phase `phase_dispatch.PhaseUnit`.
        group: Names of those that move; None: all.
        base: P (MW) and Q (Mvar) of devices that do not move, and where the sweep starts; 0 where left out,
            or as near to it as the device can.
        at: "head" or "injection", see `Region.seen_at`.
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        around: Loads and settings; None: nominal, as stored.
        directions: How many are swept, 4 or more.

    Raises:
        RunError: an unknown name, bus or phase, too few directions, a feeder that `local.local_optimum` and
            `phase_dispatch.phase_optimum` do not cover.
    """
    if at not in (HEAD, INJECTION):
        raise unknown("place where P and Q are seen", at, (HEAD, INJECTION))
    if directions < 4:
        raise RunError(f"directions is {directions}: expected 4 or more")
    problem, moving, start = _problem(net, units, group, dict(base or {}), limits, around or Surroundings())
    angle = 2.0 * np.pi * np.arange(directions) / directions
    wanted = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    sweep = _Sweep(DirectedProblem.of(problem, at, wanted), np.repeat(start[None], directions, axis=0))
    sweep.settle()
    return _region(sweep, problem, moving, start, np.rad2deg(angle))


def _problem(
    net: Any, units: Sequence[Unit], group: Sequence[str] | None, base: dict[str, tuple[float, float]],
    limits: NetworkLimits | None, around: Surroundings,
) -> tuple[AcProblem, tuple[Unit, ...], FloatArray]:  # fmt: skip
    """The problem of those that move, the others fed in beside them; where it starts."""
    names = [unit.name for unit in units]
    for what, given in (("device of the group", group or ()), ("device with a base point", base)):
        for name in given:
            if name not in names:
                raise unknown(what, name, names)
    every = _compiled(net, units, limits, around)
    at = np.array([base.get(name, (0.0, 0.0)) for name in names]).reshape(-1, 2).T
    rest = every.setpoints.projected(at.reshape(1, -1))[0]
    n = len(names)
    moves = np.array([group is None or name in group for name in names], dtype=bool)
    moving = tuple(unit for unit, move in zip(units, moves, strict=True) if move)
    if not moving:
        raise RunError("a region needs at least one device that moves")
    still = ~moves
    beside = np.stack([rest[:n][still] @ every.share[still], rest[n:][still] @ every.share[still]])
    chosen = replace(every, setpoints=setpoints_of(moving, ""), share=every.share[moves], beside=beside)
    return chosen, moving, rest[np.tile(moves, 2)]


def _compiled(
    net: Any, units: Sequence[Unit], limits: NetworkLimits | None, around: Surroundings
) -> AcProblem:
    loads = {"p_mw": around.p_mw, "q_mvar": around.q_mvar}
    if isinstance(net, physics.Network3):
        settings = {"v_source_pu": around.v_source_pu, "tap": around.tap, "cap_on": around.cap_on}
        loads |= {"p_delta_mw": around.p_delta_mw, "q_delta_mvar": around.q_delta_mvar}
        own = [unit if isinstance(unit, PhaseUnit) else _of_all_phases(unit) for unit in units]
        return phase_problem(net, own, "host", limits, 0.0, loads, settings)[0]
    return balanced_problem(net, units, "host", limits, 0.0, loads, around.v_source_pu)[0]


def _of_all_phases(unit: Unit) -> PhaseUnit:
    return PhaseUnit(**vars(unit))


class _Sweep:
    """All directions: where each has got to."""

    def __init__(self, problem: DirectedProblem, start: FloatArray) -> None:
        self.problem = problem
        free = (problem.setpoints.upper > problem.setpoints.lower).any()
        self.ended = minimise(problem, start) if free else _standing(problem, start)
        self.rows = np.arange(start.shape[0])
        self.state = problem.evaluate(self.rows, self.ended.x, None)

    @property
    def violation(self) -> FloatArray:
        """(rows,) largest excess in its own unit."""
        excess = (self.state.excess * self.problem.limits.scale).max(axis=1, initial=0.0)
        return np.where(np.isfinite(self.state.value), np.maximum(excess, 0.0), np.inf)

    def settle(self) -> None:
        """Look for farther points from those of other directions, and from further setpoints."""
        self._from_others()
        rows = self._beside_long_edges()
        if rows.size:
            many = np.repeat(rows, _STARTS)
            given, random = self.problem.setpoints, np.random.default_rng(0)
            self._again(many, random.uniform(given.lower, given.upper, (many.size, given.lower.size)))
            self._from_others()

    def _from_others(self) -> None:
        for _ in range(_MOST_ROUNDS):
            kept = self.violation <= KEPT
            if not kept.any():
                return
            reach = self.problem.wanted @ self.state.pq[kept].T
            own = np.where(kept, (self.problem.wanted * self.state.pq).sum(axis=1), -np.inf)
            best = np.flatnonzero(kept)[reach.argmax(axis=1)]
            passed = np.flatnonzero(reach.max(axis=1) > own + _PASSED * (1.0 + np.abs(reach).max()))
            if not passed.size:
                return
            self._again(passed, self.ended.x[best[passed]])

    def _beside_long_edges(self) -> IntArray:
        """Directions whose point ends a long edge of the polygon."""
        kept = np.flatnonzero(self.violation <= KEPT)
        corners = self.state.pq[kept][convex_hull(self.state.pq[kept])]
        if len(corners) < 3:
            return np.empty(0, dtype=np.int64)
        length = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
        long = length > max(_LONG_EDGE, 2.0 / len(corners)) * length.sum()
        ends = corners[long | np.roll(long, 1)]
        away = np.abs(self.state.pq[:, None] - ends[None]).max(axis=2)
        return np.flatnonzero(away.min(axis=1, initial=np.inf) <= _SAME * length.sum())

    def _again(self, rows: IntArray, start: FloatArray) -> None:
        """Minimise rows once more, some of them from several places, and keep what is better."""
        found, old = minimise(self.problem.taken(rows), start), self.ended
        x, value, violation = old.x.copy(), old.value.copy(), old.violation.copy()
        converged, multiplier = old.converged.copy(), old.multiplier.copy()
        for k, row in enumerate(rows.tolist()):
            new = float(found.violation[k]), float(found.value[k])
            if _is_better(new, (float(violation[row]), float(value[row]))):
                x[row], multiplier[row], converged[row] = found.x[k], found.multiplier[k], found.converged[k]
                violation[row], value[row] = new
        done = old.iterations + found.iterations
        self.ended = Ended(x, value, violation, converged, multiplier, done)
        self.state = self.problem.evaluate(self.rows, self.ended.x, None)

    def binding(self, row: int, units: tuple[Unit, ...]) -> tuple[Binding, ...]:
        """Limits that hold a direction back, dearest first."""
        one = np.array([row])
        problem, old = self.problem.taken(one), self.ended
        state = problem.evaluate(np.zeros(1, dtype=np.int64), old.x[one], None)
        ended = Ended(
            old.x[one], old.value[one], old.violation[one], old.converged[one], old.multiplier[one], 0
        )
        return tuple(sorted(binding_limits(problem, units, state, ended), key=lambda limit: -limit.dual))


def _standing(problem: DirectedProblem, start: FloatArray) -> Ended:
    """Where nothing can move."""
    rows = start.shape[0]
    state = problem.evaluate(np.arange(rows), start, None)
    over = np.maximum(state.excess.max(axis=1, initial=0.0), 0.0)
    ok = np.isfinite(state.value)
    return Ended(start, state.value, np.where(ok, over, np.inf), ok, np.zeros_like(state.excess), 0)


def _is_better(new: tuple[float, float], old: tuple[float, float]) -> bool:
    """Of (excess, value): limits first, in the scale of `sequential.KEPT`, then the value."""
    if max(new[0], old[0]) > ALSO_KEPT:
        return new[0] < old[0]
    return new[1] < old[1]


def _region(
    sweep: _Sweep, problem: AcProblem, units: tuple[Unit, ...], start: FloatArray, angle: FloatArray
) -> Region:
    rest = DirectedProblem.of(problem, sweep.problem.seen_at, np.zeros((1, 2)))
    base = rest.evaluate(np.zeros(1, dtype=np.int64), start[None], None)
    violation, n = sweep.violation, len(units)
    kept = np.flatnonzero(violation <= KEPT)
    at = kept[convex_hull(sweep.state.pq[kept])]
    v = sweep.state.v_pu[at][:, problem.limits.node] if problem.limits.node.size else sweep.state.v_pu[at]
    x, pq = sweep.ended.x[at], sweep.state.pq[at]
    source = np.asarray(base.solution.s_source_mva)[0]
    return Region(
        units, sweep.problem.seen_at, problem, base.pq[0], source, angle[at], pq[:, 0], pq[:, 1],
        x[:, :n], x[:, n:], np.nanmin(v, axis=1, initial=np.inf), np.nanmax(v, axis=1, initial=-np.inf),
        violation[at], tuple(sweep.binding(int(k), units) for k in at),
        FOUND if at.size else EMPTY, 0.0 if at.size else float(violation.min()),
        int((~sweep.ended.converged[at]).sum()),
    )  # fmt: skip
