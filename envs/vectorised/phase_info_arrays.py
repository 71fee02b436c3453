"""Infos of a per-phase vector environment: those of `vector_info` with a table for each environment.

Voltages, loading and unbalance have one entry for each node, or branch, and phase; what does not exist is NaN
and masked, as in the info of a single environment. The mask is one for all environments: shared, read-only.
"""

from __future__ import annotations

import numpy as np

from ..core.grid import Grid
from ..core.phase_stepper import PhaseStepper
from ..kernels.phase_rows import TOLD3_NUMBERS, tell_phase_rows
from .info_arrays import FloatArray, Told, Tree
from .shards import Shard

_TABLES = ("voltages", "branch_loading", "vuf_pct")  # in the order of ``PhaseStepper.shown``


class PhaseTold(Told):
    """What shards of a per-phase feeder tell; see `Told`."""

    numbers = TOLD3_NUMBERS

    def __init__(self, rows: int, like: Shard) -> None:
        super().__init__(rows, like)
        self._shown = _stepper(like.grid).shown
        movers = like.grid.fleet.movers
        self._positions = {mover.told_as: np.empty((rows, mover.n_units)) for mover in movers}

    def _made(self, grid: Grid, rows: int) -> tuple[FloatArray, ...]:
        return tuple(np.empty((rows, shown.column.size)) for shown in _stepper(grid).shown)

    def write_state(self, shard: Shard) -> None:
        """See `Told.write_state`."""
        grid, stepper, fleet = shard.grid, _stepper(shard.grid), shard.grid.fleet
        node, branch, three = (shown.column for shown in self._shown)
        voltages, loading, unbalance = self._tables
        tell_phase_rows(
            shard.lo, stepper.ended, stepper.measured, stepper.v_pu, stepper.loading, stepper.vuf_pct,
            node, branch, three, grid.day, grid.step_index, grid.t_index,
            fleet.delivered_p_mw, fleet.delivered_q_mvar, self._numbers, self._counts, self._flags,
            voltages, loading, unbalance, self._p_mw, self._q_mvar,
        )  # fmt: skip
        for mover in fleet.movers:
            self._positions[mover.told_as][shard.rows] = mover.position

    def _wide(self) -> Tree:
        return {
            name: shown.over(table)
            for name, shown, table in zip(_TABLES, self._shown, self._tables, strict=True)
        }

    def _delivered(self) -> Tree:
        return super()._delivered() | self._positions


def _stepper(grid: Grid) -> PhaseStepper:
    assert isinstance(grid.stepper, PhaseStepper)  # what the constructor of the environment lets through
    return grid.stepper
