"""Reactive power after VDE-AR-N 4105 (low-voltage generators): Q(U), cosphi(P), and their areas.

Powers are per unit of the installed active power, positive Q injects (over-excited). Two variants by the
size of the plant: "small", up to 4.6 kVA, cosphi 0.95, Qmax = tan(acos 0.95) = 0.328684; "large", cosphi
0.90, Qmax = 0.484322.

* Q(U): +Qmax up to 0.93 pu, 0 from 0.97 to 1.03, -Qmax from 1.07.
* cosphi(P): 1 up to half of the installed power, then falling linearly to 0.95 or 0.90 under-excited at
  full power.
* Areas: what a plant has to be able to deliver. `pq_limits` is the triangle |Q| <= Qmax P; `qv_limits`
  leaves 0.95 to 1.05 free and closes to Q >= 0 at 0.90 and Q <= 0 at 1.10; outside of [0, 1] and [0.90,
  1.10] nothing is required. Both equal `PQArea4105`, `QVArea4105` and `PQVArea4105` of pandapower.

The policies stay within the triangle, so they rest at night. They do not let go beyond 0.90 or 1.10, where
the area asks for nothing: a control that gives up in the worst case helps nobody. The curves are the
standard's defaults; a grid operator may set others, and this module claims no certified compliance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import unknown
from ..policy import AnyEnv, FloatArray
from .inverters import STEP_RESPONSE, InverterPolicy
from .volt_var import Curve

VDE_VARIANTS = ("small", "large")
SMALL_MAX_MVA = 0.0046

#: Reactive power at full active power, per unit of installed active power: tan(acos(0.95)), tan(acos(0.90)).
QMAX_PER_PINST: Mapping[str, float] = {"small": 0.328684, "large": 0.484322}
COSPHI_MIN: Mapping[str, float] = {"small": 0.95, "large": 0.90}

#: Q(U) in units of Qmax.
Q_OF_U = Curve((0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0))


def check_variant(variant: str) -> str:
    """`variant` itself; RunError unless it is one of `VDE_VARIANTS`."""
    if variant not in VDE_VARIANTS:
        raise unknown("VDE-AR-N 4105 variant", variant, VDE_VARIANTS)
    return variant


def pq_limits(p_pu: FloatArray, variant: str) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest Q required at `p_pu`, all per unit of the installed power; 0 outside of [0, 1]."""
    p = np.asarray(p_pu, dtype=np.float64)
    top = np.where((p >= 0.0) & (p <= 1.0), QMAX_PER_PINST[check_variant(variant)] * p, 0.0)
    return -top, top


def qv_limits(v_pu: FloatArray, variant: str) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest Q required at `v_pu`, per unit of the installed power; 0 outside of [0.9, 1.1]."""
    v = np.asarray(v_pu, dtype=np.float64)
    q_max = QMAX_PER_PINST[check_variant(variant)]
    inside = (v >= 0.9) & (v <= 1.1)
    low = np.where(inside, np.interp(v, (0.90, 0.95), (0.0, -q_max)), 0.0)
    high = np.where(inside, np.interp(v, (1.05, 1.10), (q_max, 0.0)), 0.0)
    return low, high


def pqv_limits(p_pu: FloatArray, v_pu: FloatArray, variant: str) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest Q required at `p_pu` and `v_pu` together: the intersection of both areas."""
    low_p, high_p = pq_limits(p_pu, variant)
    low_v, high_v = qv_limits(v_pu, variant)
    return np.maximum(low_p, low_v), np.minimum(high_p, high_v)


def cosphi_of_p(p_pu: FloatArray, variant: str) -> FloatArray:
    """Power factor (under-excited) at `p_pu` of the installed power."""
    return np.interp(p_pu, (0.5, 1.0), (1.0, COSPHI_MIN[check_variant(variant)]))


def q_of_cosphi_p(p_pu: FloatArray, variant: str) -> FloatArray:
    """Q of the cosphi(P) characteristic, per unit of the installed power: never positive (absorbs)."""
    p = np.clip(np.asarray(p_pu, dtype=np.float64), 0.0, None)
    return -np.tan(np.arccos(cosphi_of_p(p, variant))) * p


class _Policy4105(InverterPolicy):
    """What both controls share: the variant of each unit, and the triangle that bounds Q."""

    def __init__(self, env: AnyEnv, *, variant: str | None, name: str, step_response: float) -> None:
        super().__init__(env, name=name, step_response=step_response)
        self.variant = None if variant is None else check_variant(variant)
        small = self.inverters.s_mva <= SMALL_MAX_MVA
        chosen = [self.variant or ("small" if is_small else "large") for is_small in small]
        self._q_max = np.array([QMAX_PER_PINST[c] for c in chosen])  # (n_units,) per unit of p_mw
        self._is_small = np.array([c == "small" for c in chosen])

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Damping and variant (null: by the size of each unit)."""
        return {**super().config(), "variant": self.variant}

    def limit_mvar(self, p_mw: FloatArray) -> FloatArray:
        """The triangle |Q| <= Qmax P."""
        return self._q_max * np.minimum(p_mw, self.inverters.p_mw)


class VoltVar4105(_Policy4105):
    """Q(U) of VDE-AR-N 4105."""

    def __init__(
        self,
        env: AnyEnv,
        *,
        variant: str | None = None,
        name: str = "volt-var-vde4105",
        step_response: float = STEP_RESPONSE,
    ) -> None:
        """`variant`: "small" (up to 4.6 kVA) or "large"; None goes by the s_mva of each unit."""
        super().__init__(env, variant=variant, name=name, step_response=step_response)

    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """The characteristic, cut to the triangle of the present power."""
        limit = self.limit_mvar(p_mw)
        return np.clip(Q_OF_U(v_pu) * self._q_max * self.inverters.p_mw, -limit, limit)


class PowerFactor4105(_Policy4105):
    """cosphi(P) of VDE-AR-N 4105: looks at the unit's own power, not at the voltage.

    Power is known before the interval, so there is no loop that could hunt: no damping.
    """

    def __init__(
        self, env: AnyEnv, *, variant: str | None = None, name: str = "power-factor-vde4105"
    ) -> None:
        """`variant`: "small" (up to 4.6 kVA) or "large"; None goes by the s_mva of each unit."""
        super().__init__(env, variant=variant, name=name, step_response=1.0)

    def target_mvar(self, v_pu: FloatArray, p_mw: FloatArray) -> FloatArray:
        """Q of the characteristic at the available power."""
        p_pu = np.minimum(p_mw / self.inverters.p_mw, 1.0)
        q_pu = np.where(self._is_small, q_of_cosphi_p(p_pu, "small"), q_of_cosphi_p(p_pu, "large"))
        return q_pu * self.inverters.p_mw
