"""Few numbers made of an observation, chosen by its blocks: what an affine policy looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..search.arena import Act, Arena, FloatArray, IntArray


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
