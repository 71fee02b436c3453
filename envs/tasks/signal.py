"""Dispatch signals: the power at the head of the feeder that an aggregator is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..resources.base import check_number


@dataclass(frozen=True)
class DispatchSignal:
    """A forecast of the day's power at the head, and a band-limited wish on top of it.

    The forecast is what loads would draw and a fleet that is left alone would add to it, as hourly means with
    straight lines between the middles of the hours, and ``loss_share`` of it for losses. The wish is a sum
    of ``tones`` sines with amplitudes, periods (uniform in their logarithm) and phases drawn by counter from
    the key of the episode: the same in every face, and after `set_state`.

    Attributes:
        swing_mw: The wish never exceeds it, either way.
        shortest_h: Shortest period.
        longest_h: Longest period; with ``swing_mw`` it bounds the energy that the wish takes from storage:
            a tone of amplitude A and period T moves A * T / pi.
        tones: How many sines.
        loss_share: Losses of the feeder as a share of the forecast.
    """

    swing_mw: float
    shortest_h: float = 1.0
    longest_h: float = 6.0
    tones: int = 6
    loss_share: float = 0.04

    def __post_init__(self) -> None:
        who = type(self).__name__
        check_number(who, "swing_mw", self.swing_mw, 0.0, math.inf)
        check_number(who, "shortest_h", self.shortest_h, 0.0, math.inf, open_low=True)
        check_number(who, "longest_h", self.longest_h, self.shortest_h, math.inf)
        check_number(who, "tones", self.tones, 1.0, 1000.0)
        if self.tones != int(self.tones):
            raise ValueError(f"{who}: tones must be a whole number, got {self.tones!r}")
        check_number(who, "loss_share", self.loss_share, 0.0, 1.0)
