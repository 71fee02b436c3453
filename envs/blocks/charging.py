"""Blocks of charging stations: how urgent each car is, and what the cheapest plan of its stay does now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.prices import plan_now
from ..resources import Fleet
from ..resources.base import Entry
from ..resources.ev import EVProgram
from ..resources.times import KNOWN, NOW
from .base import Block
from .time import steps_to_publication
from .view import BlockContext, BlockView, FloatArray


class _StationBlock(Block):
    """Something about each charging station of the fleet, in the order of its units."""

    unit = "1"
    public = True  # what stands at a station is shown by the fleet at every level, too

    def size(self, counts: Mapping[str, int]) -> int:
        """One for each station."""
        return counts.get(EVProgram.kind, 0)

    def labels(self, context: BlockContext) -> Sequence[str]:
        """Station and quantity."""
        return [f"{unit.name}.{self.name.partition('.')[2]}" for unit in context.fleet.units(EVProgram.kind)]

    def entries(self, context: BlockContext) -> list[Entry]:
        """As of any block, at the bus and the phase of the station."""
        placed = zip(super().entries(context), context.fleet.units(EVProgram.kind), strict=True)
        return [replace(entry, bus=unit.bus, phase=unit.phase) for entry, unit in placed]


class Urgency(_StationBlock):
    """For each station the share of its car's stay that it still has to charge at full power.

    1: the car cannot wait; above: it will leave without what it needs. 0 where no car is.
    """

    name = "ev.urgency"
    meaning = "time at full power that the car still needs, over the time until it leaves, now"
    time = NOW

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """What lies beyond twice what can be given is shown as that."""
        return 0.0, 2.0

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """A ratio of hours."""
        np.divide(_seen(view, "need_mwh"), view.context.station_gain_mw, out=out)
        out /= np.maximum(_seen(view, "departure_h"), view.context.profiles.dt_h)


class CheapestPlan(_StationBlock):
    """For each station the share of the coming interval that the cheapest plan of its car's stay uses.

    That plan charges at full power in the cheapest of the intervals until the car leaves, and in the earliest
    of those of one price, by the prices that are announced as in `PriceAhead`. 0 where no car is.
    """

    name = "ev.cheapest_plan"
    meaning = "share of the power of the coming interval that the cheapest plan of the car's stay uses"
    time = KNOWN
    looks_ahead = True  # at prices that are announced

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """A share."""
        return 0.0, 1.0

    def fill(self, view: BlockView, out: FloatArray) -> None:
        """What is needed less what cheaper intervals give."""
        profiles = view.context.profiles
        per_day = profiles.calendar.steps_per_day
        full = _seen(view, "need_mwh") / (view.context.station_gain_mw * profiles.dt_h)
        plan_now(
            profiles.price_usd_mwh, view.t_index, _seen(view, "departure_h"), full, per_day,
            steps_to_publication(per_day), profiles.dt_h, out,
        )  # fmt: skip


def _part(fleet: Fleet, quantity: str) -> slice:
    return fleet.observation_blocks.get(f"{EVProgram.kind}.{quantity}", slice(0, 0))


def _seen(view: BlockView, quantity: str) -> FloatArray:
    return view.observed_fleet()[:, _part(view.fleet, quantity)]
