"""Impedances of a pandapower net in positive and zero sequence, as `runpp_3ph` compiles them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quiet import quiet

_A = np.exp(2j * np.pi / 3)
#: Zero, positive and negative sequence to the phases A, B, C.
TO_PHASES = np.array([[1, 1, 1], [1, _A**2, _A], [1, _A, _A**2]])


def phase_matrix(zero: complex, positive: complex, negative: complex) -> NDArray[np.complex128]:
    """(3, 3) matrix of an element whose sequences are apart from each other."""
    return np.asarray(TO_PHASES @ np.diag([zero, positive, negative]) @ np.linalg.inv(TO_PHASES))


@dataclass(frozen=True)
class Sequences:
    """One branch: series impedance and what its ends draw, in pu on sn_mva per phase."""

    z1: complex
    y1_from: complex
    y1_to: complex
    z0: complex
    y0_from: complex
    y0_to: complex
    tap: float
    shift_deg: float


class Compiled:
    """pandapower's matrices of a net in both sequences."""

    def __init__(self, net: Any) -> None:
        with quiet():
            from pandapower.auxiliary import _add_ppc_options
            from pandapower.pd2ppc import _pd2ppc

            net["_options"] = {}
            _add_ppc_options(
                net, calculate_voltage_angles=True, trafo_model="t", check_connectivity=True, mode="pf_3ph",
                switch_rx_ratio=2.0, init_vm_pu="flat", init_va_degree="flat", enforce_q_lims=False,
                enforce_p_lims=False, recycle=None, voltage_depend_loads=False,
            )  # fmt: skip
            self._one = np.real(_pd2ppc(net, 1)[0]["branch"])
            self._zero = _pd2ppc(net, 0)[0]["branch"]
        self._place = {table: first for table, (first, _) in net._pd2ppc_lookups["branch"].items()}

    def of(self, table: str, at: int) -> Sequences:
        """Branch `at` of a table of the net."""
        row = self._place[table] + at
        one, zero = self._one[row], self._zero[row]
        return Sequences(*_pi(one), *_pi(zero), float(one[8]) or 1.0, float(one[9]))


def _pi(row: Any) -> tuple[complex, complex, complex]:
    """Series impedance, and the admittances at the from end (behind its ratio) and the to end."""
    from pandapower.pypower.idx_brch import BR_B_ASYM, BR_G, BR_G_ASYM

    row = np.asarray(row, dtype=np.complex128)
    g, b, g_more, b_more = (float(row[k].real) for k in (BR_G, 4, BR_G_ASYM, BR_B_ASYM))
    tap = float(row[8].real) or 1.0
    y_from, y_to = 0.5 * (g + 1j * b) / tap**2, 0.5 * (g + g_more + 1j * (b + b_more))
    return complex(row[2].real, row[3].real), y_from, y_to
