"""Between the dense arrays of the three-phase power flow and the compact ones that an environment handles.

Compact arrays have one column for each phase that exists; *slots* are columns of the dense arrays:
3 * row + phase.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, lean_kernel
from .kernels import COLLAPSED, CONVERGED, DIVERGED


@inline
def _size(z):  # type: ignore[no-untyped-def]
    return np.sqrt(z.real * z.real + z.imag * z.imag)


@lean_kernel
def place_rows(  # type: ignore[no-untyped-def]
    lo, hi, column, slot, share, p, q, wye_p, wye_q, leg_p, leg_q
):
    """Power of compact columns into slots: those from ``wye_p.shape[1]`` on are legs.

    ``column, slot, share`` (entries,); a slot is emptied by the first entry that names it, then all add up.
    """
    n = wye_p.shape[1]
    for row in range(lo, hi):
        for k in range(slot.size):
            if slot[k] < n:
                wye_p[row, slot[k]] = 0.0
                wye_q[row, slot[k]] = 0.0
            else:
                leg_p[row, slot[k] - n] = 0.0
                leg_q[row, slot[k] - n] = 0.0
        for k in range(slot.size):
            x, y = share[k] * p[row, column[k]], share[k] * q[row, column[k]]
            if slot[k] < n:
                wye_p[row, slot[k]] += x
                wye_q[row, slot[k]] += y
            else:
                leg_p[row, slot[k] - n] += x
                leg_q[row, slot[k] - n] += y


@lean_kernel
def judge_rows(  # type: ignore[no-untyped-def]
    lo, hi, dense, first, second, low, top, status
):
    """Flag rows with a voltage beyond what is operable: below ``low`` collapsed, above ``top`` diverged.

    ``first, second`` as in `read_nodes`.
    """
    for row in range(lo, hi):
        for k in range(first.size):
            z = dense[row, first[k]]
            if second[k] >= 0:
                z = (z - dense[row, second[k]]) * (1.0 / np.sqrt(3.0))
            size = _size(z)
            if size < low:
                status[row] |= COLLAPSED
            elif size > top:
                status[row] = (status[row] | DIVERGED) & ~CONVERGED


@lean_kernel
def read_nodes(  # type: ignore[no-untyped-def]
    lo, hi, dense, first, second, v_min, v_max, v, v_pu, violation, n_violations
):
    """Voltage across what each column stands for, and the sum outside the limits.

    ``second`` is -1 for a phase to ground; for a leg it is the other phase, and 1 pu is sqrt 3 of the base.
    """
    for row in range(lo, hi):
        total, count = 0.0, 0
        for k in range(first.size):
            z = dense[row, first[k]]
            if second[k] >= 0:
                z = (z - dense[row, second[k]]) * (1.0 / np.sqrt(3.0))
            size = _size(z)
            v[row, k], v_pu[row, k] = z, size
            high, low = size - v_max[k], v_min[k] - size
            if high > 0.0:
                total += high
                count += 1
            elif low > 0.0:
                total += low
                count += 1
        violation[row], n_violations[row] = total, count


@lean_kernel
def read_ports(lo, hi, dense, port, first, second, share, out):  # type: ignore[no-untyped-def]
    """Mean voltage magnitude across the terminals of each port, pu."""
    for row in range(lo, hi):
        for k in range(out.shape[1]):
            out[row, k] = 0.0
        for k in range(port.size):
            z = dense[row, first[k]]
            if second[k] >= 0:
                z = (z - dense[row, second[k]]) * (1.0 / np.sqrt(3.0))
            out[row, port[k]] += share[k] * _size(z)


@lean_kernel
def read_branches(  # type: ignore[no-untyped-def]
    lo, hi, slot, s_from_dense, s_to_dense, i_dense, loading_dense, s_from, s_to, i_ka, loading
):
    """Flows, currents and loading of the phases that branches have."""
    for row in range(lo, hi):
        for k in range(slot.size):
            s_from[row, k] = s_from_dense[row, slot[k]]
            s_to[row, k] = s_to_dense[row, slot[k]]
            i_ka[row, k] = i_dense[row, slot[k]]
            loading[row, k] = loading_dense[row, slot[k]]


@lean_kernel
def read_unbalance(lo, hi, dense, node, limit_pct, out, violation, n_violations):  # type: ignore[no-untyped-def]
    """Unbalance of the nodes with three phases, %, and the sum above the limit, where 100 % is the most."""
    for row in range(lo, hi):
        total, count = 0.0, 0
        for k in range(node.size):
            value = dense[row, node[k]]
            out[row, k] = value
            if value > limit_pct:
                total += min(value, 100.0) - limit_pct
                count += 1
        violation[row], n_violations[row] = total, count
