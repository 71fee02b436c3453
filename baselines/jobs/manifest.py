"""run.json: what a run is, what it read, what it wrote, and how far it got."""

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
SCHEMA = "distgrid.run/1"

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


class PolicyRecord(_Strict):
    """A policy: what it says of itself, and hashes of what it is (`identity.parts_of`)."""

    name: str
    kind: str
    config: dict[str, Scalar] = Field(default_factory=dict)
    content: dict[str, str] = Field(default_factory=dict)


class Parameters(_Strict):
    """What was asked for. Two runs with equal parameters, inputs and versions have equal tables."""

    environment: str
    split: str
    seed: int
    episodes: int
    policies: list[PolicyRecord]


class ChunkRecord(_Strict):
    """Some consecutive episodes of one policy, and the files that hold them once they are done."""

    index: int
    policy: str
    first_episode: int
    n_episodes: int
    status: Literal["pending", "done"] = "pending"
    n_steps: int = 0
    wall_s: float = 0.0
    files: list[FileRecord] = Field(default_factory=list)

    def finish(self, n_steps: int, wall_s: float, files: Sequence[FileRecord] = ()) -> None:
        """Note that the chunk is done."""
        self.files = list(files)
        self.n_steps, self.wall_s, self.status = n_steps, round(wall_s, 6), "done"


class Timings(_Strict):
    """Clock times are UTC (ISO 8601); `wall_s` adds up all sittings of a run that was resumed."""

    started_at: str
    updated_at: str
    finished_at: str | None = None
    wall_s: float = 0.0
    sittings: int = 1


class Manifest(_Strict):
    """The content of run.json."""

    schema_version: Literal["distgrid.run/1"] = SCHEMA  # type: ignore[assignment]
    id: str
    command: list[str]
    versions: dict[str, str]
    seed: int
    inputs: list[InputRecord]
    parameters: Parameters
    unknown: list[str] = Field(default_factory=list)  # what has no hash, so that nothing is resumed
    outputs: list[FileRecord] = Field(default_factory=list)
    status: Literal["running", "done", "failed"] = "running"
    error: str | None = None
    timings: Timings
    chunks: list[ChunkRecord]

    def identity(self) -> dict[str, Any]:
        """Everything that decides the tables, flat."""
        return identity(self.parameters, self.inputs, self.versions)

    def save(self, folder: Path) -> None:
        """Write run.json into `folder` atomically."""
        self.timings.updated_at = now()
        write_atomic(folder / FILE_NAME, (self.model_dump_json(indent=2) + "\n").encode())


def now() -> str:
    """The time, UTC, ISO 8601 with seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of every package that may change a result."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in _VERSIONED}}


def parse(text: str) -> Manifest:
    """The manifest that a run.json holds. ValueError, with the first thing that is wrong, for any other."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ValueError(f"{where}: {first['msg']}") from error


def identity(parameters: Parameters, inputs: list[InputRecord], used: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the tables, flat: one readable key for each thing that may differ."""
    flat: dict[str, Any] = parameters.model_dump(exclude={"policies"})
    flat["policies"] = ",".join(p.name for p in parameters.policies)
    for policy in parameters.policies:
        flat[f"policy {policy.name}"] = json.dumps([policy.kind, policy.config], sort_keys=True)
        flat.update({f"policy {policy.name}, {name}": hashed for name, hashed in policy.content.items()})
    flat.update({f"input {i.name}": i.sha256 for i in inputs})
    flat.update({f"version of {name}": number for name, number in used.items()})
    return flat


def run_id(parameters: Parameters, inputs: list[InputRecord], used: dict[str, str]) -> str:
    """A name for the run: the environment and twelve digits of the hash of its identity."""
    digest = sha256_of(json.dumps(identity(parameters, inputs, used), sort_keys=True).encode())
    return f"{parameters.environment.rsplit('/', 1)[-1]}-{digest[:12]}"


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
