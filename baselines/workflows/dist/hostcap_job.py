"""`distgrid dist hostcap`: how much each bus of a feeder can take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from ...errors import RunError, unknown
from ...hosting.capacity import Capacities, HostingStudy, acts
from ...hosting.largest_total import largest_total
from ...hosting.siting import Sites, drawn, each_bus, together
from ...jobs.config_fields import DisplayedField, commas
from ...jobs.job import Chunk, Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import Scalar
from .hosting_config import HostingConfig, HostingSession, session
from .hosting_figures import capacity_png, profile_png
from .hosting_tables import capacity_tables, penetration_curve

TOGETHER = ("no", "equal", "load", "best")
MAP, PROFILE = "hostcap.png", "hostcap_profile.png"
_SHOWN = 12  # rows of the table on a terminal


class HostCapConfig(HostingConfig):
    """Hosting capacity: the largest plant at each bus that keeps every limit, and what limits it.

    Every size below it is feasible too: sizes are bracketed from small ones, and the first limit that is
    passed counts. A limit that the feeder passes by itself binds where the plant makes it worse. Exit status:
    0, or 2 for wrong input.
    """

    buses: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("BUS[,BUS…]")] = Field(
        default=(), description="Buses that are asked for; left out: all that are fed."
    )
    phases: str = Field(default="all", description="Per phase: all, each, or letters such as A or BC.")
    together: str = Field(
        default="no",
        description="One plant at each of the buses, as a total: equal, load (in proportion) or best.",
    )
    draws: int = Field(
        default=0, description="Monte-Carlo siting: so many sets of buses drawn at random.", ge=0
    )
    sites_per_draw: int = Field(default=3, description="Buses of each set.", ge=1)
    seed: int = Field(default=0, description="Of the draws.", ge=0)
    profile_bus: str | None = Field(
        default=None, description="Bus whose voltage profile is drawn; left out: the one that takes least."
    )


@dataclass(frozen=True, eq=False)
class _Context:
    """A feeder, its study, and the candidates."""

    session: HostingSession
    sites: Sites
    best: bool  # whether one total is divided as is best

    @property
    def study(self) -> HostingStudy:
        """Of the feeder."""
        return self.session.study

    def capacities(self, rows: slice) -> Capacities:
        """Of some of the candidates."""
        if self.best:
            return largest_total(self.study, self.sites)
        return self.study.capacities(self.sites.part(rows))


class HostCapJob(Job[HostCapConfig]):
    """Hosting capacity of one feeder; its items are the candidates."""

    kind = "dist hostcap"
    aliases = ("hosting",)
    config_model = HostCapConfig
    tables = ("hostcap_summary", "hostcap_detail")
    outputs = ("hostcap_summary", "hostcap_detail", "hostcap_curve")
    pictures = (MAP, PROFILE)
    word = "buses"

    def __init__(self, config: HostCapConfig) -> None:
        """RunError for values that cannot be."""
        super().__init__(config)
        config.settings()
        if config.together not in TOGETHER:
            raise unknown("way of siting together", config.together, TOGETHER)
        if config.together != "no" and config.draws:
            raise RunError("buses are asked for together and drawn at random: choose one of the two")

    def prepare(self) -> _Context:
        """The feeder solved as it is, and the candidates."""
        asked, found = self.config, session(self.config)
        flows, buses = found.study.flows, list(asked.buses) or None
        if asked.draws:
            sites = drawn(flows, asked.draws, asked.sites_per_draw, asked.seed, buses)
        elif asked.together in ("equal", "load"):
            sites = together(flows, buses, asked.together)
        else:
            sites = each_bus(flows, buses, asked.phases)
        if asked.profile_bus is not None and asked.profile_bus not in sites.name:
            raise unknown("bus among the candidates", asked.profile_bus, dict.fromkeys(sites.name))
        return _Context(found, sites, asked.together == "best")

    def parameters(self, context: _Context) -> Mapping[str, Scalar]:
        """The configuration; feeder and fleet count by their content."""
        return self.config.told("feeder", "ders")

    def describe(self, context: _Context) -> Description:
        """The feeder, what is connected, and the seed where anything is drawn."""
        seed = self.config.seed if self.config.draws else None
        return Description(list(context.session.inputs), packages=("scipy",), seed=seed)

    def items(self, context: _Context) -> Sequence[int]:
        """Candidates by their number; sites of the best division are one item."""
        return [0] if context.best else range(len(context.sites))

    def chunk_size(self, context: _Context, n_items: int) -> int:
        """Candidates that are bisected as one batch."""
        rows = max(1, context.study.n_bases)
        return int(np.clip(4096 // rows, 1, max(64, -(-n_items // 8))))

    def do(self, context: _Context, item: int) -> Part:
        """One candidate."""
        return Part(capacity_tables(context.study, context.capacities(slice(item, item + 1))))

    def do_chunk(self, context: _Context, chunk: Chunk) -> Part:
        """Candidates side by side, as rows of one batch: none knows of the others."""
        return Part(
            capacity_tables(context.study, context.capacities(slice(chunk.items[0], chunk.items[-1] + 1)))
        )

    def merge(self, context: _Context, tables: Tables) -> Tables:
        """With the curve of penetration."""
        load = float(np.asarray(context.session.feeder.column("loads", "p_mw"), dtype=np.float64).sum())
        curve = penetration_curve(tables["hostcap_summary"], load * self.config.load_scale)
        return {**tables, "hostcap_curve": curve}

    def summary(self, context: _Context, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """Least, median and most, what limits, and how much work it was."""
        found = tables["hostcap_summary"]
        size, kinds = found["max_mw"].to_numpy(), Counter(found["limiting_constraint"].to_pylist())
        least = int(size.argmin())
        results: dict[str, Scalar] = {
            "candidates": found.num_rows,
            "least_mw": float(size.min()), "least_at": found["node_id"][least].as_py(),
            "median_mw": float(np.median(size)), "most_mw": float(size.max()),
            "limits": ", ".join(f"{name} {n}" for name, n in sorted(kinds.items())),
            "controls": self.config.controls if acts(context.session.feeder) else "none act",
            "power_flows": int(found["power_flows"].to_numpy().sum()),
        }  # fmt: skip
        return Summary(results)

    def draw(self, context: _Context, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Map and curve; voltages before, and with the largest plant at one of the candidates."""
        found = outcome.tables["hostcap_summary"].to_pylist()
        row = self._profiled(found)
        return {
            MAP: capacity_png(context.session.feeder, found, outcome.tables["hostcap_curve"]),
            PROFILE: profile_png(context.study, context.capacities(slice(row, row + 1))),
        }

    def _profiled(self, found: Sequence[Mapping[str, Any]]) -> int:
        if self.config.profile_bus is not None:
            return next(k for k, row in enumerate(found) if row["node_id"] == self.config.profile_bus)
        some = [k for k, row in enumerate(found) if row["max_mw"] > 10.0 * self.config.tolerance_kw * 1e-3]
        return min(some or range(len(found)), key=lambda k: found[k]["max_mw"])

    def show(self, context: _Context, outcome: JobOutcome) -> Iterable[Any]:
        """The candidates that take least, and the summary."""
        yield capacities_table(context.session.feeder.name, self.config.type, outcome)
        results = outcome.manifest.results
        sizes = f"median {results['median_mw']:.4f}, most {results['most_mw']:.4f} MW"
        least = f"least {results['least_mw']:.4f} MW at {results['least_at']}"
        if acts(context.session.feeder):
            yield f"Regulators and switched banks: {results['controls']}"
        yield f"{results['candidates']} candidates: {least}, {sizes}; limits: {results['limits']}"


def capacities_table(name: str, kind: str, outcome: JobOutcome) -> Any:
    """The candidates that take least, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    rows = sorted(outcome.tables["hostcap_summary"].to_pylist(), key=lambda row: row["max_mw"])
    table = Table(
        title=f"Hosting capacity of {escape(name)} for {kind}", title_justify="left", title_style="bold",
        header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left",
    )  # fmt: skip
    for head in ("Bus", "Phase", "MW", "Limited by", "at", "Highest V", "Lowest V"):
        number = head in ("MW", "Highest V", "Lowest V")
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in rows[:_SHOWN]:
        volts = [("–" if row[c] is None else f"{row[c]:.4f}") for c in ("v_highest_pu", "v_lowest_pu")]
        table.add_row(
            escape(row["node_id"]), row["phase"], f"{row['max_mw']:.4f}",
            row["limiting_constraint"].replace("_", " "), escape(row["limiting_element"] or ""), *volts,
        )  # fmt: skip
    if len(rows) > _SHOWN:
        table.caption = f"The {_SHOWN} that take least of {len(rows)}"
    return table
