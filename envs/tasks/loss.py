"""The bare environment: losses, with soft penalties for whoever wants them."""

from __future__ import annotations

from dataclasses import dataclass

from .base import FloatArray, StepView, Task, WorstCase


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
    def blocks(self) -> tuple[str, ...]:
        """Grid blocks of the observation."""
        return ("clock", "v_pu", "p_from_mw", "q_from_mvar", "i_ka", "load_p_mw", "load_q_mvar",
                "p_slack_mw", "q_slack_mvar")  # fmt: skip

    def terms(self, view: StepView) -> dict[str, FloatArray]:
        """Weighted contributions by name."""
        out = {"loss": -self.loss_penalty_weight * view.p_loss_mw}
        if self.voltage_penalty_weight:
            out["voltage"] = -self.voltage_penalty_weight * view.voltage_violation_pu
        if self.thermal_penalty_weight:
            out["thermal"] = -self.thermal_penalty_weight * view.thermal_overload_mva
        if self.resource_penalty_weight:
            out["resource"] = -self.resource_penalty_weight * view.resource_cost
        return out

    def worst_step(self, worst: WorstCase) -> float:
        """Every term at its bound."""
        return -(
            self.loss_penalty_weight * worst.state.p_loss_mw
            + self.voltage_penalty_weight * worst.voltage_violation_pu
            + self.thermal_penalty_weight * worst.thermal_overload_mva
            + self.resource_penalty_weight * worst.resource_cost
        )
