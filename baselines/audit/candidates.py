"""Policies that the audit searches: constant actions and affine functions of few features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arena import Act, Arena, FloatArray, IntArray, Played
from .search import ascend, cross_entropy

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
        return _means(arena.constants(days, actions), days.size)

    tried = [(known, score(known))]
    if not codes(arena).size:
        start = known[tried[0][1].argmax()]
        for mean in (arena.neutral, 0.5 * (arena.neutral + start)):
            tried.append(cross_entropy(score, mean, 0.6, generations, 96, rng))
    actions, scores = (np.concatenate([pair[k] for pair in tried]) for k in (0, 1))
    actions, first = np.unique(actions, axis=0, return_index=True)
    best = np.argsort(-scores[first], kind="stable")[:16]
    final = _means(arena.constants(more_days, actions[best]), more_days.size)
    chosen: FloatArray = actions[best[final.argmax()]]
    return chosen


@dataclass(frozen=True)
class Features:
    """Few numbers made of an observation: means of its blocks, each with mean 0 and deviation 1.

    Attributes:
        names: Of the features.
        weights: (n_obs, n_features) how they are made.
        offset: (n_features,) taken from them.
    """

    names: tuple[str, ...]
    weights: FloatArray
    offset: FloatArray

    def of(self, obs: NDArray[Any]) -> FloatArray:
        """(rows, n_features + 1); the last is 1."""
        values = np.asarray(obs, dtype=np.float64) @ self.weights - self.offset
        return np.column_stack([values, np.ones(values.shape[0])])


def features(arena: Arena, days: IntArray, rng: np.random.Generator, most: int) -> Features:
    """At most ``most`` features that vary and are not copies of each other.

    Blocks of at most four entries give each of them, others their mean; which ones vary is seen on ``days``
    under small random actions.
    """
    layout = arena.grid.layout
    columns: list[FloatArray] = []
    names: list[str] = []
    for name, where in layout.items():
        size = where.stop - where.start
        several = (
            [(k, k + 1) for k in range(where.start, where.stop)] if size <= 4 else [(where.start, where.stop)]
        )
        for lo, hi in several:
            column = np.zeros(layout.size)
            column[lo:hi] = 1.0 / (hi - lo)
            columns.append(column)
            names.append(name if size > 4 else layout.describe()[lo].name)
    weights = np.array(columns).T
    seen = _seen(arena, days, weights, rng)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    chosen = _unlike(seen, _order(names), most)
    return Features(
        tuple(names[k] for k in chosen), weights[:, chosen] / deviation[chosen],
        mean[chosen] / deviation[chosen],
    )  # fmt: skip


#: What most rules would look at comes first.
_FIRST = ("load", "pv", "avail", "sun", "price", "soc", "clock", "temperature", "signal", "v_pu")


def _order(names: list[str]) -> list[int]:
    ranks = [next((k for k, word in enumerate(_FIRST) if word in name), len(_FIRST)) for name in names]
    return sorted(range(len(names)), key=lambda k: (ranks[k], k))


def _unlike(seen: FloatArray, order: list[int], most: int) -> list[int]:
    """Columns in ``order`` that vary and have a correlation below 0.98 with each before."""
    spread = seen.std(axis=0)
    size = np.abs(seen).max(axis=0)
    chosen: list[int] = []
    for k in order:
        if spread[k] <= 1e-9 * max(size[k], 1e-12) or len(chosen) == most:
            continue
        own = (seen[:, k] - seen[:, k].mean()) / spread[k]
        alike = [abs(float(np.mean(own * (seen[:, j] - seen[:, j].mean()) / spread[j]))) for j in chosen]
        if max(alike, default=0.0) < 0.98:
            chosen.append(k)
    return chosen


def _seen(arena: Arena, days: IntArray, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(samples, columns) of ``weights`` under small random actions."""
    found: list[FloatArray] = []

    def act(_rows: slice) -> Act:
        def one(_step: int, obs: NDArray[Any], _infos: Mapping[str, Any]) -> FloatArray:
            found.append(np.asarray(obs, dtype=np.float64) @ weights)
            noise = rng.normal(0.0, 0.3, (obs.shape[0], arena.n_actions))
            return np.clip(arena.neutral + noise, -1.0, 1.0)

        return one

    arena.candidates(days, 1, act)
    return np.concatenate(found)


@dataclass(frozen=True)
class Affine:
    """action = clip(W z + b): ``weights`` (n_actions, n_features + 1), the last column is b."""

    features: Features
    weights: FloatArray

    def play(self, arena: Arena, days: IntArray) -> Played:
        """Play it on ``days``."""
        return _play_affine(arena, days, self.features, self.weights[None], keep=True)


def best_affine(
    arena: Arena, days: IntArray, more_days: IntArray, rng: np.random.Generator, constant: FloatArray,
    most_features: int, generations: int,
) -> Affine:  # fmt: skip
    """The affine policy of the highest mean return that evolution strategies find on ``days``.

    It starts from the best constant action; what was best on ``more_days`` on the way is returned.
    """
    made = features(arena, days, rng, most_features)
    shape = (arena.n_actions, len(made.names) + 1)
    start = np.zeros(shape)
    start[:, -1] = constant

    def score(flat: FloatArray) -> FloatArray:
        played = _play_affine(arena, days, made, flat.reshape(-1, *shape))
        return played.returns.reshape(flat.shape[0], days.size)

    kept = ascend(score, start.ravel(), generations, 64, rng)
    weights = np.array([start.ravel(), *kept]).reshape(-1, *shape)
    final = _means(_play_affine(arena, more_days, made, weights), more_days.size)
    return Affine(made, weights[final.argmax()])


def _play_affine(
    arena: Arena, days: IntArray, made: Features, weights: FloatArray, keep: bool = False
) -> Played:
    """Play (candidates, n_actions, n_features + 1) on ``days``, candidate by candidate."""
    of_row = np.repeat(np.arange(weights.shape[0]), days.size)

    def act(rows: slice) -> Act:
        own = weights[of_row[rows]]

        def one(_step: int, obs: NDArray[Any], _infos: Mapping[str, Any]) -> FloatArray:
            return np.einsum("raf,rf->ra", own, made.of(obs))

        return one

    return arena.candidates(days, weights.shape[0], act, keep)


def _means(played: Played, n_days: int) -> FloatArray:
    found: FloatArray = played.returns.reshape(-1, n_days).mean(axis=1)
    return found


Score = Callable[[FloatArray], FloatArray]
