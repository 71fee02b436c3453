"""Trees of tens of thousands of buses: right, at the same number of sweeps and bytes for each bus."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from distgrid import physics
from distgrid.baselines.bench.problems.trees import random_tree

SIZES = [1_000, 10_000, 40_000]


def largest_mismatch_pu(net: physics.Network, v: np.ndarray) -> float:
    """Power that Kirchhoff's laws miss at any bus but the source: admittance matrix and loads, no sweep."""
    y = 1.0 / (net.r_pu + 1j * net.x_pu)
    branch = np.arange(net.n_branch)
    ends = np.concatenate([net.from_row, net.to_row])
    incidence = sparse.csr_matrix(
        (np.repeat([1.0, -1.0], net.n_branch), (np.tile(branch, 2), ends)), shape=(net.n_branch, net.n_bus)
    )
    into_branches = incidence.T @ (y * (incidence @ v))
    missing = v * np.conj(into_branches) + (net.load_p_mw + 1j * net.load_q_mvar) / net.base_mva
    missing[net.source_node] = 0.0
    return float(np.abs(missing).max())


@pytest.mark.parametrize("n_buses", SIZES)
def test_a_large_tree_obeys_kirchhoff(n_buses: int) -> None:
    """Capability 120: over 10,000 buses, and in no more sweeps than a thousand take."""
    net = physics.compile(random_tree(n_buses))
    solution = physics.solve(net)
    assert solution.converged
    assert largest_mismatch_pu(net, np.asarray(solution.v)) < 1e-9
    assert int(solution.iterations) <= 5


def test_memory_grows_with_the_buses() -> None:
    """Capability 120: what a sweep reads of a network is proportional to its buses."""
    per_bus = []
    for n_buses in SIZES:
        plan = physics.compile(random_tree(n_buses)).topology.plan
        per_bus.append(sum(a.nbytes for a in plan if isinstance(a, np.ndarray)) / n_buses)
    assert max(per_bus) < 1.01 * min(per_bus)
