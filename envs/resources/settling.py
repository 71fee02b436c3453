"""Devices whose power answers to the voltage that it brings about, within one interval."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Floats, Resource

BoolArray = NDArray[np.bool_]


class SettlingResource(Resource):
    """An array program that controls by voltage faster than an interval is long.

    After the power flow of a step the environment asks `respond` for the powers at the voltages found,
    solves again, and goes on until both agree: see `envs.core.settling`. `advance` leaves a first guess.
    Voltages are those of a unit's own terminals: of its phase, or the mean over its phases.
    """

    uses_voltage: ClassVar[bool] = True
    writes: ClassVar[tuple[str, ...]] = ("unsettled",)

    @abstractmethod
    def respond(self, v_pu: Floats, p_mw: Floats, q_mvar: Floats) -> None:
        """Fill `p_mw, q_mvar` with what the units give at `v_pu`, in the interval that `advance` began.

        All (batch, n_units). The powers come as they are now: a unit that does not answer leaves its own
        alone. `v_pu` is NaN where nothing feeds the terminals.
        """

    def switch_off(self, v_pu: Floats, rows: BoolArray, changed: BoolArray) -> bool:
        """Switch off what must not stay on at the voltages where `rows` (batch,) have come to rest.

        Fill `changed` (batch,) with the rows in which that happened: they settle once more. True where there
        is any. Nothing is switched off unless overridden.
        """
        return False

    def rest(self, p_mw: Floats, q_mvar: Floats, missed: BoolArray) -> None:
        """Take over the powers of the interval; `missed` (batch, n_units): those without rest."""
        self.current_p_mw[:], self.current_q_mvar[:] = p_mw, q_mvar
        self.accounts["unsettled"][:] = missed

    def most_of(self, account: str, dt_h: float) -> float:
        """As `Resource.most_of`; each unit may fail to settle."""
        return float(self.n_units) if account == "unsettled" else super().most_of(account, dt_h)
