"""Power of everything that is not constant power from one phase to ground.

Loads that depend on voltage, loads between two phases, capacitor banks. They are few, so they are kept in
lists beside the sweep: *items* share in the power of a conductor or of a leg (a pair of phases). Outside the
voltage band of a load (where it has one) the models are OpenDSS's, so that like is compared with like.
"""

from __future__ import annotations

import numpy as np

from ....cases.schema import LINEAR_SHARE
from ...load_models import load_power
from ...numba_tools.jit import inline
from ...numba_tools.pointers import advance, get, get_lane, larger, like, put, put_lane, root, width_of
from ..kernel_tables import (
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
    SCALE,
    Z_P,
    Z_Q,
)
from .segment_laws import V_FLOOR_PU

REACTIONS = 3  # rounds of the small system of banks, each some ten times better than the one before


@inline
def _between(cell, a, b):  # type: ignore[no-untyped-def]
    """Voltage from conductor a to conductor b, or to ground (b < 0)."""
    x, y = get(cell.v_re, a), get(cell.v_im, a)
    if b >= 0:
        x = x - get(cell.v_re, b)
        y = y - get(cell.v_im, b)
    return x, y


@inline
def _take(cell, a, c, d):  # type: ignore[no-untyped-def]
    """Add the power that the current c + jd takes from conductor a."""
    x, y = get(cell.v_re, a), get(cell.v_im, a)
    put(cell.p_sum, a, get(cell.p_sum, a) + (x * c + y * d))
    put(cell.q_sum, a, get(cell.q_sum, a) + (y * c - x * d))


@inline
def bank_powers(net, cell, foresee):  # type: ignore[no-untyped-def]
    """Add what capacitor banks draw at their voltages or, ``foresee``, at those that the next sweep makes.

    A bank's power moves its own voltage, which moves its power, so that sweeps would creep. The change d of
    the powers b |V|^2 that the sweep before went with solves ``d = b |V|^2 - power + b R d`` with the
    slopes R of |V|^2 in these powers (`start_profile.reactions`). R is nearly right; where sweeps end d is
    zero.
    """
    zero = like(cell.v_re, 0.0)
    n = net.n_cap
    q, rest, change = cell.bank, advance(cell.bank, n), advance(cell.bank, 2 * n)
    for j in range(n):
        x, y = _between(cell, get(net.cap, CAP_WIDTH * j), get(net.cap, CAP_WIDTH * j + 1))
        if not foresee:
            put(q, j, zero)
        susceptance = get(net.cap_b, j) * get(cell.cap_on, get(net.cap, CAP_WIDTH * j + 2))
        left = susceptance * (x * x + y * y) - get(q, j)
        put(rest, j, left)
        put(change, j, left)
    for _ in range(REACTIONS if foresee else 0):
        for j in range(n):
            susceptance = get(net.cap_b, j) * get(cell.cap_on, get(net.cap, CAP_WIDTH * j + 2))
            moved = zero
            for k in range(n):
                moved = moved + get(net.reaction, n * j + k) * get(change, k)
            put(change, j, get(rest, j) + susceptance * moved)
    for j in range(n):
        a, b = get(net.cap, CAP_WIDTH * j), get(net.cap, CAP_WIDTH * j + 1)
        power = get(q, j) + get(change, j)
        put(q, j, power)
        if b < 0:
            put(cell.q_sum, a, get(cell.q_sum, a) - power)
            continue
        x, y = _between(cell, a, b)
        slope = power / larger(x * x + y * y, like(cell.v_re, V_FLOOR_PU * V_FLOOR_PU))
        c, d = zero - slope * y, slope * x
        _take(cell, a, c, d)
        _take(cell, b, zero - c, zero - d)


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
        return load_power(nominal, z, i, exponent, v)
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
def item_powers(net, cell):  # type: ignore[no-untyped-def]
    """Add what the items draw."""
    floor2 = like(cell.v_re, V_FLOOR_PU * V_FLOOR_PU)
    zero = like(cell.v_re, 0.0)
    for n in range(get(cell.live, 0)):
        j = get(cell.live, 1 + n)
        a, b = get(net.item, ITEM_WIDTH * j + ITEM_A), get(net.item, ITEM_WIDTH * j + ITEM_B)
        coef = advance(net.item_coef, ITEM_COEFS * j)
        x, y = _between(cell, a, b)
        v2 = larger(x * x + y * y, floor2)
        power, reactive = get(cell.item_p, j), get(cell.item_q, j)
        model = get(coef, MODEL)
        if model != CONSTANT:
            v = root(v2)
            if b >= 0:
                v = v * get(coef, SCALE)
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
        if b < 0:
            put(cell.p_sum, a, get(cell.p_sum, a) + power)
            put(cell.q_sum, a, get(cell.q_sum, a) + reactive)
            continue
        w = 1.0 / v2
        c, d = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        _take(cell, a, c, d)
        _take(cell, b, zero - c, zero - d)
