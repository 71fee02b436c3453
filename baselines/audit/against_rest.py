"""Rewards for training: what a policy earns more than doing nothing does in the same interval of a day.

Most of a bill is load that must be served, whatever anybody does; day by day it differs by far more than
agents can move. What doing nothing earns depends on the day alone, so that taking it off moves no optimum and
leaves a learner with its own part: an input-dependent baseline (H. Mao, S. B. Venkatakrishnan, M. Schwarzkopf
and M. Alizadeh, Variance reduction for reinforcement learning in input-driven environments, ICLR 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .arena import Arena

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

#: What the wrapped environment must tell of each row: the interval with which an episode begins.
INFO_KEYS = ("t_index",)


def against_rest(env: VecEnv, arena: Arena) -> VecEnv:
    """``env``, a `sb3_vec_env` with `INFO_KEYS` of the days of ``arena``, with rewards against rest.

    Over a whole episode they add up to its return less that of doing nothing, also where it fails before its
    end. Days that are drawn by chance beyond their number (cars, errors of forecasts) count by one draw.
    """
    from stable_baselines3.common.vec_env import VecEnvWrapper

    days = np.unique(arena.days)
    reward = arena.constants(days, arena.neutral[None]).reward
    left = np.cumsum(reward[:, ::-1], axis=1)[:, ::-1]  # (days, steps) of this interval and all behind it
    starts = {int(day) * arena.grid.scenario.calendar.steps_per_day: k for k, day in enumerate(days)}

    class AgainstRest(VecEnvWrapper):
        """One row of `reward` for each row of the environment, from its first interval on."""

        def reset(self) -> Any:
            """Begin everywhere."""
            obs = self.venv.reset()
            self._step = np.zeros(self.num_envs, dtype=np.int64)
            self._day = np.array([self._begun(row) for row in range(self.num_envs)])
            return obs

        def step_wait(self) -> Any:
            """Rewards less those of doing nothing; where an episode failed, less all that were to come."""
            obs, earned, done, infos = self.venv.step_wait()
            failed = done & ~np.array([info["TimeLimit.truncated"] for info in infos])
            rest = np.where(failed, left[self._day, self._step], reward[self._day, self._step])
            self._step += 1
            for row in np.flatnonzero(done):
                self._step[row], self._day[row] = 0, self._begun(row)
            return obs, (earned - rest).astype(np.float32), done, infos

        def _begun(self, row: int) -> int:
            return starts[int(self.venv.reset_infos[row]["t_index"])]

    wrapped: VecEnv = AgainstRest(env)
    return wrapped
