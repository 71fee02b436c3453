"""The tree as the sweeps read it: few arrays, what belongs together side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .tree import FloatArray, IntArray, Tree


class SweepPlan(NamedTuple):
    """Positions 0..m-1 are energised nodes in breadth-first order, parents before children."""

    link: NDArray[
        np.int32
    ]  # (m, 4): parent's position (-1: a source), node row, branch row (-1 - source row), the mark of
    # what taps and banks of each row make of it (0: nothing; see kernels/adjusted.py)
    at_node: NDArray[np.int32]  # (n_bus,) position of each node, -1: dead
    at_branch: NDArray[
        np.int32
    ]  # (n_branch,) position of the node that each branch feeds, -1: not in the tree
    z: FloatArray  # (m, 2): r, x in pu of V_child = a V_parent - z I_child
    side: FloatArray  # (m, 4): a (re, im) and the shunt admittance y (re, im) in pu
    zip_pos: NDArray[np.int64]  # (n_zip,) positions whose load depends on voltage
    zip_coef: FloatArray  # (n_zip, 6), as in Tree
    ratios: bool  # some a is not 1
    shunts: bool  # some y is not 0


def sweep_plan(tree: Tree, source_rank: IntArray, n_bus: int, n_branch: int) -> SweepPlan:
    """The sweep's view of ``tree``; ``source_rank``: row of the sources table for each root, as they come."""
    feeding = tree.branch.copy()
    feeding[tree.parent < 0] = -1 - source_rank
    at_node, at_branch = np.full(n_bus, -1, np.int32), np.full(n_branch, -1, np.int32)
    at_node[tree.order] = np.arange(tree.order.size)
    fed = np.flatnonzero(tree.parent >= 0)
    at_branch[tree.branch[fed]] = fed
    return SweepPlan(
        link=np.stack([tree.parent, tree.order, feeding, np.zeros_like(feeding)], axis=1).astype(np.int32),
        at_node=at_node,
        at_branch=at_branch,
        z=np.stack([tree.z_re, tree.z_im], axis=1),
        side=np.stack([tree.a_re, tree.a_im, tree.y_re, tree.y_im], axis=1),
        zip_pos=tree.zip_pos,
        zip_coef=tree.zip_coef,
        ratios=not bool(tree.plain.all()),
        shunts=bool(tree.y_re.any() or tree.y_im.any()),
    )
