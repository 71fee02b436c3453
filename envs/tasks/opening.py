"""The grid as an episode opened, which a task may compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opened:
    """State of the interval before the first, with the fleet left alone, and the limits of voltages."""

    v_pu: FloatArray  # (batch, voltages)
    loading: FloatArray  # (batch, branches)
    v_min: FloatArray  # (voltages,)
    v_max: FloatArray  # (voltages,)


#: Of a task that does not compare.
NOT_KEPT = Opened(*(np.zeros((0, 0)) for _ in range(2)), *(np.zeros(0) for _ in range(2)))
