"""Rows for Newton's method: those that sweeps leave unsettled, and all of feeders that are no tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .network import Network3, Topology3
from .newton import memory_for, newton_rows
from .program import CONVERGED, UNSETTLED, Inputs, IntArray, Outputs

Numbers = tuple[float, float, int, float]  # 1 over the base of a phase in MVA, tol, max_iter, v_collapse


def columns_of(net: Network3, irregular: bool) -> int:
    """Columns of `Outputs.phasors`: voltages, currents into nodes, source currents; of feeders that are no
    tree also the currents into both ends of every branch.
    """
    return 6 * net.n_bus + 3 * len(net.sources) + (6 * net.n_branch if irregular else 0)


def solve_rows_directly(
    net: Network3, topology: Topology3, inputs: Inputs, all_legs: bool, rows: IntArray, numbers: Numbers,
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
    net: Network3, topology: Topology3, inputs: Inputs, all_legs: bool, rows: IntArray, numbers: Numbers,
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
