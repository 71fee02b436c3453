"""Whether emptying storage at the end of a day earns something: then its end is worth too little."""

from __future__ import annotations

import numpy as np

from ..search.arena import Arena, FloatArray
from ..search.day_search import stores


def emptied(arena: Arena, day: int, actions: FloatArray) -> dict[str, float]:
    """What the return gains when storage is emptied in the last intervals, by what is done.

    Emptied is the storage of the reference, and that of the same day with idle storage: the reference has
    perhaps sold already what its end is worth. Storage of the reference is filled, too.

    Args:
        arena: Where it is played.
        day: Which.
        actions: (steps, n_actions) the reference of the day.
    """
    stored = np.array([k for k in range(arena.n_actions) if stores(arena, k)], dtype=np.int64)
    if not stored.size:
        return {}
    idle = actions.copy()
    idle[:, stored] = arena.neutral[stored]
    names, rows, base_of = [], [actions, idle], []
    for base, name, ends in ((0, "reference", (1.0, 0.5, -1.0)), (1, "idle storage", (1.0, 0.5))):
        for part in _LAST_PARTS:
            last = max(arena.steps // part, 1)
            for end in ends:
                row = rows[base].copy()
                row[-last:, stored] = end
                rows.append(row)
                base_of.append(base)
                names.append(f"{name}, last {last} steps at {end:+g}")
    returns = arena.sequences(np.full(len(rows), day), np.clip(rows, -1.0, 1.0)).returns
    gains = returns[2:] - returns[base_of]
    return dict(zip(names, gains.tolist(), strict=True))


#: Of the steps of an episode, how many are replaced at its end: the 24th part, ...
_LAST_PARTS = (24, 12, 6)
