"""The conic program of an operating point: what is asked for, its columns and rows, what conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ... import physics
from ..errors import RunError, unknown
from .affine import Affine, FloatArray, IntArray
from .branch_flow import BranchFlow, Demand, Gains, NetworkLimits, add_branch_flow
from .conflicts import solved_or_conflicts
from .conic import Compiled, ConicSolution
from .program import CONE, Limit, Program, Rows
from .radial import RadialNetwork
from .units import Unit

OBJECTIVES = ("loss", "cost", "voltage", "host")
Boxes = dict[str, tuple[Rows, IntArray]]
#: The field of a unit that stands in the rows of each kind.
_FIELD = {
    "p_fixed": "p_min_mw", "q_fixed": "q_min_mvar", "p_max": "p_max_mw", "p_min": "p_min_mw",
    "q_max": "q_max_mvar", "q_min": "q_min_mvar", "s_max": "s_mva",
}  # fmt: skip
_MOST_GROWTH = 4.0  # sizes may grow by so much before a program is put together anew


@dataclass(frozen=True)
class Case:
    """What is asked for."""

    units: tuple[Unit, ...]
    at: IntArray  # (n_unit,) bus rows
    objective: str
    head_usd_mwh: float

    @classmethod
    def of(
        cls,
        net: physics.Network | physics.Network3,
        units: Sequence[Unit],
        objective: str,
        limits: NetworkLimits,
        head: float,
    ) -> Case:
        """Checked; RunError for an unknown objective or bus, a name twice, a band outside the physical."""
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, OBJECTIVES)
        limits.check(net.feeder)
        index = net.feeder.node_index
        for unit in units:
            if unit.bus not in index:
                raise unknown(f"unit {unit.name!r}: bus", unit.bus, index)
        names = [unit.name for unit in units]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RunError(f"unit {twice[0]!r} is there twice: give each its own name")
        return cls(tuple(units), np.array([index[u.bus] for u in units], dtype=np.int64), objective, head)


def demand_of(
    net: physics.Network, network: RadialNetwork, p_mw: FloatArray | None, q_mvar: FloatArray | None,
    v_source_pu: float | None,
) -> Demand:  # fmt: skip
    """Loads and source voltages at the positions of a network; RunError where they are none."""
    p = net.load_p_mw if p_mw is None else np.asarray(p_mw, dtype=np.float64)
    q = net.load_q_mvar if q_mvar is None else np.asarray(q_mvar, dtype=np.float64)
    for name, given in (("p_mw", p), ("q_mvar", q)):
        if given.shape != (net.n_bus,) or not np.isfinite(given).all():
            raise RunError(f"{name} must be {net.n_bus} finite numbers, one a bus; got shape {given.shape}")
    stored = net.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
    source = stored if v_source_pu is None else np.full(stored.size, float(v_source_pu))
    return Demand(p[None, network.node], q[None, network.node], source[None])


class Beside(Protocol):
    """What a program has besides units: ratios that are chosen, banks."""

    def gains(self) -> Gains | None:
        """Ratios that are chosen."""

    def columns(self, program: Program, network: RadialNetwork) -> tuple[Affine, FloatArray]:
        """(1, m) Mvar that it feeds in, and (m,) its reach."""

    def add_rows(self, program: Program, flow: BranchFlow) -> None:
        """Rows that need the network's columns."""


class Flows(Protocol):
    """What an objective reads of a network in a program; (steps, m), (steps,) and (steps,)."""

    @property
    def v(self) -> Affine:
        """Squared voltages."""

    @property
    def p_source_mw(self) -> Affine:
        """Of all sources together."""

    @property
    def loss_mw(self) -> Affine:
        """Of all branches."""


class DispatchProgram:
    """A case as a conic program; loads, source voltages and limits of units may change in place.

    Attributes:
        network: The radial form of the feeder.
        limits: Of the network.
        case, demand: As they are now.
        program, flow, p, q: Its columns and rows; p and q of the units, (1, n_unit).
    """

    def __init__(
        self, network: RadialNetwork, case: Case, demand: Demand, limits: NetworkLimits,
        beside: Beside | None = None,
    ) -> None:  # fmt: skip
        self._beside = beside
        self.network, self.case, self.demand, self.limits = network, case, demand, limits
        self._built_for = (case, _sizes(network, case, demand))
        self.program, self.flow, self.p, self.q, self._boxes = self._put_together(elastic=False)
        self._reach = np.concatenate(self.program.reach)

    @cached_property
    def compiled(self) -> Compiled:
        """The matrices, put together once."""
        return Compiled(self.program)

    def update(self, case: Case, demand: Demand) -> bool:
        """Take other numbers for the next solve; False where they need a program of their own.

        That is so where loads depend on the voltage or the program is tightened (numbers stand in the
        matrix), where units differ in more than their limits, and where sizes grow so much that the proof of
        the bound does not reach.
        """
        built, built_sizes = self._built_for
        growth = _growth(built_sizes, _sizes(self.network, case, demand))
        fits = (
            not (self.network.z_p.any() or self.network.z_q.any() or self.limits.lossless_voltages)
            and _structure(case) == _structure(built)
            and growth <= _MOST_GROWTH
        )
        if not fits:
            return False
        self.compiled.reach = self._reach * growth**2  # squares of flows are columns, too
        self._set_demand(demand)
        self._set_boxes(case.units)
        change = case.head_usd_mwh - self.case.head_usd_mwh
        if change and case.objective == "cost":
            self.compiled.add_to_objective(change * self.flow.p_source_mw.sum())
        self.case, self.demand = case, demand
        return True

    def _set_demand(self, demand: Demand) -> None:
        compiled, flow, base = self.compiled, self.flow, self.network.base_mva
        compiled.set_constant(flow.balance_p, -demand.p_mw / base)
        compiled.set_constant(flow.balance_q, -demand.q_mvar / base)
        compiled.set_constant(flow.source_v, -(demand.v_source_pu**2))

    def _set_boxes(self, units: Sequence[Unit]) -> None:
        if units == self.case.units:
            return
        for kind, (rows, which) in self._boxes.items():
            values = _values(units, kind, which)
            if rows.kind == CONE:
                constant = np.zeros((which.size, rows.dimension))
                constant[:, 0] = values
                self.compiled.set_constant(rows, constant)
            else:
                self.compiled.set_constant(rows, values if kind.endswith("max") else -values)
            if rows.limit is not None:
                rows.limit = replace(rows.limit, value=values)

    def solved(self) -> ConicSolution:
        """The solution; RunError that names what conflicts where there is none."""
        return solved_or_conflicts(self.compiled.solve(), lambda: self._put_together(elastic=True)[0])

    def _put_together(self, elastic: bool) -> tuple[Program, BranchFlow, Affine, Affine, Boxes]:
        program, case, network = Program(elastic=elastic), self.case, self.network
        n = len(case.units)
        p_reach, q_reach, at_position = _unit_sizes(network, case)
        p, q = program.columns((1, n), p_reach + 1e-6), program.columns((1, n), q_reach + 1e-6)
        boxes = add_boxes(program, case.units, p, q)
        at = network.position[case.at]
        p_inject, q_inject = p.scattered(at, network.size), q.scattered(at, network.size)
        gains = None
        if self._beside is not None:
            more, reach = self._beside.columns(program, network)
            q_inject, at_position, gains = q_inject + more, at_position + reach, self._beside.gains()
        flow = add_branch_flow(
            program, network, self.demand, p_inject, q_inject, self.limits, at_position, gains
        )
        if self._beside is not None:
            self._beside.add_rows(program, flow)
        program.minimise(objective_of(program, case, flow, p))
        return program, flow, p, q, boxes


def _unit_sizes(network: RadialNetwork, case: Case) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Most power of each unit, P and Q, and (m,) of those at each position."""
    at = network.position[case.at]
    if (at < 0).any():
        dead = case.units[int(np.flatnonzero(at < 0)[0])]
        raise RunError(f"unit {dead.name!r}: bus {dead.bus!r} has no connection to a source")
    p = np.array([max(abs(u.p_min_mw), abs(u.p_max_mw)) for u in case.units])
    q = np.array([max(abs(u.q_min_mvar), abs(u.q_max_mvar)) for u in case.units])
    reach = np.zeros(network.size)
    np.add.at(reach, at, np.hypot(p, q))
    return p, q, reach


def _sizes(network: RadialNetwork, case: Case, demand: Demand) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What the reach of columns grows with: powers of units, and all that lies below each branch."""
    p, q, reach = _unit_sizes(network, case)
    return p, q, network.downstream(np.hypot(demand.p_mw[0], demand.q_mvar[0]) + reach)


def _growth(old: Sequence[FloatArray], new: Sequence[FloatArray]) -> float:
    """By how much sizes are larger than others, at least 1."""
    ratios = [(b + 1e-6) / (a + 1e-6) for a, b in zip(old, new, strict=True)]
    return max(1.0, *(float(ratio.max(initial=1.0)) for ratio in ratios))


def _structure(case: Case) -> list[tuple[Any, ...]]:
    """What of a case stands in the matrix of its program."""
    return [
        (u.name, u.bus, u.cost, u.points, u.p_max_mw > u.p_min_mw, u.q_max_mvar > u.q_min_mvar,
         bool(np.isfinite(u.s_mva)))
        for u in case.units
    ]  # fmt: skip


def add_boxes(program: Program, units: Sequence[Unit], p: Affine, q: Affine) -> Boxes:
    """Rows of the units' limits, with the units that each group is of."""
    names = np.array([unit.name for unit in units], dtype=object)
    wide = {  # what is fixed is a limit of its own where limits may be exceeded
        "p": np.array([u.p_max_mw > u.p_min_mw or program.elastic for u in units], dtype=bool),
        "q": np.array([u.q_max_mvar > u.q_min_mvar or program.elastic for u in units], dtype=bool),
    }
    boxes: Boxes = {}
    for kind, part in (("p_fixed", p), ("q_fixed", q)):
        fixed = np.flatnonzero(~wide[kind[0]])
        if fixed.size:
            boxes[kind] = program.zero(part[:, fixed] - _values(units, kind, fixed)), fixed
    for kind, unit, part in (
        ("p_max", "MW", p), ("p_min", "MW", p), ("q_max", "Mvar", q), ("q_min", "Mvar", q),
    ):  # fmt: skip
        free = np.flatnonzero(wide[kind[0]])
        if free.size:
            value = _values(units, kind, free)
            row = value - part[:, free] if kind.endswith("max") else part[:, free] - value
            limit = Limit(kind, unit, names[free], value, np.ones(free.size))
            boxes[kind] = program.nonneg(row, limit), free
    round_ = np.flatnonzero([np.isfinite(unit.s_mva) for unit in units])
    if round_.size:
        most = _values(units, "s_max", round_)
        head = Affine(np.broadcast_to(most, (1, round_.size)))
        limit = Limit("s_max", "MVA", names[round_], most, np.ones(round_.size))
        boxes["s_max"] = program.cone(head, p[:, round_], q[:, round_], limit=limit), round_
    return boxes


def _values(units: Sequence[Unit], kind: str, which: IntArray) -> FloatArray:
    return np.array([vars(units[k])[_FIELD[kind]] for k in which], dtype=np.float64)


def objective_of(program: Program, case: Case, flow: Flows, p: Affine) -> Affine:
    """What is made small, shape ()."""
    if case.objective == "loss":
        return flow.loss_mw.sum()
    if case.objective == "host":
        return -p.sum()
    if case.objective == "voltage":
        return _deviation(program, flow).sum()
    total = case.head_usd_mwh * flow.p_source_mw.sum()
    for k, unit in enumerate(case.units):
        c2, c1, c0 = unit.cost
        own = p[:, k]
        total = total + (c1 * own).sum() + c0
        if c2 > 0.0:
            total = total + program.square(own, c2).sum()
        if unit.points:
            total = total + _of_pieces(program, unit, own)
    return total


def _of_pieces(program: Program, unit: Unit, p: Affine) -> Affine:
    """(shape ()) the largest of the straight pieces of a unit's cost, tight where it is minimised."""
    top = program.columns((), max(abs(cost) for _, cost in unit.points) + 1e-6)
    slope, intercept = unit.pieces.T
    program.nonneg(top - (p.broadcast(slope.shape) * slope + intercept))
    return top


def _deviation(program: Program, flow: Flows) -> Affine:
    """(V - 1)^2 = v - 2 sqrt(v) + 1 in v = V^2: convex, and exact where t^2 <= v holds with equality."""
    t = program.columns(flow.v.shape, 1.5)
    program.rotated(flow.v, Affine(np.ones(flow.v.shape)), t)
    return flow.v - 2.0 * t + 1.0
