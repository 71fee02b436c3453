"""A balanced feeder written phase by phase."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import CaseError, Problem
from ..schema import table
from .feeder import Feeder


def three_phase(feeder: Feeder) -> Feeder:
    """The same feeder with ``phases="per-phase"``: three equal phases in place of one.

    A balanced feeder knows only positive-sequence impedances. Its phases get these each for itself, without
    coupling, which is a zero sequence equal to the positive one. While loads and sources are balanced no zero
    sequence current flows, so the power flow is the balanced one; once they are not, the true mutual
    impedances are missing, and unbalance is an estimate.

    Branches with a tap or of type "transformer" become wye-wye units on base_mva. A per-phase feeder is
    returned as it is.

    Raises:
        CaseError: a phase shift, line charging behind a transformer, a branch without impedance: what three
            uncoupled wye-wye phases cannot say.
    """
    if feeder.phases == "per-phase":
        return feeder
    kinds = feeder.column("branches", "type")
    units = (feeder.column("branches", "tap") != 1.0) | (kinds == "transformer") | (kinds == "regulator")
    _refuse(feeder, units)
    return dataclasses.replace(
        feeder, phases="per-phase", branches=_branches(feeder, units), transformers=_units(feeder, units),
        metadata=dict(feeder.metadata) | {"phases_from": "positive sequence"},
    )  # fmt: skip


def _refuse(feeder: Feeder, units: np.ndarray) -> None:
    """CaseError for what cannot be said phase by phase."""
    column = feeder.column
    empty = (column("branches", "r") == 0) & (column("branches", "x") == 0)
    wrong = (
        ("shift_deg", column("branches", "shift_deg") != 0, "0: what windings make it is not known"),
        ("b", units & (column("branches", "b") != 0), "0 for a branch that becomes a transformer"),
        ("x", empty & ~units, "an impedance; join the nodes, or make it a short line"),
    )  # fmt: skip
    ids = column("branches", "branch_id")
    problems = [
        Problem(f"branches, {ids[row]!r}", int(row), name, str(column("branches", name)[row]), expected)
        for name, bad, expected in wrong
        for row in np.flatnonzero(bad)
    ]
    if feeder.regulators.num_rows:
        expected = "none: which unit of which phase has the taps is not known"
        problems.append(Problem("regulators", 0, "reg_id", str(column("regulators", "reg_id")[0]), expected))
    if problems:
        raise CaseError(problems, f"feeder {feeder.name!r} cannot be written phase by phase:")


def _branches(feeder: Feeder, units: np.ndarray) -> pa.Table:
    """The branches with matrices in ohm and microsiemens, and transformers where `units` says so."""
    column, branches = feeder.column, feeder.branches
    kv = column("nodes", "base_kv")[[feeder.node_index[node] for node in column("branches", "from_node")]]
    base = kv**2 / feeder.base_mva
    numbers = {
        "r_ohm": column("branches", "r") * base,
        "x_ohm": column("branches", "x") * base,
        "b_us": column("branches", "b") / base * 1e6,
    }
    columns: dict[str, Any] = {
        name: [None if unit else (np.eye(3) * value).ravel().tolist()
               for value, unit in zip(values, units, strict=True)]
        for name, values in numbers.items()
    }  # fmt: skip
    kinds = column("branches", "type")
    columns["type"] = np.where(units & (kinds != "regulator"), "transformer", kinds).tolist()
    for name, values in columns.items():
        field = branches.schema.field(name)
        branches = branches.set_column(branches.column_names.index(name), field, pa.array(values, field.type))
    return branches


def _units(feeder: Feeder, units: np.ndarray) -> pa.Table:
    """One wye-wye unit on base_mva for each branch of `units`."""
    kv = feeder.column("nodes", "base_kv")
    branches = feeder.branches.to_pylist()
    rows = [
        {
            "transformer_id": branch["branch_id"], "branch_id": branch["branch_id"],
            "s_mva": feeder.base_mva,
            "hv_kv": kv[feeder.node_index[branch["from_node"]]],
            "lv_kv": kv[feeder.node_index[branch["to_node"]]],
            "feeder_id": branch["feeder_id"], "connection": "wye-wye",
            "from_phase": "ABC", "to_phase": "ABC",
            "r_pct": 100.0 * branch["r"], "x_pct": 100.0 * branch["x"],
            "tap_from": branch["tap"], "tap_to": 1.0, "lag_deg": 0.0,
        }
        for branch in (branches[row] for row in np.flatnonzero(units))
    ]  # fmt: skip
    return table("transformers", {name: [row[name] for row in rows] for name in rows[0]} if rows else {})
