"""What an environment asks of solved three-phase states, of a row or of a block of lanes side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...flags import COLLAPSED, CONVERGED, DIVERGED
from ...numba_tools.jit import inline
from ...numba_tools.lanes import choose, to_rows, to_rows_real
from ...numba_tools.pointers import get, get_lane, larger, like, put, root, smaller, width_of
from ...row_results import (
    ITERATIONS,
    N_OVERLOAD,
    N_UNBALANCE,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_LOSS,
    Q_SLACK,
    STATUS,
    V_UPDATE,
    VOLTAGE_VIOLATION,
    VUF_VIOLATION,
)
from ...violations import VUF_TOP_PCT, excess, excess_of_band
from ..kernel_tables import ComplexArray, FloatArray, IntArray

#: Columns of ``passage``.
SLOT, FROM, TO, COLUMN, RATED = 0, 1, 2, 3, 4


class StepColumns(NamedTuple):
    """What is read off a state, in the order of the columns; slots are 3 * row + phase.

    Phases that no source reaches are not listed: what an array of results was filled with stays there.
    """

    terminal: IntArray  # (n, 3): slot, other slot or -1 for ground, column or -1 for one that is judged only
    band: FloatArray  # (n, 3) lowest and highest voltage, pu; 1 over what stands between two slots at 1 pu
    passage: (
        IntArray  # (n, 5): slot of a branch, of its nodes at both ends, column or -1, 1 where it is rated
    )
    rating: FloatArray  # (n, 6): of both ends squared kA per pu, squared 1 / MVA (0: no rating), MVA
    balance: IntArray  # (n, 2): first slot of a node with three phases, column
    port: IntArray  # (n, 3): slot, other slot or -1 for ground, column or -1 where more of the port follow
    port_share: FloatArray  # (n, 2) of the mean voltage of a port; 1 over what is 1 pu between two slots
    source: IntArray  # (n_source,) first slot of the node


class StepLimits(NamedTuple):
    """What states are judged by, and the base of one phase."""

    low_pu: float  # below: collapsed
    top_pu: float  # above: diverged
    vuf_max_pct: float
    base_mva: float


class StepResults(NamedTuple):
    """Results, (batch, columns); ``v``, ``s_from`` and ``i_ka`` without columns are left out."""

    v: ComplexArray  # pu across the terminals
    v_pu: FloatArray
    port_v_pu: FloatArray
    s_from: ComplexArray  # MVA
    i_ka: FloatArray
    loading: FloatArray
    vuf_pct: FloatArray
    ended: IntArray
    measured: FloatArray


@inline
def _emit(table, row, count, column, value, spare):  # type: ignore[no-untyped-def]
    """A column of ``count`` rows; through memory where these are not all lanes."""
    if count == width_of(spare):
        to_rows_real(table, row, column, value)
        return
    put(spare, 0, value)
    for lane in range(count):
        table[row + lane, column] = get_lane(spare, 0, lane)


@inline
def _emit_complex(table, row, count, column, re, im, spare):  # type: ignore[no-untyped-def]
    if count == width_of(spare):
        to_rows(table, row, column, re, im)
        return
    put(spare, 0, re)
    put(spare, 1, im)
    for lane in range(count):
        table[row + lane, column] = complex(get_lane(spare, 0, lane), get_lane(spare, 1, lane))


@inline
def _across(v, first, second, scale):  # type: ignore[no-untyped-def]
    """Voltage of a slot to ground, or ``scale`` times that to another one: 1 pu there, too."""
    x, y = get(v, 2 * first), get(v, 2 * first + 1)
    if second >= 0:
        x = (x - get(v, 2 * second)) * scale
        y = (y - get(v, 2 * second + 1)) * scale
    return x, y


@inline
def _voltages(row, count, v, spare, columns, limits, results):  # type: ignore[no-untyped-def]
    """Magnitudes, the sum outside the band, and flags of what is beyond the operable."""
    zero, one = like(spare, 0.0), like(spare, 1.0)
    total, number, least, most = zero, zero, like(spare, np.inf), zero
    for k in range(columns.terminal.shape[0]):
        column = columns.terminal[k, 2]
        x, y = _across(v, columns.terminal[k, 0], columns.terminal[k, 1], columns.band[k, 2])
        size = root(x * x + y * y)
        least, most = smaller(size, least), larger(size, most)
        if column < 0:
            continue
        outside = excess_of_band(size, columns.band[k, 0], columns.band[k, 1], zero)
        total = total + outside
        number = number + choose(outside, one, zero)
        if results.v.shape[1] > 0:
            _emit_complex(results.v, row, count, column, x, y, spare)
        _emit(results.v_pu, row, count, column, size, spare)
    put(spare, 0, total)
    put(spare, 1, number)
    put(spare, 2, least)
    put(spare, 3, most)
    for lane in range(count):
        results.measured[row + lane, VOLTAGE_VIOLATION] = get_lane(spare, 0, lane)
        results.ended[row + lane, N_VOLTAGE] = int(get_lane(spare, 1, lane))
        status = results.ended[row + lane, STATUS]
        if get_lane(spare, 2, lane) < limits.low_pu:
            status |= COLLAPSED
        if get_lane(spare, 3, lane) > limits.top_pu:
            status = (status | DIVERGED) & ~CONVERGED
        results.ended[row + lane, STATUS] = status


@inline
def _ports(row, count, v, spare, columns, results):  # type: ignore[no-untyped-def]
    """Mean voltage magnitude across the terminals of each port."""
    mean = like(spare, 0.0)
    for k in range(columns.port.shape[0]):
        x, y = _across(v, columns.port[k, 0], columns.port[k, 1], columns.port_share[k, 1])
        mean = mean + columns.port_share[k, 0] * root(x * x + y * y)
        if columns.port[k, 2] >= 0:
            _emit(results.port_v_pu, row, count, columns.port[k, 2], mean, spare)
            mean = like(spare, 0.0)


@inline
def _power(v, slot, current, k, base):  # type: ignore[no-untyped-def]
    """Power of a current at the voltage of a slot, and the square of its size."""
    x, y, a, b = get(v, 2 * slot), get(v, 2 * slot + 1), get(current, 2 * k), get(current, 2 * k + 1)
    p, q = base * (x * a + y * b), base * (y * a - x * b)
    return p, q, p * p + q * q, a * a + b * b


@inline
def _branches(row, count, v, i_from, i_to, spare, columns, limits, results):  # type: ignore[no-untyped-def]
    """Flow into the from end, the larger end's current and loading; losses; MVA above ratings."""
    zero, one = like(spare, 0.0), like(spare, 1.0)
    p_loss, q_loss, total, number = zero, zero, zero, zero
    for k in range(columns.passage.shape[0]):
        slot, column = columns.passage[k, SLOT], columns.passage[k, COLUMN]
        p_f, q_f, s2_f, i2_f = _power(v, columns.passage[k, FROM], i_from, slot, limits.base_mva)
        p_t, q_t, s2_t, i2_t = _power(v, columns.passage[k, TO], i_to, slot, limits.base_mva)
        p_loss = p_loss + (p_f + p_t)
        q_loss = q_loss + (q_f + q_t)
        if column >= 0 and results.s_from.shape[1] > 0:
            _emit_complex(results.s_from, row, count, column, p_f, q_f, spare)
        if column >= 0 and results.i_ka.shape[1] > 0:  # |I|, |S|: one root for the larger end
            size = root(larger(i2_f * columns.rating[k, 0], i2_t * columns.rating[k, 1]))
            _emit(results.i_ka, row, count, column, size, spare)
        if columns.passage[k, RATED] == 1:
            s2_f, s2_t = s2_f * columns.rating[k, 2], s2_t * columns.rating[k, 3]
            loading = root(larger(s2_f, s2_t))
            rating = choose(s2_f - s2_t, like(spare, columns.rating[k, 4]), like(spare, columns.rating[k, 5]))
            above = (loading - 1.0) * rating
            total = total + excess(above, zero)
            number = number + choose(above, one, zero)
            if column >= 0:
                _emit(results.loading, row, count, column, loading, spare)
    put(spare, 0, p_loss)
    put(spare, 1, q_loss)
    put(spare, 2, total)
    put(spare, 3, number)
    for lane in range(count):
        results.measured[row + lane, P_LOSS] = get_lane(spare, 0, lane)
        results.measured[row + lane, Q_LOSS] = get_lane(spare, 1, lane)
        results.measured[row + lane, OVERLOAD] = get_lane(spare, 2, lane)
        results.ended[row + lane, N_OVERLOAD] = int(get_lane(spare, 3, lane))


@inline
def _unbalance(row, count, v, spare, columns, limits, results):  # type: ignore[no-untyped-def]
    """|V2| / |V1| in percent and the sum above the limit, where 100 % is the most."""
    zero, one, turn = like(spare, 0.0), like(spare, 1.0), 0.5 * np.sqrt(3.0)
    total, number = zero, zero
    for k in range(columns.balance.shape[0]):
        o = 2 * columns.balance[k, 0]
        xb, yb, xc, yc = get(v, o + 2), get(v, o + 3), get(v, o + 4), get(v, o + 5)
        x, y = get(v, o) - 0.5 * (xb + xc), get(v, o + 1) - 0.5 * (yb + yc)
        u, w = turn * (yb - yc), turn * (xb - xc)
        first = (x - u) * (x - u) + (y + w) * (y + w)
        second = (x + u) * (x + u) + (y - w) * (y - w)
        value = 100.0 * root(second / first)
        above = smaller(value, like(spare, VUF_TOP_PCT)) - limits.vuf_max_pct
        total = total + excess(above, zero)
        number = number + choose(above, one, zero)
        _emit(results.vuf_pct, row, count, columns.balance[k, 1], value, spare)
    put(spare, 0, total)
    put(spare, 1, number)
    for lane in range(count):
        results.measured[row + lane, VUF_VIOLATION] = get_lane(spare, 0, lane)
        results.ended[row + lane, N_UNBALANCE] = int(get_lane(spare, 1, lane))


@inline
def _slack(row, count, v, source_current, spare, columns, limits, results):  # type: ignore[no-untyped-def]
    """Power of all sources."""
    p, q = like(spare, 0.0), like(spare, 0.0)
    for s in range(columns.source.size):
        for place in range(3):
            more_p, more_q, _, _ = _power(
                v, columns.source[s] + place, source_current, 3 * s + place, limits.base_mva
            )
            p = p + more_p
            q = q + more_q
    put(spare, 0, p)
    put(spare, 1, q)
    for lane in range(count):
        results.measured[row + lane, P_SLACK] = get_lane(spare, 0, lane)
        results.measured[row + lane, Q_SLACK] = get_lane(spare, 1, lane)


@inline
def measure(row, count, notes, v, i_from, i_to, source_current, spare, columns, limits, results):  # type: ignore[no-untyped-def]
    """Measure ``count`` rows from ``row`` on; pointers to numbers or lanes, ``notes`` of the power flow."""
    for lane in range(count):
        results.ended[row + lane, STATUS] = int(notes[lane, 0])
        results.ended[row + lane, ITERATIONS] = int(notes[lane, 1])
        results.measured[row + lane, V_UPDATE] = notes[lane, 2]
    _voltages(row, count, v, spare, columns, limits, results)
    _ports(row, count, v, spare, columns, results)
    _branches(row, count, v, i_from, i_to, spare, columns, limits, results)
    _unbalance(row, count, v, spare, columns, limits, results)
    _slack(row, count, v, source_current, spare, columns, limits, results)
