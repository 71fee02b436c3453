"""The reward as a vector: one number for each term, as mo-gymnasium has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from .terms import FAILURE, is_own
from .unserved import UNSERVED

if TYPE_CHECKING:
    from .grid import Grid


def reward_space(grid: Grid) -> spaces.Box:
    """(n_terms,) float32 in the order of ``info["rewards"]``.

    Bounds are those that price a failed power flow; terms of the user's own code have none.
    """
    task, worst, names = grid.task, grid.worst, grid.reward_names()
    price = task.failure_price
    failure = grid.worst_reward * grid.aside.episode_steps if isinstance(price, str) else -float(price)
    known: dict[str, tuple[float, float]] = {
        UNSERVED: (-task.unserved_weight * worst.unserved_mw, 0.0),
        FAILURE: (min(failure, 0.0), 0.0),
    }
    if not is_own(task):
        for term in task.reward_terms:
            known[term.name] = term.range(worst)
    ranges = np.array([known.get(name, (-np.inf, np.inf)) for name in names]).reshape(-1, 2)
    low, high = np.minimum(ranges[:, 0], 0.0), np.maximum(ranges[:, 1], 0.0)  # 0 in a failed power flow
    outwards = np.float32(np.inf)
    return spaces.Box(
        np.nextafter(low.astype(np.float32), -outwards), np.nextafter(high.astype(np.float32), outwards),
        dtype=np.float32,
    )  # fmt: skip
