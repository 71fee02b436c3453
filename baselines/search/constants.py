"""Constant actions: at the ends, and the best one."""

from __future__ import annotations

import numpy as np

from .arena import Arena, FloatArray, IntArray, mean_returns
from .cross_entropy import cross_entropy

_MOST_CODES = 256  # joint actions of a discrete space that are all tried


def extremes(arena: Arena) -> dict[str, FloatArray]:
    """Constant actions by name: one dimension at an end and the others neutral, then all at an end."""
    found: dict[str, FloatArray] = {}
    for dim, name in enumerate(arena.names):
        for sign, end in (("+1", 1.0), ("-1", -1.0)):
            action = arena.neutral.copy()
            action[dim] = end
            found[f"{name} = {sign}"] = action
    found["all = +1"] = np.ones(arena.n_actions)
    found["all = -1"] = -np.ones(arena.n_actions)
    return found


def codes(arena: Arena) -> FloatArray:
    """(n, n_actions) joint actions of a discrete space of few codes; none of another one."""
    table = getattr(arena.codec, "table", None)
    if table is None or table.shape[0] > _MOST_CODES:
        return np.empty((0, arena.n_actions))
    return np.asarray(table, dtype=np.float64)


def best_constant(
    arena: Arena, days: IntArray, more_days: IntArray, rng: np.random.Generator, generations: int
) -> FloatArray:
    """The constant action (n_actions,) of the highest mean return.

    Searched by the cross-entropy method on ``days``; the best of all that were tried are compared on
    ``more_days``. Of a discrete space of few codes all are tried.
    """
    known = np.array([arena.neutral, *extremes(arena).values(), *codes(arena)])

    def score(actions: FloatArray) -> FloatArray:
        return mean_returns(arena.constants(days, actions), days.size)

    tried = [(known, score(known))]
    if not codes(arena).size:
        start = known[tried[0][1].argmax()]
        for mean in (arena.neutral, 0.5 * (arena.neutral + start)):
            tried.append(cross_entropy(score, mean, 0.6, generations, 96, rng))
    actions, scores = (np.concatenate([pair[k] for pair in tried]) for k in (0, 1))
    actions, first = np.unique(actions, axis=0, return_index=True)
    best = np.argsort(-scores[first], kind="stable")[:16]
    final = mean_returns(arena.constants(more_days, actions[best]), more_days.size)
    chosen: FloatArray = actions[best[final.argmax()]]
    return chosen
