"""What is known of every solved state before it is solved; balanced and per-phase bounds return it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class StateBounds:
    """Bounds over all states whose voltages are at least ``v_low_pu``, at the stored source voltages."""

    v_low_pu: float
    v_high_pu: FloatArray  # (n_bus,) NaN at dead nodes
    p_loss_mw: float
    s_branch_mva: FloatArray  # (n_branch,) at either end
