"""A three-phase power flow with its memory kept: the same network again and again, for as many rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..stepper import Flags
from .kernels import ALL_GOOD, room_for, solve_rows
from .measure import Limits, Measures, measure_rows
from .network import Network3
from .program import COLLAPSED, CONVERGED, DIVERGED, FloatArray, Inputs, IntArray, Outputs
from .solve import refuse

_NO_START = np.empty((0, 0), dtype=np.complex128)
_POWERS = 8  # of `Inputs`


class Stepper3:
    """Solve ``batch`` rows of a per-phase network into arrays that are allocated once.

    Fill ``load_p_mw, load_q_mvar, delta_p_mw, delta_q_mvar`` (power at 1 pu, positive when it consumes),
    ``inject_p_mw, inject_q_mvar, delta_inject_p_mw, delta_inject_q_mvar`` (constant power, positive when it
    injects), all (batch, n_bus, 3); ``tap`` (batch, n_regulator) ratios and ``cap_on`` (batch, n_capacitor) 0
    or 1, which start as stored; call :meth:`solve`, read the results. The next call overwrites them: copy
    what you hand out. Power on a phase or leg that does not exist is a ValueError. Voltage limits are per
    node and hold for each of its phases, ``vuf_max_pct`` for each node with three; thermal limits are a third
    of a branch's rating for each of its phases; NaN means no limit.

    Attributes (written by ``solve``): ``v`` (batch, n_bus, 3) complex pu, ``v_pu``; ``vuf_pct`` (batch,
    n_bus); ``s_from, s_to`` (batch, n_branch, 3) complex MVA into the branch; ``i_ka``, ``loading`` (batch,
    n_branch, 3); ``loss_mva, slack_mva`` (batch,) complex; ``voltage_violation_pu, n_voltage_violations``
    (phases), ``overload_mva, n_overloads`` (branch phases), ``vuf_violation_pct, n_vuf_violations``;
    ``status, iterations, v_update_pu``.
    """

    def __init__(
        self, net: Network3, batch: int, v_min: FloatArray, v_max: FloatArray, vuf_max_pct: float = 2.0
    ) -> None:
        n, m = net.n_bus, net.n_branch
        self.net, self.batch = net, batch
        self.v_min, self.v_max, self.vuf_max_pct = v_min, v_max, vuf_max_pct
        self.v_collapse_pu = 0.5
        powers = [np.zeros((batch, 3 * n)) for _ in range(_POWERS)]
        shaped = [a.reshape(batch, n, 3) for a in powers]
        self.load_p_mw, self.load_q_mvar, self.inject_p_mw, self.inject_q_mvar = shaped[:4]
        self.delta_p_mw, self.delta_q_mvar, self.delta_inject_p_mw, self.delta_inject_q_mvar = shaped[4:]
        self.tap = np.repeat(net.tap[None], batch, axis=0)
        self.cap_on = np.repeat(net.cap_on[None], batch, axis=0)
        v_source = np.repeat(net.source_row, batch, axis=0)
        self._inputs = Inputs._make([*powers, v_source, _NO_START, self.tap, self.cap_on])
        self._out = Outputs(
            np.empty((batch, 6 * n + 3 * len(net.sources)), dtype=np.complex128), np.zeros((batch, 3))
        )
        self._room = room_for(net.topology.program, net.cap_on.size, batch)
        self.v = self._out.phasors[:, : 3 * n].reshape(batch, n, 3)
        self._measures = _room(batch, n, m)
        self._ends = np.empty((2, 6 * m))
        self._limits = Limits(
            np.asarray(v_min, dtype=np.float64).copy(), np.asarray(v_max, dtype=np.float64).copy(),
            float(vuf_max_pct), net.phase_rating_mva, net.base_kv, net.base_mva,
            np.array([source.node for source in net.sources], dtype=np.int64),
        )  # fmt: skip
        measures = self._measures
        self.v_pu = measures.v_pu.reshape(batch, n, 3)
        self.vuf_pct = measures.vuf_pct
        self.s_from, self.s_to, self.i_ka, self.loading = (
            a.reshape(batch, m, 3) for a in (measures.s_from, measures.s_to, measures.i_ka, measures.loading)
        )
        self.loss_mva, self.slack_mva = measures.loss_mva, measures.slack_mva
        self.voltage_violation_pu, self.n_voltage_violations = measures.sums[0], measures.counts[0]
        self.overload_mva, self.n_overloads = measures.sums[1], measures.counts[1]
        self.vuf_violation_pct, self.n_vuf_violations = measures.sums[2], measures.counts[2]

    @property
    def status(self) -> IntArray:
        """(batch,) bits of `converged`, `diverged`, `collapsed`."""
        return self._out.notes[:, 0].astype(np.int64)

    @property
    def iterations(self) -> IntArray:
        """(batch,) sweeps."""
        return self._out.notes[:, 1].astype(np.int64)

    @property
    def v_update_pu(self) -> FloatArray:
        """(batch,) last voltage change."""
        return self._out.notes[:, 2]

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(batch,) a true solution."""
        return (self.status & CONVERGED) != 0

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """(batch,) no solution was found."""
        return (self.status & DIVERGED) != 0

    @property
    def collapsed(self) -> NDArray[np.bool_]:
        """(batch,) some phase is below the collapse voltage."""
        return (self.status & COLLAPSED) != 0

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(batch,) diverged or collapsed: what an environment calls a failed power flow."""
        return (self.status & (DIVERGED | COLLAPSED)) != 0

    def flags(self, row: int) -> Flags:
        """The three flags of one row as Python bools."""
        status = int(self._out.notes[row, 0])
        return Flags(bool(status & CONVERGED), bool(status & DIVERGED), bool(status & COLLAPSED))

    def solve(self, tol: float = 1e-8, max_iter: int = 100, lo: int = 0, hi: int | None = None) -> None:
        """Solve rows [lo, hi), all by default, from no-load voltages: the past has no influence."""
        topology, hi = self.net.topology, self.batch if hi is None else hi
        answer = solve_rows(
            *topology.program, *self._inputs, True, lo, hi, 3.0 / self.net.base_mva, tol, max_iter,
            self.v_collapse_pu, *self._room, *self._out,
        )  # fmt: skip
        if answer != ALL_GOOD:
            refuse(self.net, topology, self._inputs)
        measure_rows(
            *topology.program, *topology.flows, lo, hi, self.tap, self._out.phasors, *self._limits,
            *self._measures, self._ends,
        )  # fmt: skip


def _room(batch: int, n: int, m: int) -> Measures:
    return Measures(
        v_pu=np.zeros((batch, 3 * n)),
        vuf_pct=np.zeros((batch, n)),
        s_from=np.zeros((batch, 3 * m), dtype=np.complex128),
        s_to=np.zeros((batch, 3 * m), dtype=np.complex128),
        i_ka=np.zeros((batch, 3 * m)),
        loading=np.zeros((batch, 3 * m)),
        loss_mva=np.zeros(batch, dtype=np.complex128),
        slack_mva=np.zeros(batch, dtype=np.complex128),
        sums=np.zeros((3, batch)),
        counts=np.zeros((3, batch), dtype=np.int64),
    )
