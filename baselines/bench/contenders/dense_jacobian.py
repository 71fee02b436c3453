"""The gradient of the losses by a dense Jacobian, as a textbook on optimal power flow has it.

Complex powers of all buses by the admittance matrix, their Jacobian by real and imaginary parts of the
voltages without the source's, and one solution of its transpose by LAPACK. O(n^3), and no shared code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .... import physics

ComplexArray = NDArray[np.complex128]
FloatArray = NDArray[np.float64]
NAME = "dense Jacobian, LAPACK"


@dataclass(frozen=True, eq=False)
class DenseJacobian:
    """A balanced feeder with constant powers and one source."""

    y: ComplexArray  # (n, n) pu
    free: NDArray[np.int64]  # buses but the source
    base_mva: float

    @classmethod
    def of(cls, net: physics.Network) -> DenseJacobian:
        """The admittance matrix of what is closed."""
        live = np.flatnonzero(net.topology.in_tree)
        series = 1.0 / (net.r_pu[live] + 1j * net.x_pu[live])
        ratio, half = net.topology.ratio[live], 0.5j * net.b_pu[live]
        y = np.diag(net.fixed_admittance.astype(np.complex128))
        start, end = net.from_row[live], net.to_row[live]
        np.add.at(y, (start, start), (series + half) / np.abs(ratio) ** 2)
        np.add.at(y, (end, end), series + half)
        np.add.at(y, (start, end), -series / np.conj(ratio))
        np.add.at(y, (end, start), -series / ratio)
        np.add.at(y, (net.cap_node, net.cap_node), 1j * np.where(net.cap_on, net.cap_susceptance, 0.0))
        free = np.setdiff1d(np.arange(net.n_bus), net.source_node)
        return cls(y, free, net.base_mva)

    def loss_gradient(self, v: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """dLoss/dP and dLoss/dQ by injections at all buses: losses are the sum of all real powers."""
        current = self.y @ v
        n = v.size
        by_re = np.diag(np.conj(current)) + v[:, None] * np.conj(self.y)
        by_im = 1j * np.diag(np.conj(current)) - 1j * v[:, None] * np.conj(self.y)
        free = self.free
        rows = np.ix_(free, free)
        jacobian = np.block(
            [[by_re.real[rows], by_im.real[rows]], [by_re.imag[rows], by_im.imag[rows]]]
        )  # fmt: skip
        by_v = np.concatenate([by_re.real.sum(axis=0)[free], by_im.real.sum(axis=0)[free]])
        found = np.linalg.solve(jacobian.T, by_v)
        p, q = np.zeros(n), np.zeros(n)
        p[free], q[free] = found[: free.size], found[free.size :]
        return p, q
