"""The observation: which numbers stand where, and the code that fills them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import Profiles
from ...physics import StateBounds
from ...physics.solved_grid import SolvedGrid
from ..blocks import Block, BlockContext, BlockView, fleet_blocks
from ..blocks.view import DrawSource, LedgerSource
from ..kernels.observe import normalise_rows, observe_rows
from ..resources import Fleet
from .chance import drawn_keys
from .drawn_prices import drawn_prices
from .forecasts import Forecasts
from .gather import Gather
from .ladder import Observed
from .meters import MeterReadings, metered, n_readings
from .observation_layout import Layout

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_SOME = 1e-3  # a box needs room even where a branch cannot carry any


class Observer:
    """Fills ``(batch, n_obs)`` float32 from the solved grid, its loads and the fleet, as ``observed`` says.

    The grid state is that of the last solved interval, ``clock`` and prices are those of the interval that is
    decided next. Loads and sun are those of that interval at the level "oracle", of the last one else.
    """

    def __init__(
        self,
        blocks: Sequence[Block | str],
        context: BlockContext,
        fleet: Fleet,
        stepper: SolvedGrid,
        observed: Observed,
    ) -> None:
        self.context, own = context, fleet_blocks(fleet)
        known = (*drawn_prices(observed.of_task(blocks, context), context), *own)
        listed = self._listed = metered(known, observed.all_meters(known), context.counts)
        entries = [(block, block.entries(context)) for block in listed]
        self.layout = Layout(entries, observed.level, observed.normalise)
        self.space, self._box = self.layout.space(), self.layout.bounds()
        self._scaling = _scaling(self._box)
        self._fleet_at = self.layout[own[0].name].start if own else self.layout.size
        gather = Gather(listed, self.layout, context, n_readings(listed, context))
        self._parts, self._scales, self._series = gather.parts, gather.scales, gather.series
        self._fillers, self._n_prepared = gather.fillers, gather.n_prepared
        self._goes_round = context.forecasts.goes_round
        self._take(BlockView(stepper, fleet, context))

    def of(self, fleet: Fleet, stepper: SolvedGrid) -> Observer:
        """The same observation of another grid of the scenario; tables and names are shared."""
        other = copy.copy(self)
        other._take(BlockView(stepper, fleet, self.context))
        return other

    def _take(self, view: BlockView) -> None:
        self._view, self.fleet, self.stepper = view, view.fleet, view.grid
        view.fleet.observe_from(self._fleet_at)
        batch = len(view.v_pu)
        self._prepared = np.zeros((batch, self._n_prepared))
        self.readings = MeterReadings(self._listed, self.context, self._prepared)
        self.measures, self.row_key = bool(self.readings), view.row_key
        self.random_load = view.random_load = np.zeros((batch, self.context.forecasts.n_random_load))
        view.readings = self._prepared

    def remember(self, ledger: LedgerSource | None, step_index: IntArray, draws: DrawSource) -> None:
        """What blocks may show of the episode: the ledger, where one is kept, the live clock, its draws."""
        self._view.ledger, self._view.step_index, self._view.draws = ledger, step_index, draws
        if ledger is not None:
            self._view.memory = ledger.memory

    def keep_loads(self, rows: IntArray | slice = slice(None)) -> None:
        """The loads that were solved with are the last ones, before those of the next interval come."""
        if not self.context.exact:
            view, grid = self._view, self.stepper
            view.last_p_mw[rows], view.last_q_mvar[rows] = grid.load_p_mw[rows], grid.load_q_mvar[rows]

    def begin(
        self, rows: IntArray, rngs: Sequence[np.random.Generator], t_index: IntArray, signal: bool = False
    ) -> None:
        """Episodes begin in ``rows``, one generator each; ``t_index`` (batch,) as in :meth:`observe`.

        ``signal``: whether a dispatch signal is drawn by the rows' keys.
        """
        if signal or self.readings.random or self.context.forecasts.random:
            self.row_key[rows] = drawn_keys(rngs)
        if self.measures:
            self._at(t_index)
            self.readings.read(self._view, rows)

    def read(self, t_index: IntArray) -> None:
        """Meters measure the state of one step later; once a step."""
        self._at(t_index)
        self.readings.read(self._view)

    def _at(self, t_index: IntArray) -> None:
        """The interval that is decided, and the one before it."""
        t_last = None
        if not self.context.exact:
            n = self.context.profiles.n_steps
            t_last = (t_index - 1) % n if self._goes_round else np.maximum(t_index - 1, 0)
        self._view.decide(t_index, t_last)

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays that what is observed depends on beside grid and fleet, batch first."""
        view, own = self._view, {"row_key": self.row_key, **self.readings.state()}
        if self.context.exact:
            return own
        return {**own, "last_p_mw": view.last_p_mw, "last_q_mvar": view.last_q_mvar}

    def observe(self, t_index: IntArray, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """A float32 (batch, n_obs) array inside the declared box: ``out``, or a fresh one."""
        if out is None:
            out = np.empty((t_index.size, self._box.shape[1]), dtype=np.float32)
        grid, view = self.stepper, self._view
        self._at(t_index)
        for block, columns in self._fillers:
            block.fill(view, self._prepared[:, columns])
        observe_rows(
            self._parts, self._scales, t_index, self._series, grid.v_pu, view.load_p_mw, view.load_q_mvar,
            grid.i_ka, grid.loading, grid.vuf_pct, grid.measured, view.observed_fleet(),
            self._prepared, view.memory, grid.v, grid.s_from, self._box, out,
        )  # fmt: skip
        if self.layout.normalised:
            low, gain, one = self._scaling
            normalise_rows(low, gain, one, out)
        return out


def _scaling(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3, n_obs) lowest value, gain and offset that `normalise_rows` takes."""
    low, high = box.astype(np.float64)
    varies = high > low
    return np.stack(
        [low, np.where(varies, 2.0, 0.0) / np.where(varies, high - low, 1.0), varies.astype(float)]
    )


def context_of(
    fleet: Fleet,
    stepper: SolvedGrid,
    profiles: Profiles,
    forecasts: Forecasts,
    state: StateBounds,
    s_load_mva: FloatArray,
    draws: DrawSource | None = None,
) -> BlockContext:
    """What blocks may look at: names of the columns, and bounds that hold for every solved interval.

    Whether loads and sun of the decided interval are known is what the forecasts say.
    """
    kinds = ("node", "load", "branch", "unbalance")
    s_branch = np.maximum(state.s_branch_mva, _SOME)
    return BlockContext(
        feeder=fleet.feeder, fleet=fleet, profiles=profiles, forecasts=forecasts,
        names=dict(zip(kinds, stepper.names, strict=True)),
        v_high_pu=state.v_high_pu, s_branch_mva=s_branch,
        i_branch_ka=stepper.i_max_ka(s_branch, state.v_low_pu), rating_mva=stepper.rating_mva,
        s_load_mva=s_load_mva,
        s_total_mva=float(s_load_mva.sum() + float(fleet.max_apparent_mva.sum()) + state.p_loss_mw),
        draws=draws,
        exact=forecasts.exact,
    )  # fmt: skip
