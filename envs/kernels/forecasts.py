"""Forecasts of what many places have together, whose errors grow with lead time as `core.forecasts` says."""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import lean_kernel
from .chance import normal_number


@lean_kernel
def forecast_totals(  # type: ignore[no-untyped-def]
    keys, t_index, known, ring, table, column, scale, limit, stream, shared_column, shared, step_std, kept,
    error, out,
):  # fmt: skip
    """Fill ``out`` (rows, horizon) with ``sum of min(table[t, column] * (1 + error) * scale, limit)``.

    ``keys``, ``t_index`` (rows,): of the episode, and the interval that is decided. ``known``: whether that
    has no error. ``ring``: whether the first interval of ``table`` (n_steps, columns) follows its last.
    ``column``, ``scale``, ``limit`` (places,): what each place takes of the table. An error is the last one
    times ``kept`` and a shock of the standard deviation ``step_std``, of whose variance ``shared`` is common
    to all; ``error`` (places,) is room for them.
    """
    n_steps = table.shape[0]
    own, common = np.sqrt(1.0 - shared), np.sqrt(shared)
    for row in range(out.shape[0]):
        error[:] = 0.0
        for lead in range(out.shape[1]):
            t = t_index[row] + lead
            t = t % n_steps if ring else min(t, n_steps - 1)
            if step_std > 0.0 and (lead > 0 or not known):
                shock = 0.0
                if common > 0.0:
                    shock = common * normal_number(keys[row], t, stream, shared_column)
                for k in range(error.size):
                    here = shock
                    if own > 0.0:
                        here += own * normal_number(keys[row], t, stream, column[k])
                    error[k] = kept * error[k] + here * step_std
            total = 0.0
            for k in range(error.size):
                factor = 1.0 + min(max(error[k], -1.0), 1.0)
                total += min(table[t, column[k]] * factor * scale[k], limit[k])
            out[row, lead] = total
