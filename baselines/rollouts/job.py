"""`distgrid run` as a job: an item is an episode of a policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field

from ...cases.profiles.calendar import HOURS_PER_DAY
from ..jobs.config_fields import DisplayedField, Positional, commas
from ..jobs.job import Chunk, Description, Job, JobConfig, JobOutcome, Part, Tables
from ..jobs.manifest import ChunkRecord, InputRecord, Manifest, Scalar
from ..jobs.plan import part_path
from ..policy import plays_batches
from ..scoring.certificates import scored
from ..scoring.summary import SCORE, PolicySummary, episodes_table, summarise
from .env_content import content_of
from .env_source import EnvSource, episode_day, input_records, make_source
from .episodes import KINDS, Episodes, run_episodes
from .rows import run_rows
from .session import PolicyLike, RolloutSession, check_policies

EPISODES = "episodes"
REPORT = "report.png"


class RunConfig(JobConfig):
    """Play policies on held-out days of an environment and score them.

    A run that was interrupted goes on where it stopped when the same command is given again.
    """

    env: Annotated[str, Positional("ENV")] = Field(
        description="Environment: an id such as VoltVar-33bw-v0, or a file such as mine.yaml."
    )
    policy: Annotated[tuple[str, ...], BeforeValidator(commas), DisplayedField("NAME[,NAME…]")] = Field(
        description="One policy, or several with commas between them."
    )
    split: str = Field(
        default="test", description="Which days to play: train, val, test, summer-pv or another suite."
    )
    episodes: int = Field(default=5, ge=1, description="Days that each policy plays, spread over the split.")
    seed: int = Field(default=0, ge=0, description="Seed of the first episode.")


class RolloutJob(Job[RunConfig]):
    """Policies on an environment.

    Args:
        config: What is played.
        source: In place of the id in `config`: an environment, or a function that makes one.
        policies: In place of the names in `config`: policies.
        report: Whether report.png is drawn.
    """

    kind = "run"
    config_model = RunConfig
    tables = KINDS
    outputs = (*KINDS, EPISODES)
    pictures = (REPORT,)
    word = "episodes"
    shown_out = "runs/ENV"

    def __init__(
        self, config: RunConfig, source: EnvSource | None = None,
        policies: Sequence[PolicyLike] | None = None, report: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(config)
        self.entries = check_policies(config.policy if policies is None else policies)
        self.source = make_source(config.env, config.split) if source is None else source
        self.report = report

    @property
    def name(self) -> str:
        """The environment's id without its namespace."""
        return self.source.name.rsplit("/", 1)[-1]

    @property
    def portable(self) -> bool:
        """Whether another process can open the environment."""
        return self.source.portable

    def parameters(self, context: RolloutSession) -> Mapping[str, Scalar]:
        """What was asked for; the policies by name, their content is in `objects`."""
        return {
            "environment": self.source.name, "split": self.source.split, "seed": self.config.seed,
            "episodes": self.config.episodes, "policies": ",".join(context.policies),
        }  # fmt: skip

    def describe(self, context: RolloutSession) -> Description:
        """Environment, policies and data by content."""
        records, unknown = context.policy_records()
        attached = content_of(context.env)
        inputs = [*input_records(context.env, self.source.split, attached.sha256), *attached.own]
        if self.source.content_sha256 is not None:
            inputs.append(InputRecord(name="environment file", sha256=self.source.content_sha256))
        return Description(inputs, records, [*unknown, *attached.unknown], seed=self.config.seed)

    def prepare(self) -> RolloutSession:
        """The environment and the policies made on it."""
        return RolloutSession(self.source, self.entries)

    def release(self, context: RolloutSession) -> None:
        """Close the environment, unless it was handed in."""
        context.close()

    def items(self, context: RolloutSession) -> list[tuple[str, int]]:
        """Policy and episode."""
        return [(name, episode) for name in context.policies for episode in range(self.config.episodes)]

    def label(self, item: tuple[str, int]) -> str:
        """The policy."""
        return item[0]

    def do(self, context: RolloutSession, item: tuple[str, int]) -> Part:
        """Play one episode."""
        return self.do_chunk(context, Chunk(0, item[0], item[1], (item,)))

    def do_chunk(self, context: RolloutSession, chunk: Chunk) -> Part:
        """Play consecutive episodes of one policy."""
        days = tuple(episode_day(context.grid.days, episode) for _, episode in chunk.items)
        episodes = Episodes(chunk.label, chunk.items[0][1], days, self.config.seed)
        return Part(play(context, episodes))

    def chunk_size(self, context: RolloutSession, n_items: int) -> int:
        """Of episodes that are played side by side, 128 at most: together they take a second or two."""
        if n_items > 1 and context.side_by_side():
            return min(n_items, 128)
        return super().chunk_size(context, n_items)

    def check_part(self, chunk: ChunkRecord, tables: Tables) -> str | None:
        """None where the tables are of the chunk's policy and episodes."""
        last = chunk.first_item + chunk.n_items - 1
        for kind, table in tables.items():
            path = part_path(chunk.index, kind)
            missing = {"policy", "episode"} - set(table.column_names)
            if missing or not pa.types.is_integer(table.schema.field("episode").type):
                return f"{path} has no usable columns policy and episode"
            if kind in ("branches", "violations") and not table.num_rows:
                continue
            if table["policy"].unique().to_pylist() != [chunk.label]:
                return f"{path} holds other policies than {chunk.label!r}"
            episodes = table["episode"].to_numpy()
            inside = episodes[0] >= chunk.first_item and episodes[-1] <= last
            ordered = inside and bool((np.diff(episodes) >= 0).all())
            if not ordered or (kind != "violations" and len(np.unique(episodes)) != chunk.n_items):
                return f"{path} does not hold the episodes {chunk.first_item} to {last}"
        return None

    def merge(self, context: RolloutSession, tables: Tables) -> Tables:
        """The tables of the steps, and one row an episode made from them."""
        episodes = episodes_table(tables["steps"], context.dt_h, self.config.seed)
        return {**tables, EPISODES: self._with_scores(context, episodes)}

    def _with_scores(self, context: RolloutSession, episodes: pa.Table) -> pa.Table:
        """The table with the column ``normalised_score``, null where there is no certificate."""
        attached = content_of(context.env)
        inputs = input_records(context.env, self.source.split, attached.sha256)
        known = {record.name: record.sha256 for record in (*inputs, *attached.own)}
        of = (episodes[name].to_pylist() for name in ("day", "seed", "return"))
        scores = pa.array(scored(self.source.name, known, *of), pa.float64())
        return episodes.append_column(SCORE, scores)

    def wanted_outputs(self, context: RolloutSession) -> frozenset[str]:
        """All tables, and the picture where it is wanted."""
        return frozenset({*self.outputs, *((REPORT,) if self.report else ())})

    def draw(self, context: RolloutSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """The picture of the run."""
        return {REPORT: self._picture(context, outcome)} if self.report else {}

    def scores(self, context: RolloutSession, outcome: JobOutcome) -> tuple[PolicySummary, ...]:
        """One entry a policy."""
        return summarise(outcome.tables[EPISODES], context.dt_h, _speeds(outcome.manifest))

    def default_out(self) -> Path:
        """A folder of runs/ with the name of the environment."""
        return Path("runs") / self.name

    def show(self, context: RolloutSession, outcome: JobOutcome) -> Iterable[Any]:
        """The scores."""
        from ..scoring.score_table import score_table

        title = f"{self.name}: {self._count(context)} of {self.source.split}"
        return [score_table(self.scores(context, outcome), title)]

    def _count(self, context: RolloutSession) -> str:
        """How many episodes there are, and of what."""
        hours = context.episode_h
        what = "days" if hours == HOURS_PER_DAY else f"episodes of {hours:g} h"
        return f"{self.config.episodes} {what}"

    def _picture(self, context: RolloutSession, outcome: JobOutcome) -> bytes:
        from ..scoring.report import Scene, report_png

        grid = context.grid
        scene = Scene(
            steps=outcome.tables["steps"],
            nodes=outcome.tables["nodes"],
            branches=outcome.tables["branches"],
            summary=self.scores(context, outcome),
            feeder=grid.feeder,
            units=grid.fleet.units(),
            band=_band(grid),
            limits=grid.v_limits_pu,
            dt_h=context.dt_h,
            episode_h=context.episode_h,
            title=self.name,
            subtitle=(
                f"feeder {grid.feeder.name}   ·   split {self.source.split}   ·   "
                f"{self._count(context)} per policy   ·   seed {self.config.seed}"
            ),
        )
        return report_png(scene)


def play(session: RolloutSession, episodes: Episodes) -> Tables:
    """Play consecutive episodes of one policy: side by side, where policy and environment can."""
    policy, count = session.policies[episodes.policy], len(episodes.days)
    if count > 1 and session.has_rows and plays_batches(policy):
        return run_rows(session.rows(count), session.env, policy, episodes)
    return run_episodes(session.env, policy, episodes)


def _speeds(run: Manifest) -> dict[str, float]:
    """Steps per second of each policy in one process, over the time that its chunks took."""
    speeds = {}
    for group in run.groups:
        own = [chunk for chunk in run.chunks if chunk.label == group.label]
        speeds[group.label] = sum(c.n_rows for c in own) / max(sum(c.wall_s for c in own), 1e-9)
    return speeds


def _band(grid: Any) -> tuple[float, float]:
    """The voltage limits that the task judges by: its own, or the widest of the feeder's nodes."""
    if grid.task.v_band is not None:
        low, high = grid.task.v_band
        return float(low), float(high)
    low, high = grid.feeder.column("nodes", "v_min"), grid.feeder.column("nodes", "v_max")
    return float(np.nanmin(low)), float(np.nanmax(high))
