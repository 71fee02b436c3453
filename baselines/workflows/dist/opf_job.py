"""`distgrid dist opf`: the best setpoints of a feeder within its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.terminal import SHOWN, tell_left_out, titled_table
from .opf_config import OpfConfig, OpfSession, opf_session
from .opf_figure import opf_png
from .opf_tables import SCHEMAS, opf_tables

PICTURE = "dist_opf.png"
_UNKEPT = ("infeasible", "inexact")


class OpfJob(Job[OpfConfig]):
    """Optimal power flow of one feeder; its items are the operating points."""

    kind = "dist opf"
    config_model = OpfConfig
    tables = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "operating points"

    def prepare(self) -> OpfSession:
        """The feeder and the files."""
        return opf_session(self.config)

    def parameters(self, context: OpfSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and files count by their content."""
        return self.config.told("feeder", "limits", "ders", "costs")

    def describe(self, context: OpfSession) -> Description:
        """The feeder, the files, and the solver."""
        return Description(list(context.inputs), packages=("clarabel",))

    def items(self, context: OpfSession) -> Sequence[int]:
        """Operating points by their number."""
        return range(len(context.moments))

    def do(self, context: OpfSession, item: int) -> Part:
        """One operating point."""
        return Part(opf_tables(context, self.config, item))

    def summary(self, context: OpfSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """How it ended, what it is worth, and what conflicts where nothing keeps the limits."""
        rows = tables["dist_opf_summary"].to_pylist()
        states = Counter(row["status"] for row in rows)
        results: dict[str, Scalar] = {
            "feeder": context.feeder.name, "assets": len(context.assets), "points": len(rows),
            "objective_name": self.config.objective,
            "status": ", ".join(f"{name} {n}" for name, n in sorted(states.items())),
        }  # fmt: skip
        if len(rows) == 1:
            results["status"] = rows[0]["status"]
        for name in ("objective", "bound", "gap", "p_loss_mw", "cost_usd_per_h"):
            values = [row[name] for row in rows if row[name] is not None]
            results[name] = float(np.mean(values)) if values else None
        wrong = [row for row in rows if row["status"] in _UNKEPT]
        problem = None
        if wrong:
            problem = str(wrong[0]["message"])
            if len(rows) > 1:
                problem = (
                    f"{len(wrong)} of {len(rows)} operating points, first step {wrong[0]['step']}: {problem}"
                )
        return Summary(results, problem)

    def draw(self, context: OpfSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Voltages without and with the plan, and the setpoints in their limits."""
        return {PICTURE: opf_png(context, outcome.tables)}

    def show(self, context: OpfSession, outcome: JobOutcome) -> Iterable[Any]:
        """Setpoints, settings, limits that bind or conflict, and the value with its bound."""
        summary = outcome.tables["dist_opf_summary"].to_pylist()
        if len(summary) == 1 and outcome.tables["dist_opf"].num_rows:
            yield setpoints_table(outcome)
        if len(summary) == 1 and outcome.tables["dist_opf_settings"].num_rows:
            yield settings_table(outcome)
        if len(summary) == 1 and outcome.tables["dist_opf_binding"].num_rows:
            yield limits_table(outcome)
        results = outcome.manifest.results
        if results["objective"] is not None:
            mean = "" if len(summary) == 1 else " (means)"
            unit = summary[0]["objective_unit"]
            bound = "none" if results["bound"] is None else f"{results['bound']:.6g}"
            value = f"{results['objective_name']}{mean}: {results['objective']:.6g} {unit}, bound {bound}"
            loss_kw = 1e3 * float(str(results["p_loss_mw"]))
            cost = f"losses {loss_kw:.4f} kW, cost {results['cost_usd_per_h']:.6f} USD/h"
            yield f"{value}; {cost}; {results['status']}"


def setpoints_table(outcome: JobOutcome) -> Any:
    """What each asset does, for a terminal."""
    from rich.markup import escape

    name = escape(str(outcome.manifest.results["feeder"]))
    found = titled_table(f"Setpoints on {name}", ("Asset", "Bus", "Binding"), ("P MW", "Q Mvar", "USD/h"))
    rows = outcome.tables["dist_opf"].to_pylist()
    for row in rows[:SHOWN]:
        numbers = (f"{round(row[c], 6) + 0.0:.6f}" for c in ("p_mw", "q_mvar", "cost_usd_per_h"))
        binding = "schedule" if row["scheduled"] else row["binding"].replace(",", " ")
        found.add_row(escape(row["asset_id"]), escape(row["bus_id"]), binding, *numbers)
    tell_left_out(found, len(rows))
    return found


def settings_table(outcome: JobOutcome) -> Any:
    """What was set to another state, for a terminal."""
    from rich.markup import escape

    rows = outcome.tables["dist_opf_settings"].to_pylist()
    moved = [row for row in rows if row["changed"]]
    found = titled_table("Settings that change", ("Device", "Id", "At"), ("Before", "Now"))
    for row in moved[:SHOWN]:
        words = [_state(row["kind"], row[name]) for name in ("state_before", "state")]
        found.add_row(row["kind"], escape(row["device_id"]), escape(row["place"]), *words)
    found.caption = f"{len(moved)} of {len(rows)} that are free change"
    if len(moved) > SHOWN:
        found.caption += f"; {SHOWN} shown"
    return found


def _state(kind: str, state: int) -> str:
    if kind == "tap":
        return f"{state:+d}"
    return (("open", "closed") if kind == "switch" else ("off", "on"))[state]


def limits_table(outcome: JobOutcome) -> Any:
    """Limits that bind, dearest first, or that conflict, for a terminal."""
    from rich.markup import escape

    rows = outcome.tables["dist_opf_binding"].to_pylist()
    conflict = rows[0]["role"] == "conflict"
    rows.sort(key=lambda row: -((row["excess"] if conflict else row["dual"]) or 0.0))
    title = "Limits that cannot be kept together" if conflict else "Limits that bind"
    found = titled_table(title, ("Limit", "At"), ("Value", "Must give way by" if conflict else "Dual"))
    for row in rows[:SHOWN]:
        last = "–" if row["dual"] is None else f"{row['dual']:.6g} {row['dual_unit']}"
        if conflict:
            last = f"{row['excess']:.6g} {row['unit']}"
        found.add_row(row["kind"], escape(row["element"]), f"{row['limit']:.6g} {row['unit']}", last)
    tell_left_out(found, len(rows))
    return found
