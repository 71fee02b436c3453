"""The equations of one row as numbers: coefficients, loads and their slopes, factors.

The equations are not analytic in the voltages, so each coefficient is a real 2x2 matrix acting on (re, im).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...numba_tools.jit import inline, lean_kernel
from ..assembly.equations import Equations
from ..kernel_tables import (
    CONSTANT,
    CVR_P,
    CVR_Q,
    HIGH,
    I_P,
    I_Q,
    LOW,
    MODEL,
    RATED,
    SCALE,
    SHARE_P,
    SHARE_Q,
    Z_P,
    Z_Q,
    FloatArray,
    IntArray,
)
from .load_power import banded

LEAST_PU = 0.01  # below this share of its voltage a load is the impedance that it is there
SLOPE_PU = 1e-6  # distance over which the slope of a load model is taken


class Memory(NamedTuple):
    """Workspace for one row."""

    value: FloatArray  # (entries, 2) coefficients with the row's taps and banks
    factor: FloatArray  # (pattern, 4) L and U
    inverse: FloatArray  # (n, 4) of the pivots
    place: IntArray  # (n,) entry of the row at work in each column, -1: none
    x: FloatArray  # (n, 2) unknowns
    kept: FloatArray  # (n, 2) the same at the last good point
    ahead: FloatArray  # (n, 2) direction
    right: FloatArray  # (n, 2)
    power: FloatArray  # (items, 2) pu at 1 pu
    number: FloatArray  # (8,) determinant sign, largest move, smallest |V|


def memory_for(equations: Equations) -> Memory:
    """Workspace for the equations; a thread needs its own."""
    n, entries, pattern = int(equations.size[0]), len(equations.entry), equations.column.size
    return Memory(
        np.empty((entries, 2)), np.empty((pattern, 4)), np.empty((n, 4)), np.full(n, -1, dtype=np.int64),
        np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2)),
        np.zeros((len(equations.item), 2)), np.zeros(8),
    )  # fmt: skip


@inline
def row_of(array, row):  # type: ignore[no-untyped-def]
    """Row of an argument: one row serves all."""
    return row if array.shape[0] > 1 else 0


@inline
def coefficients(eq, mem, tap, cap_on):  # type: ignore[no-untyped-def]
    """Coefficients of a row from its taps and banks."""
    for k in range(eq.value.shape[0]):
        mem.value[k, 0] = eq.value[k, 0]
        mem.value[k, 1] = eq.value[k, 1]
    for k in range(eq.tap.shape[0]):
        ratio, power = tap[eq.tap[k, 1]], eq.tap[k, 2]
        factor = ratio if power == 1 else (ratio * ratio if power == 2 else 1.0 / (ratio * ratio))
        mem.value[eq.tap[k, 0], 0] *= factor
        mem.value[eq.tap[k, 0], 1] *= factor
    for k in range(eq.cap.shape[0]):
        mem.value[eq.cap[k, 0], 1] += eq.cap_b[k] * cap_on[eq.cap[k, 1]]


@inline
def powers(eq, mem, given, row, scale, n_item):  # type: ignore[no-untyped-def]
    """Power of every item at 1 pu, less what is injected there."""
    p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in = given
    for k in range(n_item):
        slot, wye = eq.item[k, 2], eq.item[k, 1] < 0
        coef = eq.item_coef[k]
        if wye:
            power = p_mw[row_of(p_mw, row), slot] * coef[SHARE_P]
            reactive = q_mvar[row_of(q_mvar, row), slot] * coef[SHARE_Q]
        else:
            power = p_leg[row_of(p_leg, row), slot] * coef[SHARE_P]
            reactive = q_leg[row_of(q_leg, row), slot] * coef[SHARE_Q]
        if eq.item[k, 3] == 1:
            p, q = (p_in, q_in) if wye else (p_leg_in, q_leg_in)
            if p.shape[0] > 0:
                power -= p[row_of(p, row), slot]
            if q.shape[0] > 0:
                reactive -= q[row_of(q, row), slot]
        mem.power[k, 0] = power * scale
        mem.power[k, 1] = reactive * scale


@inline
def load_power(coef, p, q, v):  # type: ignore[no-untyped-def]
    """P and Q of an item at ``v`` pu. Across no voltage at all, constant power would have no solution."""
    share = 1.0
    if v < LEAST_PU:
        share, v = (v / LEAST_PU) ** 2, LEAST_PU
    if coef[MODEL] == CONSTANT:
        return share * p, share * q
    low, high, rated = coef[LOW], coef[HIGH], coef[RATED]
    return (
        share * banded(p, coef[Z_P], coef[I_P], coef[CVR_P], low, high, rated, v),
        share * banded(q, coef[Z_Q], coef[I_Q], coef[CVR_Q], low, high, rated, v),
    )


@inline
def add_slope(eq, mem, k, jxx, jxy, jyx, jyy):  # type: ignore[no-untyped-def]
    """Add the slope of an item's current to the coefficients of its conductors."""
    for j in range(4 if eq.item[k, 1] >= 0 else 1):
        sign = 1.0 if j == 0 or j == 3 else -1.0
        at = eq.item_place[k, j]
        mem.factor[at, 0] += sign * jxx
        mem.factor[at, 1] += sign * jxy
        mem.factor[at, 2] += sign * jyx
        mem.factor[at, 3] += sign * jyy


@lean_kernel
def load_coefficients(eq, mem):  # type: ignore[no-untyped-def]
    """The linear part to where it is factorised."""
    for k in range(mem.factor.shape[0]):
        for j in range(4):
            mem.factor[k, j] = 0.0
    for k in range(eq.entry.shape[0]):
        at, re, im = eq.entry[k, 2], mem.value[k, 0], mem.value[k, 1]
        mem.factor[at, 0] += re
        mem.factor[at, 1] -= im
        mem.factor[at, 2] += im
        mem.factor[at, 3] += re


@inline
def impedances(eq, mem, share, n_item):  # type: ignore[no-untyped-def]
    """Add every load as the admittance that it is at 1 pu."""
    for k in range(n_item):
        p, q = share * mem.power[k, 0], share * mem.power[k, 1]
        if p == 0.0 and q == 0.0:
            continue
        scale = eq.item_coef[k, SCALE]
        p, q = load_power(eq.item_coef[k], p, q, 1.0)
        g, b = p * scale * scale, -q * scale * scale
        add_slope(eq, mem, k, g, -b, b, g)


@inline
def across(eq, mem, k):  # type: ignore[no-untyped-def]
    """Voltage across an item."""
    a, b = eq.item[k, 0], eq.item[k, 1]
    x, y = mem.x[a, 0], mem.x[a, 1]
    if b >= 0:
        x -= mem.x[b, 0]
        y -= mem.x[b, 1]
    return x, y


@lean_kernel
def loads(eq, mem, share, n_item, slopes):  # type: ignore[no-untyped-def]
    """Add the loads' currents to the residual, and their slopes to the coefficients."""
    for k in range(n_item):
        p, q = share * mem.power[k, 0], share * mem.power[k, 1]
        if p == 0.0 and q == 0.0:
            continue
        coef = eq.item_coef[k]
        x, y = across(eq, mem, k)
        v2 = max(x * x + y * y, 1e-12)
        v, w = np.sqrt(v2), 1.0 / v2
        u = v * coef[SCALE]
        now_p, now_q = load_power(coef, p, q, u)
        c, d = (now_p * x + now_q * y) * w, (now_p * y - now_q * x) * w
        a, b = eq.item[k, 0], eq.item[k, 1]
        mem.right[a, 0] -= c
        mem.right[a, 1] -= d
        if b >= 0:
            mem.right[b, 0] += c
            mem.right[b, 1] += d
        if not slopes:
            continue
        dp = dq = 0.0
        if coef[MODEL] != CONSTANT or u < LEAST_PU:
            up = load_power(coef, p, q, u + SLOPE_PU)
            down = load_power(coef, p, q, u - SLOPE_PU)
            dp = (up[0] - down[0]) / (2.0 * SLOPE_PU) * coef[SCALE]
            dq = (up[1] - down[1]) / (2.0 * SLOPE_PU) * coef[SCALE]
        ex, ey = x / v, y / v
        px, py, qx, qy = dp * ex, dp * ey, dq * ex, dq * ey
        add_slope(
            eq, mem, k,
            (now_p + px * x + qx * y) * w - 2.0 * x * w * c, (now_q + py * x + qy * y) * w - 2.0 * y * w * c,
            (-now_q + px * y - qx * x) * w - 2.0 * x * w * d, (now_p + py * y - qy * x) * w - 2.0 * y * w * d,
        )  # fmt: skip


@lean_kernel
def factorise(eq, mem):  # type: ignore[no-untyped-def]
    """L and U in place, row by row; the sign of the determinant, 0 where a pivot vanishes."""
    n = eq.size[0]
    sign = 1.0
    f, inv, place = mem.factor, mem.inverse, mem.place
    for k in range(n):
        first, last, middle = eq.start[k], eq.start[k + 1], eq.diagonal[k]
        for at in range(first, last):
            place[eq.column[at]] = at
        for at in range(first, middle):
            j = eq.column[at]
            a, b, c, d = f[at, 0], f[at, 1], f[at, 2], f[at, 3]
            p, q, r, s = inv[j, 0], inv[j, 1], inv[j, 2], inv[j, 3]
            a, b, c, d = a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s
            f[at, 0], f[at, 1], f[at, 2], f[at, 3] = a, b, c, d
            for to in range(eq.diagonal[j] + 1, eq.start[j + 1]):
                here = place[eq.column[to]]
                p, q, r, s = f[to, 0], f[to, 1], f[to, 2], f[to, 3]
                f[here, 0] -= a * p + b * r
                f[here, 1] -= a * q + b * s
                f[here, 2] -= c * p + d * r
                f[here, 3] -= c * q + d * s
        a, b, c, d = f[middle, 0], f[middle, 1], f[middle, 2], f[middle, 3]
        for at in range(first, last):
            place[eq.column[at]] = -1
        det = a * d - b * c
        if not np.abs(det) > 1e-300:
            return 0.0
        if det < 0.0:
            sign = -sign
        inv[k, 0], inv[k, 1], inv[k, 2], inv[k, 3] = d / det, -b / det, -c / det, a / det
    return sign


@lean_kernel
def back_solve(eq, mem, right, out):  # type: ignore[no-untyped-def]
    """Solve with the factors; ``right`` by equation, ``out`` by unknown (another array)."""
    n = eq.size[0]
    f, inv = mem.factor, mem.inverse
    work = mem.ahead
    for equation in range(n):
        k = eq.pivot[0, equation]
        work[k, 0], work[k, 1] = right[equation, 0], right[equation, 1]
    for k in range(n):
        x, y = work[k, 0], work[k, 1]
        for at in range(eq.start[k], eq.diagonal[k]):
            j = eq.column[at]
            x -= f[at, 0] * work[j, 0] + f[at, 1] * work[j, 1]
            y -= f[at, 2] * work[j, 0] + f[at, 3] * work[j, 1]
        work[k, 0], work[k, 1] = x, y
    for k in range(n - 1, -1, -1):
        x, y = work[k, 0], work[k, 1]
        for at in range(eq.diagonal[k] + 1, eq.start[k + 1]):
            j = eq.column[at]
            x -= f[at, 0] * work[j, 0] + f[at, 1] * work[j, 1]
            y -= f[at, 2] * work[j, 0] + f[at, 3] * work[j, 1]
        work[k, 0] = inv[k, 0] * x + inv[k, 1] * y
        work[k, 1] = inv[k, 2] * x + inv[k, 3] * y
    for unknown in range(n):
        k = eq.pivot[1, unknown]
        out[unknown, 0], out[unknown, 1] = work[k, 0], work[k, 1]


@inline
def emf(eq, mem, v_source):  # type: ignore[no-untyped-def]
    """The right side: the sources' voltages."""
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] = 0.0
        mem.right[k, 1] = 0.0
    for k in range(eq.emf.shape[0]):
        z = v_source[eq.emf[k, 1]]
        mem.right[eq.emf[k, 0], 0] = z.real
        mem.right[eq.emf[k, 0], 1] = z.imag


@lean_kernel
def residual(eq, mem, v_source):  # type: ignore[no-untyped-def]
    """What the linear part leaves, into ``right``."""
    emf(eq, mem, v_source)
    for k in range(eq.entry.shape[0]):
        equation, unknown = eq.entry[k, 0], eq.entry[k, 1]
        re, im = mem.value[k, 0], mem.value[k, 1]
        x, y = mem.x[unknown, 0], mem.x[unknown, 1]
        mem.right[equation, 0] -= re * x - im * y
        mem.right[equation, 1] -= re * y + im * x
