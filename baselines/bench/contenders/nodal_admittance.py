"""A solution to hold others against where no other program is installed: node equations, one factorisation.

Fixed point of ``Y V = I(V)`` with the source's voltages given (the implicit Z-bus method, Chen et al. 1991),
factored by SciPy's SuperLU: no tree, no sweep, nothing of distgrid's physics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from ..problems.balanced import ComplexArray, FloatArray, IntArray
from ..problems.phases import PhaseProblem

_STEP_PU = 1e-14  # updates of this size are rounding
_MOST_ROUNDS = 300


def nodal_voltages(problem: PhaseProblem, p_mw: FloatArray, q_mvar: FloatArray) -> ComplexArray:
    """(rows, phase nodes) pu voltages of loads (rows, n, 3)."""
    at = np.full((problem.n_bus, 3), -1, dtype=np.int64)
    at[problem.present] = np.arange(problem.n_phase_nodes)
    y = _admittance(problem, at)
    fixed = at[problem.source][at[problem.source] >= 0]
    free = np.setdiff1d(np.arange(problem.n_phase_nodes), fixed)
    factored = splu(y[free][:, free].tocsc())
    source = problem.source_phasor[problem.present[problem.source]]
    power = (p_mw + 1j * q_mvar)[:, problem.present] * 3.0 / problem.base_mva
    v = np.empty(power.shape, dtype=np.complex128)
    v[:, fixed] = source
    given = y[free][:, fixed] @ source
    rotation = np.broadcast_to(problem.source_phasor, (problem.n_bus, 3))[problem.present]
    for row, drawn in enumerate(power[:, free]):
        now = rotation[free]
        for _ in range(_MOST_ROUNDS):
            before, now = now, factored.solve(-np.conj(drawn / now) - given)
            if np.abs(now - before).max() < _STEP_PU:
                break
        v[row, free] = now
    return v


def _admittance(problem: PhaseProblem, at: IntArray) -> Any:
    """Sparse (phase nodes, phase nodes) pu."""
    rows, columns, values = [], [], []

    def add(j: IntArray, k: IntArray, block: NDArray[Any]) -> None:
        rows.append(np.repeat(j, k.size))
        columns.append(np.tile(k, j.size))
        values.append(block.ravel())

    ends = zip(problem.from_row, problem.to_row, problem.z_ohm, problem.branch_present, strict=True)
    for start, end, z, phases in ends:
        series = np.linalg.inv(z[np.ix_(phases, phases)]) * problem.ohm_per_pu
        j, k = at[start][phases], at[end][phases]
        add(j, j, series)
        add(k, k, series)
        add(j, k, -series)
        add(k, j, -series)
    for node, b in enumerate(problem.node_b_us):
        phases = problem.present[node]
        add(at[node][phases], at[node][phases], 1e-6j * b[np.ix_(phases, phases)] * problem.ohm_per_pu)
    shape = (problem.n_phase_nodes, problem.n_phase_nodes)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_matrix(entries, shape=shape).tocsr()
