"""A Volt/VAR plan and its performance as tables with units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...jobs.unit_tables import NUMBER, TEXT, schema, table, table_of_rows
from ...optimal.volt_var.levels import SettingsTable
from ...optimal.volt_var.play import Days, Played
from ...optimal.volt_var.settings import Best
from ...optimal.volt_var.study import Setting, VoltVarStudy

COUNT = pa.int64()
SNAPSHOT, LEVEL, DAY_TYPE = "snapshot", "level", "day type"
TAP, BANK, INVERTER, CURVE = "tap changer", "bank", "inverter", "inverter curve"

SETTINGS = schema(
    # snapshot: the optimum at the nominal loads times the level; level: held over the training intervals that
    # are nearest to it, which is what the plan looks up; day type: held all day
    ("scope", TEXT, ""),
    ("day_type", TEXT, ""), ("load_level", NUMBER, "of the nominal load"),
    ("pv_level", NUMBER, "of the rated power"),
    ("device_id", TEXT, ""), ("kind", TEXT, ""), ("place", TEXT, ""),  # branch or bus
    ("phase", TEXT, ""),
    ("setting", NUMBER, "position, 1 on and 0 off, share of what is reactive, or slope in s_mva per pu"),
    ("q_mvar", NUMBER, "Mvar"),  # of inverters at a level, but on curves
)  # fmt: skip
POINTS = schema(
    ("scope", TEXT, ""), ("day_type", TEXT, ""), ("day", COUNT, "day of the year, from 0"),
    ("load_level", NUMBER, "of the nominal load"), ("pv_level", NUMBER, "of the rated power"),
    ("status", TEXT, ""), ("objective", NUMBER, "see unit"), ("bound", NUMBER, "see unit"),
    ("unit", TEXT, ""), ("moments", COUNT, ""),
    ("p_loss_mw", NUMBER, "MW"), ("p_head_mw", NUMBER, "MW"),  # means over the moments
    ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"), ("violation_pu", NUMBER, "pu"),
    ("as_stored_loss_mw", NUMBER, "MW"), ("as_stored_head_mw", NUMBER, "MW"),
    ("n_settings", NUMBER, ""),
)  # fmt: skip
PERFORMANCE = schema(
    ("strategy", TEXT, ""), ("day", COUNT, "day of the year, from 0; null: all days"), ("day_type", TEXT, ""),
    ("loss_mwh", NUMBER, "MWh"), ("head_mwh", NUMBER, "MWh"), ("load_mwh", NUMBER, "MWh"),
    ("loss_cut_pct", NUMBER, "% of do-nothing"), ("energy_saved_pct", NUMBER, "% of do-nothing"),
    ("loss_cut_of_local_pct", NUMBER, "% of local-control"),
    ("energy_saved_of_local_pct", NUMBER, "% of local-control"),
    ("v_min_pu", NUMBER, "pu"), ("v_max_pu", NUMBER, "pu"), ("v_deviation_pu", NUMBER, "pu"),
    ("intervals_outside", COUNT, ""), ("violation_pu_h", NUMBER, "pu h"),
    ("tap_steps", COUNT, ""), ("bank_switchings", COUNT, ""), ("failed", COUNT, ""),
)  # fmt: skip
STEPS = schema(
    ("strategy", TEXT, ""), ("day", COUNT, "day of the year, from 0"), ("step", COUNT, "interval of the day"),
    ("load_level", NUMBER, "of the nominal load"), ("pv_level", NUMBER, "of the rated power"),
    ("tap_pos", TEXT, ""), ("cap_on", TEXT, ""), ("q_mvar", TEXT, ""),  # of all devices, with commas
    ("p_loss_mw", NUMBER, "MW"), ("p_head_mw", NUMBER, "MW"), ("v_min_pu", NUMBER, "pu"),
    ("v_max_pu", NUMBER, "pu"), ("v_deviation_pu", NUMBER, "pu"), ("violation_pu", NUMBER, "pu"),
)  # fmt: skip
DAYS = schema(
    ("day", COUNT, "day of the year, from 0"), ("day_type", TEXT, ""), ("stands_for_type", COUNT, ""),
    ("part", TEXT, ""),
)  # fmt: skip
HOSTING = schema(
    ("node_id", TEXT, ""), ("as_stored_mw", NUMBER, "MW"), ("with_plan_mw", NUMBER, "MW"),
    ("setting", TEXT, ""),
)  # fmt: skip

SCHEMAS: Mapping[str, pa.Schema] = {
    "vvo_settings": SETTINGS, "vvo_points": POINTS, "vvo_performance": PERFORMANCE, "vvo_steps": STEPS,
    "vvo_days": DAYS, "vvo_hosting": HOSTING,
}  # fmt: skip
UNITS = {"loss": "MW", "cvr": "MW", "voltage": "pu^2"}


# -- a plan --------------------------------------------------------------------------------------------------


def settings_table(study: VoltVarStudy, best: Best, where: Sequence[Any], sun: float | None) -> pa.Table:
    """A row for each device. ``where``: scope, day type, levels; ``sun``: of a level."""
    column = study.feeder.column
    setting, units = best.setting, study.inverters.units
    rows: list[tuple[Any, ...]] = []
    places = column("regulators", "branch_id"), column("regulators", "phase")
    for name, branch, phase, position in zip(study.reg_ids, *places, setting.tap_pos.tolist(), strict=True):
        rows.append((*where, name, TAP, str(branch), str(phase), float(position), None))
    places = column("capacitors", "node_id"), column("capacitors", "phase")
    for name, node, phase, on in zip(study.cap_ids, *places, setting.cap_on.tolist(), strict=True):
        rows.append((*where, name, BANK, str(node), str(phase), float(on), None))
    told = sun is not None and study.inverter_kind == INVERTER
    most = study.inverters.capability_mvar(np.full(len(units), sun if told else np.nan))
    for unit, share, q in zip(units, setting.q_share.tolist(), most.tolist(), strict=True):
        value = study.inverter_scale * share
        rows.append((*where, unit.name, study.inverter_kind, unit.bus, unit.phase, value, share * q))
    return table_of_rows(rows, SETTINGS)


def point_table(study: VoltVarStudy, best: Best, stored: Best, where: Sequence[Any], day: int | None) -> Any:
    """The row of a point or type."""
    scope, day_type, load_level, pv_level = where
    shown, before = best.shown, stored.shown
    row = (
        scope, day_type, day, load_level, pv_level, best.status, best.objective, best.bound,
        UNITS[study.objective], len(shown), _mean(shown, "p_loss_mw"), _mean(shown, "p_head_mw"),
        min(float(one.v_pu.min()) for one in shown), max(float(one.v_pu.max()) for one in shown),
        best.violation_pu, _mean(before, "p_loss_mw"), _mean(before, "p_head_mw"), float(best.n_settings),
    )  # fmt: skip
    return table_of_rows([row], POINTS)


def _mean(shown: Sequence[Any], name: str) -> float:
    return float(np.mean([getattr(one, name)[0] for one in shown]))


def read_settings(
    study: VoltVarStudy, found: pa.Table, names: Sequence[str]
) -> tuple[SettingsTable, list[Setting]]:
    """What `settings_table` has written: the settings of the levels, and those of the types of days."""
    rows = found.to_pylist()
    levels = [row for row in rows if row["scope"] == LEVEL]
    load, sun = (
        np.array(sorted({row[name] for row in levels}), dtype=np.float64)
        for name in ("load_level", "pv_level")
    )
    by_level: dict[tuple[float, float], list[float]] = {}
    for row in levels:
        by_level.setdefault((row["load_level"], row["pv_level"]), []).append(row["setting"])
    grid = [_setting(study, by_level[a, b]) for a in load.tolist() for b in sun.tolist()]
    types = [
        _setting(
            study, [row["setting"] for row in rows if row["day_type"] == name and row["scope"] == DAY_TYPE]
        )
        for name in names
    ]
    return SettingsTable(load, sun, tuple(grid)), types


def _setting(study: VoltVarStudy, values: Sequence[float]) -> Setting:
    first, last = len(study.reg_ids), len(study.reg_ids) + len(study.cap_ids)
    return Setting(
        np.array(values[:first], dtype=np.int64), np.array(values[first:last]) == 1.0,
        np.array(values[last:], dtype=np.float64) / study.inverter_scale,
    )  # fmt: skip


# -- what it brings ------------------------------------------------------------------------------------------


def steps_table(study: VoltVarStudy, played: Played, days: Days) -> pa.Table:
    """A row for each interval of each day."""
    n, steps = days.sun.shape
    flat = {name: values.reshape(n * steps, *values.shape[2:]) for name, values in days.loads.items()}
    columns: dict[str, Any] = {
        "strategy": [played.strategy] * (n * steps), "day": np.repeat(days.day, steps),
        "step": np.tile(np.arange(steps), n), "load_level": study.load_level(flat),
        "pv_level": days.sun.reshape(-1), "v_deviation_pu": played.deviation_pu.reshape(-1),
        "tap_pos": _texts(played.tap_pos, "d"), "cap_on": _texts(played.cap_on.astype(int), "d"),
        "q_mvar": _texts(played.q_mvar, ".12g"),
    }  # fmt: skip
    for name in ("p_loss_mw", "p_head_mw", "v_min_pu", "v_max_pu", "violation_pu"):
        columns[name] = getattr(played, name).reshape(-1)
    return table(columns, STEPS)


def _texts(values: Any, form: str) -> list[str]:
    return [",".join(format(value, form) for value in row) for day in values.tolist() for row in day]


def performance_table(played: Sequence[Played], days: Days, type_names: Sequence[str]) -> pa.Table:
    """Sums of each day and of all; ``type_names``: (days,)."""
    rows: list[dict[str, Any]] = []
    for one in played:
        rows += list(_sums(one, days, type_names))
    for row in rows:
        for other, ending in (("do-nothing", ""), ("local-control", "_of_local")):
            base = next((r for r in rows if r["strategy"] == other and r["day"] == row["day"]), None)
            if base is not None:
                row[f"loss_cut{ending}_pct"] = _cut(row["loss_mwh"], base["loss_mwh"])
                row[f"energy_saved{ending}_pct"] = _cut(row["head_mwh"], base["head_mwh"])
    return pa.Table.from_pylist(rows, schema=PERFORMANCE)


def _cut(value: float, base: float) -> float | None:
    return 100.0 * (base - value) / abs(base) if base else None


def _sums(one: Played, days: Days, type_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for k in [*range(len(days.day)), None]:
        at = slice(None) if k is None else slice(k, k + 1)
        yield {
            "strategy": one.strategy, "day": None if k is None else int(days.day[k]),
            "day_type": None if k is None else type_names[k],
            "loss_mwh": float(days.dt_h * one.p_loss_mw[at].sum()),
            "head_mwh": float(days.dt_h * one.p_head_mw[at].sum()),
            "load_mwh": float(days.dt_h * one.p_load_mw[at].sum()),
            "v_min_pu": float(one.v_min_pu[at].min()), "v_max_pu": float(one.v_max_pu[at].max()),
            "v_deviation_pu": float(one.deviation_pu[at].mean()),
            "intervals_outside": int((one.violation_pu[at] > 0.0).sum()),
            "violation_pu_h": float(days.dt_h * one.violation_pu[at].sum()),
            "tap_steps": int(one.tap_steps[at].sum()), "bank_switchings": int(one.bank_turns[at].sum()),
            "failed": int((~one.found[at]).sum()),
        }  # fmt: skip
