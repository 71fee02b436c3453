"""The folder of a workflow: tables and a run.json that says what they are, each whole or not there."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .code_content import package_sha256
from .files import sha256_of, table_bytes, write_atomic
from .manifest import (
    FILE_NAME,
    FileRecord,
    InputRecord,
    Scalar,
    Timings,
    another_run,
    differences,
    now,
    versions,
)
from .out_folder import MAX_TABLE_BYTES, OutFolder, belongs_elsewhere

SCHEMA = "distgrid.workflow/1"

COMPLETE = "This run was complete already; its files were left as they are."

#: The tables that a run of each workflow may write; no other file in its folder is ever removed.
TABLES: Mapping[str, tuple[str, ...]] = {
    "dist pf": ("buses", "branches", "losses", "violations", "voltages", "flows"),
    "dist controls": ("taps", "banks", "actions"),
}


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
    ours = InputRecord(name="code of distgrid", sha256=package_sha256())
    run = WorkflowRun(
        id="", workflow=workflow, command=list(command), inputs=[*inputs, ours], parameters=dict(parameters),
        versions=versions() | {name: version(name) for name in packages},
        timings=Timings(started_at=moment, updated_at=moment),
    )  # fmt: skip
    digest = sha256_of(json.dumps(run.identity(), sort_keys=True).encode())
    run.id = f"{workflow.replace(' ', '-')}-{digest[:12]}"
    return run


class WorkflowFolder(OutFolder):
    """A folder that holds the files of one run of a workflow; enter it (`with`) before anything is computed.

    It behaves as that of `distgrid run`: an empty or new folder, or one with the same run, may be used, with
    `fresh` one with another run of the same workflow. RunError otherwise, and nothing is touched.
    """

    complete = False  # after `write`: whether the same files stood there already

    def __init__(self, path: Path, run: WorkflowRun, *, fresh: bool = False) -> None:
        """Nothing is touched yet."""
        super().__init__(path)
        self.run, self.fresh = run, fresh
        self._there: WorkflowRun | None = None
        self._begun = time.perf_counter()

    def __enter__(self) -> Self:
        """See `OutFolder`; RunError, too, for a folder that holds something else than this run."""
        super().__enter__()
        with contextlib.ExitStack() as on_the_way_out:
            on_the_way_out.callback(self.__exit__, None, None, None)
            self._there = self._look()
            if not self._may_stand():
                self.begin(self.run.command)
            on_the_way_out.pop_all()
        return self

    def _look(self) -> WorkflowRun | None:
        text = self.run_json()
        if text is None:
            return None
        verb, path = f"distgrid {self.run.workflow}", self.path / FILE_NAME
        try:
            there = WorkflowRun.model_validate_json(text)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise belongs_elsewhere(path, text, verb, reason) from error
        if there.workflow != self.run.workflow:
            raise belongs_elsewhere(path, text, verb, "")
        planned = _files(self.run.workflow)
        self.check_records(there.outputs, planned[:-1], "outputs", MAX_TABLE_BYTES)
        self.check_files(planned)
        differing = differences(there.identity(), self.run.identity())
        if differing and not self.fresh:
            raise another_run(self.path, there.id, there.status, differing)
        return there

    def write(self, tables: Mapping[str, pa.Table], results: Mapping[str, Scalar], error: str | None) -> None:
        """Write all tables as NAME.parquet; run.json says "running" before and "done" or "failed" after.

        Files of the same run that stand there whole are left as they are. RunError when the folder cannot be
        written into; OSError, with nothing half-written, when the disk is full.
        """
        data = {f"{name}.parquet": table_bytes(table) for name, table in tables.items()}
        self.run.results, self.run.error = dict(results), error
        if self._stands(data, "done" if error is None else "failed"):
            self.complete = True
            return
        if self._may_stand():  # and does not: another process may know from now on
            self.begin(self.run.command)
        if self._there is not None and self.fresh:
            self.discard(_files(self.run.workflow))
        elif self._there is not None:
            self.run.timings.sittings = self._there.timings.sittings + 1
        self.run.outputs = []
        with _Failure(self):
            self.save("running")
            for name, content in data.items():
                self.run.outputs = [*self.run.outputs, self.put(name, content)]
            self.run.timings.finished_at = now()
            self.save("done" if error is None else "failed")

    def _may_stand(self) -> bool:
        """Whether the folder holds this run, ended: then perhaps nothing need be written."""
        return self._there is not None and not self.fresh and self._there.status != "running"

    def _stands(self, data: Mapping[str, bytes], status: str) -> bool:
        """Whether the folder holds these very files, as the end of the same run."""
        there = self._there
        if there is None or not self._may_stand() or there.status != status:
            return False
        wanted = {(name, sha256_of(content)) for name, content in data.items()}
        if {(record.path, record.sha256) for record in there.outputs} != wanted:
            return False
        self.run.outputs = there.outputs
        return self.intact(there.outputs)

    def save(self, status: Literal["running", "done", "failed"]) -> None:
        """Write run.json with this status."""
        self.run.status = status
        self.run.timings.wall_s = round(time.perf_counter() - self._begun, 6)
        self.run.timings.updated_at = now()
        write_atomic(self.path / FILE_NAME, (self.run.model_dump_json(indent=2) + "\n").encode())


class _Failure:
    """On the way out of what went wrong, run.json says so; no exception is held back."""

    def __init__(self, folder: WorkflowFolder) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or error is None:
            return
        self.folder.run.error = f"{kind.__name__}: {error}"
        try:
            self.folder.save("failed")
        except OSError as also:
            error.add_note(f"run.json could not be updated either: {also.strerror}")


def _files(workflow: str) -> list[str]:
    """Every file that a run of a workflow may write, run.json last."""
    return [*(f"{name}.parquet" for name in TABLES[workflow]), FILE_NAME]
