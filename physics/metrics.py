"""What an environment asks of a solved state, in one pass per row: magnitudes, losses, violations."""

from __future__ import annotations

import numpy as np

from ._jit import kernel


@kernel
def voltage_rows(lo, hi, v, v_min, v_max, v_pu, violation_pu, n_violation):  # type: ignore[no-untyped-def]
    """Magnitudes, the sum of pu outside [v_min, v_max] and the number of nodes outside, rows [lo, hi).

    Dead nodes (NaN) count for nothing; limits that are NaN are no limits.
    """
    for row in range(lo, hi):
        total, count = 0.0, 0
        for n in range(v.shape[1]):
            x = v[row, n]
            magnitude = np.sqrt(x.real * x.real + x.imag * x.imag)
            v_pu[row, n] = magnitude
            outside = 0.0
            if magnitude > v_max[n]:
                outside = magnitude - v_max[n]
            elif magnitude < v_min[n]:
                outside = v_min[n] - magnitude
            if outside > 0.0:
                total += outside
                count += 1
        violation_pu[row] = total
        n_violation[row] = count


@kernel
def branch_rows(  # type: ignore[no-untyped-def]
    lo,
    hi,
    from_row,
    to_row,
    base_kv,
    rating,
    v_pu,
    s_from,
    s_to,
    i_ka,
    loading,
    loss,
    overload_mva,
    n_overload,
):
    """Per branch: larger end's current and loading; per row: loss (complex MVA), MVA above rating and count.

    A branch without a rating (NaN) has NaN loading and is never overloaded.
    """
    for row in range(lo, hi):
        total = 0.0 + 0.0j
        above, count = 0.0, 0
        for e in range(rating.size):
            a, b = s_from[row, e], s_to[row, e]
            total += a + b
            s_a = np.sqrt(a.real * a.real + a.imag * a.imag)
            s_b = np.sqrt(b.real * b.real + b.imag * b.imag)
            current = 0.0
            if s_a > 0.0:
                current = s_a / (v_pu[row, from_row[e]] * base_kv[from_row[e]])
            if s_b > 0.0:
                current = max(current, s_b / (v_pu[row, to_row[e]] * base_kv[to_row[e]]))
            i_ka[row, e] = current / np.sqrt(3.0)
            s = max(s_a, s_b)
            loading[row, e] = s / rating[e]
            if s > rating[e]:
                above += s - rating[e]
                count += 1
        loss[row] = total
        overload_mva[row] = above
        n_overload[row] = count
