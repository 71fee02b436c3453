"""`distgrid derms envelope`: P-Q regions of groups of assets, and operating envelopes of customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.terminal import SHOWN, tell_left_out, titled_table
from ...optimal.envelope.region import EMPTY
from .envelope_config import EnvelopeConfig
from .envelope_figure import envelope_png
from .envelope_session import EnvelopeSession, envelope_session
from .envelope_tables import OPERATING_SCHEMAS, SCHEMAS, operating_tables, region_tables

PICTURE = "der_envelopes.png"
CUSTOMERS = -1  # in the place of a group
_NUMBERS = (
    "p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar", "area_mw_mvar", "naive_area_mw_mvar", "energy_mwh",
)  # fmt: skip
_FILES = ("feeder", "assets", "loads", "schedule")


class EnvelopeJob(Job[EnvelopeConfig]):
    """Regions of groups in the steps of a day; its items are (step, group)."""

    kind = "derms envelope"
    config_model = EnvelopeConfig
    tables = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "regions"

    def prepare(self) -> EnvelopeSession:
        """The day along its base schedule."""
        return envelope_session(self.config)

    def parameters(self, context: EnvelopeSession) -> Mapping[str, Scalar]:
        """The configuration; files count by their content."""
        return self.config.told(*_FILES)

    def describe(self, context: EnvelopeSession) -> Description:
        """The feeder, the files, and the solver."""
        return Description(list(context.inputs), packages=("clarabel",))

    def items(self, context: EnvelopeSession) -> Sequence[tuple[int, int]]:
        """Steps with groups, and with all customers."""
        groups = list(range(len(context.groups)))
        if self.config.operating is not None:
            groups.append(CUSTOMERS)
        return [(step, group) for step in context.steps for group in groups]

    def do(self, context: EnvelopeSession, item: tuple[int, int]) -> Part:
        """One region, or the limits of all customers."""
        step, group = item
        if group == CUSTOMERS:
            return Part(operating_tables(context, step))
        return Part(region_tables(context, step, context.groups[group]))

    def merge(self, context: EnvelopeSession, tables: Tables) -> Tables:
        """Without operating envelopes where none are asked for."""
        return {name: table for name, table in tables.items() if self._asked(name)}

    def wanted_outputs(self, context: EnvelopeSession) -> frozenset[str]:
        """What is asked for."""
        pictures = self.pictures if self.config.plot else ()
        return frozenset(name for name in self.tables if self._asked(name)) | frozenset(pictures)

    def _asked(self, name: str) -> bool:
        return name not in OPERATING_SCHEMAS or self.config.operating is not None

    def summary(
        self, context: EnvelopeSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How many regions, how large, and which are empty."""
        rows = tables["der_envelope_regions"].to_pylist()
        states = Counter(row["status"] for row in rows)
        areas = [row["area_mw_mvar"] for row in rows if row["status"] != EMPTY]
        results: dict[str, Scalar] = {
            "feeder": context.feeder.name, "group_by": self.config.group_by, "groups": len(context.groups),
            "assets": len(context.case.assets), "steps": len(context.steps), "day": context.day,
            "left_out": ", ".join(context.left_out),
            "status": ", ".join(f"{name} {n}" for name, n in sorted(states.items())),
            "area_mw_mvar_least": float(min(areas)) if areas else None,
            "area_mw_mvar_mean": float(np.mean(areas)) if areas else None,
            "area_mw_mvar_most": float(max(areas)) if areas else None,
            "unsettled_vertices": sum(int(row["unsettled"]) for row in rows),
        }  # fmt: skip
        grid = tables.get("der_operating_grid")
        if grid is not None and grid.num_rows:
            for row in grid.to_pylist():
                name = f"{row['direction']}_w_least"
                so_far = results.get(name)
                results[name] = row["least_w"] if so_far is None else min(float(str(so_far)), row["least_w"])
        return Summary(results, _problem(rows))

    def draw(self, context: EnvelopeSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Polygons, and the limits of customers."""
        if not self.config.plot:
            return {}
        day = "nominal loads" if context.day < 0 else f"day {context.day}"
        title = f"{context.feeder.name}, by {self.config.group_by}, {day}"
        return {PICTURE: envelope_png(title, outcome.tables)}

    def show(self, context: EnvelopeSession, outcome: JobOutcome) -> Iterable[Any]:
        """Regions, limits of customers, and the summary."""
        yield regions_table(outcome)
        if context.left_out:
            yield f"Neither moved nor counted: {', '.join(context.left_out)}"
        if "der_operating_grid" in outcome.tables:
            yield operating_table(outcome)
        results = outcome.manifest.results
        if results["area_mw_mvar_mean"] is not None:
            least, mean, most = (results[f"area_mw_mvar_{name}"] for name in ("least", "mean", "most"))
            yield (
                f"{results['groups']} groups in {results['steps']} steps: areas {least:.5g} to {most:.5g}, "
                f"mean {mean:.5g} MW Mvar; {results['status']}"
            )


def _problem(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong where groups cannot keep the limits."""
    empty = [row for row in rows if row["status"] == EMPTY]
    if not empty:
        return None
    worst = max(empty, key=lambda row: row["shortfall"])
    step = "" if worst["step"] is None else f" in step {worst['step']}"
    return (
        f"{len(empty)} of {len(rows)} regions are empty: no setpoints of {worst['region']}{step} keep the "
        f"limits, which must give way by {worst['shortfall']:.4g}; with --band other voltages are allowed"
    )


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value + 0.0:.{digits}f}"


def regions_table(outcome: JobOutcome) -> Any:
    """Regions with their extremes, for a terminal."""
    from rich.markup import escape

    rows = outcome.tables["der_envelope_regions"].to_pylist()
    found = titled_table(
        f"P-Q regions of {escape(str(outcome.manifest.results['feeder']))}", ("Region", "Step"),
        ("P from", "to MW", "Q from", "to Mvar", "MW Mvar", "without grid", "stored MWh"),
    )  # fmt: skip
    for row in rows[:SHOWN]:
        numbers = [_number(row[name]) for name in _NUMBERS]
        found.add_row(escape(row["region"]), "–" if row["step"] is None else str(row["step"]), *numbers)
    tell_left_out(found, len(rows))
    return found


def operating_table(outcome: JobOutcome) -> Any:
    """Limits of customers, for a terminal."""
    from rich.markup import escape

    rows = outcome.tables["der_operating_grid"].to_pylist()
    kind = f": {rows[0]['operating']}, {rows[0]['allocation']}" if rows else ""
    found = titled_table(
        f"Operating envelopes{kind}", ("Step", "Direction", "Limited by", "at"),
        ("Least kW", "Most kW", "Total kW", "V from", "to pu", "Kept"),
    )  # fmt: skip
    for row in rows[:SHOWN]:
        kilowatts = [_number(1e-3 * row[name]) for name in ("least_w", "most_w", "total_w")]
        found.add_row(
            "–" if row["step"] is None else str(row["step"]), row["direction"],
            row["limiting_constraint"] or "–", escape(row["limiting_element"] or "–"), *kilowatts,
            _number(row["v_lowest_pu"]), _number(row["v_highest_pu"]), "yes" if row["kept"] else "NO",
        )  # fmt: skip
    tell_left_out(found, len(rows))
    return found
