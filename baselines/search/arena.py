"""Whole episodes of an environment as rows of its vector face: a row for each candidate and day.

Actions are floats in [-1, 1] throughout; what a discrete action space takes is the code nearest to them.
Episode days have a seed each, so that everybody meets the same draws on the same day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..policy import Policy, plays_batches
from ..rollouts.env_source import EnvSource, episode_day, make_source
from ..rollouts.rows import AnyVectorEnv, face_of, open_rows

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: What a candidate does: the step, observations (rows, n_obs) and infos to floats (rows, n_actions).
Act = Callable[[int, NDArray[Any], Mapping[str, Any]], FloatArray]

_MOST_ROWS = 1024
_MOST_MADE = 12  # vector environments of different sizes that are kept
_MOST_CELLS = 1 << 19  # rows times entries of the observation


@dataclass(frozen=True)
class Played:
    """Episodes that were played side by side.

    Attributes:
        reward: (rows, steps); 0 after an episode has ended.
        violating: (rows, steps) whether a limit of the network was not kept.
        failed: (rows,) whether the power flow of a step had no solution.
        length: (rows,) steps that were played.
        actions: (rows, steps, n_actions) floats; None where nobody asked for them.
    """

    reward: FloatArray
    violating: BoolArray
    failed: BoolArray
    length: IntArray
    actions: FloatArray | None = None

    @property
    def returns(self) -> FloatArray:
        """(rows,) sums of the rewards."""
        total: FloatArray = self.reward.sum(axis=1)
        return total

    @property
    def violating_share(self) -> FloatArray:
        """(rows,) share of the steps in which a limit was not kept."""
        share: FloatArray = self.violating.sum(axis=1) / np.maximum(self.length, 1)
        return share

    def of(self, rows: slice) -> Played:
        """Some of the rows."""
        kept = None if self.actions is None else self.actions[rows]
        return Played(self.reward[rows], self.violating[rows], self.failed[rows], self.length[rows], kept)


class Arena:
    """One split of an environment, played by any number of candidates at a time.

    Args:
        env: Id of a registered environment, somebody's own included.
        split: Whose days are played.
        seed: Of the first day; day ``d`` of the data has ``seed + d``.
        threads: That share a batch.
        seeds: Of each day, where it is not that.

    Raises:
        RunError: The environment is none of distgrid, or a subclass, whose rows nobody can make.
    """

    def __init__(
        self, env: str, split: str, seed: int = 0, threads: int = 2, seeds: Mapping[int, int] | None = None
    ) -> None:
        self.source: EnvSource = make_source(env, split)
        self.env = self.source.open()
        self.seed, self.threads, self._seeds = seed, threads, seeds
        face_of(self.env)
        grid: Any = self.env.unwrapped
        self.grid, scenario = grid, grid.scenario
        self.codec = scenario.codec
        self.neutral: FloatArray = np.asarray(scenario.neutral_action, dtype=np.float64)
        self.names: tuple[str, ...] = tuple(dim.name for dim in scenario.action_layout)
        self.steps = int(scenario.episode_steps)
        self.days: IntArray = np.asarray(grid.days, dtype=np.int64)
        self._made: dict[int, AnyVectorEnv] = {}
        size = max(int(np.prod(self.env.observation_space.shape or (1,))), 1)
        self.most_rows = max(min(_MOST_ROWS, _MOST_CELLS // size // 64 * 64), 64)

    @property
    def n_actions(self) -> int:
        """Floats of an action."""
        return len(self.names)

    def close(self) -> None:
        """Close what was opened."""
        self.source.close(self.env)
        for made in self._made.values():
            made.close()

    def chosen_days(self, count: int) -> IntArray:
        """``count`` days spread over the split, all of them for 0; in the order of the rollouts."""
        many = self.days.size if count == 0 else min(count, self.days.size)
        return np.array([episode_day(self.days, k) for k in range(many)], dtype=np.int64)

    def seed_of(self, day: int) -> int:
        """Of the episode of a day."""
        return self.seed + day if self._seeds is None else self._seeds[day]

    def rows(self, count: int) -> AnyVectorEnv:
        """The environment as ``count`` rows."""
        if count not in self._made:
            if len(self._made) > _MOST_MADE:
                self._made.pop(next(iter(self._made))).close()
            self._made[count] = open_rows(self.env, count, threads=self.threads)
        return self._made[count]

    # -- playing ---------------------------------------------------------------------------------------------

    def sequences(self, days: IntArray, actions: FloatArray) -> Played:
        """Play given actions: days (rows,), actions (rows, steps, n_actions)."""
        parts = []
        for lo, hi in self._cuts(days.size):
            # Sizes are rounded up, the last row repeated, so that few vector environments are made.
            some = np.minimum(np.arange(lo, lo + _rounded(hi - lo)), hi - 1)
            played = self._play(days[some], _following(actions[some]), keep=False)
            parts.append(played.of(slice(0, hi - lo)))
        return _joined(parts)

    def constants(self, days: IntArray, actions: FloatArray) -> Played:
        """Play constant actions (candidates, n_actions) on ``days``: rows are candidate by candidate."""
        rows = np.repeat(np.asarray(actions, dtype=np.float64), days.size, axis=0)
        return self.candidates(days, actions.shape[0], lambda some: _constant(rows[some]))

    def candidates(
        self, days: IntArray, many: int, act: Callable[[slice], Act], keep: bool = False
    ) -> Played:
        """Play ``many`` candidates on ``days``; ``act`` of a slice of the rows, candidate by candidate."""
        every = np.tile(days, many)
        parts = [self._play(every[lo:hi], act(slice(lo, hi)), keep) for lo, hi in self._cuts(every.size)]
        return _joined(parts)

    def together(self, days: IntArray, act: Act) -> Played:
        """Play one row for each of ``days``, all at once however many there are."""
        return self._play(days, act, keep=False)

    def policy(self, days: IntArray, make: Callable[[Any], Policy], seed: int = 0) -> Played:
        """Play a policy on ``days``; one that plays no batches, on the single environment, day by day."""
        if not plays_batches(make(self.env)):
            return _joined([self._play_single(int(day), make(self.env), seed) for day in days])
        parts = []
        for lo, hi in self._cuts(days.size):
            env = self.rows(hi - lo)
            parts.append(self._play(days[lo:hi], _policy_act(make(env), self.codec, seed + lo), keep=True))
        return _joined(parts)

    def _cuts(self, count: int) -> list[tuple[int, int]]:
        return [(lo, min(lo + self.most_rows, count)) for lo in range(0, count, self.most_rows)]

    def _play(self, days: IntArray, act: Act, keep: bool) -> Played:
        n = days.size
        env = self.rows(n)
        seeds: Any = [self.seed_of(int(day)) for day in days]
        obs, infos = env.reset(seed=seeds, options={"day": days})
        reward = np.zeros((n, self.steps))
        violating = np.zeros((n, self.steps), dtype=np.bool_)
        failed = np.zeros(n, dtype=np.bool_)
        length = np.full(n, self.steps)
        kept = np.zeros((n, self.steps, self.n_actions)) if keep else None
        playing = np.ones(n, dtype=np.bool_)
        for step in range(self.steps):
            floats = np.clip(act(step, obs, infos), -1.0, 1.0)
            if kept is not None:
                kept[:, step] = floats
            obs, earned, terminated, truncated, infos = env.step(self.codec.encode(floats.astype(np.float32)))
            reward[:, step] = np.where(playing, earned, 0.0)
            violating[:, step] = violations(infos, self.grid) & playing
            over = (terminated | truncated) & playing
            failed |= over & ~infos["pf_converged"]
            length[over] = step + 1
            playing = playing & ~over
            if not playing.any():
                break
        return Played(reward, violating, failed, length, kept)

    def _play_single(self, day: int, policy: Policy, seed: int) -> Played:
        env = self.env
        obs, info = env.reset(seed=self.seed_of(day), options={"day": day})
        policy.seed(seed)
        policy.reset(obs, info)
        reward, violating = np.zeros((1, self.steps)), np.zeros((1, self.steps), dtype=np.bool_)
        kept = np.zeros((1, self.steps, self.n_actions))
        step, over, failed = 0, False, False
        while not over:
            action = policy.act(obs, info)
            kept[0, step] = self.codec.decode(_as_batch(action), 1)[0]
            obs, earned, terminated, truncated, info = env.step(action)
            over = bool(terminated or truncated)
            reward[0, step] = earned
            violating[0, step] = violations(info, self.grid)
            failed = failed or not info["pf_converged"]
            step += 1
        return Played(reward, violating, np.array([failed]), np.array([step]), kept)


def mean_returns(played: Played, n_days: int) -> FloatArray:
    """(candidates,) mean return of rows that stand candidate by candidate."""
    found: FloatArray = played.returns.reshape(-1, n_days).mean(axis=1)
    return found


def violations(infos: Mapping[str, Any], grid: Any) -> Any:
    """Whether a cost of the task other than those of devices is above 0; of each row, or of one."""
    own = {"resource", *grid.fleet.costs()}
    total: Any = 0.0
    for name, value in infos["costs"].items():
        if not name.startswith("_") and name not in own:
            total = total + value
    return total > 0.0


def _rounded(count: int) -> int:
    """Up to two more binary digits than the first."""
    step = 1 << max(count.bit_length() - 3, 0)
    return -(-count // step) * step


def _following(actions: FloatArray) -> Act:
    return lambda step, _obs, _infos: actions[:, step]


def _constant(actions: FloatArray) -> Act:
    return lambda _step, _obs, _infos: actions


def _policy_act(policy: Policy, codec: Any, seed: int) -> Act:
    def act(step: int, obs: NDArray[Any], infos: Mapping[str, Any]) -> FloatArray:
        if step == 0:
            policy.seed(seed)
            policy.reset(obs, infos)
        floats: FloatArray = codec.decode(policy.act(obs, infos), obs.shape[0])
        return floats

    return act


def _as_batch(action: Any) -> Any:
    if isinstance(action, Mapping):
        return {name: np.asarray(value)[None] for name, value in action.items()}
    return np.asarray(action)[None]


def _joined(parts: list[Played]) -> Played:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise RunError("there are no days to play")
    kept = [part.actions for part in parts if part.actions is not None]
    return Played(
        np.concatenate([part.reward for part in parts]),
        np.concatenate([part.violating for part in parts]),
        np.concatenate([part.failed for part in parts]),
        np.concatenate([part.length for part in parts]),
        np.concatenate(kept) if kept else None,
    )
