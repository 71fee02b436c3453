"""What an environment reads off every row of a batch: clocks, ends, a mean, infos.

One compiled call each: for a single row, NumPy's price per operation would exceed that of the power flow.
"""

from __future__ import annotations

from ...physics.flags import COLLAPSED, CONVERGED, DIVERGED
from ...physics.measured import (
    ITERATIONS,
    N_OVERLOAD,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_LOSS,
    Q_SLACK,
    STATUS,
    VOLTAGE_VIOLATION,
)
from ...physics.numba_tools.jit import inline, lean_kernel

#: What `write_info_rows` writes, in its order, by the keys of the info dictionaries.
INFO_NUMBERS = (
    "p_slack_MW", "q_slack_MVAr", "p_loss_MW", "q_loss_MVAr", "vuf_pct", "cost_voltage_violation",
    "cost_thermal_overload", "cost_vuf_violation",
)  # fmt: skip
INFO_COUNTS = (
    "pf_iterations", "n_voltage_violations", "n_thermal_overloads", "n_vuf_violations", "day", "step",
    "t_index",
)  # fmt: skip
INFO_FLAGS = ("pf_converged", "is_diverged", "voltage_collapse")


@lean_kernel
def tick_rows(  # type: ignore[no-untyped-def]
    status, episode_steps, ring, step_index, t_index, now, terminated, truncated
):
    """Set every row's clocks on by one and tell how its step ended; returns whether any row failed.

    ``now`` is the row of the load's time axis: the year, or the user's own days, read as a ring.
    """
    any_failed = False
    for row in range(status.size):
        failed = (status[row] & (DIVERGED | COLLAPSED)) != 0
        any_failed |= failed
        step_index[row] += 1
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


@lean_kernel
def write_info_rows(  # type: ignore[no-untyped-def]
    lo, ended, measured, v_pu, loading, day, step_index, t_index, delivered_p, delivered_q,
    numbers, counts, flags, voltages, branch_loading, p_mw, q_mvar,
):  # fmt: skip
    """Copy what infos tell of a batch to rows ``lo`` and following of the arrays that are handed out.

    ``numbers`` (8, rows), ``counts`` (7, rows) and ``flags`` (3, rows) hold one quantity a line, so that each
    is contiguous: see `INFO_NUMBERS`, `INFO_COUNTS`, `INFO_FLAGS`.
    """
    for row in range(ended.shape[0]):
        at, status = lo + row, ended[row, STATUS]
        numbers[0, at] = measured[row, P_SLACK]
        numbers[1, at] = measured[row, Q_SLACK]
        numbers[2, at] = measured[row, P_LOSS]
        numbers[3, at] = measured[row, Q_LOSS]
        numbers[4, at] = 0.0
        numbers[5, at] = measured[row, VOLTAGE_VIOLATION]
        numbers[6, at] = measured[row, OVERLOAD]
        numbers[7, at] = 0.0
        counts[0, at] = ended[row, ITERATIONS]
        counts[1, at] = ended[row, N_VOLTAGE]
        counts[2, at] = ended[row, N_OVERLOAD]
        counts[3, at] = 0
        counts[4, at] = day[row]
        counts[5, at] = step_index[row]
        counts[6, at] = t_index[row]
        flags[0, at] = status & (CONVERGED | COLLAPSED) == CONVERGED
        flags[1, at] = status & DIVERGED != 0
        flags[2, at] = status & COLLAPSED != 0
        for n in range(v_pu.shape[1]):
            voltages[at, n] = v_pu[row, n]
        for e in range(loading.shape[1]):
            branch_loading[at, e] = loading[row, e]
        for u in range(delivered_p.shape[1]):
            p_mw[at, u] = delivered_p[row, u]
            q_mvar[at, u] = delivered_q[row, u]
