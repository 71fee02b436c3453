"""The audit as a function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..jobs.manifest import Manifest
from ..jobs.runner import prepared, run_job
from .config import AuditConfig
from .job import AuditJob, failing
from .report import markdown


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What an audit found.

    Attributes:
        scores: One row for each contender, the best first.
        verdicts: One row for each verdict.
        episodes: One row for each contender and day.
        details: Everything else that was measured: the best constant action, weights, ablations, checks.
        manifest: The content of run.json.
        out: The folder; None when nothing was written.
    """

    scores: pa.Table
    verdicts: pa.Table
    episodes: pa.Table
    details: pa.Table
    manifest: Manifest
    out: Path | None

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the verdicts that do not pass."""
        return tuple(failing(self.verdicts))

    @property
    def accepted(self) -> bool:
        """Whether every verdict that could be given passes."""
        return not self.failed

    def share(self, contender: str) -> float:
        """The share of the gap of a contender; KeyError for an unknown one."""
        found = {row["contender"]: row["share_of_gap"] for row in self.scores.to_pylist()}
        return float(found[contender])

    def markdown(self) -> str:
        """Scores and verdicts as Markdown tables."""
        return markdown(self.scores, self.verdicts)


def audit(
    env: str, *, out: str | Path | None = None, fresh: bool = False, progress: bool = False, **options: Any
) -> AuditResult:
    """Audit the task of a registered environment: is it worth learning?

    Args:
        env: Id of the environment; one of your own is registered with Gymnasium first.
        out: Folder for the tables and run.json, resumed when it holds the same audit; None writes nothing.
        fresh: Whether to throw away the run that the folder holds.
        progress: Whether to show a progress bar.
        options: Fields of ``AuditConfig``: ``budget``, ``days``, ``learners=()``, ``seed`` ...

    Raises:
        RunError: A ValueError: unknown names, a folder that holds something else, an environment that is not
            one of distgrid.
        pydantic.ValidationError: Also a ValueError: an option that there is not, or out of range.
    """
    job = AuditJob(AuditConfig(env=env, **options))
    with prepared(job) as session:
        done = run_job(
            job, session, None if out is None else Path(out), fresh=fresh, progress=progress,
            command=["distgrid.baselines.audit", job.env],
        )  # fmt: skip
    tables = {name: done.tables[name] for name in ("scores", "verdicts", "episodes", "details")}
    return AuditResult(**tables, manifest=done.manifest, out=done.out)
