"""Tables of `dist opf`: setpoints, voltages, flows, what binds or conflicts, and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table_of_rows
from ...optimal.conflicts import Conflict, LimitsError
from .opf_config import OBJECTIVE_UNITS, OpfConfig, OpfSession
from .opf_network import BRANCHES, BUSES, STEP, branches_table, buses_table
from .opf_plan import KEPT, OpfPlan, opf_plan
from .opf_settings import SETTINGS, settings_table

COUNT = pa.int64()

DISPATCH = schema(
    ("step", STEP, "interval of the year"),  # null: nominal loads
    ("asset_id", TEXT, ""), ("bus_id", TEXT, ""), ("phase", TEXT, ""),
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),  # positive: fed in
    ("p_min_mw", NUMBER, "MW"), ("p_max_mw", NUMBER, "MW"),
    ("q_min_mvar", NUMBER, "Mvar"), ("q_max_mvar", NUMBER, "Mvar"), ("s_mva", NUMBER, "MVA"),
    ("scheduled", YES_NO, ""), ("cost_usd_per_h", NUMBER, "USD/h"), ("binding", TEXT, ""),
)  # fmt: skip

BINDING = schema(
    ("step", STEP, "interval of the year"),
    ("role", TEXT, ""),  # binding, or conflict: of an irreducible set, or broken by the best plan found
    ("kind", TEXT, ""), ("element", TEXT, ""), ("limit", NUMBER, "see unit"), ("unit", TEXT, ""),
    ("dual", NUMBER, "see dual_unit"),  # how much better the objective gets by a unit more
    ("dual_unit", TEXT, ""),
    ("excess", NUMBER, "see unit"),  # of a conflict: by how much it must give way at the least
)  # fmt: skip

SUMMARY = schema(
    ("step", STEP, "interval of the year"), ("feeder", TEXT, ""), ("objective_name", TEXT, ""),
    ("status", TEXT, ""),  # optimal, feasible (gap said), best known (no bound), inexact, infeasible
    ("objective", NUMBER, "see objective_unit"), ("bound", NUMBER, "see objective_unit"),
    ("gap", NUMBER, "see objective_unit"), ("objective_unit", TEXT, ""),
    ("p_loss_mw", NUMBER, "MW"), ("cost_usd_per_h", NUMBER, "USD/h"),
    ("p_source_mw", NUMBER, "MW"), ("q_source_mvar", NUMBER, "Mvar"), ("p_dispatched_mw", NUMBER, "MW"),
    ("v_deviation_pu2", NUMBER, "pu^2"), ("v_lowest_pu", NUMBER, "pu"), ("v_highest_pu", NUMBER, "pu"),
    ("loading_highest_pct", NUMBER, "%"), ("v_error_pu", NUMBER, "pu"),  # relaxation to AC power flow
    ("relaxation_gap_pu", NUMBER, "pu"), ("tightened", YES_NO, ""),
    ("n_binding", COUNT, ""), ("n_violations", COUNT, ""), ("message", TEXT, ""),
)  # fmt: skip

SCHEMAS = {
    "dist_opf": DISPATCH, "dist_opf_buses": BUSES, "dist_opf_branches": BRANCHES,
    "dist_opf_binding": BINDING, "dist_opf_settings": SETTINGS, "dist_opf_summary": SUMMARY,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Point:
    """One operating point, asked and answered."""

    session: OpfSession
    config: OpfConfig
    step: int | None
    plan: OpfPlan


def opf_tables(session: OpfSession, config: OpfConfig, moment: int) -> dict[str, pa.Table]:
    """The tables of one operating point, by name; those of a plan are empty where there is none."""
    moments = session.moments
    step = None if moments.step[moment] < 0 else int(moments.step[moment])
    loads = {name: value[0] for name, value in moments.rows(np.array([moment])).items()}
    try:
        found = opf_plan(session, config, loads)
    except LimitsError as error:
        return _infeasible(session, config, step, error)
    before, session, plan = session.feeder, found.session, found.plan
    point = _Point(session, config, step, plan)
    buses, branches = buses_table(session, plan, step, loads), branches_table(session, plan, step)
    broken = _broken(point, buses, branches)
    binding = table_of_rows(_conflicts(step, broken), BINDING) if broken else _binding(point)
    return {
        "dist_opf": _setpoints(point), "dist_opf_buses": buses, "dist_opf_branches": branches,
        "dist_opf_binding": binding, "dist_opf_summary": _summary(point, branches, broken),
        "dist_opf_settings": settings_table(step, before, session.feeder, session.free),
    }  # fmt: skip


def _setpoints(point: _Point) -> pa.Table:
    bound: dict[str, list[str]] = {}
    for one in point.plan.binding:
        if one.kind in ("p_min", "p_max", "q_min", "q_max", "s_max"):
            bound.setdefault(one.element, []).append(one.kind)
    rows = []
    for asset, p, q in zip(point.session.assets, point.plan.p_mw, point.plan.q_mvar, strict=True):
        unit = asset.unit
        rows.append((
            point.step, unit.name, unit.bus, asset.phases or None, float(p), float(q), unit.p_min_mw,
            unit.p_max_mw, unit.q_min_mvar, unit.q_max_mvar, unit.s_mva if np.isfinite(unit.s_mva) else None,
            asset.scheduled, unit.cost_usd_per_h(float(p)), ",".join(bound.get(unit.name, [])),
        ))  # fmt: skip
    return table_of_rows(rows, DISPATCH)


def _binding(point: _Point) -> pa.Table:
    of = OBJECTIVE_UNITS[point.config.objective]
    rows = [
        (
            point.step,
            "binding",
            one.kind,
            one.element,
            one.limit,
            one.unit,
            one.dual,
            f"{of} per {one.unit}",
            None,
        )
        for one in point.plan.binding
    ]
    return table_of_rows(rows, BINDING)


def _cost(point: _Point) -> float:
    """Of what the sources deliver and of the assets, USD/h, whatever is minimised."""
    own = sum(
        asset.unit.cost_usd_per_h(float(p))
        for asset, p in zip(point.session.assets, point.plan.p_mw, strict=True)
    )
    return point.config.head_usd_mwh * float(point.plan.solution.p_slack_mw) + own


def _summary(point: _Point, branches: pa.Table, broken: Sequence[Conflict]) -> pa.Table:
    plan, sol = point.plan, point.plan.solution
    v, of = np.asarray(sol.v_pu), OBJECTIVE_UNITS[point.config.objective]
    loading = branches["loading_pct"].drop_null().to_numpy()
    row = (
        point.step, point.session.feeder.name, point.config.objective, plan.status, plan.objective,
        plan.bound, plan.gap, of, float(sol.p_loss_mw), _cost(point), float(sol.p_slack_mw),
        float(sol.q_slack_mvar), float(plan.p_mw.sum()), float(np.nansum((v - 1.0) ** 2)),
        float(np.nanmin(v)), float(np.nanmax(v)), float(loading.max()) if loading.size else None,
        plan.v_error_pu, plan.relaxation_gap_pu, plan.tightened, len(plan.binding), len(broken),
        _told(broken) if broken else None,
    )  # fmt: skip
    return table_of_rows([row], SUMMARY)


def _told(broken: Sequence[Conflict]) -> str:
    return f"the AC power flow of the plan breaks limits: {'; '.join(str(one) for one in broken[:5])}"


def _broken(point: _Point, buses: pa.Table, branches: pa.Table) -> list[Conflict]:
    """Limits that the AC power flow of the plan breaks: of buses and of branches the largest excess first."""
    found = []
    for row in _worst_first(buses, "violation_pu"):
        kind = "v_max" if row["v_pu"] > row["v_max_pu"] else "v_min"
        limit = row["v_max_pu"] if kind == "v_max" else row["v_min_pu"]
        found.append(Conflict(kind, _place(row, "node_id"), limit, "pu", row["violation_pu"]))
    for row in _worst_first(branches, "violation_mva"):
        limit, excess = row["thermal_limit_mva"], row["violation_mva"]
        found.append(Conflict("thermal", _place(row, "branch_id"), limit, "MVA", excess))
    head, limits = float(point.plan.solution.p_slack_mw), point.session.limits
    for kind, flow, most in (
        ("import", head, limits.most_import_mw), ("export", -head, limits.most_export_mw),
    ):  # fmt: skip
        if flow - most > KEPT:
            found.append(Conflict(kind, "head", most, "MW", flow - most))
    return found


def _worst_first(of: pa.Table, excess: str) -> list[dict[str, Any]]:
    rows = [row for row in of.to_pylist() if (row[excess] or 0.0) > 0.0]
    return sorted(rows, key=lambda row: -float(row[excess]))


def _place(row: dict[str, Any], name: str) -> str:
    return f"{row[name]}.{row['phase']}" if row["phase"] else str(row[name])


def _infeasible(
    session: OpfSession, config: OpfConfig, step: int | None, error: LimitsError
) -> dict[str, pa.Table]:
    row: dict[str, Any] = dict.fromkeys(SUMMARY.names)
    row |= {
        "step": step, "feeder": session.feeder.name, "objective_name": config.objective,
        "status": "infeasible", "objective_unit": OBJECTIVE_UNITS[config.objective], "message": str(error),
        "n_binding": 0,
    }  # fmt: skip
    empty = {name: of.empty_table() for name, of in SCHEMAS.items()}
    return {
        **empty,
        "dist_opf_binding": table_of_rows(_conflicts(step, error.conflicts), BINDING),
        "dist_opf_summary": pa.Table.from_pylist([row], schema=SUMMARY),
    }


def _conflicts(step: int | None, conflicts: Sequence[Conflict]) -> list[tuple[Any, ...]]:
    return [
        (step, "conflict", one.kind, one.element, one.limit, one.unit, None, None, one.excess)
        for one in conflicts
    ]
