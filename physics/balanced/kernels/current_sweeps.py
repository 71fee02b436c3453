"""Current summation: sweeps of complex voltages and currents, and the check of Kirchhoff's laws.

Backward ``I_parent += conj(a) I_child``; forward ``V_child = a V_parent - z I_child`` with the new node
current ``I = conj(S / V) + y V`` formed in the same pass (Shirmohammadi et al. 1988; Kersting, Distribution
System Modeling and Analysis).
"""

from __future__ import annotations

import numpy as np

from ...load_models import load_power
from ...numba_tools.jit import inline
from ...numba_tools.lanes import choose, every, larger, load, pick, put, smaller, store, width
from .adjusted import admittance, has_ratio, has_shunt, impedance, ratio
from .power_sweeps import DROP, SOUND, V_FLOOR_PU, P, Q
from .tree_newton import newton_step

STEP_LIMIT_PU = 0.3  # of each component of a Newton step: keeps a row without solution finite

# Fields of ``volt`` and, for currents, of ``flow``; rows of ``seen``: largest squared update, smallest
# |V|^2, largest |I|^2 of a node, a number that is finite where all currents are, the smallest pivot.
RE, IM = 0, 1
D2_MOST, V2_LEAST, I2_MOST, FINITE, PIVOT = 0, 1, 2, 3, 4


@inline
def _node_current(plan, k, draw, x, y, v2, flow):  # type: ignore[no-untyped-def]
    """Current drawn at position k by constant power and shunt at x + jy, and 1 / |V|^2; returns |I|^2."""
    w = 1.0 / larger(v2, every(flow, V_FLOOR_PU * V_FLOOR_PU))
    p, q = load(draw, k, 0), load(draw, k, 1)
    c, d = (p * x + q * y) * w, (p * y - q * x) * w
    if has_shunt(plan, k):
        g, b = admittance(plan, k, flow)
        c = c + (g * x - b * y)
        d = d + (g * y + b * x)
    store(flow, k, RE, c)
    store(flow, k, IM, d)
    store(flow, k, DROP, w)
    return c * c + d * d


@inline
def _voltage_dependent(plan, nominal, volt, flow, seen):  # type: ignore[no-untyped-def]
    """Add the currents of ZIP and CVR loads."""
    for j in range(plan.zip_pos.size):
        k = plan.zip_pos[j]
        s = plan.zip_coef[j]
        for lane in range(width(flow)):
            x, y = pick(volt, k, RE, lane), pick(volt, k, IM, lane)
            v2 = max(x * x + y * y, V_FLOOR_PU * V_FLOOR_PU)
            v = np.sqrt(v2)
            p = load_power(pick(nominal, j, 0, lane), s[0], s[1], s[4], v)
            q = load_power(pick(nominal, j, 1, lane), s[2], s[3], s[5], v)
            c = pick(flow, k, RE, lane) + (p * x + q * y) / v2
            d = pick(flow, k, IM, lane) + (p * y - q * x) / v2
            put(flow, k, RE, lane, c)
            put(flow, k, IM, lane, d)
            put(seen, 0, I2_MOST, lane, max(pick(seen, 0, I2_MOST, lane), c * c + d * d))


@inline
def _turned(plan, k, x, y, like):  # type: ignore[no-untyped-def]
    """``a`` times a voltage of the parent."""
    if has_ratio(plan, k):
        a_re, a_im = ratio(plan, k, like)
        return a_re * x - a_im * y, a_re * y + a_im * x
    return x, y


@inline
def _turned_back(plan, k, x, y, like):  # type: ignore[no-untyped-def]
    """``conj(a)`` times a current of the child."""
    if has_ratio(plan, k):
        a_re, a_im = ratio(plan, k, like)
        return a_re * x + a_im * y, a_re * y - a_im * x
    return x, y


@inline
def voltages_of_powers(plan, draw, nominal, flow, volt, track, seen):  # type: ignore[no-untyped-def]
    """Complex voltages from the powers sent of sound lanes, of no load in others; node currents.

    The sources' voltages stand in ``volt``. Overwrites the powers in ``flow`` by currents.
    """
    sound = load(track, 0, SOUND)
    one, zero = every(flow, 1.0), every(flow, 0.0)
    v2_least, i2_most = every(flow, np.inf), every(flow, 0.0)
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        if up < 0:
            x, y = load(volt, k, RE), load(volt, k, IM)
        else:
            e, f = _turned(plan, k, load(volt, up, RE), load(volt, up, IM), flow)
            w = 1.0 / (e * e + f * f) if has_ratio(plan, k) else load(flow, up, DROP)
            r, reactance = impedance(plan, k, flow)
            p, q = load(flow, k, P), load(flow, k, Q)
            c = choose(sound, 1.0 - (r * p + reactance * q) * w, one)
            d = choose(sound, (r * q - reactance * p) * w, zero)
            x, y = e * c - f * d, e * d + f * c
            store(volt, k, RE, x)
            store(volt, k, IM, y)
        v2 = x * x + y * y
        v2_least = smaller(v2, v2_least)
        i2_most = larger(_node_current(plan, k, draw, x, y, v2, flow), i2_most)
    store(seen, 0, V2_LEAST, v2_least)
    store(seen, 0, I2_MOST, i2_most)
    _voltage_dependent(plan, nominal, volt, flow, seen)


@inline
def gather_and_check(plan, volt, flow, seen):  # type: ignore[no-untyped-def]
    """Branch currents of the node currents in ``flow``, leaves first, and how far Ohm's law fails.

    The largest squared residual of ``V_child = a V_parent - z I_child`` is how far a sweep would move.
    """
    d2_most, total = every(flow, 0.0), every(flow, 0.0)
    for k in range(plan.link.shape[0] - 1, -1, -1):
        up = plan.link[k, 0]
        c, d = load(flow, k, RE), load(flow, k, IM)
        total = total + (c * c + d * d)
        if up < 0:
            continue
        r, x = impedance(plan, k, flow)
        e, f = _turned(plan, k, load(volt, up, RE), load(volt, up, IM), flow)
        dx = load(volt, k, RE) - e + (r * c - x * d)
        dy = load(volt, k, IM) - f + (r * d + x * c)
        d2_most = larger(dx * dx + dy * dy, d2_most)
        c, d = _turned_back(plan, k, c, d, flow)
        store(flow, up, RE, load(flow, up, RE) + c)
        store(flow, up, IM, load(flow, up, IM) + d)
    store(seen, 0, D2_MOST, d2_most)
    store(seen, 0, FINITE, total)


@inline
def gather_currents(plan, flow, seen):  # type: ignore[no-untyped-def]
    """The same without the check of Ohm's law."""
    total = every(flow, 0.0)
    for k in range(plan.link.shape[0] - 1, -1, -1):
        up = plan.link[k, 0]
        c, d = load(flow, k, RE), load(flow, k, IM)
        total = total + (c * c + d * d)
        if up < 0:
            continue
        c, d = _turned_back(plan, k, c, d, flow)
        store(flow, up, RE, load(flow, up, RE) + c)
        store(flow, up, IM, load(flow, up, IM) + d)
    store(seen, 0, FINITE, total)


@inline
def currents_of_voltages(plan, draw, nominal, volt, flow, seen):  # type: ignore[no-untyped-def]
    """The branch currents that the voltages in ``volt`` draw."""
    for k in range(plan.link.shape[0]):
        x, y = load(volt, k, RE), load(volt, k, IM)
        _node_current(plan, k, draw, x, y, x * x + y * y, flow)
    _voltage_dependent(plan, nominal, volt, flow, seen)
    gather_currents(plan, flow, seen)


@inline
def _move(plan, k, draw, volt, flow, x, y, dx, dy, found):  # type: ignore[no-untyped-def]
    """Voltage x + jy at position k after a step dx + j dy; returns the extremes ``found`` with it."""
    d2_most, v2_least, i2_most = found
    store(volt, k, RE, x)
    store(volt, k, IM, y)
    v2 = x * x + y * y
    i2 = _node_current(plan, k, draw, x, y, v2, flow)
    return larger(dx * dx + dy * dy, d2_most), smaller(v2, v2_least), larger(i2, i2_most)


@inline
def _keep(seen, found):  # type: ignore[no-untyped-def]
    d2_most, v2_least, i2_most = found
    store(seen, 0, D2_MOST, d2_most)
    store(seen, 0, V2_LEAST, v2_least)
    store(seen, 0, I2_MOST, i2_most)


@inline
def sweep_forward(plan, draw, nominal, volt, flow, seen):  # type: ignore[no-untyped-def]
    """New voltages from the branch currents, then new node currents, sources first."""
    found = every(flow, 0.0), every(flow, np.inf), every(flow, 0.0)
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        was_x, was_y = load(volt, k, RE), load(volt, k, IM)
        x, y = was_x, was_y
        if up >= 0:
            r, reactance = impedance(plan, k, flow)
            c, d = load(flow, k, RE), load(flow, k, IM)
            x, y = _turned(plan, k, load(volt, up, RE), load(volt, up, IM), flow)
            x = x - (r * c - reactance * d)
            y = y - (r * d + reactance * c)
        found = _move(plan, k, draw, volt, flow, x, y, x - was_x, y - was_y, found)
    _keep(seen, found)
    _voltage_dependent(plan, nominal, volt, flow, seen)


@inline
def newton_forward(plan, draw, nominal, volt, flow, work, seen):  # type: ignore[no-untyped-def]
    """As :func:`sweep_forward`, with Newton's step in place of the sweep's."""
    store(seen, 0, PIVOT, newton_step(plan, draw, nominal, volt, flow, work))
    found = every(flow, 0.0), every(flow, np.inf), every(flow, 0.0)
    low, high = every(flow, -STEP_LIMIT_PU), every(flow, STEP_LIMIT_PU)
    for k in range(plan.link.shape[0]):
        dx = smaller(larger(load(work, k, 4), low), high)  # also replaces NaN, from a pivot of zero
        dy = smaller(larger(load(work, k, 5), low), high)
        x, y = load(volt, k, RE) + dx, load(volt, k, IM) + dy
        found = _move(plan, k, draw, volt, flow, x, y, dx, dy, found)
    _keep(seen, found)
    _voltage_dependent(plan, nominal, volt, flow, seen)
