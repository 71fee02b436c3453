"""Where each number of a flat observation stands in a graph of nodes and branches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import GraphInstance
from numpy.typing import NDArray

from ...cases.model.topology import branch_ends
from .columns import branch_phases, node_phases, per_phase

if TYPE_CHECKING:
    from ...cases import Feeder
    from ..resources.base import UnitInfo
    from .observation_layout import Layout

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
_LETTERS = "ABC"


class Observable(Protocol):
    """What a graph layout is made of: a single or vector environment, or its scenario."""

    @property
    def feeder(self) -> Feeder:
        """Its tables."""

    @property
    def layout(self) -> Layout:
        """Entries of the flat observation."""

    @property
    def units(self) -> tuple[UnitInfo, ...]:
        """Where devices stand."""


class GraphLayout:
    """Where each number of a flat observation stands in a graph; the graph holds the same numbers.

    A node is a row of ``feeder.nodes``, an edge a branch from its from to its to node, open ones included.

    - Node features: blocks per node, load point and three-phase node; what the fleet observes, at the bus of
      each device (a second device of a kind at a bus: "battery.soc#2"); every number of the whole feeder
      (clock, prices, losses, forecasts) at every node.
    - Edge features: blocks per branch, and of the branch's table the series impedance ``r_pu, x_pu``
      (positive sequence) and whether it is ``closed``.
    - On per-phase feeders a block has a feature for each phase ("v_pu.A"), between phases "load_p_mw.AB";
      "phase.A" ... say which phases the node or branch has. Where there is none, the feature is 0.

    Attributes:
        node_names, edge_names: names of the features, in their order.
        edge_links: (n_branches, 2) rows of the from and to node.
        space: `gymnasium.spaces.Graph` of one observation, with finite bounds.

    Args:
        env: a single or vector environment; the layouts of all its rows are one.
    """

    def __init__(self, env: Observable) -> None:
        feeder, layout = env.feeder, env.layout
        described, (low, high) = layout.describe(), layout.box()
        nodes, edges = _Features(feeder.n_nodes), _Features(feeder.n_branches)
        unit_rows = {unit.name: unit.node_row for unit in env.units}
        rows = {"node": feeder.node_index, "load": feeder.node_index, "unbalance": feeder.node_index}
        for name, block in layout.blocks.items():
            for entry in described[layout[name]]:
                if block.per == "branch":
                    _place(edges, entry.name, entry.index, feeder.branch_index)
                elif block.per in rows:
                    _place(nodes, entry.name, entry.index, rows[block.per])
                elif entry.name.rpartition(".")[0] in unit_rows:
                    nodes.add(unit_rows[entry.name.rpartition(".")[0]], name, entry.index)
                else:
                    nodes.everywhere(entry.name, entry.index)
        self.edge_links: IntArray = branch_ends(feeder)
        self._size = layout.size
        self._nodes, self._edges = nodes.columns(), edges.columns()
        self._node_constants, node_names = _phases_of(feeder, "nodes")
        phases, phase_names = _phases_of(feeder, "branches")
        self._edge_constants = np.concatenate([_branch_table(feeder), phases], axis=1)
        self.node_names = (*nodes.names, *node_names)
        self.edge_names = (*edges.names, "r_pu", "x_pu", "closed", *phase_names)
        self.space = spaces.Graph(
            _box(self._nodes, low, high, self._node_constants),
            _box(self._edges, low, high, self._edge_constants),
        )

    def nodes(self, observation: FloatArray) -> FloatArray:
        """(..., n_nodes, features) of flat observations (..., n_obs): one, or those of a vector."""
        return _gathered(observation, self._nodes, self._node_constants)

    def edges(self, observation: FloatArray) -> FloatArray:
        """(..., n_branches, features) of flat observations (..., n_obs)."""
        return _gathered(observation, self._edges, self._edge_constants)

    def as_array(self, nodes: FloatArray, edges: FloatArray) -> FloatArray:
        """(..., n_obs) the flat observations of (..., n_nodes, features) and (..., n_branches, features)."""
        out = np.empty((*nodes.shape[:-2], self._size), dtype=np.float32)
        for columns, values in ((self._nodes, nodes), (self._edges, edges)):
            row, feature = np.nonzero(columns >= 0)
            out[..., columns[row, feature]] = values[..., row, feature]
        return out

    def graph(self, observation: FloatArray) -> GraphInstance:
        """The graph of one flat observation (n_obs,); fresh arrays."""
        return GraphInstance(self.nodes(observation), self.edges(observation), self.edge_links.copy())


class _Features:
    """Columns of the flat observation by feature and row; -1 where a row has nothing."""

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._found: dict[str, IntArray] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._found)

    def add(self, row: int, feature: str, column: int) -> None:
        """At one row; under a name with a number where the feature is taken there."""
        name, k = feature, 1
        while name in self._found and self._found[name][row] >= 0:
            k += 1
            name = f"{feature}#{k}"
        self._found.setdefault(name, np.full(self._n_rows, -1, dtype=np.int64))[row] = column

    def everywhere(self, feature: str, column: int) -> None:
        """At every row."""
        self._found[feature] = np.full(self._n_rows, column, dtype=np.int64)

    def columns(self) -> IntArray:
        """(rows, features)."""
        return np.stack([*self._found.values(), np.empty(self._n_rows, dtype=np.int64)], axis=1)[:, :-1]


def _place(features: _Features, label: str, column: int, rows: Mapping[str, int]) -> None:
    """An entry "v_pu[671.A].measured" or "load_forecast_mw[18,+1]" goes to its row."""
    parts = re.fullmatch(r"([^\[]*)\[(.*)\](.*)", label)
    if parts is None:
        features.everywhere(label, column)
        return
    name, inside, tail = parts.groups()
    place, _, step = inside.rpartition(",") if inside.rpartition(",")[2].startswith("+") else (inside, "", "")
    if place in rows:
        row, phase = rows[place], ""
    else:
        node, _, letters = place.rpartition(".")
        row, phase = rows[node], f".{letters}"
    features.add(row, f"{name}{phase}{f'[{step}]' if step else ''}{tail}", column)


def _branch_table(feeder: Feeder) -> FloatArray:
    """(n_branches, 3) of the branch's table; 0 where it has none."""
    columns = [feeder.column("branches", c).astype(np.float64) for c in ("r", "x", "status")]
    return np.nan_to_num(np.stack(columns, axis=1)).astype(np.float32)


def _phases_of(feeder: Feeder, table: str) -> tuple[FloatArray, tuple[str, ...]]:
    """(rows, 3) which phases there are, and the names; no columns on a balanced feeder."""
    n = feeder.n_nodes if table == "nodes" else feeder.n_branches
    if not per_phase(feeder):
        return np.zeros((n, 0), dtype=np.float32), ()
    out = np.zeros((n, 3), dtype=np.float32)
    at = node_phases(feeder) if table == "nodes" else branch_phases(feeder)
    out[at[:, 0], at[:, 1]] = 1.0
    return out, tuple(f"phase.{letter}" for letter in _LETTERS)


def _gathered(observation: FloatArray, columns: IntArray, constants: FloatArray) -> FloatArray:
    values = np.where(columns >= 0, observation[..., np.maximum(columns, 0)], np.float32(0.0))
    shape = (*values.shape[:-1], constants.shape[-1])
    return np.concatenate([values, np.broadcast_to(constants, shape)], axis=-1, dtype=np.float32)


def _box(columns: IntArray, low: FloatArray, high: FloatArray, constants: FloatArray) -> spaces.Box:
    """Bounds of a feature: those of all its entries, and 0 where some row has none."""
    some = columns >= 0
    bottom = np.where(some, low[np.maximum(columns, 0)], 0.0).min(axis=0, initial=0.0)
    top = np.where(some, high[np.maximum(columns, 0)], 0.0).max(axis=0, initial=0.0)
    bottom = np.append(bottom, constants.min(axis=0, initial=0.0)).astype(np.float32)
    return spaces.Box(bottom, np.append(top, constants.max(axis=0, initial=1.0)).astype(np.float32))
