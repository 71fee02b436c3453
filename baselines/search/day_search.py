"""The reference of a day: the best sequence of actions that a search on the environment itself finds.

It begins with the best of given sequences and never gets worse. Two kinds of steps take turns. Dimensions
that act on their own interval alone (an inverter's reactive power) are searched in all intervals at once:
a row tries one change in each interval, and each interval keeps what was best for itself. Everything else
(storage, taps, sessions) is changed in blocks of intervals, alone and in pairs, and judged by the return of
the whole episode; changes that help are put together. What comes out is a local optimum, which knows the
whole day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arena import Arena, FloatArray
from .moves import Move, applied, drawn_moves

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """The reference of a day.

    Attributes:
        actions: (steps, n_actions).
        score: Its return.
        start: The return of the best sequence that it began with.
        row_steps: Intervals that were played for it.
    """

    actions: FloatArray
    score: float
    start: float
    row_steps: int


def momentary(arena: Arena, day: int, rng: np.random.Generator) -> BoolArray:
    """(n_actions,) the dimensions whose action of an interval matters in that interval alone.

    What stores energy or has positions never does. Each other one is changed in some intervals of a day of
    random actions: it is momentary where the later intervals gain or lose less than a fiftieth of what its
    own does.
    """
    at = np.unique(np.linspace(0, arena.steps - 1, 10).astype(int)[1:-1])
    n, layout = arena.n_actions, arena.grid.scenario.action_layout
    base = np.clip(arena.neutral + rng.normal(0.0, 0.5, (arena.steps, n)), -1.0, 1.0)
    which = np.array([(dim, t) for dim in range(n) for t in at for _ in (0, 1)])
    rows = np.repeat(base[None], 1 + which.shape[0], axis=0)
    change = np.tile((0.4, -0.4), n * at.size) * rng.uniform(0.5, 1.0, which.shape[0])
    rows[np.arange(1, rows.shape[0]), which[:, 1], which[:, 0]] += change
    reward = _rewards(arena, day, rows)
    apart = np.abs(reward[1:] - reward[0])
    own = apart[np.arange(which.shape[0]), which[:, 1]]
    later = apart.sum(axis=1) - own
    found = np.zeros(n, dtype=np.bool_)
    for dim in range(n):
        mine = which[:, 0] == dim
        plain = layout[dim].positions is None and not stores(arena, dim)
        found[dim] = plain and later[mine].sum() <= 0.02 * own[mine].sum()
    return found


def _rewards(arena: Arena, day: int, rows: FloatArray) -> FloatArray:
    return arena.sequences(np.full(rows.shape[0], day), np.clip(rows, -1.0, 1.0)).reward


class DaySearch:
    """The search of one day.

    Args:
        arena: Where it is played.
        day: Which.
        starts: (n, steps, n_actions) sequences to begin with.
        quick: (n_actions,) the dimensions that are momentary on this environment.
        rng: Of what is drawn.
    """

    def __init__(
        self, arena: Arena, day: int, starts: FloatArray, quick: BoolArray, rng: np.random.Generator
    ) -> None:
        self.arena, self.day, self.rng = arena, day, rng
        self.row_steps = 0
        self.quick, self.slow = np.flatnonzero(quick), np.flatnonzero(~quick)
        rewards = self._play(starts)
        best = int(rewards.sum(axis=1).argmax())
        self.best, self.reward = np.clip(starts[best], -1.0, 1.0), rewards[best]
        self.start = float(rewards[best].sum())
        self._reach = np.full(arena.steps, 0.3)  # of the changes of momentary dimensions, by interval
        self._last = np.zeros((arena.steps, self.quick.size))

    @property
    def score(self) -> float:
        """The return of the best sequence so far."""
        return float(self.reward.sum())

    def run(self, row_steps: int, rounds: int = 10, moves: int = 320) -> Found:
        """Search until some ``row_steps`` intervals were played.

        Args:
            row_steps: Looked at after each turn.
            rounds: Of each kind of step, in turn.
            moves: Changes of blocks that are tried in one step.
        """
        while self.row_steps < row_steps:
            before = self.score
            for _ in range(rounds if self.quick.size else 0):
                self._all_intervals()
            for _ in range(rounds if self.slow.size else 0):
                self._blocks(moves)
            still = self.score - before <= 1e-6 * (abs(before) + 1e-9)
            if still and not self.slow.size:
                break
        return Found(self.best, self.score, self.start, self.row_steps)

    def _play(self, rows: FloatArray) -> FloatArray:
        self.row_steps += rows.shape[0] * self.arena.steps
        return _rewards(self.arena, self.day, rows)

    # -- momentary dimensions --------------------------------------------------------------------------------

    def _all_intervals(self) -> None:
        """One change of the momentary dimensions in every interval."""
        n, steps = self.quick.size, self.arena.steps
        reach = self._reach[:, None]
        single = np.zeros((2 * n, steps, n))
        for k in range(n):
            single[2 * k, :, k], single[2 * k + 1, :, k] = self._reach, -self._reach
        drawn = self.rng.standard_normal((16, steps, n)) * reach
        again = self._last[None] * np.array([0.5, 1.0, 2.0])[:, None, None]
        first = self._tried(np.concatenate([single, drawn, again]))
        up, down = first[: 2 * n : 2], first[1 : 2 * n : 2]
        slope = (up - down).T / (2.0 * reach)
        curve = (up + down - 2.0 * self._base).T / reach**2
        newton = np.where(curve < 0.0, slope / np.maximum(-curve, 1e-12), np.sign(slope) * reach)
        newton = np.clip(newton, -4.0 * reach, 4.0 * reach)
        norm = np.abs(slope).max(axis=1, keepdims=True)
        steep = slope / np.where(norm > 0.0, norm, 1.0) * reach
        widths = np.array([0.25, 0.5, 1.0, 2.0, 4.0])[:, None, None]
        self._tried(np.concatenate([newton * widths[:3], steep * widths]), settle=True)

    def _tried(self, changes: FloatArray, settle: bool = False) -> FloatArray:
        """(changes, steps) rewards of changes (changes, steps, momentary); the best of each interval is kept.

        ``settle``: whether the reach of the next changes follows from what was kept since the last time.
        """
        rows = np.repeat(self.best[None], 1 + changes.shape[0], axis=0)
        rows[1:, :, self.quick] += changes
        rows = np.clip(rows, -1.0, 1.0)
        reward = self._play(rows)
        self._base = reward[0]
        pick = reward.argmax(axis=0)
        merged = rows[pick, np.arange(self.arena.steps)]
        if not settle:
            self._before = self.best
        # Intervals may yet depend on each other a little: what was put together is played before it is kept.
        whole = self._play(merged[None])
        several = np.concatenate([reward, whole])
        best = int(several.sum(axis=1).argmax())
        if several[best].sum() > self.score:
            self.reward = several[best]
            self.best = merged if best == reward.shape[0] else rows[best]
        if settle:
            change = (self.best - self._before)[:, self.quick]
            moved = np.abs(change).max(axis=1) > 0.0
            self._last = np.where(moved[:, None], change, self._last)
            self._reach = np.clip(self._reach * np.where(moved, 1.2, 0.5), 0.002, 0.5)
        return reward[1:]

    # -- everything else -------------------------------------------------------------------------------------

    def _blocks(self, moves: int, most_together: int = 48) -> None:
        """Changes of blocks of intervals, judged by the return of the day; those that help are added up."""
        tried = drawn_moves(self.rng, moves, self.slow, self.best, self.arena.neutral)
        rows = np.array([applied(self.best, [move]) for move in tried])
        returns = self._play(rows).sum(axis=1)
        gain = returns - self.score
        order = [int(k) for k in np.argsort(-gain, kind="stable") if gain[k] > 0.0]
        if not order:
            return
        together: list[Move] = []
        rows_of: list[FloatArray] = []
        for k in order:
            if any(move.meets(tried[k]) for move in together):
                continue
            together.append(tried[k])
            rows_of.append(applied(self.best, together))
            if len(together) == most_together:
                break
        reward = self._play(np.array(rows_of))
        best = int(reward.sum(axis=1).argmax())
        if reward[best].sum() > self.score:
            self.best, self.reward = rows_of[best], reward[best]


def stores(arena: Arena, dim: int) -> bool:
    """Whether a dimension of the action charges and discharges something that stores energy."""
    own = arena.grid.scenario.action_layout[dim]
    units = {unit.name: unit for unit in arena.grid.units}
    unit = units.get(own.name.rpartition(".")[0])
    return own.quantity == "p" and unit is not None and bool(unit.energy_mwh)
