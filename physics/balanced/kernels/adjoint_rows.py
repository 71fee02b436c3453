"""The adjoint of the power flow of a tree, by elimination from the leaves: exact, and linear in its size.

With voltage V and branch current J at every position, the equations of tree_newton.py are

    0 = V - a V_parent + z J,        0 = J - I(V) - sum over children of conj(a) J_child.

With multipliers l and m of the two, a scalar f of voltages and currents has the gradient by anything that
the equations contain as the derivative of ``f + l . (first) + m . (second)``, where

    m = a m_parent - conj(z) l - df/dJ,        l = F' m - df/dV + sum over children of conj(a) l_child,

F' the transposed derivative of I. This is the linearised power flow with z conjugated and F transposed:
m takes the place of the voltage and l that of the current. So from the leaves upwards ``l = M m + n`` with
M = F' + sum of the children's, and from the source downwards ``m = K (a m_parent - w)`` with
``w = conj(z) n + df/dJ`` and K the inverse of (1 + conj(Z) M).

The node current I is what the branch currents leave over, so that loads are not needed again, but for those
that depend on voltage.
"""

from __future__ import annotations

import numpy as np

from ...load_models import load_power_slope
from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, load, pick, put, root, store, to_rows_real, width
from ..branch_flows import Ends
from ..plan import SweepPlan
from .adjoint_seeds import (
    IM,
    RE,
    TAP,
    AdjointRoom,
    Adjoints,
    K,
    M,
    N,
    Seeds,
    Solved,
    W,
    add,
    gather,
    gather_branches,
)
from .adjusted import BlockPlan, admittance, has_ratio, has_shunt, impedance, ratio, written_ratio


@inline
def _dependent_slope(plan, row, last, solved, scale, room):  # type: ignore[no-untyped-def]
    """Of ZIP and CVR loads, transposed: dS/d|V| times d|V|. What they draw is in the node's current."""
    for j in range(plan.zip_pos.size):
        k = plan.zip_pos[j]
        shares = plan.zip_coef[j]
        for lane in range(width(room.work)):
            r = min(row + lane, last)
            x, y = pick(room.volt, k, RE, lane), pick(room.volt, k, IM, lane)
            v2 = x * x + y * y
            v = np.sqrt(v2)
            dp = load_power_slope(solved.zip_p_mw[r, j] * scale, shares[0], shares[1], shares[4], v)
            dq = load_power_slope(solved.zip_q_mvar[r, j] * scale, shares[2], shares[3], shares[5], v)
            s_re, s_im = (dp * x + dq * y) / v2, (dp * y - dq * x) / v2  # conj(dS/d|V| / V)
            put(room.work, k, M, lane, pick(room.work, k, M, lane) + s_re * x / v)
            put(room.work, k, M + 1, lane, pick(room.work, k, M + 1, lane) + s_im * x / v)
            put(room.work, k, M + 2, lane, pick(room.work, k, M + 2, lane) + s_re * y / v)
            put(room.work, k, M + 3, lane, pick(room.work, k, M + 3, lane) + s_im * y / v)


@inline
def _own_slope(plan, k, room):  # type: ignore[no-untyped-def]
    """Add F' of constant power and shunt to M, from the current that the node draws."""
    work = room.work
    x, y = load(room.volt, k, RE), load(room.volt, k, IM)
    c = load(room.flow, k, RE) - load(work, k, K)
    d = load(room.flow, k, IM) - load(work, k, K + 1)
    w = 1.0 / (x * x + y * y)
    xx, xy, yx, yy = load(work, k, M), load(work, k, M + 1), load(work, k, M + 2), load(work, k, M + 3)
    if has_shunt(plan, k):
        g, b = admittance(plan, k, work)
        c, d = c - (g * x - b * y), d - (g * y + b * x)
        xx, xy, yx, yy = xx + g, xy + b, yx - b, yy + g
    g_re, g_im = (c * x - d * y) * w, (c * y + d * x) * w  # I / conj(V)
    store(work, k, M, xx - g_re)
    store(work, k, M + 1, xy - g_im)
    store(work, k, M + 2, yx - g_im)
    store(work, k, M + 3, yy + g_re)


@inline
def _eliminate(plan, room):  # type: ignore[no-untyped-def]
    """M and n, leaves first; K and w of every branch."""
    work = room.work
    for k in range(plan.link.shape[0] - 1, -1, -1):
        _own_slope(plan, k, room)
        up = plan.link[k, 0]
        if up < 0:
            continue
        z_re, z_im = impedance(plan, k, work)
        xx, xy, yx, yy = load(work, k, M), load(work, k, M + 1), load(work, k, M + 2), load(work, k, M + 3)
        n_re, n_im = load(work, k, N), load(work, k, N + 1)
        p11, p12 = 1.0 + (z_re * xx + z_im * yx), z_re * xy + z_im * yy
        p21, p22 = z_re * yx - z_im * xx, 1.0 + (z_re * yy - z_im * xy)
        scale = 1.0 / (p11 * p22 - p12 * p21)
        k11, k12, k21, k22 = p22 * scale, (0.0 - p12) * scale, (0.0 - p21) * scale, p11 * scale
        w_re = z_re * n_re + z_im * n_im + load(work, k, W)
        w_im = z_re * n_im - z_im * n_re + load(work, k, W + 1)
        store(work, k, K, k11)
        store(work, k, K + 1, k12)
        store(work, k, K + 2, k21)
        store(work, k, K + 3, k22)
        store(work, k, W, w_re)
        store(work, k, W + 1, w_im)
        b11, b12 = xx * k11 + xy * k21, xx * k12 + xy * k22
        b21, b22 = yx * k11 + yy * k21, yx * k12 + yy * k22
        r_re = n_re - (b11 * w_re + b12 * w_im)
        r_im = n_im - (b21 * w_re + b22 * w_im)
        c, d = load(room.flow, k, RE), load(room.flow, k, IM)
        if has_ratio(plan, k):
            a, b = ratio(plan, k, work)
            c11, c12 = b11 * a + b12 * b, b12 * a - b11 * b
            c21, c22 = b21 * a + b22 * b, b22 * a - b21 * b
            b11, b12, b21, b22 = a * c11 + b * c21, a * c12 + b * c22, a * c21 - b * c11, a * c22 - b * c12
            r_re, r_im = a * r_re + b * r_im, a * r_im - b * r_re
            c, d = a * c + b * d, a * d - b * c
        store(work, up, M, load(work, up, M) + b11)
        store(work, up, M + 1, load(work, up, M + 1) + b12)
        store(work, up, M + 2, load(work, up, M + 2) + b21)
        store(work, up, M + 3, load(work, up, M + 3) + b22)
        add(work, up, N, r_re, r_im)
        add(work, up, K, c, d)


@inline
def _lower(room, k):  # type: ignore[no-untyped-def]
    """The multiplier l = M m + n of position k, from its m."""
    work = room.work
    m_re, m_im = load(work, k, W), load(work, k, W + 1)
    return (
        load(work, k, M) * m_re + load(work, k, M + 1) * m_im + load(work, k, N),
        load(work, k, M + 2) * m_re + load(work, k, M + 3) * m_im + load(work, k, N + 1),
    )


@inline
def _substitute(plan, ends, room):  # type: ignore[no-untyped-def]
    """m of every position, sources first, and the derivative by each tap."""
    work = room.work
    for k in range(plan.link.shape[0]):
        up = plan.link[k, 0]
        if up < 0:
            store(work, k, W, 0.0 - load(work, k, W))
            store(work, k, W + 1, 0.0 - load(work, k, W + 1))
            continue
        m_re, m_im = load(work, up, W), load(work, up, W + 1)
        if has_ratio(plan, k):
            a, b = ratio(plan, k, work)
            m_re, m_im = a * m_re - b * m_im, a * m_im + b * m_re
        m_re, m_im = m_re - load(work, k, W), m_im - load(work, k, W + 1)
        store(work, k, W, load(work, k, K) * m_re + load(work, k, K + 1) * m_im)
        store(work, k, W + 1, load(work, k, K + 2) * m_re + load(work, k, K + 3) * m_im)
        _of_tap(plan, ends, k, room)


@inline
def _of_tap(plan, ends, k, room):  # type: ignore[no-untyped-def]
    """Add what the equations have of the tap of the branch that feeds position k.

    With the child at the to end a = 1 / tap; at the from end a = tap, and z grows with its square.
    """
    volt, work = room.volt, room.work
    up, e = plan.link[k, 0], plan.link[k, 2]
    forward, half = ends.rows[e, 2], ends.pi[e, 3]
    w_re, w_im, per_a2 = written_ratio(plan, k, ends, e, work)
    per_tap = 1.0 / root(w_re * w_re + w_im * w_im)
    a_re, a_im = ratio(plan, k, work)
    u, v, c, d = load(volt, up, RE), load(volt, up, IM), load(room.flow, k, RE), load(room.flow, k, IM)
    l_re, l_im = _lower(room, k)
    m_re, m_im = load(work, up, W), load(work, up, W + 1)
    first = l_re * (a_re * u - a_im * v) + l_im * (a_re * v + a_im * u)
    second = m_re * (a_re * c + a_im * d) + m_im * (a_re * d - a_im * c)
    x, y, total = u, v, first + second
    if not forward:
        r, s = impedance(plan, k, work)
        total = 2.0 * (l_re * (r * c - s * d) + l_im * (r * d + s * c)) - total
        x, y = load(volt, k, RE), load(volt, k, IM)
        m_re, m_im = load(work, k, W), load(work, k, W + 1)
    charging = 2.0 * (half * per_a2) * (m_im * x - m_re * y)
    store(work, k, TAP, load(work, k, TAP) + (total + charging) * per_tap)


@inline
def _emit(room, table, row, count, column, value):  # type: ignore[no-untyped-def]
    """A column of ``count`` rows of a table."""
    if count == width(room.note):
        to_rows_real(table, row, column, value)
        return
    store(room.note, 0, 0, value)
    for lane in range(count):
        table[row + lane, column] = pick(room.note, 0, 0, lane)


@inline
def _write(plan, row, count, base_mva, room, adjoints):  # type: ignore[no-untyped-def]
    """In the order of the feeder; 0 where the sweep does not come."""
    zero, scale = every(room.note, 0.0), 1.0 / base_mva
    for node in range(plan.at_node.size):
        k, p, q = plan.at_node[node], zero, zero
        if k >= 0:
            x, y = load(room.volt, k, RE), load(room.volt, k, IM)
            m_re, m_im = load(room.work, k, W), load(room.work, k, W + 1)
            w = scale / (x * x + y * y)
            p, q = (m_re * x + m_im * y) * w, (m_re * y - m_im * x) * w  # m / V, conjugated
        _emit(room, adjoints.p_inject, row, count, node, p)
        _emit(room, adjoints.q_inject, row, count, node, q)
    for e in range(plan.at_branch.size):
        k, by_tap = plan.at_branch[e], zero
        if k >= 0:
            by_tap = load(room.work, k, TAP)
        _emit(room, adjoints.tap, row, count, e, by_tap)
    for k in range(adjoints.v_source.shape[1]):  # breadth first: the sources come first
        x, y = load(room.volt, k, RE), load(room.volt, k, IM)
        l_re, l_im = _lower(room, k)
        by_size = (0.0 - (l_re * x + l_im * y)) / root(x * x + y * y)
        _emit(room, adjoints.v_source, row, count, -1 - plan.link[k, 2], by_size)


@flattened(plan=SweepPlan, ends=Ends, room=AdjointRoom, solved=Solved, seeds=Seeds, adjoints=Adjoints)
def adjoint_rows(plan, ends, room, solved, seeds, adjoints, lo, hi, base_mva, flows):  # type: ignore[no-untyped-def]
    """Gradients of rows [lo, hi) of solved rows; ``flows``: f has branch flows or losses."""
    for row in range(lo, hi, width(room.work)):
        count, block = min(width(room.work), hi - row), (row - lo) // width(room.work)
        here = BlockPlan(
            plan.link, plan.at_node, plan.at_branch, plan.z, plan.side, plan.zip_pos, plan.zip_coef,
            plan.ratios, plan.shunts, room.adjusted, block,
        )  # fmt: skip
        last = row + count - 1
        gather(here, row, last, solved, seeds, base_mva, room)
        gather_branches(here, ends, row, last, solved, seeds, base_mva, flows, room)
        _dependent_slope(here, row, last, solved, 1.0 / base_mva, room)
        _eliminate(here, room)
        _substitute(here, ends, room)
        _write(here, row, count, base_mva, room, adjoints)
