"""A schedule on the AC power flow itself: sequential convex programs about it, per phase or balanced.

R. Fletcher: Practical methods of optimization, 2nd ed., Wiley 1987, ch. 14.4: the power flow of every step is
linearised with exact slopes (adjoint sweeps), the rows of assets hold exactly and couple the steps, a trust
region keeps the model honest, and a step is taken where an exact penalty function of the AC power flow falls.
Nothing is proved: the best that is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import physics
from ...errors import RunError
from ..ac_problem import AcLimits, AcProblem, AcState
from ..affine import Affine, FloatArray, stacked
from ..branch_flow import NetworkLimits
from ..conic import Compiled
from ..local import setpoints_of
from ..phase_dispatch import grounded
from ..program import Program
from ..units import Unit
from .assets import followed
from .balanced import Stage
from .case import HEAD, ScheduleCase, places
from .objectives import Played, sign_of, to_minimise, value_of
from .rows import add_assets

_NEAR = 0.2  # limits nearer than this, in their scale, enter a subproblem
_ROUNDS, _LEAST_RADIUS, _LEAST_GAIN = 30, 2e-3, 1e-6
_PENALTY = 50.0  # of a limit that is exceeded by its scale, in sizes of the objective


@dataclass(frozen=True, eq=False)
class Point:
    """Setpoints and their power flow.

    Attributes:
        p_mw, q_mvar: (steps, n_assets).
        state: Of the AC problem.
        caps: (n_caps, steps) MW beyond each cap.
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    state: AcState
    caps: FloatArray

    @property
    def head_mw(self) -> FloatArray:
        """(steps,)."""
        return np.asarray(self.state.solution.p_slack_mw)


class AcSearch:
    """Local optima of a case, stage after stage."""

    def __init__(self, case: ScheduleCase) -> None:
        """RunError for a feeder whose power flow has no slopes, or no solution where the search begins."""
        self.case = case
        net = case.net
        if isinstance(net, physics.Network3):
            live = grounded(net).copy()
            live[[source.node for source in net.sources]] = False
        else:
            live = np.array(net.energised, dtype=bool)
            live[net.topology.tree.order[net.topology.tree.parent < 0]] = False
            dead = np.flatnonzero(~net.energised[places(case)])
            if dead.size:
                asset = case.assets[int(dead[0])]
                raise RunError(f"asset {asset.name!r}: bus {asset.bus!r} has no connection to a source")
        units = [Unit(asset.name, asset.bus) for asset in case.assets]
        limits = NetworkLimits(case.limits.v_band, case.limits.thermal_margin)
        settings: dict[str, Any] = {} if case.v_source_pu is None else {"v_source_pu": case.v_source_pu}
        self.problem = AcProblem(
            net, setpoints_of(units, "cost"), case.shares(), "cost", 1.0,
            AcLimits.of(net, limits, live.ravel()), dict(case.loads), settings,
        )  # fmt: skip
        self.rows = np.arange(case.steps)
        self.size = np.array([
            *(np.maximum(np.abs(a.p_min_mw), np.abs(a.p_max_mw)).max() for a in case.assets),
            *(np.maximum(np.abs(a.q_min_mvar), np.abs(a.q_max_mvar)).max() for a in case.assets),
        ]) + 1e-9  # fmt: skip
        idle = [followed(asset, _idle(asset), case.dt_h)[0] for asset in case.assets]
        p = np.stack(idle, axis=1)
        q = np.stack([np.clip(0.0, a.q_min_mvar, a.q_max_mvar) for a in case.assets], axis=1)
        self.point = self.at(p, q, None)
        if not np.isfinite(self.point.state.value).all():
            raise RunError("the power flow of idle assets has no solution in some step")

    def at(self, p: FloatArray, q: FloatArray, v: Any) -> Point:
        """Setpoints with their power flow; ``v``: where it starts."""
        state = self.problem.evaluate(self.rows, np.concatenate([p, q], axis=1), v)
        return Point(p, q, state, self._beyond_caps(state.solution))

    def _beyond_caps(self, sol: Any) -> FloatArray:
        found, ids = [], self.case.branch_ids
        for cap in self.case.caps:
            p = sol.p_slack_mw if cap.element == HEAD else self.case.sent_mw(sol)[:, ids.index(cap.element)]
            found += [np.asarray(p) - cap.import_mw, -np.asarray(p) - cap.export_mw]
        return np.array(found).reshape(-1, self.case.steps)

    # -- the search --------------------------------------------------------------------------------------

    def run(self, stage: Stage) -> Point:
        """A local optimum of a stage, from where the search stands."""
        radius, scale = 1.0, self._scale(stage)
        best = self._merit(stage, self.point, scale)
        for _ in range(_ROUNDS):
            trial = self._trial(stage, radius, scale)
            if trial is None:
                break
            after = self._merit(stage, trial, scale)
            moved = [trial.p_mw - self.point.p_mw, trial.q_mvar - self.point.q_mvar]
            length = float(np.abs(np.concatenate(moved, axis=1) / self.size).max(initial=0.0))
            gained = best - after
            if gained > 0.0:
                self.point, best = trial, after
                radius = min(2.0 * radius, 2.0) if length > 0.5 * radius else radius
            else:
                radius = 0.3 * min(radius, max(length, 1e-6))
            if radius < _LEAST_RADIUS or 0.0 <= gained < _LEAST_GAIN * scale:
                break
        return self.point

    def _scale(self, stage: Stage) -> float:
        case = self.case
        if stage.objective in ("cost", "revenue"):
            return max(case.dt_h * float(np.abs(case.price_usd_mwh) @ np.abs(self.point.head_mw)), 1e-6)
        return max(float(np.abs(self.point.head_mw).max()), 1e-6)

    def _merit(self, stage: Stage, point: Point, scale: float) -> float:
        if not np.isfinite(point.state.value).all():
            return np.inf
        played = Played(point.p_mw, point.head_mw)
        total = sign_of(stage.objective) * value_of(stage.objective, self.case, played)
        over = np.maximum(np.nan_to_num(point.state.excess), 0.0).sum()
        over += (np.maximum(point.caps, 0.0) / self._cap_scale).sum()
        for name, most in stage.ceilings.items():
            value = sign_of(name) * value_of(name, self.case, played)
            over += max(value - most, 0.0) / max(abs(most), 1e-3)
        return total + _PENALTY * scale * float(over)

    @property
    def _cap_scale(self) -> float:
        return max(float(np.abs(self.point.head_mw).max()), 1e-3)

    def _trial(self, stage: Stage, radius: float, scale: float) -> Point | None:
        case, program, at = self.case, Program(), self.point
        columns = add_assets(program, case.assets, case.dt_h, stage.gives)
        move = stacked([columns.p[:, k] for k in range(len(case.assets))]
                       + [columns.q[:, k] for k in range(len(case.assets))])  # (2n, steps)  # fmt: skip
        here = np.concatenate([at.p_mw, at.q_mvar], axis=1)
        move = move - here.T
        reach = (radius * self.size)[:, None]
        program.nonneg(reach - move)
        program.nonneg(move + reach)
        head, over = self.linear(program, move)
        penalty = _PENALTY * scale
        total = to_minimise(stage.objective, program, case, head, columns) + penalty * over
        for name, most in stage.ceilings.items():
            value = to_minimise(name, program, case, head, columns)
            total = (
                total + (penalty / max(abs(most), 1e-3)) * program.positive((value - most).reshape(1)).sum()
            )
        program.minimise(total * (1.0 / scale))
        found = Compiled(program, tolerance=1e-9).solve()
        if not found.solved:
            return None
        return self.at(columns.p.at(found.x), columns.q.at(found.x), at.state.v)

    def linear(self, program: Program, move: Affine) -> tuple[Affine, Affine]:
        """(steps,) power of the head about the present point; () scaled excess over limits near it."""
        at, steps = self.point, self.case.steps
        n = at.state.excess.shape[1]
        slope = self.problem.slopes(at.state, np.ones(steps), np.zeros((steps, n)))
        head = at.head_mw + dot(slope, move, np.arange(steps))
        row, limit = np.nonzero(np.nan_to_num(at.state.excess, nan=-1.0) > -_NEAR)
        over = Affine(0.0)
        if row.size:
            seeds = np.zeros((row.size, n))
            seeds[np.arange(row.size), limit] = 1.0
            x = np.concatenate([at.p_mw, at.q_mvar], axis=1)
            lanes = self.problem.evaluate(row, x[row], at.state.v[row])
            by = self.problem.slopes(lanes, np.zeros(row.size), seeds)
            over = program.positive(at.state.excess[row, limit] + dot(by, move, row)).sum()
        return head, over + self._linear_caps(program, head, move)

    def _linear_caps(self, program: Program, head: Affine, move: Affine) -> Affine:
        total, at, case = Affine(0.0), self.point, self.case
        for k, cap in enumerate(case.caps):
            if cap.element == HEAD:
                p = head
            else:
                p = self._sent(case.branch_ids.index(cap.element), move)
            for j, (value, most) in enumerate(((p, cap.import_mw), (-p, cap.export_mw))):
                near = np.flatnonzero(np.isfinite(at.caps[2 * k + j]))
                if near.size:
                    total = total + program.positive(value[near] - most[near]).sum() / self._cap_scale
        return total

    def _sent(self, branch: int, move: Affine) -> Affine:
        """(steps,) power into a branch at its end nearer to the substation."""
        sol, steps = self.point.state.solution, self.case.steps
        shape = np.shape(sol.p_from_mw)
        seed = np.zeros(shape)
        seed[:, branch] = 1.0
        name = "p_from_mw" if self.case.forward()[branch] else "p_to_mw"
        seeds: dict[str, Any] = {name: seed}
        by = physics.gradient(sol, **seeds)
        share = self.problem.share
        flat = [np.nan_to_num(np.asarray(part).reshape(steps, -1)) @ share.T
                for part in (by.p_inject_mw, by.q_inject_mvar)]  # fmt: skip
        now = self.case.sent_mw(sol)[:, branch]
        return now + dot(np.concatenate(flat, axis=1), move, np.arange(steps))


def dot(slope: FloatArray, move: Affine, step: Any) -> Affine:
    """(rows,) slope (rows, 2n) times the move of each row's step."""
    return (move.reshape(*move.shape)[:, step] * np.nan_to_num(slope).T).sum(axis=0)


def _idle(asset: Any) -> FloatArray:
    """Sun and wind give what they offer; all else is idle."""
    return np.asarray(asset.p_max_mw if asset.offered else np.zeros(asset.steps))
