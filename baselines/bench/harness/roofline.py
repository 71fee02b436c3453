"""The shortest time that this machine could take for a solve of our kernels, by what they move and compute.

Counted from the kernels' source, per row of a batch; a sum, a product, a quotient and a comparison is one
operation each, a complex product six. What an average row needs:

- ``memory_bytes``: loads read and results written once. Nothing else has to leave the caches.
- ``cache_bytes``: what the sweeps over a block of rows load and store, 8 bytes each time.
- ``flops``: what the sweeps and the check of the solution compute.

The limit is the largest of the three over what the machine was measured to do (peaks.py): bytes over the
bandwidth of memory, bytes over that of the cache that holds a block of rows, operations over the peak of
multiply-adds. Caches and processor would have to be busy without a pause, the tree's indices cost nothing and
every operation be half of a multiply-add: no program gets there. The kernels do without fused multiply-adds,
whose rounding would differ between a row alone and a row in a block: that alone is a factor of two of the
peak.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ....physics import Network
from ....physics.numba_tools.lanes import LANES
from ..problems.phases import PhaseProblem
from ..report.results import Limit, Peaks

_DOUBLE, _COMPLEX = 8, 16
_Part = Literal["memory", "cache", "arithmetic"]


class Work(NamedTuple):
    """What one row of a batch needs."""

    flops: float
    cache_bytes: float
    memory_bytes: float
    block_bytes: float  # what a block of rows works on


def balanced_work(net: Network, iterations: float, *, currents: bool = True) -> Work:
    """Of power_sweeps.py and of the check in current_sweeps.py (both in physics/balanced/kernels).

    For every node: backward 16 operations on 8 numbers, forward 7 on 8; once the powers that are sent 11 on
    9, from them to voltages 35 on 12, the check of Kirchhoff's laws 21 on 10; loads to per unit and the first
    powers 2 on 10, results to their place 8 numbers. Shunts and ratios, which the feeders of the benchmark do
    not have, are not counted. ``iterations`` counts sweeps and the check.
    """
    m, sweeps = net.topology.plan.link.shape[0], iterations - 1.0
    flops = (16.0 + 7.0) * sweeps + 11.0 + 35.0 + 21.0 + 2.0
    numbers = (8.0 + 8.0) * sweeps + 9.0 + 12.0 + 10.0 + 10.0 + 8.0
    results = _COMPLEX * (net.n_bus + (net.n_branch if currents else 0))
    return Work(
        flops=m * flops, cache_bytes=_DOUBLE * m * numbers, memory_bytes=2 * _DOUBLE * net.n_bus + results,
        block_bytes=_DOUBLE * 8 * LANES * m,
    )  # fmt: skip


def per_phase_work(problem: PhaseProblem, iterations: float, *, currents: bool = True) -> Work:
    """Of the sweeps that sum powers (power_sweeps.py in physics/unbalanced/kernels) and the check, for lines
    and wye loads.

    For every conductor: backward 18 operations on 11 numbers, forward 32 on 16; the check of Kirchhoff's laws
    22 on 17; loads to per unit and the start 12 on 9. Besides, backward and in the check a line with k
    conductors takes 6 k^2 + 2 k (k - 1) for its matrix, and forward and in the check a node with charging
    takes 4 k^2. ``iterations`` counts sweeps and the check.
    """
    width = problem.branch_present.sum(axis=1).astype(np.float64)
    at_node = problem.present.sum(axis=1).astype(np.float64)
    shunts = np.where(np.abs(problem.node_b_us).any(axis=(1, 2)), 4.0 * at_node**2, 0.0)
    m, sweeps = problem.n_phase_nodes, iterations - 1.0
    matrices = float((8.0 * width**2 - 2.0 * width).sum() + shunts.sum())
    inputs = 2 * _DOUBLE * 3 * problem.n_bus
    results = _COMPLEX * (3 * problem.n_bus * (2 if currents else 1) + (3 if currents else 0))
    return Work(
        flops=m * (50.0 * sweeps + 22.0 + 12.0) + iterations * matrices,
        cache_bytes=_DOUBLE * m * (27.0 * sweeps + 17.0 + 9.0),
        memory_bytes=inputs + results, block_bytes=_DOUBLE * 9 * LANES * m,
    )  # fmt: skip


def limit(
    feeder: str, solver: str, rows: int, work: Work, peaks: Peaks, cache_bytes_per_s: float, measured_s: float
) -> Limit:
    """The shortest time of a solve, what it is due to, and the share of it in the measured time."""
    times: dict[_Part, float] = {
        "memory": work.memory_bytes / peaks.memory_bytes_per_s,
        "cache": work.cache_bytes / cache_bytes_per_s,
        "arithmetic": work.flops / peaks.flops_per_s,
    }
    bound = max(times, key=lambda name: times[name])
    return Limit(
        feeder=feeder, solver=solver, rows=rows, flops=work.flops, cache_bytes=work.cache_bytes,
        memory_bytes=work.memory_bytes, block_bytes=work.block_bytes, cache_bytes_per_s=cache_bytes_per_s,
        memory_s=times["memory"], cache_s=times["cache"], arithmetic_s=times["arithmetic"], bound=bound,
        shortest_s=times[bound], measured_s=measured_s, share=times[bound] / measured_s,
    )  # fmt: skip
