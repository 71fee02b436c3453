"""Load that is not supplied: on nodes and phases without voltage, and what devices shed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernels.unserved import unserved_rows

if TYPE_CHECKING:
    from ...physics.solved_grid import SolvedGrid
    from ..resources import Fleet

FloatArray = NDArray[np.float64]

#: The term of every reward, and the cost of every task.
UNSERVED = "unserved"


class Unserved:
    """Reads it off solved rows of one grid; where nothing can be lost that takes no time."""

    def __init__(self, stepper: SolvedGrid, fleet: Fleet) -> None:
        self._dead_load, self._dead_port = stepper.dead_columns
        self._sheds = "unserved_mw" in fleet.accounts.written
        self.possible = bool(self._dead_load.size or self._dead_port.size or self._sheds)

    def mw(self, stepper: SolvedGrid, fleet: Fleet) -> FloatArray:
        """(batch,) of the interval just solved, a fresh array; call it where ``possible``."""
        out = fleet.accounts.total("unserved_mw") if self._sheds else np.zeros(stepper.batch)
        unserved_rows(stepper.load_p_mw, stepper.inject_p_mw, self._dead_load, self._dead_port, out)
        return out

    def most_mw(self, s_load_mva: FloatArray, fleet: Fleet, dt_h: float) -> float:
        """The most that it can be, given the largest apparent power of each load."""
        devices = fleet.s_mva_by_column()[self._dead_port].sum() + fleet.most_of("unserved_mw", dt_h)
        return float(s_load_mva[self._dead_load].sum() + devices)
