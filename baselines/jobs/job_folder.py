"""The folder of a job: which chunks in it are still good, and what goes where."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import RunError, RunWarning
from . import manifest as run_manifest
from .engines import AnyJob, FinishedPart
from .files import read_table
from .manifest import FILE_NAME, ChunkRecord, Manifest
from .out_folder import MAX_PART_BYTES, MAX_TABLE_BYTES, OutFolder, belongs_elsewhere
from .plan import PARTS, part_path, plan_problem, planned_files, table_path


class JobFolder(OutFolder):
    """A folder that holds exactly one run of a job.

    Attributes:
        complete: After `claim`: whether the run is finished, and nothing need be written.
    """

    complete = False

    def __init__(self, path: Path, job: AnyJob) -> None:
        """Nothing is touched yet."""
        super().__init__(path)
        self.job = job
        self._part_tables = job.tables if job.keeps_parts else ()
        self._outputs = [*(table_path(name) for name in job.outputs or job.tables), *job.more_files()]
        self._parts = (PARTS,) if job.keeps_parts else ()

    def claim(self, wanted: Manifest, needed: Iterable[str], *, resume: bool, fresh: bool) -> Manifest:
        """Make the folder, which was entered, ready for `wanted`; return the manifest to go on with.

        An empty or new folder starts `wanted`; a folder with the same run goes on where that one stopped
        (what it was `wanted` to cut into chunks is then ignored), and is left alone where that was at the
        end; with `fresh`, the files of whatever run of the same kind it holds are removed first. Chunks of a
        run whose identity is not fully known are done anew, with a RunWarning. RunError when the folder holds
        anything else: nothing of it is touched.

        Args:
            wanted: The run that is about to begin.
            needed: Names of tables and pictures without which the run is not finished.
            resume: Whether to go on with the same run.
            fresh: Whether to throw away the run that is there.
        """
        there = self._look(wanted, resume=resume, fresh=fresh)
        if there is None or fresh:
            self.begin(wanted.command, self._parts)
            if there is not None:
                self.discard(self._planned(there))
            return wanted
        if wanted.unknown:
            _forget(there, wanted)
        elif self._finished(there, needed):
            self.complete = True
            return there
        self.begin(wanted.command, self._parts)
        there.command, there.unknown = wanted.command, wanted.unknown
        there.timings.sittings += 1
        for chunk in there.chunks:
            if chunk.status == "done" and not self.intact(chunk.files):
                chunk.forget()
        return there

    def _look(self, wanted: Manifest, *, resume: bool, fresh: bool) -> Manifest | None:
        """The manifest in the folder, when there is one that may be gone on with or thrown away."""
        text = self.run_json()
        if text is None:
            return None
        verb, path = f"distgrid {self.job.kind}", self.path / FILE_NAME
        try:
            there = run_manifest.parse(text)
        except ValueError as error:
            raise belongs_elsewhere(path, text, verb, str(error)) from error
        if there.kind != self.job.kind:
            raise belongs_elsewhere(path, text, verb, "")
        self._check(there)
        if fresh:
            return there
        differing = run_manifest.differences(there.identity(), wanted.identity())
        if differing:
            raise run_manifest.another_run(self.path, there.id, there.status, differing)
        if not resume:
            raise RunError(
                f"{self.path} holds this run already; allow to resume it, or ask for a fresh start"
            )
        return there

    def _check(self, there: Manifest) -> None:
        """RunError unless it is a plan of such a run, and every file of the plan a regular one or missing."""
        problem = plan_problem(there, len(self._part_tables))
        if problem is not None:
            raise self.refuse(problem)
        for chunk in there.chunks:
            mine = [part_path(chunk.index, name) for name in self._part_tables]
            self.check_records(chunk.files, mine, f"chunk {chunk.index}", MAX_PART_BYTES)
        self.check_records(there.outputs, self._outputs, "outputs", MAX_TABLE_BYTES)
        self.check_files(self._planned(there))

    def _planned(self, run: Manifest) -> list[str]:
        """Every file that the run may write, run.json last."""
        return [*self.job.scratch(), *planned_files(run, self._part_tables, self._outputs)]

    def _finished(self, run: Manifest, needed: Iterable[str]) -> bool:
        """Whether `run` has ended and every file it lists is as it was written."""
        files = {name if name in self.job.more_files() else table_path(name) for name in needed}
        return (
            run.ended
            and all(chunk.status == "done" and self.intact(chunk.files) for chunk in run.chunks)
            and files <= {record.path for record in run.outputs}
            and self.intact(run.outputs)
        )

    def store(self, chunk: ChunkRecord, part: FinishedPart) -> None:
        """Write the tables of `chunk` and note them in its record."""
        chunk.files = [
            self.put(part_path(chunk.index, name), part.tables[name]) for name in self._part_tables
        ]
        note(chunk, part)

    def part(self, chunk: ChunkRecord) -> dict[str, pa.Table]:
        """The tables of a finished chunk by name. RunError where they are not those of this chunk."""
        try:
            tables = {name: self._read(part_path(chunk.index, name)) for name in self._part_tables}
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self.refuse(f"a table of chunk {chunk.index} cannot be read ({error})") from error
        problem = self.job.check_part(chunk, tables)
        rows = tables[self._part_tables[0]].num_rows
        if problem is None and rows != chunk.n_rows:
            problem = f"chunk {chunk.index} is said to have {chunk.n_rows} rows, and has {rows}"
        if problem is not None:
            raise self.refuse(problem)
        return tables

    def whole(self, run: Manifest) -> dict[str, pa.Table]:
        """The tables of a finished run that keeps no parts."""
        try:
            files = [record.path for record in run.outputs if record.path.endswith(".parquet")]
            return {name.removesuffix(".parquet"): self._read(name) for name in files}
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self.refuse(f"a table cannot be read ({error})") from error

    def _read(self, name: str) -> pa.Table:
        return read_table((self.path / name).read_bytes())


def note(chunk: ChunkRecord, part: FinishedPart) -> None:
    """Note in the record of `chunk` that it is done."""
    chunk.n_rows, chunk.wall_s = part.n_rows, round(part.wall_s, 6)
    chunk.facts, chunk.notes, chunk.status = part.facts, part.notes, "done"


def _forget(there: Manifest, wanted: Manifest) -> None:
    """Nothing of the run in the folder can be taken over: say so, and why."""
    done = sum(chunk.status == "done" for chunk in there.chunks)
    if done:
        warnings.warn(
            f"{done} finished chunks are played anew, since it cannot be known whether they still hold: "
            + "; ".join(wanted.unknown),
            RunWarning,
            stacklevel=5,
        )
    for chunk in there.chunks:
        chunk.forget()
    there.outputs = []


def read_parts(parts: Mapping[int, FinishedPart], chunk: ChunkRecord) -> dict[str, Any]:
    """The tables of a chunk that is kept in memory."""
    return {name: read_table(data) for name, data in parts[chunk.index].tables.items()}
