"""Devices that a dispatch sets: boxes, circles and costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """A device that is dispatched; positive power is fed in.

    Attributes:
        name: Id. bus: Node id.
        p_min_mw, p_max_mw, q_min_mvar, q_max_mvar: Box.
        s_mva: Apparent power of the inverter; inf where the box is all.
        cost: USD/h as (c2, c1, c0): c2 p^2 + c1 p + c0, p in MW, c2 at least 0.

    Raises:
        ValueError: numbers that are none, an empty box, a cost that is not convex.
    """

    name: str
    bus: str
    p_min_mw: float = 0.0
    p_max_mw: float = 0.0
    q_min_mvar: float = 0.0
    q_max_mvar: float = 0.0
    s_mva: float = np.inf
    cost: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for low, high, a, b in (
            ("p_min_mw", "p_max_mw", self.p_min_mw, self.p_max_mw),
            ("q_min_mvar", "q_max_mvar", self.q_min_mvar, self.q_max_mvar),
        ):
            if not (np.isfinite(a) and np.isfinite(b)):
                raise ValueError(f"unit {self.name!r}: {low} and {high} must be finite, got {a!r} and {b!r}")
            if a > b:
                raise ValueError(f"unit {self.name!r}: {low} {a:g} is above {high} {b:g}")
        if not self.s_mva > 0.0:
            raise ValueError(f"unit {self.name!r}: s_mva must be greater than 0, got {self.s_mva!r}")
        if not np.isfinite(self.cost).all():
            raise ValueError(f"unit {self.name!r}: cost must be three finite numbers, got {self.cost!r}")
        if self.cost[0] < 0.0:
            raise ValueError(
                f"unit {self.name!r}: cost[0] must be at least 0, got {self.cost[0]:g}: a cost that is not "
                "convex has no bound by relaxation"
            )

    def cost_usd_per_h(self, p_mw: float) -> float:
        """Of a power in MW."""
        c2, c1, c0 = self.cost
        return c2 * p_mw * p_mw + c1 * p_mw + c0
