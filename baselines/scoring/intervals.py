"""Intervals of scores of several trainings, as Agarwal et al. (2021) report them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .summary import interquartile_mean

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """A statistic of scores and the bootstrap interval around it."""

    value: float
    low: float
    high: float


def iqm_interval(
    scores: FloatArray, *, repetitions: int = 2000, coverage: float = 0.95, seed: int = 0
) -> Interval:
    """The interquartile mean of scores and its stratified bootstrap interval (percentiles).

    Trainings are drawn with replacement for each day by itself, as tasks are in R. Agarwal, M. Schwarzer,
    P. S. Castro, A. Courville and M. G. Bellemare, Deep reinforcement learning at the edge of the statistical
    precipice, NeurIPS 2021. With one training the interval has no width: nothing is known of others.

    Args:
        scores: (trainings, days) finite numbers.
        repetitions: Of the bootstrap.
        coverage: Share of the repetitions inside the interval.
        seed: Of what is drawn.

    Raises:
        ValueError: There are no scores, or some are not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"scores must be (trainings, days) of finite numbers, got shape {scores.shape}")
    rng, (n, days) = np.random.default_rng(seed), scores.shape
    drawn = np.empty(repetitions)
    for k in range(repetitions):
        chosen = rng.integers(n, size=(n, days))
        drawn[k] = interquartile_mean(np.take_along_axis(scores, chosen, axis=0).ravel())
    tail = (1.0 - coverage) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(interquartile_mean(scores.ravel()), float(low), float(high))
