"""`distgrid dist connect`: may this plant be connected here?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from ....cases import Feeder
from ...errors import RunError
from ...hosting.capacity import Capacities, HostingStudy, Settings, default_max_mw, flows_of
from ...hosting.limits import KINDS, NO_POWER_FLOW, HostingLimits
from ...hosting.moments import operating_point
from ...hosting.plants import Plant
from ...hosting.siting import Sites, each_bus
from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema
from .hosting_config import HostingConfig, HostingSession, session
from .hosting_figures import profile_png
from .hosting_tables import UNITS

CONNECT = schema(
    ("node_id", TEXT, ""), ("phase", TEXT, ""), ("type", TEXT, ""), ("asked_mw", NUMBER, "MW"),
    ("fits", YES_NO, ""), ("max_mw", NUMBER, "MW"),
    ("constraint", TEXT, ""), ("element", TEXT, ""),  # that asked_mw passes, or that would be passed first
    ("value", NUMBER, "see unit"), ("limit", NUMBER, "see unit"), ("unit", TEXT, ""),  # at asked_mw
    ("reason", TEXT, ""),
)  # fmt: skip


PICTURE = "connect.png"


class ConnectConfig(HostingConfig):
    """May a plant of this size be connected at this bus? Yes or no, why, and the largest that fits.

    Exit status: 0 for yes, 3 for no, 2 for wrong input.
    """

    bus: str = Field(description="Where.")
    mw: float = Field(description="Rated power, MW.", gt=0.0, allow_inf_nan=False)
    phases: str = Field(default="all", description="Per phase: all, or letters such as A or BC.")


class ConnectJob(Job[ConnectConfig]):
    """One plant at one bus."""

    kind = "dist connect"
    config_model = ConnectConfig
    tables = ("connect",)
    pictures = (PICTURE,)
    keeps_parts = False
    word = "plants"

    def __init__(self, config: ConnectConfig) -> None:
        """RunError for values that cannot be."""
        super().__init__(config)
        config.settings()
        if config.phases == "each":
            raise RunError("phases is 'each': say which phases the plant is connected to, or all")

    def prepare(self) -> HostingSession:
        """The feeder solved as it is."""
        asked, found = self.config, session(self.config)
        if asked.mw > found.study.max_mw:
            found = session(asked.model_copy(update={"max_mw": asked.mw}))
        each_bus(found.study.flows, [asked.bus], asked.phases)
        return found

    def parameters(self, context: HostingSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and fleet count by their content."""
        return self.config.told("feeder", "ders")

    def describe(self, context: HostingSession) -> Description:
        """The feeder, and what is connected."""
        return Description(list(context.inputs))

    def items(self, context: HostingSession) -> Sequence[str]:
        """The bus."""
        return [self.config.bus]

    def do(self, context: HostingSession, item: str) -> Part:
        """Find the largest plant, and what the one asked for passes."""
        row = connection(context.study, self.config.bus, self.config.mw, self.config.phases)
        row["type"] = self.config.type
        table = pa.Table.from_pylist([row], schema=CONNECT)
        return Part(
            {"connect": table}, [{"fits": row["fits"], "max_mw": row["max_mw"], "verdict": row["reason"]}]
        )

    def summary(
        self, context: HostingSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """The answer; no is a problem."""
        (found,) = facts
        return Summary(dict(found), None if found["fits"] else str(found["verdict"]))

    def draw(self, context: HostingSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Voltages before, and with the plant that is asked for."""
        study, asked = context.study, self.config
        found = study.capacities(each_bus(study.flows, [asked.bus], asked.phases))
        return {PICTURE: profile_png(study, found, asked.mw)}

    def show(self, context: HostingSession, outcome: JobOutcome) -> Iterable[Any]:
        """The answer as a table; the verdict follows."""
        return [connection_table(context.feeder.name, outcome)]


def connection_table(name: str, outcome: JobOutcome) -> Any:
    """What is asked and what fits, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    (row,) = outcome.tables["connect"].to_pylist()
    table = Table(
        title=f"{escape(row['type'])} at {escape(name)}", title_justify="left", title_style="bold",
        header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    heads = ("Bus", "Phase", "Asked MW", "Fits", "Largest MW", "Limited by", "at", "Value there", "Limit")
    for head in heads:
        number = head in ("Asked MW", "Largest MW", "Value there", "Limit")
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    numbers = [("–" if row[c] is None else f"{row[c]:.5g} {row['unit']}") for c in ("value", "limit")]
    table.add_row(
        escape(row["node_id"]), row["phase"], f"{row['asked_mw']:.4g}", "yes" if row["fits"] else "no",
        f"{row['max_mw']:.4f}", (row["constraint"] or "nothing").replace("_", " "),
        escape(row["element"] or ""), *numbers,
    )  # fmt: skip
    return table


def can_connect(
    feeder: Feeder, bus: str, mw: float, *, limits: HostingLimits | None = None, plant: Plant | str = "solar",
    phases: str = "all", load_scale: float = 1.0, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Whether a plant of ``mw`` fits at a bus of a feeder, why, and the largest that does: see `connection`.

    Args:
        feeder: Balanced or per phase.
        bus: Where.
        mw: Rated power.
        limits: What must hold.
        plant: Kind, or plant with inverter functions.
        phases: Per phase: "all", or letters.
        load_scale: Of all nominal loads.
        **settings: Fields of `Settings`.

    Raises:
        RunError: A bus, phases or a value that cannot be.
    """
    if not 0.0 < mw < np.inf:
        raise RunError(f"the plant is of {mw} MW: expected a finite number above 0")
    chosen = Settings(
        limits or HostingLimits(), Plant.named(plant) if isinstance(plant, str) else plant, **settings
    )
    largest = max(mw, chosen.max_mw or default_max_mw(feeder))
    chosen = replace(chosen, max_mw=largest)
    moments = operating_point(flows_of(feeder, chosen), load_scale)
    return connection(HostingStudy(feeder, chosen, moments), bus, mw, phases)


def connection(study: HostingStudy, bus: str, mw: float, phases: str = "all") -> dict[str, Any]:
    """Whether a plant of ``mw`` fits at a bus, why, and the largest that does; a row of ``CONNECT``.

    Every size up to the largest fits. A size beyond the first limit is refused, also where a still larger
    one would keep all limits again.
    """
    sites = each_bus(study.flows, [bus], phases)
    found = study.capacities(sites)
    most = float(found.max_mw[0])
    fits = mw <= most or found.kind[0] < 0
    kind, element, value, limit = _passed(study, sites, found, most if fits else mw)
    row: dict[str, Any] = {
        "node_id": bus, "phase": sites.phase[0], "asked_mw": mw, "fits": bool(fits), "max_mw": most,
        "constraint": None if kind < 0 else KINDS[kind], "element": element, "value": value, "limit": limit,
        "unit": UNITS.get(kind, ""),
    }  # fmt: skip
    return row | {"reason": _reason(row)}


def _passed(
    study: HostingStudy, sites: Sites, found: Capacities, at_mw: float
) -> tuple[int, str | None, float | None, float | None]:
    """The limit that binds first, and what stands there at ``at_mw``, on the base that decides."""
    kind, element = int(found.kind[0]), found.element[0] or None
    if kind < 0 or kind == NO_POWER_FLOW or element is None:
        return kind, element, None, None
    for judge in study.judges:
        of = judge.quantities
        for c in (k for k, name in enumerate(of.element) if name == element):
            judged = study.bounds_of(judge, sites, found.base)  # of the one candidate
            bounds = judged.bounds
            if kind not in (int(judged.kind_low[0, c]), int(judged.kind_high[0, c])):
                continue
            shown = study.evaluate(judge, sites, found.base, np.array([at_mw]))
            before = float(judge.base[found.base[0], c])
            low, high = (float(end[0, c]) for end in (bounds.low, bounds.high))
            value = float(shown.x[0, c]) if shown.found[0] else float("nan")
            if KINDS[kind] == "deviation":
                return kind, element, abs(value - before), float(of.moves[c])
            return kind, element, value, low if KINDS[kind] in ("undervoltage", "reverse_flow") else high
    return kind, element, None, None


def _reason(row: Mapping[str, Any]) -> str:
    where = f"at bus {row['node_id']}" + (f" phase {row['phase']}" if row["phase"] else "")
    begin = (
        f"Yes: {row['asked_mw']:g} MW fits {where}"
        if row["fits"]
        else f"No: {row['asked_mw']:g} MW is too much {where}"
    )
    if row["constraint"] is None:
        return f"{begin}; no limit is passed up to {row['max_mw']:.4f} MW."
    name = str(row["constraint"]).replace("_", " ")
    at = f" at {row['element']}" if row["element"] else ""
    numbers = ""
    if row["value"] is not None and np.isfinite(row["value"]) and not row["fits"]:
        numbers = f" ({row['value']:.6g} {row['unit']}, limit {row['limit']:.6g})"
    limited = f"largest {row['max_mw']:.4f} MW, limited by {name}{at}"
    return f"{begin}; {limited}." if row["fits"] else f"{begin}: {name}{at}{numbers}; {limited}."
