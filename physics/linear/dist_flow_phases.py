"""Three-phase LinDistFlow: squared voltages that are linear in the powers of all phases.

Along a line the drop of the squared voltage of phase i is ``2 Re(sum over j of conj(z_ij) r_ij S_j)`` with
the ratios ``r_ij = V_i / V_j`` of the phases taken as they are without load (Gan and Low, PSCC 2014; Arnold
et al., IEEE Trans. Power Syst. 31(5), 2016). That is the derivative of the power flow at no load, and as such
it is computed here: regulators, transformers of any connection, banks and line charging enter as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..api import solve
from ..unbalanced.adjoint import gradient
from ..unbalanced.network import Network3

FloatArray = NDArray[np.float64]
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class LinDistFlow3:
    """``v^2 = v2_fixed + v2_by_p @ p + v2_by_q @ q``, injections p, q in MW and Mvar, per phase.

    To use a matrix in a linear program, reshape it to (3 n_bus, 3 n_bus).
    """

    net: Network3 = field(repr=False)
    v2_fixed: FloatArray  # (n_bus, 3) squared voltages without any load or injection; NaN: no voltage
    v2_by_p: FloatArray  # (n_bus, 3, n_bus, 3) pu^2 per MW injected from ground
    v2_by_q: FloatArray
    v2_by_p_delta: FloatArray  # pu^2 per MW injected between two phases: legs AB, BC, CA
    v2_by_q_delta: FloatArray

    def evaluate(
        self, p_mw: ArrayLike | None = None, q_mvar: ArrayLike | None = None, *,
        p_delta_mw: ArrayLike | None = None, q_delta_mvar: ArrayLike | None = None,
        p_inject_mw: ArrayLike | None = None, q_inject_mvar: ArrayLike | None = None,
    ) -> FloatArray:  # fmt: skip
        """(batch, n_bus, 3) voltages in pu; arguments as of `solve`, (n_bus, 3) or (batch, n_bus, 3).

        Loads that depend on voltage count as what they are at 1 pu.
        """
        net = self.net
        parts = (
            ("p_mw", net.load_p_mw if p_mw is None else p_mw, -self.v2_by_p),
            ("q_mvar", net.load_q_mvar if q_mvar is None else q_mvar, -self.v2_by_q),
            ("p_delta_mw", net.delta_p_mw if p_delta_mw is None else p_delta_mw, -self.v2_by_p_delta),
            ("q_delta_mvar", net.delta_q_mvar if q_delta_mvar is None else q_delta_mvar, -self.v2_by_q_delta),
            ("p_inject_mw", p_inject_mw, self.v2_by_p), ("q_inject_mvar", q_inject_mvar, self.v2_by_q),
        )  # fmt: skip
        v2: FloatArray = self.v2_fixed
        for name, value, matrix in parts:
            if value is None:
                continue
            array = np.asarray(value, dtype=np.float64)
            if array.shape[-2:] != (net.n_bus, 3) or array.ndim not in (2, 3) or not np.isfinite(array).all():
                raise ValueError(
                    f"{name} must be finite and of shape ({net.n_bus}, 3) or (batch, {net.n_bus}, 3), got "
                    f"shape {array.shape}"
                )
            flat = array.reshape(*array.shape[:-2], -1) @ matrix.reshape(3 * net.n_bus, -1).T
            v2 = v2 + flat.reshape(*array.shape[:-2], net.n_bus, 3)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(v2))


def lin_dist_flow_phases(net: Network3) -> LinDistFlow3:
    """LinDistFlow of a per-phase network as it is (switches, taps, banks)."""
    nothing = np.zeros((net.n_bus, 3))
    sol = solve(net, nothing, nothing, p_delta_mw=nothing, q_delta_mvar=nothing, tol=1e-12)
    if not sol.converged:
        raise ValueError(f"feeder {net.feeder.name!r} has no power flow without load")
    v = np.asarray(sol.v_pu)
    places = np.argwhere(np.isfinite(v))
    found = np.zeros((4, net.n_bus, 3, net.n_bus, 3))
    for first in range(0, len(places), _ROWS_AT_ONCE):
        some = places[first : first + _ROWS_AT_ONCE]
        seeds = np.zeros((len(some), net.n_bus, 3))
        at = tuple(some.T)
        seeds[(np.arange(len(some)), *at)] = 2.0 * v[at]
        by = gradient(sol, {"v_pu": seeds})
        parts = (by.p_inject_mw, by.q_inject_mvar, by.p_delta_inject_mw, by.q_delta_inject_mvar)
        for into, part in zip(found, parts, strict=True):
            into[at] = part
    return LinDistFlow3(net, v**2, found[0], found[1], found[2], found[3])
