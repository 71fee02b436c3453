"""`distgrid certify` as a job: an item is a day of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..jobs.config_fields import Positional
from ..jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ..jobs.manifest import Scalar
from ..jobs.unit_tables import table_of_rows
from ..rollouts.env_content import content_of
from ..rollouts.env_source import input_records, make_source
from .best_known import CLOSE, certificate
from .figure import brackets_png
from .session import CertifySession
from .tables import CERTIFICATES, plan_table

PICTURE = "certify.png"


class CertifyConfig(JobConfig):
    """Say for every day of a split what was reached at best, and a bound that no policy can pass.

    Where the branch flow relaxation covers feeder, devices and reward, its dual is the bound, and its plan is
    played on the environment. Everywhere rules and planners play, and a seeded search begins with the best of
    them; what it ends with is the best known, which nobody has proved to be the best. Each day has the seed
    that `distgrid run` gives it. Exit status: 0, or 2 for wrong input.
    """

    env: Annotated[str, Positional("ENV")] = Field(description="Environment, such as VoltVar-33bw-v1.")
    split: str = Field(default="test", description="Days: train, val, test or a suite.")
    days: int = Field(default=0, ge=0, description="Only the first so many; 0: all.")
    search: int | None = Field(
        default=None, ge=0,
        description="Intervals that the search of a day plays; 0: no search; as the size of the feeder says.",
    )  # fmt: skip
    seed: int = Field(default=0, ge=0, description="Of the first episode; the next has one more.")


class CertifyJob(Job[CertifyConfig]):
    """The brackets of the days of a split.

    Args:
        config: What is asked.

    Raises:
        RunError: An unknown environment or split.
    """

    kind = "certify"
    config_model = CertifyConfig
    tables = ("certificates", "plans")
    pictures = (PICTURE,)
    word = "days"

    def __init__(self, config: CertifyConfig) -> None:
        """RunError for names that nobody knows."""
        super().__init__(config)
        self.source = make_source(config.env, config.split)

    @property
    def name(self) -> str:
        """Of the environment, without its namespace."""
        return f"certify-{self.source.name.rsplit('/', 1)[-1]}"

    def parameters(self, context: CertifySession) -> Mapping[str, Scalar]:
        """What was asked for, and the budget of the search."""
        asked = self.config.model_dump(mode="json")
        return {**asked, "env": self.source.name, "search": context.search_steps}

    def describe(self, context: CertifySession) -> Description:
        """The environment and its data by content, and the solver."""
        attached = content_of(context.env)
        inputs = [*input_records(context.env, self.config.split, attached.sha256), *attached.own]
        packages = ("clarabel",) if context.covered else ()
        return Description(inputs, (), attached.unknown, packages, seed=self.config.seed)

    def prepare(self) -> CertifySession:
        """The environment, and who plays it."""
        asked = self.config
        return CertifySession(self.source.name, asked.split, asked.seed, asked.search, asked.days)

    def release(self, context: CertifySession) -> None:
        """Close the environment."""
        context.close()

    def items(self, context: CertifySession) -> Sequence[int]:
        """The days."""
        return context.days

    def chunk_size(self, context: CertifySession, n_items: int) -> int:
        """Each day is kept when it is finished."""
        return 1

    def do(self, context: CertifySession, item: int) -> Part:
        """The certificate of a day."""
        found = certificate(context, item)
        row = (
            item, context.seeds[item] if context.drawn else None, found.do_nothing, found.best_rule,
            found.best_rule_return, found.best_known, found.found_by, found.bound, found.gap,
        )  # fmt: skip
        plan = plan_table(item, list(context.arena.names), found.actions)
        return Part({"certificates": table_of_rows([row], CERTIFICATES), "plans": plan})

    def summary(
        self, context: CertifySession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How close bound and value are; that there is none, where none is proved."""
        table = tables["certificates"]
        if table["gap"].null_count:
            said = f"best known of {table.num_rows} days: no bound is proved for {self.source.name}"
            return Summary({"days": table.num_rows, "within_1_pct": None, "verdict": said})
        gap = table["gap"].to_numpy()
        close = float((gap <= CLOSE).mean())
        said = (
            f"bound and best known are within {CLOSE:.0%} of what there is to gain on {close:.0%} of "
            f"{gap.size} days; median {np.median(gap):.3%}, most {gap.max():.3%}"
        )
        return Summary({"days": int(gap.size), "within_1_pct": close, "verdict": said})

    def draw(self, context: CertifySession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Every day: rule, best known and bound."""
        return {PICTURE: brackets_png(outcome.tables["certificates"], self.source.name)}

    def show(self, context: CertifySession, outcome: JobOutcome) -> Iterable[Any]:
        """The mean day."""
        from rich.table import Table

        shown = Table(title=f"{self.source.name}: mean over {outcome.tables['certificates'].num_rows} days")
        shown.add_column("")
        shown.add_column("Return", justify="right")
        means = {
            name: _mean(outcome.tables["certificates"][column])
            for name, column in (
                ("do-nothing", "do_nothing"), ("best rule of each day", "best_rule_return"),
                ("best known", "best_known"), ("bound", "bound"),
            )
        }  # fmt: skip
        for name, value in means.items():
            shown.add_row(name, "none is proved" if value is None else f"{value:,.4f}")
        yield shown


def _mean(column: pa.ChunkedArray) -> float | None:
    """Of what is there."""
    known = column.drop_null().to_numpy()
    return float(known.mean()) if known.size else None
