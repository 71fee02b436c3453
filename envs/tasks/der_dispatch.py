"""Dispatch of distributed energy resources: the cheapest day that the network allows."""

from __future__ import annotations

from dataclasses import dataclass

from .money import MoneyTask


@dataclass(frozen=True)
class DERDispatch(MoneyTask):
    """Reward: minus what the day costs in USD, with everything that `MoneyTask` prices.

    Batteries, generators, vehicles, flexible loads and inverters are dispatched against the energy price,
    inside the limits of the network. Costs: voltages, overloads, unbalance and what devices charge.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    wear_usd_mwh: float = 4.0
