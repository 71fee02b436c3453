"""A radial network as the branch flow model reads it: one position per live bus, parents before children."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ..errors import RunError
from .affine import FloatArray, IntArray

_LEAST_BASE_MVA = 1e-3


@dataclass(frozen=True, eq=False)
class RadialNetwork:
    """Arrays over positions 0..m-1 (live buses in sweep order) and fed positions (those with a parent).

    With u = ratio2 v_parent, the branch that feeds a position carries P + jQ out of the parent and a squared
    current l into the position: v = u - 2 (r P + x Q) + |z|^2 l, and P^2 + Q^2 = u l. The ideal ratio stands
    at the from end as in `physics`, where it is backward r and x are seen from its other side.

    Attributes:
        net: The compiled feeder.
        base_mva: Of the per-unit values here, near the feeder's load, so that numbers are of order 1.
        node: (m,) bus row of each position. position: (n_bus,) the reverse, -1 at dead buses.
        root: positions of sources; source: (n_root,) rows of the sources table.
        fed: (f,) positions with a parent; parent: (f,) its position; branch: (f,) branch row.
        ratio2, r_pu, x_pu: (f,). g_pu, b_pu: (m,) shunts and line charging to ground.
        half_parent, half_child: (f,) half of a line's charging at either end, seen at that end's voltage.
        rating_mva: (f,) inf where there is none.
        z_p, z_q: (m,) constant-impedance shares of the loads.
    """

    net: physics.Network
    base_mva: float
    node: IntArray
    position: IntArray
    root: IntArray
    source: IntArray
    fed: IntArray
    parent: IntArray
    branch: IntArray
    ratio2: FloatArray
    r_pu: FloatArray
    x_pu: FloatArray
    g_pu: FloatArray
    b_pu: FloatArray
    half_parent: FloatArray
    half_child: FloatArray
    rating_mva: FloatArray
    z_p: FloatArray
    z_q: FloatArray

    @property
    def size(self) -> int:
        """Number of positions."""
        return int(self.node.size)

    @property
    def children(self) -> IntArray:
        """(f,) index among the fed of the branch that feeds each fed position's parent, -1 below a source."""
        at = np.full(self.size, -1, dtype=np.int64)
        at[self.fed] = np.arange(self.fed.size)
        return at[self.parent]

    def downstream(self, values: FloatArray) -> FloatArray:
        """(f,) sums of (m,) values over each fed position and all that it feeds."""
        total = np.asarray(values, dtype=np.float64).copy()
        for k in range(self.fed.size - 1, -1, -1):
            total[self.parent[k]] += total[self.fed[k]]
        return np.asarray(total[self.fed])

    def bus_names(self) -> NDArray[np.object_]:
        """(m,) ids of the positions' buses."""
        return np.asarray(self.net.feeder.column("nodes", "node_id")[self.node])

    def branch_names(self) -> NDArray[np.object_]:
        """(f,) ids of the fed positions' branches."""
        return np.asarray(self.net.feeder.column("branches", "branch_id")[self.branch])


def radial_network(net: physics.Network) -> RadialNetwork:
    """The radial form of a balanced network.

    Raises:
        RunError: it is per phase or meshed, or has parts that the branch flow model does not cover.
    """
    refused = not_covered(net)
    if refused is not None:
        raise RunError(refused)
    top, tree = net.topology, net.topology.tree
    fed = np.flatnonzero(tree.parent >= 0)
    branch, forward = tree.branch[fed], net.topology.child_is_to[tree.branch[fed]]
    base = _base(net)
    scale = base / net.base_mva
    half = 0.5 * net.b_pu[branch] / scale
    seen = half / np.abs(top.ratio[branch]) ** 2
    rating = net.rating_mva[branch]
    position = np.full(net.n_bus, -1, dtype=np.int64)
    position[tree.order] = np.arange(tree.order.size)
    z_p, z_q = np.zeros(tree.order.size), np.zeros(tree.order.size)
    z_p[tree.zip_pos], z_q[tree.zip_pos] = tree.zip_coef[:, 0], tree.zip_coef[:, 2]
    return RadialNetwork(
        net=net, base_mva=base, node=tree.order, position=position, root=np.flatnonzero(tree.parent < 0),
        source=top.source_rank, fed=fed, parent=tree.parent[fed], branch=branch,
        ratio2=tree.a_re[fed] ** 2 + tree.a_im[fed] ** 2, r_pu=tree.z_re[fed] * scale,
        x_pu=tree.z_im[fed] * scale, g_pu=tree.y_re / scale, b_pu=tree.y_im / scale,
        half_parent=np.where(forward, seen, half), half_child=np.where(forward, half, seen),
        rating_mva=np.where(np.isfinite(rating), rating, np.inf), z_p=z_p, z_q=z_q,
    )  # fmt: skip


def without_banks(network: RadialNetwork, banks: IntArray) -> RadialNetwork:
    """The network with some banks off, rows of the feeder's table, however they are stored."""
    net = network.net
    b = network.b_pu.copy()
    stored = np.where(net.cap_on[banks], net.cap_susceptance[banks] * net.base_mva, 0.0)
    np.subtract.at(b, network.position[net.cap_node[banks]], stored / network.base_mva)
    return replace(network, b_pu=b)


def fed_by_regulators(network: RadialNetwork, regulators: IntArray) -> IntArray:
    """(n,) index among the fed of the branches of regulators, rows of the feeder's table.

    Raises:
        RunError: a regulator stands at the far end of its branch, or at one without voltage.
    """
    net, found = network.net, []
    for row, branch in zip(regulators.tolist(), net.reg_branch[regulators].tolist(), strict=True):
        at = np.flatnonzero(network.branch == branch)
        name = net.feeder.column("regulators", "reg_id")[row]
        if not at.size:
            raise RunError(f"tap changer {str(name)!r} has no connection to a source")
        if not net.topology.child_is_to[branch]:
            raise RunError(
                f"tap changer {str(name)!r} stands at the far end of its branch, seen from the source: the "
                "relaxation needs it at the near end; let the branch begin there"
            )
        found.append(int(at[0]))
    return np.array(found, dtype=np.int64)


def _base(net: physics.Network) -> float:
    total = float(np.hypot(net.load_p_mw, net.load_q_mvar).sum())
    return max(0.25 * total, _LEAST_BASE_MVA)


def not_covered(net: physics.Network | physics.Network3) -> str | None:
    """What of a network the branch flow relaxation does not cover, and what to do; None: it covers all."""
    if not isinstance(net, physics.Network):
        return "the branch flow relaxation is for balanced feeders: this one is per phase"
    name, top = net.feeder.name, net.topology
    ids = net.feeder.column("branches", "branch_id")
    if top.dropped.size or top.loops is not None:
        beside = np.flatnonzero(net.closed & ~_tree_branches(net)) if top.loops is not None else top.dropped
        return (
            f"feeder {name!r} is meshed: the branches {_listed(ids[beside])} close loops; the branch flow "
            "relaxation needs a radial feeder: open one branch of each loop"
        )
    if top.bundles is not None:
        return (
            f"feeder {name!r} has parallel branches {_listed(ids[top.bundles.member])}; the branch flow "
            "relaxation needs one branch between two buses: open the others or merge them"
        )
    if top.held is not None:
        nodes = net.feeder.column("nodes", "node_id")[net.held_node]
        return (
            f"feeder {name!r}: generators hold the voltage at {_listed(nodes)}; the branch flow relaxation "
            "needs loads of given power: clear loads.v_set_pu"
        )
    share = net.zip_coef
    other = (share[:, [1, 3]] != 0.0).any(axis=1) | np.isfinite(share[:, 4:]).any(axis=1)
    if other.any():
        nodes = net.feeder.column("nodes", "node_id")[net.zip_node[other]]
        return (
            f"feeder {name!r}: loads at {_listed(nodes)} have constant-current shares or CVR exponents; the "
            "branch flow relaxation covers constant power and constant impedance"
        )
    return None


def _tree_branches(net: physics.Network) -> NDArray[np.bool_]:
    found = np.zeros(net.n_branch, dtype=bool)
    tree = net.topology.tree
    found[tree.branch[tree.parent >= 0]] = True
    return found


def _listed(ids: NDArray[np.object_]) -> str:
    return ", ".join(repr(str(i)) for i in ids[:8]) + (" …" if ids.size > 8 else "")
