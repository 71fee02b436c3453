"""What an environment asks of a solved state, in one pass per row: magnitudes, losses, violations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline
from ...numba_tools.lanes import choose, every, larger, load, pick, root, store, to_rows, to_rows_real, width
from ...row_results import (
    N_OVERLOAD,
    N_VOLTAGE,
    OVERLOAD,
    P_LOSS,
    P_SLACK,
    Q_LOSS,
    Q_SLACK,
    VOLTAGE_VIOLATION,
)
from ...violations import JUST_ABOVE, excess, excess_of_band, loading_above
from ..branch_flows import Ends, branch_flow
from ..plan import SweepPlan
from .adjusted import BlockPlan, written_ratio
from .current_sweeps import IM, RE
from .solve_rows import Inputs, Outputs, Workspace, reload, solve_block

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


class StepLimits(NamedTuple):
    """What the state is judged by; NaN: no limit."""

    band: FloatArray  # (n_bus, 2): lowest and highest voltage in pu
    branch: FloatArray  # (n_branch, 3): rating in MVA, sqrt(3) kV of the from and of the to end


class StepResults(NamedTuple):
    """What a step leaves behind beside the Outputs of the power flow, batch first.

    Without rows where nobody reads it (see `DETAILS`): writing costs more than solving.
    """

    s_from: ComplexArray  # (batch or 0, n_branch) MVA
    s_to: ComplexArray  # (batch or 0, n_branch)
    v_pu: FloatArray  # (batch, n_bus)
    i_ka: FloatArray  # (batch or 0, n_branch) larger end
    loading: FloatArray  # (batch, n_branch)


DETAILS = ("s_from", "s_to", "i_ka")


@flattened(
    plan=SweepPlan, ends=Ends, inputs=Inputs, state=Workspace, outputs=Outputs, limits=StepLimits,
    flows=StepResults,
)  # fmt: skip
def step_rows(  # type: ignore[no-untyped-def]
    plan, ends, inputs, v_source, v_start, base_mva, state, outputs, limits, flows, lo, hi, tol, max_iter,
    v_collapse,
):  # fmt: skip
    """Solve rows [lo, hi) and measure them in one call, so that a lone row costs little beside its physics.

    A block is measured while it is still at hand, side by side as it was solved.
    """
    scale = 1.0 / base_mva
    for row in range(lo, hi, width(state.flow)):
        count, block = min(width(state.flow), hi - row), (row - lo) // width(state.flow)
        here = BlockPlan(
            plan.link, plan.at_node, plan.at_branch, plan.z, plan.side, plan.zip_pos, plan.zip_coef,
            plan.ratios, plan.shunts, state.adjusted, block,
        )  # fmt: skip
        if not solve_block(
            here, row, count, inputs, v_source, v_start, scale, tol, max_iter, v_collapse, state, outputs
        ):
            reload(here, row, count, state, outputs)
        _measure_voltages(here, row, count, state, outputs, limits, flows)
        _measure_branches(here, ends, base_mva, row, count, state, outputs, limits, flows)
        for lane in range(count):
            total = 0.0 + 0.0j
            for s in range(outputs.s_source_mva.shape[1]):
                total += outputs.s_source_mva[row + lane, s]
            outputs.measured[row + lane, P_SLACK] = total.real
            outputs.measured[row + lane, Q_SLACK] = total.imag


@inline
def _emit(state, table, row, count, column, value):  # type: ignore[no-untyped-def]
    """A column of ``count`` rows of a table; ``track`` serves where these are not all lanes."""
    if count == width(state.flow):
        to_rows_real(table, row, column, value)
        return
    store(state.track, 0, 0, value)
    for lane in range(count):
        table[row + lane, column] = pick(state.track, 0, 0, lane)


@inline
def _emit_complex(state, table, row, count, column, re, im):  # type: ignore[no-untyped-def]
    if count == width(state.flow):
        to_rows(table, row, column, re, im)
        return
    store(state.track, 0, 0, re)
    store(state.track, 0, 1, im)
    for lane in range(count):
        table[row + lane, column] = complex(pick(state.track, 0, 0, lane), pick(state.track, 0, 1, lane))


@inline
def _measure_voltages(plan, row, count, state, outputs, limits, flows):  # type: ignore[no-untyped-def]
    """Magnitudes, the sum of pu outside the band and the number of nodes outside.

    Dead nodes (NaN) count for nothing; limits that are NaN are no limits.
    """
    zero, one = every(state.flow, 0.0), every(state.flow, 1.0)
    total, number = zero, zero
    for node in range(plan.at_node.size):
        k = plan.at_node[node]
        if k < 0:
            for lane in range(count):
                flows.v_pu[row + lane, node] = np.nan
            continue
        x, y = load(state.volt, k, RE), load(state.volt, k, IM)
        magnitude = root(x * x + y * y)
        outside = excess_of_band(magnitude, limits.band[node, 0], limits.band[node, 1], zero)
        total = total + outside
        number = number + choose(outside, one, zero)
        _emit(state, flows.v_pu, row, count, node, magnitude)
    store(state.track, 0, 0, total)
    store(state.track, 0, 1, number)
    for lane in range(count):
        outputs.measured[row + lane, VOLTAGE_VIOLATION] = pick(state.track, 0, 0, lane)
        outputs.ended[row + lane, N_VOLTAGE] = int(pick(state.track, 0, 1, lane))


@inline
def _emit_details(state, flows, row, count, e, branch, sent, received):  # type: ignore[no-untyped-def]
    """What is wanted of a branch's ends, each P, Q and |V|^2."""
    p_f, q_f, u_f = sent
    p_t, q_t, u_t = received
    if flows.s_from.shape[0] > 0:
        _emit_complex(state, flows.s_from, row, count, e, p_f, q_f)
    if flows.s_to.shape[0] > 0:
        _emit_complex(state, flows.s_to, row, count, e, p_t, q_t)
    if flows.i_ka.shape[0] > 0:  # |I| = |S| / |V|: one root for the larger end
        i2_f = (p_f * p_f + q_f * q_f) / (u_f * (branch[1] * branch[1]))
        i2_t = (p_t * p_t + q_t * q_t) / (u_t * (branch[2] * branch[2]))
        _emit(state, flows.i_ka, row, count, e, root(larger(i2_f, i2_t)))


@inline
def _ends(plan, ends, base_mva, e, k, state):  # type: ignore[no-untyped-def]
    """P, Q and |V|^2 of both ends of branch e, at position k; a dead one carries nothing."""
    zero, one = every(state.flow, 0.0), every(state.flow, 1.0)
    if k < 0:
        return (zero, zero, one), (zero, zero, one)
    f, t = plan.at_node[ends.rows[e, 0]], plan.at_node[ends.rows[e, 1]]
    xf, yf = load(state.volt, f, RE), load(state.volt, f, IM)
    xt, yt = load(state.volt, t, RE), load(state.volt, t, IM)
    p_f, q_f, p_t, q_t = branch_flow(
        written_ratio(plan, k, ends, e, state.flow), ends.pi[e, 3], ends.rows[e, 2], base_mva, xf, yf, xt, yt,
        load(state.flow, k, RE), load(state.flow, k, IM),
    )  # fmt: skip
    return (p_f, q_f, xf * xf + yf * yf), (p_t, q_t, xt * xt + yt * yt)


@inline
def _measure_branches(plan, ends, base_mva, row, count, state, outputs, limits, flows):  # type: ignore[no-untyped-def]
    """Per branch: flows, the larger end's current and loading; of all: loss, MVA above rating and count.

    A branch without a rating (NaN) has NaN loading and is never overloaded.
    """
    zero, one, just_above = every(state.flow, 0.0), every(state.flow, 1.0), every(state.flow, JUST_ABOVE)
    p_loss, q_loss, above, number = zero, zero, zero, zero
    for e in range(plan.at_branch.size):
        sent, received = _ends(plan, ends, base_mva, e, plan.at_branch[e], state)
        p_f, q_f, _ = sent
        p_t, q_t, _ = received
        p_loss = p_loss + (p_f + p_t)
        q_loss = q_loss + (q_f + q_t)
        rating = limits.branch[e, 0]
        apparent = root(larger(p_f * p_f + q_f * q_f, p_t * p_t + q_t * q_t))
        over = apparent - rating
        above = above + excess(over, zero)
        number = number + choose(over, one, zero)
        _emit_details(state, flows, row, count, e, limits.branch[e], sent, received)
        _emit(state, flows.loading, row, count, e, loading_above(over, apparent / rating, just_above))
    store(state.track, 0, 0, p_loss)
    store(state.track, 0, 1, q_loss)
    store(state.track, 0, 2, above)
    store(state.track, 0, 3, number)
    for lane in range(count):
        outputs.measured[row + lane, P_LOSS] = pick(state.track, 0, 0, lane)
        outputs.measured[row + lane, Q_LOSS] = pick(state.track, 0, 1, lane)
        outputs.measured[row + lane, OVERLOAD] = pick(state.track, 0, 2, lane)
        outputs.ended[row + lane, N_OVERLOAD] = int(pick(state.track, 0, 3, lane))
