"""Newton's method on the equations of a per-phase feeder, one row after the other.

A row begins at the solution in which every load is the impedance that it is at 1 pu. From there Newton's
steps are taken with the exact slopes of all loads. The equations are not analytic in the voltages, so each
coefficient is a real 2x2 matrix acting on (re, im); the factors have the pattern that `factor` laid down.

Only the operable branch of the PV curve counts: the one that is connected with no load. On it the determinant
keeps the sign that it has there. A row that Newton's steps do not reach, reach with another sign, or reach
far below its start, is followed along that branch instead, with its loads growing from a small share to their
full power (natural-parameter continuation with a tangent predictor; Allgower and Georg, Introduction to
Numerical Continuation Methods, 2003).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._jit import inline, lean_kernel
from .drawn import banded
from .equations import Equations
from .program import (
    COLLAPSED,
    CONSTANT,
    CONVERGED,
    CVR_P,
    CVR_Q,
    DIVERGED,
    HIGH,
    I_P,
    I_Q,
    LOW,
    MODEL,
    POLYNOMIAL,
    RATED,
    SCALE,
    SHARE_P,
    SHARE_Q,
    Z_P,
    Z_Q,
    FloatArray,
    IntArray,
)

MOST_STEPS = 12  # of Newton from one start
MOST_FACTORS = 200  # of a row that is followed along its branch
LEAST_GROWTH = 5e-5  # of the loads from one point of the branch to the next
ROUNDING_PU = 1e-7  # an update below this that no longer shrinks is rounding
LONGEST_MOVE_PU = 0.5  # of one step
SOUND_SHARE = 0.6  # of each voltage with impedances: below, the branch is followed to be sure
FAINT_PU = 0.01  # voltages below this are no measure
LEAP_PU = 0.25  # from one point of the branch to the next: a longer move is to another branch
LEAST_PU = 0.01  # below this share of its voltage a load is the impedance that it is there
LITTLE = 1e-3  # share of the loads that hardly moves a voltage
SLOPE_PU = 1e-6  # distance over which the slope of a load model is taken


class Memory(NamedTuple):
    """Room for one row."""

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
    """Room for the equations; a thread needs its own."""
    n, entries, pattern = int(equations.size[0]), len(equations.entry), equations.column.size
    return Memory(
        np.empty((entries, 2)), np.empty((pattern, 4)), np.empty((n, 4)), np.full(n, -1, dtype=np.int64),
        np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2)),
        np.zeros((len(equations.item), 2)), np.zeros(8),
    )  # fmt: skip


@inline
def _row(array, row):  # type: ignore[no-untyped-def]
    return row if array.shape[0] > 1 else 0


@inline
def _coefficients(eq, mem, tap, cap_on):  # type: ignore[no-untyped-def]
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
def _powers(eq, mem, given, row, scale, n_item):  # type: ignore[no-untyped-def]
    """Power of every item at 1 pu, less what is injected there."""
    p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in = given
    for k in range(n_item):
        slot, wye = eq.item[k, 2], eq.item[k, 1] < 0
        coef = eq.item_coef[k]
        if wye:
            power = p_mw[_row(p_mw, row), slot] * coef[SHARE_P]
            reactive = q_mvar[_row(q_mvar, row), slot] * coef[SHARE_Q]
        else:
            power = p_leg[_row(p_leg, row), slot] * coef[SHARE_P]
            reactive = q_leg[_row(q_leg, row), slot] * coef[SHARE_Q]
        if eq.item[k, 3] == 1:
            p, q = (p_in, q_in) if wye else (p_leg_in, q_leg_in)
            if p.shape[0] > 0:
                power -= p[_row(p, row), slot]
            if q.shape[0] > 0:
                reactive -= q[_row(q, row), slot]
        mem.power[k, 0] = power * scale
        mem.power[k, 1] = reactive * scale


@inline
def _drawn(coef, p, q, v):  # type: ignore[no-untyped-def]
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
def _add_slope(eq, mem, k, jxx, jxy, jyx, jyy):  # type: ignore[no-untyped-def]
    """Add the slope of an item's current to the coefficients of its conductors."""
    for j in range(4 if eq.item[k, 1] >= 0 else 1):
        sign = 1.0 if j == 0 or j == 3 else -1.0
        at = eq.item_place[k, j]
        mem.factor[at, 0] += sign * jxx
        mem.factor[at, 1] += sign * jxy
        mem.factor[at, 2] += sign * jyx
        mem.factor[at, 3] += sign * jyy


@lean_kernel
def _load_coefficients(eq, mem):  # type: ignore[no-untyped-def]
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
def _impedances(eq, mem, share, n_item):  # type: ignore[no-untyped-def]
    """Add every load as the admittance that it is at 1 pu."""
    for k in range(n_item):
        p, q = share * mem.power[k, 0], share * mem.power[k, 1]
        if p == 0.0 and q == 0.0:
            continue
        scale = eq.item_coef[k, SCALE]
        p, q = _drawn(eq.item_coef[k], p, q, 1.0)
        g, b = p * scale * scale, -q * scale * scale
        _add_slope(eq, mem, k, g, -b, b, g)


@inline
def _across(eq, mem, k):  # type: ignore[no-untyped-def]
    a, b = eq.item[k, 0], eq.item[k, 1]
    x, y = mem.x[a, 0], mem.x[a, 1]
    if b >= 0:
        x -= mem.x[b, 0]
        y -= mem.x[b, 1]
    return x, y


@lean_kernel
def _loads(eq, mem, share, n_item, slopes):  # type: ignore[no-untyped-def]
    """Add the loads' currents to the residual, and their slopes to the coefficients."""
    for k in range(n_item):
        p, q = share * mem.power[k, 0], share * mem.power[k, 1]
        if p == 0.0 and q == 0.0:
            continue
        coef = eq.item_coef[k]
        x, y = _across(eq, mem, k)
        v2 = max(x * x + y * y, 1e-12)
        v, w = np.sqrt(v2), 1.0 / v2
        u = v * coef[SCALE]
        now_p, now_q = _drawn(coef, p, q, u)
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
            up = _drawn(coef, p, q, u + SLOPE_PU)
            down = _drawn(coef, p, q, u - SLOPE_PU)
            dp = (up[0] - down[0]) / (2.0 * SLOPE_PU) * coef[SCALE]
            dq = (up[1] - down[1]) / (2.0 * SLOPE_PU) * coef[SCALE]
        ex, ey = x / v, y / v
        px, py, qx, qy = dp * ex, dp * ey, dq * ex, dq * ey
        _add_slope(
            eq, mem, k,
            (now_p + px * x + qx * y) * w - 2.0 * x * w * c, (now_q + py * x + qy * y) * w - 2.0 * y * w * c,
            (-now_q + px * y - qx * x) * w - 2.0 * x * w * d, (now_p + py * y - qy * x) * w - 2.0 * y * w * d,
        )  # fmt: skip


@lean_kernel
def _factorise(eq, mem):  # type: ignore[no-untyped-def]
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
def _back_solve(eq, mem, right, out):  # type: ignore[no-untyped-def]
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
def _emf(eq, mem, v_source):  # type: ignore[no-untyped-def]
    """The right side: the sources' voltages."""
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] = 0.0
        mem.right[k, 1] = 0.0
    for k in range(eq.emf.shape[0]):
        z = v_source[eq.emf[k, 1]]
        mem.right[eq.emf[k, 0], 0] = z.real
        mem.right[eq.emf[k, 0], 1] = z.imag


@lean_kernel
def _residual(eq, mem, v_source):  # type: ignore[no-untyped-def]
    """What the linear part leaves, into ``right``."""
    _emf(eq, mem, v_source)
    for k in range(eq.entry.shape[0]):
        equation, unknown = eq.entry[k, 0], eq.entry[k, 1]
        re, im = mem.value[k, 0], mem.value[k, 1]
        x, y = mem.x[unknown, 0], mem.x[unknown, 1]
        mem.right[equation, 0] -= re * x - im * y
        mem.right[equation, 1] -= re * y + im * x


@lean_kernel
def _newton(eq, mem, v_source, share, n_item, step):  # type: ignore[no-untyped-def]
    """One step: the largest move of a voltage, the sign of the determinant and the residual before it."""
    _load_coefficients(eq, mem)
    _residual(eq, mem, v_source)
    _loads(eq, mem, share, n_item, True)
    rest = 0.0
    for k in range(eq.size[0]):
        rest = max(rest, mem.right[k, 0] * mem.right[k, 0] + mem.right[k, 1] * mem.right[k, 1])
    rest = np.sqrt(rest)
    sign = _factorise(eq, mem)
    if sign == 0.0:
        return np.inf, 0.0, rest
    _back_solve(eq, mem, mem.right, step)
    most = 0.0
    for k in range(eq.size[1]):
        most = max(most, step[k, 0] * step[k, 0] + step[k, 1] * step[k, 1])
    most = np.sqrt(most)
    if not most < np.inf:
        return np.inf, 0.0, rest
    cut = 1.0 if most <= LONGEST_MOVE_PU else LONGEST_MOVE_PU / most
    for k in range(eq.size[0]):
        mem.x[k, 0] += cut * step[k, 0]
        mem.x[k, 1] += cut * step[k, 1]
    return most, sign, rest


@lean_kernel
def _settle(eq, mem, v_source, share, n_item, tol, most, step):  # type: ignore[no-untyped-def]
    """Newton from ``mem.x``: (converged, steps, last move, sign of the determinant at the end)."""
    before, sign, moved = np.inf, 0.0, np.inf
    for count in range(1, most + 1):
        moved, sign, rest = _newton(eq, mem, v_source, share, n_item, step)
        if sign == 0.0:
            return False, count, moved, sign
        idle = eq.size[4] == 0 and rest < 0.1 * tol  # loads of constant current in series fix no voltage
        if moved < tol or (moved < ROUNDING_PU and moved > 0.3 * before) or idle:
            return True, count, moved, sign
        before = moved
    return False, most, moved, sign


@inline
def _copy(source, target):  # type: ignore[no-untyped-def]
    for k in range(source.shape[0]):
        target[k, 0] = source[k, 0]
        target[k, 1] = source[k, 1]


@lean_kernel
def _as_impedances(eq, mem, v_source, share, n_item):  # type: ignore[no-untyped-def]
    """``mem.x`` with every load an impedance; the sign of the determinant there."""
    _load_coefficients(eq, mem)
    _impedances(eq, mem, share, n_item)
    sign = _factorise(eq, mem)
    if sign != 0.0:
        _emf(eq, mem, v_source)
        _back_solve(eq, mem, mem.right, mem.x)
    return sign


@inline
def _lowest(eq, x):  # type: ignore[no-untyped-def]
    """Smallest |V| of the conductors that are told."""
    least = np.inf
    for k in range(eq.seen.shape[0]):
        at = eq.seen[k, 0]
        least = min(least, x[at, 0] * x[at, 0] + x[at, 1] * x[at, 1])
    return np.sqrt(least)


@inline
def _farthest(eq, mem):  # type: ignore[no-untyped-def]
    """Largest move of a voltage away from ``mem.kept``."""
    most = 0.0
    for k in range(eq.seen.shape[0]):
        at = eq.seen[k, 0]
        most = max(most, np.hypot(mem.x[at, 0] - mem.kept[at, 0], mem.x[at, 1] - mem.kept[at, 1]))
    return most


@inline
def _sound(eq, mem):  # type: ignore[no-untyped-def]
    """Whether no voltage is far from what it is with impedances, in ``mem.kept``."""
    sound = eq.size[4] == 1 or _farthest(eq, mem) < LEAP_PU
    for k in range(eq.seen.shape[0]):
        at = eq.seen[k, 0]
        now = np.hypot(mem.x[at, 0], mem.x[at, 1])
        before = np.hypot(mem.kept[at, 0], mem.kept[at, 1])
        sound &= now > SOUND_SHARE * before or max(now, before) < FAINT_PU
    return sound


@inline
def _same_side(eq, sign, ref):  # type: ignore[no-untyped-def]
    """Whether the determinant has the sign of the operable branch. Of a conductor that only loads in series
    feed it says nothing: there loads of constant power have another sign than impedances.
    """
    return sign == ref or eq.size[4] == 0


@lean_kernel
def _follow(eq, mem, v_source, n_item, tol, step):  # type: ignore[no-untyped-def]
    """Along the operable branch from small loads to the whole: (converged, factors, last move)."""
    share, count = 1.0, 0
    good = False
    while not good and share > 1e-6 and count < MOST_FACTORS:
        share *= 0.25
        ref = _as_impedances(eq, mem, v_source, share, n_item)
        if ref == 0.0:
            continue
        _copy(mem.x, mem.kept)
        good, steps, moved, sign = _settle(eq, mem, v_source, share, n_item, tol, MOST_STEPS, step)
        count += steps + 1
        good = good and _same_side(eq, sign, ref) and _sound(eq, mem)
    if not good:
        return False, count, np.inf
    growth, moved = share, np.inf
    while count < MOST_FACTORS:
        _copy(mem.x, mem.kept)
        ahead = min(1.0, share + growth)
        _tangent(eq, mem, share, ahead, n_item, step)
        good, steps, moved, sign = _settle(eq, mem, v_source, ahead, n_item, tol, MOST_STEPS - 4, step)
        count += steps + 1
        if good and _same_side(eq, sign, ref) and _farthest(eq, mem) < LEAP_PU:
            if ahead >= 1.0:
                return True, count, moved
            share = ahead
            growth *= 1.5 if steps <= 4 else 1.0
            continue
        _copy(mem.kept, mem.x)
        growth *= 0.25
        if growth < LEAST_GROWTH:
            return False, count, moved
    return False, count, moved


@inline
def _tangent(eq, mem, share, ahead, n_item, step):  # type: ignore[no-untyped-def]
    """Move along the branch: the loads' currents at ``share`` grow to ``ahead``."""
    _load_coefficients(eq, mem)
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] = 0.0
        mem.right[k, 1] = 0.0
    _loads(eq, mem, share, n_item, True)
    if _factorise(eq, mem) == 0.0:
        return
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] *= (ahead - share) / share
        mem.right[k, 1] *= (ahead - share) / share
    _back_solve(eq, mem, mem.right, step)
    most = 0.0
    for k in range(eq.size[1]):
        most = max(most, step[k, 0] * step[k, 0] + step[k, 1] * step[k, 1])
    if most < 0.04:  # a longer one would leave the branch
        for k in range(eq.size[0]):
            mem.x[k, 0] += step[k, 0]
            mem.x[k, 1] += step[k, 1]


@inline
def _size_across(eq, mem, k):  # type: ignore[no-untyped-def]
    """|V| across an item, pu."""
    x, y = _across(eq, mem, k)
    return np.hypot(x, y) * eq.item_coef[k, SCALE]


@inline
def _needs_voltage(eq, mem, k):  # type: ignore[no-untyped-def]
    """Whether an item draws power and is not an impedance anyway."""
    coef = eq.item_coef[k]
    impedance = coef[MODEL] == POLYNOMIAL and coef[Z_P] == 1.0 and coef[Z_Q] == 1.0
    return (mem.power[k, 0] != 0.0 or mem.power[k, 1] != 0.0) and not impedance


@inline
def _collapsed_load(eq, mem, v_source, n_item):  # type: ignore[no-untyped-def]
    """Whether a load is where its model does not hold, though it has a voltage when little is drawn."""
    faint = False
    for k in range(n_item):
        faint |= _needs_voltage(eq, mem, k) and _size_across(eq, mem, k) < LEAST_PU
    if not faint:
        return False
    _copy(mem.x, mem.kept)
    _as_impedances(eq, mem, v_source, LITTLE, n_item)
    gone = False
    for k in range(n_item):
        a, b = eq.item[k, 0], eq.item[k, 1]
        x, y = mem.kept[a, 0], mem.kept[a, 1]
        if b >= 0:
            x -= mem.kept[b, 0]
            y -= mem.kept[b, 1]
        now = np.hypot(x, y) * eq.item_coef[k, SCALE]
        gone |= _needs_voltage(eq, mem, k) and now < LEAST_PU and _size_across(eq, mem, k) > FAINT_PU
    _copy(mem.kept, mem.x)
    return gone


@lean_kernel
def newton_row(eq, mem, v_source, n_item, tol, most, step):  # type: ignore[no-untyped-def]
    """Solve one row whose coefficients and powers are laid down: (converged, steps, last move)."""
    ref = _as_impedances(eq, mem, v_source, 1.0, n_item)
    count, moved = 1, np.inf
    if ref != 0.0:
        _copy(mem.x, mem.kept)
        good, steps, moved, sign = _settle(eq, mem, v_source, 1.0, n_item, tol, min(most, MOST_STEPS), step)
        count += steps
        if good and _same_side(eq, sign, ref) and _sound(eq, mem):
            return not _collapsed_load(eq, mem, v_source, n_item), count, moved
    if most < MOST_STEPS:
        return False, count, moved
    good, steps, moved = _follow(eq, mem, v_source, n_item, tol, step)
    return good and not _collapsed_load(eq, mem, v_source, n_item), count + steps, moved


@lean_kernel
def newton_rows(  # type: ignore[no-untyped-def]
    eq, mem, step, rows, given, v_source, tap, cap_on, n_item, scale, tol, most, v_collapse, v, flows, notes
):
    """Solve ``rows`` of a batch; results go to the same rows. ``most``: steps from one start.

    ``given``: the eight arrays of powers, (batch or 1, slots); ``v`` (batch, slots) complex pu, ``flows``
    (batch, ends) complex pu or without columns, ``notes`` (batch, 3) as in `Outputs`; sweeps before count.
    """
    for row in rows:
        _coefficients(eq, mem, tap[_row(tap, row)], cap_on[_row(cap_on, row)])
        _powers(eq, mem, given, row, scale, n_item)
        good, steps, moved = newton_row(eq, mem, v_source[_row(v_source, row)], n_item, tol, most, step)
        flags = CONVERGED if good else DIVERGED
        if not _lowest(eq, mem.x) >= v_collapse:
            flags |= COLLAPSED
        notes[row, 0] = flags
        notes[row, 1] += steps
        notes[row, 2] = moved
        v[row] = complex(np.nan, np.nan)
        for k in range(eq.seen.shape[0]):
            at = eq.seen[k, 0]
            v[row, eq.seen[k, 1]] = complex(mem.x[at, 0], mem.x[at, 1])
        if flows.shape[1] > 0:
            _flows(eq, mem, tap[_row(tap, row)], flows[row])


@inline
def _flows(eq, mem, tap, flows):  # type: ignore[no-untyped-def]
    """Currents into both ends of the branches and out of the sources."""
    flows[:] = 0.0
    for k in range(eq.ends.shape[0]):
        to, unknown, regulator, power = eq.ends[k]
        factor = 1.0
        if regulator >= 0:
            ratio = tap[regulator]
            factor = ratio if power == 1 else 1.0 / (ratio * ratio)
        coef = complex(factor * eq.ends_value[k, 0], factor * eq.ends_value[k, 1])
        flows[to] += coef * complex(mem.x[unknown, 0], mem.x[unknown, 1])
