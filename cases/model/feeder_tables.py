"""The tables of a feeder and how they are read; what `Feeder` adds is that they are valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from ..schema import TABLES, in_one, matrices, table


@dataclass(frozen=True, eq=False, repr=False)
class FeederTables:
    """Nine Arrow tables and the header of a feeder, read-only; see :class:`distgrid.cases.Feeder`.

    What only reads a feeder (its graph, its description, edits that make new tables) takes this.
    """

    name: str
    base_mva: float
    feeder_id: str
    nodes: pa.Table
    branches: pa.Table
    loads: pa.Table
    capacitors: pa.Table
    regulators: pa.Table
    transformers: pa.Table
    switches: pa.Table
    sources: pa.Table
    cap_controls: pa.Table = field(default_factory=lambda: table("cap_controls", {}))
    metadata: Mapping[str, str] = field(default_factory=dict)
    phases: str = "balanced"

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.nodes.num_rows)

    @property
    def n_branches(self) -> int:
        """Number of branches, open ones included."""
        return int(self.branches.num_rows)

    @cached_property
    def node_index(self) -> Mapping[str, int]:
        """Row in `nodes` by node id."""
        return MappingProxyType({node: k for k, node in enumerate(self.nodes["node_id"].to_pylist())})

    @cached_property
    def branch_index(self) -> Mapping[str, int]:
        """Row in `branches` by branch id."""
        branches = self.branches["branch_id"].to_pylist()
        return MappingProxyType({branch: k for k, branch in enumerate(branches)})

    def column(self, table: str, column: str) -> np.ndarray:
        """Column as a read-only array: float64 (NaN for null), int64, bool, or object (str, None for null).

        The 3x3 columns are (rows, 3, 3), NaN where null.

        Raises:
            ValueError: no such table or column.
        """
        known: dict[tuple[str, str], np.ndarray] = self.__dict__.setdefault("_columns", {})
        array = known.get((table, column))
        if array is None:
            if table not in TABLES or column not in TABLES[table].names:
                columns = ", ".join(TABLES[table].names) if table in TABLES else ", ".join(TABLES)
                raise ValueError(f"no column {table}.{column}; choose one of {columns}")
            values = in_one(getattr(self, table).column(column))
            if pa.types.is_list(values.type):
                array = matrices(values)
            else:
                array = np.array(values.to_numpy(zero_copy_only=False), order="C")
            array.flags.writeable = False
            known[table, column] = array
        return array
