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

import numpy as np

from ...flags import COLLAPSED, CONVERGED, DIVERGED
from ...numba_tools.jit import inline, lean_kernel
from ..kernel_tables import LOW, MODEL, POLYNOMIAL, SCALE, Z_P, Z_Q
from .newton_system import (
    LEAST_PU,
    across,
    back_solve,
    coefficients,
    emf,
    factorise,
    impedances,
    load_coefficients,
    loads,
    powers,
    residual,
    row_of,
)

MOST_STEPS = 12  # of Newton from one start
MOST_FACTORS = 200  # of a row that is followed along its branch
LEAST_GROWTH = 5e-5  # of the loads from one point of the branch to the next
ROUNDING_PU = 1e-7  # an update below this that no longer shrinks is rounding
LONGEST_MOVE_PU = 0.5  # of one step
SOUND_SHARE = 0.6  # of each voltage with impedances: below, the branch is followed to be sure
FAINT_PU = 0.01  # voltages below this are no measure
LEAP_PU = 0.25  # from one point of the branch to the next: a longer move is to another branch
LITTLE = 1e-3  # share of the loads that hardly moves a voltage


@lean_kernel
def _newton(eq, mem, v_source, share, n_item, step):  # type: ignore[no-untyped-def]
    """One step: the largest move of a voltage, the sign of the determinant and the residual before it."""
    load_coefficients(eq, mem)
    residual(eq, mem, v_source)
    loads(eq, mem, share, n_item, True)
    rest = 0.0
    for k in range(eq.size[0]):
        rest = max(rest, mem.right[k, 0] * mem.right[k, 0] + mem.right[k, 1] * mem.right[k, 1])
    rest = np.sqrt(rest)
    sign = factorise(eq, mem)
    if sign == 0.0:
        return np.inf, 0.0, rest
    back_solve(eq, mem, mem.right, step)
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
    load_coefficients(eq, mem)
    impedances(eq, mem, share, n_item)
    sign = factorise(eq, mem)
    if sign != 0.0:
        emf(eq, mem, v_source)
        back_solve(eq, mem, mem.right, mem.x)
    return sign


@inline
def _lowest(eq, x):  # type: ignore[no-untyped-def]
    """Smallest |V| of the conductors that are told."""
    least = np.inf
    for k in range(eq.size[5]):
        at = eq.seen[k, 0]
        least = min(least, x[at, 0] * x[at, 0] + x[at, 1] * x[at, 1])
    return np.sqrt(least)


@inline
def _farthest(eq, mem):  # type: ignore[no-untyped-def]
    """Largest move of a voltage away from ``mem.kept``."""
    most = 0.0
    for k in range(eq.size[5]):
        at = eq.seen[k, 0]
        most = max(most, np.hypot(mem.x[at, 0] - mem.kept[at, 0], mem.x[at, 1] - mem.kept[at, 1]))
    return most


@inline
def _sound(eq, mem):  # type: ignore[no-untyped-def]
    """Whether no voltage is far from what it is with impedances, in ``mem.kept``."""
    sound = eq.size[4] == 1 or _farthest(eq, mem) < LEAP_PU
    for k in range(eq.size[5]):
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
    load_coefficients(eq, mem)
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] = 0.0
        mem.right[k, 1] = 0.0
    loads(eq, mem, share, n_item, True)
    if factorise(eq, mem) == 0.0:
        return
    for k in range(mem.right.shape[0]):
        mem.right[k, 0] *= (ahead - share) / share
        mem.right[k, 1] *= (ahead - share) / share
    back_solve(eq, mem, mem.right, step)
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
    x, y = across(eq, mem, k)
    return np.hypot(x, y) * eq.item_coef[k, SCALE]


@inline
def _needs_voltage(eq, mem, k):  # type: ignore[no-untyped-def]
    """Whether an item draws power and is no impedance across no voltage: one with a voltage band is one."""
    coef = eq.item_coef[k]
    impedance = coef[MODEL] == POLYNOMIAL and coef[Z_P] == 1.0 and coef[Z_Q] == 1.0
    impedance |= coef[LOW] > 0.0
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
        coefficients(eq, mem, tap[row_of(tap, row)], cap_on[row_of(cap_on, row)])
        powers(eq, mem, given, row, scale, n_item)
        good, steps, moved = newton_row(eq, mem, v_source[row_of(v_source, row)], n_item, tol, most, step)
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
            _flows(eq, mem, tap[row_of(tap, row)], flows[row])


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
