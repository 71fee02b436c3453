"""What an environment asks of a solved state, in one pass per row: magnitudes, losses, violations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._jit import inline, lean_kernel
from .ends import Ends, branch_flow
from .kernels import Answer, Demand, State, solve_rows
from .plan import Plan

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Columns of ``ended`` and of ``measured``.
STATUS, ITERATIONS, N_VOLTAGE, N_OVERLOAD = 0, 1, 2, 3
N_ENDED = 4
V_UPDATE, P_LOSS, Q_LOSS, P_SLACK, Q_SLACK, VOLTAGE_VIOLATION, OVERLOAD = 0, 1, 2, 3, 4, 5, 6
N_MEASURED = 7


class Limits(NamedTuple):
    """What the state is judged by; NaN: no limit."""

    band: FloatArray  # (n_bus, 2): lowest and highest voltage in pu
    branch: FloatArray  # (n_branch, 3): rating in MVA, sqrt(3) kV of the from and of the to end


class Flows(NamedTuple):
    """What a step leaves behind beside the Answer of the power flow, batch first."""

    s_from: ComplexArray  # (batch, n_branch) MVA
    s_to: ComplexArray
    v_pu: FloatArray  # (batch, n_bus)
    i_ka: FloatArray  # (batch, n_branch) larger end
    loading: FloatArray


@lean_kernel
def step_rows(  # type: ignore[no-untyped-def]
    link, at_node, at_branch, z, side, zip_pos, zip_coef, ratios, shunts, rows, pi, lo, hi,
    load_p_mw, load_q_mvar, inject_p_mw, inject_q_mvar,
    v_source, v_start, base_mva, tol, max_iter, v_collapse,
    draw, nominal, volt, flow, track, seen, pivot, work, v, current, s_source_mva, ended, measured,
    band, branch, s_from, s_to, v_pu, i_ka, loading,
):  # fmt: skip
    """Solve rows [lo, hi) and measure them: one call, so that a single row costs little beside its physics.

    Takes the fields of Plan, Ends, Demand, State, Answer, Limits and Flows one by one.
    """
    answer = Answer(v, current, s_source_mva, ended, measured)
    solve_rows(
        Plan(link, at_node, at_branch, z, side, zip_pos, zip_coef, ratios, shunts), lo, hi,
        Demand(load_p_mw, load_q_mvar, inject_p_mw, inject_q_mvar), v_source, v_start,
        1.0 / base_mva, tol, max_iter, v_collapse,
        State(draw, nominal, volt, flow, track, seen, pivot, work), answer,
    )  # fmt: skip
    limits, flows = Limits(band, branch), Flows(s_from, s_to, v_pu, i_ka, loading)
    for row in range(lo, hi):
        _measure_voltages(row, answer, limits, flows)
        _measure_branches(row, Ends(rows, pi), base_mva, answer, limits, flows)
        total = 0.0 + 0.0j
        for s in range(s_source_mva.shape[1]):
            total += s_source_mva[row, s]
        measured[row, P_SLACK] = total.real
        measured[row, Q_SLACK] = total.imag


@inline
def _measure_voltages(row, answer, limits, flows):  # type: ignore[no-untyped-def]
    """Magnitudes, the sum of pu outside the band and the number of nodes outside.

    Dead nodes (NaN) count for nothing; limits that are NaN are no limits.
    """
    total, count = 0.0, 0
    for n in range(answer.v.shape[1]):
        x = answer.v[row, n]
        magnitude = np.sqrt(x.real * x.real + x.imag * x.imag)
        flows.v_pu[row, n] = magnitude
        outside = 0.0
        if magnitude > limits.band[n, 1]:
            outside = magnitude - limits.band[n, 1]
        elif magnitude < limits.band[n, 0]:
            outside = limits.band[n, 0] - magnitude
        if outside > 0.0:
            total += outside
            count += 1
    answer.measured[row, VOLTAGE_VIOLATION] = total
    answer.ended[row, N_VOLTAGE] = count


@inline
def _measure_branches(row, ends, base_mva, answer, limits, flows):  # type: ignore[no-untyped-def]
    """Per branch: flows, the larger end's current and loading; of all: loss, MVA above rating and count.

    A branch without a rating (NaN) has NaN loading and is never overloaded.
    """
    p_loss, q_loss, above, count = 0.0, 0.0, 0.0, 0
    for e in range(limits.branch.shape[0]):
        rating = limits.branch[e, 0]
        if not ends.rows[e, 3]:
            flows.s_from[row, e] = 0.0
            flows.s_to[row, e] = 0.0
            flows.i_ka[row, e] = 0.0
            flows.loading[row, e] = 0.0 / rating
            continue
        f, t = ends.rows[e, 0], ends.rows[e, 1]
        a, b = branch_flow(ends, e, base_mva, answer.v[row, f], answer.v[row, t], answer.current[row, e])
        flows.s_from[row, e] = a
        flows.s_to[row, e] = b
        p_loss += a.real + b.real
        q_loss += a.imag + b.imag
        s_a = np.sqrt(a.real * a.real + a.imag * a.imag)
        s_b = np.sqrt(b.real * b.real + b.imag * b.imag)
        flows.i_ka[row, e] = max(
            s_a / (flows.v_pu[row, f] * limits.branch[e, 1]), s_b / (flows.v_pu[row, t] * limits.branch[e, 2])
        )
        s = max(s_a, s_b)
        flows.loading[row, e] = s / rating
        if s > rating:
            above += s - rating
            count += 1
    answer.measured[row, P_LOSS] = p_loss
    answer.measured[row, Q_LOSS] = q_loss
    answer.measured[row, OVERLOAD] = above
    answer.ended[row, N_OVERLOAD] = count
