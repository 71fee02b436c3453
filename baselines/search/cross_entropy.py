"""A search without gradients, and steps along those that were estimated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def cross_entropy(
    score: Callable[[FloatArray], FloatArray], mean: FloatArray, deviation: float, generations: int,
    population: int, rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Maximise ``score`` over the box [-1, 1]^n; the best 32 that were tried (n, dims) and their scores.

    Args:
        score: Of (population, dims).
        mean: (dims,) of the first generation.
        deviation: Of the first generation.
        generations: How many.
        population: Candidates of each; the best eighth makes the next.
        rng: Of what is drawn.
    """
    centre, spread = mean.copy(), np.full(mean.size, deviation)
    elite = max(population // 8, 2)
    best: tuple[FloatArray, FloatArray] = (np.empty((0, mean.size)), np.empty(0))
    for _ in range(generations):
        drawn = np.clip(centre + spread * rng.standard_normal((population, mean.size)), -1.0, 1.0)
        drawn[0] = np.clip(centre, -1.0, 1.0)
        scores = score(drawn)
        order = np.argsort(-scores, kind="stable")[:elite]
        centre = 0.2 * centre + 0.8 * drawn[order].mean(axis=0)
        spread = np.maximum(0.4 * spread + 0.6 * drawn[order].std(axis=0), 0.01)
        every, of_every = np.concatenate([best[0], drawn[order]]), np.concatenate([best[1], scores[order]])
        keep = np.argsort(-of_every, kind="stable")[:32]
        best = every[keep], of_every[keep]
    return best


class Adam:
    """Steps of Adam uphill (Kingma and Ba, 2015).

    Args:
        size: Of the point that moves.
    """

    def __init__(self, size: int) -> None:
        self._first, self._second, self._count = np.zeros(size), np.zeros(size), 0

    def step(self, slope: FloatArray) -> FloatArray:
        """(size,) where to go, times a rate, where the gradient is ``slope``: about 1 each way at first."""
        self._count += 1
        self._first = 0.9 * self._first + 0.1 * slope
        self._second = 0.98 * self._second + 0.02 * slope**2
        mean = self._first / (1.0 - 0.9**self._count)
        size = np.sqrt(self._second / (1.0 - 0.98**self._count))
        moved: FloatArray = mean / (size + 1e-12)
        return moved
