"""What an environment asks of a solved three-phase state, in one pass per row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._jit import lean_kernel
from .flows import FlowTable, flow_row, phasor, ways_of
from .gather import steps_of
from .generic import advance, flat, get, inline
from .program import ComplexArray, FloatArray, IntArray, Program


class Limits(NamedTuple):
    """What a state is held against, and bases."""

    v_min: FloatArray  # (n_bus,)
    v_max: FloatArray
    vuf_max_pct: float
    rating_mva: FloatArray  # (2, n_branch, 3) of each phase at both ends, NaN: none
    base_kv: FloatArray  # (n_bus,)
    base_mva: float
    source_node: IntArray  # (n_source,)


class Measures(NamedTuple):
    """Results, batch first; phases last but flat."""

    v_pu: FloatArray  # (batch, 3 n_bus)
    vuf_pct: FloatArray  # (batch, n_bus)
    s_from: ComplexArray  # (batch, 3 n_branch) MVA
    s_to: ComplexArray
    i_ka: FloatArray
    loading: FloatArray
    loss_mva: ComplexArray  # (batch,)
    slack_mva: ComplexArray
    sums: FloatArray  # (3, batch): pu outside the band, MVA above ratings, VUF % above its limit
    counts: IntArray  # (3, batch)


@inline
def _magnitude(z):  # type: ignore[no-untyped-def]
    return np.sqrt(z.real * z.real + z.imag * z.imag)


@inline
def _voltages(row, v, limits, out):  # type: ignore[no-untyped-def]
    """Magnitudes and the sum outside the band; phases that are NaN count for nothing."""
    total, count = 0.0, 0
    for k in range(out.v_pu.shape[1]):
        size = _magnitude(phasor(v, k))
        out.v_pu[row, k] = size
        high, low = size - limits.v_max[k // 3], limits.v_min[k // 3] - size
        outside = max(high if high > 0.0 else 0.0, low if low > 0.0 else 0.0)
        if outside > 0.0:
            total += outside
            count += 1
    out.sums[0, row], out.counts[0, row] = total, count


@inline
def _unbalance(row, v, limits, out):  # type: ignore[no-untyped-def]
    """|V2| / |V1| in percent; NaN at nodes without three phases."""
    turn = complex(-0.5, 0.5 * np.sqrt(3.0))
    back = complex(-0.5, -0.5 * np.sqrt(3.0))
    total, count = 0.0, 0
    for n in range(out.vuf_pct.shape[1]):
        a, b, c = phasor(v, 3 * n), phasor(v, 3 * n + 1), phasor(v, 3 * n + 2)
        first, second = _magnitude(a + turn * b + back * c), _magnitude(a + back * b + turn * c)
        value = 100.0 * second / first if first > 0.0 else np.nan
        out.vuf_pct[row, n] = value
        if value > limits.vuf_max_pct:
            total += value - limits.vuf_max_pct
            count += 1
    out.sums[2, row], out.counts[2, row] = total, count


@inline
def _branches(row, ways, v, limits, i_from, i_to, out):  # type: ignore[no-untyped-def]
    """Flows, currents and loading of every branch and phase; losses and the sum above ratings."""
    base = limits.base_mva / 3.0
    loss = 0.0 + 0.0j
    total, count = 0.0, 0
    for e in range(ways.n_branch):
        f, t = get(ways.ends, 2 * e), get(ways.ends, 2 * e + 1)
        ka_f, ka_t = base * np.sqrt(3.0) / limits.base_kv[f], base * np.sqrt(3.0) / limits.base_kv[t]
        for p in range(3):
            k = 3 * e + p
            v_f, v_t = phasor(v, 3 * f + p), phasor(v, 3 * t + p)
            i_f, i_t = phasor(i_from, k), phasor(i_to, k)
            s_f = base * v_f * np.conj(i_f) if np.isfinite(v_f.real) else 0.0 + 0.0j
            s_t = base * v_t * np.conj(i_t) if np.isfinite(v_t.real) else 0.0 + 0.0j
            out.s_from[row, k], out.s_to[row, k] = s_f, s_t
            loss += s_f + s_t
            out.i_ka[row, k] = max(_magnitude(i_f) * ka_f, _magnitude(i_t) * ka_t)
            r_f, r_t = limits.rating_mva[0, e, p], limits.rating_mva[1, e, p]
            size_f, size_t = _magnitude(s_f), _magnitude(s_t)
            load_f, load_t = size_f / r_f, size_t / r_t
            load = load_t if np.isnan(load_f) or load_t > load_f else load_f
            out.loading[row, k] = load
            if load > 1.0:
                above_f, above_t = size_f - r_f, size_t - r_t
                total += above_t if np.isnan(above_f) or above_t > above_f else above_f
                count += 1
    out.loss_mva[row] = loss
    out.sums[1, row], out.counts[1, row] = total, count


@lean_kernel
def measure_rows(  # type: ignore[no-untyped-def]
    whole, number, of_segment, branch_ends, shunt, has_shunt, lo, hi, tap, phasors,
    v_min, v_max, vuf_max_pct, rating_mva, base_kv, base_mva, source_node,
    v_pu, vuf_pct, s_from, s_to, i_ka, loading, loss_mva, slack_mva, sums, counts, ends,
):  # fmt: skip
    """Measure rows [lo, hi) of a solved batch.

    Takes the fields of Program, FlowTable, Limits and Measures one by one; ``ends`` (2, 6 n_branch) is room.
    """
    net = steps_of(Program(whole, number), True)
    ways = ways_of(FlowTable(of_segment, branch_ends, shunt, has_shunt))
    limits = Limits(v_min, v_max, vuf_max_pct, rating_mva, base_kv, base_mva, source_node)
    out = Measures(v_pu, vuf_pct, s_from, s_to, i_ka, loading, loss_mva, slack_mva, sums, counts)
    n_slot = v_pu.shape[1]
    i_from, i_to = flat(ends), advance(flat(ends), ends.shape[1])
    taps, states = flat(tap), flat(phasors)
    for row in range(lo, hi):
        v = advance(states, 2 * phasors.shape[1] * row)
        ratio = advance(taps, tap.shape[1] * row if tap.shape[0] > 1 else 0)
        flow_row(net, ways, ratio, v, advance(v, 2 * n_slot), i_from, i_to)
        _voltages(row, v, limits, out)
        _unbalance(row, v, limits, out)
        _branches(row, ways, v, limits, i_from, i_to, out)
        total = 0.0 + 0.0j
        for s in range(source_node.size):
            for p in range(3):
                at = phasor(v, 3 * source_node[s] + p)
                if np.isfinite(at.real):
                    total += at * np.conj(phasor(v, 2 * n_slot + 3 * s + p))
        slack_mva[row] = base_mva / 3.0 * total
