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

#: Below this part of its rated voltage a load with a voltage band is an impedance (OpenDSS's vlowpu).
LINEAR_SHARE = 0.5

SCHEMA_VERSION = "3"
# "1": balanced feeders only, without the columns and tables of SINCE_2; "2": without those of SINCE_3
READABLE_VERSIONS = ("1", "2", "3")

_STR, _F64, _I64, _BOOL = pa.string(), pa.float64(), pa.int64(), pa.bool_()
# 3x3 row-major in A, B, C order, zeros in rows and columns of absent phases. Not a list of fixed size: that
# takes nine numbers for every null, and balanced feeders have nothing else.
MATRIX = pa.list_(_F64)


def _schema(*fields: tuple[str, pa.DataType, str] | tuple[str, pa.DataType, str, bool]) -> pa.Schema:
    """Schema from (name, type, unit[, nullable]); the unit goes into the field's metadata."""
    return pa.schema(
        [pa.field(f[0], f[1], nullable=len(f) == 4 and f[3], metadata={"unit": f[2]}) for f in fields]
    )


TABLES: Mapping[str, pa.Schema] = {
    "nodes": _schema(
        ("node_id", _STR, ""),
        ("phase", _STR, ""),  # "ABC" if balanced, else those present, in order; "12" on split-phase wires
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
        ("phase", _STR, ""),  # of the from end; the to end of a transformer may differ
        ("r", _F64, "pu on base_mva"),  # r, x, b of per-phase feeders: positive-sequence equivalents
        ("x", _F64, "pu on base_mva"),
        ("b", _F64, "pu on base_mva"),  # total charging; half at each end
        ("tap", _F64, "1"),  # off-nominal ratio at the from end; 1.0 is nominal
        ("shift_deg", _F64, "degree"),  # the from end leads by this angle
        ("status", _BOOL, ""),  # True: closed
        ("thermal_limit_mva", _F64, "MVA", True),
        ("rating_source", _STR, "", True),  # "source" or "synthetic"; null with a null rating
        ("length_km", _F64, "km", True),
        ("feeder_id", _STR, ""),
        ("r_ohm", MATRIX, "ohm", True),  # the three matrices: totals of the branch; null if balanced
        ("x_ohm", MATRIX, "ohm", True),
        ("b_us", MATRIX, "uS", True),  # total charging; half at each end
        # One of OPEN_ENDS: that end of every phase is open while the other one is closed (status is true), so
        # that the branch has voltage and charges from there. Both ends open is status false. Null becomes "".
        ("open_ends", _STR, "", True),
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
        ("connection", _STR, "", True),  # one of CONNECTIONS; null becomes "wye"
        ("v_low_pu", _F64, "pu", True),  # band outside which OpenDSS makes it a constant impedance
        ("v_high_pu", _F64, "pu", True),
        ("v_rated_pu", _F64, "pu", True),  # voltage that the source rates it at; null: 1
        ("v_set_pu", _F64, "pu", True),  # a generator (p_mw below 0) that holds this voltage at its node
        ("q_min_mvar", _F64, "Mvar injected", True),  # its reactive limits; null: none
        ("q_max_mvar", _F64, "Mvar injected", True),
    ),
    "capacitors": _schema(
        ("cap_id", _STR, ""),
        ("node_id", _STR, ""),
        ("phase", _STR, ""),
        ("q_mvar", _F64, "Mvar at 1 pu"),  # injected when on
        ("status", _BOOL, ""),
        ("feeder_id", _STR, ""),
        ("connection", _STR, "", True),  # one of CONNECTIONS; null becomes "wye"
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
        ("transformer_id", _STR, "", True),  # the unit whose to winding has the taps
        ("monitored_phase", _STR, "", True),  # of the regulated (to) side; two letters: line to line
        ("v_reg_v", _F64, "V on the PT secondary", True),
        ("band_v", _F64, "V on the PT secondary", True),
        ("pt_ratio", _F64, "1", True),
        ("ct_a", _F64, "A primary rating", True),
        ("ldc_r_v", _F64, "V at rated current", True),
        ("ldc_x_v", _F64, "V at rated current", True),
        ("delay_s", _F64, "s", True),  # before the first step
        ("tap_delay_s", _F64, "s", True),  # between steps
        ("max_tap_change", _I64, "step", True),  # per control action
        ("v_limit_v", _F64, "V on the PT secondary", True),  # highest voltage allowed at the tapped side
        ("reversible", _BOOL, "", True),
        ("rev_v_reg_v", _F64, "V on the PT secondary", True),
        ("rev_band_v", _F64, "V on the PT secondary", True),
        ("rev_ldc_r_v", _F64, "V at rated current", True),
        ("rev_ldc_x_v", _F64, "V at rated current", True),
        ("rev_delay_s", _F64, "s", True),
        ("rev_threshold_mw", _F64, "MW", True),  # reverse flow from which the reverse settings hold
        ("rev_neutral", _BOOL, "", True),  # go to the neutral step while the flow is reversed
        ("order", _I64, "", True),  # of definition: who acts first at equal delays
    ),
    "transformers": _schema(
        ("transformer_id", _STR, ""),
        ("branch_id", _STR, ""),
        ("s_mva", _F64, "MVA", True),
        ("hv_kv", _F64, "kV line to line"),  # units of per-phase feeders: kV of the from winding,
        ("lv_kv", _F64, "kV line to line"),  # of the to winding; across the winding in one-phase units
        ("feeder_id", _STR, ""),
        ("connection", _STR, "", True),  # one of TRANSFORMER_CONNECTIONS: from winding, to winding
        ("from_phase", _STR, "", True),  # terminals in winding order: "ABC", "B", "CB" (from C to B)
        ("to_phase", _STR, "", True),
        ("r_pct", _F64, "% on s_mva", True),  # both windings together
        ("x_pct", _F64, "% on s_mva", True),
        ("tap_from", _F64, "1", True),  # turns of the winding over its nominal turns
        ("tap_to", _F64, "1", True),  # without what a regulator adds
        ("lag_deg", _F64, "degree", True),  # the to end lags by this in the positive sequence
        ("noload_pct", _F64, "% on s_mva", True),  # core loss, across the to winding
        ("imag_pct", _F64, "% on s_mva", True),  # magnetising current, across the to winding
        ("antifloat_ppm", _F64, "ppm", True),  # OpenDSS: reactance to ground at every terminal
        ("r_h_pct", _F64, "% on s_mva", True),  # centre-tap: high winding and the two legs
        ("r_1_pct", _F64, "% on s_mva", True),
        ("r_2_pct", _F64, "% on s_mva", True),
        ("x_h2_pct", _F64, "% on s_mva", True),  # x_pct is high winding to leg 1
        ("x_12_pct", _F64, "% on s_mva", True),
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
        ("v_deg", _F64, "degree"),  # of phase A
        ("feeder_id", _STR, ""),
        ("r_ohm", MATRIX, "ohm", True),  # Thevenin impedance behind v_pu; null: ideal
        ("x_ohm", MATRIX, "ohm", True),
    ),
    "cap_controls": _schema(
        ("control_id", _STR, ""),
        ("cap_id", _STR, ""),
        ("type", _STR, ""),  # one of CAP_CONTROL_TYPES
        ("on_setting", _F64, "V, A or kvar"),
        ("off_setting", _F64, "V, A or kvar"),
        ("delay_on_s", _F64, "s"),
        ("delay_off_s", _F64, "s"),
        ("dead_time_s", _F64, "s"),
        ("pt_ratio", _F64, "1"),
        ("ct_ratio", _F64, "1"),
        ("branch_id", _STR, ""),  # monitored branch
        ("end", _STR, ""),  # "from" or "to" end of it
        ("monitored_phase", _STR, ""),
        ("v_override", _BOOL, ""),
        ("v_min_v", _F64, "V on the PT secondary", True),
        ("v_max_v", _F64, "V on the PT secondary", True),
        ("feeder_id", _STR, ""),
    ),
}

# What a null becomes when a table is taken over.
DEFAULTS: Mapping[tuple[str, str], str] = {
    ("loads", "connection"): "wye",
    ("capacitors", "connection"): "wye",
    ("branches", "open_ends"): "",
}
# What version "1" did not have.
SINCE_2: Mapping[str, tuple[str, ...]] = {
    "branches": ("r_ohm", "x_ohm", "b_us"),
    "loads": ("connection", "v_low_pu", "v_high_pu", "v_rated_pu"),
    "capacitors": ("connection",),
    "regulators": tuple(TABLES["regulators"].names[10:]),
    "transformers": tuple(TABLES["transformers"].names[6:]),
    "sources": ("r_ohm", "x_ohm"),
}
TABLES_SINCE_2 = ("cap_controls",)
# What version "2" did not have.
SINCE_3: Mapping[str, tuple[str, ...]] = {
    "branches": ("open_ends",),
    "loads": ("v_set_pu", "q_min_mvar", "q_max_mvar"),
}

NODE_TYPES = ("source", "load", "junction", "der")
BRANCH_TYPES = ("line", "transformer", "switch", "regulator")
OPEN_ENDS = ("", "from", "to")
SWITCH_TYPES = ("tie", "sectionaliser", "breaker")
FEEDER_PHASES = ("balanced", "per-phase")
PHASES = ("A", "B", "C", "AB", "AC", "BC", "ABC")
# The two hot legs behind a centre-tapped transformer. In arrays and matrices they take the places of A and B.
SPLIT_PHASES = ("1", "2", "12")
CONNECTIONS = ("wye", "delta")
# "floating" is a wye whose neutral is connected to nothing.
TRANSFORMER_CONNECTIONS = (
    *("wye-wye", "delta-wye", "wye-delta", "delta-delta", "centre-tap"),
    *("floating-delta", "delta-floating"),
)
CAP_CONTROL_TYPES = ("kvar", "voltage", "current")
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


def table_of_rows(name: str, rows: Sequence[Mapping[str, Any]], feeder_id: str) -> pa.Table:
    """Table of the rows of one feeder, which all have the same columns; see `table`."""
    if not rows:
        return table(name, {})
    columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in rows[0]}
    return table(name, columns | {"feeder_id": [feeder_id] * len(rows)})


def in_one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; without the copy that Arrow makes even of a single chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def upgraded(name: str, data: pa.Table, version: str) -> pa.Table:
    """`data` of an older version with nulls in the columns that came later."""
    later = {"1": (SINCE_2, SINCE_3), "2": (SINCE_3,)}.get(version, ())
    for column in (c for columns in later for c in columns.get(name, ())):
        if column not in data.column_names:
            field = TABLES[name].field(column)
            data = data.append_column(field, pa.nulls(data.num_rows, field.type))
    return data


def conform(name: str, data: pa.Table, file: str | None = None) -> pa.Table:
    """`data` with exactly the columns, order and types of table `name`, in one chunk.

    Raises:
        CaseError: columns missing or unknown, values that cannot be cast, nulls where none may be.
    """
    schema, file = TABLES[name], file or name
    wanted, given = schema.names, data.column_names  # Arrow makes a new list at each look
    problems = [
        Problem(file, None, column, "", "a column of this name (it is missing)")
        for column in wanted
        if column not in given
    ]
    problems += [
        Problem(file, None, column, "", f"no such column; the columns are {', '.join(wanted)}")
        for column in given
        if column not in wanted
    ]
    problems += [
        Problem(file, None, column, "", "this column only once")
        for column in wanted
        if given.count(column) > 1
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
        if array.null_count and (name, field.name) in DEFAULTS:
            array = pc.fill_null(array, DEFAULTS[name, field.name])
        if not field.nullable and array.null_count:
            for row in np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False)):
                problems.append(Problem(file, int(row), field.name, "null", "a value"))
        arrays.append(array)
    if problems:
        raise CaseError(problems)
    return pa.Table.from_arrays(arrays, schema=schema)


def matrices(values: pa.Array) -> np.ndarray:
    """A column of 3x3 matrices as (rows, 3, 3); NaN where null or not of nine numbers."""
    found = np.full((len(values), 9), np.nan)
    nine = pc.fill_null(pc.equal(pc.list_value_length(values), 9), False).to_numpy(zero_copy_only=False)
    whole = values.filter(pa.array(nine))
    found[nine] = whole.flatten().to_numpy(zero_copy_only=False).reshape(-1, 9)
    return found.reshape(-1, 3, 3)
