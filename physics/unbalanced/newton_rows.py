"""Rows for Newton's method: those that sweeps leave unsettled, and all of feeders that are no tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..flags import CONVERGED, UNSETTLED
from ..numba_tools.jit import kernel
from ..numba_tools.pointers import point
from .kernel_tables import Inputs, IntArray, Outputs
from .kernels.measure import StepColumns, StepLimits, StepResults, measure
from .kernels.newton import newton_rows
from .kernels.newton_system import memory_for
from .network import Network3
from .solution import Solution3
from .topology import SweepTopology

Numbers = tuple[float, float, int, float]  # 1 over the base of a phase in MVA, tol, max_iter, v_collapse


def columns_of(net: Network3, irregular: bool) -> int:
    """Columns of `Outputs.phasors`: voltages, currents into nodes, source currents; of feeders that are no
    tree also the currents into both ends of every branch.
    """
    return net.columns + (6 * net.n_branch if irregular else 0)


def solve_rows_directly(
    net: Network3, topology: SweepTopology, inputs: Inputs, all_legs: bool, rows: IntArray, numbers: Numbers,
    out: Outputs,
) -> None:  # fmt: skip
    """Newton's method on ``rows``; results and verdicts go to these rows of ``out``."""
    equations = topology.equations
    try:
        memory = topology.memories.pop()
    except IndexError:
        memory = memory_for(equations)
    scale, tol, max_iter, v_collapse = numbers
    n_item = len(equations.item) if all_legs else int(equations.size[3])
    width = 3 * net.n_bus
    newton_rows(
        equations, memory, np.zeros_like(memory.x), rows, inputs[:8], inputs.v_source, inputs.tap,
        inputs.cap_on, n_item, scale, tol, max_iter, v_collapse, out.phasors[:, :width],
        out.phasors[:, width:], out.notes,
    )  # fmt: skip
    topology.memories.append(memory)


def finish(
    net: Network3, topology: SweepTopology, inputs: Inputs, all_legs: bool, rows: IntArray, numbers: Numbers,
    out: Outputs,
) -> None:  # fmt: skip
    """Newton's method on rows that sweeps left; where it finds nothing, what the sweeps ended with stays."""
    before = Outputs(out.phasors[rows], out.notes[rows])
    solve_rows_directly(net, topology, inputs, all_legs, rows, numbers, out)
    lost = out.notes[rows, 0].astype(np.int64) & CONVERGED == 0
    if lost.any():
        out.phasors[rows[lost]] = before.phasors[lost]
        flags = before.notes[lost, 0].astype(np.int64) | out.notes[rows[lost], 0].astype(np.int64)
        flags &= ~(UNSETTLED | CONVERGED)
        out.notes[rows[lost], 0] = flags
        out.notes[rows[lost], 2] = before.notes[lost, 2]


def unsettled(notes: NDArray[np.float64]) -> IntArray:
    """Rows that sweeps left."""
    return np.flatnonzero(notes[:, 0].astype(np.int64) & UNSETTLED)


def solve_directly(net: Network3, inputs: Inputs, sweeps: IntArray, numbers: Numbers) -> Solution3:
    """The stored switch states for rows of powers, taps and banks; ``sweeps`` (rows,) count as iterations."""
    topology, rows = net.topology, np.arange(sweeps.size, dtype=np.int64)
    columns = columns_of(net, bool(topology.irregular))
    out = Outputs(np.zeros((rows.size, columns), dtype=np.complex128), np.zeros((rows.size, 3)))
    out.notes[:, 1] = sweeps
    solve_rows_directly(net, topology, inputs, True, rows, numbers, out)
    return Solution3(net, out, inputs, ((slice(None), topology),), False)


def measure_directly(
    solved: Solution3,
    rows: IntArray,
    kept: NDArray[np.bool_],
    watch: StepColumns,
    limits: StepLimits,
    results: StepResults,
) -> None:
    """Measure the ``kept`` rows of a solution into ``rows`` of ``results``."""
    here = np.flatnonzero(kept)
    ends = [np.ascontiguousarray(side.reshape(len(side), -1)) for side in solved.currents]
    v = np.nan_to_num(solved.v).reshape(rows.size, -1)
    sources = np.ascontiguousarray(solved.i_source.reshape(rows.size, -1))
    room = np.zeros(2 * (v.shape[1] + 2 * ends[0].shape[1] + sources.shape[1]) + _SPARE)
    _measure_rows(here, rows, v, ends[0], ends[1], sources, solved.notes, room, watch, limits, results)


_SPARE = 4  # numbers for sums


@kernel
def _measure_rows(  # type: ignore[no-untyped-def]
    here, rows, v, i_from, i_to, i_source, notes, room, watch, limits, results
):
    n, m = v.shape[1], i_from.shape[1]
    for k in here:
        for j in range(n):
            room[2 * j], room[2 * j + 1] = v[k, j].real, v[k, j].imag
        for j in range(m):
            at = 2 * (n + j)
            room[at], room[at + 1] = i_from[k, j].real, i_from[k, j].imag
            at += 2 * m
            room[at], room[at + 1] = i_to[k, j].real, i_to[k, j].imag
        for j in range(i_source.shape[1]):
            at = 2 * (n + 2 * m + j)
            room[at], room[at + 1] = i_source[k, j].real, i_source[k, j].imag
        last = 2 * (n + 2 * m + i_source.shape[1])
        measure(
            rows[k], 1, notes[k : k + 1], point(room), point(room[2 * n :]), point(room[2 * (n + m) :]),
            point(room[2 * (n + 2 * m) :]), point(room[last:]), watch, limits, results,
        )  # fmt: skip
