"""Feeders of a source that holds several: which rows are whose, and one of them on its own.

Each row has the id of its feeder. Nodes have it from the source's own word for it (zones of a pandapower net,
areas of a RAW file, feeders of a CIM model) where that tells at least two apart, else from what feeds them
where there are several sources. A branch between two feeders is part of the one that it feeds.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..graph import breadth_first_forest, island_labels, joins
from ..model.edit import filtered, replaced
from ..model.feeder import Feeder
from ..schema import TABLES, table


def told_apart(feeder: Feeder, of_node: Mapping[str, str] | None = None) -> Feeder:
    """The feeder with the ids of its feeders in every row, where there are several.

    Args:
        feeder: what was read, all of its rows marked alike; one that is told apart already stays as it is.
        of_node: node to feeder, by the source's own word; a node without takes that of the nearest with one.
    """
    if not of_node and (feeder.sources.num_rows < 2 or len(feeder_ids(feeder)) > 1):
        return feeder
    ids = [str(node) for node in feeder.column("nodes", "node_id")]
    ends = _ends(feeder)
    marks = _spread([(of_node or {}).get(node, "") for node in ids], ends)
    if len(set(marks)) < 2:
        marks = _by_source(feeder, ends)
    if len(set(marks)) < 2:
        return feeder
    roots = [feeder.node_index[str(node)] for node in feeder.column("sources", "node_id")]
    _, _, depth = breadth_first_forest(len(ids), ends[joins(feeder.branches)], roots)
    branches = [
        marks[start if depth[start] > depth[end] or marks[start] == marks[end] else end]
        for start, end in ends.tolist()
    ]
    of_branch = dict(zip(feeder.column("branches", "branch_id").tolist(), branches, strict=True))
    at_node = dict(zip(ids, marks, strict=True))
    of_bank = {
        cap: at_node[node]
        for cap, node in zip(
            feeder.column("capacitors", "cap_id"), feeder.column("capacitors", "node_id"), strict=True
        )
    }
    keys: dict[str, tuple[str, Mapping[str, str]]] = {"cap_controls": ("cap_id", of_bank)}
    keys |= dict.fromkeys(("nodes", "loads", "capacitors", "sources"), ("node_id", at_node))
    keys |= dict.fromkeys(("branches", "regulators", "transformers", "switches"), ("branch_id", of_branch))
    tables = {}
    for name in TABLES:
        key, of_key = keys[name]
        found = [of_key[str(one)] for one in feeder.column(name, key)]
        tables[name] = replaced(getattr(feeder, name), "feeder_id", pa.array(found, pa.string()))
    return dataclasses.replace(feeder, **tables)


def feeder_ids(feeder: Feeder) -> tuple[str, ...]:
    """Ids of the feeders of a model, in the order of their first nodes."""
    return tuple(dict.fromkeys(feeder.column("nodes", "feeder_id").tolist()))


def only(feeder: Feeder, feeder_id: str, v_pu: NDArray[np.complex128]) -> Feeder:
    """One feeder of several, named by its id.

    A feeder that another one feeds gets a source where it is fed, at the voltage that holds there.

    Args:
        feeder: the model with all of its feeders.
        feeder_id: the one to keep.
        v_pu: (n_nodes,) or (n_nodes, 3) voltages of the whole model.

    Raises:
        CaseError: no row has this id, or a per-phase feeder without a source of its own.
    """
    tables = filtered(feeder, feeder_id)
    ids = tables["nodes"].column("node_id").to_pylist()
    at = {node: row for row, node in enumerate(ids)}
    joined = tables["branches"].filter(pa.array(joins(tables["branches"])))
    pairs = zip(joined.column("from_node").to_pylist(), joined.column("to_node").to_pylist(), strict=True)
    ends = np.array([(at[start], at[end]) for start, end in pairs], dtype=np.intp).reshape(-1, 2)
    label = island_labels(len(ids), ends)
    fed = {int(label[at[node]]) for node in tables["sources"].column("node_id").to_pylist()}
    owners = tables["nodes"].column("feeder_id").to_pylist()
    heads = [
        node for node, owner in zip(ids, owners, strict=True)
        if owner != feeder_id and int(label[at[node]]) not in fed
    ]  # fmt: skip
    if heads and feeder.phases != "balanced":
        expected = "a feeder with a source of its own, as it is per-phase"
        raise CaseError([Problem("feeders", None, "feeder_id", repr(feeder_id), expected)])
    if heads:
        tables |= _with_heads(feeder, tables, heads, feeder_id, v_pu)
    return dataclasses.replace(feeder, name=feeder_id, feeder_id=feeder_id, **tables)


def _with_heads(
    feeder: Feeder, tables: dict[str, pa.Table], heads: list[str], feeder_id: str, v: NDArray[np.complex128]
) -> dict[str, pa.Table]:
    """Nodes and sources with a source at each node where another feeder feeds this one."""
    at = [v[feeder.node_index[node]] for node in heads]
    new = table(
        "sources",
        {
            "source_id": [f"head:{node}" for node in heads], "node_id": heads,
            "v_pu": [float(abs(one)) for one in at], "v_deg": [float(np.angle(one, deg=True)) for one in at],
            "feeder_id": [feeder_id] * len(heads),
        },
    )  # fmt: skip
    nodes = tables["nodes"]
    kinds = [
        "source" if node in heads else kind
        for node, kind in zip(
            nodes.column("node_id").to_pylist(), nodes.column("type").to_pylist(), strict=True
        )
    ]
    sources = pa.concat_tables([tables["sources"].replace_schema_metadata(None), new])
    return {"nodes": replaced(nodes, "type", pa.array(kinds)), "sources": sources}


def _ends(feeder: Feeder) -> NDArray[np.intp]:
    pairs = zip(feeder.column("branches", "from_node"), feeder.column("branches", "to_node"), strict=True)
    rows = [(feeder.node_index[str(start)], feeder.node_index[str(end)]) for start, end in pairs]
    return np.array(rows, dtype=np.intp).reshape(-1, 2)


def _spread(marks: list[str], ends: NDArray[np.intp]) -> list[str]:
    """Marks, with those of the nearest marked nodes where there is none."""
    found = list(marks)
    beside: dict[int, list[int]] = {}
    for start, end in ends.tolist():
        beside.setdefault(start, []).append(end)
        beside.setdefault(end, []).append(start)
    queue = deque(row for row, mark in enumerate(found) if mark)
    while queue:
        row = queue.popleft()
        for other in beside.get(row, ()):
            if not found[other]:
                found[other] = found[row]
                queue.append(other)
    return found


def _by_source(feeder: Feeder, ends: NDArray[np.intp]) -> list[str]:
    """The source that feeds each node, where there are several; else what the rows have."""
    own = [str(one) for one in feeder.column("nodes", "feeder_id")]
    if feeder.sources.num_rows < 2:
        return own
    label = island_labels(len(own), ends[joins(feeder.branches)])
    names = zip(feeder.column("sources", "source_id"), feeder.column("sources", "node_id"), strict=True)
    fed = {int(label[feeder.node_index[str(node)]]): str(name) for name, node in names}
    return [fed.get(int(island), mark) for island, mark in zip(label, own, strict=True)]
