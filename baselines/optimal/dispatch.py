"""Optimal power flow of one operating point: setpoints, the bound that nobody can pass, and the AC replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ... import physics
from ..errors import RunError, unknown
from .affine import Affine, FloatArray, IntArray
from .branch_flow import BranchFlow, Demand, NetworkLimits, add_branch_flow
from .conflicts import InfeasibleError, conflicting_limits
from .conic import ALMOST, INFEASIBLE, SOLVED, Compiled, ConicSolution
from .program import CONE, Limit, Program, Rows
from .radial import RadialNetwork, radial_network
from .replay import Plan, Replay, replayed
from .units import Unit

OBJECTIVES = ("loss", "cost", "voltage", "host")
#: A replay is that of the plan up to so many pu, and its limits are kept up to so much of their own unit.
REPLAY_PU = 1e-6
_KEPT = 1e-6
_BINDING = 1e-6  # of the largest multiplier
_LEAST_SCALE = 0.01  # relative gaps are of the bound, and of no less than this


class Binding(NamedTuple):
    """A limit that holds the objective back."""

    kind: str  # "v_max", "v_min", "thermal_from", "thermal_to", "p_max", "q_max", "s_max" ...
    element: str
    limit: float
    unit: str
    dual: float  # by how much the objective falls when the limit is relaxed by one of its unit


@dataclass(frozen=True, eq=False)
class Dispatch:
    """Setpoints of an operating point.

    Attributes:
        units: In the order of ``p_mw`` and ``q_mvar``, (n_unit,).
        objective: Of the plan: MW of losses, USD/h, (V - 1)^2 summed over buses, or MW fed in.
        bound: Nothing that keeps the limits is better, whatever the relaxation is worth: from the dual.
        replay: The plan through the AC power flow; its objective is the value that is reached.
        gap: Between the replay's objective and the bound, at least 0 up to rounding.
        status: "optimal": the replay keeps all limits and is within ``gap_tolerance`` of the bound;
            "feasible": it keeps them, the gap says how far it may be; "inexact": it does not.
        relaxation_gap: (n_fed,) u l - P^2 - Q^2 of each branch in pu: 0 where the relaxation is exact.
        tightened: Whether voltages without losses were held below the limit to make the plan real.
        binding: Limits with a multiplier.
        seconds: Of the solver.
    """

    units: tuple[Unit, ...]
    p_mw: FloatArray
    q_mvar: FloatArray
    objective: float
    bound: float
    gap: float
    status: str
    replay: Replay
    relaxation_gap: FloatArray
    tightened: bool
    binding: tuple[Binding, ...]
    seconds: float


def optimal_dispatch(
    net: physics.Network,
    units: Sequence[Unit],
    *,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    p_mw: FloatArray | None = None,
    q_mvar: FloatArray | None = None,
    v_source_pu: float | None = None,
    gap_tolerance: float = 1e-5,
) -> Dispatch:
    """The best setpoints of one operating point of a radial balanced feeder.

    The branch flow relaxation gives the setpoints and, from its dual, a bound. The setpoints are replayed
    through the AC power flow; where that is not the plan, or breaks a limit, the relaxation is tightened and
    solved again, and the bound of the first is kept.

    Args:
        net: Compiled.
        units: What is dispatched.
        objective: "loss", "cost" (the head at ``head_usd_mwh`` and the units' own costs), "voltage" (the sum
            over buses of (V - 1)^2) or "host" (the most that the units can feed in).
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        head_usd_mwh: Price of what the head delivers.
        p_mw: (n_bus,) loads; None: the nominal ones.
        q_mvar: With ``p_mw``.
        v_source_pu: Of all sources; None: as stored.
        gap_tolerance: Relative gap up to which a plan is called optimal.

    Raises:
        RunError: a feeder that the relaxation does not cover, an unknown bus or objective, a band outside the
            physical, limits that no setpoints can keep (named, with by how much).
    """
    limits = NetworkLimits() if limits is None else limits
    network, case = radial_network(net), _Case.of(net, units, objective, limits, head_usd_mwh)
    demand = _demand(net, network, p_mw, q_mvar, v_source_pu)
    built = _Built(network, case, demand, limits)
    found = built.solved()
    first = _dispatch(built, found, demand, gap_tolerance, found.bound.value, limits.lossless_voltages)
    if first.status == "optimal" or first.replay.v_error_pu <= REPLAY_PU or limits.lossless_voltages:
        return first
    tight = _Built(network, case, demand, replace(limits, lossless_voltages=True))
    try:
        again = tight.solved()
    except RunError:
        return first
    second = _dispatch(tight, again, demand, gap_tolerance, found.bound.value, True)
    return second if _better(second, first) else first


def _better(second: Dispatch, first: Dispatch) -> bool:
    """Whether a plan is nearer to the bound than another, or keeps limits that the other breaks."""
    kept = [plan.replay.violation <= _KEPT for plan in (first, second)]
    return second.gap < first.gap if kept[0] == kept[1] else kept[1]


@dataclass(frozen=True)
class _Case:
    """What is asked for."""

    units: tuple[Unit, ...]
    at: IntArray  # (n_unit,) bus rows
    objective: str
    head_usd_mwh: float

    @classmethod
    def of(
        cls, net: physics.Network, units: Sequence[Unit], objective: str, limits: NetworkLimits, head: float
    ) -> _Case:
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, OBJECTIVES)
        if limits.v_band is not None:
            low, high = limits.v_band
            if not 0.5 <= low < high <= 1.5:
                raise RunError(f"v_band must be within 0.5 and 1.5 pu, least first; got {limits.v_band!r}")
        index = net.feeder.node_index
        for unit in units:
            if unit.bus not in index:
                raise unknown(f"unit {unit.name!r}: bus", unit.bus, index)
        names = [unit.name for unit in units]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RunError(f"unit {twice[0]!r} is there twice: give each its own name")
        return cls(tuple(units), np.array([index[u.bus] for u in units], dtype=np.int64), objective, head)


def _demand(
    net: physics.Network, network: RadialNetwork, p_mw: FloatArray | None, q_mvar: FloatArray | None,
    v_source_pu: float | None,
) -> Demand:  # fmt: skip
    p = net.load_p_mw if p_mw is None else np.asarray(p_mw, dtype=np.float64)
    q = net.load_q_mvar if q_mvar is None else np.asarray(q_mvar, dtype=np.float64)
    for name, given in (("p_mw", p), ("q_mvar", q)):
        if given.shape != (net.n_bus,) or not np.isfinite(given).all():
            raise RunError(f"{name} must be {net.n_bus} finite numbers, one a bus; got shape {given.shape}")
    stored = net.feeder.column("sources", "v_pu")[network.source].astype(np.float64)
    source = stored if v_source_pu is None else np.full(stored.size, float(v_source_pu))
    return Demand(p[None, network.node], q[None, network.node], source[None])


class _Built:
    """A case as a conic program."""

    def __init__(self, network: RadialNetwork, case: _Case, demand: Demand, limits: NetworkLimits) -> None:
        self.network, self.case, self.demand, self.limits = network, case, demand, limits
        self.program, self.flow, self.p, self.q = self._put_together(elastic=False)

    def solved(self) -> ConicSolution:
        """The solution; RunError that names what conflicts where there is none."""
        found = Compiled(self.program).solve()
        if found.status in (SOLVED, ALMOST):
            return found
        if found.status == INFEASIBLE:
            raise self._conflicts()
        raise RunError(f"the conic solver ended with {found.solver_status!r} after {found.iterations} steps")

    def _put_together(self, elastic: bool) -> tuple[Program, BranchFlow, Affine, Affine]:
        program, case, network = Program(elastic=elastic), self.case, self.network
        n = len(case.units)
        p_reach = np.array([max(abs(u.p_min_mw), abs(u.p_max_mw)) for u in case.units])
        q_reach = np.array([max(abs(u.q_min_mvar), abs(u.q_max_mvar)) for u in case.units])
        p, q = program.columns((1, n), p_reach + 1e-6), program.columns((1, n), q_reach + 1e-6)
        _add_boxes(program, case.units, p, q)
        at = network.position[case.at]
        if (at < 0).any():
            dead = case.units[int(np.flatnonzero(at < 0)[0])]
            raise RunError(f"unit {dead.name!r}: bus {dead.bus!r} has no connection to a source")
        reach = np.zeros(network.size)
        np.add.at(reach, at, np.hypot(p_reach, q_reach))
        p_inject, q_inject = p.scattered(at, network.size), q.scattered(at, network.size)
        flow = add_branch_flow(program, network, self.demand, p_inject, q_inject, self.limits, reach)
        program.minimise(_objective(program, case, flow, p))
        return program, flow, p, q

    def _conflicts(self) -> InfeasibleError:
        """The error that names limits that cannot be kept together."""
        program, _, _, _ = self._put_together(elastic=True)
        return InfeasibleError(conflicting_limits(program))


def _add_boxes(program: Program, units: Sequence[Unit], p: Affine, q: Affine) -> None:
    names = np.array([unit.name for unit in units], dtype=object)
    one = np.ones(len(units))
    wide = {  # what is fixed is a limit of its own where limits may be exceeded
        "p": np.array([u.p_max_mw > u.p_min_mw or program.elastic for u in units], dtype=bool),
        "q": np.array([u.q_max_mvar > u.q_min_mvar or program.elastic for u in units], dtype=bool),
    }
    for part, value, free in (
        (p, np.array([u.p_min_mw for u in units]), wide["p"]),
        (q, np.array([u.q_min_mvar for u in units]), wide["q"]),
    ):
        fixed = np.flatnonzero(~free)
        if fixed.size:
            program.zero(part[:, fixed] - value[fixed])
    for kind, unit, values, upper, part in (
        ("p_max", "MW", [u.p_max_mw for u in units], True, p),
        ("p_min", "MW", [u.p_min_mw for u in units], False, p),
        ("q_max", "Mvar", [u.q_max_mvar for u in units], True, q),
        ("q_min", "Mvar", [u.q_min_mvar for u in units], False, q),
    ):
        value = np.array(values)
        free = np.flatnonzero(wide[kind[0]])
        if free.size:
            row = value[free] - part[:, free] if upper else part[:, free] - value[free]
            program.nonneg(row, Limit(kind, unit, names[free], value[free], one[free]))
    round_ = np.flatnonzero([np.isfinite(unit.s_mva) for unit in units])
    if round_.size:
        most = np.array([unit.s_mva for unit in units])[round_]
        head = Affine(np.broadcast_to(most, (1, round_.size)))
        program.cone(
            head, p[:, round_], q[:, round_],
            limit=Limit("s_max", "MVA", names[round_], most, np.ones(round_.size)),
        )  # fmt: skip


def _objective(program: Program, case: _Case, flow: BranchFlow, p: Affine) -> Affine:
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
    return total


def _deviation(program: Program, flow: BranchFlow) -> Affine:
    """(V - 1)^2 = v - 2 sqrt(v) + 1 in v = V^2: convex, and exact where t^2 <= v holds with equality."""
    t = program.columns(flow.v.shape, 1.5)
    program.rotated(flow.v, Affine(np.ones(flow.v.shape)), t)
    return flow.v - 2.0 * t + 1.0


def _dispatch(
    built: _Built, found: ConicSolution, demand: Demand, tolerance: float, bound: float,
    tightened: bool,
) -> Dispatch:  # fmt: skip
    p, q = built.p.at(found.x)[0], built.q.at(found.x)[0]
    v = np.sqrt(np.maximum(built.flow.v.at(found.x)[0], 0.0))
    case = built.case
    replay = replayed(
        built.network, demand, built.limits, Plan(case.at, p, q, v), case.units, case.objective,
        case.head_usd_mwh,
    )  # fmt: skip
    sign = -1.0 if built.case.objective == "host" else 1.0
    gap = sign * replay.objective - bound
    if replay.violation > _KEPT:
        status = "inexact"
    else:
        status = "optimal" if gap <= tolerance * max(abs(bound), _LEAST_SCALE) else "feasible"
    flow = built.flow
    sent = flow.network.ratio2 * flow.v.at(found.x)[:, flow.network.parent]
    loose = sent * flow.l.at(found.x) - flow.p.at(found.x) ** 2 - flow.q.at(found.x) ** 2
    return Dispatch(
        case.units, p, q, sign * found.objective, sign * bound, gap, status, replay, loose[0], tightened,
        tuple(_binding(built.program, found)), found.seconds,
    )  # fmt: skip


def _binding(program: Program, found: ConicSolution) -> list[Binding]:
    largest = max(
        (float(np.abs(found.dual(r)).max()) for r in program.rows if r.limit and r.size), default=0.0
    )
    rows_of = [rows for rows in program.rows if rows.limit is not None]
    out = []
    for rows in rows_of:
        for name, limit, dual in _priced(rows, found):
            assert rows.limit is not None
            if dual > max(_BINDING * largest, 1e-9):
                out.append(Binding(rows.limit.kind, str(name), float(limit), rows.limit.unit, dual))
    return out


def _priced(rows: Rows, found: ConicSolution) -> list[tuple[str, float, float]]:
    """(element, limit, dual by one unit of the limit) of rows with a limit, summed over the steps."""
    assert rows.limit is not None
    dual = found.dual(rows)
    if rows.kind == CONE:
        dual = dual[..., 0]
    each = dual.reshape(-1, dual.shape[-1]).sum(axis=0) * rows.limit.per_unit
    return list(zip(rows.limit.element, rows.limit.value, each.tolist(), strict=True))
