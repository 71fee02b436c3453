"""Parquet files as Arrow tables, whatever the files claim to hold.

A Parquet file is compressed, so its size says little about the table's, and a hostile one of a kilobyte may
claim terabytes. What a file claims is therefore compared with `allowed` before it is decoded. Reading then
takes at most about three times that: the pages of a column, its decoded values, and the table. A file larger
than `MAX_FILE_BYTES`, a pipe or a device is not read at all.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..schema import MATRIX
from .page_headers import PageError, largest_claim
from .parquet_footer import column_claims
from .regular_files import read_regular

# A table may be as large as the larger of these. The tables of feeders and profiles are up to 20 times their
# files; a year of constants, which compress to nothing, still fits into the first.
SMALL_TABLE_BYTES = 2**26
BYTES_PER_FILE_BYTE = 100
MAX_FILE_BYTES = 2**29
SMALL_FILE_BYTES = 2**19  # up to here threads cost more than they gain

_WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 16}


def allowed(file_bytes: int) -> int:
    """Bytes that the table of a file of this size may take in memory."""
    return max(SMALL_TABLE_BYTES, BYTES_PER_FILE_BYTE * file_bytes)


def read_parquet(path: Path) -> pa.Table:
    """The whole table, with columns of numbers, texts, booleans, time stamps or 3x3 matrices.

    Raises:
        OSError: the file cannot be read.
        pa.ArrowException: it is no Parquet file, is damaged, or claims more than `allowed` for its size.
        UnicodeDecodeError: it is damaged.
    """
    # Read through memory: a memory map would keep the file open, and truncated under us it would crash.
    return parse_parquet(read_regular(path, MAX_FILE_BYTES))


def parse_parquet(data: bytes, most_bytes: int | None = None) -> pa.Table:
    """The whole table that the bytes of a Parquet file hold; see `read_parquet`.

    Args:
        data: the file.
        most_bytes: that the table may take; by default what is `allowed` for a file of this size.
    """
    limit = allowed(len(data)) if most_bytes is None else most_bytes
    _refuse_claims(data, limit)
    # Not read_table: that imports the dataset machinery, which costs more than reading does.
    # Checksums, because a damaged page of plain numbers decodes to other numbers without complaint.
    options = {"page_checksum_verification": True, "thrift_string_size_limit": max(len(data), 1)}
    with pq.ParquetFile(pa.BufferReader(data), **options) as file:
        metadata = file.metadata
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        _refuse_types(file.schema_arrow)
    # Texts as codes, since a few long ones may stand in very many rows.
    with pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts, metadata=metadata, **options) as file:
        table = file.read(use_threads=len(data) > SMALL_FILE_BYTES)
    table.validate(full=True)  # damaged pages may decode, to text that is not UTF-8
    _ = table.column_names, table.schema.metadata
    return _plain(table, limit)


def _too_large(what: str, limit: int) -> pa.ArrowInvalid:
    return pa.ArrowInvalid(f"it claims {what}; with its size no more than {limit} bytes are read")


def _refuse_claims(data: bytes, limit: int) -> None:
    """Stop at a file whose footer or pages claim a table beyond the limit."""
    total = 0
    try:
        for column in column_claims(data):
            total += _WIDTH.get(column.physical, 16) * max(column.values, column.rows)
            if min(column.values, column.rows) < 0 or total > limit:
                raise _too_large(f"{max(column.values, column.rows)} rows of {column.path}", limit)
            if not column.values:  # nothing is decoded, and the offsets may mean nothing
                continue
            claim = largest_claim(data, column.start, column.length)
            if claim > limit:
                raise _too_large(f"a page of {claim} bytes in {column.path}", limit)
    except PageError as error:
        raise pa.ArrowInvalid(str(error)) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _refuse_types(schema: pa.Schema) -> None:
    """Stop at types that decode to more than the width of their values, and that no table needs."""
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not (_is_plain(kind) or _is_text(kind) or kind == MATRIX or kind == pa.list_(pa.float64(), 9)):
            known = "numbers, texts, booleans, time stamps or 3x3 matrices"
            raise pa.ArrowInvalid(f"column {field.name!r} is of type {kind}, not of {known}")


def _is_plain(kind: pa.DataType) -> bool:
    """Whether its values have one width; a column of nothing has that of the numbers it is stored as."""
    types = pa.types
    return any(is_one(kind) for is_one in (
        types.is_boolean, types.is_integer, types.is_floating, types.is_timestamp, types.is_null,
    ))  # fmt: skip


def _plain(table: pa.Table, limit: int) -> pa.Table:
    """The table with its coded columns written out, if they are not too large for that."""
    total = 0
    for at, column in enumerate(table.columns):
        if not pa.types.is_dictionary(column.type):
            continue
        kind = column.type.value_type
        if _is_text(kind):
            for chunk in column.chunks:
                lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
                total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
            if total > limit:
                raise _too_large(f"{total} bytes of text", limit)
        table = table.set_column(at, table.schema.field(at).with_type(kind), column.cast(kind))
    return table
