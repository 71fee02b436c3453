"""Blocks of the fleet: what its devices observe stands behind the blocks that a task lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..resources import Fleet
from ..resources.base import Entry
from .base import ArrayBlock, BlockContext, BlockView, FloatArray, IntArray


@dataclass(frozen=True)
class FleetBlock(ArrayBlock):
    """A quantity that devices of one kind observe, such as "battery.soc"; the fleet fills it."""

    of: tuple[Entry, ...] = ()
    first: int = 0  # column of the fleet's observation
    name: str = ""
    source = "fleet"

    @property
    def unit(self) -> str:
        """That of its entries."""
        return self.of[0].unit

    @property
    def meaning(self) -> str:
        """What the device says about it."""
        return self.of[0].meaning

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each device that has the quantity."""
        return len(self.of)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Unit and quantity."""
        return [entry.name for entry in self.of]

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """Those of its entries."""
        return np.array([e.low for e in self.of]), np.array([e.high for e in self.of])

    def entries(self, context: BlockContext) -> list[Entry]:
        """As the devices wrote them."""
        return list(self.of)

    def columns(self, context: BlockContext) -> IntArray:
        """Of the fleet's observation."""
        return np.arange(self.first, self.first + len(self.of))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the fleet observes."""
        out[:] = view.fleet.observe(view.t_index)[:, self.first : self.first + len(self.of)]


def fleet_blocks(fleet: Fleet) -> list[FleetBlock]:
    """All of them, in their order."""
    return [
        FleetBlock(tuple(fleet.observation_entries[part]), part.start, name)
        for name, part in fleet.observation_blocks.items()
    ]
