"""What an episode did to each node and branch: the extremes over its steps, as two small tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_KEYS = [("policy", pa.string()), ("episode", pa.int64()), ("day", pa.int64())]
NODES_SCHEMA = pa.schema(
    [*_KEYS, ("node_id", pa.string()), ("v_min_pu", pa.float64()), ("v_max_pu", pa.float64())]
)
BRANCHES_SCHEMA = pa.schema([*_KEYS, ("branch_id", pa.string()), ("loading_max", pa.float64())])


class Envelope:
    """Extremes over the steps whose power flow converged: the last iterate of a failed one is no state.

    Args:
        feeder: Whose nodes and branches are watched.
        rows: Episodes that are played side by side.
    """

    def __init__(self, feeder: Any, rows: int = 1) -> None:
        self._node_ids = feeder.nodes["node_id"].combine_chunks().cast(pa.string())
        self._branch_ids = feeder.branches["branch_id"].combine_chunks().cast(pa.string())
        self.low: FloatArray = np.full((rows, len(self._node_ids)), np.nan)  # pu
        self.high: FloatArray = np.full((rows, len(self._node_ids)), np.nan)
        self.loading: FloatArray = np.full((rows, len(self._branch_ids)), np.nan)  # share of the rating

    def add(self, v_pu: FloatArray, loading: FloatArray, converged: BoolArray) -> None:
        """One step, counted in the rows that `converged` (rows,).

        `v_pu`: (rows, n_nodes) or (rows, n_nodes, 3); `loading`: the same for branches.
        """
        by_node, by_branch = v_pu, loading
        low = by_node if by_node.ndim == 2 else np.fmin.reduce(by_node, axis=2)
        high = by_node if by_node.ndim == 2 else np.fmax.reduce(by_node, axis=2)
        heaviest = by_branch if by_branch.ndim == 2 else np.fmax.reduce(by_branch, axis=2)
        where = True if converged.all() else converged[:, None]
        np.fmin(self.low, low, out=self.low, where=where)
        np.fmax(self.high, high, out=self.high, where=where)
        np.fmax(self.loading, heaviest, out=self.loading, where=where)

    def nodes(self, policy: str, episode: int, day: int, row: int = 0) -> pa.Table:
        """One row a node; null where no power flow of the episode converged."""
        values = [self._node_ids, _nullable(self.low[row]), _nullable(self.high[row])]
        return _table(policy, episode, day, values, NODES_SCHEMA)

    def branches(self, policy: str, episode: int, day: int, row: int = 0) -> pa.Table:
        """One row a branch; null where it has no rating, or no power flow of the episode converged."""
        values = [self._branch_ids, _nullable(self.loading[row])]
        return _table(policy, episode, day, values, BRANCHES_SCHEMA)


def _nullable(values: FloatArray) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _table(policy: str, episode: int, day: int, values: list[pa.Array], schema: pa.Schema) -> pa.Table:
    n = len(values[0])
    keys = [pa.array([policy] * n, pa.string()), pa.array(np.full(n, episode)), pa.array(np.full(n, day))]
    return pa.Table.from_arrays([*keys, *values], schema=schema)
