"""The adjoint of the power flow with loops, parallel branches and held voltages: exact, in one elimination.

As adjoint_rows.py, with more multipliers: l_i of the cut of loop i and h_g of the voltage that generator g
holds. With the currents L of the loops and the reactive powers q of the generators among the unknowns,

    m = a m_parent - conj(z) l - df/dJ,
    l = F' m - df/dV + sum over children of conj(a) l_child + sum over cuts that begin here of conj(a) l_i
        - sum over cuts that end here of l_i - h V / |V|,
    0 = a m_start - m_end - conj(z) l_i - df/dL,        0 = m . (j / conj(V)) where a generator holds.

This is Newton's step of mesh_newton.py with z conjugated and F transposed, and has its cost: the tree is
eliminated, a small dense system closes the cuts. Branches that stand side by side are one in the tree; what f
has of one of them it has of the current of all, and their own multipliers follow from those of the nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...load_models import load_power_slope
from ...numba_tools.jit import inline, kernel
from ..loops import ComplexArray
from ..tree import BoolArray, FloatArray, IntArray
from .adjoint_seeds import P_LOSS, P_SLACK, Q_LOSS, Q_SLACK
from .mesh_newton import close, cut_rows, eliminate, loop_columns


class MeshBranches(NamedTuple):
    """Branches that carry current, parallel ones each by itself: 0 = V_far - a V_near + z I; (n,) each."""

    row: IntArray  # of the feeder's branches
    near: IntArray  # position of the end that draws conj(a) I
    far: IntArray  # position of the end into which I flows
    forward: BoolArray  # the near end is the from end
    a: ComplexArray
    z: ComplexArray  # pu
    tap: FloatArray  # size of the ratio as written
    half: FloatArray  # half the charging, pu
    slot: IntArray  # the position that it feeds, or behind all positions its loop; a parallel one: its lead's
    alone: BoolArray  # no other beside it
    share: ComplexArray  # I = share * current of the slot + turn * V_near
    turn: ComplexArray
    ideal: FloatArray  # share of what the others of a bundle leave to those without impedance


@inline
def _of(table, row, column):  # type: ignore[no-untyped-def]
    """Entry of a table, 0 where there is none."""
    return table[row, column] if table.shape[0] > 0 else 0.0


@inline
def _gather(tree, row, v, s_source, seeds, base_mva, volt, drawn, by_v, by_i):  # type: ignore[no-untyped-def]
    """Voltages, what sources deliver, and what f has of both."""
    m = tree.parent.size
    by_i[:] = 0.0
    source = 0
    for k in range(m):
        node = tree.order[k]
        volt[k] = v[row, node]
        size = abs(volt[k])
        angle = 1j * (_of(seeds.v_rad, row, node) / size)
        by_v[k] = (_of(seeds.v_pu, row, node) + angle) * (volt[k] / size)
        drawn[k] = 0.0
        if tree.parent[k] < 0:
            drawn[k] = np.conj(s_source[row, source] / volt[k]) / base_mva
            weight = base_mva * complex(seeds.total[row, P_SLACK], seeds.total[row, Q_SLACK])
            by_v[k] += weight * drawn[k]
            by_i[k] += np.conj(weight) * volt[k]
            source += 1


@inline
def _gather_branches(branches, row, current, seeds, base_mva, volt, drawn, by_v, by_i, own, by_tap):  # type: ignore[no-untyped-def]
    """Currents at the nodes, and what f has of powers at the ends of branches; ``own``: by each current."""
    p_loss, q_loss = seeds.total[row, P_LOSS], seeds.total[row, Q_LOSS]
    for j in range(branches.row.size):
        e, near, far, a = branches.row[j], branches.near[j], branches.far[j], branches.a[j]
        i = current[row, e]
        sent = np.conj(a) * i
        drawn[near] -= sent
        drawn[far] += i
        at_from = (
            complex(p_loss + _of(seeds.p_from_mw, row, e), q_loss + _of(seeds.q_from_mvar, row, e)) * base_mva
        )
        at_to = complex(p_loss + _of(seeds.p_to_mw, row, e), q_loss + _of(seeds.q_to_mvar, row, e)) * base_mva
        forward, tap = branches.forward[j], branches.tap[j]
        here, there = (at_from, at_to) if forward else (at_to, at_from)
        at, b_from = near if forward else far, branches.half[j] / (tap * tap)
        b_near, b_far = (b_from, branches.half[j]) if forward else (branches.half[j], b_from)
        into = np.conj(here) * volt[near]
        own[j] = a * into - np.conj(there) * volt[far]
        by_v[near] += here * sent - 2.0 * here.imag * b_near * volt[near]
        by_v[far] -= there * i + 2.0 * there.imag * b_far * volt[far]
        turned = (np.conj(into) * sent).real
        size = volt[at].real * volt[at].real + volt[at].imag * volt[at].imag
        charging = 2.0 * at_from.imag * b_from * size
        by_tap[j] = (charging - turned if forward else charging + turned) / tap
        by_i[branches.slot[j]] += np.conj(branches.share[j]) * own[j]
        if not branches.alone[j]:
            by_v[near] += np.conj(branches.turn[j]) * own[j]


@inline
def _slopes(tree, y, zip_load, row, base_mva, volt, drawn, slope):  # type: ignore[no-untyped-def]
    """F' of every position; ``y``: what is really there to ground, ``tree`` has what unequal ratios add."""
    for k in range(volt.size):
        constant = drawn[k] - y[k] * volt[k]
        slope[k, 0] = complex(tree.y_re[k], -tree.y_im[k])
        slope[k, 1] = -constant / np.conj(volt[k])
    for j in range(tree.zip_pos.size):
        k, c, size = tree.zip_pos[j], tree.zip_coef[j], abs(volt[tree.zip_pos[j]])
        p, q = zip_load[row, j].real / base_mva, zip_load[row, j].imag / base_mva
        bend = complex(
            load_power_slope(p, c[0], c[1], c[4], size), -load_power_slope(q, c[2], c[3], c[5], size)
        ) / (2.0 * size)
        slope[k, 0] += np.conj(bend)
        slope[k, 1] += bend * volt[k] / np.conj(volt[k])


@inline
def _holds(held, g, size, q_mvar, base_mva):  # type: ignore[no-untyped-def]
    """Whether generator g holds its voltage: it is nearer to that than to a limit."""
    q = q_mvar / base_mva
    return abs(size - held.v[g]) <= min(abs(held.q_max[g] - q), abs(q - held.q_min[g]))


@inline
def _multipliers(tree, loops, held, row, q_held, base_mva, volt, by_v, by_i, slope, room):  # type: ignore[no-untyped-def]
    """m of every position into ``column[:, 0]``; l of loops, then -h of held nodes into ``x``."""
    inverse, column, matrix, x = room
    m, n_loop = volt.size, loops.start.size
    first = 2 * n_loop
    column[:, :] = 0.0
    for k in range(m):
        column[k, 0] = -by_v[k]
        inverse[k, 0] = by_i[k]
    loop_columns(loops, column)
    for g in range(held.at.size):
        column[held.at[g], 1 + first + g] = volt[held.at[g]] / abs(volt[held.at[g]])
    eliminate(tree, slope, inverse, column)
    for i in range(n_loop):
        x[2 * i], x[2 * i + 1] = -by_i[m + i].real, -by_i[m + i].imag
    cut_rows(loops, column, matrix, x)
    for g in range(held.at.size):
        k, at = held.at[g], first + g
        if not _holds(held, g, abs(volt[k]), q_held[row, held.row[g]], base_mva):
            matrix[at, :] = 0.0
            matrix[at, at], x[at] = 1.0, 0.0
            continue
        turn = -1j / volt[k]
        for c in range(x.size):
            matrix[at, c] = (turn * column[k, 1 + c]).real
        x[at] = -(turn * column[k, 0]).real
    close(column, matrix, x)


@inline
def _lower(tree, loops, held, volt, by_v, slope, column, x, lower):  # type: ignore[no-untyped-def]
    """l of every position, leaves first, and behind them those of loops."""
    m, n_loop = volt.size, loops.start.size
    for k in range(m):
        lower[k] = slope[k, 0] * column[k, 0] + slope[k, 1] * np.conj(column[k, 0]) - by_v[k]
    for i in range(n_loop):
        lower[m + i] = complex(x[2 * i], x[2 * i + 1])
        lower[loops.start[i]] += np.conj(loops.a[i]) * lower[m + i]
        lower[loops.end[i]] -= lower[m + i]
    for g in range(held.at.size):
        k = held.at[g]
        lower[k] += x[2 * n_loop + g] * volt[k] / abs(volt[k])
    for k in range(m - 1, -1, -1):
        up = tree.parent[k]
        if up >= 0:
            lower[up] += complex(tree.a_re[k], -tree.a_im[k]) * lower[k]


@inline
def _of_taps(branches, row, current, volt, column, lower, own, rest, by_tap, out):  # type: ignore[no-untyped-def]
    """What the equations have of each tap. Of several ideal branches side by side each has an equal share."""
    rest[:] = 0.0
    for turn in range(2):
        for j in range(branches.row.size):
            ideal = not branches.alone[j] and branches.z[j] == 0.0
            if ideal != (turn == 1):
                continue  # those without impedance come last: they carry what the others leave
            near, far, a, z = branches.near[j], branches.far[j], branches.a[j], branches.z[j]
            above = lower[branches.slot[j]]
            if ideal:
                above = branches.share[j] * above - branches.ideal[j] * rest[branches.slot[j]]
            elif not branches.alone[j]:
                above = (a * column[near, 0] - column[far, 0] - own[j]) / np.conj(z)
                rest[branches.slot[j]] += above
            i = current[row, branches.row[j]]
            total = (np.conj(above) * a * volt[near]).real + (np.conj(column[near, 0]) * np.conj(a) * i).real
            at = near
            if not branches.forward[j]:
                total = 2.0 * (np.conj(above) * z * i).real - total
                at = far
            tap = branches.tap[j]
            charging = (np.conj(column[at, 0]) * 1j * volt[at]).real * 2.0 * branches.half[j] / (tap * tap)
            out[row, branches.row[j]] = by_tap[j] + (total + charging) / tap


@kernel
def adjoint_of_meshes(  # type: ignore[no-untyped-def]
    tree, loops, held, branches, y, rank, lo, hi, base_mva, solved, seeds, out
):
    """Gradients of rows [lo, hi) of solved rows.

    ``tree`` and ``loops`` with the impedances conjugated, ``y`` (position,) admittance to ground, ``rank``
    (root,) row of each root's source. ``solved``: v (batch, bus), current (batch, branch), MVA of the roots'
    sources (batch, root), MVA at 1 pu of loads that depend on voltage (batch, n_zip), all complex, and Mvar
    of held nodes (batch, held). ``seeds``: a Seeds, ``out``: an Adjoints, zero but for what is written.
    """
    v, current, s_source, zip_load, q_held = solved
    m, n_loop, n = tree.parent.size, loops.start.size, branches.row.size
    size = 2 * n_loop + held.at.size
    volt, drawn, by_v = np.empty(m, np.complex128), np.empty(m, np.complex128), np.empty(m, np.complex128)
    by_i, lower, rest = (
        np.empty(m + n_loop, np.complex128), np.empty(m + n_loop, np.complex128),
        np.empty(m + n_loop, np.complex128),
    )  # fmt: skip
    own, by_tap = np.empty(n, np.complex128), np.empty(n)
    slope, kept = np.empty((m, 2), np.complex128), np.empty((m, 2), np.complex128)
    column = np.empty((m, 1 + size), np.complex128)
    room = (np.empty((m, 2), np.complex128), column, np.empty((size, size)), np.empty(size))
    for row in range(lo, hi):
        _gather(tree, row, v, s_source, seeds, base_mva, volt, drawn, by_v, by_i)
        _gather_branches(branches, row, current, seeds, base_mva, volt, drawn, by_v, by_i, own, by_tap)
        _slopes(tree, y, zip_load, row, base_mva, volt, drawn, slope)
        kept[:, :] = slope
        _multipliers(tree, loops, held, row, q_held, base_mva, volt, by_v, by_i, slope, room)
        _lower(tree, loops, held, volt, by_v, kept, column, room[3], lower)
        _of_taps(branches, row, current, volt, column, lower, own, rest, by_tap, out.tap)
        for k in range(m):
            by_power = np.conj(column[k, 0] / volt[k]) / base_mva
            out.p_inject[row, tree.order[k]] = by_power.real
            out.q_inject[row, tree.order[k]] = by_power.imag
        for s in range(rank.size):  # breadth first: the sources come first
            out.v_source[row, rank[s]] = -(np.conj(lower[s]) * volt[s]).real / abs(volt[s])
