"""What a further MW at each bus costs: energy, losses, voltage limits and congestion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..api import gradient
from ..balanced.solution import Solution
from ..unbalanced.solution import Solution3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarginalValues:
    """Cost of serving one more MW (Mvar) at each bus, and what it is made of, in money per MWh (Mvarh).

    (batch, n_bus), of per-phase solutions (batch, n_bus, 3); without the batch axis where the solution has
    none. By constant power: an injection is worth what a load costs. NaN in rows that did not converge.
    """

    energy: FloatArray  # the price at the sources; of reactive power the price of that
    losses: FloatArray  # what more has to come from the sources than is consumed
    voltage: FloatArray  # by the prices of voltage limits
    congestion: FloatArray  # by the prices of branch limits
    q_energy: FloatArray
    q_losses: FloatArray
    q_voltage: FloatArray
    q_congestion: FloatArray

    @property
    def total(self) -> FloatArray:
        """Per MWh consumed."""
        return self.energy + self.losses + self.voltage + self.congestion

    @property
    def q_total(self) -> FloatArray:
        """Per Mvarh consumed."""
        return self.q_energy + self.q_losses + self.q_voltage + self.q_congestion


def marginal_values(
    sol: Solution | Solution3,
    price_per_mwh: ArrayLike,
    *,
    price_per_mvarh: ArrayLike = 0.0,
    v_pu: ArrayLike | None = None,
    loading: ArrayLike | None = None,
) -> MarginalValues:
    """Locational marginal values of a solved power flow, exact on the nonlinear physics.

    The cost is that of power at the sources plus the prices of limits times what they limit, such as the
    multipliers of an optimal power flow: ``price * p_slack + sum(v_pu * V) + sum(loading * L)``.

    Args:
        sol: Of :func:`distgrid.physics.solve`; rows of a batch are valued one by one.
        price_per_mwh: Price of active power at the sources, a number or (batch,).
        price_per_mvarh: Price of reactive power there.
        v_pu: Money per hour and pu of each bus's voltage, shapes as in :func:`distgrid.physics.gradient`:
            positive at an upper limit that binds, negative at a lower one.
        loading: Money per hour and unit of each branch's loading (1: at the rating), not below 0.

    Raises:
        ValueError: As :func:`distgrid.physics.gradient`; a negative price of loading.
    """
    if loading is not None and (np.asarray(loading) < 0.0).any():
        raise ValueError("prices of loading must not be below 0: a limit never pays for being passed")
    supply = _of(gradient(sol, p_slack_mw=price_per_mwh, q_slack_mvar=price_per_mvarh))
    none = np.zeros(1), np.zeros(1)
    limits = (
        none if v_pu is None else _of(gradient(sol, v_pu=v_pu)),
        none if loading is None else _of(gradient(sol, loading=loading)),
    )
    p, q = (
        _parts(sol, price, [supply[k], limits[0][k], limits[1][k]])
        for k, price in enumerate((price_per_mwh, price_per_mvarh))
    )
    return MarginalValues(*p, *q)


def _parts(sol: Solution | Solution3, price: ArrayLike, found: list[FloatArray]) -> list[FloatArray]:
    """Energy, losses, voltage and congestion, of one shape; NaN where there is no voltage."""
    own = np.asarray(price, dtype=np.float64)
    energy = own.reshape(own.shape + (1,) * (found[0].ndim - 1)) if own.ndim else own
    shape = np.broadcast_shapes(*(part.shape for part in found), np.shape(sol.v_pu))
    nowhere = np.isnan(found[0]) | np.isnan(np.asarray(sol.v_pu))
    return [
        np.where(nowhere, np.nan, np.broadcast_to(part, shape))
        for part in (energy, found[0] - energy, found[1], found[2])
    ]


def _of(found: Any) -> tuple[FloatArray, FloatArray]:
    """By consumption of constant power."""
    return -found.p_inject_mw, -found.q_inject_mvar
