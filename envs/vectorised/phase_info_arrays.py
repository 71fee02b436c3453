"""Infos of a per-phase vector environment: those of `vector_info` with a table for each environment.

Voltages, loading and unbalance have one entry for each node, or branch, and phase; what does not exist is NaN
and masked, as in the info of a single environment. The mask is one for all environments: shared, read-only.
"""

from __future__ import annotations

import numpy as np

from ..core.grid import Grid
from ..core.phase_stepper import PhaseStepper
from ..kernels.phase_rows import PHASE_INFO_NUMBERS, write_phase_info_rows
from .info_arrays import FloatArray, InfoArrays, Tree
from .shards import Shard

_TABLES = ("voltages", "branch_loading", "vuf_pct")  # in the order of ``PhaseStepper.shown``


class PhaseInfoArrays(InfoArrays):
    """What shards of a per-phase feeder tell; see `InfoArrays`."""

    numbers = PHASE_INFO_NUMBERS

    def __init__(self, rows: int, like: Shard) -> None:
        super().__init__(rows, like)
        self._column_map = _stepper(like.grid).column_maps
        switched_devices = like.grid.fleet.switched_devices
        self._positions = {device.info_name: np.empty((rows, device.n_units)) for device in switched_devices}

    def _made(self, grid: Grid, rows: int) -> tuple[FloatArray, ...]:
        return tuple(np.empty((rows, column_maps.column.size)) for column_maps in _stepper(grid).column_maps)

    def write_state(self, shard: Shard) -> None:
        """See `InfoArrays.write_state`."""
        grid, stepper, fleet = shard.grid, _stepper(shard.grid), shard.grid.fleet
        node, branch, three = (column_maps.column for column_maps in self._column_map)
        voltages, loading, unbalance = self._tables
        write_phase_info_rows(
            shard.lo, stepper.ended, stepper.measured, stepper.v_pu, stepper.loading, stepper.vuf_pct,
            node, branch, three, grid.day, grid.step_index, grid.t_index,
            fleet.delivered_p_mw, fleet.delivered_q_mvar, self._numbers, self._counts, self._flags,
            voltages, loading, unbalance, self._p_mw, self._q_mvar,
        )  # fmt: skip
        for device in fleet.switched_devices:
            self._positions[device.info_name][shard.rows] = device.position

    def _wide(self) -> Tree:
        return {
            name: column_maps.over(table)
            for name, column_maps, table in zip(_TABLES, self._column_map, self._tables, strict=True)
        }

    def _delivered(self) -> Tree:
        return super()._delivered() | self._positions


def _stepper(grid: Grid) -> PhaseStepper:
    assert isinstance(grid.stepper, PhaseStepper)  # what the constructor of the environment lets through
    return grid.stepper
