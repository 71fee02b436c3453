"""`distgrid audit` as a job: an item is a contender on all test days, the reference of a day, or a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ..jobs.manifest import Scalar
from ..rollouts.env_content import content_of
from ..rollouts.env_source import input_records, make_source
from .checks import CHECKS, play_check
from .config import LEARNERS, AuditConfig
from .contenders import contender_names, play_contender, play_reference
from .report import report_json, scores_table, verdicts_table
from .scores import Standings
from .session import AuditSession
from .verdicts import verdicts

Item = tuple[str, str | int]

#: Scores and verdicts with the command and the seed that gave them, for the page of the environment.
REPORT = "audit.json"


class AuditJob(Job[AuditConfig]):
    """The audit of an environment.

    Args:
        config: What is asked.

    Raises:
        RunError: An unknown environment, an unknown learner, or one that distgrid did not make.
    """

    kind = "audit"
    config_model = AuditConfig
    tables = ("episodes", "details")
    outputs = ("episodes", "details", "scores", "verdicts")
    pictures = (REPORT,)
    word = "parts"
    shown_out = "runs/audit-ENV"

    def __init__(self, config: AuditConfig) -> None:
        """RunError for names that nobody knows."""
        from ..errors import unknown

        super().__init__(config)
        for name in config.learners:
            if name not in LEARNERS:
                raise unknown("learner", name, LEARNERS)
        self.env = make_source(config.env, "test").name

    @property
    def name(self) -> str:
        """Of the environment, without its namespace."""
        return f"audit-{self.env.rsplit('/', 1)[-1]}"

    def parameters(self, context: AuditSession) -> Mapping[str, Scalar]:
        """What was asked for, and the budget that it means."""
        budget: dict[str, Scalar] = {f"budget_{k}": v for k, v in vars(context.budget).items()}
        asked = self.config.model_dump(mode="json", exclude={"learners", "threads", "env"})
        return {"env": self.env, **asked, "learners": ",".join(self.config.learners), **budget}

    def describe(self, context: AuditSession) -> Description:
        """The environment and its data by content."""
        arena = context.test
        attached = content_of(arena.env)
        inputs = [*input_records(arena.env, "test", attached.sha256), *attached.own]
        packages = ("stable_baselines3", "torch") if self.config.learners else ()
        return Description(inputs, (), attached.unknown, packages, seed=self.config.seed)

    def prepare(self) -> AuditSession:
        """The environment on its train and test days."""
        return AuditSession(self.config)

    def release(self, context: AuditSession) -> None:
        """Close the environments."""
        context.close()

    def items(self, context: AuditSession) -> Sequence[Item]:
        """Checks and contenders, then the days of the reference."""
        checks: list[Item] = [("check", name) for name in CHECKS]
        contenders: list[Item] = [("contender", name) for name in contender_names(context)]
        return [*checks, *contenders, *(("reference", int(day)) for day in context.reference_days)]

    def label(self, item: Item) -> str:
        """What kind of item it is."""
        return item[0]

    def chunk_size(self, context: AuditSession, n_items: int) -> int:
        """Each item is kept when it is finished."""
        return 1

    def do(self, context: AuditSession, item: Item) -> Part:
        """Play a contender, search the reference of a day, or check something."""
        kind, of = item
        if kind == "reference":
            return Part(play_reference(context, int(of)))
        return Part(play_check(context, str(of)) if kind == "check" else play_contender(context, str(of)))

    def merge(self, context: AuditSession, tables: Tables) -> Tables:
        """Scores and verdicts from what everybody did."""
        episodes, details = tables["episodes"], tables["details"]
        return {
            **tables, "scores": Standings(episodes).table(), "verdicts": verdicts(episodes, details),
        }  # fmt: skip

    def summary(
        self, context: AuditSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """The verdict of all verdicts; a task that is not accepted is a problem."""
        failed = failing(tables["verdicts"])
        said = f"{self.env} is accepted" if not failed else f"{self.env} is not accepted: {'; '.join(failed)}"
        return Summary({"accepted": not failed, "verdict": said}, said if failed else None)

    def draw(self, context: AuditSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Scores and verdicts as one file, to be committed."""
        return {REPORT: report_json(self.env, outcome, vars(context.budget))}

    def default_out(self) -> Path:
        """A folder of runs/ with the name of the environment."""
        return Path("runs") / self.name

    def show(self, context: AuditSession, outcome: JobOutcome) -> Iterable[Any]:
        """Scores and verdicts."""
        yield scores_table(outcome.tables["scores"], self.env)
        yield verdicts_table(outcome.tables["verdicts"])


def failing(table: pa.Table) -> list[str]:
    """Names of the verdicts that do not pass."""
    return [row["verdict"] for row in table.to_pylist() if row["passes"] is False]
