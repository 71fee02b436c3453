"""What an environment reads off every row of a batch: clocks, ends, a mean, the observation.

One compiled call each: for a single row, NumPy's price per operation would exceed that of the power flow.
"""

from __future__ import annotations

import numpy as np

from ._jit import lean_kernel
from .kernels import COLLAPSED, DIVERGED

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


@lean_kernel
def mean_square_rows(values, reference, out):  # type: ignore[no-untyped-def]
    """``out[row]``: mean of ``(values[row] - reference)^2`` over entries that are not NaN; NaN if none."""
    for row in range(out.size):
        total, count = 0.0, 0
        for i in range(values.shape[1]):
            away = values[row, i] - reference
            if not np.isnan(away):
                total += away * away
                count += 1
        out[row] = total / count


@lean_kernel
def observe_rows(  # type: ignore[no-untyped-def]
    parts, t_index, clock, price, v, v_pu, load_p, load_q, s_from, i_ka, loading, vuf_pct, slack, loss,
    fleet, low, high, out,
):  # fmt: skip
    """Write the blocks of the grid, then what the fleet observes, and clip the whole row to the box.

    ``parts`` (blocks, 3): code of the block, first column, entries; ``fleet`` (batch, the last columns);
    ``low, high`` (n_obs,) and ``out`` (batch, n_obs) float32. Rounding to float32 and the last iterate of a
    failed power flow may lie outside the box; NaN (a dead node) becomes 0.
    """
    for row in range(out.shape[0]):
        now = t_index[row] % clock.shape[0]
        for k in range(parts.shape[0]):
            block, start, size = parts[k, 0], parts[k, 1], parts[k, 2]
            for i in range(size):
                if block == _CLOCK:
                    x = float(clock[now, i])
                elif block == _V_PU:
                    x = v_pu[row, i]
                elif block == _V_DEG:
                    x = np.arctan2(v[row, i].imag, v[row, i].real) * (180.0 / np.pi)
                elif block == _LOAD_P:
                    x = load_p[row, i]
                elif block == _LOAD_Q:
                    x = load_q[row, i]
                elif block == _P_FROM:
                    x = s_from[row, i].real
                elif block == _Q_FROM:
                    x = s_from[row, i].imag
                elif block == _I_KA:
                    x = i_ka[row, i]
                elif block == _LOADING:
                    x = loading[row, i]
                elif block == _VUF:
                    x = vuf_pct[row, i]
                elif block == _P_SLACK:
                    x = slack[row].real
                elif block == _Q_SLACK:
                    x = slack[row].imag
                elif block == _P_LOSS:
                    x = loss[row].real
                else:
                    x = price[now]
                out[row, start + i] = x
        start = out.shape[1] - fleet.shape[1]
        for i in range(fleet.shape[1]):
            out[row, start + i] = fleet[row, i]
        for i in range(out.shape[1]):
            shown = out[row, i]
            if np.isnan(shown):
                shown = np.float32(0.0)
            out[row, i] = min(max(shown, low[i]), high[i])
