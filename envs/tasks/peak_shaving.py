"""Peak shaving: a demand charge on the highest import of the episode, beside energy and wear."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks import Block
from ..blocks.ledger import PeakImport
from .money import MoneyTask
from .terms import Term


@dataclass(frozen=True)
class PeakShaving(MoneyTask):
    """Reward: minus energy, wear and a demand charge in USD.

    ``demand_usd_mw`` is charged on the highest power taken from the upstream grid in the episode, interval
    by interval: on what exceeds the most of the episode before, so that the terms of an episode add up to
    the charge on its peak. The peak so far is observed. The rest is as in `MoneyTask`.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    demand_usd_mw: float = 300.0
    wear_usd_mwh: float = 4.0

    def __post_init__(self) -> None:
        MoneyTask.__post_init__(self)
        self.check_weights("demand_usd_mw")

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Those of `MoneyTask`, and the peak so far."""
        return (*super().blocks, PeakImport())

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Those of `MoneyTask`, and the demand charge."""
        return (Term("demand_charge", "peak_rise_mw", -self.demand_usd_mw), *super().rewards)
