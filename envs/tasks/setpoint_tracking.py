"""Setpoint tracking: an aggregator's fleet follows a dispatch signal at the head of the feeder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..blocks import Block
from ..blocks.ledger import Setpoint
from .money import MoneyTask
from .signal import DispatchSignal
from .terms import Term


@dataclass(frozen=True)
class SetpointTracking(MoneyTask):
    """Reward: minus the setpoint deviation at its price, and what the fleet and limits cost in USD.

    The deviation is how far the power taken from the upstream grid is from the dispatch signal, in every
    interval; ``deviation_usd_mw`` is charged per MW (absolute), ``deviation_usd_mw2`` per MW squared. The
    signal is a forecast of the day with the fleet left alone and a wish on top, see `DispatchSignal`; it is
    observed for the interval that is decided and ``lead_steps`` behind it. Energy has no price of its own:
    who asks for it pays for it. The rest is as in `MoneyTask`, settlement included.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    dispatch: DispatchSignal = field(default=DispatchSignal(swing_mw=0.5))
    deviation_usd_mw: float = 50.0
    deviation_usd_mw2: float = 20.0
    wear_usd_mwh: float = 4.0
    lead_steps: int = 4

    per_interval: ClassVar[tuple[str, ...]] = (
        *MoneyTask.per_interval, "deviation_usd_mw", "deviation_usd_mw2",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if isinstance(self.dispatch, dict):  # as JSON has it
            object.__setattr__(self, "dispatch", DispatchSignal(**self.dispatch))
        MoneyTask.__post_init__(self)
        if not isinstance(self.dispatch, DispatchSignal):
            raise TypeError(f"dispatch must be a DispatchSignal, got {type(self.dispatch).__name__}")
        self.check_weights("deviation_usd_mw", "deviation_usd_mw2")
        Setpoint(self.lead_steps)

    @property
    def signal(self) -> DispatchSignal | None:
        """The power at the head that is asked for."""
        return self.dispatch

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Those of `MoneyTask`, and the signal."""
        return (*super().blocks, Setpoint(self.lead_steps))

    @property
    def rewards(self) -> tuple[Term, ...]:
        """The deviation in place of energy; the rest of `MoneyTask`."""
        deviation = (
            Term("setpoint_deviation", "setpoint_deviation_mw", -self.deviation_usd_mw),
            Term("setpoint_deviation_square", "setpoint_deviation_square", -self.deviation_usd_mw2),
        )
        return (
            *(term for term in deviation if term.weight),
            *(term for term in super().rewards if term.name != "energy"),
        )
