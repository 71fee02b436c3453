"""A power flow with its memory kept: the same network solved again and again for the same number of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import kernels, metrics
from .network import Network

FloatArray = NDArray[np.float64]
_NO_ROWS = np.empty((0, 0), dtype=np.complex128)


class Flags(NamedTuple):
    """How a power flow ended; see :class:`distgrid.physics.Solution`."""

    converged: bool
    diverged: bool
    collapsed: bool


class Stepper:
    """Solve ``batch`` rows of ``net`` into arrays that are allocated once.

    Fill ``load_p_mw, load_q_mvar`` (batch, n_bus; power at 1 pu, positive when it consumes) and
    ``inject_p_mw, inject_q_mvar`` (batch, n_bus; constant power, positive when it injects), call
    :meth:`solve`, read the results. The next call overwrites them: copy what you hand out.
    Thermal and voltage limits are per branch and per node; NaN means no limit.
    """

    def __init__(self, net: Network, batch: int, v_min: FloatArray, v_max: FloatArray) -> None:
        n, m = net.n_bus, net.n_branch
        self.net, self.batch = net, batch
        self.v_min, self.v_max = v_min, v_max
        self.v_collapse_pu = 0.5
        self.load_p_mw, self.load_q_mvar = np.zeros((batch, n)), np.zeros((batch, n))
        self.inject_p_mw, self.inject_q_mvar = np.zeros((batch, n)), np.zeros((batch, n))
        self._p, self._q = np.zeros((batch, n)), np.zeros((batch, n))
        phasor = net.source_v_pu * np.exp(1j * np.deg2rad(net.source_deg))
        rank = net.topology.source_rank
        self._v_source = np.ascontiguousarray(np.broadcast_to(phasor[rank], (batch, rank.size)))
        self.v = np.full((batch, n), np.nan + 0j)
        self._current = np.zeros((batch, m), dtype=np.complex128)
        self._i_source = np.zeros((batch, rank.size), dtype=np.complex128)
        self.status = np.zeros(batch, dtype=np.int64)
        self.iterations = np.zeros(batch, dtype=np.int64)
        self.v_update_pu = np.zeros(batch)
        self.s_from, self.s_to = (
            np.zeros((batch, m), dtype=np.complex128),
            np.zeros((batch, m), dtype=np.complex128),
        )
        self.v_pu, self.loading, self.i_ka = np.zeros((batch, n)), np.zeros((batch, m)), np.zeros((batch, m))
        self.loss_mva = np.zeros(batch, dtype=np.complex128)
        self.slack_mva = np.zeros(batch, dtype=np.complex128)
        self.voltage_violation_pu, self.n_voltage_violations = (
            np.zeros(batch),
            np.zeros(batch, dtype=np.int64),
        )
        self.overload_mva, self.n_overloads = np.zeros(batch), np.zeros(batch, dtype=np.int64)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(batch,) a true solution."""
        return (self.status & kernels.CONVERGED) != 0

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """(batch,) no solution was found."""
        return (self.status & kernels.DIVERGED) != 0

    @property
    def collapsed(self) -> NDArray[np.bool_]:
        """(batch,) some node is below the collapse voltage."""
        return (self.status & kernels.COLLAPSED) != 0

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(batch,) diverged or collapsed: what an environment calls a failed power flow."""
        return (self.status & (kernels.DIVERGED | kernels.COLLAPSED)) != 0

    def flags(self, row: int) -> Flags:
        """The three flags of one row as Python bools."""
        status = int(self.status[row])
        return Flags(
            bool(status & kernels.CONVERGED),
            bool(status & kernels.DIVERGED),
            bool(status & kernels.COLLAPSED),
        )

    def solve(self, tol: float = 1e-8, max_iter: int = 100) -> None:
        """Solve every row from no-load voltages; results depend on the inputs only, not on the past."""
        net, top = self.net, self.net.topology
        _net_power(self.load_p_mw, self.inject_p_mw, net.zip_node, self._p)
        _net_power(self.load_q_mvar, self.inject_q_mvar, net.zip_node, self._q)
        kernels.sweep_rows(
            top.tree, 0, self.batch, self._p, self._q, self.load_p_mw, self.load_q_mvar, self._v_source,
            _NO_ROWS, 1.0 / net.base_mva, tol, max_iter, self.v_collapse_pu,
            self.v, self._current, self._i_source, self.status, self.iterations, self.v_update_pu,
        )  # fmt: skip
        kernels.flow_rows(
            0, self.batch, net.from_row, net.to_row, top.child_is_to, top.in_tree, top.ratio, net.b_pu,
            net.base_mva, self.v, self._current, self.s_from, self.s_to,
        )  # fmt: skip
        metrics.voltage_rows(
            0, self.batch, self.v, self.v_min, self.v_max, self.v_pu,
            self.voltage_violation_pu, self.n_voltage_violations,
        )  # fmt: skip
        metrics.branch_rows(
            0, self.batch, net.from_row, net.to_row, net.base_kv, net.rating_mva, self.v_pu,
            self.s_from, self.s_to,
            self.i_ka, self.loading, self.loss_mva, self.overload_mva, self.n_overloads,
        )  # fmt: skip
        np.einsum("ij,ij->i", self._v_source, np.conj(self._i_source), out=self.slack_mva)
        self.slack_mva *= net.base_mva


def _net_power(load: FloatArray, inject: FloatArray, zip_node: NDArray[np.int64], out: FloatArray) -> None:
    """Constant-power part of the net load; loads at ZIP nodes go to the kernel by another door."""
    if zip_node.size == 0:
        np.subtract(load, inject, out=out)
        return
    out[:] = load
    out[:, zip_node] = 0.0
    out -= inject
