"""Searches without gradients: cross-entropy and evolution strategies, with seeds of their own."""

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


def ascend(
    score: Callable[[FloatArray], FloatArray], start: FloatArray, generations: int, pairs: int,
    rng: np.random.Generator, deviation: float = 0.08, rate: float = 0.05,
) -> list[FloatArray]:  # fmt: skip
    """Evolution strategies with mirrored samples and Adam; some points on the way, the last among them.

    Args:
        score: Returns (candidates, days) of (candidates, dims).
        start: (dims,).
        generations: Steps.
        pairs: Mirrored pairs a step.
        rng: Of what is drawn.
        deviation: Of the samples, halved over the generations.
        rate: Of Adam, falling to a tenth.
    """
    point, first, second = start.copy(), np.zeros(start.size), np.zeros(start.size)
    kept: list[FloatArray] = []
    for k in range(generations):
        part = k / max(generations - 1, 1)
        width = deviation * (1.0 - 0.5 * part)
        noise = rng.standard_normal((pairs, start.size))
        both = score(np.concatenate([point + width * noise, point - width * noise]))
        apart = both[:pairs] - both[pairs:]
        scale = np.std(apart, axis=0)
        apart = (apart / np.where(scale > 0.0, scale, 1.0)).mean(axis=1)
        gradient = noise.T @ apart / pairs
        first = 0.9 * first + 0.1 * gradient
        second = 0.98 * second + 0.02 * gradient**2
        step = first / (1.0 - 0.9 ** (k + 1)) / (np.sqrt(second / (1.0 - 0.98 ** (k + 1))) + 1e-8)
        point = point + rate * (1.0 - 0.9 * part) * step
        if k % max(generations // 10, 1) == 0 or k == generations - 1:
            kept.append(point.copy())
    return kept
