"""Kernels of batteries: energy in and out of store, what is lost there, and what its use costs.

Rows never mix, as in `devices`. Powers in MW and MVAr, positive when injecting; energies in MWh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline, lean_kernel
from .circle import left_beside

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
                ask = min(max(action[b, col_q[u]], -1.0), 1.0) * s_max[u]
                q[b, u] = left_beside(ask, power, s_max[u])


class Wear(NamedTuple):
    """What use costs, and where stored shares have turned."""

    per_mwh: Floats  # (units,) money for a MWh at the terminals
    per_half_cycle: Floats  # (units,) money for a half cycle of the whole capacity
    exponent: Floats  # (units,) of the depth
    capacity: Floats  # (units,) MWh
    turns: Floats  # (batch, units, MOST_TURNS) stored shares where it turned, outermost first, in and out
    n_turns: Floats  # (batch, units) how many of them, 1 or more, in and out
    share: Floats  # (batch, units) stored share now, in and out


#: Half cycles within each other that are remembered; beyond, the outermost is forgotten.
MOST_TURNS = 16


@inline
def _half_cycle(low, high, exponent):  # type: ignore[no-untyped-def]
    return abs(high - low) ** exponent


@inline
def _turned(n, turns, share, new):  # type: ignore[no-untyped-def]
    """Turns after a move from `share` to `new`: one more where it is back the way that it came."""
    if n == 0 or (share - turns[n - 1]) * (new - share) >= 0.0:
        return n
    if n == turns.size:
        for k in range(n - 1):
            turns[k] = turns[k + 1]
        n -= 1
    turns[n] = share
    return n + 1


@inline
def _cycled(n, turns, share, new, exponent):  # type: ignore[no-untyped-def]
    """Turns that are left, and by how much half cycles (depth ** exponent) have grown, from `share` to `new`.

    Where the move passes the turn before the last, a cycle within is closed, and the half cycle goes on in
    which it lay.
    """
    grown = 0.0
    while n >= 2 and abs(new - turns[n - 1]) >= abs(turns[n - 2] - turns[n - 1]):
        closing = turns[n - 2]
        grown += _half_cycle(turns[n - 1], closing, exponent) - _half_cycle(turns[n - 1], share, exponent)
        share = closing
        if n == 2:  # the first of all: what has begun at the second goes on
            turns[0] = turns[1]
            n = 1
        else:
            n -= 2
    return n, grown + _half_cycle(turns[n - 1], new, exponent) - _half_cycle(turns[n - 1], share, exponent)


@flattened(wear=Wear)
def battery_wear(wear, energy, throughput, cost):  # type: ignore[no-untyped-def]
    """What an interval has cost, `cost` (batch, units), given the energy after it and that at the terminals.

    A half cycle of depth d costs `per_half_cycle * d ** exponent`, in each interval by as much as it has
    grown: the sum over time is that of rainflow counting.
    """
    for b in range(energy.shape[0]):
        for u in range(energy.shape[1]):
            cost[b, u] = wear.per_mwh[u] * throughput[b, u]
            if wear.per_half_cycle[u] > 0.0:
                share, turns = energy[b, u] / wear.capacity[u], wear.turns[b, u]
                n = _turned(int(wear.n_turns[b, u]), turns, wear.share[b, u], share)
                n, grown = _cycled(n, turns, wear.share[b, u], share, wear.exponent[u])
                wear.n_turns[b, u], wear.share[b, u] = n, share
                cost[b, u] += wear.per_half_cycle[u] * max(grown, 0.0)


@lean_kernel
def standing_losses(
    before: Floats,  # (batch, units) MWh at the beginning of the interval
    p: Floats,  # (batch, units) MW that flowed
    eta_charge: Floats,  # (units,)
    eta_discharge: Floats,  # (units,)
    kept: Floats,  # (units,) as in `battery_advance`
    worth_h: Floats,  # (units,)
    dt_h: float,
    lost: Floats,  # (batch, units) MWh, out
) -> None:
    """Energy that left the store by itself: the integral of k E over the interval."""
    for b in range(p.shape[0]):
        for u in range(p.shape[1]):
            into = -p[b, u] * eta_charge[u] if p[b, u] < 0.0 else -p[b, u] / eta_discharge[u]
            lost[b, u] = max(before[b, u] * (1.0 - kept[u]) + into * (dt_h - worth_h[u]), 0.0)


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
