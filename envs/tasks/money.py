"""What tasks in money have in common: energy, devices and limits in one currency, USD.

Energy is bought and sold at the head of the feeder, so that losses are paid for with it. What is beyond a
limit of the network has a price, too, which is above what any device can earn by it: the best that a reward
allows respects limits wherever devices can. Stored and owed energy is settled when an episode ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ..blocks import Block, PriceAhead
from ..blocks.ledger import EnergyBalance, EpisodeLeft, SettlementPrices
from .base import Task
from .terms import Term


@dataclass(frozen=True)
class MoneyTask(Task):
    """Base of tasks whose reward is minus what an interval costs, in USD.

    Energy taken from the upstream grid costs its price and ``import_fee_usd_mwh``; what is fed back earns the
    price less ``export_fee_usd_mwh``. Devices cost what they charge (fuel, starts, discomfort, load that is
    curtailed or shifted, energy that cars left without, wear) and ``wear_usd_mwh`` for each MWh through
    storage. Beyond limits: ``voltage_usd_pu`` for each pu outside the band, summed over nodes (phases),
    ``overload_usd_mva`` for each MVA above a rating and ``unbalance_usd_pct`` for each percent of unbalance
    above its limit, in each interval. These are costs of safe reinforcement learning as well, in pu, MVA
    and percent.

    **Settlement.** In the last interval of an episode energy that storage holds less than at its beginning,
    and energy that cars and shifted loads are owed more, is bought back at the highest price of the episode
    times ``1 + settlement_spread``; what storage holds more, or is owed less, is paid at the lowest price
    divided by it (at nothing where that is below 0). So emptying a battery at midnight earns nothing, and
    filling it pays nothing. The levels and both prices are observed. An episode that is cut before its end
    is not settled.
    """

    import_fee_usd_mwh: float = 0.0
    export_fee_usd_mwh: float = 0.0
    wear_usd_mwh: float = 0.0
    voltage_usd_pu: float = 500.0
    overload_usd_mva: float = 100.0
    unbalance_usd_pct: float = 50.0
    settlement_spread: float = 0.25
    unserved_weight: float = 2500.0  # per MW and interval: 10,000 USD/MWh at 15 minutes

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        self.check_weights(
            "import_fee_usd_mwh", "export_fee_usd_mwh", "wear_usd_mwh", "voltage_usd_pu", "overload_usd_mva",
            "unbalance_usd_pct", "settlement_spread",
        )  # fmt: skip

    #: Prices of an interval, whatever its length; the others are of energy, or of the whole episode.
    per_interval: ClassVar[tuple[str, ...]] = (
        "voltage_usd_pu", "overload_usd_mva", "unbalance_usd_pct", "unserved_weight",
    )  # fmt: skip

    def of_steps(self, times: float) -> Self:
        """The task for steps so many times as long: what is charged in each costs as much an hour."""
        return replace(self, **{name: times * getattr(self, name) for name in self.per_interval})

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Grid blocks of the observation."""
        return (
            "clock", "price_usd_mwh", PriceAhead(), "v_pu", "loading", "load_p_mw",
            "load_q_mvar", "p_slack_mw", "q_slack_mvar", EnergyBalance(), SettlementPrices(), EpisodeLeft(),
        )  # fmt: skip

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Energy and its fees, devices, limits, settlement; fees and prices of 0 are left out."""
        priced = (
            Term("import_fee", "imported_mwh", -self.import_fee_usd_mwh),
            Term("export_fee", "exported_mwh", -self.export_fee_usd_mwh),
            Term("wear", "throughput_mwh", -self.wear_usd_mwh),
            Term("voltage", "voltage_violation_pu", -self.voltage_usd_pu),
            Term("overload", "thermal_overload_mva", -self.overload_usd_mva),
            Term("unbalance", "vuf_violation_pct", -self.unbalance_usd_pct),
        )
        return (
            Term("energy", "energy_cost_usd", -1.0),
            Term("devices", "resource_cost", -1.0),
            *(term for term in priced if term.weight),
            Term("energy_deficit", "energy_deficit_usd", -(1.0 + self.settlement_spread)),
            Term("energy_surplus", "energy_surplus_usd", 1.0 / (1.0 + self.settlement_spread)),
        )
