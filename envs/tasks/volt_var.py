"""Volt-var control: keep voltages near nominal with inverters and a battery, at little loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import FloatArray, StepView, Task, WorstCase


@dataclass(frozen=True)
class VoltVar(Task):
    """Reward from losses and a smooth voltage deviation; violations of the band are the cost.

    Per step: ``-loss_weight * p_loss_MW``, ``-voltage_weight * mean over nodes of ((V - 1) / 0.05)^2`` and
    ``-wear_weight * MWh through storage``. The quadratic deviation is smooth everywhere and 1 at the edge of
    the usual band, so a policy is drawn to the middle before it can be charged for leaving.
    """

    v_band: tuple[float, float] | None = (0.95, 1.05)
    loss_weight: float = 1.0  # per MW
    voltage_weight: float = 0.5
    wear_weight: float = 0.02  # per MWh

    def __post_init__(self) -> None:
        Task.__post_init__(self)
        self.check_weights("loss_weight", "voltage_weight", "wear_weight")

    @property
    def blocks(self) -> tuple[str, ...]:
        """Grid blocks of the observation."""
        return ("clock", "v_pu", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")

    @property
    def charged(self) -> tuple[str, ...]:
        """Voltages alone: reactive power cannot mend what the sun makes flow."""
        return ("voltage_violation", "resource")

    def terms(self, view: StepView) -> dict[str, FloatArray]:
        """Weighted contributions by name."""
        return {
            "loss": -self.loss_weight * view.p_loss_mw,
            "voltage": (-400.0 * self.voltage_weight) * view.mean_square_pu(1.0),
            "wear": -self.wear_weight * view.throughput_mwh,
        }

    def worst_step(self, worst: WorstCase) -> float:
        """Every term at its bound."""
        high = (np.nan_to_num(worst.state.v_high_pu, nan=1.0) - 1.0) * 20.0
        low = (worst.state.v_low_pu - 1.0) * 20.0
        return -(
            self.loss_weight * worst.state.p_loss_mw
            + self.voltage_weight * float(np.maximum(high * high, low * low).mean())
            + self.wear_weight * worst.storage_mwh_per_step
        )
