"""The observation: which numbers stand where, and the code that fills them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles
from ...physics import StateBounds
from ..blocks import Block, BlockContext, BlockView, chosen_blocks, fleet_blocks
from ..kernels.observe import observe_rows
from ..resources import Fleet
from .columns import sizes
from .gather import Gather
from .observation_layout import Layout
from .plant import AnyStepper, names_of, rating_of, top_current

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_SOME = 1e-3  # a box needs room even where a branch cannot carry any


class Observer:
    """Fills ``(batch, n_obs)`` float32 from the solved grid, the loads of the coming interval and the fleet.

    The grid state is that of the last solved interval; ``clock``, prices and what resources observe are those
    of the interval that is decided next, and so are the loads, which the stepper then already holds.
    """

    def __init__(
        self, blocks: Sequence[Block | str], context: BlockContext, fleet: Fleet, stepper: AnyStepper
    ) -> None:
        self.context = context
        listed = (*chosen_blocks(blocks), *fleet_blocks(fleet))
        self.layout = Layout([(block, block.entries(context)) for block in listed])
        self.space = self.layout.space()
        # Copies: whoever writes into the bounds of the space must not change what is observed.
        self._low, self._high = self.space.low.copy(), self.space.high.copy()
        self._gather = Gather(listed, self.layout, context)
        self._take(BlockView(stepper, fleet, context))

    def of(self, fleet: Fleet, stepper: AnyStepper) -> Observer:
        """The same observation of another grid of the scenario; tables and names are shared."""
        other = copy.copy(self)
        other._take(BlockView(stepper, fleet, self.context))
        return other

    def _take(self, view: BlockView) -> None:
        self._view, self.fleet, self.stepper = view, view.fleet, view.grid
        batch = len(view.v_pu)
        self._filled = np.zeros((batch, self._gather.n_filled))
        self._readings = np.zeros((batch, 0))

    def observe(self, t_index: IntArray, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """A float32 (batch, n_obs) array inside the declared box: ``out``, or a fresh one."""
        if out is None:
            out = np.empty((t_index.size, self._low.size), dtype=np.float32)
        grid, gather = self.stepper, self._gather
        if gather.fillers:
            self._view.t_index = t_index
            for block, columns in gather.fillers:
                block.fill(self._view, self._filled[:, columns])
        observe_rows(
            gather.parts, gather.scales, t_index, gather.series, grid.v_pu, grid.load_p_mw, grid.load_q_mvar,
            grid.i_ka, grid.loading, grid.vuf_pct, grid.measured, self.fleet.observe(t_index), self._readings,
            self._filled, grid.v, grid.s_from, self._low, self._high, out,
        )  # fmt: skip
        return out


def grid_size(blocks: Sequence[Block | str], feeder: Feeder) -> int:
    """Entries that the task's blocks take before the fleet's begin."""
    counts = sizes(feeder)
    return sum(block.size(counts) for block in chosen_blocks(blocks))


def context_of(
    fleet: Fleet, stepper: AnyStepper, profiles: Profiles, state: StateBounds, s_load_mva: FloatArray
) -> BlockContext:
    """What blocks may look at: names of the columns, and bounds that hold for every solved interval."""
    kinds = ("node", "load", "branch", "unbalance")
    s_branch = np.maximum(state.s_branch_mva, _SOME)
    return BlockContext(
        feeder=stepper.net.feeder, fleet=fleet, profiles=profiles,
        names=dict(zip(kinds, names_of(stepper), strict=True)),
        v_high_pu=state.v_high_pu, s_branch_mva=s_branch,
        i_branch_ka=top_current(stepper, s_branch, state.v_low_pu), rating_mva=rating_of(stepper),
        s_load_mva=s_load_mva,
        s_total_mva=float(s_load_mva.sum() + float(fleet.max_apparent_mva.sum()) + state.p_loss_mw),
    )  # fmt: skip
