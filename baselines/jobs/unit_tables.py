"""Tables whose number columns carry their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

TEXT, NUMBER, YES_NO = pa.string(), pa.float64(), pa.bool_()


def schema(*fields: tuple[str, pa.DataType, str]) -> pa.Schema:
    """Schema from (name, type, unit)."""
    return pa.schema([pa.field(name, kind, metadata={"unit": unit}) for name, kind, unit in fields])


def table(columns: Mapping[str, Any], of: pa.Schema) -> pa.Table:
    """A table of schema `of`; NaN becomes null."""
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in of]
    return pa.Table.from_arrays(arrays, schema=of)


def table_of_rows(rows: Sequence[tuple[Any, ...]], of: pa.Schema) -> pa.Table:
    """A table of schema `of` from its rows; none give an empty one."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in of)
    return table(dict(zip(of.names, columns, strict=True)), of)
