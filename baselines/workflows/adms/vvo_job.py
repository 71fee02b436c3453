"""`distgrid adms vvo-plan`: settings of taps, banks and inverters by load and sun, and what they bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.terminal import titled_table
from ...jobs.unit_tables import table_of_rows
from ...optimal.volt_var.hosting import hosting_with_plan
from ...optimal.volt_var.play import (
    DayTyped,
    DoNothing,
    LocalControl,
    Planned,
    Strategy,
    play,
    within_band,
)
from ...optimal.volt_var.settings import best_held, best_setting, described
from ...optimal.volt_var.study import stacked
from .vvo_config import VvoConfig
from .vvo_figure import vvo_png
from .vvo_session import VvoSession, vvo_session
from .vvo_tables import (
    BANK,
    CURVE,
    DAY_TYPE,
    DAYS,
    HOSTING,
    INVERTER,
    LEVEL,
    SCHEMAS,
    SNAPSHOT,
    TAP,
    performance_table,
    point_table,
    read_settings,
    settings_table,
    steps_table,
)

PICTURE = "vvo_plan.png"
_UNKEPT = ("infeasible", "none found", "inexact")

#: Scope and places: of levels of load and sun, or of a type of day and nothing.
Item = tuple[str, int, int]


class VvoPlanJob(Job[VvoConfig]):
    """A Volt/VAR plan of one feeder; its items are points of load and sun, and types of days."""

    kind = "adms vvo-plan"
    aliases = ("vvo",)
    config_model = VvoConfig
    tables = ("vvo_settings", "vvo_points")
    outputs = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "points"

    def prepare(self) -> VvoSession:
        """The feeder, the files, and the days."""
        return vvo_session(self.config)

    def parameters(self, context: VvoSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and files count by their content."""
        return self.config.told("feeder", "inverters", "banks", "regulator_deadbands")

    def describe(self, context: VvoSession) -> Description:
        """The feeder, the files, the solver and the seed."""
        return Description(list(context.inputs), packages=("clarabel",), seed=self.config.seed)

    def items(self, context: VvoSession) -> Sequence[Item]:
        """Snapshots and levels of load and sun, then types of days."""
        grid = [
            (a, b) for a in range(len(self.config.load_levels)) for b in range(len(self.config.pv_levels))
        ]
        found = [(scope, a, b) for scope in (SNAPSHOT, LEVEL) for a, b in grid]
        return [*found, *((DAY_TYPE, k, 0) for k in range(len(context.types.names)))]

    def chunk_size(self, context: VvoSession, n_items: int) -> int:
        """One by one: each takes a while."""
        return 1

    def do(self, context: VvoSession, item: Item) -> Part:
        """The best settings of a snapshot, of a level, or of a type of day."""
        scope, first, second = item
        search = self.config.search()
        day: int | None = None
        sun: float | None = None
        where: tuple[Any, ...]
        if scope == DAY_TYPE:
            day = int(context.types.day[first])
            where = (scope, context.types.names[first], None, None)
            study, moments = context.study, context.moments_of_type(first)
            best = best_held(study, moments, search)
        else:
            load, sun = self.config.load_levels[first], self.config.pv_levels[second]
            where = (scope, None, load, sun)
            if scope == SNAPSHOT:
                study, moments = context.judged, [context.judged.nominal(load, sun)]
                best = best_setting(study, moments[0], search)
            else:
                study, moments = context.study, context.moments_of_level(first, second)
                best = best_held(study, moments, search)
        stored = described(study, study.stored, moments, None, ("", ""), 1)
        return Part(
            {
                "vvo_settings": settings_table(study, best, where, sun),
                "vvo_points": point_table(study, best, stored, where, day),
            }
        )

    def merge(self, context: VvoSession, tables: Tables) -> Tables:
        """With the plan played on days that it was not made from, and hosting capacity where asked for."""
        names = context.types.names
        by_level, by_type = read_settings(context.judged, tables["vvo_settings"], names)
        limits = self.config.limits(within_band(context.judged, context.band_v))
        days = context.test_days
        of_day = context.types_of(days)
        block = context.played_days(days)
        held = DayTyped(context.judged, by_level, by_type=stacked(by_type), of_day=of_day)
        strategies: list[Strategy] = [
            DoNothing(context.judged), LocalControl(context.judged),
            Planned(context.judged, by_level, limits), held,
        ]  # fmt: skip
        played = [play(context.judged, strategy, block) for strategy in strategies]
        kinds = [names[k] for k in of_day.tolist()]
        steps = [steps_table(context.judged, one, block) for one in played]
        found = {
            **tables,
            "vvo_performance": performance_table(played, block, kinds),
            "vvo_steps": pa.concat_tables(steps),
            "vvo_days": _days_table(context, of_day.tolist()),
        }
        if self.config.hosting:
            found["vvo_hosting"] = self._hosting(context, by_level, by_type)
        return found

    def _hosting(self, context: VvoSession, by_level: Any, by_type: Sequence[Any]) -> pa.Table:
        points = [f"load {a:g}, PV {b:g}" for a in by_level.load_level for b in by_level.sun_level]
        settings = dict(zip(points, by_level.settings, strict=True))
        settings |= dict(zip(context.types.names, by_type, strict=True))
        found = hosting_with_plan(
            context.study.feeder, settings, v_band=self.config.voltage_band,
            v_source_pu=self.config.v_source_pu,
        )  # fmt: skip
        columns = found.bus, found.as_stored_mw.tolist(), found.with_plan_mw.tolist(), found.setting
        return table_of_rows(list(zip(*columns, strict=True)), HOSTING)

    def wanted_outputs(self, context: VvoSession) -> frozenset[str]:
        """All tables, hosting capacity where it is asked, and the picture where it is wanted."""
        left_out = set() if self.config.hosting else {"vvo_hosting"}
        pictures = set(self.pictures) if self.config.plot else set()
        return frozenset(set(self.outputs) - left_out | pictures)

    def summary(self, context: VvoSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """What the plan brings over all days, and points without a setting that keeps the band."""
        points = tables["vvo_points"].to_pylist()
        states = Counter(row["status"] for row in points)
        total = {row["strategy"]: row for row in tables["vvo_performance"].to_pylist() if row["day"] is None}
        plan = total["vvo-plan"]
        results: dict[str, Scalar] = {
            "feeder": context.study.feeder.name, "objective_name": self.config.objective,
            "points": len(points), "status": ", ".join(f"{name} {n}" for name, n in sorted(states.items())),
            "test_days": len(context.test_days),
            **{name: plan[name] for name in (
                "loss_mwh", "head_mwh", "loss_cut_pct", "energy_saved_pct", "loss_cut_of_local_pct",
                "energy_saved_of_local_pct", "v_min_pu", "v_max_pu", "intervals_outside", "tap_steps",
                "bank_switchings")},
        }  # fmt: skip
        if self.config.hosting:
            gain = [row["with_plan_mw"] - row["as_stored_mw"] for row in tables["vvo_hosting"].to_pylist()]
            results["hosting_gain_mean_mw"] = sum(gain) / len(gain)
        wrong = [row for row in points if row["status"] in _UNKEPT]
        problem = None
        if wrong:
            first = wrong[0]
            where = (
                first["day_type"]
                or f"{first['scope']} load {first['load_level']:g}, PV {first['pv_level']:g}"
            )
            problem = (
                f"{len(wrong)} of {len(points)} points have no setting that keeps the band, first {where}: "
                f"{first['status']}, {first['violation_pu']:.4g} pu outside"
            )
        return Summary(results, problem)

    def draw(self, context: VvoSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """The map of settings and the performance."""
        return {PICTURE: vvo_png(context.study, outcome.tables)} if self.config.plot else {}

    def show(self, context: VvoSession, outcome: JobOutcome) -> Iterable[Any]:
        """Settings by level, and strategies over all days."""
        yield settings_map(outcome)
        yield performance(outcome)
        found = outcome.manifest.results
        yield f"{found['feeder']}, {found['objective_name']}: {found['points']} points, {found['status']}"


def _days_table(context: VvoSession, of_test: Sequence[int]) -> pa.Table:
    names, types = context.types.names, context.types
    stands = {int(day): k for k, day in enumerate(types.day)}
    rows: list[tuple[Any, ...]] = [
        (int(day), names[k], int(stands.get(int(day)) == k), "plan")
        for day, k in zip(types.days, types.type_of.tolist(), strict=True)
    ]
    rows += [(day, names[k], 0, "play") for day, k in zip(context.test_days, of_test, strict=True)]
    return table_of_rows(rows, DAYS)


def settings_map(outcome: JobOutcome) -> Any:
    """A row for each point and type of day, for a terminal."""
    rows: dict[tuple[Any, ...], list[tuple[str, float]]] = {}
    for row in outcome.tables["vvo_settings"].to_pylist():
        if row["scope"] == SNAPSHOT:
            continue
        key = (row["day_type"], row["load_level"], row["pv_level"])
        rows.setdefault(key, []).append((row["kind"], row["setting"]))
    curves = any(kind == CURVE for values in rows.values() for kind, _ in values)
    head = "Inverters, mean slope" if curves else "Inverters, mean Q"
    found = titled_table("Settings", ("Day or level", "Taps", "Banks"), (head,))
    for (day_type, load, sun), values in rows.items():
        taps, banks, shares = (
            [v for kind, v in values if kind in wanted] for wanted in ((TAP,), (BANK,), (INVERTER, CURVE))
        )
        mean = sum(shares) / len(shares) if shares else 0.0
        found.add_row(
            day_type or f"load {load:.2f}, PV {sun:.2f}", " ".join(f"{v:+.0f}" for v in taps) or "–",
            " ".join("on" if v else "off" for v in banks) or "–",
            (f"{mean:.1f}" if curves else f"{100 * mean:+.0f} %") if shares else "–",
        )  # fmt: skip
    return found


def performance(outcome: JobOutcome) -> Any:
    """Strategies over all days, for a terminal."""
    found = titled_table(
        f"{outcome.manifest.results['test_days']} days played", ("Strategy",),
        ("Losses MWh", "cut %", "Head MWh", "saved %", "V min", "V max", "outside", "Tap steps", "Banks"),
    )  # fmt: skip
    for row in outcome.tables["vvo_performance"].to_pylist():
        if row["day"] is None:
            found.add_row(
                row["strategy"], f"{row['loss_mwh']:.3f}", f"{row['loss_cut_pct'] or 0.0:.2f}",
                f"{row['head_mwh']:.2f}", f"{row['energy_saved_pct'] or 0.0:.2f}", f"{row['v_min_pu']:.4f}",
                f"{row['v_max_pu']:.4f}", str(row["intervals_outside"]), str(row["tap_steps"]),
                str(row["bank_switchings"]),
            )  # fmt: skip
    return found
