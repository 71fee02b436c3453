"""What a scalar has of solved rows of a balanced feeder, gathered by position of the tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numba_tools.jit import inline
from ...numba_tools.lanes import LANES, aligned, every, from_rows, load, put, root, store, width
from .adjusted import N_ADJUSTED, ratio, written_ratio

# Fields of ``work``: M (xx, xy, yx, yy); n; currents of the children, later K; df/dJ, later w, later m; the
# derivative by the tap of the branch.
M, N, K, W, TAP = 0, 4, 6, 10, 12
N_FIELDS = 13
RE, IM = 0, 1
# Columns of ``Seeds.total``.
P_LOSS, Q_LOSS, P_SLACK, Q_SLACK = 0, 1, 2, 3


class Solved(NamedTuple):
    """Solved rows, batch first; complex numbers are pairs of columns."""

    v: NDArray[np.float64]  # (batch, 2 n_bus) pu
    current: NDArray[np.float64]  # (batch, 2 n_branch) pu, into the child end
    s_source_mva: NDArray[np.float64]  # (batch, 2 n_source)
    zip_p_mw: NDArray[np.float64]  # (batch, n_zip) at 1 pu, of the positions of ``plan.zip_pos``
    zip_q_mvar: NDArray[np.float64]


class Seeds(NamedTuple):
    """The derivatives of f by what a solution tells, batch first; (0, 0) where there are none."""

    v_pu: NDArray[np.float64]  # (batch, n_bus)
    v_rad: NDArray[np.float64]
    p_from_mw: NDArray[np.float64]  # (batch, n_branch)
    q_from_mvar: NDArray[np.float64]
    p_to_mw: NDArray[np.float64]
    q_to_mvar: NDArray[np.float64]
    total: NDArray[np.float64]  # (batch, 4): P and Q of losses, P and Q of all sources


class Adjoints(NamedTuple):
    """What is written, batch first."""

    p_inject: NDArray[np.float64]  # (batch, n_bus) by MW
    q_inject: NDArray[np.float64]  # by Mvar
    tap: NDArray[np.float64]  # (batch, n_branch)
    v_source: NDArray[np.float64]  # (batch, n_source)


class AdjointRoom(NamedTuple):
    """Where rows are worked on: (position, field) of a lone one, (position, field, lane) of several."""

    volt: NDArray[np.float64]
    flow: NDArray[np.float64]
    work: NDArray[np.float64]
    note: NDArray[np.float64]
    adjusted: NDArray[np.float64]  # as of a Workspace


def room_for(positions: int, rows: int, n_adjusted: int = 0) -> AdjointRoom:
    """Room for :func:`adjoint_rows` on so many rows; a thread needs its own."""
    lanes = () if rows == 1 else (LANES,)
    blocks = -(-rows // (1 if rows == 1 else LANES)) if n_adjusted else 0
    m = positions
    shapes = ((m, 2), (m, 2), (m, N_FIELDS), (1, 2), (blocks, N_ADJUSTED * n_adjusted))
    return AdjointRoom(*(aligned(shape + lanes) for shape in shapes))


@inline
def _take(room, table, row, last, column):  # type: ignore[no-untyped-def]
    """A column of rows [row, last] of a table; lanes beyond repeat the last row."""
    if last - row + 1 == width(room.note):
        return from_rows(room.note, table, row, column)
    for lane in range(width(room.note)):
        put(room.note, 0, 0, lane, table[min(row + lane, last), column])
    return load(room.note, 0, 0)


@inline
def _seed(room, table, row, last, column):  # type: ignore[no-untyped-def]
    """The same, 0 where there is no table."""
    if table.shape[0] > 0:
        return _take(room, table, row, last, column)
    return every(room.note, 0.0)


@inline
def add(work, k, field, x, y):  # type: ignore[no-untyped-def]
    """Add x + jy to two fields of a position."""
    store(work, k, field, load(work, k, field) + x)
    store(work, k, field + 1, load(work, k, field + 1) + y)


@inline
def gather(plan, row, last, solved, seeds, base_mva, room):  # type: ignore[no-untyped-def]
    """Voltages, the sources' currents, and what f has of both."""
    volt, flow, work = room.volt, room.flow, room.work
    zero = every(volt, 0.0)
    for node in range(plan.at_node.size):
        k = plan.at_node[node]
        if k < 0:
            continue
        x = _take(room, solved.v, row, last, 2 * node)
        y = _take(room, solved.v, row, last, 2 * node + 1)
        store(volt, k, RE, x)
        store(volt, k, IM, y)
        for field in range(N_FIELDS):
            store(work, k, field, zero)
        if seeds.v_pu.shape[0] > 0:
            s = _take(room, seeds.v_pu, row, last, node) / root(x * x + y * y)
            add(work, k, N, zero - s * x, zero - s * y)
        if seeds.v_rad.shape[0] > 0:
            s = _take(room, seeds.v_rad, row, last, node) / (x * x + y * y)
            add(work, k, N, s * y, zero - s * x)
    p, q = _take(room, seeds.total, row, last, P_SLACK), _take(room, seeds.total, row, last, Q_SLACK)
    p, q = p * base_mva, q * base_mva
    for k in range(plan.link.shape[0]):
        if plan.link[k, 0] >= 0:
            break
        source = -1 - plan.link[k, 2]
        x, y = load(volt, k, RE), load(volt, k, IM)
        w = 1.0 / ((x * x + y * y) * base_mva)
        power = _take(room, solved.s_source_mva, row, last, 2 * source)
        reactive = _take(room, solved.s_source_mva, row, last, 2 * source + 1)
        c, d = (power * x + reactive * y) * w, (power * y - reactive * x) * w
        store(flow, k, RE, c)
        store(flow, k, IM, d)
        add(work, k, N, q * d - p * c, zero - (p * d + q * c))
        add(work, k, W, p * x + q * y, p * y - q * x)


@inline
def gather_branches(plan, ends, row, last, solved, seeds, base_mva, flows, room):  # type: ignore[no-untyped-def]
    """Branch currents and, where f knows ``flows``, what it has of the powers at both ends."""
    flow = room.flow
    for e in range(plan.at_branch.size):
        k = plan.at_branch[e]
        if k < 0:
            continue
        store(flow, k, RE, _take(room, solved.current, row, last, 2 * e))
        store(flow, k, IM, _take(room, solved.current, row, last, 2 * e + 1))
        if flows:
            p_loss = _take(room, seeds.total, row, last, P_LOSS)
            q_loss = _take(room, seeds.total, row, last, Q_LOSS)
            at_from = (
                base_mva * (p_loss + _seed(room, seeds.p_from_mw, row, last, e)),
                base_mva * (q_loss + _seed(room, seeds.q_from_mvar, row, last, e)),
            )
            at_to = (
                base_mva * (p_loss + _seed(room, seeds.p_to_mw, row, last, e)),
                base_mva * (q_loss + _seed(room, seeds.q_to_mvar, row, last, e)),
            )
            _of_flows(plan, ends, k, e, at_from, at_to, room)


@inline
def _of_flows(plan, ends, k, e, at_from, at_to, room):  # type: ignore[no-untyped-def]
    """What f has of the powers P + jQ = V conj(I) at both ends of branch e; ``at_...``: by P and by Q, pu.

    By V this is (p + jq) I, by I it is conj(p + jq) V, in complex numbers for (by re, by im).
    """
    volt, work = room.volt, room.work
    up, forward, half = plan.link[k, 0], ends.rows[e, 2], ends.pi[e, 3]
    x, y, c, d = load(volt, k, RE), load(volt, k, IM), load(room.flow, k, RE), load(room.flow, k, IM)
    u, v = load(volt, up, RE), load(volt, up, IM)
    a_re, a_im = ratio(plan, k, work)
    w_re, w_im, per_a2 = written_ratio(plan, k, ends, e, work)
    b_from = half * per_a2
    p, q = at_from if forward else at_to
    b = b_from if forward else every(work, half)
    i_re, i_im = a_re * c + a_im * d, a_re * d - a_im * c
    add(work, up, N, 2.0 * q * b * u - (p * i_re - q * i_im), 2.0 * q * b * v - (p * i_im + q * i_re))
    g_re, g_im = p * u + q * v, p * v - q * u
    add(work, k, W, a_re * g_re - a_im * g_im, a_re * g_im + a_im * g_re)
    per_tap = 1.0 / root(w_re * w_re + w_im * w_im)
    turned = per_tap * (g_re * i_re + g_im * i_im)
    r, s = at_to if forward else at_from
    b = every(work, half) if forward else b_from
    add(work, k, N, 2.0 * s * b * x + (r * c - s * d), 2.0 * s * b * y + (r * d + s * c))
    add(work, k, W, 0.0 - (r * x + s * y), 0.0 - (r * y - s * x))
    if forward:
        store(work, k, TAP, 2.0 * q * b_from * per_tap * (u * u + v * v) - turned)
    else:
        store(work, k, TAP, 2.0 * s * b_from * per_tap * (x * x + y * y) + turned)
