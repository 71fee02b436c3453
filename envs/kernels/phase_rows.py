"""What a per-phase vector environment hands out, from the columns that its grids hold."""

from __future__ import annotations

import numpy as np

from ...physics.flags import COLLAPSED, CONVERGED, DIVERGED
from ...physics.measured import (
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
    VOLTAGE_VIOLATION,
    VUF_VIOLATION,
)
from ...physics.numba_tools.jit import inline, lean_kernel

#: What `write_phase_info_rows` writes, in its order, by the keys of the info dictionaries; counts and
#: flags are those of `rows`.
PHASE_INFO_NUMBERS = (
    "p_slack_MW", "q_slack_MVAr", "p_loss_MW", "q_loss_MVAr", "cost_voltage_violation",
    "cost_thermal_overload", "cost_vuf_violation",
)  # fmt: skip


@inline
def _by_place(column, values, out):  # type: ignore[no-untyped-def]
    """Columns to the places that they stand for; NaN where ``column`` is -1."""
    for k in range(column.size):
        out[k] = values[column[k]] if column[k] >= 0 else np.nan


@lean_kernel
def write_phase_info_rows(  # type: ignore[no-untyped-def]
    lo, ended, measured, v_pu, loading, vuf_pct, node, branch, three, day, step_index, t_index, delivered_p,
    delivered_q, numbers, counts, flags, voltages, branch_loading, unbalance, p_mw, q_mvar,
):  # fmt: skip
    """Copy what infos tell of a batch to rows ``lo`` and following of the arrays that are handed out.

    ``numbers`` (7, rows), ``counts`` (7, rows), ``flags`` (3, rows): see `PHASE_INFO_NUMBERS`,
    `rows.INFO_COUNTS`, `rows.INFO_FLAGS`. ``node`` (3 n_nodes,), ``branch`` (3 n_branches,), ``three``
    (n_nodes,): column of each place, -1 for none.
    """
    for row in range(ended.shape[0]):
        at, status = lo + row, ended[row, STATUS]
        numbers[0, at] = measured[row, P_SLACK]
        numbers[1, at] = measured[row, Q_SLACK]
        numbers[2, at] = measured[row, P_LOSS]
        numbers[3, at] = measured[row, Q_LOSS]
        numbers[4, at] = measured[row, VOLTAGE_VIOLATION]
        numbers[5, at] = measured[row, OVERLOAD]
        numbers[6, at] = measured[row, VUF_VIOLATION]
        counts[0, at] = ended[row, ITERATIONS]
        counts[1, at] = ended[row, N_VOLTAGE]
        counts[2, at] = ended[row, N_OVERLOAD]
        counts[3, at] = ended[row, N_UNBALANCE]
        counts[4, at] = day[row]
        counts[5, at] = step_index[row]
        counts[6, at] = t_index[row]
        flags[0, at] = status & (CONVERGED | COLLAPSED) == CONVERGED
        flags[1, at] = status & DIVERGED != 0
        flags[2, at] = status & COLLAPSED != 0
        _by_place(node, v_pu[row], voltages[at])
        _by_place(branch, loading[row], branch_loading[at])
        _by_place(three, vuf_pct[row], unbalance[at])
        for u in range(delivered_p.shape[1]):
            p_mw[at, u] = delivered_p[row, u]
            q_mvar[at, u] = delivered_q[row, u]
