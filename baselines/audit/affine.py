"""The best affine policy: action = clip(W z + b), z a few features of the observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..search.arena import Act, Arena, FloatArray, IntArray, Played, mean_returns
from ..search.cross_entropy import Adam
from .features import Features, features

#: Of Adam at first, of momentary dimensions and of the others.
_RATES_ALONE, _RATES_TOGETHER = (0.06, 0.0), (0.02, 0.04)
_PAIRS = 12  # mirrored pairs of each kind, each on every day of a step


@dataclass(frozen=True)
class Affine:
    """action = clip(W z + b): ``weights`` (n_actions, n_features + 1), the last column is b."""

    features: Features
    weights: FloatArray

    def play(self, arena: Arena, days: IntArray) -> Played:
        """Play it on ``days``."""
        return _play(arena, days, self.features, self.weights[None], keep=True)


def best_affine(
    arena: Arena, days: IntArray, rng: np.random.Generator, constant: FloatArray,
    momentary: NDArray[np.bool_], most_features: int, generations: int, days_at_once: int,
) -> Affine:  # fmt: skip
    """The affine policy of the highest mean return that a search on ``days`` finds.

    It climbs from the best constant action by Adam, along gradients seen from mirrored pairs of rows. The
    weights of momentary dimensions get theirs from noise on the actions: what an interval earns more or less
    is owed to its own noise. Those of the others get theirs from noise on the weights and the return of the
    episode. Of the points on the way, the best on all of ``days`` is returned.

    Args:
        arena: Where it is played.
        days: Train days.
        rng: Of what is drawn.
        constant: (n_actions,) the best constant action.
        momentary: (n_actions,) dimensions whose action of an interval matters in that interval alone.
        most_features: Most features of the observation.
        generations: Steps of the search.
        days_at_once: Of ``days`` that a step plays; the next takes the next ones.
    """
    made = features(arena, days[:days_at_once], rng, most_features)
    climb = _Climb(arena, made, momentary, rng)
    best = np.zeros((arena.n_actions, len(made.names) + 1))
    best[:, -1] = constant
    # The others move once the momentary ones are right: their gradients are less certain.
    for slow, count in ((False, generations // 2), (True, generations - generations // 2)):
        kept, adam, point = [best], Adam(best.size), best
        rates = np.where(momentary, *(_RATES_TOGETHER if slow else _RATES_ALONE))[:, None]
        for k in range(count):
            part = k / max(count - 1, 1)
            now = days[(k * days_at_once + np.arange(min(days_at_once, days.size))) % days.size]
            slope = climb.slope(point, now, (0.6 if slow else 1.0) * (1.0 - 0.6 * part), slow)
            moved = adam.step(slope.ravel()).reshape(point.shape)
            point = point + (1.0 - 0.9 * part) * rates * moved
            if k % max(count // 8, 1) == 0 or k == count - 1:
                kept.append(point)
        weights = np.array(kept)
        best = weights[mean_returns(_play(arena, days, made, weights), days.size).argmax()]
    return Affine(made, best)


class _Climb:
    """Gradients of the mean return of an affine policy, by mirrored pairs of rows."""

    def __init__(
        self, arena: Arena, made: Features, momentary: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.arena, self.made, self.rng = arena, made, rng
        self.quick, self.slow = np.flatnonzero(momentary), np.flatnonzero(~momentary)

    def slope(self, point: FloatArray, days: IntArray, width: float, slow: bool) -> FloatArray:
        """(n_actions, n_features + 1); ``width`` scales the noise, ``slow``: of all dimensions."""
        out = np.zeros(point.shape)
        if self.quick.size:
            out[self.quick] = self._of_actions(point, days, 0.2 * width)
        if self.slow.size and slow:
            out[self.slow] = self._of_weights(point, days, 0.15 * width)
        return out

    def _of_actions(self, point: FloatArray, days: IntArray, width: float) -> FloatArray:
        """Noise on the actions, credit by interval."""
        n = _PAIRS * days.size
        noise = self.rng.standard_normal((self.arena.steps, n, self.quick.size))
        seen = np.zeros((self.arena.steps, n, point.shape[1]))

        def act(step: int, obs: NDArray[Any], _infos: Mapping[str, Any]) -> FloatArray:
            z = self.made.of(obs)
            seen[step] = z[:n]
            floats = z @ point.T
            floats[:n, self.quick] += width * noise[step]
            floats[n:, self.quick] -= width * noise[step]
            return floats

        played = self.arena.together(np.tile(days, 2 * _PAIRS), act)
        apart = (played.reward[:n] - played.reward[n:]).T  # (steps, pairs and days)
        apart = apart / max(float(apart.std()), 1e-12)
        slope: FloatArray = np.einsum("tr,tra,trf->af", apart, noise, seen, optimize=True) / apart.size
        return slope

    def _of_weights(self, point: FloatArray, days: IntArray, width: float) -> FloatArray:
        """Noise on the weights, credit by episode; each day counts the same."""
        pairs = 2 * _PAIRS
        noise = self.rng.standard_normal((pairs, self.slow.size, point.shape[1]))
        weights = np.repeat(point[None], 2 * pairs, axis=0)
        weights[:pairs, self.slow] += width * noise
        weights[pairs:, self.slow] -= width * noise
        returns = _play(self.arena, days, self.made, weights).returns.reshape(2 * pairs, days.size)
        apart = returns[:pairs] - returns[pairs:]
        scale = apart.std(axis=0)
        apart = (apart / np.where(scale > 0.0, scale, 1.0)).mean(axis=1)
        slope: FloatArray = np.einsum("p,paf->af", apart, noise) / pairs
        return slope


def _play(arena: Arena, days: IntArray, made: Features, weights: FloatArray, keep: bool = False) -> Played:
    """Play (candidates, n_actions, n_features + 1) on ``days``, candidate by candidate."""
    of_row = np.repeat(np.arange(weights.shape[0]), days.size)

    def act(rows: slice) -> Act:
        own = weights[of_row[rows]]

        def one(_step: int, obs: NDArray[Any], _infos: Mapping[str, Any]) -> FloatArray:
            return np.einsum("raf,rf->ra", own, made.of(obs))

        return one

    return arena.candidates(days, weights.shape[0], act, keep)
