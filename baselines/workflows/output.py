"""The folder of a workflow: tables and a run.json that says what they are, each whole or not there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import RunError
from ..manifest import FILE_NAME, FileRecord, InputRecord, Scalar, Timings, now, versions
from ..parts import remove_temporaries, sha256_of, table_bytes, write_atomic

SCHEMA = "distgrid.workflow/1"


class WorkflowRun(BaseModel):
    """The content of run.json. Runs of equal id have equal tables."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    schema_version: Literal["distgrid.workflow/1"] = SCHEMA  # type: ignore[assignment]
    id: str
    workflow: str
    command: list[str]
    versions: dict[str, str]
    seed: int | None = None
    inputs: list[InputRecord]
    parameters: dict[str, Scalar]
    results: dict[str, Scalar] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    outputs: list[FileRecord] = Field(default_factory=list)
    status: Literal["running", "done", "failed"] = "running"
    error: str | None = None
    timings: Timings

    def identity(self) -> dict[str, Scalar]:
        """Everything that decides the tables, flat."""
        return {
            "workflow": self.workflow,
            **self.parameters,
            **{f"input {record.name}": record.sha256 for record in self.inputs},
            **{f"version of {name}": number for name, number in self.versions.items()},
        }


def describe(
    workflow: str, command: Sequence[str], inputs: list[InputRecord], parameters: Mapping[str, Scalar],
    packages: Sequence[str] = (),
) -> WorkflowRun:  # fmt: skip
    """A run that is about to begin; `packages`: further ones whose version may change its results."""
    from importlib.metadata import version

    moment = now()
    run = WorkflowRun(
        id="", workflow=workflow, command=list(command), inputs=inputs, parameters=dict(parameters),
        versions=versions() | {name: version(name) for name in packages},
        timings=Timings(started_at=moment, updated_at=moment),
    )  # fmt: skip
    digest = sha256_of(json.dumps(run.identity(), sort_keys=True).encode())
    run.id = f"{workflow.replace(' ', '-')}-{digest[:12]}"
    return run


class WorkflowFolder:
    """A folder that holds the files of one run and nothing else."""

    def __init__(self, path: Path, run: WorkflowRun, *, fresh: bool = False) -> None:
        """Look whether `run` may use the folder; nothing is touched yet.

        A new or empty folder may be used, one with the same run (its files are written again), and with
        `fresh` one with any other run of the same workflow. RunError otherwise.
        """
        self.path, self.run = path, run
        self._stale: list[str] = []
        self._begun = time.perf_counter()
        there = self._look()
        if there is None:
            return
        differing = _differences(there, run)
        if differing and not fresh:
            raise RunError(
                f"{path} holds another run ({there.id}, {there.status}):\n  "
                + "\n  ".join(differing)
                + "\nChoose another --out folder, or --fresh to throw that run away."
            )
        self._stale = [record.path for record in there.outputs]

    def _look(self) -> WorkflowRun | None:
        try:
            if self.path.exists() and not self.path.is_dir():
                raise RunError(f"{self.path} is a file; --out takes a folder")
            if not self.path.exists() or not any(self.path.iterdir()):
                return None
            text = (self.path / FILE_NAME).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RunError(
                f"{self.path} holds files but no {FILE_NAME}, so they are not a run of distgrid; choose "
                "another --out folder (an empty or a new one)"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot look into {self.path}: {error}; choose another --out folder") from error
        try:
            return WorkflowRun.model_validate_json(text)
        except ValidationError as error:
            raise RunError(
                f"{self.path / FILE_NAME} belongs to something else than this workflow; choose another --out "
                "folder, or remove this one if nothing in it is needed"
            ) from error

    def write(self, tables: Mapping[str, pa.Table], results: Mapping[str, Scalar], error: str | None) -> None:
        """Write all tables as NAME.parquet; run.json says "running" before and "done" or "failed" after.

        RunError when the folder cannot be made; OSError, with nothing half-written, when the disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as refused:
            raise RunError(
                f"cannot create {self.path}: {refused.strerror}; choose another --out folder"
            ) from refused
        remove_temporaries(self.path)
        self._save()
        for name in self._stale:
            (self.path / name).unlink(missing_ok=True)
        records = []
        for name, table in tables.items():
            data = table_bytes(table)
            write_atomic(self.path / f"{name}.parquet", data)
            records.append(FileRecord(path=f"{name}.parquet", sha256=sha256_of(data), size_bytes=len(data)))
        self.run.outputs, self.run.results, self.run.error = records, dict(results), error
        self.run.status = "done" if error is None else "failed"
        self.run.timings.finished_at = now()
        self.run.timings.wall_s = round(time.perf_counter() - self._begun, 6)
        self._save()

    def _save(self) -> None:
        self.run.timings.updated_at = now()
        write_atomic(self.path / FILE_NAME, (self.run.model_dump_json(indent=2) + "\n").encode())


def _differences(there: WorkflowRun, wanted: WorkflowRun) -> list[str]:
    old, new = there.identity(), wanted.identity()
    return [
        f"{key}: {_short(old.get(key))} in the folder, {_short(new.get(key))} asked for"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _short(value: Scalar) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:24] + "…"
