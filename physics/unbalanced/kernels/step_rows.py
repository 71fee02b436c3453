"""The three-phase power flow of an environment: a block of rows is solved, then measured while at hand."""

from __future__ import annotations

from typing import NamedTuple

from ...numba_tools.jit import inline, lean_kernel
from ...numba_tools.pointers import advance, get, point, put_lane, width_of
from ..kernel_tables import FloatArray, Inputs, IntArray, Outputs, SweepPlan
from .branch_flows import FlowTable, flow_row, ways_of
from .measure import StepColumns, StepLimits, StepResults, measure
from .row_io import steps_of, table
from .solve_rows import ALL_GOOD, SOME_BAD, cell_of, solve_block


class Places(NamedTuple):
    """Where the columns of loads and of ports put their power: slots 3 * row + phase, then those of legs."""

    load: IntArray  # (columns of loads,) slot, each its own
    port: IntArray  # (n, 2): column, slot; several may share a slot
    share: FloatArray  # (n,) of the column's power


class Block(NamedTuple):
    """Arguments and results of the power flow of one block, (rows, slots): used again for every block."""

    p_mw: FloatArray
    q_mvar: FloatArray
    p_inject_mw: FloatArray
    q_inject_mvar: FloatArray
    p_delta_mw: FloatArray
    q_delta_mvar: FloatArray
    p_delta_inject_mw: FloatArray
    q_delta_inject_mvar: FloatArray
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
def _place(row, lane, places, load_p, load_q, inject_p, inject_q, tap, cap_on, block):  # type: ignore[no-untyped-def]
    """Power, taps and banks of a row to its lane; slots that no column names stay 0."""
    for k in range(places.load.size):
        _put(block.p_mw, block.p_delta_mw, lane, places.load[k], load_p[row, k])
        _put(block.q_mvar, block.q_delta_mvar, lane, places.load[k], load_q[row, k])
    for k in range(places.share.size):
        _put(block.p_inject_mw, block.p_delta_inject_mw, lane, places.port[k, 1], 0.0)
        _put(block.q_inject_mvar, block.q_delta_inject_mvar, lane, places.port[k, 1], 0.0)
    for k in range(places.share.size):
        column, slot, share = places.port[k, 0], places.port[k, 1], places.share[k]
        _more(block.p_inject_mw, block.p_delta_inject_mw, lane, slot, share * inject_p[row, column])
        _more(block.q_inject_mvar, block.q_delta_inject_mvar, lane, slot, share * inject_q[row, column])
    for k in range(tap.shape[1]):
        block.tap[lane, k] = tap[row, k]
    for k in range(cap_on.shape[1]):
        block.cap_on[lane, k] = cap_on[row, k]


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


@lean_kernel
def step_rows(  # type: ignore[no-untyped-def]
    whole, number, of_segment, charging, admittance,
    terminal, band, passage, rating, balance, port, port_share, source,
    low_pu, top_pu, vuf_max_pct, base_mva, tol, max_iter, lo, hi,
    place_load, place_port, place_share, load_p_mw, load_q_mvar, inject_p_mw, inject_q_mvar, tap, cap_on,
    p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, block_tap, block_cap, v_source, v_start,
    cells, live, lane_notes, phasors, notes, room,
    v_out, v_pu, port_v_pu, s_from, i_ka, loading, vuf_pct, ended, measured,
):  # fmt: skip
    """Solve rows [lo, hi) and measure them; answers ``SOME_BAD`` where power is not finite or cannot be.

    Takes the fields of SweepPlan, FlowTable, StepColumns, StepLimits, Places, Block, source and start,
    Workspace, Outputs (of one block) and StepResults one by one. A row has the same bits alone and beside
    others.
    """
    net, ways = steps_of(SweepPlan(whole, number), True), ways_of(FlowTable(of_segment, charging, admittance))
    columns = StepColumns(terminal, band, passage, rating, balance, port, port_share, source)
    limits = StepLimits(low_pu, top_pu, vuf_max_pct, base_mva / 3.0)
    results = StepResults(v_out, v_pu, port_v_pu, s_from, i_ka, loading, vuf_pct, ended, measured)
    places = Places(place_load, place_port, place_share)
    block = Block(p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, block_tap, block_cap)
    n_slot, n_source = p_mw.shape[1], source.size
    n_branch = (room.shape[0] - SPARE - tap.shape[1] - 6 * n_source - 4 * n_slot) // 12
    inputs = Inputs(
        p_mw, q_mvar, p_in, q_in, p_leg, q_leg, p_leg_in, q_leg_in, v_source, v_start, block_tap, block_cap
    )
    arguments = (
        table(p_mw, n_slot), table(q_mvar, n_slot), table(p_in, n_slot), table(q_in, n_slot),
        table(p_leg, n_slot), table(q_leg, n_slot), table(p_leg_in, n_slot), table(q_leg_in, n_slot),
        table(block_tap, block_tap.shape[1]), table(block_cap, block_cap.shape[1]),
    )  # fmt: skip
    out = Outputs(phasors, notes)
    cell = cell_of(net, cap_on.shape[1], point(cells), point(live))
    v = point(room)
    current = advance(v, 2 * n_slot)
    i_from = advance(current, 2 * n_slot)
    i_to = advance(i_from, 6 * n_branch)
    source_current = advance(i_to, 6 * n_branch)
    ratio = advance(source_current, 6 * n_source)
    spare = advance(ratio, tap.shape[1])
    step, answer = width_of(v), ALL_GOOD
    for row in range(lo, hi, step):
        count = min(step, hi - row)
        for lane in range(count):
            _place(
                row + lane, lane, places, load_p_mw, load_q_mvar, inject_p_mw, inject_q_mvar, tap, cap_on,
                block,
            )  # fmt: skip
        here = solve_block(
            net, cell, arguments, inputs, 0, count, 3.0 / base_mva, tol, max_iter, low_pu, out, lane_notes
        )
        if here == SOME_BAD:
            return SOME_BAD
        answer = max(answer, here)
        _results_to_rows(net, phasors, n_slot, n_source, block_tap, v, current, source_current, ratio)
        flow_row(net, ways, n_branch, ratio, v, current, i_from, i_to)
        measure(row, count, notes, v, i_from, i_to, source_current, spare, columns, limits, results)
    return answer
