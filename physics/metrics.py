"""What an environment asks of a solved state, in one pass per row: magnitudes, losses, violations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._jit import inline, kernel
from .kernels import flow_rows, sweep_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ComplexArray = NDArray[np.complex128]


class Branches(NamedTuple):
    """What does not change from step to step, per branch."""

    from_row: IntArray
    to_row: IntArray
    child_is_to: BoolArray
    in_tree: BoolArray
    ratio: ComplexArray
    b_pu: FloatArray
    rating_mva: FloatArray


class Nodes(NamedTuple):
    """The same per node."""

    base_kv: FloatArray
    v_min: FloatArray
    v_max: FloatArray
    dependent: BoolArray  # the load depends on voltage


class Power(NamedTuple):
    """Load and injection of every row, (batch, n_bus) each, and room for their difference."""

    load_p_mw: FloatArray
    load_q_mvar: FloatArray
    inject_p_mw: FloatArray
    inject_q_mvar: FloatArray
    net_p_mw: FloatArray
    net_q_mvar: FloatArray


class State(NamedTuple):
    """What a step leaves behind, batch first."""

    v: ComplexArray
    current: ComplexArray
    i_source: ComplexArray
    status: IntArray
    iterations: IntArray
    v_update_pu: FloatArray
    s_from: ComplexArray
    s_to: ComplexArray
    v_pu: FloatArray
    i_ka: FloatArray
    loading: FloatArray
    loss_mva: ComplexArray
    slack_mva: ComplexArray


class Violations(NamedTuple):
    """Sums beyond the limits and counts, (batch,)."""

    voltage_pu: FloatArray
    n_voltage: IntArray
    overload_mva: FloatArray
    n_overload: IntArray


@kernel
def step_rows(  # type: ignore[no-untyped-def]
    tree,
    lo,
    hi,
    power,
    v_source,
    v_start,
    base_mva,
    tol,
    max_iter,
    v_collapse,
    branches,
    nodes,
    state,
    beyond,
):
    """Solve rows [lo, hi) and measure them: one call, so that a single row costs little beside its physics.

    Constant power is load less injection; where the load depends on voltage only the injection is constant.
    """
    for row in range(lo, hi):
        for n in range(nodes.dependent.size):
            p, q = -power.inject_p_mw[row, n], -power.inject_q_mvar[row, n]
            if not nodes.dependent[n]:
                p += power.load_p_mw[row, n]
                q += power.load_q_mvar[row, n]
            power.net_p_mw[row, n] = p
            power.net_q_mvar[row, n] = q
    sweep_rows(
        tree, lo, hi, power.net_p_mw, power.net_q_mvar, power.load_p_mw, power.load_q_mvar, v_source, v_start,
        1.0 / base_mva, tol, max_iter, v_collapse,
        state.v, state.current, state.i_source, state.status, state.iterations, state.v_update_pu,
    )  # fmt: skip
    flow_rows(
        lo, hi, branches.from_row, branches.to_row, branches.child_is_to, branches.in_tree, branches.ratio,
        branches.b_pu, base_mva, state.v, state.current, state.s_from, state.s_to,
    )  # fmt: skip
    voltage_rows(lo, hi, state.v, nodes.v_min, nodes.v_max, state.v_pu, beyond.voltage_pu, beyond.n_voltage)
    branch_rows(
        lo, hi, branches.from_row, branches.to_row, nodes.base_kv, branches.rating_mva, state.v_pu,
        state.s_from, state.s_to, state.i_ka, state.loading, state.loss_mva, beyond.overload_mva,
        beyond.n_overload,
    )  # fmt: skip
    for row in range(lo, hi):
        total = 0.0 + 0.0j
        for s in range(v_source.shape[1]):
            total += v_source[row, s] * np.conj(state.i_source[row, s])
        state.slack_mva[row] = base_mva * total


@inline
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


@inline
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
