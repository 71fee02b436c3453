"""Currents of everything that is not constant power from one phase to ground.

Loads that depend on voltage, loads between two phases, capacitor banks. They are few, so they are kept in
lists beside the sweep: *items* share in the power of a conductor or of a leg (a pair of phases). Outside the
voltage band of a load (where it has one) the models are OpenDSS's, so that like is compared with like.
"""

from __future__ import annotations

import numpy as np

from ..dependence import drawn
from .generic import advance, get, get_lane, inline, larger, like, put, put_lane, root, width_of
from .program import (
    CAP_WIDTH,
    CONSTANT,
    CURVED,
    CVR_P,
    CVR_Q,
    HIGH,
    I_P,
    I_Q,
    ITEM_A,
    ITEM_B,
    ITEM_COEFS,
    ITEM_WIDTH,
    LOW,
    MODEL,
    RATED,
    Z_P,
    Z_Q,
)
from .steps import SQRT3, V_FLOOR_PU

LINEAR_SHARE = 0.5  # OpenDSS's vlowpu: below this part of its rated voltage a load is an impedance


@inline
def _between(cell, a, b):  # type: ignore[no-untyped-def]
    """Voltage from conductor a to conductor b, or to ground (b < 0)."""
    x, y = get(cell.v_re, a), get(cell.v_im, a)
    if b >= 0:
        x = x - get(cell.v_re, b)
        y = y - get(cell.v_im, b)
    return x, y


@inline
def _draw(cell, a, b, c, d, i2_max):  # type: ignore[no-untyped-def]
    """Add a current from conductor a to b; returns the largest |I|^2 so far."""
    e, f = get(cell.i_re, a) + c, get(cell.i_im, a) + d
    put(cell.i_re, a, e)
    put(cell.i_im, a, f)
    i2_max = larger(e * e + f * f, i2_max)
    if b >= 0:
        e, f = get(cell.i_re, b) - c, get(cell.i_im, b) - d
        put(cell.i_re, b, e)
        put(cell.i_im, b, f)
        i2_max = larger(e * e + f * f, i2_max)
    return i2_max


@inline
def bank_currents(net, cell):  # type: ignore[no-untyped-def]
    """Add what capacitor banks draw."""
    i2_max = get(cell.track, 2)
    zero = like(cell.v_re, 0.0)
    for j in range(net.n_cap):
        a, b = get(net.cap, CAP_WIDTH * j), get(net.cap, CAP_WIDTH * j + 1)
        y = get(net.cap_b, j) * get(cell.cap_on, get(net.cap, CAP_WIDTH * j + 2))
        e, f = _between(cell, a, b)
        i2_max = _draw(cell, a, b, zero - y * f, y * e, i2_max)
    put(cell.track, 2, i2_max)


@inline
def _line(v, low, floor, at_low, at_floor):  # type: ignore[no-untyped-def]
    """Straight line through (floor, at_floor) and (low, at_low)."""
    return at_floor + (at_low - at_floor) * (v - floor) / (low - floor)


@inline
def banded(nominal, z, i, exponent, low, high, rated, v):  # type: ignore[no-untyped-def]
    """P or Q at ``v`` pu, each share of the load by OpenDSS's rule outside the band.

    Above ``high`` an impedance; below ``low`` a current that falls in a straight line to that of the
    impedance at rated voltage, which the load is further down. Loads with an exponent count as constant power
    there, so they jump.
    """
    if low <= v <= high:
        return drawn(nominal, z, i, exponent, v)
    if not np.isnan(exponent):
        nominal, z, i = nominal * rated**exponent, 0.0, 0.0
    c, floor = 1.0 - z - i, LINEAR_SHARE * rated
    if v > high:
        return nominal * v * v * (c / (high * high) + i / high + z)
    if v <= floor:
        return nominal * v * v * (c / (rated * rated) + i / rated + z)
    power = _line(v, low, floor, 1.0 / low, floor / (rated * rated))
    return nominal * v * (c * power + i * _line(v, low, floor, 1.0, floor / rated) + z * v)


@inline
def _curved(coef, room):  # type: ignore[no-untyped-def]
    """Replace nominal P, Q in ``room`` (P, Q, |V|) by those drawn, lane by lane."""
    low, high, rated = get(coef, LOW), get(coef, HIGH), get(coef, RATED)
    for lane in range(width_of(room)):
        v = get_lane(room, 2, lane)
        p, q = get_lane(room, 0, lane), get_lane(room, 1, lane)
        p = banded(p, get(coef, Z_P), get(coef, I_P), get(coef, CVR_P), low, high, rated, v)
        q = banded(q, get(coef, Z_Q), get(coef, I_Q), get(coef, CVR_Q), low, high, rated, v)
        put_lane(room, 0, lane, p)
        put_lane(room, 1, lane, q)


@inline
def item_currents(net, cell):  # type: ignore[no-untyped-def]
    """Add what the items draw."""
    floor2 = like(cell.v_re, V_FLOOR_PU * V_FLOOR_PU)
    i2_max = get(cell.track, 2)
    for j in range(net.n_item):
        if not get(cell.item_active, j):
            continue
        a, b = get(net.item, ITEM_WIDTH * j + ITEM_A), get(net.item, ITEM_WIDTH * j + ITEM_B)
        coef = advance(net.item_coef, ITEM_COEFS * j)
        x, y = _between(cell, a, b)
        v2 = larger(x * x + y * y, floor2)
        power, reactive = get(cell.item_p, j), get(cell.item_q, j)
        model = get(coef, MODEL)
        if model != CONSTANT:
            v = root(v2)
            if b >= 0:
                v = v * (1.0 / SQRT3)
            if model == CURVED:
                put(cell.room, 0, power)
                put(cell.room, 1, reactive)
                put(cell.room, 2, v)
                _curved(coef, cell.room)
                power, reactive = get(cell.room, 0), get(cell.room, 1)
            else:
                z_p, i_p, z_q, i_q = get(coef, Z_P), get(coef, I_P), get(coef, Z_Q), get(coef, I_Q)
                power = power * (z_p * v * v + i_p * v + (1.0 - z_p - i_p))
                reactive = reactive * (z_q * v * v + i_q * v + (1.0 - z_q - i_q))
        w = 1.0 / v2
        c, d = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        i2_max = _draw(cell, a, b, c, d, i2_max)
    put(cell.track, 2, i2_max)
