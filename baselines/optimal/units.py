"""Devices that a dispatch sets: boxes, circles and costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .affine import FloatArray


@dataclass(frozen=True)
class Unit:
    """A device that is dispatched; positive power is fed in.

    Attributes:
        name: Id. bus: Node id.
        p_min_mw, p_max_mw, q_min_mvar, q_max_mvar: Box.
        s_mva: Apparent power of the inverter; inf where the box is all.
        cost: USD/h as (c2, c1, c0): c2 p^2 + c1 p + c0, p in MW, c2 at least 0.
        points: A convex cost of straight pieces on top of it: (p_mw, usd_per_h) at their ends, p ascending,
            from p_min_mw or below to p_max_mw or above; none: no such cost.

    Raises:
        ValueError: numbers that are none, an empty box, a cost that is not convex, points that do not reach
            over the box.
    """

    name: str
    bus: str
    p_min_mw: float = 0.0
    p_max_mw: float = 0.0
    q_min_mvar: float = 0.0
    q_max_mvar: float = 0.0
    s_mva: float = np.inf
    cost: tuple[float, float, float] = (0.0, 0.0, 0.0)
    points: tuple[tuple[float, float], ...] = ()

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

        if self.points:
            self._check_points()

    def _check_points(self) -> None:
        given = np.array(self.points, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != 2 or len(given) < 2 or not np.isfinite(given).all():
            raise ValueError(
                f"unit {self.name!r}: points must be two or more (p_mw, usd_per_h) of finite numbers, got "
                f"{self.points!r}"
            )
        p = given[:, 0]
        if not (np.diff(p) > 0.0).all():
            raise ValueError(f"unit {self.name!r}: p_mw of points must ascend, got {p.tolist()}")
        if p[0] > self.p_min_mw or p[-1] < self.p_max_mw:
            raise ValueError(
                f"unit {self.name!r}: points reach from {p[0]:g} to {p[-1]:g} MW, expected from p_min_mw "
                f"{self.p_min_mw:g} to p_max_mw {self.p_max_mw:g}"
            )
        slope = self.pieces[:, 0]
        if (np.diff(slope) < -1e-9 * np.abs(slope).max()).any():
            raise ValueError(
                f"unit {self.name!r}: points must have slopes that do not fall, got {slope.tolist()} "
                "USD/MWh: a cost that is not convex has no bound by relaxation"
            )

    @property
    def pieces(self) -> FloatArray:
        """(n, 2) slope and intercept of each straight piece; the cost is the largest of them."""
        given = np.array(self.points, dtype=np.float64).reshape(-1, 2)
        slope = np.diff(given[:, 1]) / np.diff(given[:, 0])
        return np.stack([slope, given[:-1, 1] - slope * given[:-1, 0]], axis=1)

    def cost_usd_per_h(self, p_mw: float) -> float:
        """Of a power in MW."""
        c2, c1, c0 = self.cost
        smooth = c2 * p_mw * p_mw + c1 * p_mw + c0
        if not self.points:
            return smooth
        slope, intercept = self.pieces.T
        return smooth + float((slope * p_mw + intercept).max())
