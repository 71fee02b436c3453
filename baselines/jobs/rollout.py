"""Run policies over held-out days: reproducible, recorded, and resumable.

Episode *k* plays `episode_day(split, k)` from `env.reset(seed=seed + k)`, so it does not depend on how a
run is cut into chunks, on which process plays it, or on what was played before. A chunk is written as
Parquet parts when it is finished; `run.json` lists it only then. A run that was killed goes on with the
chunks that are missing or no longer match their hash, and ends with the bytes that it would have had
without the interruption.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ..errors import RunError, unknown
from ..scoring.summary import PolicySummary, episodes_table, summarise
from . import manifest as run_manifest
from .env_source import EnvLike, make_source
from .episodes import KINDS, ChunkResult
from .files import read_table, table_bytes
from .folder import EPISODES, REPORT, RunFolder, table_path
from .manifest import Manifest
from .progress import Progress
from .session import PolicyLike, Session, check_policies

Engine = Literal["local", "processes"]
ENGINES = ("local", "processes")


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
    engine: Engine = "local",
    split: str | None = None,
    seed: int = 0,
    chunk_episodes: int | None = None,
    progress: bool = True,
    fresh: bool = False,
    report: bool = True,
    command: Sequence[str] | None = None,
) -> RunResult:
    """Run one or several policies on an environment and return the tables.

    - `env`: an id ("distgrid/VoltVar-33bw-v0", "VoltVar-33bw-v0"), a function that makes an environment, or
      an environment (engine "local" only). `split`: default the environment's own, "test" for an id.
    - `policy`: a name of `baselines.names()`, a `Policy`, or several of them with different names.
    - `episodes`: of each policy. `seed`: of the first episode; the next has `seed + 1`.
    - `out`: folder for run.json, parts/, the tables as Parquet and, with `report`, report.png. The same run
      in the folder is resumed unless `resume=False`; any other content is refused; `fresh` first removes
      the files of the run that the folder holds. The same run is one of the same environment, policies
      (their arrays, parameters and code, see `baselines.identity`), data, days and versions; where that
      cannot be known, finished chunks are played anew, with a `RunWarning`. One process at a time works in
      a folder.
    - `engine`: "local" (this process) or "processes" (all cores, through joblib); the tables have the same
      bytes.
    - `chunk_episodes`: episodes that are lost at most when the run is killed; default a tenth of
      `episodes`, 32 at most. A run that is resumed keeps its own.
    - `command`: recorded in run.json.

    RunError (a ValueError): unknown names, arguments out of range, a folder that holds something else.
    OSError: a file cannot be written. Whatever a policy or the environment raises comes through; run.json
    then says "failed".
    """
    _check_arguments(episodes, seed, chunk_episodes, engine)
    entries = check_policies(policy)
    source = make_source(env, split)
    if engine == "processes" and not source.portable:
        raise RunError('engine="processes" needs the id of the environment or a function that makes it')
    session = Session(source, entries, episodes, seed)
    try:
        wanted = session.manifest(chunk_episodes, command)
        if out is None:
            return _run_in_memory(session, wanted, engine, progress)
        with RunFolder(Path(out)) as folder:
            run = folder.claim(wanted, resume=resume, fresh=fresh, report=report)
            if folder.complete:
                return _gather(session, run, folder, computed=0)
            with _Status(run, folder):
                return _run_in_folder(session, run, folder, engine, progress, report)
    finally:
        session.close()


def _check_arguments(episodes: int, seed: int, chunk_episodes: int | None, engine: str) -> None:
    """RunError for numbers out of range and an unknown engine."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("chunk_episodes", chunk_episodes, 1),
    ):
        if value is None and name == "chunk_episodes":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RunError(f"{name} must be a whole number of at least {least}, got {value!r}")


class _Status:
    """Writes run.json on the way in, and on the way out says how it ended; no exception is held back."""

    def __init__(self, run: Manifest, folder: RunFolder) -> None:
        self.run, self.folder = run, folder

    def __enter__(self) -> None:
        self.run.status, self.run.error, self.run.timings.finished_at = "running", None, None
        self.run.save(self.folder.path)
        self.started = time.perf_counter()
        self.before_s = self.run.timings.wall_s

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.timings.wall_s = round(self.before_s + time.perf_counter() - self.started, 3)
        if kind is None:
            self.run.status, self.run.timings.finished_at = "done", run_manifest.now()
            self.run.save(self.folder.path)
            return
        self.run.status, self.run.error = "failed", f"{kind.__name__}: {error}"
        try:
            self.run.save(self.folder.path)
        except OSError as also:
            # The disk that broke the run may be full for run.json too: what happened first is what must be
            # seen.
            if error is not None:
                error.add_note(f"run.json could not be updated either: {also.strerror}")


def _run_in_memory(session: Session, run: Manifest, engine: Engine, progress: bool) -> RunResult:
    """Play everything and write nothing."""
    kept: dict[int, ChunkResult] = {}
    with Progress(progress, total=sum(r.n_episodes for r in run.chunks)) as bar:
        for record, result in session.play(run.chunks, engine):
            kept[record.index] = result
            record.finish(result.n_steps, result.wall_s)
            bar.advance(record.n_episodes, label=record.policy)
    run.status, run.timings.finished_at = "done", run_manifest.now()
    run.timings.wall_s = round(sum(r.wall_s for r in run.chunks), 3)
    return _gather(session, run, kept, computed=len(run.chunks))


def _run_in_folder(
    session: Session, run: Manifest, folder: RunFolder, engine: Engine, progress: bool, report: bool
) -> RunResult:
    """Play what is pending, writing each chunk as it comes; then put the tables together and write them."""
    pending = [record for record in run.chunks if record.status == "pending"]
    with Progress(progress, total=sum(r.n_episodes for r in run.chunks)) as bar:
        bar.advance(sum(r.n_episodes for r in run.chunks if r.status == "done"))
        for record, result in session.play(pending, engine):
            folder.store(record, result)
            run.save(folder.path)
            bar.advance(record.n_episodes, label=record.policy)
    outcome = _gather(session, run, folder, computed=len(pending))
    whole = {kind: getattr(outcome, kind) for kind in KINDS}
    run.outputs = [
        *(folder.put(table_path(kind), table_bytes(whole[kind])) for kind in KINDS),
        folder.put(EPISODES, table_bytes(outcome.episodes)),
    ]
    if report:
        run.outputs = [*run.outputs, folder.put(REPORT, _report(session, outcome))]
    return outcome


def _gather(
    session: Session, run: Manifest, parts: RunFolder | dict[int, ChunkResult], computed: int
) -> RunResult:
    """The tables of all chunks, in the order of policies and episodes."""
    tables: dict[str, list[pa.Table]] = {kind: [] for kind in KINDS}
    for record in run.chunks:
        if isinstance(parts, RunFolder):
            found = parts.tables(record)
        else:
            found = {kind: read_table(data) for kind, data in parts[record.index].tables.items()}
        for kind in KINDS:
            tables[kind].append(found[kind])
    try:
        whole = {kind: pa.concat_tables(several) for kind, several in tables.items()}
        episodes = episodes_table(whole["steps"], session.dt_h, session.seed)
    except (KeyError, pa.ArrowException) as error:
        if isinstance(parts, RunFolder):
            raise parts.refuse(f"the tables of its chunks do not fit each other ({error})") from error
        raise
    return RunResult(
        episodes=episodes,
        steps=whole["steps"],
        nodes=whole["nodes"],
        branches=whole["branches"],
        violations=whole["violations"],
        summary=summarise(episodes, session.dt_h, _speeds(run)),
        manifest=run,
        out=parts.path if isinstance(parts, RunFolder) else None,
        skipped=len(run.chunks) - computed,
        computed=computed,
    )


def _speeds(run: Manifest) -> dict[str, float]:
    """Steps per second of each policy in one process, over the time that its chunks took."""
    speeds = {}
    for policy in run.parameters.policies:
        own = [c for c in run.chunks if c.policy == policy.name]
        speeds[policy.name] = sum(c.n_steps for c in own) / max(sum(c.wall_s for c in own), 1e-9)
    return speeds


def _band(grid: Any) -> tuple[float, float]:
    """The voltage limits that the task judges by: its own, or the widest of the feeder's nodes."""
    if grid.task.v_band is not None:
        low, high = grid.task.v_band
        return float(low), float(high)
    low, high = grid.feeder.column("nodes", "v_min"), grid.feeder.column("nodes", "v_max")
    return float(np.nanmin(low)), float(np.nanmax(high))


def _report(session: Session, outcome: RunResult) -> bytes:
    """The picture of the run."""
    from ..scoring.report import Scene, report_png

    asked = outcome.manifest.parameters
    scene = Scene(
        steps=outcome.steps,
        nodes=outcome.nodes,
        branches=outcome.branches,
        summary=outcome.summary,
        feeder=session.grid.feeder,
        units=session.grid.fleet.units(),
        band=_band(session.grid),
        dt_h=session.dt_h,
        title=asked.environment.rsplit("/", 1)[-1],
        subtitle=(
            f"feeder {session.grid.feeder.name}   ·   split {asked.split}   ·   "
            f"{asked.episodes} days per policy   ·   seed {asked.seed}"
        ),
    )
    return report_png(scene)
