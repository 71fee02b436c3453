"""run.json: what a run is, what it read, what it wrote, and how far it got; the same for every job."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import RunError, printable
from .files import sha256_of, write_atomic

FILE_NAME = "run.json"
SCHEMA = "distgrid.run/2"

#: Packages whose version may change a result or the bytes of a Parquet file.
_VERSIONED = ("distgrid", "gymnasium", "numpy", "numba", "pyarrow")

Scalar = str | int | float | bool | None
Sha256 = str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class InputRecord(_Strict):
    """Something the results depend on: the feeder, the profiles, the split, the environment's settings."""

    name: str
    sha256: Sha256


class FileRecord(_Strict):
    """A file that the run wrote; `path` is relative to the folder, with forward slashes."""

    path: str
    sha256: Sha256
    size_bytes: int


class ObjectRecord(_Strict):
    """An object that was handed in, such as a policy: its class, what it says of itself, hashes of what it is
    (`identity.parts_of`).
    """

    name: str
    kind: str
    config: dict[str, Scalar] = Field(default_factory=dict)
    content: dict[str, str] = Field(default_factory=dict)


class GroupRecord(_Strict):
    """Consecutive items that bear one label, such as the episodes of one policy."""

    label: str
    n_items: int


class ChunkRecord(_Strict):
    """Consecutive items of one group, counted within it, and the files that hold them once they are done."""

    index: int
    label: str
    first_item: int
    n_items: int
    status: Literal["pending", "done"] = "pending"
    n_rows: int = 0  # of the job's first table
    wall_s: float = 0.0
    facts: list[dict[str, Scalar]] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    files: list[FileRecord] = Field(default_factory=list)

    def forget(self) -> None:
        """It is to be done again."""
        self.status, self.n_rows, self.wall_s = "pending", 0, 0.0
        self.facts, self.notes, self.files = [], [], []


class Timings(_Strict):
    """Clock times are UTC (ISO 8601); `wall_s` adds up all sittings of a run that was resumed."""

    started_at: str
    updated_at: str
    finished_at: str | None = None
    wall_s: float = 0.0
    sittings: int = 1


class Manifest(_Strict):
    """The content of run.json."""

    schema_version: Literal["distgrid.run/2"] = SCHEMA  # type: ignore[assignment]
    id: str
    kind: str  # of the job: the words of its command
    command: list[str]
    versions: dict[str, str]
    seed: int | None = None
    inputs: list[InputRecord]
    parameters: dict[str, Scalar]
    objects: list[ObjectRecord] = Field(default_factory=list)
    unknown: list[str] = Field(default_factory=list)  # what has no hash, so that nothing is resumed
    results: dict[str, Scalar] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    outputs: list[FileRecord] = Field(default_factory=list)
    status: Literal["running", "done", "failed"] = "running"
    error: str | None = None
    timings: Timings
    groups: list[GroupRecord] = Field(default_factory=list)
    chunks: list[ChunkRecord] = Field(default_factory=list)

    def identity(self) -> dict[str, Scalar]:
        """Everything that decides the tables, flat: one readable key for each thing that may differ.

        Two runs with equal identity have equal tables.
        """
        flat: dict[str, Scalar] = {"kind": self.kind, **self.parameters}
        for one in self.objects:
            flat[one.name] = json.dumps([one.kind, one.config], sort_keys=True)
            flat.update({f"{one.name}, {name}": hashed for name, hashed in one.content.items()})
        flat.update({f"input {record.name}": record.sha256 for record in self.inputs})
        flat.update({f"version of {name}": number for name, number in self.versions.items()})
        return flat

    def digits(self) -> str:
        """Twelve digits of the hash of its identity."""
        return sha256_of(json.dumps(self.identity(), sort_keys=True).encode())[:12]

    @property
    def ended(self) -> bool:
        """Whether it came to its end, with the result wanted or with another one."""
        return self.status != "running" and self.timings.finished_at is not None

    def save(self, folder: Path) -> None:
        """Write run.json into `folder` atomically."""
        self.timings.updated_at = now()
        write_atomic(folder / FILE_NAME, (self.model_dump_json(indent=2) + "\n").encode())


def now() -> str:
    """The time, UTC, ISO 8601 with seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions(further: Sequence[str] = ()) -> dict[str, str]:
    """Versions of Python and of every package that may change a result; `further`: packages of one job."""
    from importlib.metadata import version

    names = (*_VERSIONED, *further)
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def parse(text: str) -> Manifest:
    """The manifest that a run.json holds. ValueError, with the first thing that is wrong, for any other."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ValueError(f"{where}: {first['msg']}") from error


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What keeps a run from going on with the one in a folder, one line each; empty when it is the same."""
    return [
        printable(f"{key}: {_short(old.get(key))} in the folder, {_short(new.get(key))} asked for")
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def another_run(folder: Path, there: str, status: str, differing: Sequence[str]) -> RunError:
    """The error about a folder that holds another run than the one asked for."""
    return RunError(
        f"{folder} holds another run ({printable(there)}, {status}):\n  "
        + "\n  ".join(differing)
        + "\nChoose another --out folder, or --fresh to throw that run away."
    )


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:24] + "…"
