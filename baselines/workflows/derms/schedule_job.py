"""`distgrid derms schedule`: what distributed resources do over a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.terminal import SHOWN, tell_left_out, titled_table
from .schedule_config import ScheduleConfig
from .schedule_figure import schedule_png
from .schedule_session import ScheduleSession, schedule_session
from .schedule_tables import INFEASIBLE, SCHEMAS, schedule_tables

PICTURE = "der_schedule.png"
_FILES = ("feeder", "assets", "prices", "loads", "limits")


class ScheduleJob(Job[ScheduleConfig]):
    """Schedules of one feeder; its items are days."""

    kind = "derms schedule"
    config_model = ScheduleConfig
    tables = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "days"

    def prepare(self) -> ScheduleSession:
        """The feeder, the assets and the series."""
        return schedule_session(self.config)

    def parameters(self, context: ScheduleSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and files count by their content."""
        return self.config.told(*_FILES)

    def describe(self, context: ScheduleSession) -> Description:
        """The feeder, the files, and the solver."""
        return Description(list(context.inputs), packages=("clarabel",), seed=self.config.seed)

    def items(self, context: ScheduleSession) -> Sequence[int]:
        """Days of the year."""
        return context.days

    def chunk_size(self, context: ScheduleSession, n_items: int) -> int:
        """A day each."""
        return 1

    def do(self, context: ScheduleSession, item: int) -> Part:
        """One day."""
        return Part(schedule_tables(context, item))

    def summary(
        self, context: ScheduleSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How it ended, what it is worth, and what must give way where nothing keeps the limits."""
        rows = tables["der_schedule_days"].to_pylist()
        states = Counter(row["status"] for row in rows)
        results: dict[str, Scalar] = {
            "feeder": context.feeder.name, "assets": context.tables.n_assets, "days": len(rows),
            "policy": self.config.policy, "objective_name": self.config.objective,
            "status": ", ".join(f"{name} {n}" for name, n in sorted(states.items())),
        }  # fmt: skip
        if len(rows) == 1:
            results["status"] = rows[0]["status"]
        for name in (
            "objective",
            "bound",
            "gap",
            "cost_usd",
            "revenue_usd",
            "curtailed_mwh",
            "peak_import_mw",
        ):
            values = [row[name] for row in rows if row[name] is not None]
            results[name] = float(np.mean(values)) if values else None
        wrong = [row for row in rows if row["message"] is not None]
        problem = None
        if wrong:
            problem = str(wrong[0]["message"])
            if len(rows) > 1:
                problem = f"{len(wrong)} of {len(rows)} days, first day {wrong[0]['day']}: {problem}"
        return Summary(results, problem)

    def draw(self, context: ScheduleSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Power of the assets by kind with prices, and states of charge."""
        return {PICTURE: schedule_png(outcome.tables)}

    def show(self, context: ScheduleSession, outcome: JobOutcome) -> Iterable[Any]:
        """Sums by group, and the value with its bound."""
        if outcome.tables["der_schedule_summary"].num_rows:
            yield groups_table(outcome)
        if outcome.tables["der_schedule_limits"].num_rows:
            yield limits_table(outcome)
        results = outcome.manifest.results
        if results["objective"] is not None:
            days = outcome.tables["der_schedule_days"].to_pylist()
            mean = "" if len(days) == 1 else " (means)"
            unit = next(row["objective_unit"] for row in days if row["status"] != INFEASIBLE)
            bound = "none" if results["bound"] is None else f"{results['bound']:.6g}"
            value = f"{results['objective_name']}{mean}: {results['objective']:.6g} {unit}, bound {bound}"
            rest = f"cost {results['cost_usd']:.2f} USD, highest import {results['peak_import_mw']:.4f} MW"
            yield f"{value}; {rest}; {results['status']}"


def groups_table(outcome: JobOutcome) -> Any:
    """Energies and money of feeder and aggregators, for a terminal."""
    from rich.markup import escape

    name = escape(str(outcome.manifest.results["feeder"]))
    found = titled_table(
        f"Schedule of {name}",
        ("Day", "Group"),
        ("Assets", "Fed in MWh", "Drawn MWh", "Curtailed MWh", "Net USD"),
    )
    rows = outcome.tables["der_schedule_summary"].to_pylist()
    for row in rows[:SHOWN]:
        numbers = (f"{row[c]:.3f}" for c in ("fed_in_mwh", "drawn_mwh", "curtailed_mwh"))
        net = f"{row['income_usd'] - row['cost_usd']:.2f}"
        found.add_row(str(row["day"]), escape(row["name"]), str(row["assets"]), *numbers, net)
    tell_left_out(found, len(rows))
    return found


def limits_table(outcome: JobOutcome) -> Any:
    """Limits that are exceeded or must give way, the largest first, for a terminal."""
    from rich.markup import escape

    rows = outcome.tables["der_schedule_limits"].to_pylist()
    must = rows[0]["role"] != "violated"
    found = titled_table(
        "Limits that cannot be kept together" if must else "Limits that the schedule breaks",
        ("Day", "Step", "Limit", "At"), ("Value", "Must give way by" if must else "Exceeded by"),
    )  # fmt: skip
    for row in rows[:SHOWN]:
        numbers = (f"{row[c]:.4g} {row['unit']}" for c in ("limit", "excess"))
        found.add_row(str(row["day"]), str(row["step"]), row["kind"], escape(row["element"]), *numbers)
    tell_left_out(found, len(rows))
    return found
