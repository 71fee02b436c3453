"""Newton's method on a tree with cut loops, one row at a time, in complex numbers.

A step eliminates the tree from the leaves (as newton_tree.py does) with two more right-hand sides per loop,
for the real and the imaginary part of its current; what is left is a small dense system that closes the cuts.

A node's current is a function of V and its conjugate, so every derivative is a pair (A, B) that stands for
``A dV + B conj(dV)``.
"""

from __future__ import annotations

import numpy as np

from ...load_models import load_power, load_power_slope
from ...numba_tools.jit import inline
from .power_sweeps import V_FLOOR_PU


@inline
def _node_current(tree, zip_at, power, zip_power, k, v):  # type: ignore[no-untyped-def]
    """Current drawn at position k at voltage v, and its derivative (A, B)."""
    size = max(abs(v), V_FLOOR_PU)
    s = power[k]
    slope = 0j  # dS / d|V|
    j = zip_at[k]
    if j >= 0:
        c = tree.zip_coef[j]
        p, q = zip_power[j].real, zip_power[j].imag
        s += load_power(p, c[0], c[1], c[4], size) + 1j * load_power(q, c[2], c[3], c[5], size)
        slope += load_power_slope(p, c[0], c[1], c[4], size) + 1j * load_power_slope(
            q, c[2], c[3], c[5], size
        )
    y = complex(tree.y_re[k], tree.y_im[k])
    per_v = np.conj(s) / (size * size)
    turn = v / size
    current = per_v * v + y * v
    bend = np.conj(slope) / (2.0 * size)
    return current, y + bend, (bend - per_v) * turn * turn


@inline
def gather(tree, loops, zip_at, power, zip_power, v, loop_current, current, slope):  # type: ignore[no-untyped-def]
    """Branch currents of exactly these voltages and loop currents; the largest |I| of a node."""
    largest = 0.0
    for k in range(v.size):
        current[k], slope[k, 0], slope[k, 1] = _node_current(tree, zip_at, power, zip_power, k, v[k])
        largest = max(largest, abs(current[k]))
    for i in range(loops.start.size):
        current[loops.start[i]] += np.conj(loops.a[i]) * loop_current[i]
        current[loops.end[i]] -= loop_current[i]
    for k in range(v.size - 1, -1, -1):
        up = tree.parent[k]
        if up >= 0:
            current[up] += complex(tree.a_re[k], -tree.a_im[k]) * current[k]
    return largest


@inline
def cut_voltage(loops, i, v, loop_current):  # type: ignore[no-untyped-def]
    """What is left of the voltage across cut i."""
    return loops.a[i] * v[loops.start[i]] - loops.z[i] * loop_current[i] - v[loops.end[i]]


@inline
def kirchhoff(tree, loops, v, loop_current, current):  # type: ignore[no-untyped-def]
    """Largest voltage that is missing around a branch or a loop."""
    worst = 0.0
    for k in range(v.size):
        up = tree.parent[k]
        if up >= 0:
            a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
            worst = max(worst, abs(v[k] - a * v[up] + z * current[k]))
    for i in range(loops.start.size):
        worst = max(worst, abs(cut_voltage(loops, i, v, loop_current)))
    return worst


@inline
def gaps(tree, v, current, inverse):  # type: ignore[no-untyped-def]
    """What of a voltage is missing at each position, where `eliminate` reads it."""
    for k in range(v.size):
        up = tree.parent[k]
        inverse[k, 0] = 0j
        if up >= 0:
            a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
            inverse[k, 0] = v[k] - a * v[up] + z * current[k]


@inline
def loop_columns(loops, column):  # type: ignore[no-untyped-def]
    """What 1 and 1j of each loop current draw at the ends of their cuts."""
    for i in range(loops.start.size):
        for part in range(2):
            unit = 1j if part else 1.0 + 0j
            column[loops.start[i], 1 + 2 * i + part] += np.conj(loops.a[i]) * unit
            column[loops.end[i], 1 + 2 * i + part] -= unit


@inline
def eliminate(tree, slope, inverse, column):  # type: ignore[no-untyped-def]
    """Tree part of Newton's step; returns -1 where an odd number of pivots is negative, else 1.

    ``column`` (position, 1 + unknowns): currents that are drawn, which become the answers of each voltage,
    those of column 0 to the gaps in ``inverse[:, 0]``, too. A source's voltage falls by its gap.
    """
    sign = 1.0
    for k in range(tree.parent.size - 1, -1, -1):
        up = tree.parent[k]
        if up < 0:
            continue
        a, z = complex(tree.a_re[k], tree.a_im[k]), complex(tree.z_re[k], tree.z_im[k])
        alpha, beta = slope[k, 0], slope[k, 1]
        p, q = 1.0 + z * alpha, z * beta
        pivot = p.real * p.real + p.imag * p.imag - q.real * q.real - q.imag * q.imag
        if pivot < 0.0:
            sign = -sign
        gap = inverse[k, 0]
        k_p, k_q = np.conj(p) / pivot, -q / pivot
        inverse[k, 0], inverse[k, 1] = k_p, k_q
        b_p, b_q = alpha * k_p + beta * np.conj(k_q), alpha * k_q + beta * np.conj(k_p)
        for c in range(column.shape[1]):
            node_current = column[k, c]
            w = z * node_current
            if c == 0:
                w += gap
            column[k, c] = w
            column[up, c] += np.conj(a) * (node_current - b_p * w - b_q * np.conj(w))
        slope[up, 0] += (a.real * a.real + a.imag * a.imag) * b_p
        slope[up, 1] += np.conj(a) * np.conj(a) * b_q
    for k in range(tree.parent.size):
        up = tree.parent[k]
        for c in range(column.shape[1]):
            if up < 0:
                column[k, c] = 0j if c > 0 else 0j - inverse[k, 0]
                continue
            d = complex(tree.a_re[k], tree.a_im[k]) * column[up, c] - column[k, c]
            column[k, c] = inverse[k, 0] * d + inverse[k, 1] * np.conj(d)
    return sign


@inline
def _solve_dense(matrix, x):  # type: ignore[no-untyped-def]
    """Gauss with row pivoting, in place: ``x`` becomes the solution. Returns the determinant's sign."""
    n = x.size
    sign = 1.0
    for i in range(n):
        best = i
        for r in range(i + 1, n):
            if abs(matrix[r, i]) > abs(matrix[best, i]):
                best = r
        if best != i:
            sign = -sign
            for c in range(i, n):
                matrix[i, c], matrix[best, c] = matrix[best, c], matrix[i, c]
            x[i], x[best] = x[best], x[i]
        if matrix[i, i] < 0.0:
            sign = -sign
        for r in range(i + 1, n):
            factor = matrix[r, i] / matrix[i, i]
            for c in range(i + 1, n):
                matrix[r, c] -= factor * matrix[i, c]
            x[r] -= factor * x[i]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            x[i] -= matrix[i, c] * x[c]
        x[i] /= matrix[i, i]
    return sign


@inline
def newton_step(tree, loops, v, loop_current, current, slope, inverse, column, matrix, x):  # type: ignore[no-untyped-def]
    """Steps of voltages into ``column[:, 0]``, of loop currents into ``x``; the determinant's sign."""
    column[:, :] = 0.0
    sign = _answers(tree, loops, v, loop_current, current, slope, inverse, column, matrix, x)
    return sign * close(column, matrix, x)


@inline
def held_step(  # type: ignore[no-untyped-def]
    tree, loops, held, mode, aim, v, loop_current, current, slope, inverse, column, matrix, x
):
    """As :func:`newton_step`, with steps of the reactive power of held nodes behind those of loop currents.

    A node at a limit (``mode`` not 0) keeps its reactive power; ``aim`` is what the others hold.
    """
    first = 2 * loops.start.size
    column[:, :] = 0.0
    for g in range(held.at.size):
        column[held.at[g], 1 + first + g] = 1j / np.conj(v[held.at[g]])  # of I = conj(S - jq) / conj(V)
    sign = _answers(tree, loops, v, loop_current, current, slope, inverse, column, matrix, x)
    for g in range(held.at.size):
        k, at = held.at[g], first + g
        matrix[at, :] = 0.0
        if mode[g] != 0:
            matrix[at, at], x[at] = 1.0, 0.0
            continue
        size = abs(v[k])
        unit = np.conj(v[k]) / size
        for c in range(x.size):
            matrix[at, c] = (unit * column[k, 1 + c]).real
        x[at] = aim[g] - size - (unit * column[k, 0]).real
    return sign * close(column, matrix, x)


@inline
def _answers(tree, loops, v, loop_current, current, slope, inverse, column, matrix, x):  # type: ignore[no-untyped-def]
    """Of the tree to gaps, loop currents and what ``column`` holds, and the rows that close the cuts."""
    gaps(tree, v, current, inverse)
    loop_columns(loops, column)
    sign = eliminate(tree, slope, inverse, column)
    for i in range(loops.start.size):
        gap = cut_voltage(loops, i, v, loop_current)
        x[2 * i], x[2 * i + 1] = gap.real, gap.imag
    cut_rows(loops, column, matrix, x)
    return sign


@inline
def cut_rows(loops, column, matrix, x):  # type: ignore[no-untyped-def]
    """Rows of the dense system that close the cuts; ``x`` holds their gaps (re, im)."""
    for i in range(loops.start.size):
        for c in range(column.shape[1]):
            d = loops.a[i] * column[loops.start[i], c] - column[loops.end[i], c]
            if c == 0:
                d += complex(x[2 * i], x[2 * i + 1])
                x[2 * i], x[2 * i + 1] = -d.real, -d.imag
                continue
            if c == 2 * i + 1:
                d -= loops.z[i]
            elif c == 2 * i + 2:
                d -= 1j * loops.z[i]
            matrix[2 * i, c - 1], matrix[2 * i + 1, c - 1] = d.real, d.imag


@inline
def close(column, matrix, x):  # type: ignore[no-untyped-def]
    """Solve the dense system and add its answer to the voltages; the sign of its determinant."""
    sign = _solve_dense(matrix, x)
    for k in range(column.shape[0]):
        for c in range(x.size):
            column[k, 0] += x[c] * column[k, 1 + c]
    return sign
