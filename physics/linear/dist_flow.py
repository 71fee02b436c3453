"""LinDistFlow: the branch flow equations of a tree without losses, linear in squared voltages.

    U_child = |a|^2 U_parent - 2 (r P + x Q),      P, Q into z = the sum of all net load behind it

(Baran and Wu, IEEE Trans. Power Deliv. 4(1), 1989, without the terms in l). It is optimistic: what is lost on
the way is neither carried nor does it lower a voltage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..balanced.arguments import loads_of, rows_of, source_voltage
from ..balanced.network import Network
from ..numba_tools.jit import kernel
from ..unbalanced.network import Network3
from .dist_flow_phases import LinDistFlow3, lin_dist_flow_phases
from .transfer import ptdf

FloatArray = NDArray[np.float64]


class LinearFlow(NamedTuple):
    """What LinDistFlow says of each row; (batch, ...) where the arguments had a batch axis."""

    v_pu: FloatArray  # (n_bus,) NaN at dead buses
    p_from_mw: FloatArray  # (n_branch,) lossless: what enters at the from end leaves at the to end
    q_from_mvar: FloatArray


class LinearRows(NamedTuple):
    """The equations as sparse matrices (scipy CSR) for a linear program.

    ``voltage @ U + p_flow @ P + q_flow @ Q = fixed``: voltage drops of the branches of the tree, then the
    voltages of the sources. ``balance @ P + p = p_load`` and ``balance @ Q + q = q_load`` at all buses but
    sources and dead ones (``bus``), with injections p and q.
    """

    voltage: Any  # (n_tree + n_source, n_bus) of squared voltages, pu^2
    p_flow: Any  # (n_tree + n_source, n_branch) of P into the from end of every branch, MW
    q_flow: Any
    fixed: FloatArray  # (n_tree + n_source,)
    balance: Any  # (n_free, n_branch)
    bus: NDArray[np.int64]  # (n_free,) rows of the nodes table


@dataclass(frozen=True, eq=False)
class LinDistFlow:
    """LinDistFlow of a balanced feeder; see :func:`lin_dist_flow`. Units are MW, Mvar and pu^2."""

    net: Network = field(repr=False)
    v2_fixed: FloatArray  # (n_bus,) squared voltages without any load or injection; NaN at dead buses
    v2_by_p: FloatArray  # (n_bus, n_bus) per MW injected at each bus
    v2_by_q: FloatArray  # (n_bus, n_bus) per Mvar
    flow_by_injection: FloatArray  # (n_branch, n_bus) MW into from ends per MW injected, likewise Mvar

    def evaluate(
        self, p_mw: ArrayLike | None = None, q_mvar: ArrayLike | None = None, *,
        p_inject_mw: ArrayLike | None = None, q_inject_mvar: ArrayLike | None = None,
        v_source_pu: ArrayLike | None = None,
    ) -> LinearFlow:  # fmt: skip
        """Voltages and flows by one sweep up and one down the tree, arguments as of `solve`.

        Loads that depend on voltage count as what they are at 1 pu. Banks and shunts: at no-load voltage.
        """
        net = self.net
        given = (p_mw, q_mvar, p_inject_mw, q_inject_mvar)
        sizes = {np.shape(a)[0] for a in given if a is not None and np.ndim(a) == 2}
        sizes |= {np.shape(v_source_pu)[0]} if v_source_pu is not None and np.ndim(v_source_pu) else set()
        many = (sizes - {1}) or sizes
        if len(many) > 1:
            raise ValueError(f"arguments disagree on the number of rows: {sorted(many)}")
        batch = many.pop() if many else 1
        p, q = (a.copy() for a in loads_of(net, p_mw, q_mvar, batch))
        for name, more, into in (("p_inject_mw", p_inject_mw, p), ("q_inject_mvar", q_inject_mvar, q)):
            if more is not None:
                into -= rows_of(name, more, batch, net.n_bus)
        v2_source = np.abs(source_voltage(net, v_source_pu, batch)[:, net.topology.source_rank]) ** 2
        tree, sign = net.topology.tree, np.where(net.topology.child_is_to, 1.0, -1.0)
        a2 = tree.a_re**2 + tree.a_im**2
        v2 = np.full((batch, net.n_bus), np.nan)
        flows = np.zeros((2, batch, net.n_branch))
        _sweep(
            tree.parent, tree.order, tree.branch, a2, tree.z_re, tree.z_im, tree.y_re, tree.y_im,
            1.0 / net.base_mva, v2_source, p, q, sign, v2, flows,
        )  # fmt: skip
        with np.errstate(invalid="ignore"):
            parts = np.sqrt(v2), flows[0], flows[1]
        return LinearFlow(*parts) if sizes else LinearFlow(parts[0][0], parts[1][0], parts[2][0])

    def rows(self) -> LinearRows:
        """The equations between squared voltages, branch flows and injections, sparse."""
        from scipy.sparse import csr_matrix

        net, topology = self.net, self.net.topology
        tree, base = topology.tree, net.base_mva
        fed = np.flatnonzero(tree.parent >= 0)
        at, branch = np.arange(fed.size), tree.branch[fed]
        child, parent = tree.order[fed], tree.order[tree.parent[fed]]
        a2 = tree.a_re[fed] ** 2 + tree.a_im[fed] ** 2
        roots = tree.order[: topology.source_rank.size]
        size = fed.size + roots.size
        voltage = csr_matrix(
            (
                np.concatenate([np.ones(fed.size), -a2, np.ones(roots.size)]),
                (np.concatenate([at, at, np.arange(fed.size, size)]), np.concatenate([child, parent, roots])),
            ),
            shape=(size, net.n_bus),
        )
        sign = np.where(topology.child_is_to[branch], 2.0, -2.0) / base
        p_flow, q_flow = (
            csr_matrix((sign * z[fed], (at, branch)), shape=(size, net.n_branch))
            for z in (tree.z_re, tree.z_im)
        )
        fixed = np.zeros(size)
        fixed[fed.size :] = np.abs(net.source_phasor[topology.source_rank]) ** 2
        free = topology.energised.copy()
        free[net.source_node] = False
        bus = np.flatnonzero(free)
        live = np.flatnonzero(topology.in_tree)
        ends = np.concatenate([net.from_row[live], net.to_row[live]])
        incidence = csr_matrix(
            (np.repeat([-1.0, 1.0], live.size), (ends, np.tile(live, 2))), shape=(net.n_bus, net.n_branch)
        )
        return LinearRows(voltage, p_flow, q_flow, fixed, incidence[bus], bus)


def lin_dist_flow(net: Network | Network3) -> LinDistFlow | LinDistFlow3:
    """LinDistFlow of a feeder as it is (switches, taps, banks): matrices, sparse rows, direct evaluation.

    Of a per-phase network its three-phase form, see :class:`LinDistFlow3`.

    Raises:
        ValueError: Loops, parallel branches or generators that hold voltages: LinDistFlow is of trees.
    """
    if isinstance(net, Network3):
        return lin_dist_flow_phases(net)
    topology = net.topology
    if not topology.plain:
        raise ValueError(
            f"feeder {net.feeder.name!r} is solved with loops, parallel branches or held voltages: "
            "LinDistFlow is of trees; open branches, or compile it without keep_loops"
        )
    tree = topology.tree
    m = tree.order.size
    behind = np.zeros((m, net.n_bus), dtype=bool)
    for k in range(m - 1, -1, -1):
        behind[k, tree.order[k]] = True
        if tree.parent[k] >= 0:
            behind[tree.parent[k]] |= behind[k]
    by_p, by_q = (np.zeros((m, net.n_bus)) for _ in range(2))
    for k in range(m):
        up = tree.parent[k]
        if up >= 0:
            a2 = tree.a_re[k] ** 2 + tree.a_im[k] ** 2
            by_p[k] = a2 * by_p[up] + (2.0 * tree.z_re[k] / net.base_mva) * behind[k]
            by_q[k] = a2 * by_q[up] + (2.0 * tree.z_im[k] / net.base_mva) * behind[k]
    matrices = []
    for part in (by_p, by_q):
        whole = np.zeros((net.n_bus, net.n_bus))
        whole[tree.order] = part
        matrices.append(whole)
    nothing = np.zeros(net.n_bus)
    model = LinDistFlow(net, nothing, matrices[0], matrices[1], ptdf(net))
    v2_fixed = model.evaluate(nothing, nothing).v_pu ** 2
    return LinDistFlow(net, v2_fixed, matrices[0], matrices[1], model.flow_by_injection)


@kernel
def _sweep(parent, order, branch, a2, r, x, g, b, scale, v2_source, p, q, sign, v2, flows):  # type: ignore[no-untyped-def]
    """Fill ``v2`` (batch, n_bus) and ``flows`` (2, batch, n_branch) from net loads p, q in MW and Mvar."""
    m = parent.size
    into_p, into_q, u = np.empty(m), np.empty(m), np.empty(m)
    for row in range(p.shape[0]):
        root = 0
        for k in range(m):  # no load: what shunts see
            if parent[k] < 0:
                u[k] = v2_source[row, root]
                root += 1
            else:
                u[k] = a2[k] * u[parent[k]]
            into_p[k] = scale * p[row, order[k]] + g[k] * u[k]
            into_q[k] = scale * q[row, order[k]] - b[k] * u[k]
        for k in range(m - 1, -1, -1):
            if parent[k] >= 0:
                into_p[parent[k]] += into_p[k]
                into_q[parent[k]] += into_q[k]
        for k in range(m):
            if parent[k] >= 0:
                u[k] = a2[k] * u[parent[k]] - 2.0 * (r[k] * into_p[k] + x[k] * into_q[k])
                flows[0, row, branch[k]] = sign[branch[k]] * into_p[k] / scale
                flows[1, row, branch[k]] = sign[branch[k]] * into_q[k] / scale
            v2[row, order[k]] = u[k]
