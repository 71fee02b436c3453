"""What the footer of a Parquet file claims, read here and not by Arrow.

Arrow's own view of a column of a damaged footer may end the whole process: its C++ exceptions pass through
functions that cannot raise (Arrow 26: histograms of levels of another length than the column's). So what has
to be known before a file is decoded is taken from the Thrift structures themselves (parquet-format,
FileMetaData).
"""

from __future__ import annotations

from dataclasses import dataclass

from .page_headers import PageError, ThriftReader

MAGIC = b"PAR1"
_LIST, _STRUCT, _BINARY = 9, 12, 8
_INTEGERS = (4, 5, 6)  # of 16, 32 and 64 bits
# Names of the fields that are used.
_ROW_GROUPS, _COLUMNS, _GROUP_ROWS, _META = 4, 1, 3, 3
_TYPE, _PATH, _VALUES, _COMPRESSED, _DATA, _DICTIONARY = 1, 3, 5, 7, 9, 11
PHYSICAL = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


@dataclass(frozen=True, slots=True)
class ColumnClaim:
    """One column chunk: rows of its group, values, physical type, and where its pages begin and how long
    they are.
    """

    path: str
    physical: str
    rows: int
    values: int
    start: int
    length: int


def column_claims(data: bytes) -> list[ColumnClaim]:
    """Every column chunk of a Parquet file.

    Raises:
        PageError: the file does not end with a footer that can be read.
    """
    if len(data) < 12 or data[:4] != MAGIC or data[-4:] != MAGIC:
        raise PageError("the file does not begin and end as Parquet files do")
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    if start < 4:
        raise PageError("the footer is longer than the file")
    reader = ThriftReader(data, start, len(data) - 8)
    claims: list[ColumnClaim] = []
    for field, kind in reader.fields():
        if field == _ROW_GROUPS and kind == _LIST:
            for _ in reader.items(_STRUCT):
                claims += _group(reader)
        else:
            reader.skip(kind)
    return claims


def _group(reader: ThriftReader) -> list[ColumnClaim]:
    columns: list[tuple[str, dict[int, int]]] = []
    rows = 0
    for field, kind in reader.fields():
        if field == _COLUMNS and kind == _LIST:
            columns += [_chunk(reader) for _ in reader.items(_STRUCT)]
        elif field == _GROUP_ROWS and kind in _INTEGERS:
            rows = reader.signed()
        else:
            reader.skip(kind)
    return [_claim(path, found, rows) for path, found in columns]


def _chunk(reader: ThriftReader) -> tuple[str, dict[int, int]]:
    path = ""
    found: dict[int, int] = {}
    for field, kind in reader.fields():
        if field == _META and kind == _STRUCT:
            path, found = _meta(reader)
        else:
            reader.skip(kind)
    if not found:
        raise PageError("a column has no description")
    return path, found


def _meta(reader: ThriftReader) -> tuple[str, dict[int, int]]:
    words: list[str] = []
    found: dict[int, int] = {}
    for field, kind in reader.fields():
        if field == _PATH and kind == _LIST:
            words = [reader.text() for _ in reader.items(_BINARY)]
        elif kind in _INTEGERS:
            found[field] = reader.signed()
        else:
            reader.skip(kind)
    return ".".join(words), found


def _claim(path: str, found: dict[int, int], rows: int) -> ColumnClaim:
    for field, name in ((_TYPE, "type"), (_VALUES, "number of values"), (_COMPRESSED, "size"),
                        (_DATA, "place")):  # fmt: skip
        if field not in found:
            raise PageError(f"column {path!r} has no {name}")
    kind = found[_TYPE]
    if not 0 <= kind < len(PHYSICAL):
        raise PageError(f"column {path!r} is of the unknown type {kind}")
    dictionary = found.get(_DICTIONARY, 0)
    start = min(found[_DATA], dictionary) if dictionary > 0 else found[_DATA]
    return ColumnClaim(path, PHYSICAL[kind], rows, found[_VALUES], start, found[_COMPRESSED])
