"""Feeders on disk: a folder with one Parquet file per table."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CaseError, Problem
from ..schema import READABLE_VERSIONS, TABLES, TABLES_SINCE_2, conform, table, upgraded
from .folder_exchange import put_in_place, sync
from .parquet_reader import read_parquet

COMPANIONS = ("der_assets",)  # tables that an import writes beside those of the feeder
FILES = tuple(f"{name}.parquet" for name in TABLES)


def write_table(data: pa.Table, path: Path | pa.NativeFile) -> None:
    """Write with fixed options, so that equal tables make equal bytes (for one version of Arrow).

    With checksums, as a damaged page of plain numbers decodes to other numbers without complaint.
    """
    options = {"compression": "zstd", "compression_level": 9, "use_dictionary": True}
    pq.write_table(data, path, version="2.6", write_page_checksum=True, **options)


def save_folder(
    tables: Mapping[str, pa.Table], folder: Path, companions: Mapping[str, pa.Table] | None = None
) -> Path:
    """Write the tables of a feeder, stamped with its header, into `folder`.

    They are built beside it, then put into its place in one step.

    Whatever interrupts this, `folder` holds all of the old feeder or all of the new one.

    Args:
        tables: those of a feeder.
        folder: where to.
        companions: tables of `COMPANIONS` that lie in the folder, too; None: none, and a folder that has some
            is not replaced.

    Raises:
        CaseError: the folder exists and holds anything but a feeder.
        OSError: writing failed; the folder is as it was before.
    """
    given = Path(folder).absolute()
    folder = given.resolve()  # what a link leads to is replaced, not the link
    _refuse_strangers(folder, COMPANIONS if companions is not None else ())
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        staged = beside / "new"
        staged.mkdir()
        for name, one in {**{name: tables[name] for name in TABLES}, **(companions or {})}.items():
            path = staged / f"{name}.parquet"
            write_table(one, path)
            sync(path)
        sync(staged)
        put_in_place(staged, folder, beside / "old")
        sync(folder.parent)
    finally:
        if folder.exists() or not (beside / "old").exists():  # never the last copy of the old one
            shutil.rmtree(beside, ignore_errors=True)
    return given


def _refuse_strangers(folder: Path, companions: Collection[str]) -> None:
    """CaseError unless the folder is new, empty, or holds the files of a feeder and nothing else."""
    known = {*FILES, *(f"{name}.parquet" for name in companions)}
    if not folder.exists():
        return
    strangers = [folder.name]
    if folder.is_dir():
        strangers = sorted(path.name for path in folder.iterdir() if path.name not in known or path.is_dir())
    if strangers:
        expected = "a new or empty folder, or one that holds only a feeder; choose another folder"
        raise CaseError([Problem(str(folder), None, "", strangers[0], expected)])


@dataclass(frozen=True)
class StoredFeeder:
    """What a folder holds: the header of a feeder, and its tables as their schemas want them."""

    header: Mapping[str, Any]  # name, base_mva, feeder_id, metadata, phases
    tables: Mapping[str, pa.Table]
    folder: Path

    def place(self, table: str, row: int | None) -> tuple[str, int | None]:
        """File and row of a row of a table, for messages."""
        return str(self.folder / f"{table}.parquet"), row


def read_folder(folder: Path) -> StoredFeeder:
    """Read what `save_folder` wrote.

    Raises:
        CaseError: files missing, unreadable, or of another version or schema.
    """
    folder = Path(folder)
    problems: list[Problem] = []
    tables: dict[str, pa.Table] = {}
    headers: dict[str, dict[str, Any]] = {}
    versions: set[str] = set()
    for name in TABLES:
        path = folder / f"{name}.parquet"
        if name in TABLES_SINCE_2 and versions == {"1"} and not path.exists():
            tables[name] = table(name, {})
            continue
        try:
            tables[name], headers[name], version = _read(name, path)
            versions.add(version)
        except CaseError as error:
            problems += error.problems
    if problems:
        raise CaseError(problems, f"the folder {folder} is not a usable feeder:")
    header = headers["nodes"]
    for name, other in headers.items():
        if other != header:
            expected = "the same feeder as in nodes.parquet (the files are from different feeders)"
            problems.append(Problem(str(folder / f"{name}.parquet"), None, "distgrid.feeder", "", expected))
    if problems:
        raise CaseError(problems)

    return StoredFeeder(header, tables, folder)


def phases_of(folder: Path) -> str:
    """Whether the feeder in a folder is balanced or per-phase; reads no more than a header."""
    path = folder / "nodes.parquet"
    stamp = pq.read_schema(path).metadata or {}
    return str(_header(stamp.get(b"distgrid.feeder", b""), path)["phases"])


def _read(name: str, path: Path) -> tuple[pa.Table, dict[str, Any], str]:
    """The table, the header of its feeder, and the version of the schema that it was written with."""
    if not path.is_file():
        raise CaseError([Problem(str(path), None, "", "", "this file (a feeder has all nine tables)")])
    try:
        data = read_parquet(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        expected = f"a readable Parquet file; it is damaged or incomplete ({reason})"
        raise CaseError([Problem(str(path), None, "", "", expected)]) from error
    stamp = {key.decode(errors="replace"): value for key, value in (data.schema.metadata or {}).items()}
    version = stamp.get("distgrid.schema_version", b"").decode(errors="replace")
    if version not in READABLE_VERSIONS:
        known = " or ".join(repr(known) for known in READABLE_VERSIONS)
        expected = f"version {known}; write the folder again with this version of distgrid"
        raise CaseError([Problem(str(path), None, "distgrid.schema_version", repr(version), expected)])
    return (
        conform(name, upgraded(name, data, version), str(path)),
        _header(stamp.get("distgrid.feeder", b""), path),
        version,
    )


def _header(text: bytes, path: Path) -> dict[str, Any]:
    try:
        given = json.loads(text)
        header = {
            "name": str(given["name"]),
            "base_mva": float(given["base_mva"]),
            "feeder_id": str(given["feeder_id"]),
            "metadata": dict(given["metadata"]),
            "phases": str(given.get("phases", "balanced")),
        }
        json.dumps(header, ensure_ascii=False).encode()  # half of a character cannot be shown or written
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        expected = "JSON with name, base_mva, feeder_id and metadata"
        raise CaseError([Problem(str(path), None, "distgrid.feeder", repr(text[:40]), expected)]) from error
    return header
