"""Rewards for training: what a policy earns more than doing nothing does in the same interval of an episode.

Most of a bill is load that must be served, whatever anybody does; day by day it differs by far more than
agents can move. What doing nothing earns depends on the day and on chance alone, so that taking it off moves
no optimum and leaves a learner with its own part: an input-dependent baseline (H. Mao, S. B. Venkatakrishnan,
M. Schwarzkopf and M. Alizadeh, Variance reduction for reinforcement learning in input-driven environments,
ICLR 2019). Chance is that of the learner's own episode: a twin of each environment, which does nothing,
begins each episode in the same state (common random numbers).

Where stored and owed energy is settled in money it counts at once: who charges at a low price has earned the
difference, and who can no longer give a car what it needs has lost what that will cost, see
`learned.potential`. That is a potential (A. Y. Ng, D. Harada and S. Russell, Policy invariance under reward
transformations, ICML 1999): it does not move the optimum of a whole episode, either.

An episode that reaches its end is over for a learner: its energy has been settled, and nothing that comes
behind it may be added (which is what stable-baselines3 does at a time limit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode

from ..learned.potential import Potential, potential_of
from ..rollouts.rows import open_rows
from ..search.arena import Arena, BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

#: What the wrapped environment must tell of each row: the interval with which an episode begins.
INFO_KEYS = ("t_index",)


def against_rest(env: VecEnv, rows: Any, arena: Arena) -> VecEnv:
    """``env``, a `sb3_vec_env` with `INFO_KEYS` of ``rows``, on days of ``arena``, with rewards against rest.

    Over a whole episode they add up to its return less that of doing nothing, and over one that fails before
    its end, less what doing nothing earned until then. The potential is not discounted: to a learner that
    discounts it is a heuristic of what its horizon does not reach (C.-A. Cheng, A. Kolobov and
    A. Swaminathan, Heuristic-guided reinforcement learning, NeurIPS 2021).
    """
    from stable_baselines3.common.vec_env import VecEnvWrapper

    potential = potential_of(arena.grid.scenario)

    class AgainstRest(VecEnvWrapper):
        """Each row beside its twin."""

        def __init__(self, venv: VecEnv) -> None:
            super().__init__(venv)
            self._twins = Twins(rows, arena, potential)

        def reset(self) -> Any:
            """Begin everywhere."""
            obs: Any = self.venv.reset()
            every = np.arange(self.num_envs)
            self._t_index = self._first(every)
            self._worth = potential(obs, self._t_index)
            self._twins.follow(every, self._worth)
            return obs

        def step_wait(self) -> Any:
            """Rewards less those of the twins, which begin again where a row does."""
            obs: Any
            obs, earned, done, infos = self.venv.step_wait()
            self._t_index += 1
            rest = self._twins.step(self._t_index, done)
            ended = np.flatnonzero(done)
            for row in ended.tolist():
                infos[row]["TimeLimit.truncated"] = False
            self._t_index[ended] = self._first(ended)
            worth = potential(obs, self._t_index)
            shaped = earned + np.where(done, 0.0, worth) - self._worth
            self._worth = worth
            self._twins.follow(ended, worth)
            return obs, (shaped - rest).astype(np.float32), done, infos

        def close(self) -> None:
            """The twins, too."""
            self._twins.close()
            super().close()

        def _first(self, which: IntArray) -> IntArray:
            begun = [int(self.venv.reset_infos[row]["t_index"]) for row in which.tolist()]
            return np.array(begun, dtype=np.int64)

    wrapped: VecEnv = AgainstRest(env)
    return wrapped


class Twins:
    """As many environments as ``rows`` has, which do nothing from states that theirs were in."""

    def __init__(self, rows: Any, arena: Arena, potential: Potential) -> None:
        count = rows.num_envs
        self._rows, self._potential = rows, potential
        self._made: Any = open_rows(arena.env, count, arena.threads, AutoresetMode.NEXT_STEP)
        self._made.reset(seed=0)
        neutral = np.repeat(arena.neutral[None].astype(np.float32), count, axis=0)
        self._neutral = arena.codec.encode(neutral)
        self._worth: FloatArray = np.zeros(count)
        self._over: BoolArray = np.zeros(count, dtype=np.bool_)

    def follow(self, which: IntArray, worth: FloatArray) -> None:
        """Those of the rows ``which`` stand where these do, at ``worth`` (rows,), all of the potential."""
        if which.size:
            self._made.set_state(self._rows.get_state(which.tolist()), which.tolist())
            self._worth[which], self._over[which] = worth[which], False

    def step(self, t_index: IntArray, done: BoolArray) -> FloatArray:
        """(rows,) what they earn, with the potential, until ``t_index`` (rows,); 0 behind their end.

        Where an episode is ``done`` (rows,), that of the twin is.
        """
        obs, earned, failed, ended, _ = self._made.step(self._neutral)
        worth = np.where(done | failed | ended, 0.0, self._potential(obs, t_index))
        rest = np.where(self._over, 0.0, earned + worth - self._worth)
        self._worth = worth
        self._over |= failed | ended
        return rest

    def close(self) -> None:
        """What was opened."""
        self._made.close()
