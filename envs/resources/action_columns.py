"""Which columns of a program's action drive what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def action_columns(unit_actions: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
    """Columns of "p" and of "q" in a program's own action, unit by unit, -1 where a unit has none."""
    columns = np.full((2, len(unit_actions)), -1, dtype=np.int64)
    start = 0
    for unit, quantities in enumerate(unit_actions):
        for k, quantity in enumerate("pq"):
            if quantity in quantities:
                columns[k, unit] = start + list(quantities).index(quantity)
        start += len(quantities)
    return columns[0].copy(), columns[1].copy()
