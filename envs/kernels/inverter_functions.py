"""What an inverter gives at a voltage by the functions of IEEE Std 1547-2018, for every row and unit.

Rows never mix, as in `devices`. Powers in MW and MVAr, positive when injecting; voltages in pu.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.numba_tools.flattened import flattened
from ...physics.numba_tools.jit import inline, lean_kernel
from .circle import within_circle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: What rules the reactive power of a unit; NONE: it has no functions and is left alone.
NONE, UNITY, VOLT_VAR, WATT_VAR, POWER_FACTOR = range(5)

_HALVINGS = 60  # of an interval of powers: to the last bit


class FunctionTable(NamedTuple):
    """Settings of the functions, unit by unit."""

    mode: Ints  # (units,) which rules the reactive power
    volt_var_v_pu: Floats  # (units, 4)
    volt_var_q: Floats  # (units, 4) share of the apparent power, injecting: +
    volt_watt_v_pu: Floats  # (units, 2) inf: no volt-watt
    volt_watt_p: Floats  # (units, 2) share of the rated power
    watt_var_p: Floats  # (units, 3) share of the rated power
    watt_var_q: Floats  # (units, 3) share of the apparent power
    q_per_p: Floats  # (units,) of a constant power factor, injecting: +
    q_injected: Floats  # (units,) capability, share of the apparent power
    q_absorbed: Floats  # (units,)
    p_full: Floats  # (units,) share of the rated power from which on all of the capability is there
    p_none: Floats  # (units,) and below which there is none
    rated_p_mw: Floats  # (units,)
    rated_s_mva: Floats  # (units,)
    reactive_first: NDArray[np.bool_]  # (units,) which of P and Q yields at the circle


@inline
def _between(x, x0, x1, y0, y1):  # type: ignore[no-untyped-def]
    return y0 + (x - x0) / (x1 - x0) * (y1 - y0)


@inline
def _curve(x, xs, ys):  # type: ignore[no-untyped-def]
    """Straight lines between the points, constant beyond them. Points may coincide."""
    last = xs.size - 1
    if x <= xs[0]:
        return ys[0]
    for k in range(last):
        if x < xs[k + 1]:
            return _between(x, xs[k], xs[k + 1], ys[k], ys[k + 1])
    return ys[last]


@inline
def _within_capability(q, p, unit, table):  # type: ignore[no-untyped-def]
    """MVAr that are left of `q` at the active power `p`: all from `p_full` on, in proportion below it."""
    share = p / table.rated_p_mw[unit]
    part = 1.0
    if share < table.p_none[unit]:
        part = 0.0
    elif share < table.p_full[unit]:
        part = share / table.p_full[unit]
    part = part * table.rated_s_mva[unit]
    return min(max(q, -table.q_absorbed[unit] * part), table.q_injected[unit] * part)


@inline
def _watt_var_at(p, unit, table):  # type: ignore[no-untyped-def]
    share = _curve(p / table.rated_p_mw[unit], table.watt_var_p[unit], table.watt_var_q[unit])
    return share * table.rated_s_mva[unit]


@inline
def _watt_var(p, unit, table):  # type: ignore[no-untyped-def]
    """P and Q on the curve; where that is outside the circle, P goes back to where both meet."""
    s, q = table.rated_s_mva[unit], _watt_var_at(p, unit, table)
    if p * p + q * q > s * s and table.reactive_first[unit]:
        low, high = 0.0, p
        for _ in range(_HALVINGS):
            p = 0.5 * (low + high)
            q = _watt_var_at(p, unit, table)
            if p * p + q * q > s * s:
                high = p
            else:
                low = p
        p = low
        q = _watt_var_at(p, unit, table)
    return p, _within_capability(q, p, unit, table)


@inline
def _power_factor(p, unit, table):  # type: ignore[no-untyped-def]
    """P and Q at the power factor: both shrink at the circle; where Q ends, P is what all of Q leaves."""
    s, factor = table.rated_s_mva[unit], table.q_per_p[unit]
    most = (table.q_injected[unit] if factor > 0.0 else table.q_absorbed[unit]) * s
    if not table.reactive_first[unit]:
        return p, _within_capability(p * factor, p, unit, table)
    kept = min(p, s / sqrt(1.0 + factor * factor))
    if abs(kept * factor) > most:
        kept = min(p, sqrt(s * s - most * most))
    return kept, _within_capability(kept * factor, kept, unit, table)


@flattened(table=FunctionTable)
def inverter_response(table, v_pu, offered, ceased, p, q):  # type: ignore[no-untyped-def]
    """Fill `p, q` (batch, units) with what each inverter gives at the voltage of its terminals.

    `v_pu, offered, ceased` (batch, units): voltage, MW that could flow, and 0.0 where the unit is on. Units
    without functions are left as they are; at a voltage that is no number nothing flows.
    """
    for b in range(p.shape[0]):
        for u in range(p.shape[1]):
            mode = table.mode[u]
            if mode == NONE:
                continue
            v, s = v_pu[b, u], table.rated_s_mva[u]
            power, vars_ = 0.0, 0.0
            if ceased[b, u] == 0.0 and not np.isnan(v):
                power = min(offered[b, u], s)
                if v > table.volt_watt_v_pu[u, 0]:
                    limit = _curve(v, table.volt_watt_v_pu[u], table.volt_watt_p[u])
                    power = min(power, limit * table.rated_p_mw[u])
                if mode == VOLT_VAR:
                    vars_ = _curve(v, table.volt_var_v_pu[u], table.volt_var_q[u]) * s
                    vars_ = _within_capability(vars_, power, u, table)
                elif mode == WATT_VAR:
                    power, vars_ = _watt_var(power, u, table)
                elif mode == POWER_FACTOR:
                    power, vars_ = _power_factor(power, u, table)
                power, vars_ = within_circle(power, vars_, s, table.reactive_first[u])
            p[b, u] = power
            q[b, u] = vars_


@lean_kernel
def cease(
    v_pu: Floats,  # (batch, units)
    limit: Floats,  # (units,) inf: never
    rows: NDArray[np.bool_],  # (batch,) that are looked at
    ceased: Floats,  # (batch, units) 1.0 where nothing flows for the rest of the interval, in and out
    changed: NDArray[np.bool_],  # (batch,) out
) -> bool:
    """Switch off every unit whose voltage has reached its limit; True where there was any that was on."""
    some = False
    for b in range(ceased.shape[0]):
        changed[b] = False
        if rows[b]:
            for u in range(ceased.shape[1]):
                if v_pu[b, u] >= limit[u] and ceased[b, u] == 0.0:
                    ceased[b, u] = 1.0
                    changed[b] = some = True
    return some


@lean_kernel
def note_rest(
    available: Floats,  # (batch, units) MW
    p: Floats,  # (batch, units) MW
    missed: NDArray[np.bool_],  # (batch, units) whose power does not agree with its voltage
    curtailed: Floats,  # (batch, units) MW, out
    unsettled: Floats,  # (batch, units) out
) -> None:
    """Write down what came of the interval, once voltages are known."""
    for b in range(p.shape[0]):
        for u in range(p.shape[1]):
            curtailed[b, u] = max(available[b, u] - p[b, u], 0.0)
            unsettled[b, u] = 1.0 if missed[b, u] else 0.0
