"""Volt-var control phase by phase: voltages near nominal and in balance, with taps, banks and inverters."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..blocks import Block
from .terms import Term
from .volt_var import VoltVar

_MOST = 5.0  # unbalance counts in the reward up to this many times its limit


@dataclass(frozen=True)
class VoltVar3(VoltVar):
    """Reward from losses, voltage deviation, unbalance and switching; violations of limits are the cost.

    Per step: ``-loss_weight * p_loss_MW``, ``-voltage_weight * mean over nodes and phases of ((V - 1) /
    0.05)^2``, ``-unbalance_weight * mean over nodes with three phases of (|V2| / |V1| / vuf_max_pct)^2`` (to
    five times the limit), ``-switching_weight`` per tap step or switching of a bank, and ``-wear_weight * MWh
    through storage``. Both squares are smooth, so a policy is drawn inside before it can be charged for
    leaving. ``violation_weight`` is that of `VoltVar`; ``vuf_violation_weight`` takes that much per % of
    unbalance above the limit, summed over nodes with three phases, up to 5 %.
    """

    unbalance_weight: float = 0.25
    switching_weight: float = 0.001  # per tap step
    vuf_violation_weight: float = field(default=0.0, kw_only=True)  # per %

    def __post_init__(self) -> None:
        VoltVar.__post_init__(self)
        self.check_weights("unbalance_weight", "switching_weight", "vuf_violation_weight")

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        """Grid blocks of the observation."""
        grid = ("clock", "v_pu", "vuf_pct", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")
        return (*grid, *self.settlement_blocks)

    @property
    def costs(self) -> tuple[str | Term, ...]:
        """Voltages and unbalance."""
        return ("voltage_violation", "vuf_violation", "resource")

    @property
    def rewards(self) -> tuple[Term, ...]:
        """Those of `VoltVar`, unbalance and switching."""
        unbalance = {"limit_pct": self.vuf_max_pct, "most": _MOST}
        terms = [
            *super().rewards,
            Term("unbalance", "unbalance_square", -self.unbalance_weight, unbalance),
            Term("switching", "switchings", -self.switching_weight),
        ]
        if self.vuf_violation_weight > 0.0:
            terms.append(Term("vuf_violation", "vuf_violation_capped_pct", -self.vuf_violation_weight))
        return tuple(terms)
