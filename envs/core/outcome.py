"""What a step of a grid brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class Outcome:
    """What one step brought, batch first. Arrays may be live: read them before the next step."""

    reward: FloatArray
    rewards: dict[str, FloatArray]
    costs: dict[str, FloatArray]
    cost: FloatArray
    resource_costs: dict[str, FloatArray]
    unserved_mw: FloatArray
    terminated: BoolArray
    truncated: BoolArray
