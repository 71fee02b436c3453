"""Optimal power flow of one operating point: setpoints, the bound that nobody can pass, and the AC replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ... import physics
from .affine import FloatArray
from .branch_flow import NetworkLimits
from .conic import ConicSolution
from .dispatch_program import OBJECTIVES, Case, DispatchProgram, demand_of
from .program import CONE, Program, Rows
from .radial import radial_network
from .replay import Binding, Plan, Replay, bus_loads, replayed
from .starts import best_local_optimum
from .units import Unit
from .verdict import REPLAY_PU, better, status_of

__all__ = ["OBJECTIVES", "REPLAY_PU", "Binding", "Dispatch", "optimal_dispatch"]

_BINDING = 1e-6  # of the largest multiplier


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
        repaired: Whether the setpoints are those of an AC local optimum, from the relaxation's point or
            another; ``objective`` is then what they reach, and
            ``binding`` is of the AC power flow; ``relaxation_gap`` stays the relaxation's.
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
    repaired: bool = False


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
    solved again; where that is not at the bound either, the best of the AC local optima that start at both
    points and all over the boxes repairs it (`starts.best_local_optimum`). The bound of the first is kept.

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
    network, case = radial_network(net), Case.of(net, units, objective, limits, head_usd_mwh)
    demand = demand_of(net, network, p_mw, q_mvar, v_source_pu)
    return made_real(DispatchProgram(network, case, demand, limits), gap_tolerance)


def made_real(built: DispatchProgram, gap_tolerance: float) -> Dispatch:
    """The solution of a program; where it is not real or not at the bound, the best of what repairs it."""
    found = built.solved()
    plans = [dispatched(built, found, gap_tolerance, found.bound.value)]
    if plans[0].status != "optimal" and plans[0].replay.v_error_pu > REPLAY_PU:
        plans += _tightened(built, gap_tolerance, found.bound.value)
    if plans[-1].status == "optimal":
        return plans[-1]
    plans.append(_repaired(built, plans, gap_tolerance, found.bound.value))
    best = plans[0]
    for plan in plans[1:]:
        nearer = better((plan.replay.violation, plan.gap), (best.replay.violation, best.gap))
        best = plan if nearer else best
    return best


def _tightened(built: DispatchProgram, gap_tolerance: float, bound: float) -> list[Dispatch]:
    """The plan with voltages without losses below the limit; none where that leaves nothing."""
    if built.limits.lossless_voltages:
        return []
    limits = replace(built.limits, lossless_voltages=True)
    tight = DispatchProgram(built.network, built.case, built.demand, limits)
    found = tight.compiled.solve()
    return [dispatched(tight, found, gap_tolerance, bound)] if found.solved else []


def _repaired(built: DispatchProgram, plans: Sequence[Dispatch], tolerance: float, bound: float) -> Dispatch:
    """The best of the AC local optima from some plans and from starts all over the boxes."""
    case, plan = built.case, plans[0]
    p, q, source = bus_loads(built.network, built.demand)
    near = best_local_optimum(
        built.network.net, case.units, starts=[(one.p_mw, one.q_mvar) for one in plans],
        objective=case.objective, limits=built.limits, head_usd_mwh=case.head_usd_mwh, p_mw=p, q_mvar=q,
        v_source_pu=source,
    )  # fmt: skip
    v = np.asarray(near.solution.v_pu)[0, built.network.node]
    replay = _replay(built, near.p_mw, near.q_mvar, v)
    gap, status = _judged(case, replay, tolerance, bound)
    return replace(
        plan, p_mw=near.p_mw, q_mvar=near.q_mvar, objective=replay.objective, gap=gap, status=status,
        replay=replay, binding=near.binding, repaired=True,
    )  # fmt: skip


def dispatched(built: DispatchProgram, found: ConicSolution, tolerance: float, bound: float) -> Dispatch:
    """The solution of a program with its replay, its gap to ``bound`` and the limits that bind."""
    p, q = built.p.at(found.x)[0], built.q.at(found.x)[0]
    v = np.sqrt(np.maximum(built.flow.v.at(found.x)[0], 0.0))
    replay = _replay(built, p, q, v)
    gap, status = _judged(built.case, replay, tolerance, bound)
    sign = -1.0 if built.case.objective == "host" else 1.0
    flow = built.flow
    sent = flow.sent.at(found.x)
    loose = sent * flow.l.at(found.x) - flow.p.at(found.x) ** 2 - flow.q.at(found.x) ** 2
    return Dispatch(
        built.case.units, p, q, sign * found.objective, sign * bound, gap, status, replay, loose[0],
        built.limits.lossless_voltages, tuple(_binding(built.program, found)), found.seconds,
    )  # fmt: skip


def _replay(built: DispatchProgram, p: FloatArray, q: FloatArray, v: FloatArray) -> Replay:
    case = built.case
    return replayed(
        built.network, built.demand, built.limits, Plan(case.at, p, q, v), case.units, case.objective,
        case.head_usd_mwh,
    )  # fmt: skip


def _judged(case: Case, replay: Replay, tolerance: float, bound: float) -> tuple[float, str]:
    """The gap to the bound, and what may be said of a plan."""
    gap = (-1.0 if case.objective == "host" else 1.0) * replay.objective - bound
    return gap, status_of(replay.violation, gap, bound, tolerance)


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
