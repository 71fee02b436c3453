"""Arrow schemas of the tables that make up a feeder, with units.

Every table that is read or built passes through `conform`, so the rest of the package can rely on column
order, types and the absence of nulls where a column does not allow them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import CaseError, Problem

SCHEMA_VERSION = "1"

_STR, _F64, _I64, _BOOL = pa.string(), pa.float64(), pa.int64(), pa.bool_()


def _schema(*fields: tuple[str, pa.DataType, str] | tuple[str, pa.DataType, str, bool]) -> pa.Schema:
    """Schema from (name, type, unit[, nullable]); the unit goes into the field's metadata."""
    return pa.schema(
        [pa.field(f[0], f[1], nullable=len(f) == 4 and f[3], metadata={"unit": f[2]}) for f in fields]
    )


TABLES: Mapping[str, pa.Schema] = {
    "nodes": _schema(
        ("node_id", _STR, ""),
        ("phase", _STR, ""),  # "ABC" for a balanced node, else the phases present, in ABC order
        ("type", _STR, ""),  # one of NODE_TYPES
        ("base_kv", _F64, "kV line to line"),
        ("v_min", _F64, "pu"),
        ("v_max", _F64, "pu"),
        ("load_p_mw", _F64, "MW"),  # sum of the loads table at this node
        ("load_q_mvar", _F64, "Mvar"),
        ("shunt_g_mw", _F64, "MW at 1 pu"),  # consumed
        ("shunt_b_mvar", _F64, "Mvar at 1 pu"),  # injected; banks that switch are in capacitors
        ("feeder_id", _STR, ""),
        ("x", _F64, "plot units", True),
        ("y", _F64, "plot units", True),
        ("coord_source", _STR, "", True),  # "source" (surveyed) or "layout" (drawn)
    ),
    "branches": _schema(
        ("branch_id", _STR, ""),
        ("from_node", _STR, ""),
        ("to_node", _STR, ""),
        ("type", _STR, ""),  # one of BRANCH_TYPES
        ("phase", _STR, ""),
        ("r", _F64, "pu on base_mva"),
        ("x", _F64, "pu on base_mva"),
        ("b", _F64, "pu on base_mva"),  # total charging; half at each end
        ("tap", _F64, "1"),  # off-nominal ratio at the from end; 1.0 is nominal
        ("shift_deg", _F64, "degree"),  # the from end leads by this angle
        ("status", _BOOL, ""),  # True: closed
        ("thermal_limit_mva", _F64, "MVA", True),
        ("rating_source", _STR, "", True),  # "source" or "synthetic"; null with a null rating
        ("length_km", _F64, "km", True),
        ("feeder_id", _STR, ""),
    ),
    "loads": _schema(
        ("load_id", _STR, ""),
        ("node_id", _STR, ""),
        ("phase", _STR, ""),
        ("p_mw", _F64, "MW at 1 pu"),
        ("q_mvar", _F64, "Mvar at 1 pu"),
        ("p_z_frac", _F64, "1"),  # constant-impedance share; constant power is the rest 1 - z - i
        ("p_i_frac", _F64, "1"),
        ("q_z_frac", _F64, "1"),
        ("q_i_frac", _F64, "1"),
        ("cvr_p", _F64, "1", True),  # exponent of P in V; null: the ZIP shares hold
        ("cvr_q", _F64, "1", True),
        ("feeder_id", _STR, ""),
    ),
    "capacitors": _schema(
        ("cap_id", _STR, ""),
        ("node_id", _STR, ""),
        ("phase", _STR, ""),
        ("q_mvar", _F64, "Mvar at 1 pu"),  # injected when on
        ("status", _BOOL, ""),
        ("feeder_id", _STR, ""),
    ),
    "regulators": _schema(
        ("reg_id", _STR, ""),
        ("branch_id", _STR, ""),
        ("phase", _STR, ""),
        ("tap_pos", _I64, "step"),
        ("tap_min", _I64, "step"),
        ("tap_max", _I64, "step"),
        ("tap_step_pu", _F64, "pu"),
        ("v_set_pu", _F64, "pu"),
        ("band_pu", _F64, "pu"),
        ("feeder_id", _STR, ""),
    ),
    "transformers": _schema(
        ("transformer_id", _STR, ""),
        ("branch_id", _STR, ""),
        ("s_mva", _F64, "MVA", True),
        ("hv_kv", _F64, "kV line to line"),
        ("lv_kv", _F64, "kV line to line"),
        ("feeder_id", _STR, ""),
    ),
    "switches": _schema(
        ("switch_id", _STR, ""),
        ("branch_id", _STR, ""),
        ("type", _STR, ""),  # one of SWITCH_TYPES
        ("normally_closed", _BOOL, ""),  # the present state is branches.status
        ("feeder_id", _STR, ""),
    ),
    "sources": _schema(
        ("source_id", _STR, ""),
        ("node_id", _STR, ""),
        ("v_pu", _F64, "pu"),
        ("v_deg", _F64, "degree"),
        ("feeder_id", _STR, ""),
    ),
}

NODE_TYPES = ("source", "load", "junction", "der")
BRANCH_TYPES = ("line", "transformer", "switch")
SWITCH_TYPES = ("tie", "sectionaliser", "breaker")
PHASES = ("A", "B", "C", "AB", "AC", "BC", "ABC")
COORD_SOURCES = ("source", "layout")
RATING_SOURCES = ("source", "synthetic")


def table(name: str, columns: Mapping[str, Sequence[Any] | np.ndarray | pa.Array]) -> pa.Table:
    """Arrow table `name` from columns of equal length; a column left out must be nullable and is null.

    None is null. NaN stays NaN (and is refused by validation): write None where a value is absent.
    """
    schema = TABLES[name]
    n_rows = len(next(iter(columns.values()))) if columns else 0
    arrays = []
    for field in schema:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], type=field.type))
        elif field.nullable or not n_rows:
            arrays.append(pa.nulls(n_rows, type=field.type))
        else:
            raise ValueError(f"table {name!r} needs the column {field.name!r}")
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise ValueError(f"table {name!r} has no column {sorted(unknown)[0]!r}")
    return pa.Table.from_arrays(arrays, schema=schema)


def in_one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; without the copy that Arrow makes even of a single chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def conform(name: str, data: pa.Table, file: str | None = None) -> pa.Table:
    """`data` with exactly the columns, order and types of table `name`, in one chunk.

    Raises:
        CaseError: columns missing or unknown, values that cannot be cast, nulls where none may be.
    """
    schema, file = TABLES[name], file or name
    problems = [
        Problem(file, None, column, "", "a column of this name (it is missing)")
        for column in schema.names
        if column not in data.column_names
    ]
    problems += [
        Problem(file, None, column, "", f"no such column; the columns are {', '.join(schema.names)}")
        for column in data.column_names
        if column not in schema.names
    ]
    problems += [
        Problem(file, None, column, "", "this column only once")
        for column in schema.names
        if data.column_names.count(column) > 1
    ]
    if problems:
        raise CaseError(problems)
    arrays = []
    for field in schema:
        values = data.column(field.name)
        try:
            array = values.cast(field.type) if values.type != field.type else values
            array = in_one(array)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            problems.append(Problem(file, None, field.name, str(values.type), f"{field.type} ({error})"))
            continue
        if not field.nullable and array.null_count:
            for row in np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False)):
                problems.append(Problem(file, int(row), field.name, "null", "a value"))
        arrays.append(array)
    if problems:
        raise CaseError(problems)
    return pa.Table.from_arrays(arrays, schema=schema)
