"""Kernels of plants whose power the sun or the wind gives: one call for all rows and units of a kind.

Rows never mix, as in `devices`. Powers in MW and MVAr, positive when injecting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import inline, lean_kernel
from .circle import within_circle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@inline
def _offered(profile: Floats, step: int, site: int, p_max: float, s_max: float) -> float:
    """Power that sun or wind offers one plant, MW, never more than its converter passes."""
    return min(max(profile[step, site] * p_max, 0.0), s_max)


@inline
def _passed(offered: float, action: float) -> float:
    """What of it the agent lets pass: all at +1, nothing at -1."""
    a = min(max(action, -1.0), 1.0)
    return offered * (0.5 * (a + 1.0))


@lean_kernel
def available_power(
    profile: Floats,  # (n_steps, n_sites) per unit of rated power
    t_index: Ints,  # (batch,)
    site: Ints,  # (units,)
    p_max: Floats,  # (units,) MW
    s_max: Floats,  # (units,) MVA
    out: Floats,  # (batch, at least units) MW; its first columns are written
) -> int:
    """Power that is offered in interval `t_index`, for the observation.

    Returns the first row whose interval the profile does not have (it ends there), -1 where all have theirs.
    """
    for b in range(out.shape[0]):
        if not 0 <= t_index[b] < profile.shape[0]:
            return b
        for u in range(site.shape[0]):
            out[b, u] = _offered(profile, t_index[b], site[u], p_max[u], s_max[u])
    return -1


@lean_kernel
def pv_advance(
    action: Floats,  # (batch, n_action)
    profile: Floats,  # (n_steps, n_sites) per unit of rated power
    t_index: Ints,  # (batch,)
    site: Ints,  # (units,)
    p_max: Floats,  # (units,) MW
    col_p: Ints,  # (units,) -1: no curtailment
    col_q: Ints,  # (units,) -1: no reactive control
    s_max: Floats,  # (units,) MVA
    q_max: Floats,  # (units,) MVAr at action +1
    reactive_first: NDArray[np.bool_],  # (units,) which of P and Q yields at the circle
    available: Floats,  # (batch, units) MW, out
    p: Floats,  # (batch, units) MW, out
    q: Floats,  # (batch, units) MVAr, out
    curtailed: Floats,  # (batch, units) MW, out
) -> int:
    """One interval of every inverter inside P^2 + Q^2 <= S^2.

    P action +1 is all that is available, -1 is none. Returns as `available_power` does.
    """
    for b in range(action.shape[0]):
        if not 0 <= t_index[b] < profile.shape[0]:
            return b
        for u in range(col_p.shape[0]):
            power = _offered(profile, t_index[b], site[u], p_max[u], s_max[u])
            available[b, u] = power
            if col_p[u] >= 0:
                power = _passed(power, action[b, col_p[u]])
            vars_ = 0.0
            if col_q[u] >= 0:
                vars_ = min(max(action[b, col_q[u]], -1.0), 1.0) * q_max[u]
            p[b, u], q[b, u] = within_circle(power, vars_, s_max[u], reactive_first[u])
            curtailed[b, u] = available[b, u] - p[b, u]
    return -1


@lean_kernel
def wind_advance(
    action: Floats,  # (batch, n_action)
    profile: Floats,  # (n_steps, n_sites) per unit of rated power
    t_index: Ints,  # (batch,)
    site: Ints,  # (units,)
    p_max: Floats,  # (units,) MW
    ramp: Floats,  # (units,) MW per interval, inf: none
    col_p: Ints,  # (units,) -1: no curtailment
    col_q: Ints,  # (units,) -1: no reactive control
    s_max: Floats,  # (units,) MVA
    q_max: Floats,  # (units,) MVAr at action +1
    reactive_first: NDArray[np.bool_],  # (units,) which of P and Q yields at the circle
    begun: Floats,  # (batch,) 0 until the first interval of the episode is over, in and out
    p: Floats,  # (batch, units) MW, in (previous interval) and out
    q: Floats,  # (batch, units) MVAr, out
    curtailed: Floats,  # (batch, units) MW, out
) -> int:
    """One interval of every turbine: what is asked, then the ramp, then the circle P^2 + Q^2 <= S^2.

    P action +1 is all that is available, -1 is none. The ramp never holds power up that the wind does not
    offer. Returns as `available_power` does.
    """
    for b in range(action.shape[0]):
        if not 0 <= t_index[b] < profile.shape[0]:
            return b
        for u in range(col_p.shape[0]):
            offered = _offered(profile, t_index[b], site[u], p_max[u], s_max[u])
            power = offered
            if col_p[u] >= 0:
                power = _passed(offered, action[b, col_p[u]])
            if begun[b] != 0.0:
                power = min(min(max(power, p[b, u] - ramp[u]), p[b, u] + ramp[u]), offered)
            vars_ = 0.0
            if col_q[u] >= 0:
                vars_ = min(max(action[b, col_q[u]], -1.0), 1.0) * q_max[u]
            p[b, u], q[b, u] = within_circle(power, vars_, s_max[u], reactive_first[u])
            curtailed[b, u] = offered - p[b, u]
        begun[b] = 1.0
    return -1
