"""The folder of a run: which chunks in it are still good, and what goes where."""

from __future__ import annotations

import warnings

import pyarrow as pa

from ..errors import RunError, RunWarning
from . import manifest as run_manifest
from .episodes import KINDS, ChunkResult
from .files import read_table
from .manifest import FILE_NAME, ChunkRecord, Manifest
from .out_folder import MAX_PART_BYTES, MAX_TABLE_BYTES, OutFolder, belongs_elsewhere
from .plan import EPISODES, PARTS, REPORT, check_part, part_path, plan_problem, planned_files, table_path

__all__ = ["EPISODES", "PARTS", "REPORT", "RunFolder", "part_path", "table_path"]


class RunFolder(OutFolder):
    """A folder that holds exactly one run of policies."""

    complete = False  # after `claim`: whether the run is finished, and nothing need be written

    def claim(self, wanted: Manifest, *, resume: bool, fresh: bool, report: bool) -> Manifest:
        """Make the folder, which was entered, ready for `wanted`; return the manifest to go on with.

        An empty or new folder starts `wanted`; a folder with the same run goes on where that one stopped
        (what it was `wanted` to cut into chunks is then ignored), and is left alone where that was at the
        end (with its picture, where a `report` is wanted); with `fresh`, the files of whatever run it holds
        are removed first. Chunks of a run whose identity is not fully known are played anew, with a
        RunWarning. RunError when the folder holds anything else: nothing of it is touched.
        """
        there = self._look(wanted, resume=resume, fresh=fresh)
        if there is None or fresh:
            self.begin(wanted.command, (PARTS,))
            if there is not None:
                self.discard(planned_files(there.chunks))
            return wanted
        if wanted.unknown:
            _forget(there, wanted)
        elif self._finished(there) and (not report or any(f.path == REPORT for f in there.outputs)):
            self.complete = True
            return there
        self.begin(wanted.command, (PARTS,))
        there.command, there.unknown = wanted.command, wanted.unknown
        there.timings.sittings += 1
        for chunk in there.chunks:
            if chunk.status == "done" and not self.intact(chunk.files):
                chunk.status = "pending"
        return there

    def _look(self, wanted: Manifest, *, resume: bool, fresh: bool) -> Manifest | None:
        """The manifest in the folder, when there is one that may be gone on with or thrown away."""
        text = self.run_json()
        if text is None:
            return None
        try:
            there = run_manifest.parse(text)
        except ValueError as error:
            raise belongs_elsewhere(self.path / FILE_NAME, text, "distgrid run", str(error)) from error
        problem = plan_problem(there)
        if problem is not None:
            raise self.refuse(problem)
        names = planned_files(there.chunks)
        for chunk in there.chunks:
            mine = [part_path(chunk, kind) for kind in KINDS]
            self.check_records(chunk.files, mine, f"chunk {chunk.index}", MAX_PART_BYTES)
        tables = [*(table_path(kind) for kind in KINDS), EPISODES, REPORT]
        self.check_records(there.outputs, tables, "outputs", MAX_TABLE_BYTES)
        self.check_files(names)
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

    def _finished(self, run: Manifest) -> bool:
        """Whether `run` is done and every file it lists is as it was written."""
        tables = {*(table_path(kind) for kind in KINDS), EPISODES}
        return (
            run.status == "done"
            and all(chunk.status == "done" and self.intact(chunk.files) for chunk in run.chunks)
            and tables <= {record.path for record in run.outputs}
            and self.intact(run.outputs)
        )

    def store(self, chunk: ChunkRecord, result: ChunkResult) -> None:
        """Write the parts of `chunk` and note them in its record."""
        records = [self.put(part_path(chunk, kind), result.tables[kind]) for kind in KINDS]
        chunk.finish(result.n_steps, result.wall_s, records)

    def tables(self, chunk: ChunkRecord) -> dict[str, pa.Table]:
        """The tables of a finished chunk by their kinds. RunError where they are not those of this chunk."""
        try:
            tables = {kind: read_table((self.path / part_path(chunk, kind)).read_bytes()) for kind in KINDS}
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise self.refuse(f"a table of chunk {chunk.index} cannot be read ({error})") from error
        problem = check_part(chunk, tables)
        if problem is not None:
            raise self.refuse(problem)
        return tables


def _forget(there: Manifest, wanted: Manifest) -> None:
    """Nothing of the run in the folder can be taken over: say so, and why."""
    done = sum(chunk.status == "done" for chunk in there.chunks)
    if done:
        warnings.warn(
            f"{done} finished chunks are played anew, since it cannot be known whether they still hold: "
            + "; ".join(wanted.unknown),
            RunWarning,
            stacklevel=4,
        )
    for chunk in there.chunks:
        chunk.status, chunk.files = "pending", []
    there.outputs = []
