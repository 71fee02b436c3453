"""What local control needs of a power flow: a network with tables and switched devices, and its solutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...cases.model.feeder import Feeder


class ControlledNetwork(Protocol):
    """A compiled per-phase feeder."""

    @property
    def feeder(self) -> Feeder:
        """The feeder, whose tables hold the settings."""

    @property
    def base_kv(self) -> NDArray[np.float64]:
        """(n_bus,) between two phases."""

    @property
    def from_row(self) -> NDArray[np.int64]:
        """(n_branch,) node rows."""

    @property
    def to_row(self) -> NDArray[np.int64]:
        """(n_branch,) node rows."""

    @property
    def tap(self) -> NDArray[np.float64]:
        """(n_regulator,) stored ratios."""

    @property
    def cap_on(self) -> NDArray[np.float64]:
        """(n_capacitor,) stored states, 0 or 1."""


class ControlledSolution(Protocol):
    """Voltages (batch or nothing, n_bus, 3) in pu and powers into both ends of every branch."""

    v: Any
    converged: Any
    p_from_mw: Any
    q_from_mvar: Any
    p_to_mw: Any
    q_to_mvar: Any


#: Solves a network at given taps (ratios) and bank states.
PowerFlow = Callable[..., Any]
