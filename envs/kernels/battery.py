"""Kernels of batteries: energy in and out of store, what is lost there, and what its use costs.

Rows never mix, as in `devices`. Powers in MW and MVAr, positive when injecting; energies in MWh.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.jit import lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@lean_kernel
def battery_advance(
    action: Floats,  # (batch, n_action)
    col_p: Ints,  # (units,) action columns
    col_q: Ints,  # (units,) -1: no reactive control
    p_max: Floats,  # (units,) MW
    s_max: Floats,  # (units,) MVA
    ramp: Floats,  # (units,) MW per interval, inf: none
    e_min: Floats,  # (units,) MWh
    e_max: Floats,  # (units,) MWh
    eta_charge: Floats,  # (units,)
    eta_discharge: Floats,  # (units,)
    kept: Floats,  # (units,) share of the stored energy that is left after an interval at rest
    worth_h: Floats,  # (units,) hours for which power into store counts at the end of the interval
    dt_h: float,
    energy: Floats,  # (batch, units) MWh, in and out
    p: Floats,  # (batch, units) MW, in (previous interval) and out
    q: Floats,  # (batch, units) MVAr, out
    throughput: Floats,  # (batch, units) MWh at the terminals, out
    stored: Floats,  # (batch, units) MWh in store at the end of the interval, out
) -> None:
    """One interval of every battery: the request is cut to the rating, the ramp, and the energy that is left.

    Stored energy follows dE/dt = -k E + eta_charge * charge - discharge / eta_discharge with the power that
    flows, solved exactly: `kept` = exp(-k dt), `worth_h` = (1 - exp(-k dt)) / k, which are 1 and dt without
    standing loss. Where the energy limit binds, the energy lands on the bound itself; standing loss alone
    takes it below `e_min`. Q takes what P leaves of the circle.
    """
    for b in range(action.shape[0]):
        for u in range(col_p.shape[0]):
            a = min(max(action[b, col_p[u]], -1.0), 1.0)
            want = a * p_max[u]
            want = min(max(want, p[b, u] - ramp[u]), p[b, u] + ramp[u])
            have = energy[b, u] * kept[u]
            power = want
            left = have
            if want > 0.0:
                limit = max(have - e_min[u], 0.0) * eta_discharge[u] / worth_h[u]
                if want >= limit:
                    power = limit
                    left = min(have, e_min[u])
                else:
                    left = max(have - want * worth_h[u] / eta_discharge[u], e_min[u])
            elif want < 0.0:
                limit = max(e_max[u] - have, 0.0) / (eta_charge[u] * worth_h[u])
                if -want >= limit:
                    power = 0.0 - limit  # not -0.0
                    left = max(have, e_max[u])
                else:
                    left = min(have - want * worth_h[u] * eta_charge[u], e_max[u])
            energy[b, u] = stored[b, u] = left
            p[b, u] = power
            throughput[b, u] = abs(power) * dt_h
            q[b, u] = 0.0
            if col_q[u] >= 0:
                room = sqrt(max(s_max[u] * s_max[u] - power * power, 0.0))
                ask = min(max(action[b, col_q[u]], -1.0), 1.0) * s_max[u]
                q[b, u] = min(max(ask, -room), room)


@lean_kernel
def stored_share(
    energy: Floats,  # (batch, units) MWh
    capacity: Floats,  # (units,) MWh
    out: Floats,  # (batch, at least units) its first columns are written
) -> None:
    """Share of its capacity that each battery stores, for the observation."""
    for b in range(energy.shape[0]):
        for u in range(energy.shape[1]):
            out[b, u] = energy[b, u] / capacity[u]
