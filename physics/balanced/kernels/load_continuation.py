"""The branch of solutions that begins without load, followed to where all of the load is there.

From no load, where nothing but the one solution is, a row goes to all of its load in strides that keep
Newton's method on the branch. That is the operable branch, by definition; where it ends before all of the
load is there, the row has diverged. Along the branch the Jacobian's determinant keeps its sign, and it
vanishes at the nose. Alone it would not do: where two eigenvalues have changed sign it is positive again, on
a solution that no operator reaches.

A generator beyond a reactive limit stops holding and gives what the limit allows; it holds again where it
would otherwise push the voltage beyond what it is set to. Where no solution holds all voltages at once, the
held voltages start, too, from what they are without load and generator, and limits count on the way.
"""

from __future__ import annotations

import numpy as np

from ...numba_tools.jit import inline, kernel
from .mesh_newton import cut_voltage, gather, held_step, kirchhoff
from .power_sweeps import V_FLOOR_PU

STEP_LIMIT_PU = 0.3
LEAP_PU = 0.2  # a longer first step of Newton's method may leave the branch of solutions
LEAST_STRIDE = 1e-6  # of the load: what a climb cannot take in such strides is beyond the nose


@inline
def compensate(loops, v, loop_current, gap):  # type: ignore[no-untyped-def]
    """Loop currents that close all cuts while node currents stand still."""
    for i in range(gap.size):
        gap[i] = cut_voltage(loops, i, v, loop_current)
    for i in range(gap.size):
        for j in range(gap.size):
            loop_current[i] += loops.inverse[i, j] * gap[j]


@inline
def no_load(tree, v_source, row, v):  # type: ignore[no-untyped-def]
    """Sources at their set voltage, the rest as without any current."""
    source = 0
    for k in range(v.size):
        up = tree.parent[k]
        if up < 0:
            v[k] = v_source[row, source]
            source += 1
        else:
            v[k] = complex(tree.a_re[k], tree.a_im[k]) * v[up]


@inline
def least_voltage(v):  # type: ignore[no-untyped-def]
    """The smallest |V|, pu."""
    least = np.inf
    for k in range(v.size):
        least = min(least, abs(v[k]))
    return least


@inline
def _apply_step(v, loop_current, column, x):  # type: ignore[no-untyped-def]
    """Move by Newton's step, shortened where it is too long. Returns (length of the step, whether it was)."""
    length = 0.0
    for k in range(v.size):
        size = abs(column[k, 0])
        if not size < np.inf:
            return np.inf, True
        length = max(length, size)
    share = min(1.0, STEP_LIMIT_PU / max(length, 1e-300))
    for k in range(v.size):
        v[k] += share * column[k, 0]
    for i in range(loop_current.size):
        loop_current[i] += share * complex(x[2 * i], x[2 * i + 1])
    return length, share < 1.0


@inline
def power_at_share(held, share, power, zip_power, q, now, zip_now):  # type: ignore[no-untyped-def]
    """``share`` of the loads, less what the held nodes' generators give."""
    for k in range(power.size):
        now[k] = share * power[k]
    for j in range(zip_power.size):
        zip_now[j] = share * zip_power[j]
    for g in range(held.at.size):
        now[held.at[g]] -= 1j * q[g]


@inline
def _copy(source, target):  # type: ignore[no-untyped-def]
    """Voltages, loop currents and held nodes' reactive power."""
    for k in range(source[0].size):
        target[0][k] = source[0][k]
    for i in range(source[1].size):
        target[1][i] = source[1][i]
    for g in range(source[2].size):
        target[2][g], target[3][g], target[4][g] = source[2][g], source[3][g], source[4][g]


@kernel
def correct(  # type: ignore[no-untyped-def]
    tree, loops, held, zip_at, share, power, zip_power, tol, strict, limit, steps, wanted, point, room
):
    """Newton's method at ``share`` of the loads. Returns (arrived, steps, sign, last length, least |V|).

    ``strict``: only where every step stays on the branch of solutions on which it begins: the first one is
    short, each is less than half of the one before, and the determinant keeps the sign ``wanted``.
    """
    volt, loop_current, q, aim, mode = point
    flow, slope, inverse, column, matrix, x, now, zip_now = room
    first = 2 * loops.start.size
    last, length, sign, close, least = np.inf, np.inf, wanted, False, np.inf
    for turn in range(limit + 1):
        power_at_share(held, share, power, zip_power, q, now, zip_now)
        largest = gather(tree, loops, zip_at, now, zip_now, volt, loop_current, flow, slope)
        if close:
            worst = kirchhoff(tree, loops, volt, loop_current, flow)
            for g in range(held.at.size):
                if mode[g] == 0:
                    worst = max(worst, abs(abs(volt[held.at[g]]) - aim[g]))
            if worst < tol:
                return True, steps, sign, length, least
        if turn == limit:
            break
        sign = held_step(
            tree, loops, held, mode, aim, volt, loop_current, flow, slope, inverse, column, matrix, x
        )
        if strict and not sign * wanted > 0.0:
            break
        length, shortened = _apply_step(volt, loop_current, column, x)
        steps += 1
        if not length < np.inf:
            break
        if strict and length > min(LEAP_PU, 0.5 * last) and length > tol:  # below tol rounding rules
            break
        for g in range(held.at.size):
            q[g] += x[first + g] * (min(1.0, STEP_LIMIT_PU / max(length, 1e-300)) if shortened else 1.0)
        last = length
        least = min(least, least_voltage(volt))
        close = (
            not shortened and length < tol and length * largest < 10.0 * tol
            and least_voltage(volt) > V_FLOOR_PU
        )  # fmt: skip
    return False, steps, sign, length, least


@inline
def relieve(held, aim, volt, q, mode, released, tol):  # type: ignore[no-untyped-def]
    """Generators beyond a limit stop at it, and those that need not hold again; whether any changed."""
    changed = False
    for g in range(held.at.size):
        size = abs(volt[held.at[g]])
        if mode[g] == 0:
            room = 1e-9 * max(1.0, abs(q[g]))
            if q[g] > held.q_max[g] + room:
                mode[g], changed = 1, True
            elif q[g] < held.q_min[g] - room:
                mode[g], changed = -1, True
        elif released[g] < 3 and (size - aim[g]) * mode[g] > 10.0 * tol:
            mode[g], changed = 0, True
            released[g] += 1
    return changed


@kernel
def climb(  # type: ignore[no-untyped-def]
    tree, loops, held, zip_at, v_source, row, power, zip_power, tol, max_iter, steps, point, released,
    soft, gap, kept, natural, room,
):  # fmt: skip
    """From no load up to all of it, along the branch of solutions that begins there.

    Returns (arrived, steps, last length, least |V| seen). Without load the currents are linear in the
    voltages, so there is one solution, but for held voltages. ``soft``: the held voltages, too, begin where
    they would be without a generator, and limits hold on the way.
    """
    volt, loop_current, q, aim, mode = point
    no_load(tree, v_source, row, volt)
    loop_current[:] = 0.0
    compensate(loops, volt, loop_current, gap)
    for g in range(held.at.size):
        aim[g], q[g] = held.v[g], 0.0
        if soft:
            mode[g], released[g] = 1, 0
    arrived, steps, wanted, length, least = correct(
        tree, loops, held, zip_at, 0.0, power, zip_power, tol, False, min(20, max_iter - steps), steps, 1.0,
        point, room,
    )  # fmt: skip
    if not arrived:
        return False, steps, length, least
    for g in range(held.at.size):
        natural[g] = abs(volt[held.at[g]])
        if soft:
            mode[g], wanted = 0, 1.0
    share, stride, sunk = 0.0, 1.0, least
    while share < 1.0:
        _copy(point, kept)
        goal = min(1.0, share + stride)
        for g in range(held.at.size):
            if soft:
                aim[g] = natural[g] + goal * (held.v[g] - natural[g])
            stand(held, g, 1.0 if soft else goal, mode, q)
        arrived, steps, _, length, least = correct(
            tree, loops, held, zip_at, goal, power, zip_power, tol, True, min(12, max_iter - steps), steps,
            wanted, point, room,
        )  # fmt: skip
        while soft and arrived and relieve(held, aim, volt, q, mode, released, tol):
            for g in range(held.at.size):
                stand(held, g, 1.0, mode, q)
            arrived, steps, _, length, least = correct(
                tree, loops, held, zip_at, goal, power, zip_power, tol, True, min(12, max_iter - steps),
                steps, wanted, point, room,
            )  # fmt: skip
        if arrived:
            share, stride, sunk = goal, 1.5 * stride, min(sunk, least)
            continue
        stride *= 0.5
        if stride < LEAST_STRIDE or steps >= max_iter:
            return False, steps, length, min(sunk, least)
        _copy(kept, point)
    return True, steps, length, sunk


@inline
def stand(held, g, share, mode, q):  # type: ignore[no-untyped-def]
    """A generator that does not hold gives ``share`` of its limit."""
    if mode[g] != 0:
        q[g] = share * (held.q_max[g] if mode[g] > 0 else held.q_min[g])
