"""Blocks of the fleet: what its devices observe stands behind the blocks that a task lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..resources import Fleet
from ..resources.base import Entry
from ..resources.times import COMING, LAST
from .base import ArrayBlock
from .view import BlockContext, BlockView, FloatArray, IntArray


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

    @property
    def time(self) -> str:
        """What the device says about it."""
        return self.of[0].time

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
        """As the devices wrote them; what is of the interval that is decided at "oracle" is "last" else."""
        if context.exact:
            return list(self.of)
        return [replace(one, time=LAST) if one.time == COMING else one for one in self.of]

    def columns(self, context: BlockContext) -> IntArray:
        """Of the fleet's observation."""
        return np.arange(self.first, self.first + len(self.of))

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What the fleet observes."""
        out[:] = view.observed_fleet()[:, self.first : self.first + len(self.of)]


def fleet_blocks(fleet: Fleet) -> list[FleetBlock]:
    """All of them, in their order; entries have the bus and the phase of their units."""
    units = {unit.name: unit for unit in fleet.units()}
    blocks = []
    for name, part in fleet.observation_blocks.items():
        found = fleet.observation_entries[part]
        own = [units[entry.name.rpartition(".")[0]] for entry in found]
        placed = (replace(e, bus=u.bus, phase=u.phase) for e, u in zip(found, own, strict=True))
        blocks.append(FleetBlock(tuple(placed), part.start, name))
    return blocks
