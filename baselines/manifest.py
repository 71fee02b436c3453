"""run.json: what a run is, what it read, what it wrote, and how far it got."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import RunError
from .parts import sha256_of, write_atomic

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
    """A policy and the constants that decide what it does."""

    name: str
    kind: str
    config: dict[str, Scalar] = Field(default_factory=dict)


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
    outputs: list[FileRecord] = Field(default_factory=list)
    status: Literal["running", "done", "failed"] = "running"
    error: str | None = None
    timings: Timings
    chunks: list[ChunkRecord]

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


def load(folder: Path) -> Manifest | None:
    """The manifest in `folder`, None where there is none. RunError when run.json is not ours or damaged."""
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not text; choose another --out folder") from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise RunError(
            f"{path} is not a run.json that this version can read ({where}: {first['msg']}); "
            "choose another --out folder, or remove this one if nothing in it is needed"
        ) from error


def identity(parameters: Parameters, inputs: list[InputRecord], used: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the tables, flat: one readable key for each thing that may differ."""
    flat: dict[str, Any] = parameters.model_dump(exclude={"policies"})
    flat["policies"] = ",".join(p.name for p in parameters.policies)
    for policy in parameters.policies:
        flat[f"policy {policy.name}"] = json.dumps([policy.kind, policy.config], sort_keys=True)
    flat.update({f"input {i.name}": i.sha256 for i in inputs})
    flat.update({f"version of {name}": number for name, number in used.items()})
    return flat


def run_id(parameters: Parameters, inputs: list[InputRecord], used: dict[str, str]) -> str:
    """A name for the run: the environment and twelve digits of the hash of its identity."""
    digest = sha256_of(json.dumps(identity(parameters, inputs, used), sort_keys=True).encode())
    return f"{parameters.environment.rsplit('/', 1)[-1]}-{digest[:12]}"


def differences(there: Manifest, wanted: Manifest) -> list[str]:
    """What keeps `wanted` from going on with `there`, one line each; empty when it is the same run."""
    old = identity(there.parameters, there.inputs, there.versions)
    new = identity(wanted.parameters, wanted.inputs, wanted.versions)
    lines = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            lines.append(f"{key}: {_short(old.get(key))} in the folder, {_short(new.get(key))} asked for")
    return lines


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:24] + "…"
