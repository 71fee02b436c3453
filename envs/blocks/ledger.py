"""Blocks of what an episode remembers: its peak, the energy that is to be settled, a dispatch signal."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.ledger import EPISODE_LEFT, HIGHEST_PRICE, PEAK_MW, STORED_MORE_MWH
from ..resources.base import check_number
from ..resources.times import KNOWN, NOW, announced
from .base import ArrayBlock, Block
from .view import BlockContext, BlockView, FloatArray, IntArray


class LedgerBlock(Block):
    """A block that reads the ledger: with one of them in a task, the grid keeps it.

    It is of the operator's own books, so that every level of observation shows it.
    """

    time = NOW
    public = True


@dataclass(frozen=True)
class _MemoryBlock(LedgerBlock, ArrayBlock):
    """Columns of what the episode remembers, from ``first`` on; see `kernels.ledger`."""

    source = "memory"

    @property
    @abstractmethod
    def first(self) -> int:
        """The first column."""

    def columns(self, context: BlockContext) -> IntArray:
        """As many as there are entries."""
        return np.arange(self.first, self.first + self.size(context.counts))


@dataclass(frozen=True)
class PeakImport(_MemoryBlock):
    """The peak that a demand charge has been paid for."""

    name = "peak_import_mw"
    unit = "MW"
    meaning = "most power taken from the upstream grid in the episode so far"
    first = PEAK_MW

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """All that the feeder can draw."""
        return 0.0, context.s_total_mva


@dataclass(frozen=True)
class EnergyBalance(_MemoryBlock):
    """How energy that is stored and owed stands against the beginning of the episode, where it is settled."""

    name = "energy_balance_mwh"
    unit = "MWh"
    meaning = (
        "energy that storage holds more than at the beginning of the episode, and that loads, rooms and cars "
        "are owed more"
    )
    first = STORED_MORE_MWH

    def size(self, counts: Mapping[str, int]) -> int:
        """Stored and owed."""
        return 2

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Stored and owed."""
        return [f"{self.name}[stored]", f"{self.name}[owed]"]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """All that the fleet can hold or owe."""
        dt_h, fleet = context.profiles.dt_h, context.fleet
        most = np.array([fleet.most_of(name, dt_h) for name in ("stored_mwh", "owed_mwh")])
        most = np.maximum(most, 1e-3)  # a box needs room even where nothing is stored or owed
        return -most, most


@dataclass(frozen=True)
class SettlementPrices(_MemoryBlock):
    """The prices at which the energy balance of an episode is settled."""

    name = "settlement_price_usd_mwh"
    unit = "USD/MWh"
    meaning = "highest and lowest energy price of the episode, at which the energy balance is settled"
    first = HIGHEST_PRICE
    time = KNOWN

    def size(self, counts: Mapping[str, int]) -> int:
        """Highest and lowest."""
        return 2

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Highest and lowest."""
        return [f"{self.name}[highest]", f"{self.name}[lowest]"]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """From 0 to the highest of the year."""
        highest = float(context.profiles.price_usd_mwh.max())
        if context.draws is not None:
            highest = float(context.draws.price_ends(highest, highest)[1])
        return 0.0, max(highest, 1e-3)


@dataclass(frozen=True)
class EpisodeLeft(_MemoryBlock):
    """How much of the episode there is still to come."""

    name = "episode_left"
    unit = "1"
    meaning = "share of the episode that is still to come"
    first = EPISODE_LEFT

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """A share."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Setpoint(LedgerBlock):
    """The dispatch signal of the interval that is decided and of ``lead`` intervals behind it."""

    lead: int = 4
    time = KNOWN
    name = "setpoint_mw"
    unit = "MW"
    meaning = (
        "power at the head that the dispatch signal asks for, in the interval that is decided and in those "
        "behind it (behind the last of the episode: that of the last)"
    )

    def __post_init__(self) -> None:
        check_number("Setpoint", "lead", self.lead, 0.0, 10_000.0)
        if self.lead != int(self.lead):
            raise ValueError(f"Setpoint: lead must be a whole number of steps, got {self.lead!r}")

    def size(self, counts: Mapping[str, int]) -> int:
        """Now and ahead."""
        return 1 + int(self.lead)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Name and steps ahead."""
        return [f"{self.name}[+{k}]" for k in range(1 + int(self.lead))]

    def times(self, context: BlockContext) -> Sequence[str]:
        """The decided interval, and those behind it."""
        dt_h = context.profiles.dt_h
        return [KNOWN, *(announced(k * dt_h) for k in range(1, 1 + int(self.lead)))]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Twice what the feeder can draw: a forecast and a wish."""
        return -2.0 * context.s_total_mva, 2.0 * context.s_total_mva

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """The signal, ahead. ValueError where the task has none."""
        if view.ledger is None or not view.ledger.signal.shape[1]:
            raise ValueError("Setpoint: the task has no dispatch signal, see Task.signal")
        signal = view.ledger.signal
        rows, steps = signal.shape
        ahead = np.minimum(view.step_index[:, None] + np.arange(out.shape[1]), steps - 1)
        ahead += np.arange(0, rows * steps, steps)[:, None]
        out[:] = signal.ravel().take(ahead)
