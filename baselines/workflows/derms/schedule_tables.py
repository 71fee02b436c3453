"""Tables of `derms schedule`: setpoints, sums of groups, the grid, days, limits that give way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...jobs.unit_tables import NUMBER, TEXT, schema, table_of_rows
from ...optimal.scheduling.case import Excess, OverLimitsError, ScheduleCase, told
from ...optimal.scheduling.objectives import (
    OBJECTIVES,
    Played,
    asset_usd,
    curtailed_mw,
    income_usd,
    value_of,
)
from ...optimal.scheduling.plan import AssetSchedule, best_schedule
from ...optimal.scheduling.rolling import rolling_schedule
from ...optimal.scheduling.rules import by_rule
from .schedule_config import MPC, OPTIMUM
from .schedule_session import ScheduleSession

COUNT = pa.int64()
FEEDER, AGGREGATOR = "feeder", "aggregator"
INFEASIBLE = "infeasible"

SCHEDULE = schema(
    ("day", COUNT, "day of the year, from 0"), ("step", COUNT, "of the day, from 0"), ("dt_h", NUMBER, "h"),
    ("asset_id", TEXT, ""), ("bus_id", TEXT, ""), ("phase", TEXT, ""), ("asset_type", TEXT, ""),
    ("agg_id", TEXT, ""), ("owner_id", TEXT, ""),
    ("p_mw", NUMBER, "MW"), ("q_mvar", NUMBER, "Mvar"),  # positive: fed in
    ("charge_mw", NUMBER, "MW"), ("discharge_mw", NUMBER, "MW"),  # of assets with a reservoir
    ("stored_mwh", NUMBER, "MWh"), ("soc", NUMBER, "1"),  # after the step
    ("offered_mw", NUMBER, "MW"), ("curtailed_mw", NUMBER, "MW"),  # of sun and wind
    ("price_usd_mwh", NUMBER, "USD/MWh"), ("lmp_usd_mwh", NUMBER, "USD/MWh"),  # dual of the bus
    ("cost_usd", NUMBER, "USD"), ("income_usd", NUMBER, "USD"),
)  # fmt: skip

SUMMARY = schema(
    ("day", COUNT, "day of the year, from 0"), ("group", TEXT, ""), ("name", TEXT, ""),
    ("assets", COUNT, "1"), ("fed_in_mwh", NUMBER, "MWh"), ("drawn_mwh", NUMBER, "MWh"),
    ("charged_mwh", NUMBER, "MWh"), ("discharged_mwh", NUMBER, "MWh"), ("offered_mwh", NUMBER, "MWh"),
    ("curtailed_mwh", NUMBER, "MWh"), ("cost_usd", NUMBER, "USD"), ("income_usd", NUMBER, "USD"),
    ("p_highest_mw", NUMBER, "MW"), ("p_lowest_mw", NUMBER, "MW"),
)  # fmt: skip

NETWORK = schema(
    ("day", COUNT, "day of the year, from 0"), ("step", COUNT, "of the day, from 0"), ("hour", NUMBER, "h"),
    ("price_usd_mwh", NUMBER, "USD/MWh"), ("load_mw", NUMBER, "MW"), ("assets_mw", NUMBER, "MW"),
    ("head_mw", NUMBER, "MW"), ("head_mvar", NUMBER, "Mvar"), ("loss_mw", NUMBER, "MW"),
    ("v_lowest_pu", NUMBER, "pu"), ("v_lowest_bus", TEXT, ""), ("v_highest_pu", NUMBER, "pu"),
    ("v_highest_bus", TEXT, ""), ("loading_highest_pct", NUMBER, "%"), ("n_violations", COUNT, "1"),
)  # fmt: skip

DAYS = schema(
    ("day", COUNT, "day of the year, from 0"), ("feeder", TEXT, ""), ("policy", TEXT, ""),
    ("objective_name", TEXT, ""),
    ("status", TEXT, ""),  # optimal, feasible (gap said), best known (no bound), inexact, played, infeasible
    ("objective", NUMBER, "see objective_unit"), ("bound", NUMBER, "see objective_unit"),
    ("gap", NUMBER, "see objective_unit"), ("objective_unit", TEXT, ""),
    ("cost_usd", NUMBER, "USD"), ("revenue_usd", NUMBER, "USD"), ("curtailed_mwh", NUMBER, "MWh"),
    ("peak_import_mw", NUMBER, "MW"), ("peak_export_mw", NUMBER, "MW"), ("loss_mwh", NUMBER, "MWh"),
    ("v_lowest_pu", NUMBER, "pu"), ("v_highest_pu", NUMBER, "pu"), ("loading_highest_pct", NUMBER, "%"),
    ("n_violations", COUNT, "1"), ("message", TEXT, ""),
)  # fmt: skip

LIMITS = schema(
    ("day", COUNT, "day of the year, from 0"), ("step", COUNT, "of the day, from 0"),
    ("role", TEXT, ""),  # violated: by the replay; must_give_way: no schedule keeps it beside the others
    ("kind", TEXT, ""), ("element", TEXT, ""), ("limit", NUMBER, "see unit"), ("excess", NUMBER, "see unit"),
    ("unit", TEXT, ""),
)  # fmt: skip

SCHEMAS = {
    "der_schedule": SCHEDULE, "der_schedule_summary": SUMMARY, "der_schedule_network": NETWORK,
    "der_schedule_days": DAYS, "der_schedule_limits": LIMITS,
}  # fmt: skip


def schedule_of(session: ScheduleSession, case: ScheduleCase, day: int) -> AssetSchedule:
    """The schedule of a day by the policy that is asked for; OverLimitsError where none keeps the limits."""
    config = session.config
    if config.policy == OPTIMUM:
        return best_schedule(case, config.objective)
    if config.policy == MPC:
        return rolling_schedule(case, config.objective, config.rolling(day, session.foresight(day)))
    return by_rule(case, config.policy, config.objective)


def schedule_tables(session: ScheduleSession, day: int) -> dict[str, pa.Table]:
    """The tables of one day, by name; those of a schedule are empty where there is none."""
    case = session.case(day)
    try:
        found = schedule_of(session, case, day)
    except OverLimitsError as error:
        return _infeasible(session, day, error)
    schedule = _setpoints(found, day)
    network = _network(found, day)
    return {
        "der_schedule": schedule, "der_schedule_summary": summarised(schedule),
        "der_schedule_network": network, "der_schedule_days": _days(session, found, network, day),
        "der_schedule_limits": table_of_rows(_limits(day, "violated", found.exceeded), LIMITS),
    }  # fmt: skip


def _setpoints(found: AssetSchedule, day: int) -> pa.Table:
    case, p = found.case, found.p_mw
    cost, income, lost = asset_usd(case, p), income_usd(case, p), curtailed_mw(case, p)
    rows = []
    for t in range(case.steps):
        for k, asset in enumerate(case.assets):
            store, value = asset.reservoir, float(p[t, k])
            stored = None if store is None else float(found.stored_mwh[t, k])
            lmp = None
            if found.lmp_usd_mwh is not None:
                lmp = float(found.lmp_usd_mwh[t, case.net.feeder.node_index[asset.bus]])
            rows.append((
                day, t, case.dt_h, asset.name, asset.bus, asset.phase if case.per_phase else None,
                asset.kind or None, asset.agg or None, asset.owner or None, value, float(found.q_mvar[t, k]),
                None if store is None else max(-value, 0.0), None if store is None else max(value, 0.0),
                stored, None if stored is None or store is None else stored / store.capacity_mwh,
                float(asset.offer_mw[t]) if asset.offered else None,
                float(lost[t, k]) if asset.offered else None, float(case.price_usd_mwh[t]), lmp,
                float(cost[t, k]), float(income[t, k]),
            ))  # fmt: skip
    return table_of_rows(rows, SCHEDULE)


def summarised(schedule: pa.Table) -> pa.Table:
    """Sums of a schedule by day, of the feeder and of each aggregator: a group-by of its rows."""
    rows = schedule.to_pylist()
    days = sorted({row["day"] for row in rows})
    found = []
    for day in days:
        mine = [row for row in rows if row["day"] == day]
        found.append(_sums(day, FEEDER, FEEDER, mine))
        for name in sorted({row["agg_id"] for row in mine if row["agg_id"]}):
            found.append(_sums(day, AGGREGATOR, name, [row for row in mine if row["agg_id"] == name]))
    return table_of_rows(found, SUMMARY)


def _sums(day: int, group: str, name: str, rows: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    def energy(column: str, sign: float = 1.0) -> float:
        return float(sum(row["dt_h"] * max(sign * (row[column] or 0.0), 0.0) for row in rows))

    of_steps: dict[int, float] = {}
    for row in rows:
        of_steps[row["step"]] = of_steps.get(row["step"], 0.0) + row["p_mw"]
    return (
        day, group, name, len({row["asset_id"] for row in rows}), energy("p_mw"), energy("p_mw", -1.0),
        energy("charge_mw"), energy("discharge_mw"), energy("offered_mw"), energy("curtailed_mw"),
        float(sum(row["cost_usd"] for row in rows)), float(sum(row["income_usd"] for row in rows)),
        max(of_steps.values()), min(of_steps.values()),
    )  # fmt: skip


def _network(found: AssetSchedule, day: int) -> pa.Table:
    case, sol = found.case, found.solution
    names = [str(name) for name in case.net.feeder.column("nodes", "node_id")]
    v = np.asarray(sol.v_pu)
    loading = np.where(np.isfinite(sol.loading), sol.loading, np.nan).reshape(case.steps, -1)
    load = sum(
        np.asarray(case.loads[k]).reshape(case.steps, -1).sum(axis=1)
        for k in ("p_mw", "p_delta_mw")
        if k in case.loads
    )
    at_step = [0] * case.steps
    for one in found.exceeded:
        at_step[one.step] += 1
    rows = []
    for t in range(case.steps):
        low, high = (np.unravel_index(pick(v[t]), v[t].shape) for pick in (np.nanargmin, np.nanargmax))
        top = None if np.isnan(loading[t]).all() else 100.0 * float(np.nanmax(loading[t]))
        rows.append((
            day, t, t * case.dt_h, float(case.price_usd_mwh[t]), float(np.asarray(load)[t]),
            float(found.p_mw[t].sum()), float(sol.p_slack_mw[t]), float(sol.q_slack_mvar[t]),
            float(sol.p_loss_mw[t]), float(v[t][low]), _place(names, low), float(v[t][high]),
            _place(names, high), top, at_step[t],
        ))  # fmt: skip
    return table_of_rows(rows, NETWORK)


def _place(names: Sequence[str], at: Sequence[Any]) -> str:
    return names[int(at[0])] + (f".{'ABC'[int(at[1])]}" if len(at) > 1 else "")


def _days(session: ScheduleSession, found: AssetSchedule, network: pa.Table, day: int) -> pa.Table:
    case, config = found.case, session.config
    played = Played(found.p_mw, found.head_mw)
    values = {name: value_of(name, case, played) for name in OBJECTIVES}
    loading = network["loading_highest_pct"].drop_null().to_numpy()
    message = None
    if found.exceeded:
        message = f"the AC power flow of the schedule breaks limits: {told(found.exceeded)}"
    row = (
        day, session.feeder.name, config.policy, config.objective, found.status, found.value, found.bound,
        found.gap, OBJECTIVES[config.objective], values["cost"], values["revenue"],
        values["min-curtailment"], values["min-peak"], max(float(-found.head_mw.min()), 0.0),
        case.dt_h * float(np.sum(found.solution.p_loss_mw)), float(np.nanmin(found.solution.v_pu)),
        float(np.nanmax(found.solution.v_pu)), float(loading.max()) if loading.size else None,
        len(found.exceeded), message,
    )  # fmt: skip
    return table_of_rows([row], DAYS)


def _infeasible(session: ScheduleSession, day: int, error: OverLimitsError) -> dict[str, pa.Table]:
    row: dict[str, Any] = dict.fromkeys(DAYS.names)
    row |= {
        "day": day, "feeder": session.feeder.name, "policy": session.config.policy,
        "objective_name": session.config.objective, "status": INFEASIBLE,
        "objective_unit": OBJECTIVES[session.config.objective], "message": str(error),
    }  # fmt: skip
    empty = {name: of.empty_table() for name, of in SCHEMAS.items()}
    return {
        **empty,
        "der_schedule_days": pa.Table.from_pylist([row], schema=DAYS),
        "der_schedule_limits": table_of_rows(_limits(day, "must_give_way", error.excess), LIMITS),
    }


def _limits(day: int, role: str, excess: Sequence[Excess]) -> list[tuple[Any, ...]]:
    return [(day, e.step, role, e.kind, e.element, e.limit, e.excess, e.unit) for e in excess]
