"""Do a job: reproducible, recorded, and resumable.

A job is cut into chunks, whose results depend neither on the cut nor on the process that does them, nor on
what was done before. A chunk is written as Parquet parts when it is finished; `run.json` lists it only then.
A run that was killed goes on with the chunks that are missing or no longer match their hash, and ends with
the bytes that it would have had without the interruption.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from ..errors import RunError
from . import manifest as run_manifest
from .code_content import has_address, package_sha256
from .engines import AnyJob, FinishedPart, engine_named
from .files import table_bytes
from .identity import Reader
from .job import Chunk, JobOutcome, Tables
from .job_folder import JobFolder, note, read_parts
from .manifest import ChunkRecord, GroupRecord, InputRecord, Manifest, Timings
from .plan import cut, table_path
from .progress import Progress


@contextmanager
def prepared(job: AnyJob) -> Iterator[Any]:
    """The context of a job in this process; what it opened is closed on the way out."""
    context = job.prepare()
    try:
        yield context
    finally:
        job.release(context)


def run_job(
    job: AnyJob,
    context: Any,
    out: Path | None = None,
    *,
    engine: str = "local",
    chunk_size: int | None = None,
    resume: bool = True,
    fresh: bool = False,
    progress: bool = False,
    command: Sequence[str] | None = None,
) -> JobOutcome:
    """Do a job, or what is left of it, and return its tables.

    Args:
        job: What to do.
        context: Of the job in this process, see `prepared`.
        out: Folder for run.json, the parts and the tables; None writes nothing. The same run in the folder is
            resumed, any other content is refused.
        engine: "local" (this process), "processes" (all cores, through joblib) or "ray" (the machines of a
            Ray cluster); the tables have the same bytes.
        chunk_size: Items that are lost at most when the run is killed; None: as the job says. A run that is
            resumed keeps its own.
        resume: Whether to go on with the same run; otherwise a folder that holds it is refused.
        fresh: Whether to remove the files of the run that the folder holds.
        progress: Whether to show a progress bar on a terminal.
        command: Recorded in run.json.

    Returns:
        What was found.

    Raises:
        RunError: A ValueError: an unknown engine, a job that stays in this process with another engine, a
            folder that holds something else.
        OSError: A file cannot be written. Whatever the job raises comes through; run.json then says "failed".
    """
    engine_named(engine)
    if engine != "local" and not job.portable:
        raise RunError(f'engine="{engine}": this job holds objects that cannot leave this process')
    return _Run(job, context, engine, progress).outcome(out, chunk_size, command, resume=resume, fresh=fresh)


class _Run:
    """A job that is being done."""

    def __init__(self, job: AnyJob, context: Any, engine: str, progress: bool) -> None:
        self.job, self.context, self.engine, self.progress = job, context, engine, progress
        self.groups: dict[str, tuple[Any, ...]] = {}
        for label, items in itertools.groupby(job.items(context), key=job.label):
            if label in self.groups:
                raise ValueError(f"items of {label!r} must stand side by side")
            self.groups[label] = tuple(items)
        if not self.groups:
            raise RunError(f"`distgrid {job.kind}` has nothing to do: it has no {job.word}")

    def outcome(
        self, out: Path | None, chunk_size: int | None, command: Sequence[str] | None, *, resume: bool,
        fresh: bool,
    ) -> JobOutcome:  # fmt: skip
        wanted = self._manifest(chunk_size, command)
        if out is None:
            return self._in_memory(wanted)
        with JobFolder(out, self.job) as folder:
            needed = self.job.wanted_outputs(self.context)
            run = folder.claim(wanted, needed, resume=resume, fresh=fresh)
            if folder.complete:
                tables = self._gathered(run, folder) if self.job.keeps_parts else folder.whole(run)
                return JobOutcome(tables, run, out, len(run.chunks), 0, complete=True)
            if not self.job.keeps_parts:
                return self._at_once(run, folder)
            with _Status(run, folder):
                return self._in_parts(run, folder)

    def _manifest(self, chunk_size: int | None, command: Sequence[str] | None) -> Manifest:
        """The manifest of a run that has not begun."""
        job, told, started = self.job, self.job.describe(self.context), run_manifest.now()
        groups = self._group_records()
        size = chunk_size or job.chunk_size(self.context, max(group.n_items for group in groups))
        code, doubts = _code(job)
        run = Manifest(
            id="",
            kind=job.kind,
            command=["distgrid", *job.kind.split()] if command is None else list(command),
            versions=run_manifest.versions(told.packages),
            seed=told.seed,
            inputs=[*told.inputs, *code],
            parameters=dict(job.parameters(self.context)),
            objects=list(told.objects),
            unknown=[*told.unknown, *doubts],
            timings=Timings(started_at=started, updated_at=started),
            groups=groups if job.keeps_parts else [],
            chunks=list(cut(groups, size)) if job.keeps_parts else [],
        )
        run.id = f"{job.name}-{run.digits()}"
        return run

    def _group_records(self) -> list[GroupRecord]:
        return [GroupRecord(label=label, n_items=len(items)) for label, items in self.groups.items()]

    def _do(self, records: Sequence[ChunkRecord]) -> Iterator[FinishedPart]:
        """The results of these chunks, as they come."""
        chunks = [
            Chunk(r.index, r.label, r.first_item, self.groups[r.label][r.first_item :][: r.n_items])
            for r in records
        ]
        return engine_named(self.engine)(self.job, self.context, chunks)

    def _in_memory(self, run: Manifest) -> JobOutcome:
        """Do everything and write nothing."""
        if not self.job.keeps_parts:
            return self._at_once(run, None)
        kept: dict[int, FinishedPart] = {}
        with Progress(self.progress, _n_items(run.chunks), self.job.word) as bar:
            for part in self._do(run.chunks):
                chunk = run.chunks[part.index]
                kept[part.index] = part
                note(chunk, part)
                bar.advance(chunk.n_items, label=chunk.label)
        run.timings.wall_s = round(sum(chunk.wall_s for chunk in run.chunks), 3)
        outcome = JobOutcome(self._gathered(run, kept), run, None, 0, len(run.chunks), complete=False)
        self._conclude(run, outcome)
        return outcome

    @contextmanager
    def _telling(self, bar: Progress) -> Iterator[None]:
        """What the job says is shown, for as long as the bar is; a bar cannot be sent to another process."""
        if self.engine == "local":
            self.job.tell = bar.say
        try:
            yield
        finally:
            vars(self.job).pop("tell", None)

    def _in_parts(self, run: Manifest, folder: JobFolder) -> JobOutcome:
        """Do what is pending, writing each chunk as it comes; then put the tables together and write them."""
        pending = [chunk for chunk in run.chunks if chunk.status == "pending"]
        self.job.workspace = folder.path
        with Progress(self.progress, _n_items(run.chunks), self.job.word) as bar, self._telling(bar):
            bar.advance(_n_items(run.chunks) - _n_items(pending))
            for part in self._do(pending):
                chunk = run.chunks[part.index]
                folder.store(chunk, part)
                run.save(folder.path)
                bar.advance(chunk.n_items, label=chunk.label)
        tables = self._gathered(run, folder)
        skipped = len(run.chunks) - len(pending)
        outcome = JobOutcome(tables, run, folder.path, skipped, len(pending), complete=False)
        self._write(run, folder, {name: table_bytes(table) for name, table in tables.items()}, outcome)
        folder.clear(self.job.scratch())
        return outcome

    def _at_once(self, run: Manifest, folder: JobFolder | None) -> JobOutcome:
        """Do everything; only then run.json and the tables are written, where there is a folder."""
        started = time.perf_counter()
        groups = self._group_records()
        run.chunks = list(cut(groups, max(group.n_items for group in groups)))
        kept = {}
        for part in self._do(run.chunks):
            kept[part.index] = part
            note(run.chunks[part.index], part)
        tables = self._gathered(run, kept)
        outcome = JobOutcome(
            tables, run, None if folder is None else folder.path, 0, len(run.chunks), complete=False
        )
        facts, run.notes = self._facts(run), [text for chunk in run.chunks for text in chunk.notes]
        run.groups, run.chunks = [], []
        if folder is None:
            self._conclude(run, outcome, facts)
            return outcome
        data = {name: table_bytes(table) for name, table in tables.items()}
        with _Status(run, folder, started):
            run.outputs = []
            self._write(run, folder, data, outcome, facts)
        return outcome

    def _write(
        self, run: Manifest, folder: JobFolder, data: Mapping[str, bytes], outcome: JobOutcome,
        facts: Sequence[Mapping[str, run_manifest.Scalar]] | None = None,
    ) -> None:  # fmt: skip
        """Write the tables and pictures of the whole run."""
        run.outputs = [folder.put(table_path(name), content) for name, content in data.items()]
        drawn = self.job.draw(self.context, outcome)
        run.outputs = [*run.outputs, *(folder.put(name, content) for name, content in drawn.items())]
        self._conclude(run, outcome, facts)

    def _conclude(
        self,
        run: Manifest,
        outcome: JobOutcome,
        facts: Sequence[Mapping[str, run_manifest.Scalar]] | None = None,
    ) -> None:
        """Note how the run ended."""
        found = self.job.summary(self.context, outcome.tables, self._facts(run) if facts is None else facts)
        run.results, run.error = dict(found.results), found.problem
        if facts is None:
            run.notes = list(dict.fromkeys(text for chunk in run.chunks for text in chunk.notes))
        run.status = "done" if found.problem is None else "failed"
        run.timings.finished_at = run_manifest.now()

    def _facts(self, run: Manifest) -> list[Mapping[str, run_manifest.Scalar]]:
        return [fact for chunk in run.chunks for fact in chunk.facts]

    def _gathered(self, run: Manifest, parts: JobFolder | Mapping[int, FinishedPart]) -> Tables:
        """The tables of all chunks, in the order of the items, as the job puts them together."""
        found: dict[str, list[pa.Table]] = {}
        for chunk in run.chunks:
            tables = parts.part(chunk) if isinstance(parts, JobFolder) else read_parts(parts, chunk)
            for name, table in tables.items():
                found.setdefault(name, []).append(table)
        try:
            whole = {name: pa.concat_tables(several) for name, several in found.items()}
            return self.job.merge(self.context, whole)
        except (KeyError, pa.ArrowException) as error:
            if isinstance(parts, JobFolder):
                raise parts.refuse(f"the tables of its chunks do not fit each other ({error})") from error
            raise


class _Status:
    """Writes run.json on the way in, and on the way out says how it ended; no exception is held back."""

    def __init__(self, run: Manifest, folder: JobFolder, started: float | None = None) -> None:
        self.run, self.folder = run, folder
        self.started = time.perf_counter() if started is None else started

    def __enter__(self) -> None:
        self.run.status, self.run.error, self.run.timings.finished_at = "running", None, None
        self.before_s = self.run.timings.wall_s
        self.run.save(self.folder.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.timings.wall_s = round(self.before_s + time.perf_counter() - self.started, 3)
        if kind is None:
            self.run.save(self.folder.path)
            return
        self.run.status, self.run.error = "failed", f"{kind.__name__}: {error}"
        self.run.timings.finished_at = None
        try:
            self.run.save(self.folder.path)
        except OSError as also:
            # The disk that broke the run may be full for run.json too: what happened first is what must be
            # seen.
            if error is not None:
                error.add_note(f"run.json could not be updated either: {also.strerror}")


def _code(job: AnyJob) -> tuple[list[InputRecord], list[str]]:
    """The code that does the job: that of distgrid, and of a job of somebody's own; what is unknown of it."""
    records = [InputRecord(name="code of distgrid", sha256=package_sha256())]
    if has_address(type(job)):
        return records, []
    reader, name = Reader(), f"code of {job.kind}"
    return [*records, InputRecord(name=name, sha256=reader.digest(type(job), name))], reader.unknown


def _n_items(chunks: Sequence[ChunkRecord]) -> int:
    return sum(chunk.n_items for chunk in chunks)
