"""One pass over the tables of a feeder that finds everything that is wrong with them.

The checks work on whole columns, so that a feeder of ten thousand nodes is checked in milliseconds. Code
behind this pass (compiled kernels above all) relies on it and checks nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Problem
from ..graph import island_labels, joins
from ..schema import (
    BRANCH_TYPES,
    CONNECTIONS,
    COORD_SOURCES,
    FEEDER_PHASES,
    NODE_TYPES,
    OPEN_ENDS,
    PHASES,
    RATING_SOURCES,
    SPLIT_PHASES,
    SWITCH_TYPES,
    TABLES,
    matrices,
)
from .checks import ID_COLUMN, Check, choice, is_true, on_phases
from .per_phase import check_per_phase

LOAD_SUM_TOLERANCE = 1e-9  # MW: what rounding may leave between a node's load and the sum of its loads


def check(
    tables: Mapping[str, pa.Table],
    base_mva: float,
    place: Callable[[str, int | None], tuple[str, int | None]],
    phases: str = "balanced",
) -> list[Problem]:
    """Everything wrong with the tables, in table order; an empty list means a usable feeder."""
    run = Check(tables, place)
    if phases not in FEEDER_PHASES:
        file, _ = place("nodes", None)
        run.problems.append(Problem(file, None, "phases", repr(phases), f"one of {', '.join(FEEDER_PHASES)}"))
    if not (np.isfinite(base_mva) and base_mva > 0):
        file, _ = place("nodes", None)
        run.problems.append(Problem(file, None, "base_mva", str(base_mva), "a finite number > 0"))
    if not tables["nodes"].num_rows:
        file, _ = place("nodes", None)
        run.problems.append(Problem(file, None, "", "", "at least one node"))
    for name in TABLES:
        _ids_and_numbers(run, name)
    _nodes(run)
    ends = _branches(run)
    _at_nodes(run)
    _at_branches(run)
    _sources(run, ends)
    _held(run, phases)
    if phases == "per-phase":
        check_per_phase(run, ends)
    else:
        _balanced(run)
    return run.problems


def _ids_and_numbers(run: Check, name: str) -> None:
    """Ids present and unique; every number finite."""
    if not run.tables[name].num_rows:
        return
    column = ID_COLUMN[name]
    ids = run.array(name, column)
    run.report(name, column, is_true(pc.equal(ids, "")), "a non-empty id")
    codes = ids.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = np.zeros(len(codes), dtype=bool)
    first[np.unique(codes, return_index=True)[1]] = True
    run.report(name, column, ~first, "an id that no earlier row has")
    for schema_field in TABLES[name]:
        if pa.types.is_floating(schema_field.type):
            values = run.array(name, schema_field.name)
            finite = is_true(pc.fill_null(pc.is_finite(values), True))
            null = "a finite number or null" if schema_field.nullable else "a finite number"
            run.report(name, schema_field.name, ~finite, null)
        elif pa.types.is_list(schema_field.type):
            cells = run.array(name, schema_field.name)
            finite = np.isfinite(matrices(cells)).all(axis=(1, 2))
            present = is_true(cells.is_valid())
            run.report(name, schema_field.name, present & ~finite, "nine finite numbers or null")


def _nodes(run: Check) -> None:
    v_min, v_max = run.numbers("nodes", "v_min"), run.numbers("nodes", "v_max")
    run.report("nodes", "base_kv", run.numbers("nodes", "base_kv") <= 0, "kV > 0")
    run.report("nodes", "v_min", v_min < 0, "a limit >= 0 pu")
    # Equal limits pin a voltage; MATPOWER files do that at the reference bus.
    run.report("nodes", "v_max", v_max < v_min, "a limit that is not below v_min")
    choice(run, "nodes", "type", NODE_TYPES)
    choice(run, "nodes", "phase", PHASES + SPLIT_PHASES)
    choice(run, "nodes", "coord_source", COORD_SOURCES)
    x, y = run.array("nodes", "x"), run.array("nodes", "y")
    run.report("nodes", "x", is_true(pc.xor(pc.is_null(x), pc.is_null(y))), "x and y together, or neither")
    node = run.rows_of("loads", "node_id", "nodes")
    on_phases(run, "loads", node, "nodes", "its node")
    for column, part in (("load_p_mw", "p_mw"), ("load_q_mvar", "q_mvar")):
        power = run.numbers("loads", part)
        total = np.bincount(node[node >= 0], power[node >= 0], minlength=run.tables["nodes"].num_rows)
        stated = run.numbers("nodes", column)
        wrong = np.abs(stated - total) > LOAD_SUM_TOLERANCE * np.maximum(1.0, np.abs(total))
        run.report("nodes", column, wrong, f"the sum of {part} in the loads table")


def _branches(run: Check) -> np.ndarray:
    """Check the branches; return (rows, 2) node rows of the ends, -1 where unknown."""
    start = run.rows_of("branches", "from_node", "nodes")
    end = run.rows_of("branches", "to_node", "nodes")
    known = (start >= 0) & (end >= 0)
    run.report("branches", "to_node", known & (start == end), "a node other than from_node")
    run.report("branches", "r", run.numbers("branches", "r") < 0, "r >= 0")
    run.report("branches", "tap", run.numbers("branches", "tap") <= 0, "a ratio > 0 (nominal is 1.0)")
    limit = run.numbers("branches", "thermal_limit_mva")
    run.report("branches", "thermal_limit_mva", limit <= 0, "a rating > 0, or null where there is none")
    run.report("branches", "length_km", run.numbers("branches", "length_km") <= 0, "a length > 0, or null")
    choice(run, "branches", "type", BRANCH_TYPES)
    choice(run, "branches", "phase", PHASES + SPLIT_PHASES)
    choice(run, "branches", "rating_source", RATING_SOURCES)
    choice(run, "branches", "open_ends", OPEN_ENDS)
    unrated = pc.is_null(run.array("branches", "thermal_limit_mva"))
    unsourced = pc.is_null(run.array("branches", "rating_source"))
    together = "a value exactly where thermal_limit_mva has one"
    run.report("branches", "rating_source", is_true(pc.xor(unrated, unsourced)), together)
    on_phases(run, "branches", start, "nodes", "its from_node")
    kind = run.array("branches", "type")
    # The to end of a transformer has the phases that the transformers table says.
    same = ~is_true(pc.equal(kind, "transformer"))
    on_phases(run, "branches", np.where(same, end, -1), "nodes", "its to_node")
    kv = run.numbers("nodes", "base_kv")
    if len(kv):
        differs = known & (np.abs(kv[start] - kv[end]) > 1e-6 * np.abs(kv[start]))
        run.report("branches", "type", differs & same, "transformer, as base_kv differs between its ends")
    return np.column_stack([start, end])


def _at_nodes(run: Check) -> None:
    node = run.rows_of("capacitors", "node_id", "nodes")
    choice(run, "capacitors", "phase", PHASES + SPLIT_PHASES)
    on_phases(run, "capacitors", node, "nodes", "its node")
    choice(run, "loads", "phase", PHASES + SPLIT_PHASES)
    for table in ("loads", "capacitors"):
        choice(run, table, "connection", CONNECTIONS)
    lone = pc.xor(pc.is_null(run.array("loads", "cvr_p")), pc.is_null(run.array("loads", "cvr_q")))
    run.report("loads", "cvr_p", is_true(lone), "cvr_p and cvr_q together, or neither")


def _at_branches(run: Check) -> None:
    branch = run.rows_of("regulators", "branch_id", "branches")
    choice(run, "regulators", "phase", PHASES)
    on_phases(run, "regulators", branch, "branches", "its branch")
    tap, low, high = (run.numbers("regulators", f"tap_{part}") for part in ("pos", "min", "max"))
    run.report("regulators", "tap_max", high < low, "tap_max >= tap_min")
    run.report("regulators", "tap_pos", (tap < low) | (tap > high), "a position from tap_min to tap_max")
    for column in ("tap_step_pu", "v_set_pu"):
        run.report("regulators", column, run.numbers("regulators", column) <= 0, "a number > 0")
    run.report("regulators", "band_pu", run.numbers("regulators", "band_pu") < 0, "a number >= 0")
    run.rows_of("transformers", "branch_id", "branches")
    for column in ("s_mva", "hv_kv", "lv_kv"):
        run.report("transformers", column, run.numbers("transformers", column) <= 0, "a number > 0")
    run.rows_of("switches", "branch_id", "branches")
    codes = run.array("switches", "branch_id").dictionary_encode().indices.to_numpy(zero_copy_only=False)
    second = np.ones(len(codes), dtype=bool)
    second[np.unique(codes, return_index=True)[1]] = False
    run.report("switches", "branch_id", second, "at most one switch per branch")
    choice(run, "switches", "type", SWITCH_TYPES)


def _held(run: Check, phases: str) -> None:
    """Generators that hold a voltage: one voltage a node, limits that leave room, no source beside them."""
    v_set, low, high = (run.numbers("loads", c) for c in ("v_set_pu", "q_min_mvar", "q_max_mvar"))
    holds = ~np.isnan(v_set)
    run.report("loads", "v_set_pu", v_set <= 0, "a voltage > 0 pu, or null where none is held")
    run.report("loads", "q_max_mvar", high < low, "a limit that is not below q_min_mvar")
    for column, limit in (("q_min_mvar", low), ("q_max_mvar", high)):
        run.report("loads", column, ~np.isnan(limit) & ~holds, "null, where v_set_pu is null")
    if not holds.any():
        return
    if phases != "balanced":
        run.report("loads", "v_set_pu", holds, 'null, unless Feeder.phases is "balanced"')
    run.report(
        "loads", "q_mvar", holds & (run.numbers("loads", "q_mvar") != 0), "0: it follows from v_set_pu"
    )
    shares = [run.numbers("loads", c) for c in ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")]
    varies = (np.abs(shares) > 0).any(axis=0) | ~np.isnan(run.numbers("loads", "cvr_p"))
    run.report("loads", "v_set_pu", holds & varies, "null for a load that depends on voltage")
    ids = run.array("loads", "node_id")
    at_source = is_true(pc.is_in(ids, value_set=run.array("sources", "node_id")))
    run.report("loads", "v_set_pu", holds & at_source, "null at a source, which holds the voltage itself")
    codes = ids.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = np.full(int(codes.max(initial=-1)) + 1, np.nan)
    rows = np.flatnonzero(holds)[::-1]
    first[codes[rows]] = v_set[rows]
    differs = holds & (v_set != first[codes])
    run.report("loads", "v_set_pu", differs, "the voltage that the node's other generators hold")


def _balanced(run: Check) -> None:
    """What a table of one line for three phases cannot hold."""
    for column in ("r_ohm", "x_ohm", "b_us"):
        given = is_true(run.array("branches", column).is_valid())
        run.report("branches", column, given, 'null, unless Feeder.phases is "per-phase"')
    open_end = is_true(pc.not_equal(run.array("branches", "open_ends"), ""))
    run.report("branches", "open_ends", open_end, '"" (none), unless Feeder.phases is "per-phase"')
    for table in ("nodes", "branches"):
        split = is_true(pc.is_in(run.array(table, "phase"), value_set=pa.array(SPLIT_PHASES)))
        run.report(table, "phase", split, 'A, B and C only, unless Feeder.phases is "per-phase"')


def _sources(run: Check, ends: np.ndarray) -> None:
    node = run.rows_of("sources", "node_id", "nodes")
    run.report("sources", "v_pu", run.numbers("sources", "v_pu") <= 0, "a voltage > 0 pu")
    closed = joins(run.tables["branches"]) & (ends >= 0).all(axis=1)
    labels = island_labels(run.tables["nodes"].num_rows, ends[closed])
    names = run.array("sources", "source_id").to_pylist()
    first: dict[int, int] = {}
    for row, at in enumerate(node.tolist()):
        if at < 0:
            continue
        other = first.setdefault(int(labels[at]), row)
        if other != row:
            file, line = run.place("sources", row)
            expected = (
                f"one source per energised island, but sources {names[other]!r} and {names[row]!r} feed the "
                "same one (open a branch between them or remove one)"
            )
            run.problems.append(Problem(file, line, "node_id", repr(_text(run, row)), expected))


def _text(run: Check, row: int) -> str:
    return str(run.tables["sources"].column("node_id")[row].as_py())
