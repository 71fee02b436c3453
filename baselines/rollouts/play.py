"""Run policies over held-out days: reproducible, recorded, and resumable.

Episode *k* plays `episode_day(split, k)` from `env.reset(seed=seed + k)`, so it does not depend on how a
run is cut into chunks, on which process plays it, or on what was played before. Folder, resume and engines
are those of every job: `distgrid.baselines.jobs.runner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..errors import RunError
from ..jobs.engines import engine_named
from ..jobs.manifest import Manifest
from ..jobs.runner import prepared, run_job
from ..policy import Policy
from ..scoring.summary import PolicySummary
from .env_source import EnvLike, make_source
from .job import RolloutJob, RunConfig
from .session import PolicyLike, check_policies


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run found.

    `episodes`, `steps`, `nodes`, `branches`, `violations`: the tables (Arrow), policy by policy and episode
    by episode.
    `summary`: one entry a policy. `manifest`: the content of run.json. `out`: the folder, None when nothing
    was written. `skipped`, `computed`: how many chunks were found finished, and how many were played now.
    """

    episodes: pa.Table
    steps: pa.Table
    nodes: pa.Table
    branches: pa.Table
    violations: pa.Table
    summary: tuple[PolicySummary, ...]
    manifest: Manifest
    out: Path | None
    skipped: int
    computed: int


def rollout(
    env: EnvLike,
    policy: PolicyLike | Sequence[PolicyLike],
    episodes: int,
    out: str | Path | None = None,
    resume: bool = True,
    engine: str = "local",
    split: str | None = None,
    seed: int = 0,
    chunk_episodes: int | None = None,
    progress: bool = True,
    fresh: bool = False,
    report: bool = True,
    command: Sequence[str] | None = None,
) -> RunResult:
    """Run one or several policies on an environment and return the tables.

    Args:
        env: An id ("distgrid/VoltVar-33bw-v0", "VoltVar-33bw-v0"), a function that makes an environment, or
            an environment (engine "local" only).
        policy: A name of `baselines.names()`, a `Policy`, or several of them with different names.
        episodes: Of each policy.
        out: Folder for run.json, parts/, the tables as Parquet and, with `report`, report.png. The same run
            in the folder is resumed unless `resume=False`; any other content is refused. The same run is one
            of the same environment, policies (their arrays, parameters and code, see
            `baselines.jobs.identity`), data, days and versions; where that cannot be known, finished chunks
            are played anew, with a `RunWarning`. One process at a time works in a folder.
        resume: Whether to go on with the same run.
        engine: "local" (this process), "processes" (all cores, through joblib) or "ray" (the machines of a
            Ray cluster); the tables have the same bytes.
        split: Which days; None: the environment's own, "test" for an id.
        seed: Of the first episode; the next has `seed + 1`.
        chunk_episodes: Episodes that are lost at most when the run is killed; None: a tenth of `episodes`, 32
            at most, or 128 where episodes are played side by side. A run that is resumed keeps its own.
        progress: Whether to show a progress bar on a terminal.
        fresh: Whether to remove the files of the run that the folder holds first.
        report: Whether to draw report.png.
        command: Recorded in run.json.

    Returns:
        The tables, one summary a policy, and how the run went.

    Raises:
        RunError: A ValueError: unknown names, arguments out of range, a folder that holds something else.
        OSError: A file cannot be written. Whatever a policy or the environment raises comes through; run.json
            then says "failed".
    """
    _check_arguments(episodes, seed, chunk_episodes, engine)
    entries = check_policies(policy)
    source = make_source(env, split)
    if engine != "local" and not source.portable:
        raise RunError(f'engine="{engine}" needs the id of the environment or a function that makes it')
    names = tuple(entry.name if isinstance(entry, Policy) else entry for entry in entries)
    config = RunConfig(env=source.name, policy=names, split=source.split, episodes=episodes, seed=seed)
    job = RolloutJob(config, source, entries, report)
    with prepared(job) as session:
        outcome = run_job(
            job, session, None if out is None else Path(out), engine=engine, chunk_size=chunk_episodes,
            resume=resume, fresh=fresh, progress=progress,
            command=["distgrid.baselines.rollout"] if command is None else command,
        )  # fmt: skip
        return RunResult(
            **outcome.tables, summary=job.scores(session, outcome), manifest=outcome.manifest,
            out=outcome.out, skipped=outcome.skipped, computed=outcome.computed,
        )  # fmt: skip


def _check_arguments(episodes: int, seed: int, chunk_episodes: int | None, engine: str) -> None:
    """RunError for numbers out of range and an unknown engine."""
    engine_named(engine)
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("chunk_episodes", chunk_episodes, 1),
    ):
        if value is None and name == "chunk_episodes":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RunError(f"{name} must be a whole number of at least {least}, got {value!r}")
