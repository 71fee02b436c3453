"""The ledger of a grid: what each interval cost at the market, and what an episode must remember for it.

Storage is settled at the end: what it holds less than when the episode began is bought back, and what it
holds more is paid for, so that the energy that it began with is nobody's gift. The level at the beginning
and the prices of settlement are those of the row's episode, kept here and restored with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..blocks import LedgerBlock, chosen_blocks
from ..kernels import ledger as columns
from ..kernels.devices import sum_units
from ..kernels.ledger import add_tones, close_interval
from ..kernels.terms import LEDGER
from .chance import draws, stream_of
from .load_source import LoadSource, fill_checked, shipped
from .terms import is_own

if TYPE_CHECKING:
    from ...cases.profiles import Profiles
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet
    from ..tasks import StepView, Task
    from .episode_draws import EpisodeDraws

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_STREAM = stream_of("dispatch signal")


def kept(task: Task) -> bool:
    """Whether anything of a task reads the ledger; terms of the user's own may read anything."""
    terms = (*task.reward_terms, *task.cost_terms)
    if is_own(task) or task.signal is not None or not all(term.ships for term in terms):
        return True
    sources = [term.of.source for term in terms]
    if any(source is not None and source.kind == LEDGER for source in sources):
        return True
    return any(isinstance(block, LedgerBlock) for block in chosen_blocks(task.blocks))


class Ledger:
    """What the intervals of every row brought, and what is remembered of its episode.

    Attributes: ``entries`` (batch, columns) of the last interval, ``memory`` (batch, columns) of the episode,
    both by the names in `kernels.ledger`; ``signal`` (batch, steps) the power at the head that is asked for,
    without columns where nothing is; ``steps`` of an episode.
    """

    def __init__(
        self, task: Task, profiles: Profiles, fleet: Fleet, stepper: SolvedGrid, view: StepView,
        draws: EpisodeDraws,
    ) -> None:  # fmt: skip
        self.entries, self.dt_h, self.spec = view.entries, profiles.dt_h, task.signal
        self.steps = task.episode.steps(self.dt_h)
        batch, self._draws = len(self.entries), draws
        self.memory = np.zeros((batch, columns.N_MEMORY))
        self.signal = np.zeros((batch, 0 if self.spec is None else self.steps))
        self.price = np.ascontiguousarray(profiles.price_usd_mwh, dtype=np.float64)
        if self.price.shape != (profiles.n_steps,):
            raise ValueError(
                f"prices have shape {self.price.shape}, expected one for {profiles.n_steps} steps"
            )
        self.look_anew(fleet, stepper)

    def look_anew(self, fleet: Fleet, stepper: SolvedGrid) -> None:
        """Whose accounts and results are read from now on."""
        names, accounts = fleet.accounts.written, fleet.accounts
        read = ("stored_mwh", "owed_mwh", "curtailed_mw")
        stored, owed, curtailed = (names.index(name) if name in names else -1 for name in read)
        self._read = (stepper.measured, accounts.table, accounts.first, stored, owed, curtailed)

    def state(self) -> dict[str, FloatArray]:
        """Live arrays that the future depends on, batch first."""
        return {"ledger": self.memory} | ({"signal": self.signal} if self.signal.size else {})

    def open(
        self, rows: IntArray, starts: IntArray, fleet: Fleet, advance: Callable[[IntArray], Any]
    ) -> None:
        """Episodes begin in ``rows`` at intervals ``starts``.

        ``fleet`` stands in its first rows where these begin, after one interval in which it was left alone;
        ``advance`` leaves it alone in the intervals that it is given.
        """
        n, mine = rows.size, np.zeros((rows.size, columns.N_MEMORY))
        mine[:, columns.STORED_FIRST_MWH] = fleet.accounts.total("stored_mwh")[:n]
        mine[:, columns.OWED_FIRST_MWH] = fleet.accounts.total("owed_mwh")[:n]
        mine[:, columns.EPISODE_LEFT] = 1.0
        prices = self._draws.of_rows(rows, self.price[self._intervals(starts)])
        mine[:, columns.HIGHEST_PRICE] = np.maximum(prices.max(axis=1), 0.0)
        mine[:, columns.LOWEST_PRICE] = np.maximum(prices.min(axis=1), 0.0)
        self.memory[rows], self.entries[rows] = mine, 0.0
        if self.spec is not None:
            self.signal[rows] = self._left_alone(starts, fleet, advance)

    def _left_alone(self, starts: IntArray, fleet: Fleet, advance: Callable[[IntArray], Any]) -> FloatArray:
        """(rows, steps) of what the fleet draws where nobody controls it, MW."""
        ahead, drawn = self._intervals(starts), np.empty(len(fleet.delivered_p_mw))
        out = np.empty(ahead.shape)
        for k in range(self.steps):
            advance(ahead[:, k])
            sum_units(fleet.delivered_p_mw, fleet.accounts.first, drawn)
            out[:, k] = -drawn[: starts.size]
        return out

    def ask(
        self, rows: IntArray, starts: IntArray, keys: NDArray[np.uint64], load: LoadSource, random: FloatArray
    ) -> None:
        """Complete the dispatch signal of ``rows``, where there is one: loads, losses and the wish.

        ``keys`` (rows,) of their episodes, ``random`` (rows, n) what a random ``load`` drew for them.
        """
        if self.spec is None:
            return
        forecast = self.signal[rows] + _total_load(load, self._intervals(starts), random)
        forecast = _hourly(forecast * (1.0 + self.spec.loss_share), round(1.0 / self.dt_h) or 1)
        _, uniform = draws(keys, starts, _STREAM, np.arange(3 * int(self.spec.tones)))
        add_tones(
            uniform, self.dt_h, float(self.spec.shortest_h), float(self.spec.longest_h),
            float(self.spec.swing_mw), forecast,
        )  # fmt: skip
        self.signal[rows] = forecast

    def close_interval(self, now: IntArray, step_index: IntArray) -> None:
        """The solved interval, ``now`` in the data and ``step_index`` in the episode, of every row."""
        close_interval(
            now, step_index, self.steps - 1, self.dt_h, self.price, self._draws.scale,
            self._draws.shift_usd_mwh, self.signal, *self._read, self.memory, self.entries,
        )  # fmt: skip

    def _intervals(self, starts: IntArray) -> IntArray:
        """(rows, steps) rows of the data that episodes play."""
        return np.asarray((starts[:, None] + np.arange(self.steps)) % self.price.size)


def _total_load(load: LoadSource, t_index: IntArray, random: FloatArray) -> FloatArray:
    """(rows, steps) of MW of all points together in the intervals ``t_index`` (rows, steps)."""
    p, q = np.empty((2, t_index.size, load.s_max_mva.size))
    if (known := shipped(load)) is not None:
        known.fill_rows(t_index.ravel(), p, q)
    else:
        fill_checked(load, t_index.ravel(), np.repeat(random, t_index.shape[1], axis=0), p, q)
    total = np.empty(t_index.size)
    sum_units(p, np.array([0, p.shape[1]]), total)
    return total.reshape(t_index.shape)


def _hourly(values: FloatArray, per_hour: int) -> FloatArray:
    """Means of whole hours from the first step on, with straight lines between their middles."""
    rows, steps = values.shape
    if per_hour < 2 or steps <= per_hour:
        return values
    hours = -(-steps // per_hour)
    padded = np.concatenate([values, np.repeat(values[:, -1:], hours * per_hour - steps, axis=1)], axis=1)
    means = np.zeros((rows, hours))
    for k in range(per_hour):
        means += padded[:, k::per_hour] / per_hour
    at = np.clip((np.arange(steps) - 0.5 * (per_hour - 1)) / per_hour, 0.0, hours - 1.0)
    before = np.minimum(at.astype(np.int64), hours - 2)
    share = at - before
    return np.asarray((1.0 - share) * means[:, before] + share * means[:, before + 1])
