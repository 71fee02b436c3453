"""What an episode did to each node and branch: the extremes over its steps, as two small tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_KEYS = [("policy", pa.string()), ("episode", pa.int64()), ("day", pa.int64())]
NODES_SCHEMA = pa.schema(
    [*_KEYS, ("node_id", pa.string()), ("v_min_pu", pa.float64()), ("v_max_pu", pa.float64())]
)
BRANCHES_SCHEMA = pa.schema([*_KEYS, ("branch_id", pa.string()), ("loading_max", pa.float64())])


class Envelope:
    """Extremes over the steps whose power flow converged: the last iterate of a failed one is no state."""

    def __init__(self, feeder: Any) -> None:
        """`feeder`: whose nodes and branches are watched."""
        self._node_ids = feeder.nodes["node_id"].combine_chunks().cast(pa.string())
        self._branch_ids = feeder.branches["branch_id"].combine_chunks().cast(pa.string())
        self.low: FloatArray = np.full(len(self._node_ids), np.nan)  # (n_nodes,) pu
        self.high: FloatArray = np.full(len(self._node_ids), np.nan)
        self.loading: FloatArray = np.full(len(self._branch_ids), np.nan)  # (n_branches,) share of the rating

    def add(self, v_pu: FloatArray, loading: FloatArray) -> None:
        """One converged step. `v_pu`: (n_nodes,) or (n_nodes, 3); `loading`: the same for branches."""
        by_node = v_pu.reshape(self.low.size, -1)
        np.fmin(self.low, np.fmin.reduce(by_node, axis=1), out=self.low)
        np.fmax(self.high, np.fmax.reduce(by_node, axis=1), out=self.high)
        np.fmax(
            self.loading, np.fmax.reduce(loading.reshape(self.loading.size, -1), axis=1), out=self.loading
        )

    def nodes(self, policy: str, episode: int, day: int) -> pa.Table:
        """One row a node; null where no power flow of the episode converged."""
        values = [self._node_ids, _nullable(self.low), _nullable(self.high)]
        return _table(policy, episode, day, values, NODES_SCHEMA)

    def branches(self, policy: str, episode: int, day: int) -> pa.Table:
        """One row a branch; null where it has no rating, or no power flow of the episode converged."""
        return _table(policy, episode, day, [self._branch_ids, _nullable(self.loading)], BRANCHES_SCHEMA)


def _nullable(values: FloatArray) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _table(policy: str, episode: int, day: int, values: list[pa.Array], schema: pa.Schema) -> pa.Table:
    n = len(values[0])
    keys = [pa.array([policy] * n, pa.string()), pa.array(np.full(n, episode)), pa.array(np.full(n, day))]
    return pa.Table.from_arrays([*keys, *values], schema=schema)
