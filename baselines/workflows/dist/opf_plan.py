"""The plan of one operating point in the form that the tables are made of, balanced or per phase."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ...optimal.dispatch import Binding, optimal_dispatch
from ...optimal.local import LocalOptimum
from ...optimal.phase_dispatch import PhaseUnit, grounded, injections, phase_optimum
from ...optimal.radial import not_covered
from ...optimal.starts import best_local_optimum
from .opf_config import OBJECTIVES, OpfConfig, OpfSession
from .opf_settings import Point, settled
from .opf_units import Asset

FloatArray = NDArray[np.float64]
KEPT = 1e-6  # limits are kept up to so much of their own unit
LETTERS = "ABC"


@dataclass(frozen=True, eq=False)
class OpfPlan:
    """Setpoints and their AC power flow.

    Attributes:
        p_mw, q_mvar: (n_unit,).
        status: "optimal", "feasible", "best known" (nothing is proved) or "inexact" (a limit is broken).
        objective: Of the AC power flow. bound, gap: None where nothing is proved.
        solution: Of `physics.solve`, without an axis of rows.
        p_inject_mw, q_inject_mvar: (n_bus,) or (n_bus, 3).
        binding: Limits that bind, with their multipliers; none where an AC local optimum breaks a limit.
        v_error_pu, relaxation_gap_pu, tightened: Of the relaxation, where there was one.
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    status: str
    objective: float
    bound: float | None
    gap: float | None
    solution: Any
    p_inject_mw: FloatArray
    q_inject_mvar: FloatArray
    binding: tuple[Binding, ...]
    v_error_pu: float | None = None
    relaxation_gap_pu: float | None = None
    tightened: bool | None = None


@dataclass(frozen=True, eq=False)
class SettledPlan:
    """A plan, and the session with the feeder as it is set for it."""

    session: OpfSession
    plan: OpfPlan


def opf_plan(session: OpfSession, config: OpfConfig, loads: dict[str, Any]) -> SettledPlan:
    """The best plan of one operating point. LimitsError where nothing keeps the limits."""
    if not session.free.any:
        return SettledPlan(session, _plan(session, config, loads))
    units = [asset.unit for asset in session.assets]
    if isinstance(session.net, physics.Network3):
        units = [_phase_unit(session.net, asset) for asset in session.assets]
    found = settled(Point(session.feeder, units, _asked(session, config), loads), session.free)
    balanced = session.feeder.phases == "balanced"
    net = physics.compile(found.feeder, keep_loops=not balanced)
    session = replace(session, feeder=found.feeder, net=net)
    plan = _plan(session, config, loads)
    if plan.status == "inexact":
        return SettledPlan(session, plan)
    bound = None if math.isnan(found.bound) else found.bound
    host = config.objective == "host"
    if bound is not None and not host:
        bound = min(bound, plan.objective)  # where all settings were solved both are one up to rounding
    gap = None if bound is None else (bound - plan.objective if host else plan.objective - bound)
    return SettledPlan(session, replace(plan, status=found.status, bound=bound, gap=gap))


def _asked(session: OpfSession, config: OpfConfig) -> dict[str, Any]:
    return {
        "objective": OBJECTIVES[config.objective], "limits": session.limits,
        "head_usd_mwh": config.head_usd_mwh, "v_source_pu": config.v_source_pu,
    }  # fmt: skip


def _plan(session: OpfSession, config: OpfConfig, loads: dict[str, Any]) -> OpfPlan:
    """With the feeder as it is."""
    if isinstance(session.net, physics.Network3):
        return _phase_plan(session, config, loads)
    if not_covered(session.net) is None:
        return _relaxed_plan(session, config, loads)
    return _local_plan(session, config, loads)


def _solved(session: OpfSession, loads: dict[str, Any], p: FloatArray, q: FloatArray) -> Any:
    source: dict[str, Any] = {} if session.v_source_pu is None else {"v_source_pu": session.v_source_pu}
    return physics.solve(session.net, **loads, **source, p_inject_mw=p, q_inject_mvar=q, tol=1e-11)


def _injected(session: OpfSession, p_mw: FloatArray, q_mvar: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n_bus,) of units, of a balanced feeder."""
    p, q = np.zeros(session.net.n_bus), np.zeros(session.net.n_bus)
    at = [session.feeder.node_index[asset.unit.bus] for asset in session.assets]
    np.add.at(p, at, p_mw)
    np.add.at(q, at, q_mvar)
    return p, q


def _relaxed_plan(session: OpfSession, config: OpfConfig, loads: dict[str, Any]) -> OpfPlan:
    found = optimal_dispatch(
        session.net, [asset.unit for asset in session.assets], **_asked(session, config), **loads
    )
    p, q = _injected(session, found.p_mw, found.q_mvar)
    return OpfPlan(
        found.p_mw, found.q_mvar, found.status, found.replay.objective, found.bound, found.gap,
        _solved(session, loads, p, q), p, q, found.binding, found.replay.v_error_pu,
        float(np.abs(found.relaxation_gap).max(initial=0.0)), found.tightened,
    )  # fmt: skip


def _local_plan(session: OpfSession, config: OpfConfig, loads: dict[str, Any]) -> OpfPlan:
    """Of a balanced feeder that the relaxation does not cover: nothing bounds the plan."""
    found = best_local_optimum(
        session.net, [asset.unit for asset in session.assets], **_asked(session, config), **loads
    )
    p, q = _injected(session, found.p_mw, found.q_mvar)
    return _unproved(found, _solved(session, loads, p, q), p, q)


def _unproved(
    found: LocalOptimum, solution: Any, p_inject_mw: FloatArray, q_inject_mvar: FloatArray
) -> OpfPlan:
    """Of an AC local optimum."""
    status = "best known" if found.violation <= KEPT else "inexact"
    binding = found.binding if status == "best known" else ()  # of broken limits they are penalties
    return OpfPlan(
        found.p_mw, found.q_mvar, status, float(found.objective), None, None, solution, p_inject_mw,
        q_inject_mvar, binding,
    )  # fmt: skip


# -- per phase -----------------------------------------------------------------------------------------------


def _phase_plan(session: OpfSession, config: OpfConfig, loads: dict[str, Any]) -> OpfPlan:
    net, units = session.net, [_phase_unit(session.net, asset) for asset in session.assets]
    found = phase_optimum(net, units, **_asked(session, config), **loads)
    p, q = injections(net, units, found)
    return _unproved(found, _solved(session, loads, p, q), p, q)


def _phase_unit(net: physics.Network3, asset: Asset) -> PhaseUnit:
    unit, row = asset.unit, net.feeder.node_index[asset.unit.bus]
    letters = "".join(letter for letter, has in zip(LETTERS, grounded(net)[row], strict=True) if has)
    return PhaseUnit(
        unit.name, unit.bus, unit.p_min_mw, unit.p_max_mw, unit.q_min_mvar, unit.q_max_mvar, unit.s_mva,
        unit.cost, unit.points, phase=asset.phases or letters or LETTERS,
    )  # fmt: skip


def judged_nodes(session: OpfSession) -> NDArray[np.bool_]:
    """(n_bus, 3) phases that the band judges: fed, to ground, and no source's."""
    found = grounded(session.net).copy()
    found[~session.limits.judges(session.net.feeder.column("nodes", "node_id"))] = False
    found[[source.node for source in session.net.sources]] = False
    return found


def phase_flows(sol: Any) -> tuple[FloatArray, FloatArray]:
    """Apparent power at the from and at the to end of each branch and phase, MVA."""
    near, far = (
        np.hypot(getattr(sol, f"p_{end}_mw"), getattr(sol, f"q_{end}_mvar")) for end in ("from", "to")
    )
    return near, far
