"""The folder of a run: who may use it, which chunks in it are still good, and what goes where."""

from __future__ import annotations

import os
from pathlib import Path

from . import manifest as run_manifest
from .episodes import KINDS, ChunkResult
from .errors import RunError
from .manifest import ChunkRecord, FileRecord, Manifest
from .parts import file_sha256, remove_temporaries, sha256_of, write_atomic

PARTS = "parts"
REPORT = "report.png"
EPISODES = "episodes.parquet"


def part_path(chunk: ChunkRecord, kind: str) -> str:
    """Where a table of `chunk` goes, relative to the folder."""
    return f"{PARTS}/{chunk.index:05d}.{kind}.parquet"


def table_path(kind: str) -> str:
    """Where a table of the whole run goes."""
    return f"{kind}.parquet"


class RunFolder:
    """A folder that holds exactly one run; one process at a time works in it."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched yet."""
        self.path = path

    def claim(self, wanted: Manifest, *, resume: bool, fresh: bool) -> Manifest:
        """Make the folder ready for `wanted` and return the manifest to go on with.

        An empty or new folder starts `wanted`; a folder with the same run goes on where that one stopped
        (what it was `wanted` to cut into chunks is then ignored); with `fresh`, the files of whatever run
        it holds are removed first. RunError when the folder holds anything else: nothing of it is touched.
        """
        there = self._look(wanted, resume=resume, fresh=fresh)
        self._create()
        remove_temporaries(self.path)
        remove_temporaries(self.path / PARTS)
        if there is not None and fresh:
            self._discard(there)
            there = None
        if there is None:
            return wanted
        there.command = wanted.command
        there.timings.sittings += 1
        for chunk in there.chunks:
            if chunk.status == "done" and not self._intact(chunk.files):
                chunk.status = "pending"
        return there

    def _look(self, wanted: Manifest, *, resume: bool, fresh: bool) -> Manifest | None:
        """The manifest in the folder, when there is one that may be gone on with or thrown away."""
        try:
            if not self.path.is_dir() or not any(self.path.iterdir()):
                if self.path.exists() and not self.path.is_dir():
                    raise RunError(f"{self.path} is a file; --out takes a folder")
                return None
            there = run_manifest.load(self.path)
        except OSError as error:
            raise RunError(
                f"cannot look into {self.path}: {error.strerror}; choose another --out folder"
            ) from error
        if there is None:
            if self._only_leftovers():
                return None
            raise RunError(
                f"{self.path} holds files but no run.json, so they are not a run of distgrid; "
                "choose another --out folder (an empty or a new one)"
            )
        if fresh:
            return there
        differing = run_manifest.differences(there, wanted)
        if differing:
            raise RunError(
                f"{self.path} holds another run ({there.id}, {there.status}):\n  "
                + "\n  ".join(differing)
                + "\nChoose another --out folder, or --fresh to throw that run away."
            )
        if not resume:
            raise RunError(
                f"{self.path} holds this run already; allow to resume it, or ask for a fresh start"
            )
        return there

    def _only_leftovers(self) -> bool:
        """Whether all there is comes from a run that was killed before its first run.json."""
        allowed = {self.path / PARTS}
        return all(p in allowed or p.name.endswith(".distgrid-tmp") for p in self.path.iterdir()) and not any(
            (self.path / PARTS).glob("[!.]*")
        )

    def _create(self) -> None:
        """Make the folders. RunError where that is not allowed, before anything is played."""
        try:
            (self.path / PARTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot create {self.path / PARTS}: {error.strerror}; choose another --out folder"
            ) from error
        if not os.access(self.path, os.W_OK) or not os.access(self.path / PARTS, os.W_OK):
            raise RunError(f"no permission to write into {self.path}; choose another --out folder")

    def _discard(self, there: Manifest) -> None:
        """Remove the files of the run `there`, run.json last; all others stay."""
        parts = [part_path(chunk, kind) for chunk in there.chunks for kind in KINDS]
        tables = [table_path(kind) for kind in KINDS]
        for name in [*parts, *tables, EPISODES, REPORT, run_manifest.FILE_NAME]:
            (self.path / name).unlink(missing_ok=True)

    def _intact(self, files: list[FileRecord]) -> bool:
        return bool(files) and all(file_sha256(self.path / f.path) == f.sha256 for f in files)

    def finished(self, run: Manifest) -> bool:
        """Whether `run` is done and every file it lists is as it was written."""
        chunks_done = all(chunk.status == "done" for chunk in run.chunks)
        return run.status == "done" and chunks_done and self._intact(run.outputs)

    def store(self, chunk: ChunkRecord, result: ChunkResult) -> None:
        """Write the parts of `chunk` and note them in its record."""
        records = [self.write(part_path(chunk, kind), result.tables[kind]) for kind in KINDS]
        chunk.finish(result.n_steps, result.wall_s, records)

    def write(self, name: str, data: bytes) -> FileRecord:
        """Write `data` to `name` in the folder, whole or not at all."""
        write_atomic(self.path / name, data)
        return FileRecord(path=name, sha256=sha256_of(data), size_bytes=len(data))

    def read(self, name: str) -> bytes:
        """The bytes of `name` in the folder."""
        return (self.path / name).read_bytes()
