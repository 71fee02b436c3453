"""Whether what another program found is the operable solution: it is held against this package's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..flags import COLLAPSED, CONVERGED, DIVERGED
from .kernels import mesh_rows as mesh_kernels
from .loops import NO_LOOPS
from .network import Network, SweepTopology

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]


def judge(
    net: Network, topology: SweepTopology, power: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    tol: float, v_collapse: float,
    out: tuple[ComplexArray, ComplexArray, IntArray, FloatArray],
) -> None:  # fmt: skip
    """Take back ``converged`` where one more Newton step would still move or the branch is not operable."""
    v, current, status, update = out
    sign = np.ones(v.shape[0])
    loops = NO_LOOPS if topology.loops is None else topology.loops
    mesh_kernels.judge_rows(
        topology.tree, loops, 0, v.shape[0], *power, 1.0 / net.base_mva, v, current, update, sign
    )
    update[~np.isfinite(v[:, topology.energised]).all(axis=1)] = np.inf
    true = (status == CONVERGED) & (sign > 0.0) & (update < tol)
    status[:] = np.where(true, CONVERGED, DIVERGED)
    if topology.energised.any():
        low = np.abs(v[:, topology.energised]).min(axis=1) < v_collapse
        status[low] |= COLLAPSED


def compare(
    net: Network, topology: SweepTopology, inputs: tuple[NDArray[Any], ...],
    numbers: tuple[float, float, int, float], out: tuple[ComplexArray, IntArray, FloatArray],
) -> tuple[ComplexArray, FloatArray] | None:  # fmt: skip
    """Take back ``converged`` where the row is not the end of the operable branch; where that is.

    With loops or held voltages no sign of a determinant tells: the branch is climbed from no load. Returns
    its voltages and the Mvar of held nodes where another start may lead there.
    """
    v, status, update = out
    rows = v.shape[0]
    ours = np.full_like(v, np.nan)
    current, i_source = np.zeros((rows, net.n_branch), complex), np.zeros_like(inputs[4])
    flags, steps, length = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows)
    q_held = np.zeros((rows, net.held_node.size))
    cold = (*inputs[:5], np.empty((0, 0), dtype=np.complex128))
    reported = (ours, current, i_source, flags, steps, length, q_held)
    scale, tol, max_iter, v_collapse = numbers
    mesh_kernels.solve_rows(topology, cold, (scale, min(tol, 1e-8), max(max_iter, 200), v_collapse), reported)
    live = topology.energised
    update[:] = np.abs(v - ours)[:, live].max(axis=1, initial=0.0)
    found = (flags & CONVERGED) != 0
    true = (status == CONVERGED) & found & (update < max(10.0 * tol, 1e-7))
    status[:] = np.where(true, CONVERGED, DIVERGED)
    if live.any():
        status[np.abs(v[:, live]).min(axis=1) < v_collapse] |= COLLAPSED
    return (ours, q_held) if (found & ~true).any() else None
