"""New tables from a feeder's tables; the bodies of `Feeder.with_...` and `Feeder.filter`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import CaseError, Problem
from ..schema import TABLES, in_one, table
from .feeder_tables import FeederTables


def nearest(name: str, known: Iterable[str]) -> str:
    """What to tell somebody who wrote an unknown name: the nearest known ones, or a few of all."""
    names = list(known)
    name = name[:100]  # comparing takes the product of the lengths
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return "there are none"
    return f"known: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"


def _unknown(file: str, field: str, value: str, known: Iterable[str]) -> CaseError:
    return CaseError([Problem(file, None, field, repr(value), f"a known id; {nearest(value, known)}")])


def replaced(data: pa.Table, column: str, values: np.ndarray | pa.Array) -> pa.Table:
    """`data` with one column replaced."""
    at = data.schema.get_field_index(column)
    field = data.schema.field(at)
    return data.set_column(at, field, pa.array(values, type=field.type))


def _changed(data: pa.Table, column: str, row: int | None, value: object) -> pa.Table:
    """`data` with one value of a column (all of them when `row` is None) replaced."""
    values = [value] * data.num_rows if row is None else data.column(column).to_pylist()
    if row is not None:
        values[row] = value
    return replaced(data, column, values)


def _row(feeder: FeederTables, name: str, column: str, key: str) -> int:
    ids = feeder.column(name, column)
    rows = np.flatnonzero(ids == key)
    if not len(rows):
        raise _unknown(name, column, key, ids.tolist())
    return int(rows[0])


def branch_of(feeder: FeederTables, switch_id: str) -> int:
    """Row of the branch that a switch id or branch id names."""
    switches = feeder.column("switches", "switch_id")
    hit = np.flatnonzero(switches == switch_id)
    if len(hit):
        return feeder.branch_index[feeder.column("switches", "branch_id")[hit[0]]]
    if switch_id in feeder.branch_index:
        return feeder.branch_index[switch_id]
    raise _unknown("switches", "switch_id", switch_id, [*switches, *feeder.branch_index])


def switched(feeder: FeederTables, switch_id: str, closed: bool) -> pa.Table:
    """Branches with one switch moved: both of its ends, so that no open end is left."""
    row = branch_of(feeder, switch_id)
    return _changed(_changed(feeder.branches, "status", row, bool(closed)), "open_ends", row, "")


def tapped(feeder: FeederTables, branch_id: str, tap: float | None, shift_deg: float | None) -> pa.Table:
    """Branches with another ratio or shift of one of them."""
    row, branches = _row(feeder, "branches", "branch_id", branch_id), feeder.branches
    if tap is not None:
        branches = _changed(branches, "tap", row, float(tap))
    if shift_deg is not None:
        branches = _changed(branches, "shift_deg", row, float(shift_deg))
    return branches


def regulated(feeder: FeederTables, reg_id: str, tap_pos: int) -> pa.Table:
    """Regulators with one tap moved."""
    return _changed(feeder.regulators, "tap_pos", _row(feeder, "regulators", "reg_id", reg_id), int(tap_pos))


def banked(feeder: FeederTables, cap_id: str, on: bool) -> pa.Table:
    """Capacitors with one bank switched."""
    return _changed(feeder.capacitors, "status", _row(feeder, "capacitors", "cap_id", cap_id), bool(on))


def with_regulator_row(
    feeder: FeederTables,
    branch_id: str,
    reg_id: str,
    tap_min: int,
    tap_max: int,
    tap_step_pu: float,
    tap_pos: int,
) -> pa.Table:
    """Regulators with one more, in a branch, or the transformer of a branch of a per-phase feeder."""
    row = _row(feeder, "branches", "branch_id", branch_id)
    phase, unit = str(feeder.column("branches", "phase")[row]), None
    if feeder.phases == "per-phase":
        units = np.flatnonzero(feeder.column("transformers", "branch_id") == branch_id)
        if len(units) != 1:
            expected = f"a branch with one transformer, whose winding has the taps; this one has {len(units)}"
            raise CaseError([Problem("regulators", None, "branch_id", repr(branch_id), expected)])
        unit = str(feeder.column("transformers", "transformer_id")[units[0]])
    new = table(
        "regulators",
        {
            "reg_id": [reg_id], "branch_id": [branch_id], "phase": [phase], "transformer_id": [unit],
            "tap_pos": [int(tap_pos)], "tap_min": [int(tap_min)], "tap_max": [int(tap_max)],
            "tap_step_pu": [float(tap_step_pu)], "v_set_pu": [1.0], "band_pu": [2.0 * float(tap_step_pu)],
            "feeder_id": [str(feeder.column("branches", "feeder_id")[row])],
        },
    )  # fmt: skip
    return pa.concat_tables([feeder.regulators.replace_schema_metadata(None), new])


def with_capacitor_row(
    feeder: FeederTables, node_id: str, cap_id: str, q_mvar: float, phase: str | None, on: bool
) -> pa.Table:
    """Capacitors with one bank more."""
    row = _row(feeder, "nodes", "node_id", node_id)
    new = table(
        "capacitors",
        {
            "cap_id": [cap_id], "node_id": [node_id],
            "phase": [phase or str(feeder.column("nodes", "phase")[row])], "q_mvar": [float(q_mvar)],
            "status": [bool(on)], "connection": ["wye"],
            "feeder_id": [str(feeder.column("nodes", "feeder_id")[row])],
        },
    )  # fmt: skip
    return pa.concat_tables([feeder.capacitors.replace_schema_metadata(None), new])


def sourced(feeder: FeederTables, v_pu: float | None, v_deg: float | None, source_id: str | None) -> pa.Table:
    """Sources with another voltage."""
    row = None if source_id is None else _row(feeder, "sources", "source_id", source_id)
    sources = feeder.sources
    if v_pu is not None:
        sources = _changed(sources, "v_pu", row, float(v_pu))
    if v_deg is not None:
        sources = _changed(sources, "v_deg", row, float(v_deg))
    return sources


def marked(feeder: FeederTables, feeder_id: str) -> dict[str, pa.Table]:
    """All tables with `feeder_id` in every row."""
    return {name: _changed(getattr(feeder, name), "feeder_id", None, feeder_id) for name in TABLES}


def node_loads(feeder_nodes: pa.Table, loads: pa.Table) -> pa.Table:
    """Nodes with load_p_mw and load_q_mvar set to the sums of the loads table."""
    node = pc.fill_null(pc.index_in(loads["node_id"], value_set=in_one(feeder_nodes["node_id"])), -1)
    at = np.asarray(node.to_numpy(), dtype=np.intp)
    for column, part in (("load_p_mw", "p_mw"), ("load_q_mvar", "q_mvar")):
        power = np.asarray(loads[part].to_numpy(), dtype=np.float64)
        total = np.bincount(at[at >= 0], power[at >= 0], minlength=feeder_nodes.num_rows)
        feeder_nodes = replaced(feeder_nodes, column, total.astype(np.float64))
    return feeder_nodes


def _wanted(
    feeder: FeederTables, given: Mapping[str, float] | np.ndarray, now: np.ndarray, what: str
) -> np.ndarray:
    """(n_nodes,) wanted total per node."""
    if isinstance(given, Mapping):
        wanted = now.copy()
        for node_id, value in given.items():
            if node_id not in feeder.node_index:
                raise _unknown("nodes", "node_id", str(node_id), feeder.node_index)
            wanted[feeder.node_index[node_id]] = value
        return wanted
    wanted = np.asarray(given, dtype=np.float64)
    if wanted.shape != (feeder.n_nodes,):
        raise ValueError(f"{what} has the shape {wanted.shape}; expected ({feeder.n_nodes},), one per node")
    return wanted


def loaded(
    feeder: FeederTables,
    p_mw: Mapping[str, float] | np.ndarray | None,
    q_mvar: Mapping[str, float] | np.ndarray | None,
) -> tuple[pa.Table, pa.Table]:
    """Nodes and loads with other totals per node."""
    loads, given = feeder.loads, {"p_mw": p_mw, "q_mvar": q_mvar}
    at = np.array([feeder.node_index[n] for n in feeder.column("loads", "node_id")], dtype=np.intp)
    targets = {
        part: _wanted(feeder, values, feeder.column("nodes", f"load_{part}"), part)
        for part, values in given.items()
        if values is not None
    }
    loads = _with_missing_loads(feeder, loads, at, list(targets.values()))
    at = np.concatenate([at, _unserved(feeder, at, list(targets.values()))])
    first = np.zeros(len(at), dtype=bool)
    first[np.unique(at, return_index=True)[1]] = True
    for part, wanted in targets.items():
        power = np.array(loads[part].to_numpy(), dtype=np.float64)
        total = np.bincount(at, power, minlength=feeder.n_nodes)[at]
        # Loads of one node keep their proportions; where they sum to zero the first takes it all.
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(total != 0.0, power / total, first.astype(np.float64))
        lone = np.bincount(at, minlength=feeder.n_nodes)[at] == 1
        changed = wanted[at] != feeder.column("nodes", f"load_{part}")[at]
        power = np.where(changed, np.where(lone, wanted[at], share * wanted[at]), power)
        loads = replaced(loads, part, power)
    return node_loads(feeder.nodes, loads), loads


def _unserved(feeder: FeederTables, at: np.ndarray, targets: list[np.ndarray]) -> np.ndarray:
    """Rows of nodes that shall have a load but have none."""
    wanted = np.zeros(feeder.n_nodes, dtype=bool)
    for target in targets:
        wanted |= target != 0.0
    wanted[at] = False
    return np.flatnonzero(wanted)


def _with_missing_loads(
    feeder: FeederTables, loads: pa.Table, at: np.ndarray, targets: list[np.ndarray]
) -> pa.Table:
    rows = _unserved(feeder, at, targets)
    if not len(rows):
        return loads
    nodes = [feeder.column("nodes", "node_id")[k] for k in rows]
    taken, names = set(feeder.column("loads", "load_id")), []
    for node in nodes:
        name, number = f"load{node}", 2
        while name in taken:
            name, number = f"load{node}#{number}", number + 1
        taken.add(name)
        names.append(name)
    zero = np.zeros(len(rows))
    new = table(
        "loads",
        {
            "load_id": names,
            "node_id": nodes,
            "phase": [feeder.column("nodes", "phase")[k] for k in rows],
            **dict.fromkeys(("p_mw", "q_mvar", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac"), zero),
            "feeder_id": [feeder.column("nodes", "feeder_id")[k] for k in rows],
        },
    )
    return pa.concat_tables([loads.replace_schema_metadata(None), new])


def filtered(feeder: FeederTables, feeder_id: str) -> dict[str, pa.Table]:
    """The tables of one feeder of several."""
    rows = {name: feeder.column(name, "feeder_id") == feeder_id for name in TABLES}
    if not rows["nodes"].any():
        known = sorted(set(feeder.column("nodes", "feeder_id").tolist()))
        raise _unknown("nodes", "feeder_id", feeder_id, known)
    status = feeder.column("branches", "status")
    start, end = feeder.column("branches", "from_node"), feeder.column("branches", "to_node")
    own = set(feeder.column("nodes", "node_id")[rows["nodes"]])
    foreign = np.array([a not in own or b not in own for a, b in zip(start, end, strict=True)], dtype=bool)
    branch = rows["branches"] & (status | ~foreign)
    kept = own | set(start[branch]) | set(end[branch])
    node = np.array([n in kept for n in feeder.column("nodes", "node_id")])
    source = np.array([n in kept for n in feeder.column("sources", "node_id")], dtype=bool)
    branch_ids = set(feeder.column("branches", "branch_id")[branch])
    masks = {"nodes": node, "branches": branch, "sources": source}
    for name in ("loads", "capacitors"):
        at = [n in own for n in feeder.column(name, "node_id")]
        masks[name] = rows[name] & np.array(at, dtype=bool)
    for name in ("regulators", "transformers", "switches"):
        on = [b in branch_ids for b in feeder.column(name, "branch_id")]
        masks[name] = np.array(on, dtype=bool)
    caps = set(feeder.column("capacitors", "cap_id")[masks["capacitors"]])
    held = zip(
        feeder.column("cap_controls", "cap_id"), feeder.column("cap_controls", "branch_id"), strict=True
    )
    controls = [cap in caps and branch_id in branch_ids for cap, branch_id in held]
    masks["cap_controls"] = np.array(controls, dtype=bool)
    tables = {name: getattr(feeder, name).filter(pa.array(mask)) for name, mask in masks.items()}
    tables["nodes"] = node_loads(tables["nodes"], tables["loads"])
    return tables
