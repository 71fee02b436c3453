"""What a scalar has of the results of a power flow, and what its multipliers are worth by arguments."""

from __future__ import annotations

from ...numba_tools.jit import inline
from ...numba_tools.lanes import every, larger, load, pick, root, store, to_rows_real, width
from ..kernel_tables import TAP, TAP_LEG
from .adjoint_blocks import (
    FIRST,
    PARENT,
    S_BLOCK,
    S_CHILD,
    S_COEF,
    S_ENTRY,
    S_KIND,
    S_OTHER,
    S_PARENT,
    S_REFERENCE,
)
from .adjoint_state import FAINT, add, take


@inline
def _by_v(tree, room, k, x, y):  # type: ignore[no-untyped-def]
    """f has x + jy of the voltage of conductor k; n is less that."""
    b, i = tree.place[k, 0], 2 * tree.place[k, 1]
    store(room.n, b, i, load(room.n, b, i) - x)
    store(room.n, b, i + 1, load(room.n, b, i + 1) - y)


@inline
def of_voltages(tree, room, seeds, row, last):  # type: ignore[no-untyped-def]
    """What f has of magnitudes and angles."""
    if seeds.v_pu.shape[0] == 0 and seeds.v_rad.shape[0] == 0:
        return
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        x, y = load(room.v, k, 0), load(room.v, k, 1)
        v2 = larger(x * x + y * y, every(room.note, FAINT))
        s = take(room, seeds.v_pu, row, last, slot) / root(v2)
        if seeds.v_rad.shape[0] == 0:
            _by_v(tree, room, k, s * x, s * y)
            continue
        t = take(room, seeds.v_rad, row, last, slot) / v2
        _by_v(tree, room, k, s * x - t * y, s * y + t * x)


@inline
def _coefficient(tree, room, k):  # type: ignore[no-untyped-def]
    """What an end takes of a segment's current."""
    re, im, entry = (
        every(room.note, tree.ends_value[k, 0]),
        every(room.note, tree.ends_value[k, 1]),
        tree.ends[k, 2],
    )
    if entry >= 0:
        ratio = load(room.ratio, entry, 0)
        re, im = re * ratio, im * ratio
    return re, im


@inline
def _end_currents(tree, room):  # type: ignore[no-untyped-def]
    """Currents into the ends of branches that are more than that of a wire."""
    zero = every(room.note, 0.0)
    for k in range(tree.mixed.shape[0]):
        for j in range(2):
            store(room.end, tree.mixed[k, 0], j, zero)
            store(room.by_end, tree.mixed[k, 0], j, zero)
    for k in range(tree.line.shape[0]):
        x, y = load(room.j, tree.line[k, 0], 0), load(room.j, tree.line[k, 0], 1)
        store(room.end, tree.line[k, 1], 0, x)
        store(room.end, tree.line[k, 1], 1, y)
        store(room.end, tree.line[k, 2], 0, 0.0 - x)
        store(room.end, tree.line[k, 2], 1, 0.0 - y)
    for k in range(tree.ends.shape[0]):
        re, im = _coefficient(tree, room, k)
        x, y = load(room.j, tree.ends[k, 1], 0), load(room.j, tree.ends[k, 1], 1)
        add(room.end, tree.ends[k, 0], re * x - im * y, re * y + im * x)
    for k in range(tree.charge.shape[0]):
        re, im = tree.charge_value[k, 0], tree.charge_value[k, 1]
        x, y = load(room.v, tree.charge[k, 1], 0), load(room.v, tree.charge[k, 1], 1)
        add(room.end, tree.charge[k, 0], re * x - im * y, re * y + im * x)


@inline
def _power_seed(tree, room, seeds, row, last, base, e):  # type: ignore[no-untyped-def]
    """f by P and by Q into end e of a branch, losses included."""
    p, q = take(room, seeds.total, row, last, 0), take(room, seeds.total, row, last, 1)
    if e < tree.half:
        p = p + take(room, seeds.p_from_mw, row, last, e)
        q = q + take(room, seeds.q_from_mvar, row, last, e)
    else:
        p = p + take(room, seeds.p_to_mw, row, last, e - tree.half)
        q = q + take(room, seeds.q_to_mvar, row, last, e - tree.half)
    return base * p, base * q


@inline
def _of_wires(tree, room, seeds, row, last, base):  # type: ignore[no-untyped-def]
    """What f has of the powers at both ends of wires, whose one current enters there and leaves here."""
    told = seeds.p_from_mw.shape[0] + seeds.q_from_mvar.shape[0] + seeds.p_to_mw.shape[0]
    told += seeds.q_to_mvar.shape[0]
    p_loss = base * take(room, seeds.total, row, last, 0)
    q_loss = base * take(room, seeds.total, row, last, 1)
    for k in range(tree.wire.shape[0]):
        c, above = tree.wire[k, 0], tree.wire[k, 1]
        p, q, s, t = p_loss, q_loss, p_loss, q_loss
        if told > 0:
            p, q = _power_seed(tree, room, seeds, row, last, base, tree.wire[k, 2])
            s, t = _power_seed(tree, room, seeds, row, last, base, tree.wire[k, 3])
        g, h = load(room.j, c, 0), load(room.j, c, 1)
        _by_v(tree, room, above, p * g - q * h, p * h + q * g)
        _by_v(tree, room, c, t * h - s * g, 0.0 - (s * h + t * g))
        u, v, x, y = load(room.v, above, 0), load(room.v, above, 1), load(room.v, c, 0), load(room.v, c, 1)
        add(room.by_j, c, (p * u + q * v) - (s * x + t * y), (p * v - q * u) - (s * y - t * x))


@inline
def of_ends(tree, room, seeds, row, last, base):  # type: ignore[no-untyped-def]
    """What f has of the powers at both ends of the branches."""
    _of_wires(tree, room, seeds, row, last, base)
    _end_currents(tree, room)
    for k in range(tree.mixed.shape[0]):
        e, c = tree.mixed[k, 0], tree.mixed[k, 1]
        p, q = _power_seed(tree, room, seeds, row, last, base, e)
        x, y, g, h = load(room.v, c, 0), load(room.v, c, 1), load(room.end, e, 0), load(room.end, e, 1)
        _by_v(tree, room, c, p * g - q * h, p * h + q * g)
        store(room.by_end, e, 0, p * x + q * y)
        store(room.by_end, e, 1, p * y - q * x)
    for k in range(tree.line.shape[0]):
        c, up, down = tree.line[k]
        x, y = (
            load(room.by_end, up, 0) - load(room.by_end, down, 0),
            load(room.by_end, up, 1) - load(room.by_end, down, 1),
        )
        add(room.by_j, c, x, y)
    for k in range(tree.ends.shape[0]):
        re, im = _coefficient(tree, room, k)
        x, y = load(room.by_end, tree.ends[k, 0], 0), load(room.by_end, tree.ends[k, 0], 1)
        add(room.by_j, tree.ends[k, 1], re * x + im * y, re * y - im * x)
    for k in range(tree.charge.shape[0]):
        re, im = tree.charge_value[k, 0], tree.charge_value[k, 1]
        x, y = load(room.by_end, tree.charge[k, 0], 0), load(room.by_end, tree.charge[k, 0], 1)
        _by_v(tree, room, tree.charge[k, 1], re * x + im * y, re * y - im * x)


@inline
def of_slack(tree, room, seeds, row, last, base):  # type: ignore[no-untyped-def]
    """What f has of the powers that sources deliver at their nodes."""
    p, q = base * take(room, seeds.total, row, last, 2), base * take(room, seeds.total, row, last, 3)
    for k in range(tree.root.shape[0]):
        c, r = tree.source_at[k], tree.root[k, 0]
        x, y, g, h = load(room.v, c, 0), load(room.v, c, 1), load(room.j, r, 0), load(room.j, r, 1)
        _by_v(tree, room, c, p * g - q * h, p * h + q * g)
        add(room.by_j, r, p * x + q * y, p * y - q * x)


@inline
def _of_taps(tree, room, flows, regulators):  # type: ignore[no-untyped-def]
    """By the logarithm of every regulator's ratio, into ``note``: segments, and currents that f knows."""
    for k in range(regulators):
        store(room.note, 1 + k, 0, every(room.note, 0.0))
    for s in range(tree.step.shape[0] - 1, -1, -1):
        kind, entry = tree.step[s, S_KIND], tree.step[s, S_ENTRY]
        if kind != TAP and kind != TAP_LEG:
            continue
        b = tree.step[s, S_BLOCK]
        first, above = tree.block[b, FIRST], tree.block[tree.block[b, PARENT], FIRST]
        c, p = tree.step[s, S_CHILD], above + tree.step[s, S_PARENT]
        l_re, l_im = load(room.n, b, 2 * c), load(room.n, b, 2 * c + 1)
        x, y, m_re, m_im = load(room.v, p, 0), load(room.v, p, 1), load(room.m, p, 0), load(room.m, p, 1)
        if kind == TAP_LEG:
            q, r = above + tree.step[s, S_OTHER], 2 * tree.step[s, S_REFERENCE]
            x, y = x - load(room.v, q, 0), y - load(room.v, q, 1)
            m_re, m_im = m_re - load(room.m, q, 0), m_im - load(room.m, q, 1)
            store(room.n, b, r, load(room.n, b, r) + l_re)
            store(room.n, b, r + 1, load(room.n, b, r + 1) + l_im)
        regulator = tree.tap[entry, 0]
        if regulator < 0:
            continue
        e, f = load(room.j, first + c, 0), load(room.j, first + c, 1)
        found = load(room.ratio, entry, 0) * (l_re * x + l_im * y + m_re * e + m_im * f)
        if tree.tap[entry, 1] == 0:
            re, im = tree.number[tree.step[s, S_COEF] + 2], tree.number[tree.step[s, S_COEF] + 3]
            drop = l_re * (re * e - im * f) + l_im * (re * f + im * e)
            found = 2.0 * load(room.ratio, entry, 1) * drop - found
        store(room.note, 1 + regulator, 0, load(room.note, 1 + regulator, 0) + found)
    for k in range(tree.ends.shape[0] if flows else 0):
        entry = tree.ends[k, 2]
        if entry < 0 or tree.tap[entry, 0] < 0:
            continue
        at = 1 + tree.tap[entry, 0]
        re, im = _coefficient(tree, room, k)
        x, y = load(room.j, tree.ends[k, 1], 0), load(room.j, tree.ends[k, 1], 1)
        e, f = load(room.by_end, tree.ends[k, 0], 0), load(room.by_end, tree.ends[k, 0], 1)
        found = e * (re * x - im * y) + f * (re * y + im * x)
        if tree.tap[entry, 1] == 1:
            found = 0.0 - found
        store(room.note, at, 0, load(room.note, at, 0) + found)


@inline
def emit(room, table, row, last, column, value):  # type: ignore[no-untyped-def]
    """A column of rows [row, last] of a table."""
    if last - row + 1 == width(room.note):
        to_rows_real(table, row, column, value)
        return
    store(room.note, 0, 0, value)
    for lane in range(last - row + 1):
        table[row + lane, column] = pick(room.note, 0, 0, lane)


@inline
def write(tree, room, row, last, scale, tap, flows, out):  # type: ignore[no-untyped-def]
    """Derivatives of rows [row, last]."""
    for r in range(row, last + 1):
        for slot in range(out.p.shape[1]):
            out.p[r, slot], out.q[r, slot] = 0.0, 0.0
        for s in range(out.v_source.shape[1]):
            out.v_source[r, s] = 0.0
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        x, y, m_re, m_im = load(room.v, k, 0), load(room.v, k, 1), load(room.m, k, 0), load(room.m, k, 1)
        w = scale / larger(x * x + y * y, every(room.note, FAINT))
        emit(room, out.p, row, last, slot, w * (m_re * x + m_im * y))
        emit(room, out.q, row, last, slot, w * (m_re * y - m_im * x))
    _of_taps(tree, room, flows, out.tap.shape[1])
    for k in range(out.tap.shape[1]):
        emit(room, out.tap, row, last, k, load(room.note, 1 + k, 0) / take(room, tap, row, last, k))
    for k in range(tree.root.shape[0]):
        c, s = tree.root[k, 0], tree.root[k, 1]
        x, y, b, i = load(room.v, c, 0), load(room.v, c, 1), tree.place[c, 0], 2 * tree.place[c, 1]
        by_size = (load(room.n, b, i) * x + load(room.n, b, i + 1) * y) / root(x * x + y * y)
        store(room.note, 0, 0, by_size)
        for lane in range(last - row + 1):
            out.v_source[row + lane, s] -= pick(room.note, 0, 0, lane)
