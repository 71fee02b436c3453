"""What an environment reads off every row of a batch: clocks, ends, a mean, the observation.

One compiled call each: for a single row, NumPy's price per operation would exceed that of the power flow.
"""

from __future__ import annotations

import numpy as np

from ...physics.flags import COLLAPSED, DIVERGED
from ...physics.numba_tools.jit import inline, lean_kernel
from ...physics.row_results import STATUS


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


@inline
def mean_square(here, reference):  # type: ignore[no-untyped-def]
    """Mean of ``(here - reference)^2`` over entries that are not NaN; NaN if there is none."""
    whole = here.size // 4 * 4
    a, b, c, d, count = 0.0, 0.0, 0.0, 0.0, 0  # four sums at a time: each waits for itself only
    for i in range(0, whole, 4):
        a, count = _add_square(here[i] - reference, a, count)
        b, count = _add_square(here[i + 1] - reference, b, count)
        c, count = _add_square(here[i + 2] - reference, c, count)
        d, count = _add_square(here[i + 3] - reference, d, count)
    for i in range(whole, here.size):
        a, count = _add_square(here[i] - reference, a, count)
    return ((a + b) + (c + d)) / count


@lean_kernel
def mean_square_rows(values, reference, out):  # type: ignore[no-untyped-def]
    """``out[row]``: mean of ``(values[row] - reference)^2`` over entries that are not NaN; NaN if none."""
    for row in range(out.size):
        out[row] = mean_square(values[row], reference)


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
    lo, ended, measured, clocks, v_pu, loading, vuf_pct, number_columns, count_columns, clock_rows, flag_bits,
    node, branch, three, delivered_p, delivered_q,
    numbers, counts, flags, voltages, branch_loading, unbalance, p_mw, q_mvar,
):  # fmt: skip
    """Copy what infos tell of a batch to rows ``lo`` and following of the arrays that are handed out.

    ``numbers``, ``counts`` and ``flags`` (keys, rows) hold one quantity a line, so that each is contiguous:
    the columns of ``measured`` and of ``ended`` that ``number_columns`` and ``count_columns`` name, after
    these the rows ``clock_rows`` of ``clocks`` (clocks, rows), and whether the bits ``flag_bits[k, 0]`` of
    the status are ``flag_bits[k, 1]``. ``node``, ``branch``, ``three``: the column of each place of
    ``voltages``, ``branch_loading`` and ``unbalance``; see `solved_grid.ColumnMap`.
    """
    for row in range(ended.shape[0]):
        at, status = lo + row, ended[row, STATUS]
        for k in range(number_columns.size):
            numbers[k, at] = measured[row, number_columns[k]]
        for k in range(count_columns.size):
            counts[k, at] = ended[row, count_columns[k]]
        for k in range(clock_rows.size):
            counts[count_columns.size + k, at] = clocks[clock_rows[k], row]
        for k in range(flag_bits.shape[0]):
            flags[k, at] = status & flag_bits[k, 0] == flag_bits[k, 1]
        _to_places(node, v_pu[row], voltages[at])
        _to_places(branch, loading[row], branch_loading[at])
        _to_places(three, vuf_pct[row], unbalance[at])
        for u in range(delivered_p.shape[1]):
            p_mw[at, u] = delivered_p[row, u]
            q_mvar[at, u] = delivered_q[row, u]
