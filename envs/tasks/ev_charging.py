"""Charging of electric vehicles: cars get what they came for, when it is cheap and the network has room."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks import Block, CheapestPlan, Urgency
from .money import MoneyTask


@dataclass(frozen=True)
class EVCharging(MoneyTask):
    """Reward: minus what charging and the rest of the feeder cost in USD; see `MoneyTask` for all of it.

    Cars that leave without what they need cost ``undelivered_cost_per_mwh`` of their station, cars that stay
    beyond the end of the episode are settled as owed energy. Stations that charge as soon as a car comes,
    which is what they do where nobody controls, meet the evening's loads and its prices; beyond the band and
    above ratings each interval has its price.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    wear_usd_mwh: float = 5.0  # of what cars give back
    voltage_usd_pu: float = 1000.0
    overload_usd_mva: float = 200.0

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Those of money, and what prices and needs say of the stay of each car."""
        return (*super().blocks, CheapestPlan(), Urgency())
