"""Changes of a sequence of actions in blocks of intervals, for what an interval leaves to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Intervals [lo, hi) of some dimensions: ``change`` is added, or they are set to ``value``."""

    dims: tuple[int, ...]
    lo: int
    hi: int
    change: float = 0.0
    value: tuple[float, ...] | None = None

    def meets(self, other: Block) -> bool:
        """Whether both change the same dimension at times that touch."""
        return bool(set(self.dims) & set(other.dims)) and self.lo < other.hi and other.lo < self.hi


@dataclass(frozen=True)
class Move:
    """Blocks that belong together: what is charged in one may be discharged in another."""

    blocks: tuple[Block, ...]

    def meets(self, other: Move) -> bool:
        """Whether a block of one meets one of the other."""
        return any(one.meets(another) for one in self.blocks for another in other.blocks)


def applied(actions: FloatArray, moves: Sequence[Move]) -> FloatArray:
    """The sequence (steps, n_actions) after the moves, a new array within [-1, 1]."""
    out = actions.copy()
    for move in moves:
        for block in move.blocks:
            dims = list(block.dims)
            if block.value is not None:
                out[block.lo : block.hi, dims] = block.value
            else:
                out[block.lo : block.hi, dims] += block.change
    return np.clip(out, -1.0, 1.0)


def drawn_moves(
    rng: np.random.Generator, count: int, dims: IntArray, actions: FloatArray, neutral: FloatArray
) -> list[Move]:
    """``count`` moves of ``dims``, drawn: shifts up or down, pairs of them, and values set."""
    return [_drawn(rng, dims, actions, neutral) for _ in range(count)]


def _drawn(rng: np.random.Generator, dims: IntArray, actions: FloatArray, neutral: FloatArray) -> Move:
    steps = actions.shape[0]
    chosen = _dims(rng, dims)
    first = _span(rng, steps)
    kind = rng.random()
    size = float(rng.choice((0.1, 0.25, 0.5, 1.0)) * rng.choice((-1.0, 1.0)))
    if kind < 0.35:
        return Move((Block(chosen, *first, change=size),))
    if kind < 0.7:
        second = _span(rng, steps)
        if second[0] < first[1] and first[0] < second[1]:
            return Move((Block(chosen, *first, change=size),))
        share = (first[1] - first[0]) / (second[1] - second[0])
        return Move((Block(chosen, *first, change=size), Block(chosen, *second, change=-size * share)))
    if kind < 0.9:
        target = float(rng.choice((-1.0, 0.0, 1.0, rng.uniform(-1.0, 1.0))))
        rest = neutral if target == 0.0 else np.full(neutral.size, target)
        return Move((Block(chosen, *first, value=tuple(float(rest[k]) for k in chosen)),))
    source = int(np.clip(first[0] + rng.choice((-1, 1)) * rng.integers(1, 5), 0, steps - 1))
    return Move((Block(chosen, *first, value=tuple(float(actions[source, k]) for k in chosen)),))


def _dims(rng: np.random.Generator, dims: IntArray) -> tuple[int, ...]:
    """One dimension mostly, some or all of them now and then."""
    kind = rng.random()
    if kind < 0.7 or dims.size == 1:
        return (int(rng.choice(dims)),)
    if kind < 0.85:
        return tuple(int(k) for k in dims)
    many = int(rng.integers(2, dims.size + 1))
    return tuple(sorted(int(k) for k in rng.choice(dims, many, replace=False)))


def _span(rng: np.random.Generator, steps: int) -> tuple[int, int]:
    """A block of 1, 2, 4 ... intervals, at most a third of the episode."""
    longest = max(int(np.log2(max(steps // 3, 1))), 0)
    length = min(int(2 ** rng.integers(0, longest + 1)), steps)
    lo = int(rng.integers(0, steps - length + 1))
    return lo, lo + length
