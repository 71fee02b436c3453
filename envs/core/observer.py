"""The observation: which numbers stand where, and the code that fills them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles
from ...physics import StateBounds
from ...physics.solved_grid import SolvedGrid
from ..blocks import Block, BlockContext, BlockView, chosen_blocks, fleet_blocks
from ..blocks.base import LedgerSource
from ..kernels.observe import observe_rows
from ..resources import Fleet
from .chance import drawn_keys
from .columns import sizes
from .forecasts import Forecasts
from .gather import Gather
from .meters import Meter, MeterReadings, metered, n_readings
from .observation_layout import Layout

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_SOME = 1e-3  # a box needs room even where a branch cannot carry any


class Observer:
    """Fills ``(batch, n_obs)`` float32 from the solved grid, the loads of the coming interval and the fleet.

    The grid state is that of the last solved interval; ``clock``, prices and what resources observe are those
    of the interval that is decided next, and so are the loads, which the stepper then already holds.
    """

    def __init__(
        self,
        blocks: Sequence[Block | str],
        context: BlockContext,
        fleet: Fleet,
        stepper: SolvedGrid,
        meters: Sequence[Meter] = (),
    ) -> None:
        self.context = context
        known = (*chosen_blocks(blocks), *fleet_blocks(fleet))
        listed = self._listed = metered(known, meters, context.counts)
        self.layout = Layout([(block, block.entries(context)) for block in listed])
        self.space = self.layout.space()
        # Copies: whoever writes into the bounds of the space must not change what is observed.
        self._box = np.stack([self.space.low, self.space.high])
        gather = Gather(listed, self.layout, context, n_readings(listed, context))
        self._parts, self._scales, self._series = gather.parts, gather.scales, gather.series
        self._fillers, self._n_prepared = gather.fillers, gather.n_prepared
        self._take(BlockView(stepper, fleet, context))

    def of(self, fleet: Fleet, stepper: SolvedGrid) -> Observer:
        """The same observation of another grid of the scenario; tables and names are shared."""
        other = copy.copy(self)
        other._take(BlockView(stepper, fleet, self.context))
        return other

    def _take(self, view: BlockView) -> None:
        self._view, self.fleet, self.stepper = view, view.fleet, view.grid
        batch = len(view.v_pu)
        self._prepared = np.zeros((batch, self._n_prepared))
        self.readings = MeterReadings(self._listed, self.context, self._prepared)
        self.measures, self.row_key = bool(self.readings), view.row_key
        self.random_load = view.random_load = np.zeros((batch, self.context.forecasts.n_random_load))
        view.readings = self._prepared

    def remember(self, ledger: LedgerSource | None, step_index: IntArray) -> None:
        """What blocks may show of the episode: the ledger, where one is kept, and the live clock."""
        self._view.ledger, self._view.step_index = ledger, step_index

    def begin(
        self,
        rows: IntArray,
        rngs: Sequence[np.random.Generator],
        t_index: IntArray,
        signal: bool = False,
    ) -> None:
        """Episodes begin in ``rows``, one generator each; ``t_index`` (batch,) as in :meth:`observe`.

        ``signal``: whether a dispatch signal is drawn by the rows' keys.
        """
        if signal or self.readings.random or self.context.forecasts.random:
            self.row_key[rows] = drawn_keys(rngs)
        if self.measures:
            self._view.t_index = t_index
            self.readings.read(self._view, rows)

    def read(self, t_index: IntArray) -> None:
        """Meters measure the state of one step later; once a step."""
        self._view.t_index = t_index
        self.readings.read(self._view)

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays that what is observed depends on beside grid and fleet, batch first."""
        return {"row_key": self.row_key, **self.readings.state()}

    def observe(self, t_index: IntArray, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """A float32 (batch, n_obs) array inside the declared box: ``out``, or a fresh one."""
        if out is None:
            out = np.empty((t_index.size, self._box.shape[1]), dtype=np.float32)
        grid = self.stepper
        if self._fillers:
            self._view.t_index = t_index
            for block, columns in self._fillers:
                block.fill(self._view, self._prepared[:, columns])
        observe_rows(
            self._parts, self._scales, t_index, self._series, grid.v_pu, grid.load_p_mw, grid.load_q_mvar,
            grid.i_ka, grid.loading, grid.vuf_pct, grid.measured, self.fleet.observe(t_index),
            self._prepared, grid.v, grid.s_from, self._box, out,
        )  # fmt: skip
        return out


def grid_size(blocks: Sequence[Block | str], feeder: Feeder, meters: Sequence[Meter] = ()) -> int:
    """Entries that the task's blocks take before the fleet's begin."""
    counts, chosen = sizes(feeder), chosen_blocks(blocks)
    names = {block.name for block in chosen}
    of_grid = [meter for meter in meters if meter.block in names]
    return sum(block.size(counts) for block in metered(chosen, of_grid, counts))


def context_of(
    fleet: Fleet,
    stepper: SolvedGrid,
    profiles: Profiles,
    forecasts: Forecasts,
    state: StateBounds,
    s_load_mva: FloatArray,
) -> BlockContext:
    """What blocks may look at: names of the columns, and bounds that hold for every solved interval."""
    kinds = ("node", "load", "branch", "unbalance")
    s_branch = np.maximum(state.s_branch_mva, _SOME)
    return BlockContext(
        feeder=fleet.feeder, fleet=fleet, profiles=profiles, forecasts=forecasts,
        names=dict(zip(kinds, stepper.names, strict=True)),
        v_high_pu=state.v_high_pu, s_branch_mva=s_branch,
        i_branch_ka=stepper.i_max_ka(s_branch, state.v_low_pu), rating_mva=stepper.rating_mva,
        s_load_mva=s_load_mva,
        s_total_mva=float(s_load_mva.sum() + float(fleet.max_apparent_mva.sum()) + state.p_loss_mw),
    )  # fmt: skip
