"""Gradients where the sweep of a tree alone does not solve rows: what the adjoint of meshes reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numba_tools.threads import split_rows
from .branch_flows import squared
from .held_voltages import NO_HELD, Held
from .kernels.adjoint_meshes import MeshBranches, adjoint_of_meshes
from .kernels.adjoint_seeds import Adjoints, Seeds
from .loops import NO_LOOPS, ComplexArray, Loops
from .tree import FloatArray, Tree

if TYPE_CHECKING:
    from .network import Network, SweepTopology


class MeshAdjoint(NamedTuple):
    """A topology as the adjoint of meshes reads it."""

    tree: Tree  # impedances conjugated
    loops: Loops
    held: Held
    branches: MeshBranches
    y: ComplexArray  # (position,) admittance to ground without what stands for unequal parallel branches


class MeshRows(NamedTuple):
    """Solved rows, batch first."""

    v: ComplexArray  # (batch, n_bus) pu
    current: ComplexArray  # (batch, n_branch) pu
    s_source_mva: ComplexArray  # (batch, n_source)
    zip_load_mva: ComplexArray  # (batch, n_zip) at 1 pu
    q_held_mvar: FloatArray  # (batch, n_held)


def mesh_gradient(
    net: Network, topology: SweepTopology, solved: MeshRows, seeds: Seeds, out: Adjoints, threads: int | None
) -> None:
    """Write the gradients of rows that were solved on a topology that is no plain tree."""
    if not topology.mesh_adjoints:
        topology.mesh_adjoints.append(mesh_adjoint(net, topology))
    plan = topology.mesh_adjoints[0]
    live, rank = topology.energised[net.zip_node], topology.source_rank
    rows = solved._replace(
        s_source_mva=solved.s_source_mva[:, rank], zip_load_mva=solved.zip_load_mva[:, live]
    )
    given = tuple(_own(a) for a in rows)
    weights = Seeds._make(_own(a) for a in seeds)
    for array in out:
        array.fill(0.0)

    def work(lo: int, hi: int) -> None:
        adjoint_of_meshes(*plan, rank, lo, hi, net.base_mva, given, weights, out)

    split_rows(work, solved.v.shape[0], threads)


def mesh_adjoint(net: Network, topology: SweepTopology) -> MeshAdjoint:
    """Of the branches of a topology, each by itself; see :class:`MeshBranches`."""
    tree, m = topology.tree, topology.tree.order.size
    position = np.full(net.n_bus, -1, dtype=np.int64)
    position[tree.order] = np.arange(m)
    loops = NO_LOOPS if topology.loops is None else topology.loops
    slot = np.full(net.n_branch, -1, dtype=np.int64)
    fed = np.flatnonzero(tree.parent >= 0)
    slot[tree.branch[fed]], slot[loops.branch] = fed, m + np.arange(loops.branch.size)
    alone = np.ones(net.n_branch, dtype=bool)
    share, turn = np.ones(net.n_branch, dtype=np.complex128), np.zeros(net.n_branch, dtype=np.complex128)
    ideal = np.zeros(net.n_branch)
    bundles = topology.bundles
    if bundles is not None:
        at = bundles.member
        alone[at], slot[at] = False, slot[bundles.lead]
        share[at], turn[at] = bundles.share * bundles.back, bundles.turn
        ideal[at] = np.where(bundles.z == 0.0, bundles.share.real, 0.0)
    row = np.flatnonzero(topology.in_tree)
    forward, ratio = topology.child_is_to[row], topology.ratio[row]
    z = net.r_pu[row] + 1j * net.x_pu[row]
    ends = np.where(forward, (net.from_row[row], net.to_row[row]), (net.to_row[row], net.from_row[row]))
    branches = MeshBranches(
        row, position[ends[0]], position[ends[1]], forward, np.where(forward, 1.0 / ratio, ratio),
        np.where(forward, z, squared(ratio) * z), np.abs(ratio), 0.5 * net.b_pu[row], slot[row], alone[row],
        share[row], turn[row], ideal[row],
    )  # fmt: skip
    return MeshAdjoint(
        tree._replace(z_im=-tree.z_im), loops._replace(z=np.conj(loops.z)),
        NO_HELD if topology.held is None else topology.held, branches,
        tree.y_re + 1j * tree.y_im - topology.bundle_y[tree.order],
    )  # fmt: skip


def _own(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Contiguous and writeable: anything else is another type to the compiler."""
    return array if array.flags.carray else array.copy()
