"""Rows of a time series picked for a batch."""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import lean_kernel


@lean_kernel
def series_rows(p_series, q_series, t_index, p_mw, q_mvar):  # type: ignore[no-untyped-def]
    """``p_mw[row] = p_series[t_index[row]]`` and the same for Q; series (T, n), out (batch, n).

    Before its first and after its last interval a series holds the value that it has there.
    """
    last = p_series.shape[0] - 1
    for row in range(t_index.size):
        t = min(max(t_index[row], 0), last)
        for n in range(p_mw.shape[1]):
            p_mw[row, n] = p_series[t, n]
            q_mvar[row, n] = q_series[t, n]


@lean_kernel
def shape_rows(shape_p, shape_q, shape, scale_p, scale_q, node, t_index, p_mw, q_mvar):  # type: ignore[no-untyped-def]
    """Sum per node of ``scale[load] * shapes[t, shape[load]]``.

    ``shape_p, shape_q`` (T, n_shapes); ``shape, scale_p, scale_q, node`` (n_loads,); out (batch, n_nodes).
    """
    for row in range(t_index.size):
        t = t_index[row] % shape_p.shape[0]
        for n in range(p_mw.shape[1]):
            p_mw[row, n] = 0.0
            q_mvar[row, n] = 0.0
        p_now, q_now, p_row, q_row = shape_p[t], shape_q[t], p_mw[row], q_mvar[row]
        for load in range(shape.size):
            k, to = np.uint64(shape[load]), np.uint64(node[load])  # unsigned: no check for negative indices
            p_row[to] += scale_p[load] * p_now[k]
            q_row[to] += scale_q[load] * q_now[k]
