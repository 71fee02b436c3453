"""Rewards for training: what a policy earns more than doing nothing does in the same interval of a day.

Most of a bill is load that must be served, whatever anybody does; day by day it differs by far more than
agents can move. What doing nothing earns depends on the day alone, so that taking it off moves no optimum and
leaves a learner with its own part: an input-dependent baseline (H. Mao, S. B. Venkatakrishnan, M. Schwarzkopf
and M. Alizadeh, Variance reduction for reinforcement learning in input-driven environments, ICLR 2019).

Where stored and owed energy is settled in money it counts at once, at the middle of the prices of settlement:
who charges at a low price has earned the difference. That is a potential (A. Y. Ng, D. Harada and S. Russell,
Policy invariance under reward transformations, ICML 1999): it moves no optimum, either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arena import Act, Arena, FloatArray

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

#: What the wrapped environment must tell of each row: the interval with which an episode begins.
INFO_KEYS = ("t_index",)
Potential = Callable[[NDArray[Any]], FloatArray]


def against_rest(env: VecEnv, arena: Arena, gamma: float) -> VecEnv:
    """``env``, a `sb3_vec_env` with `INFO_KEYS` of the days of ``arena``, with rewards against rest.

    Over a whole episode they add up to its return less that of doing nothing (with ``gamma``, the discount of
    the learner, at 1), also where it fails before its end. Days that are drawn by chance beyond their number
    (cars, errors of forecasts) count by one draw.
    """
    from stable_baselines3.common.vec_env import VecEnvWrapper

    days = np.unique(arena.days)
    potential = potential_of(arena)
    reward = _rest(arena, days, potential, gamma)
    left = np.cumsum(reward[:, ::-1], axis=1)[:, ::-1]  # (days, steps) of this interval and all behind it
    starts = {int(day) * arena.grid.scenario.calendar.steps_per_day: k for k, day in enumerate(days)}

    class AgainstRest(VecEnvWrapper):
        """One row of `reward` for each row of the environment, from its first interval on."""

        def reset(self) -> Any:
            """Begin everywhere."""
            obs: Any = self.venv.reset()
            self._step = np.zeros(self.num_envs, dtype=np.int64)
            self._day = np.array([self._begun(row) for row in range(self.num_envs)])
            self._worth = potential(obs)
            return obs

        def step_wait(self) -> Any:
            """Rewards less those of doing nothing; where an episode failed, less all that were to come."""
            obs: Any
            obs, earned, done, infos = self.venv.step_wait()
            worth = potential(obs)
            shaped = earned + gamma * np.where(done, 0.0, worth) - self._worth
            rest = reward[self._day, self._step]
            self._step += 1
            self._worth = worth
            for row in np.flatnonzero(done).tolist():
                if not infos[row]["TimeLimit.truncated"]:
                    rest[row] = left[self._day[row], self._step[row] - 1]
                self._step[row], self._day[row] = 0, self._begun(row)
            return obs, (shaped - rest).astype(np.float32), done, infos

        def _begun(self, row: int) -> int:
            return starts[int(self.venv.reset_infos[row]["t_index"])]

    wrapped: VecEnv = AgainstRest(env)
    return wrapped


def potential_of(arena: Arena) -> Potential:
    """What observations (rows, n_obs) show of stored and owed energy, at the middle price, or 0."""
    layout = arena.grid.scenario.layout
    if "energy_balance_mwh" not in layout or "settlement_price_usd_mwh" not in layout:
        return lambda obs: np.zeros(len(obs))
    balance, prices = layout["energy_balance_mwh"], layout["settlement_price_usd_mwh"]

    def worth(obs: NDArray[Any]) -> FloatArray:
        stored, owed = obs[:, balance].T.astype(np.float64)
        return np.asarray((stored - owed) * obs[:, prices].mean(axis=1), dtype=np.float64)

    return worth


def _rest(arena: Arena, days: NDArray[np.int64], potential: Potential, gamma: float) -> FloatArray:
    """(days, steps) what doing nothing earns, with the potential; 0 behind a failure."""
    worth = np.zeros((days.size, arena.steps + 1))

    def act(rows: slice) -> Act:
        def one(step: int, obs: NDArray[Any], _infos: Any) -> FloatArray:
            worth[rows, step] = potential(obs)
            return np.repeat(arena.neutral[None], len(obs), axis=0)

        return one

    played = arena.candidates(days, 1, act)
    behind = np.arange(arena.steps + 1) >= played.length[:, None]
    worth[behind] = 0.0
    return np.asarray(played.reward + gamma * worth[:, 1:] - worth[:, :-1])
