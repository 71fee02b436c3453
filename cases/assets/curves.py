"""Costs of power: convex, piecewise linear curves through points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Share by which a slope may fall and count as rounding.
_ROUND = 1e-9


@dataclass(frozen=True, eq=False)
class CostCurve:
    """A convex cost of the power that an asset injects, linear between points and beyond the outer ones.

    Attributes:
        p_mw: (points,) rising powers, two or more; read-only.
        cost_usd_per_h: (points,) cost of an hour at each; read-only.

    Raises:
        ValueError: fewer than two points, powers that do not rise, or slopes that fall.
    """

    p_mw: Floats
    cost_usd_per_h: Floats

    def __post_init__(self) -> None:
        for name in ("p_mw", "cost_usd_per_h"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        fault = curve_fault(self.p_mw, self.cost_usd_per_h)
        if fault is not None:
            _, _, expected = fault
            raise ValueError(f"a cost curve must have {expected}")

    @property
    def slopes_usd_per_mwh(self) -> Floats:
        """(points - 1,) marginal cost of each segment, not falling."""
        return np.diff(self.cost_usd_per_h) / np.diff(self.p_mw)

    def segments(self) -> tuple[Floats, Floats, Floats]:
        """Begin and end of each segment in MW, and its marginal cost in USD/MWh."""
        return self.p_mw[:-1], self.p_mw[1:], self.slopes_usd_per_mwh

    def cost(self, p_mw: ArrayLike) -> Floats:
        """Cost in USD/h of powers of any shape: the largest of the lines, as the curve is convex."""
        power = np.asarray(p_mw, dtype=np.float64)[..., None]
        lines = self.cost_usd_per_h[:-1] + self.slopes_usd_per_mwh * (power - self.p_mw[:-1])
        return np.asarray(lines.max(axis=-1))

    def marginal(self, p_mw: ArrayLike) -> Floats:
        """USD for one more MWh at powers of any shape; at a point that of the segment above."""
        at = np.searchsorted(self.p_mw[1:-1], np.asarray(p_mw, dtype=np.float64), side="right")
        return np.asarray(self.slopes_usd_per_mwh[at])


def curve_fault(p_mw: Floats, cost_usd_per_h: Floats) -> tuple[int, str, str] | None:
    """The first point that no convex curve can have: its number, column and what was expected."""
    if len(p_mw) < 2:
        return 0, "p_mw", "two points or more"
    steps = np.diff(p_mw)
    if (steps <= 0.0).any():
        return int(np.argmax(steps <= 0.0)) + 1, "p_mw", "powers that rise from point to point"
    slopes = np.diff(cost_usd_per_h) / steps
    falls = np.diff(slopes) < -_ROUND * np.maximum(np.abs(slopes[:-1]), np.abs(slopes[1:]))
    if falls.any():
        return int(np.argmax(falls)) + 2, "cost_usd_per_h", "marginal costs that do not fall (convex)"
    return None
