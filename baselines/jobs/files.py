"""Bytes on disk: the same Parquet for the same table, files that are whole or not there, and their hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...cases.storage.parquet_reader import parse_parquet
from ...cases.storage.regular_files import open_regular

#: Files being written; a killed run leaves at most these, and the next run in the folder removes them.
TEMPORARY_SUFFIX = ".distgrid-tmp"

_BINARY = getattr(os, "O_BINARY", 0)

#: Fixed, so that the bytes do not depend on how many chunks a table was put together from.
_ROW_GROUP_ROWS = 1 << 17

#: A part may hold as much as the larger of these; columns of one value compress to nearly nothing.
_SMALL_TABLE_BYTES = 1 << 28
_TABLE_BYTES_PER_BYTE = 200


def sha256_of(data: bytes | pa.Buffer) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path, size_bytes: int) -> str | None:
    """Hexadecimal SHA-256 of the regular file at `path`; None where there is none of this size."""
    try:
        with open_regular(path, size_bytes) as file:
            if os.fstat(file.fileno()).st_size != size_bytes:
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EFBIG:
            return None
        raise


def table_bytes(table: pa.Table) -> bytes:
    """`table` as Parquet.

    Same table, same bytes: nothing of the time, the machine or the chunking gets in.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.combine_chunks(),
        sink,
        compression="zstd",
        row_group_size=_ROW_GROUP_ROWS,
        write_statistics=True,
    )
    return sink.getvalue().to_pybytes()


def read_table(data: bytes) -> pa.Table:
    """The table in the Parquet bytes `data`. pa.ArrowException where they are none, or claim too much."""
    return parse_parquet(data, max(_SMALL_TABLE_BYTES, _TABLE_BYTES_PER_BYTE * len(data)))


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, all of it or nothing.

    The bytes go to a temporary file in the same folder, are forced to the disk, and take the place of
    `path` in one step; whoever reads `path` sees the old file or the new one. On OSError (disk full, no
    permission) the temporary file is removed, what stood at `path` is untouched, and the error is raised
    again with `path` in its text.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        temporary.unlink(missing_ok=True)  # of an earlier process of this number
        # Never through a link that stands there.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write {path} ({len(data)} bytes): {error.strerror or error}; "
            "nothing half-written was left, finished chunks are kept. Make room (or choose another folder) "
            "and give the same command again",
        ) from error
    finally:  # Ctrl-C and no memory, too; at the end of a whole write it is no longer there
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name in `folder` survive a power cut, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path, but: Path) -> None:
    """Remove what a killed run left half-written in `folder`, all of it `but` one file."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if path != but and (path.is_symlink() or not path.is_dir()):
            path.unlink(missing_ok=True)
