"""Infos of a vector environment: one array a key, and a mask ``_key`` of the environments that have it.

The keys are those of `envs.info`. Arrays are fresh in every step and nobody changes them afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.outcome import Outcome
from ..kernels import info_table
from ..kernels.rows import write_info_rows
from .shards import Shard

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Tree = dict[str, Any]  # name -> array, or a tree of them
_PAD = 24  # lines of a table that lay whole pages apart would push each other out of the cache


class InfoArrays:
    """What shards tell, row by row of the whole batch, each into its own rows: safe on threads."""

    def __init__(self, rows: int, like: Shard) -> None:
        grid, plan = like.grid, info_table.PLAN
        units = grid.fleet.n_units
        self._rows, self._plan, self._columns = rows, plan, grid.stepper.info_columns
        self._numbers = np.empty((len(plan.numbers), rows + _PAD))
        self._counts = np.empty((len(plan.counts) + len(plan.clocks), rows + _PAD), dtype=np.int64)
        self._flags = np.empty((len(plan.flags), rows + _PAD), dtype=np.bool_)
        self._tables = tuple(np.empty((rows, columns.size)) for columns in self._columns)
        self.more: Tree = {}  # arrays of an environment's own, which it fills itself
        self._p_mw, self._q_mvar = np.empty((rows, units)), np.empty((rows, units))
        switched_devices = grid.fleet.switched_devices
        self._positions = {device.info_name: np.empty((rows, device.n_units)) for device in switched_devices}
        if grid.fleet.settling:
            self._positions["unsettled"] = np.empty((rows, units))
        self.terminated, self.truncated = (np.zeros(rows, dtype=np.bool_) for _ in range(2))
        self._violations = np.zeros(rows, dtype=np.int64)
        assert grid.names is not None  # known from the first reset on
        self._names = grid.names
        lines = 4 + len(grid.names[0]) + len(grid.names[1])
        self._earned = np.zeros((lines, rows + _PAD))

    def write_state(self, shard: Shard) -> None:
        """Take over the present state of a shard."""
        grid, stepper, fleet, plan = shard.grid, shard.grid.stepper, shard.grid.fleet, self._plan
        node, branch, three = self._columns
        voltages, loading, unbalance = self._tables
        write_info_rows(
            shard.lo, stepper.ended, stepper.measured, grid.clocks, stepper.v_pu, stepper.loading,
            stepper.vuf_pct, plan.number_columns, plan.count_columns, plan.clock_rows, plan.flag_bits,
            node.column, branch.column, three.column, fleet.delivered_p_mw, fleet.delivered_q_mvar,
            self._numbers, self._counts, self._flags, voltages, loading, unbalance, self._p_mw, self._q_mvar,
        )  # fmt: skip
        for device in fleet.switched_devices:
            self._positions[device.info_name][shard.rows] = device.position
        if fleet.settling:
            self._positions["unsettled"][shard.rows] = fleet.accounts["unsettled"]

    def write_outcome(self, shard: Shard, outcome: Outcome) -> None:
        """Take over what a step of a shard brought."""
        rewards, costs, charged = outcome.rewards, outcome.costs, outcome.resource_costs
        rows = shard.rows
        self.terminated[rows], self.truncated[rows] = outcome.terminated, outcome.truncated
        lines, zeros = self._earned[:, rows], shard.grid.zeros
        lines[0], lines[2] = outcome.reward, outcome.cost
        if charged:
            lines[1] = sum(charged.values())
            self._violations[rows] = sum((value > 0.0).astype(np.int64) for value in charged.values())
        for k, value in enumerate((outcome.unserved_mw, *rewards.values(), *costs.values()), start=3):
            if value is not zeros:  # as they are: the lines are made of zeros
                lines[k] = value

    @property
    def reward(self) -> NDArray[np.float64]:
        """(rows,) of the step; zeros where nothing was advanced."""
        return self._earned[0, : self._rows]

    def state(self) -> Tree:
        """What ``envs.info.state_info`` tells, in the same order."""
        n, plan = self._rows, self._plan
        tables = [columns.over(table) for columns, table in zip(self._columns, self._tables, strict=True)]
        lines = (*self._numbers[:, :n], *self._counts[:, :n], *self._flags[:, :n], *tables)
        return dict(zip(plan.state, plan.pick_lines(lines), strict=True))

    def _delivered(self) -> Tree:
        """What ``Fleet.delivered`` tells."""
        return {"p_mw": self._p_mw, "q_mvar": self._q_mvar, **self._positions}

    def step(self) -> Tree:
        """What ``envs.info.step_info`` adds; zeros where nothing was advanced."""
        rewards, costs = self._names
        lines = iter(self._earned[1:, : self._rows])
        resource, cost, unserved = next(lines), next(lines), next(lines)
        return {
            "unserved_MW": unserved, "cost_resource": resource, "n_resource_violations": self._violations,
            "rewards": {name: next(lines) for name in rewards},
            "costs": {name: next(lines) for name in costs},
            "cost": cost, "delivered": self._delivered(),
        }  # fmt: skip

    def all(self) -> Tree:
        """Everything that is told."""
        tree = self.state()
        tree.update(self.step())
        tree.update(self.more)
        return tree

    def forget(self, rows: BoolArray, reward: bool) -> None:
        """As if nothing had been earned or charged in ``rows``; ``reward``: that of the step as well."""
        self._earned[0 if reward else 1 :, : self._rows][:, rows] = 0.0
        self._violations[rows] = 0


def blank(tree: Tree, rows: BoolArray) -> Tree:
    """The same tree, its arrays set to 0 in ``rows``."""
    for value in tree.values():
        if isinstance(value, dict):
            blank(value, rows)
        else:
            np.asarray(value)[rows] = 0  # the numbers of a masked array
    return tree


def copied(tree: Tree) -> Tree:
    """The tree with arrays of its own."""
    return {name: copied(v) if isinstance(v, dict) else v.copy() for name, v in tree.items()}


def masked(tree: Tree, mask: BoolArray) -> Tree:
    """The tree with ``_key`` beside each key."""
    infos: Tree = {}
    for name, value in tree.items():
        infos[name] = masked(value, mask) if isinstance(value, dict) else value
        infos["_" + name] = mask
    return infos
