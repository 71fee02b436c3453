"""Fuzzy volt-var: fifteen rules on the voltage at the unit's bus and on the unit's own output.

A zero-order Sugeno controller. Memberships are raised cosines that overlap by pairs and always add up to 1:

* voltage (pu), centres: very low 0.92, low 0.95, normal 1.00, high 1.05, very high 1.08. Beyond the outer
  centres the outer sets hold at 1, so the output *saturates*: at 1.15 pu and above it is everything the
  inverter has.
* output (P over installed power), centres: idle 0.2, medium 0.5, full 0.8.

Rules: the share of the available reactive power, positive injects.

| voltage, output | idle | medium | full | why |
|---|---|---|---|---|
| very low | +1 | +1 | +1 | everything there is |
| low | +0.8 | +0.7 | +0.6 | in the evening the sag will deepen, at noon the sun helps |
| normal | 0 | 0 | 0 | no losses without need |
| high | -0.4 | -0.6 | -0.8 | at full output the rise is the unit's own and will go on |
| very high | -1 | -1 | -1 | everything there is |

The firing strength of a rule is the product of its memberships; the output is the weighted mean of the
rules. Every column falls from top to bottom, so at any output the controller never injects more at a higher
voltage. The share multiplies what is available: with active priority (the default) at the present power,
min(q_max, sqrt(S^2 - P^2)), so that nothing is curtailed; with reactive priority, as IEEE Std 1547-2018 has
it, q_max, and an inverter whose own priority is reactive gives up active power for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import unknown
from ..policy import AnyEnv, FloatArray
from .inverters import STEP_RESPONSE, InverterPolicy, circle_headroom_mvar

V_CENTRES = (0.92, 0.95, 1.00, 1.05, 1.08)  # very low, low, normal, high, very high; pu
PRIORITIES = ("active", "reactive")
P_CENTRES = (0.2, 0.5, 0.8)  # idle, medium, full; fraction of the installed power

#: Share of the available reactive power; rows in the order of V_CENTRES, columns of P_CENTRES.
RULES = (
    (1.0, 1.0, 1.0),
    (0.8, 0.7, 0.6),
    (0.0, 0.0, 0.0),
    (-0.4, -0.6, -0.8),
    (-1.0, -1.0, -1.0),
)


def memberships(x: FloatArray, centres: tuple[float, ...]) -> FloatArray:
    """Degrees of membership (..., n_sets) of `x` (...) in the sets around `centres`; they add up to 1."""
    points = np.asarray(centres)
    x = np.clip(np.asarray(x, dtype=np.float64), points[0], points[-1])
    left = np.clip(np.searchsorted(points, x, side="right") - 1, 0, points.size - 2)
    way = (x - points[left]) / (points[left + 1] - points[left])  # 0 at the left centre, 1 at the right one
    right_degree = 0.5 - 0.5 * np.cos(np.pi * way)
    degrees = np.zeros((*x.shape, points.size))
    np.put_along_axis(degrees, left[..., None], 1.0 - right_degree[..., None], axis=-1)
    np.put_along_axis(degrees, left[..., None] + 1, right_degree[..., None], axis=-1)
    return degrees


def fuzzy_share(v_pu: FloatArray, p_pu: FloatArray) -> FloatArray:
    """Share of the available reactive power, in [-1, 1]; `p_pu`: fraction of the installed power."""
    by_voltage = memberships(v_pu, V_CENTRES)
    by_output = memberships(p_pu, P_CENTRES)
    # Not einsum: a batch and a single row must add in the same order.
    column = (by_output[..., None, :] * np.asarray(RULES)).sum(axis=-1)
    return np.clip((by_voltage * column).sum(axis=-1), -1.0, 1.0)


class FuzzyVoltVar(InverterPolicy):
    """The rules above on every PV unit."""

    def __init__(
        self,
        env: AnyEnv,
        *,
        name: str = "volt-var-fuzzy",
        step_response: float = STEP_RESPONSE,
        priority: str = "active",
    ) -> None:
        """`step_response`: see `InverterPolicy`. `priority`: "active" or "reactive"."""
        super().__init__(env, name=name, step_response=step_response)
        if priority not in PRIORITIES:
            raise unknown("priority", priority, PRIORITIES)
        self.priority = priority

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Damping and priority."""
        return {**super().config(), "priority": self.priority}

    def limit_mvar(self, p_mw: FloatArray) -> FloatArray:
        """What the inverter can deliver: beside `p_mw`, or in its place."""
        if self.priority == "reactive":
            return super().limit_mvar(p_mw)
        return circle_headroom_mvar(p_mw, self.inverters.s_mva, self.inverters.q_max_mvar)

    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """The fuzzy share of what is available."""
        return fuzzy_share(v_pu, p_mw / self.inverters.p_mw) * self.limit_mvar(p_mw)
