"""Volt-var control phase by phase: voltages near nominal and in balance, with taps, banks and inverters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import FloatArray, StepView, WorstCase
from .volt_var import VoltVar

_MOST = 5.0  # unbalance counts in the reward up to this many times its limit


@dataclass(frozen=True)
class VoltVar3(VoltVar):
    """Reward from losses, voltage deviation, unbalance and switching; violations of limits are the cost.

    Per step: ``-loss_weight * p_loss_MW``, ``-voltage_weight * mean over nodes and phases of ((V - 1) /
    0.05)^2``, ``-unbalance_weight * mean over nodes with three phases of (|V2| / |V1| / vuf_max_pct)^2`` (to
    five times the limit), ``-switching_weight`` per tap step or switching of a bank, and ``-wear_weight * MWh
    through storage``. Both squares are smooth, so a policy is drawn inside before it can be charged for
    leaving.
    """

    unbalance_weight: float = 0.25
    switching_weight: float = 0.001  # per tap step

    def __post_init__(self) -> None:
        VoltVar.__post_init__(self)
        self.check_weights("unbalance_weight", "switching_weight")

    @property
    def blocks(self) -> tuple[str, ...]:
        """Grid blocks of the observation."""
        return ("clock", "v_pu", "vuf_pct", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")

    @property
    def charged(self) -> tuple[str, ...]:
        """Voltages and unbalance."""
        return ("voltage_violation", "vuf_violation", "resource")

    def terms(self, view: StepView) -> dict[str, FloatArray]:
        """Weighted contributions by name."""
        out = VoltVar.terms(self, view)
        share = np.minimum(view.vuf_pct / self.vuf_max_pct, _MOST)
        mean = np.square(share).mean(axis=1) if share.shape[1] else view.p_loss_mw * 0.0
        out["unbalance"] = -self.unbalance_weight * mean
        out["switching"] = -self.switching_weight * view.switched
        return out

    def worst_step(self, worst: WorstCase) -> float:
        """Every term at its bound."""
        return (
            VoltVar.worst_step(self, worst)
            - self.unbalance_weight * _MOST**2
            - self.switching_weight * worst.switched_per_step
        )
