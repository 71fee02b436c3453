"""Charging of electric vehicles: cars get what they came for, when it is cheap and the network has room."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..blocks import Block, PriceForecast
from ..resources.base import check_number
from .money import MoneyTask


@dataclass(frozen=True)
class EVCharging(MoneyTask):
    """Reward: minus what charging and the rest of the feeder cost in USD; see `MoneyTask` for all of it.

    Cars that leave without what they need cost ``undelivered_cost_per_mwh`` of their station, cars that stay
    beyond the end of the episode are settled as owed energy. Stations that charge as soon as a car comes,
    which is what they do where nobody controls, meet the evening's loads and its prices; beyond the band and
    above ratings each interval has its price.

    Prices are observed for ``price_steps`` steps ahead, as they are on the market of the day ahead.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    wear_usd_mwh: float = 20.0  # of what cars give back
    price_steps: int = 48

    def __post_init__(self) -> None:
        MoneyTask.__post_init__(self)
        check_number(type(self).__name__, "price_steps", self.price_steps, 1.0, math.inf)

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Those of `MoneyTask`, with prices for longer ahead."""
        far = PriceForecast(self.price_steps)
        return tuple(far if isinstance(block, PriceForecast) else block for block in super().blocks)
