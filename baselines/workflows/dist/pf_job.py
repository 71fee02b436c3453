"""`distgrid dist pf` as a job of one item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from .... import cases
from ...jobs.config_fields import Positional
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from .pf import check_options, in_phases, power_flow
from .pf_figure import pf_png
from .pf_result import PowerFlow

_TABLES = ("buses", "branches", "losses", "violations")
_PHASE_TABLES = ("voltages", "flows")
PICTURE = "pf.png"


class PowerFlowConfig(JobConfig):
    """Power flow of the nominal loads: buses, branches, losses and violated limits as tables.

    Exit status: 0 for a usable solution, 3 where it did not converge or a voltage is below 0.5 pu, 2 for
    wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    method: str = Field(default="backward-forward", description="backward-forward, newton or fast-decoupled.")
    loops: str = Field(
        default="keep", description="Branches that close loops: keep, prune (leave out) or refuse."
    )
    phases: str | None = Field(
        default=None, description="balanced or per-phase; as the feeder is where left out."
    )
    tol: float = Field(default=1e-8, description="Largest voltage change of the last iteration, pu.")
    max_iter: int = Field(default=100, description="Iterations after which it is given up.")
    voltage_bands: bool = Field(
        default=False, description="Per phase: loads outside their voltage band as in OpenDSS."
    )
    vuf_max_pct: float = Field(default=2.0, description="Per phase: unbalance |V2|/|V1| allowed, %.")


class PowerFlowJob(Job[PowerFlowConfig]):
    """One power flow of a feeder."""

    kind = "dist pf"
    config_model = PowerFlowConfig
    tables = (*_TABLES, *_PHASE_TABLES)
    pictures = (PICTURE,)
    keeps_parts = False

    def __init__(self, config: PowerFlowConfig) -> None:
        """RunError, with the nearest name, for unknown names."""
        super().__init__(config)
        check_options(config.method, config.loops, config.phases, config.vuf_max_pct)

    def prepare(self) -> cases.Feeder:
        """The feeder in the form asked for."""
        return in_phases(cases.load(self.config.feeder), self.config.phases)

    def parameters(self, context: cases.Feeder) -> Mapping[str, Scalar]:
        """The configuration; the feeder counts by its content."""
        return self.config.model_dump(exclude={"feeder"}) | {"phases": context.phases}

    def describe(self, context: cases.Feeder) -> Description:
        """The feeder, and pandapower where that solves."""
        inputs = [InputRecord(name=f"feeder {context.name}", sha256=feeder_sha256(context))]
        own = self.config.method == "backward-forward"
        return Description(inputs, packages=() if own else ("pandapower",))

    def items(self, context: cases.Feeder) -> Sequence[str]:
        """The feeder."""
        return [context.name]

    def do(self, context: cases.Feeder, item: str) -> Part:
        """Solve it."""
        asked = self.config.model_dump(exclude={"feeder", "phases"})
        flow = power_flow(context, **asked)
        return Part(flow.tables, [_facts(flow)], flow.notes)

    def wanted_outputs(self, context: cases.Feeder) -> frozenset[str]:
        """Two more tables where phases differ."""
        return frozenset(self.tables if context.phases == "per-phase" else _TABLES) | {PICTURE}

    def draw(self, context: cases.Feeder, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Voltages along the feeder, and the branches that are loaded most."""
        return {PICTURE: pf_png(context, outcome.tables, outcome.manifest.error is None)}

    def summary(
        self, context: cases.Feeder, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How it ended; a power flow without a usable solution has failed."""
        (found,) = facts
        usable = found["converged"] and not found["collapsed"]
        return Summary(dict(found), None if usable else str(found["verdict"]))

    def show(self, context: cases.Feeder, outcome: JobOutcome) -> Iterable[Any]:
        """The table of losses, then what was left out."""
        return [losses_table(context, outcome), *outcome.manifest.notes]


def _facts(flow: PowerFlow) -> dict[str, Scalar]:
    sol = flow.solution
    return {
        "converged": bool(sol.converged),
        "diverged": bool(sol.diverged),
        "collapsed": bool(sol.collapsed),
        "iterations": int(sol.iterations),
        "violations": flow.violations.num_rows,
        "verdict": flow.verdict,
    }


def losses_table(feeder: cases.Feeder, outcome: JobOutcome) -> Any:
    """Sources, load, losses, extremes and violations per feeder id and in total, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    losses = outcome.tables["losses"].to_pylist()
    usable = outcome.manifest.error is None
    table = Table(
        title=f"Power flow of {escape(feeder.name)}" + ("" if usable else ": NOT A SOLUTION"),
        title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    table.add_column("Feeder", vertical="bottom", no_wrap=True)
    heads = ("Sources\nMW", "Load\nMW", "Losses\nkW", "Losses\n%", "Lowest V\npu", "at", "Highest V\npu",
             "at", "Loading\nmax %")  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for name, row in _printed(feeder, losses):
        table.add_row(
            escape(name), _number(row["p_source_mw"], 4), _number(row["p_load_mw"], 4),
            _number(None if row["p_loss_mw"] is None else 1e3 * row["p_loss_mw"], 3),
            _number(row["p_loss_pct_of_load"], 2), _number(row["v_lowest_pu"], 5),
            escape(row["v_lowest_node"] or ""), _number(row["v_highest_pu"], 5),
            escape(row["v_highest_node"] or ""), _number(row["loading_highest_pct"], 1),
        )  # fmt: skip
    kinds = outcome.tables["violations"]["kind"].to_pylist()
    counts = [f"{kinds.count(kind)} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds)]
    table.caption = "Violated limits: " + (", ".join(counts) or "none")
    unbalance = losses[-1].get("vuf_highest_pct")
    if unbalance is not None:
        table.caption += f"\nUnbalance: at most {unbalance:.2f} %"
    table.caption_justify = "left"
    return table


def _printed(feeder: cases.Feeder, losses: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The rows of the losses with their names; one feeder id alone is the total."""
    phases = [(f"phase {row['phase']}", row) for row in losses if row["scope"] == "phase"]
    feeders = [(row["feeder_id"], row) for row in losses if row["scope"] == "feeder"]
    if len(feeders) == 1:
        return [*phases, (feeder.feeder_id, losses[-1])]
    return [*feeders, *phases, ("total", losses[-1])]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")
