"""What a power flow returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .network import Network

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Solution:
    """Result of :func:`distgrid.physics.solve`, in the order of ``feeder.nodes`` and ``feeder.branches``.

    Arrays are ``(batch, n_bus)`` or ``(batch, n_branch)``; for a single case given without a batch axis they
    have no batch axis, and the scalars below are NumPy scalars. De-energised nodes are NaN, branches that
    are open, dead or left out carry 0.

    ``converged``: a true solution (two sweeps in a row moved no voltage by ``tol`` and left a power mismatch
    below ``10 tol``). ``diverged``: ``max_iter`` reached or the update grew without bound; the numbers are
    the last iterate.
    ``collapsed``: some node fell below ``v_collapse_pu``: of the solution where converged, of
    any iterate otherwise.
    """

    net: Network
    v: NDArray[np.complex128]  # (batch, n_bus) pu
    i_branch: NDArray[np.complex128] = field(repr=False)  # (batch, n_branch) pu, into the child end
    s_source_mva: NDArray[np.complex128]  # (batch, n_source) power delivered by each source
    converged: BoolArray
    diverged: BoolArray
    collapsed: BoolArray
    iterations: NDArray[np.int64]
    v_update_pu: FloatArray  # (batch,) last voltage change; of pandapower's methods, Newton's next one
    groups: tuple[tuple[Any, Any], ...] = field(repr=False)  # (rows, Topology)
    squeeze: bool = field(repr=False)

    def _out(self, array: NDArray[Any]) -> Any:
        return array[0] if self.squeeze else array

    @cached_property
    def v_pu(self) -> FloatArray:
        """Voltage magnitude, pu of each bus's base."""
        return np.asarray(self._out(np.abs(self._v)))

    @cached_property
    def v_deg(self) -> FloatArray:
        """Voltage angle in degrees."""
        return np.asarray(self._out(np.angle(self._v, deg=True)))

    @property
    def _v(self) -> NDArray[np.complex128]:
        return np.atleast_2d(self.v)

    @cached_property
    def _flows(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Complex MVA into the from and the to end of each branch, (batch, n_branch)."""
        net, v, current = self.net, self._v, np.atleast_2d(self.i_branch)
        s_from, s_to = np.empty_like(current), np.empty_like(current)
        for rows, top in self.groups:
            whole = isinstance(rows, slice)
            part_v, part_i = (v, current) if whole else (v[rows], current[rows])
            ends = (s_from, s_to) if whole else (np.empty_like(part_i), np.empty_like(part_i))
            kernels.flow_rows(
                0, part_v.shape[0], net.from_row, net.to_row, top.child_is_to, top.in_tree, top.ratio,
                net.b_pu, net.base_mva, part_v, part_i, ends[0], ends[1],
            )  # fmt: skip
            if not whole:
                s_from[rows], s_to[rows] = ends
        return s_from, s_to

    @cached_property
    def p_from_mw(self) -> FloatArray:
        """Active power into the from end of each branch, MW."""
        return np.asarray(self._out(self._flows[0].real))

    @cached_property
    def q_from_mvar(self) -> FloatArray:
        """Reactive power into the from end, MVAr."""
        return np.asarray(self._out(self._flows[0].imag))

    @cached_property
    def p_to_mw(self) -> FloatArray:
        """Active power into the to end, MW: negative where power leaves the branch there."""
        return np.asarray(self._out(self._flows[1].real))

    @cached_property
    def q_to_mvar(self) -> FloatArray:
        """Reactive power into the to end, MVAr."""
        return np.asarray(self._out(self._flows[1].imag))

    @cached_property
    def i_ka(self) -> FloatArray:
        """Larger of the two ends' currents, kA."""
        return np.asarray(self._out(branch_current_ka(self.net, self._v, *self._flows)))

    @cached_property
    def loading(self) -> FloatArray:
        """Larger end's apparent power over the rating; NaN where a branch has no rating."""
        s = np.maximum(np.abs(self._flows[0]), np.abs(self._flows[1]))
        return np.asarray(self._out(s / self.net.rating_mva))

    @cached_property
    def p_loss_mw(self) -> Any:
        """Sum over branches of the power that enters and does not leave."""
        return self._out((self._flows[0].real + self._flows[1].real).sum(axis=1))

    @cached_property
    def q_loss_mvar(self) -> Any:
        """Same for reactive power: series losses less what line charging makes."""
        return self._out((self._flows[0].imag + self._flows[1].imag).sum(axis=1))

    @cached_property
    def p_slack_mw(self) -> Any:
        """Active power delivered by all sources together."""
        return self._out(np.atleast_2d(self.s_source_mva).real.sum(axis=1))

    @cached_property
    def q_slack_mvar(self) -> Any:
        """Reactive power delivered by all sources together."""
        return self._out(np.atleast_2d(self.s_source_mva).imag.sum(axis=1))

    @property
    def vuf_pct(self) -> Any:
        """Voltage unbalance: zero by the assumption of a balanced (positive-sequence) feeder."""
        return self._out(np.zeros(self._v.shape[0]))


def branch_current_ka(
    net: Network, v: NDArray[np.complex128], s_from: NDArray[np.complex128], s_to: NDArray[np.complex128]
) -> FloatArray:
    """(batch, n_branch) larger of the two ends' currents, from voltages in pu and flows in MVA."""
    ends = []
    for flow, row in ((s_from, net.from_row), (s_to, net.to_row)):
        kv = np.abs(v[:, row]) * net.base_kv[row]
        safe = np.where(np.isfinite(kv) & (kv > 0), kv, 1.0)  # dead ends carry no flow
        ends.append(np.abs(flow) / (np.sqrt(3.0) * safe))
    return np.asarray(np.maximum(*ends))
