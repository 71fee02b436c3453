"""Volt-var control: keep voltages near nominal with inverters and a battery, at little loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..blocks import Block
from ..blocks.ledger import EnergyBalance, EpisodeLeft
from .base import Task
from .terms import Term


@dataclass(frozen=True)
class VoltVar(Task):
    """Reward from losses and a smooth voltage deviation; violations of the band are the cost.

    Per step: ``-loss_weight * p_loss_MW``, ``-voltage_weight * mean over nodes of ((V - 1) / 0.05)^2`` and
    ``-wear_weight * MWh through storage``. The quadratic deviation is smooth everywhere and 1 at the edge of
    the usual band, so a policy is drawn to the middle before it can be charged for leaving.
    ``violation_weight`` takes that much per pu outside the band, summed over nodes (phases): where it is not
    0, leaving the band costs more than anything that it could save, and reward and cost agree. Beyond a sum
    of 1 pu it takes no more: a failed power flow can then have a price to learn with.
    ``undelivered_weight`` takes that much per MWh that a car leaves without. ``deficit_weight`` takes, in the
    last interval of an episode, that much per MWh that storage holds less than at its beginning (and that
    loads and cars are owed more): energy is handed back, so that emptying a battery at midnight earns
    nothing. What it holds more pays nothing. Where it is not 0, both are observed, and how much of the
    episode is left.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    loss_weight: float = 1.0  # per MW
    voltage_weight: float = 0.5
    wear_weight: float = 0.02  # per MWh
    violation_weight: float = field(default=0.0, kw_only=True)  # per pu
    undelivered_weight: float = field(default=0.0, kw_only=True)  # per MWh
    deficit_weight: float = field(default=0.0, kw_only=True)  # per MWh

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        self.check_weights("loss_weight", "voltage_weight", "wear_weight")
        self.check_weights("violation_weight", "undelivered_weight", "deficit_weight")

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Grid blocks of the observation."""
        grid = ("clock", "v_pu", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")
        return (*grid, *self.settlement_blocks)

    @property
    def settlement_blocks(self) -> tuple[Block, ...]:
        """What has to be seen of energy that is handed back at the end; nothing where it is not."""
        return (EnergyBalance(), EpisodeLeft()) if self.deficit_weight else ()

    @property
    def costs(self) -> tuple[str | Term, ...]:
        """Voltages alone: reactive power cannot mend what the sun makes flow."""
        return ("voltage_violation", "resource")

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Losses, deviation from 1 pu in units of the usual band, wear of storage."""
        usual = {"reference_pu": 1.0, "band_pu": 0.05}
        terms = (
            Term("loss", "loss_mw", -self.loss_weight),
            Term("voltage", "voltage_deviation", -self.voltage_weight, usual),
            Term("wear", "throughput_mwh", -self.wear_weight),
        )
        more = (
            Term("violation", "voltage_violation_capped_pu", -self.violation_weight),
            Term("undelivered", "undelivered_mwh", -self.undelivered_weight),
            Term("energy_deficit", "energy_deficit_mwh", -self.deficit_weight),
        )
        return (*terms, *(term for term in more if term.weight))
