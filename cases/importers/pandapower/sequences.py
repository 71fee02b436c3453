"""Impedances of a pandapower net in positive and zero sequence, as `runpp_3ph` compiles them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .matrices import branch_matrices

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
        (one, self._zero), self._place = branch_matrices(
            net, "pf_3ph", check_connectivity=True, sequences=(1, 0)
        )
        self._one = np.real(one)

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
