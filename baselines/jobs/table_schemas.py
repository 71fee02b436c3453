"""Tables that jobs write, as JSON schemas that are published, and the check that a table is one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ..errors import RunError, unknown

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = ((pa.types.is_string, "string"), (pa.types.is_boolean, "boolean"), (pa.types.is_integer, "integer"),
          (pa.types.is_floating, "number"))  # fmt: skip


def json_type(kind: pa.DataType) -> str:
    """What JSON calls values of an Arrow type. TypeError for one that tables of jobs do not have."""
    for fits, name in _TYPES:
        if fits(kind):
            return name
    raise TypeError(f"{kind} has no JSON type: tables of jobs hold texts, numbers and yes or no")


def row_schema(schema: pa.Schema) -> dict[str, Any]:
    """JSON schema of one row of a table; any value may be null, and no further column is allowed."""
    columns: dict[str, Any] = {}
    for field in schema:
        columns[field.name] = {"type": [json_type(field.type), "null"]}
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        if unit:
            columns[field.name]["description"] = f"unit: {unit}"
    return {
        "type": "object", "properties": columns, "required": list(schema.names), "additionalProperties": False
    }  # fmt: skip


def output_schema(title: str, tables: Mapping[str, Mapping[str, pa.Schema]]) -> dict[str, Any]:
    """JSON schema of the output of verbs: an object with an array of rows for each table.

    Args:
        title: Of the document.
        tables: By verb ("dist pf") the tables that it may write, by name.
    """
    verbs = {
        verb: {
            "type": "object", "additionalProperties": False,
            "properties": {
                name: {"type": "array", "items": {"$ref": f"#/$defs/{_key(verb, name)}"}} for name in each
            },
        }
        for verb, each in tables.items()
    }  # fmt: skip
    rows = {_key(verb, name): row_schema(one) for verb, each in tables.items() for name, one in each.items()}
    return {
        "$schema": _DRAFT, "title": title, "type": "object", "additionalProperties": False,
        "properties": verbs, "$defs": rows,
    }  # fmt: skip


def _key(verb: str, name: str) -> str:
    return f"{verb.replace(',', '').replace(' ', '_')}.{name}"


def check_table(table: pa.Table, schema: pa.Schema, name: str) -> None:
    """RunError where a table lacks a column, has one too many, or one of another type."""
    for column in schema.names:
        if column not in table.schema.names:
            raise RunError(f"table {name}: column {column!r} is missing")
    for field in table.schema:
        if field.name not in schema.names:
            raise unknown(f"column of table {name}", field.name, schema.names)
        wanted = schema.field(field.name).type
        if field.type != wanted:
            raise RunError(f"table {name}: column {field.name!r} is {field.type}: expected {wanted}")
