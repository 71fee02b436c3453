"""The bare environment: losses, with soft penalties for whoever wants them."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks import Block
from .base import Task
from .terms import Term


@dataclass(frozen=True)
class LossMinimisation(Task):
    """Reward ``-loss_penalty_weight * p_loss_MW`` per step; other penalties are opt-in.

    ``voltage_penalty_weight`` per pu outside the band, ``thermal_penalty_weight`` per MVA above rating,
    ``resource_penalty_weight`` per unit of resource cost.
    """

    loss_penalty_weight: float = 0.1
    voltage_penalty_weight: float = 0.0
    thermal_penalty_weight: float = 0.0
    resource_penalty_weight: float = 0.0

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        self.check_weights(*(f"{name}_penalty_weight" for name in ("loss", "voltage", "thermal", "resource")))

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Grid blocks of the observation."""
        return ("clock", "v_pu", "p_from_mw", "q_from_mvar", "i_ka", "load_p_mw", "load_q_mvar",
                "p_slack_mw", "q_slack_mvar")  # fmt: skip

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Losses, and the penalties that have a weight."""
        penalties = (
            Term("voltage", "voltage_violation_pu", -self.voltage_penalty_weight),
            Term("thermal", "thermal_overload_mva", -self.thermal_penalty_weight),
            Term("resource", "resource_cost", -self.resource_penalty_weight),
        )
        loss = Term("loss", "loss_mw", -self.loss_penalty_weight)
        return (loss, *(term for term in penalties if term.weight))
