"""What a scalar has of the results of a power flow, and what its multipliers are worth by arguments."""

from __future__ import annotations

import numpy as np

from ...numba_tools.jit import inline
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


@inline
def _by_v(tree, room, k, x, y):  # type: ignore[no-untyped-def]
    """f has x + jy of the voltage of conductor k; n is less that."""
    b, i = tree.place[k, 0], 2 * tree.place[k, 1]
    room.n[b, i] -= x
    room.n[b, i + 1] -= y


@inline
def _seed(table, row, column):  # type: ignore[no-untyped-def]
    return table[row, column] if table.shape[0] > 0 else 0.0


@inline
def of_voltages(tree, room, seeds, row):  # type: ignore[no-untyped-def]
    """What f has of magnitudes and angles."""
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        s, t = _seed(seeds.v_pu, row, slot), _seed(seeds.v_rad, row, slot)
        if s == 0.0 and t == 0.0:
            continue
        x, y = room.v[k, 0], room.v[k, 1]
        v2 = x * x + y * y
        s, t = s / np.sqrt(v2), t / v2
        _by_v(tree, room, k, s * x - t * y, s * y + t * x)


@inline
def of_ends(tree, room, seeds, row, base):  # type: ignore[no-untyped-def]
    """What f has of the powers at both ends of the branches."""
    for e in range(tree.end_at.size):
        for j in range(2):
            room.end[e, j] = 0.0
            room.by_end[e, j] = 0.0
    for k in range(tree.ends.shape[0]):
        e, c, entry = tree.ends[k]
        re, im = tree.ends_value[k, 0], tree.ends_value[k, 1]
        if entry >= 0:
            re, im = re * room.ratio[entry], im * room.ratio[entry]
        x, y = room.j[c, 0], room.j[c, 1]
        room.end[e, 0] += re * x - im * y
        room.end[e, 1] += re * y + im * x
    for k in range(tree.charge.shape[0]):
        e, c = tree.charge[k]
        re, im, x, y = tree.charge_value[k, 0], tree.charge_value[k, 1], room.v[c, 0], room.v[c, 1]
        room.end[e, 0] += re * x - im * y
        room.end[e, 1] += re * y + im * x
    half = tree.end_at.size // 2
    p_loss, q_loss = seeds.total[row, 0], seeds.total[row, 1]
    for e in range(tree.end_at.size):
        c = tree.end_at[e]
        if c < 0:
            continue
        at = e if e < half else e - half
        p_of, q_of = (seeds.p_from_mw, seeds.q_from_mvar) if e < half else (seeds.p_to_mw, seeds.q_to_mvar)
        p, q = base * (p_loss + _seed(p_of, row, at)), base * (q_loss + _seed(q_of, row, at))
        x, y, g, h = room.v[c, 0], room.v[c, 1], room.end[e, 0], room.end[e, 1]
        _by_v(tree, room, c, p * g - q * h, p * h + q * g)
        room.by_end[e, 0], room.by_end[e, 1] = p * x + q * y, p * y - q * x
    for k in range(tree.ends.shape[0]):
        e, c, entry = tree.ends[k]
        re, im = tree.ends_value[k, 0], tree.ends_value[k, 1]
        if entry >= 0:
            re, im = re * room.ratio[entry], im * room.ratio[entry]
        x, y = room.by_end[e, 0], room.by_end[e, 1]
        room.by_j[c, 0] += re * x + im * y
        room.by_j[c, 1] += re * y - im * x
    for k in range(tree.charge.shape[0]):
        e, c = tree.charge[k]
        re, im, x, y = tree.charge_value[k, 0], tree.charge_value[k, 1], room.by_end[e, 0], room.by_end[e, 1]
        _by_v(tree, room, c, re * x + im * y, re * y - im * x)


@inline
def of_slack(tree, room, p, q):  # type: ignore[no-untyped-def]
    """What f has of the powers that sources deliver at their nodes."""
    for k in range(tree.root.shape[0]):
        c, r = tree.source_at[k], tree.root[k, 0]
        x, y, g, h = room.v[c, 0], room.v[c, 1], room.j[r, 0], room.j[r, 1]
        _by_v(tree, room, c, p * g - q * h, p * h + q * g)
        room.by_j[r, 0] += p * x + q * y
        room.by_j[r, 1] += p * y - q * x


@inline
def _of_taps(tree, room, flows, out):  # type: ignore[no-untyped-def]
    """By the ratio of every regulator: its segments, and currents at ends that f knows."""
    for k in range(out.size):
        out[k] = 0.0
    for s in range(tree.step.shape[0] - 1, -1, -1):
        kind, entry = tree.step[s, S_KIND], tree.step[s, S_ENTRY]
        if kind != TAP and kind != TAP_LEG:
            continue
        b = tree.step[s, S_BLOCK]
        first, above = tree.block[b, FIRST], tree.block[tree.block[b, PARENT], FIRST]
        c, p = tree.step[s, S_CHILD], above + tree.step[s, S_PARENT]
        l_re, l_im = room.n[b, 2 * c], room.n[b, 2 * c + 1]
        x, y, m_re, m_im = room.v[p, 0], room.v[p, 1], room.m[p, 0], room.m[p, 1]
        if kind == TAP_LEG:
            q, r = above + tree.step[s, S_OTHER], tree.step[s, S_REFERENCE]
            x, y, m_re, m_im = x - room.v[q, 0], y - room.v[q, 1], m_re - room.m[q, 0], m_im - room.m[q, 1]
            room.n[b, 2 * r] += l_re
            room.n[b, 2 * r + 1] += l_im
        regulator = tree.tap[entry, 0]
        if regulator < 0:
            continue
        re, im = tree.number[tree.step[s, S_COEF] + 2], tree.number[tree.step[s, S_COEF] + 3]
        e, f = room.j[first + c, 0], room.j[first + c, 1]
        change = l_re * x + l_im * y + m_re * e + m_im * f
        forward = tree.tap[entry, 1] == 0
        found = (-1.0 if forward else 1.0) * room.ratio[entry] * change
        if forward:
            found += 2.0 * room.square[entry] * (l_re * (re * e - im * f) + l_im * (re * f + im * e))
        out[regulator] += found
    for k in range(tree.ends.shape[0] if flows else 0):
        e, c, entry = tree.ends[k]
        if entry < 0 or tree.tap[entry, 0] < 0:
            continue
        slope = room.ratio[entry] * (1.0 if tree.tap[entry, 1] == 0 else -1.0)
        re, im = slope * tree.ends_value[k, 0], slope * tree.ends_value[k, 1]
        x, y = room.j[c, 0], room.j[c, 1]
        found = room.by_end[e, 0] * (re * x - im * y) + room.by_end[e, 1] * (re * y + im * x)
        out[tree.tap[entry, 0]] += found


@inline
def write(tree, room, row, scale, emf, tap, flows, out):  # type: ignore[no-untyped-def]
    """Derivatives of a row."""
    for slot in range(out.p.shape[1]):
        out.p[row, slot], out.q[row, slot] = 0.0, 0.0
    for k in range(tree.place.shape[0]):
        slot = tree.place[k, 2]
        if slot < 0:
            continue
        x, y, m_re, m_im = room.v[k, 0], room.v[k, 1], room.m[k, 0], room.m[k, 1]
        w = scale / max(x * x + y * y, 1e-200)
        out.p[row, slot], out.q[row, slot] = w * (m_re * x + m_im * y), w * (m_re * y - m_im * x)
    for s in range(out.v_source.shape[1]):
        out.v_source[row, s] = 0.0
    for k in range(tree.root.shape[0]):
        c, s = tree.root[k, 0], tree.root[k, 1]
        z, b, i = emf[3 * s + tree.root[k, 2]], tree.place[c, 0], 2 * tree.place[c, 1]
        out.v_source[row, s] -= (room.n[b, i] * z.real + room.n[b, i + 1] * z.imag) / abs(z)
    _of_taps(tree, room, flows, out.tap[row])
    for k in range(out.tap.shape[1]):
        out.tap[row, k] /= tap[k]
