"""The three-phase power flow of an environment: a block of rows is solved, then measured while at hand."""

from __future__ import annotations

from typing import NamedTuple

from ...numba_tools.flattened import flattened
from ...numba_tools.jit import inline
from ...numba_tools.pointers import advance, get, point, put_lane, width_of
from ..kernel_tables import FloatArray, Inputs, IntArray, Outputs, SweepPlan, Workspace
from .branch_flows import FlowTable, flow_row, ways_of
from .measure import StepColumns, StepLimits, StepResults, measure
from .row_io import steps_of
from .solve_rows import ALL_GOOD, SOME_BAD, cell_of, power_tables, solve_block


class Places(NamedTuple):
    """Where the columns of loads and of ports put their power: slots 3 * row + phase, then those of legs."""

    load: IntArray  # (columns of loads,) slot, each its own
    port: IntArray  # (n, 2): column, slot; several may share a slot
    share: FloatArray  # (n,) of the column's power


class Demand(NamedTuple):
    """What rows of an environment ask for, (batch, columns) each."""

    load_p_mw: FloatArray
    load_q_mvar: FloatArray
    inject_p_mw: FloatArray
    inject_q_mvar: FloatArray
    tap: FloatArray
    cap_on: FloatArray


@inline
def _put(wye, leg, lane, slot, value):  # type: ignore[no-untyped-def]
    if slot < wye.shape[1]:
        wye[lane, slot] = value
    else:
        leg[lane, slot - wye.shape[1]] = value


@inline
def _more(wye, leg, lane, slot, value):  # type: ignore[no-untyped-def]
    if slot < wye.shape[1]:
        wye[lane, slot] += value
    else:
        leg[lane, slot - wye.shape[1]] += value


@inline
def _place(row, lane, places, demand, block):  # type: ignore[no-untyped-def]
    """Power, taps and banks of a row to its lane; slots that no column names stay 0."""
    for k in range(places.load.size):
        _put(block.p_mw, block.p_delta_mw, lane, places.load[k], demand.load_p_mw[row, k])
        _put(block.q_mvar, block.q_delta_mvar, lane, places.load[k], demand.load_q_mvar[row, k])
    for k in range(places.share.size):
        _put(block.p_inject_mw, block.p_delta_inject_mw, lane, places.port[k, 1], 0.0)
        _put(block.q_inject_mvar, block.q_delta_inject_mvar, lane, places.port[k, 1], 0.0)
    for k in range(places.share.size):
        column, slot, share = places.port[k, 0], places.port[k, 1], places.share[k]
        _more(block.p_inject_mw, block.p_delta_inject_mw, lane, slot, share * demand.inject_p_mw[row, column])
        _more(
            block.q_inject_mvar,
            block.q_delta_inject_mvar,
            lane,
            slot,
            share * demand.inject_q_mvar[row, column],
        )
    for k in range(demand.tap.shape[1]):
        block.tap[lane, k] = demand.tap[row, k]
    for k in range(demand.cap_on.shape[1]):
        block.cap_on[lane, k] = demand.cap_on[row, k]


@inline
def _results_to_rows(net, phasors, n_slot, n_source, tap, v, current, source_current, ratio):  # type: ignore[no-untyped-def]
    """Solved rows into lanes: voltages and currents by slot, 0 where there is none, and taps.

    All lanes, those without a row too: they hold what was solved there last.
    """
    for k in range(net.n_conductor):
        slot = get(net.slot, k)
        if slot >= 0:
            _column(phasors, slot, v, slot)
            _column(phasors, n_slot + slot, current, slot)
    for k in range(3 * n_source):
        _column(phasors, 2 * n_slot + k, source_current, k)
    for k in range(tap.shape[1]):
        for lane in range(width_of(ratio)):
            put_lane(ratio, k, lane, tap[lane, k])


@inline
def _column(phasors, column, array, k):  # type: ignore[no-untyped-def]
    """A column of complex numbers, row after row, as entry ``k`` of pairs."""
    for lane in range(width_of(array)):
        z = phasors[lane, column]
        put_lane(array, 2 * k, lane, z.real)
        put_lane(array, 2 * k + 1, lane, z.imag)


SPARE = 4  # entries of room for sums


def entries(n_bus: int, n_branch: int, n_source: int, n_tap: int) -> int:
    """Size of ``room``: voltages, currents, those at both ends of branches and of sources, taps."""
    return 12 * n_bus + 12 * n_branch + 6 * n_source + n_tap + SPARE


@flattened(
    plan=SweepPlan, table=FlowTable, columns=StepColumns, limits=StepLimits, places=Places, demand=Demand,
    block=Inputs, state=Workspace, out=Outputs, results=StepResults,
)  # fmt: skip
def step_rows(  # type: ignore[no-untyped-def]
    plan, table, columns, limits, places, demand, results, block, state, out, room, tol, max_iter, lo, hi
):
    """Solve rows [lo, hi) and measure them; answers ``SOME_BAD`` where power is not finite or cannot be.

    ``limits`` hold the base of all three phases together. ``block``: arguments of the power flow of one block
    of rows, with sources and start, used again for every block; ``out`` its results, ``room`` what is made of
    them. A row has the same bits alone and beside others.
    """
    net, ways = steps_of(plan, True), ways_of(table)
    n_slot, n_source, n_tap = block.p_mw.shape[1], columns.source.size, block.tap.shape[1]
    of_phase = StepLimits(limits.low_pu, limits.top_pu, limits.vuf_max_pct, limits.base_mva / 3.0)
    n_branch = (room.shape[0] - SPARE - n_tap - 6 * n_source - 4 * n_slot) // 12
    arguments = power_tables(block, n_slot)
    cell = cell_of(net, block.cap_on.shape[1], point(state.cells), point(state.live))
    v = point(room)
    current = advance(v, 2 * n_slot)
    i_from = advance(current, 2 * n_slot)
    i_to = advance(i_from, 6 * n_branch)
    source_current = advance(i_to, 6 * n_branch)
    ratio = advance(source_current, 6 * n_source)
    spare = advance(ratio, n_tap)
    step, answer = width_of(v), ALL_GOOD
    for row in range(lo, hi, step):
        count = min(step, hi - row)
        for lane in range(count):
            _place(row + lane, lane, places, demand, block)
        here = solve_block(
            net, cell, arguments, block, 0, count, 3.0 / limits.base_mva, tol, max_iter, limits.low_pu, out,
            state.lane_notes,
        )  # fmt: skip
        if here == SOME_BAD:
            return SOME_BAD
        answer = max(answer, here)
        _results_to_rows(net, out.phasors, n_slot, n_source, block.tap, v, current, source_current, ratio)
        flow_row(net, ways, n_branch, ratio, v, current, i_from, i_to)
        measure(row, count, out.notes, v, i_from, i_to, source_current, spare, columns, of_phase, results)
    return answer
