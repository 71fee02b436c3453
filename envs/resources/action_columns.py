"""Which columns of a program's action drive what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def action_columns(unit_actions: Sequence[Sequence[str]], wanted: Sequence[str] = "pq") -> tuple[Ints, ...]:
    """Columns of each wanted quantity in a program's own action, unit by unit, -1 where a unit has none."""
    columns = np.full((len(wanted), len(unit_actions)), -1, dtype=np.int64)
    start = 0
    for unit, quantities in enumerate(unit_actions):
        for k, quantity in enumerate(wanted):
            if quantity in quantities:
                columns[k, unit] = start + list(quantities).index(quantity)
        start += len(quantities)
    return tuple(row.copy() for row in columns)
