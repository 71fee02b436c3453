"""What an environment reads off every row of a batch: clocks, ends, a mean, the observation.

One compiled call each: for a single row, NumPy's price per operation would exceed that of the power flow.
"""

from __future__ import annotations

import numpy as np

from ...physics.flags import COLLAPSED, DIVERGED
from ...physics.numba_tools.jit import inline, lean_kernel
from ...physics.row_results import STATUS

_CLOCK, _V_PU, _V_DEG, _LOAD_P, _LOAD_Q, _P_FROM, _Q_FROM = range(7)
_I_KA, _LOADING, _P_SLACK, _Q_SLACK, _P_LOSS, _PRICE, _VUF = range(7, 14)

#: Blocks of an observation that `observe_rows` knows, with the codes it knows them by.
BLOCKS = {
    "clock": _CLOCK, "v_pu": _V_PU, "v_deg": _V_DEG, "load_p_mw": _LOAD_P, "load_q_mvar": _LOAD_Q,
    "p_from_mw": _P_FROM, "q_from_mvar": _Q_FROM, "i_ka": _I_KA, "loading": _LOADING,
    "p_slack_mw": _P_SLACK, "q_slack_mvar": _Q_SLACK, "p_loss_mw": _P_LOSS, "price_usd_mwh": _PRICE,
    "vuf_pct": _VUF,
}  # fmt: skip


@lean_kernel
def tick_rows(  # type: ignore[no-untyped-def]
    status, episode_steps, ring, steps_per_day, step_index, t_index, day, now, terminated, truncated
):
    """Set every row's clocks on by one and tell how its step ended; returns whether any row failed.

    ``day`` is that of the interval that is over; ``now`` the row of the time axis that is decided next: the
    year, or the user's own days, read as a ring.
    """
    any_failed = False
    for row in range(status.size):
        failed = (status[row] & (DIVERGED | COLLAPSED)) != 0
        any_failed |= failed
        step_index[row] += 1
        day[row] = t_index[row] // steps_per_day
        t_index[row] += 1
        now[row] = t_index[row] % ring
        terminated[row] = failed
        truncated[row] = step_index[row] >= episode_steps and not failed
    return any_failed


@inline
def _add_square(away, total, count):  # type: ignore[no-untyped-def]
    known = away == away  # not NaN; no branch
    return total + (away * away if known else 0.0), count + known


@lean_kernel
def mean_square_rows(values, reference, out):  # type: ignore[no-untyped-def]
    """``out[row]``: mean of ``(values[row] - reference)^2`` over entries that are not NaN; NaN if none."""
    whole = values.shape[1] // 4 * 4
    for row in range(out.size):
        here = values[row]
        a, b, c, d, count = 0.0, 0.0, 0.0, 0.0, 0  # four sums at a time: each waits for itself only
        for i in range(0, whole, 4):
            a, count = _add_square(here[i] - reference, a, count)
            b, count = _add_square(here[i + 1] - reference, b, count)
            c, count = _add_square(here[i + 2] - reference, c, count)
            d, count = _add_square(here[i + 3] - reference, d, count)
        for i in range(whole, here.size):
            a, count = _add_square(here[i] - reference, a, count)
        out[row] = ((a + b) + (c + d)) / count


@inline
def _copy_reals(values, out):  # type: ignore[no-untyped-def]
    """Both begin at 0: with an offset in the index the compiler would not use vectors."""
    for i in range(values.size):
        out[i] = values[i]


@inline
def _copy_flows(values, reactive, out):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        out[i] = values[i].imag if reactive else values[i].real


@inline
def _copy_angles(v, out):  # type: ignore[no-untyped-def]
    for i in range(v.size):
        out[i] = np.arctan2(v[i].imag, v[i].real) * (180.0 / np.pi)


@inline
def _clip(out, low, high):  # type: ignore[no-untyped-def]
    """Into the box; 0 for NaN (a dead node)."""
    for i in range(out.size):
        value = out[i]
        if np.isnan(value):
            value = np.float32(0.0)
        out[i] = min(max(value, low[i]), high[i])


@lean_kernel
def observe_rows(  # type: ignore[no-untyped-def]
    parts, t_index, clock, price, v, v_pu, load_p, load_q, s_from, i_ka, loading, vuf_pct, slack, loss,
    fleet, low, high, out,
):  # fmt: skip
    """Write the blocks of the grid, then what the fleet observes, and clip the whole row to the box.

    ``parts`` (blocks, 2): code of the block, first column; ``fleet`` (batch, the last columns);
    ``low, high`` (n_obs,) and ``out`` (batch, n_obs) float32. Rounding to float32 and the last iterate of a
    failed power flow may lie outside the box.
    """
    for row in range(out.shape[0]):
        now = t_index[row] % clock.shape[0]
        for k in range(parts.shape[0]):
            block, room = parts[k, 0], out[row, parts[k, 1] :]
            if block == _CLOCK:
                _copy_reals(clock[now], room)
            elif block == _V_PU:
                _copy_reals(v_pu[row], room)
            elif block == _V_DEG:
                _copy_angles(v[row], room)
            elif block == _LOAD_P:
                _copy_reals(load_p[row], room)
            elif block == _LOAD_Q:
                _copy_reals(load_q[row], room)
            elif block in (_P_FROM, _Q_FROM):
                _copy_flows(s_from[row], block == _Q_FROM, room)
            elif block == _I_KA:
                _copy_reals(i_ka[row], room)
            elif block == _LOADING:
                _copy_reals(loading[row], room)
            elif block == _VUF:
                _copy_reals(vuf_pct[row], room)
            elif block == _P_SLACK:
                room[0] = slack[row].real
            elif block == _Q_SLACK:
                room[0] = slack[row].imag
            elif block == _P_LOSS:
                room[0] = loss[row].real
            else:
                room[0] = price[now]
        _copy_reals(fleet[row], out[row, out.shape[1] - fleet.shape[1] :])
        _clip(out[row], low, high)


@inline
def _to_places(column, values, out):  # type: ignore[no-untyped-def]
    """Columns to the places that they stand for, NaN where ``column`` is -1; as they are without any."""
    if column.size == 0:
        for k in range(out.size):
            out[k] = values[k]
    for k in range(column.size):
        out[k] = values[column[k]] if column[k] >= 0 else np.nan


@lean_kernel
def write_info_rows(  # type: ignore[no-untyped-def]
    lo, ended, measured, v_pu, loading, vuf_pct, number_columns, count_columns, flag_bits,
    node, branch, three, day, step_index, t_index, delivered_p, delivered_q,
    numbers, counts, flags, voltages, branch_loading, unbalance, p_mw, q_mvar,
):  # fmt: skip
    """Copy what infos tell of a batch to rows ``lo`` and following of the arrays that are handed out.

    ``numbers``, ``counts`` and ``flags`` (keys, rows) hold one quantity a line, so that each is contiguous:
    the columns of ``measured`` and of ``ended`` that ``number_columns`` and ``count_columns`` name, and
    whether the bits ``flag_bits[k, 0]`` of the status are ``flag_bits[k, 1]``; the clocks follow the
    counts. ``node``, ``branch``, ``three``: the column of each place of ``voltages``, ``branch_loading`` and
    ``unbalance``; see `solved_grid.ColumnMap`.
    """
    for row in range(ended.shape[0]):
        at, status = lo + row, ended[row, STATUS]
        for k in range(number_columns.size):
            numbers[k, at] = measured[row, number_columns[k]]
        for k in range(count_columns.size):
            counts[k, at] = ended[row, count_columns[k]]
        for k, clock in enumerate((day, step_index, t_index)):
            counts[count_columns.size + k, at] = clock[row]
        for k in range(flag_bits.shape[0]):
            flags[k, at] = status & flag_bits[k, 0] == flag_bits[k, 1]
        _to_places(node, v_pu[row], voltages[at])
        _to_places(branch, loading[row], branch_loading[at])
        _to_places(three, vuf_pct[row], unbalance[at])
        for u in range(delivered_p.shape[1]):
            p_mw[at, u] = delivered_p[row, u]
            q_mvar[at, u] = delivered_q[row, u]
