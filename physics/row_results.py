"""What is known of every row once it is solved: the columns of ``ended`` and ``measured``, named once.

Kernels write these two tables and everybody else reads them by the names below, balanced and per phase alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .flags import COLLAPSED, CONVERGED, DIVERGED, Flags

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ComplexArray = NDArray[np.complex128]

#: Columns of ``ended``: bits of the status, sweeps, and how many limits are passed.
STATUS, ITERATIONS, N_VOLTAGE, N_OVERLOAD, N_UNBALANCE = range(5)
N_ENDED = 5
#: Columns of ``measured``, in pu, MW, MVAr, MW, MVAr, pu, MVA and percent.
V_UPDATE, P_LOSS, Q_LOSS, P_SLACK, Q_SLACK, VOLTAGE_VIOLATION, OVERLOAD, VUF_VIOLATION = range(8)
N_MEASURED = 8


class RowResults:
    """Both tables and their columns by name, which are live views; a subclass solves.

    ``status, iterations, n_voltage_violations, n_overloads, n_vuf_violations`` (batch,) int64;
    ``v_update_pu, voltage_violation_pu, overload_mva, vuf_violation_pct`` (batch,); ``loss_mva, slack_mva``
    (batch,) complex. What a solver does not measure stays 0.
    """

    ended: IntArray  # (batch, N_ENDED)
    measured: FloatArray  # (batch, N_MEASURED)
    status: IntArray
    iterations: IntArray
    n_voltage_violations: IntArray
    n_overloads: IntArray
    n_vuf_violations: IntArray
    v_update_pu: FloatArray
    voltage_violation_pu: FloatArray
    overload_mva: FloatArray
    vuf_violation_pct: FloatArray
    loss_mva: ComplexArray
    slack_mva: ComplexArray

    def _name_columns(self, ended: IntArray, measured: FloatArray) -> None:
        """Take over the tables and give their columns names."""
        self.ended, self.measured = ended, measured
        self.status, self.iterations = ended[:, STATUS], ended[:, ITERATIONS]
        self.n_voltage_violations, self.n_overloads = (
            ended[:, N_VOLTAGE],
            ended[:, N_OVERLOAD],
        )
        self.n_vuf_violations = ended[:, N_UNBALANCE]
        self.v_update_pu = measured[:, V_UPDATE]
        self.voltage_violation_pu = measured[:, VOLTAGE_VIOLATION]
        self.overload_mva = measured[:, OVERLOAD]
        self.vuf_violation_pct = measured[:, VUF_VIOLATION]
        losses, slack = (P_LOSS, Q_LOSS + 1), (P_SLACK, Q_SLACK + 1)
        self.loss_mva = measured[:, slice(*losses)].view(np.complex128)[:, 0]
        self.slack_mva = measured[:, slice(*slack)].view(np.complex128)[:, 0]

    @property
    def converged(self) -> BoolArray:
        """(batch,) a true solution."""
        return (self.status & CONVERGED) != 0

    @property
    def diverged(self) -> BoolArray:
        """(batch,) no solution was found; per phase also where a voltage is above the operable."""
        return (self.status & DIVERGED) != 0

    @property
    def collapsed(self) -> BoolArray:
        """(batch,) some node, or phase, is below the collapse voltage."""
        return (self.status & COLLAPSED) != 0

    @property
    def failed(self) -> BoolArray:
        """(batch,) diverged or collapsed: what an environment calls a failed power flow."""
        return (self.status & (DIVERGED | COLLAPSED)) != 0

    def flags(self, row: int) -> Flags:
        """The three flags of one row as Python bools."""
        status = int(self.status[row])
        return Flags(bool(status & CONVERGED), bool(status & DIVERGED), bool(status & COLLAPSED))
