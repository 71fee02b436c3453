"""Currents of everything that is not constant power from one phase to ground.

Loads that depend on voltage, loads between two phases, capacitor banks. They are few, so they are kept in
lists beside the sweep: *items* share in the power of a conductor or of a leg (a pair of phases). Outside the
voltage band of a load (where it has one) the models are OpenDSS's, so that like is compared with like.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from .._jit import inline
from ..dependence import drawn
from ..lanes import LANES
from .generic import get, larger, like, put, root
from .program import CVR_P, CVR_Q, HIGH, I_P, I_Q, LOW, Z_P, Z_Q
from .steps import SQRT3, V_FLOOR_PU

V_LINEAR_PU = 0.5  # OpenDSS's vlowpu: below, a load with a band is its nominal impedance


@inline
def _between(v_re, v_im, a, b):  # type: ignore[no-untyped-def]
    """Voltage from conductor a to conductor b, or to ground (b < 0)."""
    x, y = get(v_re, a), get(v_im, a)
    if b >= 0:
        x = x - get(v_re, b)
        y = y - get(v_im, b)
    return x, y


@inline
def _draw(i_re, i_im, a, b, c, d, i2_max):  # type: ignore[no-untyped-def]
    """Add a current from conductor a to b; returns the largest |I|^2 so far."""
    e, f = get(i_re, a) + c, get(i_im, a) + d
    put(i_re, a, e)
    put(i_im, a, f)
    i2_max = larger(e * e + f * f, i2_max)
    if b >= 0:
        e, f = get(i_re, b) - c, get(i_im, b) - d
        put(i_re, b, e)
        put(i_im, b, f)
        i2_max = larger(e * e + f * f, i2_max)
    return i2_max


@inline
def bank_currents(prog, cap_on, v_re, v_im, i_re, i_im, i2_max):  # type: ignore[no-untyped-def]
    """Add what capacitor banks draw."""
    for j in range(prog.cap.shape[0]):
        a, b = prog.cap[j, 0], prog.cap[j, 1]
        y = prog.cap_b[j] * get(cap_on, prog.cap[j, 2])
        e, f = _between(v_re, v_im, a, b)
        i2_max = _draw(i_re, i_im, a, b, like(v_re, 0.0) - y * f, y * e, i2_max)
    return i2_max


@inline
def _is_curved(coef):  # type: ignore[no-untyped-def]
    """Whether an item has an exponent or a voltage band: no plain polynomial in |V|."""
    return not (np.isnan(coef[CVR_P]) and np.isnan(coef[CVR_Q]) and coef[LOW] == 0.0 and coef[HIGH] == np.inf)


@inline
def _banded(nominal, z, i, exponent, low, high, v):  # type: ignore[no-untyped-def]
    """P or Q at ``v`` pu: above ``high`` an impedance; below ``low`` the current falls in a straight line to
    that of the nominal impedance at ``V_LINEAR_PU``, and the load is that impedance further down.

    Outside its band a mixed ZIP load or one with an exponent starts from constant power, so it jumps.
    """
    if low <= v <= high:
        return drawn(nominal, z, i, exponent, v)
    pure = np.isnan(exponent) and (z == 0.0 or z == 1.0) and (i == 0.0 or i == 1.0)
    if v > high:
        return (v / high) * (v / high) * (drawn(nominal, z, i, exponent, high) if pure else nominal)
    if v <= V_LINEAR_PU:
        return nominal * v * v
    edge, start = (drawn(nominal, z, i, exponent, low) if pure else nominal) / low, nominal * V_LINEAR_PU
    return v * (start + (edge - start) * (v - V_LINEAR_PU) / (low - V_LINEAR_PU))


@inline
def _power_at(p, q, coef, v):  # type: ignore[no-untyped-def]
    low, high = coef[LOW], coef[HIGH]
    return (
        _banded(p, coef[Z_P], coef[I_P], coef[CVR_P], low, high, v),
        _banded(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], low, high, v),
    )


def _curved(room: Any, coef: Any) -> None:
    """Replace nominal P, Q in ``room`` (P, Q, |V|) by those drawn, entry by entry."""
    raise NotImplementedError("only inside compiled kernels")


@overload(_curved)
def _curved_overload(room, coef):  # type: ignore[no-untyped-def]
    if room.ndim == 1:

        def one(room, coef):  # type: ignore[no-untyped-def]
            room[0], room[1] = _power_at(room[0], room[1], coef, room[2])

        return one

    def lanes(room, coef):  # type: ignore[no-untyped-def]
        for lane in range(LANES):
            room[0, lane], room[1, lane] = _power_at(room[0, lane], room[1, lane], coef, room[2, lane])

    return lanes


@inline
def item_currents(prog, n_item, active, p, q, room, v_re, v_im, i_re, i_im, i2_max):  # type: ignore[no-untyped-def]
    """Add what the first ``n_item`` items draw; ``p, q`` their nominal power, ``room`` (3 entries) scratch."""
    floor2 = like(v_re, V_FLOOR_PU * V_FLOOR_PU)
    for j in range(n_item):
        if not active[j]:
            continue
        a, b = prog.item[j, 0], prog.item[j, 1]
        coef = prog.item_coef[j]
        x, y = _between(v_re, v_im, a, b)
        v2 = larger(x * x + y * y, floor2)
        power, reactive = get(p, j), get(q, j)
        if coef[Z_P] != 0.0 or coef[I_P] != 0.0 or coef[Z_Q] != 0.0 or coef[I_Q] != 0.0 or _is_curved(coef):
            v = root(v2)
            if b >= 0:
                v = v * (1.0 / SQRT3)
            if _is_curved(coef):
                put(room, 0, power)
                put(room, 1, reactive)
                put(room, 2, v)
                _curved(room, coef)
                power, reactive = get(room, 0), get(room, 1)
            else:
                power = power * (coef[Z_P] * v * v + coef[I_P] * v + (1.0 - coef[Z_P] - coef[I_P]))
                reactive = reactive * (coef[Z_Q] * v * v + coef[I_Q] * v + (1.0 - coef[Z_Q] - coef[I_Q]))
        w = 1.0 / v2
        c, d = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        i2_max = _draw(i_re, i_im, a, b, c, d, i2_max)
    return i2_max
