"""`distgrid dist sensitivities` as a job of one item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .... import cases
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from .sensitivity import feeder_sensitivities
from .sensitivity_figure import sensitivities_png

_TOLD = 8  # rows of the table that is printed
Names = Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("ID[,ID…]")]


class SensitivitiesConfig(JobConfig):
    """How voltages, currents and losses answer to power at each bus: dV/dP, dV/dQ, dI/dP, dLoss/dP.

    Exact derivatives at the nominal loads, balanced or per phase, and what a further MW costs at each bus.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    buses: Names = Field(default=(), description="Buses whose voltage is told; all of small feeders.")
    branches: Names = Field(default=(), description="Branches whose current is told; all of small feeders.")
    price_per_mwh: float = Field(default=50.0, description="Price of energy at the source, in any money.")


class SensitivitiesJob(Job[SensitivitiesConfig]):
    """The sensitivities of one feeder."""

    kind = "dist sensitivities"
    config_model = SensitivitiesConfig
    tables = ("sensitivities_buses", "sensitivities_voltages", "sensitivities_currents")
    pictures = ("sensitivities.png",)
    keeps_parts = False

    def prepare(self) -> cases.Feeder:
        """The feeder."""
        return cases.load(self.config.feeder)

    def parameters(self, context: cases.Feeder) -> Mapping[str, Scalar]:
        """The configuration; the feeder counts by its content."""
        found = self.config.model_dump(mode="json", exclude={"feeder"})
        return found | {"buses": ",".join(self.config.buses), "branches": ",".join(self.config.branches)}

    def describe(self, context: cases.Feeder) -> Description:
        """The feeder."""
        return Description([InputRecord(name=f"feeder {context.name}", sha256=feeder_sha256(context))])

    def items(self, context: cases.Feeder) -> Sequence[str]:
        """The feeder."""
        return [context.name]

    def do(self, context: cases.Feeder, item: str) -> Part:
        """Solve and derive."""
        found = feeder_sensitivities(context, **self.config.model_dump(exclude={"feeder"}))
        rows = found.sensitivities_buses.to_pylist()
        most = max(rows, key=lambda row: row["marginal_losses_per_mwh"] or 0.0)
        facts: dict[str, Scalar] = {
            "buses_told": len(found.found.buses),
            "branches_told": len(found.found.branches),
            "dearest_node": most["node_id"],
            "dearest_phase": most["phase"],
            "dearest_marginal_per_mwh": most["marginal_total_per_mwh"],
        }
        return Part(found.tables, [facts], found.notes)

    def summary(
        self, context: cases.Feeder, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """The bus where a further MW costs most."""
        return Summary(dict(facts[0]))

    def draw(self, context: cases.Feeder, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Map of marginal losses, matrix of voltages."""
        found = feeder_sensitivities(context, **self.config.model_dump(exclude={"feeder"}))
        return {"sensitivities.png": sensitivities_png(found)}

    def show(self, context: cases.Feeder, outcome: JobOutcome) -> Iterable[Any]:
        """The buses where a further MW costs most, then what was left out."""
        return [dearest_table(context, outcome), *outcome.manifest.notes]


def dearest_table(feeder: cases.Feeder, outcome: JobOutcome) -> Any:
    """The buses with the highest marginal losses, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    rows = outcome.tables["sensitivities_buses"].to_pylist()
    rows = sorted(rows, key=lambda row: -(row["marginal_losses_per_mwh"] or 0.0))[:_TOLD]
    table = Table(
        title=f"Sensitivities of {escape(feeder.name)}: where a further MW costs most",
        title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("Bus", no_wrap=True, vertical="bottom")
    table.add_column("Phase", no_wrap=True, vertical="bottom")
    for head in ("V\npu", "dV/dP\npu/MW", "dV/dQ\npu/Mvar", "dLoss/dP\nkW/kW", "dLoss/dQ\nkW/kvar",
                 "Marginal\nper MWh"):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        table.add_row(
            escape(row["node_id"]), row["phase"], _number(row["v_pu"], 5), _number(row["dv_dp_pu_per_mw"], 5),
            _number(row["dv_dq_pu_per_mvar"], 5), _number(row["dloss_dp_mw_per_mw"], 4),
            _number(row["dloss_dq_mw_per_mvar"], 4), _number(row["marginal_total_per_mwh"], 2),
        )  # fmt: skip
    table.caption = f"Injections count as positive. {len(feeder.column('nodes', 'node_id'))} buses."
    table.caption_justify = "left"
    return table


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")
