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
from ...hosting.capacity import Settings, flows_of
from ...hosting.moments import operating_point, steps_of_days
from ...jobs.config_fields import DisplayedField, Positional, commas
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import Chunk, Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from .featurize import Featurizer, pyg_graphs

PYG = "pyg.json"


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
    pictures = (PYG,)
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
        flows = flows_of(feeder, Settings())
        if asked.split is None:
            moments = operating_point(flows, asked.load_scale)
        else:
            moments = steps_of_days(flows, asked.split, asked.days or None, asked.load_scale)
        return _Context(feeder, Featurizer(feeder, moments, flows.net))

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
        return frozenset({*self.tables, *((PYG,) if self.config.pyg else ())})

    def draw(self, context: _Context, outcome: JobOutcome) -> Mapping[str, bytes]:
        """PyTorch Geometric's JSON."""
        if not self.config.pyg:
            return {}
        return {PYG: (json.dumps(pyg_graphs(outcome.tables), allow_nan=False) + "\n").encode()}

    def summary(self, context: _Context, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """How many graphs, nodes and edges; a power flow that failed is a problem."""
        graphs: pa.Table = tables["graphs"]
        failed = graphs.num_rows - sum(graphs["converged"].to_pylist())
        results: dict[str, Scalar] = {
            "graphs": graphs.num_rows, "nodes": tables["nodes"].num_rows, "edges": tables["edges"].num_rows
        }  # fmt: skip
        return Summary(results, f"{failed} power flows did not converge" if failed else None)

    def show(self, context: _Context, outcome: JobOutcome) -> Iterable[Any]:
        """Counts."""
        found = outcome.manifest.results
        counts = f"{found['nodes']} nodes, {found['edges']} edges"
        yield f"{found['graphs']} graphs of {context.feeder.name}: {counts}"
