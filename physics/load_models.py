"""How the power of a load depends on its voltage: ZIP shares, or a CVR exponent."""

from __future__ import annotations

import numpy as np

from .numba_tools.jit import inline


@inline
def load_power(nominal, z, i, exponent, v):  # type: ignore[no-untyped-def]
    """Power at |V| = ``v`` pu of a load of ``nominal`` power: shares z and i, or an exponent (not NaN)."""
    if np.isnan(exponent):
        return nominal * (z * v * v + i * v + (1.0 - z - i))
    return nominal * v**exponent


@inline
def load_power_slope(nominal, z, i, exponent, v):  # type: ignore[no-untyped-def]
    """Derivative of :func:`load_power` by ``v``."""
    if np.isnan(exponent):
        return nominal * (2.0 * z * v + i)
    return nominal * exponent * v ** (exponent - 1.0)
