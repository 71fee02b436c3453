"""Kernels of heat pumps and the rooms they warm: arrays in, arrays filled in place, for all rows and units.

A room of heat capacity C (MWh/K) loses UA (T - T_out) MW to the outside, gains a constant power and the heat
of its pump. With T_out, P and the coefficient of performance constant over an interval its temperature is

    T(t) = T_end + (T(0) - T_end) exp(-t / tau),   T_end = T_out + (COP P + gains) / UA,   tau = C / UA

which is what is computed, not a step of Euler: the heat balance of an interval closes to rounding.
"""

from __future__ import annotations

from math import exp, expm1, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline, lean_kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@inline
def _performance(outdoor: float, supply: float) -> float:
    """Coefficient of performance of an air-source heat pump by the lift of temperature.

    Staffell et al., Energy & Environmental Science 5, 2012, for lifts of 15 to 60 K; held outside of them.
    """
    lift = min(max(supply - outdoor, 15.0), 60.0)
    return 6.81 - 0.121 * lift + 0.000630 * lift * lift


@lean_kernel
def performance_rows(
    outdoor: Floats,  # (n,) degC
    supply: Floats,  # (units,) degC
    out: Floats,  # (n, units)
) -> None:
    """Coefficients of performance."""
    for k in range(outdoor.size):
        for u in range(supply.size):
            out[k, u] = _performance(outdoor[k], supply[u])


@lean_kernel
def room_observe(
    profile: Floats,  # (n_steps,) degC outdoors
    t_index: Ints,  # (batch,)
    indoor: Floats,  # (batch, units) degC
    out: Floats,  # (batch, 2 units) degC indoors, then outdoors in interval `t_index`
) -> int:
    """What is known of rooms and weather when interval `t_index` is decided.

    Returns the first row whose interval the profile does not have (it ends there), -1 where all have theirs.
    """
    units = indoor.shape[1]
    for b in range(indoor.shape[0]):
        if not 0 <= t_index[b] < profile.shape[0]:
            return b
        for u in range(units):
            out[b, u] = indoor[b, u]
            out[b, units + u] = profile[t_index[b]]
    return -1


@inline
def _area(begin, end, tau, a, b, level):  # type: ignore[no-untyped-def]
    """Kelvin hours by which a room that goes from `begin` towards `end` is below `level` from hour a to b."""
    return (level - end) * (b - a) - (begin - end) * tau * (exp(-a / tau) - exp(-b / tau))


@inline
def _below(begin, end, later, tau, hours, level):  # type: ignore[no-untyped-def]
    """Kelvin hours below `level` in an interval; `later` is the temperature when it is over."""
    if begin >= level and later >= level:
        return 0.0
    if begin <= level and later <= level:
        return max(_area(begin, end, tau, 0.0, hours, level), 0.0)
    crossing = min(max(-tau * log((level - end) / (begin - end)), 0.0), hours)
    if begin < level:
        return max(_area(begin, end, tau, 0.0, crossing, level), 0.0)
    return max(_area(begin, end, tau, crossing, hours, level), 0.0)


class Pumps(NamedTuple):
    """Heat pumps and their rooms, (units,) each."""

    p_max: Floats  # MW
    supply: Floats  # degC
    loss: Floats  # MW/K
    tau: Floats  # h
    gains: Floats  # MW
    low: Floats  # degC, the comfort band
    high: Floats  # degC
    cut: Floats  # degC that the pump does not heat beyond
    q_per_p: Floats  # MVAr drawn for each MW
    price: Floats  # of a kelvin hour outside the band


@flattened(pumps=Pumps)
def heat_pump_advance(  # type: ignore[no-untyped-def]
    pumps, action, profile, t_index, dt_h, indoor, p, q, heat, lost, cost, owed
):
    """One interval of every heat pump: action 0 holds the middle of the band, -1 draws all, +1 nothing.

    `action, indoor, p, q, heat, lost, cost, owed` (batch, units), `profile` (n_steps,), `t_index` (batch,).
    `indoor` in degC, in and out; out are MW and MVAr (negative: drawn), MWh of heat from the pump and lost to
    the outside, the price of discomfort, MWh drawn to warm the room from there to the middle of the band.
    Power is cut where the room would be warmer than `cut` in the end.
    Returns as `room_observe` does.
    """
    for b in range(action.shape[0]):
        if not 0 <= t_index[b] < profile.shape[0]:
            return b
        outdoor = profile[t_index[b]]
        for u in range(pumps.p_max.size):
            loss, gains, tau, begin = pumps.loss[u], pumps.gains[u], pumps.tau[u], indoor[b, u]
            performance = _performance(outdoor, pumps.supply[u])
            fade = -expm1(-dt_h / tau)  # share of the way to the end that an interval takes
            middle = 0.5 * (pumps.low[u] + pumps.high[u])
            to_middle = ((begin + (middle - begin) / fade - outdoor) * loss - gains) / performance
            to_cut = ((begin + (pumps.cut[u] - begin) / fade - outdoor) * loss - gains) / performance
            hold = min(max(to_middle, 0.0), pumps.p_max[u])
            a = min(max(action[b, u], -1.0), 1.0)
            power = hold * (1.0 - a) if a >= 0.0 else hold - a * (pumps.p_max[u] - hold)
            power = min(power, max(to_cut, 0.0))
            end = outdoor + (performance * power + gains) / loss
            later = begin + (end - begin) * fade
            indoor[b, u] = later
            p[b, u] = 0.0 - power
            q[b, u] = 0.0 - power * pumps.q_per_p[u]
            heat[b, u] = performance * power * dt_h
            lost[b, u] = loss * ((end - outdoor) * dt_h - (end - begin) * fade * tau)
            outside = _below(begin, end, later, tau, dt_h, pumps.low[u])
            outside += _below(-begin, -end, -later, tau, dt_h, -pumps.high[u])
            cost[b, u] = outside * pumps.price[u]
            owed[b, u] = max(middle - later, 0.0) * loss * tau / performance
    return -1
