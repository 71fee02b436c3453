"""The adjoint of the per-phase power flow: one solution of the transposed equations for each row.

The equations are those of Newton's method: ``R = E - A x - I(x) = 0`` with the sources' voltages E, the
linear part A and the currents I of the loads. A scalar f of x has, by anything p that R contains, the
derivative ``l . dR/dp`` (and what f itself has of p), where l solves ``J' l = df/dx`` with J = -dR/dx. The
factors of J are laid down once in a pattern that holds for all rows (factorisation.py), with little fill
along a tree, so that a row takes time in proportion to the feeder.

A solution tells voltages; the currents of windings and lines that A contains follow by one forward solution
with the same factors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...numba_tools.jit import inline, lean_kernel
from ..kernel_tables import SUSCEPTANCE, FloatArray, IntArray
from .branch_flows import CHARGING_WIDTH
from .newton_system import (
    back_solve,
    coefficients,
    factorise,
    load_coefficients,
    loads,
    powers,
    residual,
    row_of,
)

MOST_MOVE_PU = 1e-4  # of a voltage: more, and the loads are not those that were solved


class Places(NamedTuple):
    """Where a feeder's nodes stand in its equations."""

    conductor: IntArray  # (3 n_bus,) of each slot, -1: none
    ends: IntArray  # (2, n_branch) node rows
    source: IntArray  # (n_source,) node rows
    charging: IntArray  # as of a FlowTable
    admittance: FloatArray


class AdjointRoom(NamedTuple):
    """Where a row is worked on; a thread needs its own."""

    step: FloatArray  # (n, 2)
    by_x: FloatArray  # (n, 2) df/dx
    multiplier: FloatArray  # (n, 2)
    current: FloatArray  # (6 n_branch + 3 n_source, 2): into from ends, to ends, out of sources
    by_current: FloatArray  # the same


def room_for(n: int, n_branch: int, n_source: int) -> AdjointRoom:
    """Room for a system of ``n`` equations."""
    ends = 6 * n_branch + 3 * n_source
    return AdjointRoom(
        np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((ends, 2)), np.zeros((ends, 2))
    )  # fmt: skip


@inline
def _add(array, k, x, y):  # type: ignore[no-untyped-def]
    array[k, 0] += x
    array[k, 1] += y


@inline
def _clear(array):  # type: ignore[no-untyped-def]
    for k in range(array.shape[0]):
        array[k, 0] = 0.0
        array[k, 1] = 0.0


@lean_kernel
def back_solve_transposed(eq, mem, right, out):  # type: ignore[no-untyped-def]
    """Solve the transposed system with the factors; ``right`` by unknown, ``out`` by equation."""
    n = eq.size[0]
    f, inv = mem.factor, mem.inverse
    work = mem.ahead
    for unknown in range(n):
        k = eq.pivot[1, unknown]
        work[k, 0], work[k, 1] = right[unknown, 0], right[unknown, 1]
    for k in range(n):
        x = inv[k, 0] * work[k, 0] + inv[k, 2] * work[k, 1]
        y = inv[k, 1] * work[k, 0] + inv[k, 3] * work[k, 1]
        work[k, 0], work[k, 1] = x, y
        if x == 0.0 and y == 0.0:
            continue
        for at in range(eq.diagonal[k] + 1, eq.start[k + 1]):
            j = eq.column[at]
            work[j, 0] -= f[at, 0] * x + f[at, 2] * y
            work[j, 1] -= f[at, 1] * x + f[at, 3] * y
    for k in range(n - 1, -1, -1):
        x, y = work[k, 0], work[k, 1]
        for at in range(eq.start[k], eq.diagonal[k]):
            j = eq.column[at]
            work[j, 0] -= f[at, 0] * x + f[at, 2] * y
            work[j, 1] -= f[at, 1] * x + f[at, 3] * y
    for equation in range(n):
        k = eq.pivot[0, equation]
        out[equation, 0], out[equation, 1] = work[k, 0], work[k, 1]


@lean_kernel
def _linearise(eq, mem, given, row, scale, n_item, v, v_source, tap, cap_on, step):  # type: ignore[no-untyped-def]
    """All unknowns of a solved row into ``mem.x`` and the factors of J; the largest move of a voltage."""
    coefficients(eq, mem, tap, cap_on)
    powers(eq, mem, given, row, scale, n_item)
    _clear(mem.x)
    for k in range(eq.seen.shape[0]):
        z = v[eq.seen[k, 1]]
        mem.x[eq.seen[k, 0], 0], mem.x[eq.seen[k, 0], 1] = z.real, z.imag
    load_coefficients(eq, mem)
    residual(eq, mem, v_source)
    loads(eq, mem, 1.0, n_item, True)
    if factorise(eq, mem) == 0.0:
        return np.inf
    back_solve(eq, mem, mem.right, step)
    most = 0.0
    for k in range(eq.seen.shape[0]):
        at = eq.seen[k, 0]
        most = max(most, step[at, 0] * step[at, 0] + step[at, 1] * step[at, 1])
    for k in range(eq.size[0]):
        _add(mem.x, k, step[k, 0], step[k, 1])
    return np.sqrt(most)


@inline
def _factor(tap, regulator, power):  # type: ignore[no-untyped-def]
    if regulator < 0:
        return 1.0
    return tap[regulator] if power == 1 else 1.0 / (tap[regulator] * tap[regulator])


@inline
def _place_of(column, n_bus, n_source, n_branch):  # type: ignore[no-untyped-def]
    """Entry of ``current`` for a column of `EndCurrents`, which counts sources before ends."""
    at = column - 3 * n_bus
    return at - 3 * n_source if at >= 3 * n_source else 6 * n_branch + at


@lean_kernel
def _end_currents(eq, mem, places, tap, room):  # type: ignore[no-untyped-def]
    """Currents into both ends of every branch and out of the sources."""
    n_bus, n_branch, n_source = places.conductor.size // 3, places.ends.shape[1], places.source.size
    _clear(room.current)
    for k in range(eq.ends.shape[0]):
        factor = _factor(tap, eq.ends[k, 2], eq.ends[k, 3])
        re, im = factor * eq.ends_value[k, 0], factor * eq.ends_value[k, 1]
        x, y = mem.x[eq.ends[k, 1], 0], mem.x[eq.ends[k, 1], 1]
        _add(
            room.current,
            _place_of(eq.ends[k, 0], n_bus, n_source, n_branch),
            re * x - im * y,
            re * y + im * x,
        )
    _charge(mem, places, room, False)


@inline
def _charge(mem, places, room, transposed):  # type: ignore[no-untyped-def]
    """Add the currents of the admittances at ends of branches or, ``transposed``, what f has of them."""
    n_branch = places.ends.shape[1]
    for start in range(0, places.charging.size, CHARGING_WIDTH):
        end = places.charging[start : start + CHARGING_WIDTH]
        side, n = 3 * n_branch * end[0] + end[1], end[5]
        for i in range(n):
            for j in range(n):
                at = places.conductor[end[2] + end[6 + j]]
                if end[3] == SUSCEPTANCE:
                    g, b = 0.0, places.admittance[end[4] + n * i + j]
                else:
                    o = end[4] + 2 * (n * i + j)
                    g, b = places.admittance[o], places.admittance[o + 1]
                if at < 0:
                    continue
                to = side + end[6 + i]
                if transposed:
                    x, y = room.by_current[to, 0], room.by_current[to, 1]
                    _add(room.by_x, at, g * x + b * y, g * y - b * x)
                else:
                    x, y = mem.x[at, 0], mem.x[at, 1]
                    _add(room.current, to, g * x - b * y, g * y + b * x)


@inline
def _seed(table, row, column):  # type: ignore[no-untyped-def]
    return table[row, column] if table.shape[0] > 0 else 0.0


@inline
def _of_power(mem, room, node_slot, to, p, q, places):  # type: ignore[no-untyped-def]
    """f has p and q of the power P + jQ = V conj(I) of a current."""
    at = places.conductor[node_slot]
    if at < 0:
        return
    x, y = mem.x[at, 0], mem.x[at, 1]
    c, d = room.current[to, 0], room.current[to, 1]
    _add(room.by_x, at, p * c - q * d, p * d + q * c)
    _add(room.by_current, to, p * x + q * y, p * y - q * x)


@lean_kernel
def _gather(eq, mem, places, seeds, row, tap, base, flows, room):  # type: ignore[no-untyped-def]
    """df/dx of what f has of voltages, flows and sources."""
    n_branch, n_source = places.ends.shape[1], places.source.size
    n_bus = places.conductor.size // 3
    _clear(room.by_x)
    _clear(room.by_current)
    for slot in range(places.conductor.size):
        at = places.conductor[slot]
        if at < 0:
            continue
        x, y = mem.x[at, 0], mem.x[at, 1]
        v2 = x * x + y * y
        s, t = _seed(seeds.v_pu, row, slot), _seed(seeds.v_rad, row, slot)
        if s != 0.0:
            _add(room.by_x, at, s * x / np.sqrt(v2), s * y / np.sqrt(v2))
        if t != 0.0:
            _add(room.by_x, at, -t * y / v2, t * x / v2)
    p_loss, q_loss, p_slack, q_slack = seeds.total[row]
    if not flows and p_slack == 0.0 and q_slack == 0.0:
        return
    _end_currents(eq, mem, places, tap, room)
    for k in range(3 * n_branch if flows else 0):
        e, phase = k // 3, k % 3
        p = base * (p_loss + _seed(seeds.p_from_mw, row, k))
        q = base * (q_loss + _seed(seeds.q_from_mvar, row, k))
        _of_power(mem, room, 3 * places.ends[0, e] + phase, k, p, q, places)
        p = base * (p_loss + _seed(seeds.p_to_mw, row, k))
        q = base * (q_loss + _seed(seeds.q_to_mvar, row, k))
        _of_power(mem, room, 3 * places.ends[1, e] + phase, 3 * n_branch + k, p, q, places)
    for k in range(3 * n_source):
        slot = 3 * places.source[k // 3] + k % 3
        _of_power(mem, room, slot, 6 * n_branch + k, base * p_slack, base * q_slack, places)
    _charge(mem, places, room, True)
    for k in range(eq.ends.shape[0]):
        factor = _factor(tap, eq.ends[k, 2], eq.ends[k, 3])
        re, im = factor * eq.ends_value[k, 0], factor * eq.ends_value[k, 1]
        at = _place_of(eq.ends[k, 0], n_bus, n_source, n_branch)
        x, y = room.by_current[at, 0], room.by_current[at, 1]
        _add(room.by_x, eq.ends[k, 1], re * x + im * y, re * y - im * x)


@inline
def _of_taps(eq, mem, places, tap, room, out):  # type: ignore[no-untyped-def]
    """By the ratio of every regulator: entries of A, and currents that f knows."""
    n_bus, n_branch, n_source = places.conductor.size // 3, places.ends.shape[1], places.source.size
    for k in range(out.size):
        out[k] = 0.0
    for k in range(eq.tap.shape[0]):
        entry, regulator, power = eq.tap[k]
        equation, unknown = eq.entry[entry, 0], eq.entry[entry, 1]
        slope = power / tap[regulator]
        re, im = slope * mem.value[entry, 0], slope * mem.value[entry, 1]
        x, y = mem.x[unknown, 0], mem.x[unknown, 1]
        l_re, l_im = room.multiplier[equation, 0], room.multiplier[equation, 1]
        out[regulator] -= l_re * (re * x - im * y) + l_im * (re * y + im * x)
    for k in range(eq.ends.shape[0]):
        regulator, power = eq.ends[k, 2], eq.ends[k, 3]
        if regulator < 0:
            continue
        slope = power / tap[regulator] * _factor(tap, regulator, power)
        re, im = slope * eq.ends_value[k, 0], slope * eq.ends_value[k, 1]
        x, y = mem.x[eq.ends[k, 1], 0], mem.x[eq.ends[k, 1], 1]
        at = _place_of(eq.ends[k, 0], n_bus, n_source, n_branch)
        out[regulator] += room.by_current[at, 0] * (re * x - im * y)
        out[regulator] += room.by_current[at, 1] * (re * y + im * x)


@inline
def _of_injections(eq, v, scale, row, room, out):  # type: ignore[no-untyped-def]
    """By every injection from ground."""
    for slot in range(out.p.shape[1]):
        out.p[row, slot], out.q[row, slot] = 0.0, 0.0
    for k in range(eq.size[5]):
        at, slot = eq.seen[k]
        x, y = (
            v[slot].real,
            v[slot].imag,
        )  # those told: what stands between phases is made of their multipliers
        l_re, l_im = room.multiplier[at, 0], room.multiplier[at, 1]
        w = scale / max(x * x + y * y, 1e-200)
        out.p[row, slot], out.q[row, slot] = w * (l_re * x + l_im * y), w * (l_re * y - l_im * x)


@inline
def _of_sources(eq, v_source, room, out):  # type: ignore[no-untyped-def]
    """By the size of every source's voltage."""
    for k in range(out.size):
        out[k] = 0.0
    for k in range(eq.emf.shape[0]):
        equation, column = eq.emf[k]
        z = v_source[column]
        by_size = (room.multiplier[equation, 0] * z.real + room.multiplier[equation, 1] * z.imag) / abs(z)
        out[column // 3] += by_size


@lean_kernel
def adjoint_rows(  # type: ignore[no-untyped-def]
    eq, mem, room, places, given, v_source, tap, cap_on, v, seeds, out, lo, hi, scale, flows
):
    """Gradients of rows [lo, hi) of solved rows.

    ``eq`` with the currents of `EndCurrents`; ``given``: the eight arrays of powers, (batch or 1, slots);
    ``v`` (batch, slots) complex pu; ``scale`` 1 over the base of a phase in MVA; ``flows``: f has branch
    flows or losses.
    """
    n_item = eq.item.shape[0]
    for row in range(lo, hi):
        ratios, states = tap[row_of(tap, row)], cap_on[row_of(cap_on, row)]
        emf = v_source[row_of(v_source, row)]
        move = _linearise(eq, mem, given, row, scale, n_item, v[row], emf, ratios, states, room.step)
        out.move[row, 0] = move
        if not move < MOST_MOVE_PU:
            continue
        _gather(eq, mem, places, seeds, row, ratios, 1.0 / scale, flows, room)
        back_solve_transposed(eq, mem, room.by_x, room.multiplier)
        _of_injections(eq, v[row], scale, row, room, out)
        _of_taps(eq, mem, places, ratios, room, out.tap[row])
        _of_sources(eq, emf, room, out.v_source[row])
