"""Piecewise-linear volt-var: reactive power from the voltage at the unit's own bus.

Default curves of IEEE Std 1547-2018, Table 8, in per unit of the unit's apparent power (positive injects):

| category | V1 | V2 | V3 | V4 | Q at V1 | Q between V2 and V3 | Q at V4 |
|---|---|---|---|---|---|---|---|
| A | 0.90 | 1.00 | 1.00 | 1.10 | +0.25 | 0 | -0.25 |
| B | 0.92 | 0.98 | 1.02 | 1.08 | +0.44 | 0 | -0.44 |

Beyond V1 and V4 the output stays at its last value. Category B is for feeders with much PV: the default here.
The standard asks for less reactive power at low sun and for none at night (`capability="ieee1547"`); by
default the policy uses all that the environment's inverters have (`"full"`). Inverters that run the
standard's functions by themselves, to rest in every interval, are `PV(functions=...)` of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import RunError, unknown
from ..policy import AnyEnv, FloatArray
from .inverters import STEP_RESPONSE, InverterPolicy, low_power_share


@dataclass(frozen=True)
class Curve:
    """A droop: `v_pu` strictly rising, `q` never rising; constant beyond both ends."""

    v_pu: tuple[float, ...]
    q: tuple[float, ...]

    def __post_init__(self) -> None:
        """RunError unless the points make a droop that lowers high voltages."""
        if len(self.v_pu) != len(self.q) or len(self.v_pu) < 2:
            raise RunError(
                f"a curve needs two or more points, as many voltages as values: {self.v_pu}, {self.q}"
            )
        if not np.isfinite([*self.v_pu, *self.q]).all() or min(np.diff(self.v_pu)) <= 0.0:
            raise RunError(f"the voltages of a curve must be finite and strictly rising, got {self.v_pu}")
        if max(np.diff(self.q)) > 0.0:
            raise RunError(f"a volt-var curve never rises with the voltage, got {self.q}; is the sign wrong?")

    def __call__(self, v_pu: FloatArray) -> FloatArray:
        """The curve at `v_pu`, any shape."""
        return np.interp(v_pu, self.v_pu, self.q)

    def __str__(self) -> str:
        """The points, as run.json records them."""
        return " ".join(f"({v:g}, {q:+g})" for v, q in zip(self.v_pu, self.q, strict=True))


#: Category A: V2 = V3 = 1.00, so three points.
IEEE1547_A = Curve((0.90, 1.00, 1.10), (0.25, 0.0, -0.25))
CAPABILITIES = ("full", "ieee1547")
IEEE1547_B = Curve((0.92, 0.98, 1.02, 1.08), (0.44, 0.0, 0.0, -0.44))


class PiecewiseVoltVar(InverterPolicy):
    """Follows `curve`, whose q is a fraction of the unit's `s_mva`; never asks for more than `q_max_mvar`."""

    def __init__(
        self,
        env: AnyEnv,
        *,
        curve: Curve = IEEE1547_B,
        name: str = "volt-var-ieee1547",
        step_response: float = STEP_RESPONSE,
        capability: str = "full",
    ) -> None:
        """`curve`: fraction of s_mva over the voltage in pu. `capability`: "full" or "ieee1547"."""
        super().__init__(env, name=name, step_response=step_response)
        if capability not in CAPABILITIES:
            raise unknown("capability", capability, CAPABILITIES)
        self.curve, self.capability = curve, capability

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Curve, capability and damping."""
        return {**super().config(), "curve": str(self.curve), "capability": self.capability}

    def limit_mvar(self, p_mw: FloatArray) -> FloatArray:
        """All that the inverter has, or what the standard asks for at `p_mw`."""
        limit = super().limit_mvar(p_mw)
        return limit if self.capability == "full" else limit * low_power_share(p_mw / self.inverters.p_mw)

    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """The curve times the apparent power of each unit."""
        return self.curve(v_pu) * self.inverters.s_mva
