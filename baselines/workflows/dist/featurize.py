"""A feeder as graphs for graph neural networks: features and power flow of every node and branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import cases, physics
from ....cases.model.topology import branch_ends
from ...hosting.capacity import Settings, flows_of
from ...hosting.moments import Moments, operating_point, steps_of_days
from ...jobs.unit_tables import NUMBER, TEXT, YES_NO, schema, table

FloatArray = NDArray[np.float64]
COUNT = pa.int64()
_PHASES = ("a", "b", "c")
_LOADS = (("p_load", "MW at 1 pu"), ("q_load", "Mvar at 1 pu"))  # what they draw depends on the voltage
_EDGE = ("r_pu", "x_pu", "b_pu", "tap", "rating_mva", "is_line", "is_transformer", "is_switch")


def _node_columns(*, per_phase: bool) -> tuple[tuple[str, str], ...]:
    """What is known of a node before the power flow, with units."""
    each = [(f"{name}_{k}", unit) for name, unit in _LOADS for k in _PHASES]
    loads = each if per_phase else list(_LOADS)
    there = [(f"has_{k}", "") for k in _PHASES] if per_phase else []
    return (("is_source", ""), ("base_kv", "kV"), *there, *loads, ("q_capacitor", "Mvar"))


def _targets(*, per_phase: bool) -> tuple[tuple[str, str], ...]:
    """What the power flow says of a node."""
    if not per_phase:
        return ("v_pu", "pu"), ("v_deg", "degree")
    return tuple(
        (f"{name}_{k}", unit) for name, unit in (("v_pu", "pu"), ("v_deg", "degree")) for k in _PHASES
    )


def node_schema(*, per_phase: bool) -> pa.Schema:
    """One row a graph and node."""
    numbers = [
        (name, NUMBER, unit or "1")
        for name, unit in (*_node_columns(per_phase=per_phase), *_targets(per_phase=per_phase))
    ]
    return schema(("graph_id", COUNT, ""), ("node", COUNT, ""), ("node_id", TEXT, ""), *numbers)


EDGES = schema(
    ("graph_id", COUNT, ""), ("edge", COUNT, ""), ("branch_id", TEXT, ""),
    ("from", COUNT, ""), ("to", COUNT, ""),  # places of nodes in the graph
    ("closed", YES_NO, ""), ("r_pu", NUMBER, "pu"), ("x_pu", NUMBER, "pu"), ("b_pu", NUMBER, "pu"),
    ("tap", NUMBER, "1"), ("rating_mva", NUMBER, "MVA"), ("is_line", NUMBER, "1"),
    ("is_transformer", NUMBER, "1"), ("is_switch", NUMBER, "1"),
    ("p_from_mw", NUMBER, "MW"), ("q_from_mvar", NUMBER, "Mvar"), ("loading", NUMBER, "of the rating"),
)  # fmt: skip
GRAPHS = schema(
    ("graph_id", COUNT, ""), ("feeder", TEXT, ""), ("step", COUNT, ""),  # null at nominal loads
    ("n_nodes", COUNT, ""), ("n_edges", COUNT, ""), ("converged", YES_NO, ""),
    ("p_load_mw", NUMBER, "MW at 1 pu"), ("p_loss_mw", NUMBER, "MW"), ("p_source_mw", NUMBER, "MW"),
)  # fmt: skip


def feeder_graphs(
    feeder: cases.Feeder, *, load_scale: float = 1.0, split: str | None = None, days: Sequence[int] = ()
) -> dict[str, pa.Table]:
    """Tables ``graphs``, ``nodes`` and ``edges`` of a feeder with its power flow.

    Args:
        feeder: Balanced or per phase.
        load_scale: Of all loads.
        split: A graph for every step of the days of "train", "val", "test", ...; None: nominal loads.
        days: Of the split; none: all.

    Raises:
        RunError: A load scale, a split or days that cannot be.
    """
    found = Featurizer.of(feeder, load_scale, split, days)
    return found.tables(0, len(found.moments))


class Featurizer:
    """Graphs of one feeder, one for each moment."""

    def __init__(self, feeder: cases.Feeder, moments: Moments, net: Any) -> None:
        """``net``: the feeder compiled."""
        self.feeder, self.moments, self.net = feeder, moments, net
        self.per_phase = feeder.phases == "per-phase"
        self.ends = list(branch_ends(feeder).T)
        self.closed = np.asarray(feeder.column("branches", "status"), dtype=bool)

    @classmethod
    def of(
        cls, feeder: cases.Feeder, load_scale: float, split: str | None, days: Sequence[int]
    ) -> Featurizer:
        """See `feeder_graphs`."""
        flows = flows_of(feeder, Settings())
        if split is None:
            moments = operating_point(flows, load_scale)
        else:
            moments = steps_of_days(flows, split, days or None, load_scale)
        return cls(feeder, moments, flows.net)

    def tables(self, first: int, last: int) -> dict[str, pa.Table]:
        """Nodes, edges and graphs of the moments from ``first`` to before ``last``."""
        at = np.arange(first, last)
        loads = self.moments.rows(at)
        sol = physics.solve(self.net, **loads)
        return {
            "graphs": self._graphs(at, loads, sol),
            "nodes": self._nodes(at, loads, sol),
            "edges": self._edges(at, sol),
        }

    def _graphs(self, at: NDArray[np.int64], loads: Mapping[str, FloatArray], sol: Any) -> pa.Table:
        step = self.moments.step[at]
        total = sum(loads[name].reshape(at.size, -1).sum(axis=1) for name in loads if name.startswith("p_"))
        return table(
            {
                "graph_id": at, "feeder": [self.feeder.name] * at.size,
                "step": [None if s < 0 else int(s) for s in step],
                "n_nodes": np.full(at.size, self.feeder.n_nodes),
                "n_edges": np.full(at.size, int(self.closed.sum())), "converged": sol.converged,
                "p_load_mw": total, "p_loss_mw": sol.p_loss_mw, "p_source_mw": sol.p_slack_mw,
            }, GRAPHS,
        )  # fmt: skip

    def _nodes(self, at: NDArray[np.int64], loads: Mapping[str, FloatArray], sol: Any) -> pa.Table:
        n, feeder = self.feeder.n_nodes, self.feeder
        ids = [str(name) for name in feeder.column("nodes", "node_id")]
        sources = [str(name) for name in feeder.column("sources", "node_id")]
        fixed = {
            "node": np.arange(n), "is_source": np.isin(ids, sources).astype(float),
            "base_kv": self.net.base_kv, "q_capacitor": self._capacitors(),
        }  # fmt: skip
        columns: dict[str, Any] = {"graph_id": np.repeat(at, n), "node_id": ids * at.size}
        columns |= {name: np.tile(value, at.size) for name, value in fixed.items()}
        p, q = self._loads(loads)
        values = {"p_load": p, "q_load": q, "v_pu": sol.v_pu, "v_deg": sol.v_deg}
        for name, value in values.items():
            if not self.per_phase:
                columns[name] = value.reshape(-1)
                continue
            for k, letter in enumerate(_PHASES):
                columns[f"{name}_{letter}"] = value[..., k].reshape(-1)
        if self.per_phase:
            for k, letter in enumerate(_PHASES):
                columns[f"has_{letter}"] = np.tile(self.net.present[:, k].astype(float), at.size)
        return table(columns, node_schema(per_phase=self.per_phase))

    def _loads(self, loads: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """P and Q of nodes or phases; what stands between two phases counts half at each."""
        p, q = loads["p_mw"], loads["q_mvar"]
        if self.per_phase:
            p, q = (
                wye + 0.5 * (leg + np.roll(leg, 1, axis=-1))
                for wye, leg in ((p, loads["p_delta_mw"]), (q, loads["q_delta_mvar"]))
            )
        return p, q

    def _capacitors(self) -> FloatArray:
        """(n_nodes,) Mvar of the banks that are on."""
        found = np.zeros(self.feeder.n_nodes)
        for row in self.feeder.capacitors.to_pylist():
            if row["status"]:
                found[self.feeder.node_index[row["node_id"]]] += row["q_mvar"]
        return found

    def _edges(self, at: NDArray[np.int64], sol: Any) -> pa.Table:
        closed, col = np.flatnonzero(self.closed), self.feeder.column
        m = closed.size
        kind = [str(kind) for kind in col("branches", "type")[closed]]
        switched = set(map(str, col("switches", "branch_id")))
        names = [str(name) for name in col("branches", "branch_id")[closed]]
        fixed: dict[str, Any] = {
            "edge": np.arange(m), "from": self.ends[0][closed], "to": self.ends[1][closed],
            "r_pu": col("branches", "r")[closed], "x_pu": col("branches", "x")[closed],
            "b_pu": col("branches", "b")[closed], "tap": col("branches", "tap")[closed],
            "rating_mva": col("branches", "thermal_limit_mva")[closed],
            "is_line": np.array([k == "line" for k in kind], dtype=float),
            "is_transformer": np.array([k in ("transformer", "regulator") for k in kind], dtype=float),
            "is_switch": np.array([name in switched for name in names], dtype=float),
        }  # fmt: skip
        columns: dict[str, Any] = {name: np.tile(value, at.size) for name, value in fixed.items()}
        columns |= {
            "graph_id": np.repeat(at, m), "branch_id": names * at.size, "closed": np.full(at.size * m, True),
            "p_from_mw": self._of_branch(sol.p_from_mw)[:, closed].reshape(-1),
            "q_from_mvar": self._of_branch(sol.q_from_mvar)[:, closed].reshape(-1),
            "loading": self._of_branch(sol.loading, most=True)[:, closed].reshape(-1),
        }  # fmt: skip
        return table(columns, EDGES)

    def _of_branch(self, value: FloatArray, *, most: bool = False) -> FloatArray:
        """(graphs, branches): of phases the sum, or the largest; NaN where none has a value."""
        if value.ndim == 2:
            return value
        return np.asarray(np.fmax.reduce(value, axis=2) if most else np.nansum(value, axis=2))


def pyg_graphs(tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Graphs as PyTorch Geometric's `Data` wants them, in plain lists.

    Every branch is two directed edges, one a direction. What does not exist (a phase, a rating) is 0 in
    ``x`` and ``edge_attr``, and null in ``y``.
    """
    nodes, edges = tables["nodes"], tables["edges"]
    names = nodes.schema.names[3:]
    y_names = [name for name in names if name.startswith("v_")]
    x_names = [name for name in names if name not in y_names]
    x, y = (np.column_stack([nodes[name].to_numpy() for name in some]) for some in (x_names, y_names))
    ends = np.column_stack([edges[name].to_numpy() for name in ("from", "to")])
    features = np.nan_to_num(np.column_stack([edges[name].to_numpy() for name in _EDGE]))
    rows = tables["graphs"].to_pylist()
    split = [np.split(array, len(rows)) for array in (np.nan_to_num(x), y, ends, features)]  # of one feeder
    graphs = [
        {
            "graph_id": row["graph_id"], "num_nodes": row["n_nodes"], "x": of_x.tolist(),
            "edge_index": np.vstack([way, way[:, ::-1]]).T.tolist(),
            "edge_attr": np.tile(of_edge, (2, 1)).tolist(),
            "y": [[None if np.isnan(v) else v for v in line] for line in of_y.tolist()],
        }
        for row, of_x, of_y, way, of_edge in zip(rows, *split, strict=True)
    ]  # fmt: skip
    return {
        "format": "distgrid.pyg/1", "x": x_names, "edge_attr": list(_EDGE), "y": y_names, "graphs": graphs
    }  # fmt: skip


def checked_graph(graph: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> None:
    """ValueError where a graph of the file does not have the shape that `Data` wants."""
    n, links = graph["num_nodes"], np.array(graph["edge_index"])
    if links.ndim != 2 or links.shape[0] != 2 or (links.size and not 0 <= links.min() <= links.max() < n):
        raise ValueError("edge_index must be (2, edges) with places of nodes")
    for name, rows in (("x", n), ("y", n), ("edge_attr", links.shape[1])):
        if len(graph[name]) != rows or any(len(row) != len(names[name]) for row in graph[name]):
            raise ValueError(f"{name} must be ({rows}, {len(names[name])})")
