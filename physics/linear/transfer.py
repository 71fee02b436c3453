"""Power transfer distribution factors of the DC power flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..balanced.network import Network, SweepTopology
from ..unbalanced.network import Network3

FloatArray = NDArray[np.float64]


def ptdf(net: Network | Network3) -> FloatArray:
    """(n_branch, n_bus) MW into the from end of each branch per MW injected at each bus.

    What is injected is taken out at the source of the island; the columns of sources are 0. Lossless, with
    flows that divide by reactance (tap ratios included), as ``pandapower.pypower.makePTDF`` has it. Along a
    tree reactances do not matter, and all factors are -1, 0 or 1. Compile with ``keep_loops=True`` to have
    loops in it: what was cut is out of it. Rows of open and dead branches, columns of dead buses are 0.

    Raises:
        ValueError: A per-phase network; branches in loops without a reactance.
    """
    if isinstance(net, Network3):
        raise ValueError("transfer factors are of balanced feeders: per-phase ones have mutual reactances")
    topology = net.topology
    live = np.flatnonzero(topology.in_tree)
    factors = np.zeros((net.n_branch, net.n_bus))
    if live.size == topology.tree.order.size - net.n_source:
        _along_tree(topology, factors)
    else:
        _by_reactance(net, topology, live, factors)
    return factors


def _along_tree(topology: SweepTopology, factors: FloatArray) -> None:
    """The injection at a bus flows towards the source, against the direction in which the tree is fed."""
    tree = topology.tree
    behind: list[list[int]] = [[int(node)] for node in tree.order]
    for k in range(tree.order.size - 1, -1, -1):
        if tree.parent[k] < 0:
            continue
        branch = int(tree.branch[k])
        factors[branch, behind[k]] = -1.0 if topology.child_is_to[branch] else 1.0
        behind[int(tree.parent[k])] += behind[k]


def _by_reactance(
    net: Network, topology: SweepTopology, live: NDArray[np.int64], factors: FloatArray
) -> None:
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    x = net.x_pu[live]
    if (x == 0.0).any():
        ids = net.feeder.column("branches", "branch_id")
        names = ", ".join(repr(str(ids[e])) for e in live[x == 0.0])
        raise ValueError(
            f"feeder {net.feeder.name!r} has loops and branches without reactance: {names}; how flow divides "
            "between them is not defined"
        )
    b = 1.0 / (x * net.tap[live])
    rows, ends = np.arange(live.size), (net.from_row[live], net.to_row[live])
    at = (np.tile(rows, 2), np.concatenate(ends))
    flow: Any = csc_matrix((np.concatenate([b, -b]), at), shape=(live.size, net.n_bus))
    incidence: Any = csc_matrix((np.repeat([1.0, -1.0], live.size), at), shape=flow.shape)
    free = topology.energised.copy()
    free[net.source_node] = False
    kept = np.flatnonzero(free)
    nodal = (incidence.T @ flow)[kept][:, kept].tocsc()
    factors[np.ix_(live, kept)] = (
        splu(nodal, options={"SymmetricMode": True}).solve(np.ascontiguousarray(flow[:, kept].T.toarray())).T
    )
