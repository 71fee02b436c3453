"""A schedule of a radial balanced feeder as a conic program: the branch flow relaxation over its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ...errors import RunError
from ..affine import Affine, FloatArray
from ..branch_flow import BranchFlow, Demand, NetworkLimits, add_branch_flow
from ..conic import INFEASIBLE, Compiled, ConicSolution
from ..program import Limit, Program
from ..radial import radial_network
from .assets import Asset
from .case import HEAD, Excess, OverLimitsError, PowerCap, ScheduleCase, places
from .objectives import to_minimise
from .rows import AssetColumns, BoolArray, add_assets

_TOLERANCE = 1e-9
_EXCEEDED = 1e-5  # slacks below it are the solver's rounding
_PRICES = {"MW": 1.0, "MVA": 1e2, "pu": 1e3}  # orders give way before ratings, ratings before the band
_ROOM = 1e-7  # by which a ceiling of an earlier objective may be passed, of its value and absolute


@dataclass(frozen=True, eq=False)
class Stage:
    """What is made small, and what earlier objectives may cost at most.

    Attributes:
        objective: Name.
        ceilings: Objective to the most of it, as it is made small.
        gives: (steps, n_stores) whether reservoirs give or draw; None: free.
        lossless: Whether voltages without losses are held below the limit, too.
    """

    objective: str
    ceilings: Mapping[str, float]
    gives: BoolArray | None = None
    lossless: bool = False

    def with_ceiling(self, value: float, objective: str) -> Stage:
        """The next objective, with a ceiling on this one."""
        room = _ROOM * max(abs(value), 1.0)
        return replace(self, objective=objective, ceilings={**self.ceilings, self.objective: value + room})


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A stage, solved.

    Attributes:
        columns, flow: In the program.
        found: The solution.
    """

    columns: AssetColumns
    flow: BranchFlow
    found: ConicSolution

    @property
    def p_mw(self) -> FloatArray:
        """(steps, n_assets)."""
        return self.columns.p.at(self.found.x)

    @property
    def q_mvar(self) -> FloatArray:
        """(steps, n_assets)."""
        return self.columns.q.at(self.found.x)

    @property
    def both_mw(self) -> FloatArray:
        """(steps, n_stores) what is drawn and given in the same step."""
        return np.minimum(self.columns.into.at(self.found.x), self.columns.out.at(self.found.x))

    @property
    def gives(self) -> NDArray[np.bool_]:
        """(steps, n_stores) whether reservoirs give more than they draw."""
        return np.asarray(self.columns.out.at(self.found.x) > self.columns.into.at(self.found.x))

    def v_pu(self) -> FloatArray:
        """(steps, m) at the positions of the network."""
        return np.sqrt(np.maximum(self.flow.v.at(self.found.x), 0.0))

    def duals_per_mw(self) -> FloatArray:
        """(steps, n_bus) by how much the objective falls when 1 MW more is fed in; NaN at dead buses."""
        network = self.flow.network
        found = np.full((self.flow.v.shape[0], network.net.n_bus), np.nan)
        found[:, network.node] = self.found.dual(self.flow.balance_p) / network.base_mva
        return found


class BalancedProgram:
    """Makes conic programs of a case."""

    def __init__(self, case: ScheduleCase) -> None:
        """RunError for a feeder that the relaxation does not cover."""
        assert isinstance(case.net, physics.Network)
        self.case, self.network = case, radial_network(case.net)
        self.at = self.network.position[places(case)]
        for asset, place in zip(case.assets, self.at.tolist(), strict=True):
            if place < 0:
                raise RunError(f"asset {asset.name!r}: bus {asset.bus!r} has no connection to a source")

    def solved(self, stage: Stage) -> Relaxation:
        """The best of a stage.

        Raises:
            OverLimitsError: no point keeps the limits of the network.
            RunError: the solver failed.
        """
        program, columns, flow = self._program(stage, elastic=False)
        found = Compiled(program, tolerance=_TOLERANCE).solve()
        if found.solved:
            return Relaxation(columns, flow, found)
        if found.status == INFEASIBLE and not stage.ceilings and not stage.lossless:
            raise OverLimitsError(self.least_excess(stage))
        raise RunError(f"the conic solver ended with {found.solver_status!r}")

    def least_excess(self, stage: Stage) -> list[Excess]:
        """What must be exceeded at the least, the largest first; nothing where loads alone are too much."""
        program, _, _ = self._program(stage, elastic=True)
        compiled = Compiled(program, tolerance=_TOLERANCE)
        total = Affine(0.0)
        for rows in program.rows:
            if rows.limit is not None and rows.slack is not None:
                per = _PRICES[rows.limit.unit] / np.broadcast_to(rows.limit.per_unit, rows.shape)
                total = total + (rows.slack * per).sum()  # the slack of a row is its excess times per_unit
        compiled.set_objective(total)
        found = compiled.solve()
        if not found.solved:
            return []
        listed = []
        for rows in program.rows:
            if rows.limit is None or rows.slack is None:
                continue
            over = rows.slack.at(found.x) / np.broadcast_to(rows.limit.per_unit, rows.shape)
            for place in np.argwhere(over > _EXCEEDED):
                k, t = int(place[-1]), int(place[0])
                limit = rows.limit
                bound = float(np.broadcast_to(limit.value, rows.shape)[tuple(place)])
                listed.append(Excess(
                    limit.kind.replace("thermal_from", "thermal").replace("thermal_to", "thermal"),
                    str(limit.element[k]), t, bound, limit.unit, float(over[tuple(place)]),
                ))  # fmt: skip
        return sorted(listed, key=lambda one: (-one.excess, one.step, one.element))

    def _program(self, stage: Stage, elastic: bool) -> tuple[Program, AssetColumns, BranchFlow]:
        case, network = self.case, self.network
        program = Program(elastic=elastic)
        columns = add_assets(program, case.assets, case.dt_h, stage.gives)
        reach = np.zeros(network.size)
        np.add.at(reach, self.at, [_most_mva(asset) for asset in case.assets])
        into_p, into_q = (part.scattered(self.at, network.size) for part in (columns.p, columns.q))
        limits = NetworkLimits(
            case.limits.v_band, case.limits.thermal_margin, lossless_voltages=stage.lossless
        )
        flow = add_branch_flow(program, network, self._demand, into_p, into_q, limits, reach)
        for cap in case.caps:
            _add_cap(program, flow, cap)
        for name, most in stage.ceilings.items():
            program.nonneg(most - to_minimise(name, program, case, flow.p_source_mw, columns))
        program.minimise(to_minimise(stage.objective, program, case, flow.p_source_mw, columns))
        return program, columns, flow

    @cached_property
    def _demand(self) -> Demand:
        network, case = self.network, self.case
        p, q = (np.asarray(case.loads[name])[:, network.node] for name in ("p_mw", "q_mvar"))
        stored = network.net.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
        source = stored if case.v_source_pu is None else np.full(stored.size, case.v_source_pu)
        return Demand(p, q, np.tile(source, (case.steps, 1)))


def _most_mva(asset: Asset) -> float:
    p = max(np.abs(asset.p_min_mw).max(), np.abs(asset.p_max_mw).max())
    q = max(np.abs(asset.q_min_mvar).max(), np.abs(asset.q_max_mvar).max())
    return float(min(np.hypot(p, q), max(asset.s_mva, p)))


def _add_cap(program: Program, flow: BranchFlow, cap: PowerCap) -> None:
    """Power away from the substation and towards it stays below what the cap says."""
    if cap.element == HEAD:
        p = flow.p_source_mw
    else:
        network = flow.network
        place = np.flatnonzero(network.branch_names() == cap.element)
        if not place.size:
            raise RunError(f"branch {cap.element!r} is not in the tree that is fed: it cannot be limited")
        p = flow.p[:, int(place[0])] * network.base_mva
    name, p = np.array([cap.element], dtype=object), p.reshape(-1, 1)
    beyond = 1.01 * program.reach_of(p) + 1e-6  # in the place of no limit
    for kind, value, most in (("import", p, cap.import_mw), ("export", -p, cap.export_mw)):
        if np.isfinite(most).any():
            bound = np.minimum(most[:, None], beyond)
            program.nonneg(bound - value, Limit(kind, "MW", name, bound, np.ones(1)))
