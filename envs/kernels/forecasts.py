"""Forecasts of what many places have together, whose errors grow with lead time as `core.forecasts` says."""

from __future__ import annotations

import numpy as np

from ...physics.numba_tools.jit import inline, lean_kernel
from .chance import normal_number


@inline
def _interval(t_index, n_steps, ring):  # type: ignore[no-untyped-def]
    return t_index % n_steps if ring else min(t_index, n_steps - 1)


@lean_kernel
def remember_shocks(keys, t_index, n_steps, ring, stream, column, of_key, of_t, shocks):  # type: ignore[no-untyped-def]
    """Fill ``shocks`` (rows, horizon): the normal numbers of ``column`` from ``t_index`` (rows,) on.

    What stands there for the same ``of_key`` and another ``of_t`` (rows,) is shifted instead of drawn again;
    both are then ``keys`` and ``t_index``. Numbers do not depend on what stood there.
    """
    horizon = shocks.shape[1]
    for row in range(shocks.shape[0]):
        passed = t_index[row] - of_t[row]
        have = horizon - passed if of_key[row] == keys[row] and 0 <= passed < horizon else 0
        for lead in range(have):
            shocks[row, lead] = shocks[row, lead + passed]
        for lead in range(have, horizon):
            t = _interval(t_index[row] + lead, n_steps, ring)
            shocks[row, lead] = normal_number(keys[row], t, stream, column)
        of_key[row], of_t[row] = keys[row], t_index[row]


@lean_kernel
def forecast_totals(  # type: ignore[no-untyped-def]
    keys, t_index, known, ring, table, column, scale, limit, stream, shared, step_std, kept, shocks, error,
    out,
):  # fmt: skip
    """Fill ``out`` (rows, horizon) with ``sum of min(table[t, column] * (1 + error) * scale, limit)``.

    ``keys``, ``t_index`` (rows,): of the episode, and the interval that is decided. ``known``: whether that
    has no error. ``ring``: whether the first interval of ``table`` (n_steps, columns) follows its last.
    ``column``, ``scale``, ``limit`` (places,): what each place takes of the table. An error is the last one
    times ``kept`` and a shock of the standard deviation ``step_std``, of whose variance ``shared`` is common
    to all, as ``shocks`` (rows, horizon) tell it; ``error`` (places,) is room for them.
    """
    own, common = np.sqrt(1.0 - shared), np.sqrt(shared)
    for row in range(out.shape[0]):
        error[:] = 0.0
        alike = 0.0
        for lead in range(out.shape[1]):
            t = _interval(t_index[row] + lead, table.shape[0], ring)
            now = table[t]
            if lead > 0 or not known:
                shock = common * shocks[row, lead]
                alike = kept * alike + shock * step_std
                if own > 0.0 and step_std > 0.0:
                    for k in range(error.size):
                        here = own * normal_number(keys[row], t, stream, column[k])
                        error[k] = kept * error[k] + (here + shock) * step_std
            total = 0.0
            factor = 1.0 + min(max(alike, -1.0), 1.0)
            for k in range(error.size):
                if own > 0.0:
                    factor = 1.0 + min(max(error[k], -1.0), 1.0)
                total += min(now[np.uint64(column[k])] * factor * scale[k], limit[k])
            out[row, lead] = total
