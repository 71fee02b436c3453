"""`distgrid dist featurize`: graphs for graph neural networks as a job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, Field

from .... import cases
from ...errors import RunError
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import Chunk, Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from .featurize import Featurizer, pyg_graphs
from .graph_figure import graphs_png

PYG, PICTURE = "pyg.json", "graphs.png"


class FeaturizeConfig(JobConfig):
    """Graphs for graph neural networks: tables of nodes, edges and graphs, and PyTorch Geometric's JSON.

    One graph for nominal loads, or one for every step of days, each with its power flow.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped feeder, .m or .dss file, or folder of Parquet tables."
    )
    load_scale: float = Field(default=1.0, description="Times the loads.")
    split: str | None = Field(
        default=None,
        description="A graph for every step of these days: train, val, test, ...; left out: nominal loads.",
    )
    days: Annotated[tuple[int, ...], BeforeValidator(commas), DisplayedField("N[,N…]")] = Field(
        default=(), description="Days of the split; left out: all."
    )
    pyg: bool = Field(default=True, description="Write pyg.json, too.")


@dataclass(frozen=True, eq=False)
class _Context:
    feeder: cases.Feeder
    featurizer: Featurizer


class FeaturizeJob(Job[FeaturizeConfig]):
    """Graphs of one feeder; its items are the moments."""

    kind = "dist featurize"
    config_model = FeaturizeConfig
    tables = ("graphs", "nodes", "edges")
    pictures = (PYG, PICTURE)
    word = "graphs"

    def __init__(self, config: FeaturizeConfig) -> None:
        """RunError for days without a split."""
        super().__init__(config)
        if config.days and config.split is None:
            raise RunError("days are given without the split that they are of")

    def prepare(self) -> _Context:
        """The feeder and its moments."""
        asked = self.config
        feeder = cases.load(asked.feeder)
        return _Context(feeder, Featurizer.of(feeder, asked.load_scale, asked.split, asked.days))

    def parameters(self, context: _Context) -> Mapping[str, Scalar]:
        """The configuration; the feeder counts by its content."""
        found = self.config.model_dump(exclude={"feeder"})
        return found | {"days": ",".join(map(str, self.config.days))}

    def describe(self, context: _Context) -> Description:
        """The feeder."""
        feeder = context.feeder
        return Description([InputRecord(name=f"feeder {feeder.name}", sha256=feeder_sha256(feeder))])

    def items(self, context: _Context) -> Sequence[int]:
        """The moments."""
        return range(len(context.featurizer.moments))

    def chunk_size(self, context: _Context, n_items: int) -> int:
        """Moments that are solved as one batch."""
        return min(n_items, 96)

    def do(self, context: _Context, item: int) -> Part:
        """One graph."""
        return Part(context.featurizer.tables(item, item + 1))

    def do_chunk(self, context: _Context, chunk: Chunk) -> Part:
        """Graphs side by side."""
        return Part(context.featurizer.tables(chunk.items[0], chunk.items[-1] + 1))

    def wanted_outputs(self, context: _Context) -> frozenset[str]:
        """The tables, and the JSON where it is wanted."""
        return frozenset({*self.tables, PICTURE, *((PYG,) if self.config.pyg else ())})

    def draw(self, context: _Context, outcome: JobOutcome) -> Mapping[str, bytes]:
        """The picture, and PyTorch Geometric's JSON."""
        tables = outcome.tables
        found = {PICTURE: graphs_png(context.feeder, tables["nodes"])}
        if self.config.pyg:
            found[PYG] = (json.dumps(pyg_graphs(tables), allow_nan=False) + "\n").encode()
        return found

    def summary(self, context: _Context, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """How many graphs, nodes and edges; a power flow that failed is a problem."""
        graphs: pa.Table = tables["graphs"]
        failed = graphs.num_rows - sum(graphs["converged"].to_pylist())
        results: dict[str, Scalar] = {
            "graphs": graphs.num_rows, "nodes": tables["nodes"].num_rows, "edges": tables["edges"].num_rows
        }  # fmt: skip
        return Summary(results, f"{failed} power flows did not converge" if failed else None)

    def show(self, context: _Context, outcome: JobOutcome) -> Iterable[Any]:
        """Ranges of the graphs, and counts."""
        found = outcome.manifest.results
        yield graphs_table(context.feeder.name, outcome.tables["graphs"])
        counts = f"{found['nodes']} nodes, {found['edges']} edges"
        yield f"{found['graphs']} graphs of {context.feeder.name}: {counts}"


def graphs_table(name: str, graphs: pa.Table) -> Any:
    """Least, mean and most of what the graphs hold, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"Graphs of {escape(name)}", title_justify="left", title_style="bold", header_style="dim",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for head in ("", "Least", "Mean", "Most"):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for column, what in (
        ("p_load_mw", "Nominal load, MW"),
        ("p_loss_mw", "Losses, MW"),
        ("p_source_mw", "Sources, MW"),
    ):
        value = graphs[column].to_numpy()
        table.add_row(what, *(f"{x:.4f}" for x in (value.min(), value.mean(), value.max())))
    return table
