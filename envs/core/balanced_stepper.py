"""The balanced power flow behind the names of a `SolvedGrid`: one column per node and per branch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...physics import Network, StateBounds, state_bounds
from ...physics.balanced.stepper import Stepper
from ...physics.solved_grid import ColumnNames, InfoColumns, NoColumns, PlainColumns, SolveSetup

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_STATE = ("v", "v_pu", "s_from", "s_to", "i_ka", "loading", "ended", "measured", "tap", "cap_on")


class NodeColumns:
    """The columns of a balanced network: loads, injections and voltages by node, flows by branch.

    A `SolvedGrid` of your own on such a network inherits them, from here and from `SolvedArrays`.
    """

    net: Network
    batch: int
    v_min: FloatArray
    v_max: FloatArray
    v_collapse_pu: float = 0.5

    @cached_property
    def info_columns(self) -> InfoColumns:
        """As they are; there is no unbalance."""
        return InfoColumns(PlainColumns(self.net.n_bus), PlainColumns(self.net.n_branch), NoColumns())

    @property
    def names(self) -> ColumnNames:
        """Ids of nodes and branches."""
        column = self.net.feeder.column
        nodes = tuple(str(n) for n in column("nodes", "node_id"))
        return ColumnNames(nodes, nodes, tuple(str(b) for b in column("branches", "branch_id")), ())

    @property
    def v_limits_pu(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest voltage allowed, per node."""
        return self.v_min, self.v_max

    @property
    def rating_mva(self) -> FloatArray:
        """(n_branch,)."""
        return self.net.rating_mva

    @property
    def dead_columns(self) -> tuple[IntArray, IntArray]:
        """Nodes that no source reaches, of loads and of injections."""
        dead = np.flatnonzero(~self.net.energised).astype(np.int64)
        return dead, dead

    @property
    def vuf_violation_max_pct(self) -> float:
        """There is no unbalance."""
        return 0.0

    @property
    def has_solution(self) -> bool:
        """Columns are all that is kept."""
        return False

    def solution(self) -> Any:
        """ValueError: nothing beyond the columns is kept."""
        raise ValueError(f"{type(self).__name__} keeps no whole solution: read its columns")

    def bounds(self, s_load_mva: FloatArray, s_port_mva: FloatArray) -> StateBounds:
        """See `state_bounds`; both arguments (n_bus,)."""
        return state_bounds(self.net, s_load_mva + s_port_mva, self.v_collapse_pu)

    def i_max_ka(self, s_branch_mva: FloatArray, v_low_pu: float) -> FloatArray:
        """(n_branch,) at the lower of both ends' base voltages."""
        net = self.net
        kv = np.minimum(net.base_kv[net.from_row], net.base_kv[net.to_row]) * v_low_pu
        return np.asarray(s_branch_mva / kv)

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays of the solved state, those that are kept."""
        arrays = {name: getattr(self, name) for name in _STATE if hasattr(self, name)}
        return {name: array for name, array in arrays.items() if len(array) == self.batch}


class BalancedStepper(NodeColumns, Stepper):
    """A `Stepper` that an environment reads as any `SolvedGrid`."""

    def __init__(
        self, net: Network, batch: int, setup: SolveSetup, _like: BalancedStepper | None = None
    ) -> None:
        super().__init__(net, batch, setup.v_min, setup.v_max, setup.details)
        self._setup = setup

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has arrays of its own; see `Stepper`."""
        return BalancedStepper, (self.net, self.batch, self._setup), super().__reduce__()[2]
