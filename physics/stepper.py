"""A power flow with its memory kept: the same network solved again and again for the same number of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .metrics import Branches, Nodes, Power, State, Violations, step_rows
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
    Thermal and voltage limits are per branch and per node; NaN means no limit. ValueError for a network that
    keeps its loops.

    Attributes (written by ``solve``): ``v`` (batch, n_bus) complex pu, ``v_pu``; ``s_from, s_to`` (batch,
    n_branch) complex MVA into the branch; ``i_ka``, ``loading``; ``loss_mva, slack_mva`` (batch,) complex;
    ``voltage_violation_pu, n_voltage_violations, overload_mva, n_overloads``; ``status, iterations,
    v_update_pu``.
    """

    def __init__(self, net: Network, batch: int, v_min: FloatArray, v_max: FloatArray) -> None:
        if net.topology.loops is not None:
            raise ValueError("a stepper solves trees: compile the feeder without keep_loops=True")
        n, m = net.n_bus, net.n_branch
        self.net, self.batch = net, batch
        self.v_min, self.v_max = v_min, v_max
        self.v_collapse_pu = 0.5
        self._power = Power(*(np.zeros((batch, n)) for _ in Power._fields))
        self.load_p_mw, self.load_q_mvar = self._power.load_p_mw, self._power.load_q_mvar
        self.inject_p_mw, self.inject_q_mvar = self._power.inject_p_mw, self._power.inject_q_mvar
        rank = net.topology.source_rank
        self._v_source = np.repeat(net.source_phasor[rank][None], batch, axis=0)
        self._branches, self._nodes = _constants(net, v_min, v_max)
        self._state = state = _room(batch, n, m, rank.size)
        self._beyond = beyond = Violations(
            np.zeros(batch), np.zeros(batch, dtype=np.int64), np.zeros(batch), np.zeros(batch, dtype=np.int64)
        )
        self.v, self.v_pu = state.v, state.v_pu
        self.s_from, self.s_to, self.i_ka, self.loading = state.s_from, state.s_to, state.i_ka, state.loading
        self.loss_mva, self.slack_mva = state.loss_mva, state.slack_mva
        self.status, self.iterations, self.v_update_pu = state.status, state.iterations, state.v_update_pu
        self.voltage_violation_pu, self.n_voltage_violations = beyond.voltage_pu, beyond.n_voltage
        self.overload_mva, self.n_overloads = beyond.overload_mva, beyond.n_overload

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
        step_rows(
            self.net.topology.tree, 0, self.batch, self._power, self._v_source, _NO_ROWS, self.net.base_mva,
            tol, max_iter, self.v_collapse_pu, self._branches, self._nodes, self._state, self._beyond,
        )  # fmt: skip


def _constants(net: Network, v_min: FloatArray, v_max: FloatArray) -> tuple[Branches, Nodes]:
    top = net.topology
    dependent = np.zeros(net.n_bus, dtype=bool)
    dependent[net.zip_node] = True
    return (
        Branches(net.from_row, net.to_row, top.child_is_to, top.in_tree, top.ratio, net.b_pu, net.rating_mva),
        Nodes(net.base_kv, v_min, v_max, dependent),
    )


def _room(batch: int, n: int, m: int, n_source: int) -> State:
    return State(
        v=np.full((batch, n), np.nan + 0j),
        current=np.zeros((batch, m), dtype=np.complex128),
        i_source=np.zeros((batch, n_source), dtype=np.complex128),
        status=np.zeros(batch, dtype=np.int64),
        iterations=np.zeros(batch, dtype=np.int64),
        v_update_pu=np.zeros(batch),
        s_from=np.zeros((batch, m), dtype=np.complex128),
        s_to=np.zeros((batch, m), dtype=np.complex128),
        v_pu=np.zeros((batch, n)),
        i_ka=np.zeros((batch, m)),
        loading=np.zeros((batch, m)),
        loss_mva=np.zeros(batch, dtype=np.complex128),
        slack_mva=np.zeros(batch, dtype=np.complex128),
    )
