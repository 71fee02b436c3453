"""The vector environment as stable-baselines3 wants it. That library is loaded when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from .core.arguments import checked_names, checked_options
from .core.options import VectorKeywords
from .core.planning import PlannedScenario
from .core.time_axis import chosen_start
from .vector import GridVectorEnv
from .vectorised.row_view import RowView


def sb3_vec_env(
    env: str | GridVectorEnv,
    num_envs: int = 1,
    *,
    info_keys: Sequence[str] = ("cost",),
    **options: Unpack[VectorKeywords],
) -> Any:
    """A ``stable_baselines3.common.vec_env.VecEnv`` on top of a vector environment.

    Args:
        env: a registered id ("distgrid/VoltVar-33bw-v0"), or a vector environment with
            ``autoreset_mode="SameStep"``.
        num_envs: how many, for an id.
        info_keys: which numbers of the infos each environment's own dict gets, beside
            ``TimeLimit.truncated`` and, at its end, ``terminal_observation`` and what wrappers such as
            ``VecMonitor`` add. A dict for each environment costs more than its power flow.
        options: arguments of the vector environment, for an id: fields of ``EnvOptions``, ``threads``,
            ``copy``, ``max_episode_steps``.

    ImportError without stable-baselines3; ValueError for another autoreset mode or an unknown key, TypeError
    for arguments of the wrong kind.
    """
    keys = checked_names("info_keys", info_keys)
    if isinstance(env, str):
        made = gym.make_vec(
            env, num_envs=num_envs, vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP, **options,
        )  # fmt: skip
        assert isinstance(made, GridVectorEnv)
        env = made
    elif not isinstance(env, GridVectorEnv):
        raise TypeError(
            f"env must be a registered id or a distgrid vector environment, got {type(env).__name__}: "
            "stable-baselines3 itself wraps single environments"
        )
    elif options or num_envs not in (1, env.num_envs):
        raise ValueError("num_envs and options are for an id; this vector environment is made already")
    if env.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(
            f"stable-baselines3 resets in the same step: make the vector environment with "
            f"autoreset_mode='SameStep', not {env.autoreset_mode.value!r}"
        )
    return _adapted(env, keys)


class _Adapter:
    """All of the adapter but its base class, which comes from a library that environments do not load."""

    # Kept by stable-baselines3's VecEnv.
    num_envs: int
    reset_infos: list[dict[str, Any]]
    _seeds: list[int | None]
    _options: list[dict[str, Any]]
    _reset_seeds: Callable[[], None]
    _reset_options: Callable[[], None]
    _get_indices: Callable[[Any], Any]

    def __init__(self, env: GridVectorEnv, info_keys: tuple[str, ...]) -> None:
        self.env, self.info_keys = env, info_keys
        self._actions: Any = None
        start: Any = super().__init__  # of the VecEnv that comes next
        start(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Begin everywhere, with the seeds and options that were set, each environment with its own."""
        asked = [chosen_start(checked_options(options, ("day", "start"))) for options in self._options]
        names = {one[0] for one in asked if one is not None}
        if len(names) > 1:
            raise ValueError("some environments were given a day, some a start: give all the same")
        chosen = {name: [None if one is None else one[1] for one in asked] for name in names}
        observations, infos = self.env.reset(seed=self._seeds, options=chosen)
        self.reset_infos = _picked(infos, _numbers(infos, self.info_keys), self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observations

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """For the next reset: one dict for all, or one for each environment; ValueError for unknown ones."""
        several = options if isinstance(options, list | tuple) else [options]
        for one in several:
            checked_options(one, ("day", "start"))
        if isinstance(options, list | tuple) and len(options) != self.num_envs:
            raise ValueError(f"expected one dict of options, or {self.num_envs} of them, got {len(options)}")
        own = list(options) if isinstance(options, list | tuple) else [options] * self.num_envs
        self._options = [dict(one or {}) for one in own]

    def step_async(self, actions: Any) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> Any:
        """One step; what has ended is begun anew, with ``terminal_observation`` in its info."""
        observations, reward, terminated, truncated, infos = self.env.step(self._actions)
        done = terminated | truncated
        rows = np.flatnonzero(done).tolist()
        picked = _earned(infos, self.info_keys, done)
        listed = _picked(picked, self.info_keys, self.num_envs)
        for info, cut in zip(listed, (truncated & ~terminated).tolist(), strict=True):
            info["TimeLimit.truncated"] = cut
        for row in rows:
            listed[row]["terminal_observation"] = infos["final_obs"][row]
        if rows:
            begun = _picked(infos, _numbers(infos, self.info_keys), self.num_envs)
            for row in rows:
                self.reset_infos[row] = begun[row]
        return observations, reward.astype(np.float32), done, listed

    @property
    def scenario(self) -> PlannedScenario:
        """What is played, and what comes; see ``DistGridVectorEnv.scenario``."""
        return self.env.scenario

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of each environment asked for."""
        return [getattr(row, attr_name) for row in self._rows(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing of an environment of a vector can be set: AttributeError says what to do instead."""
        self.env.set_attr(attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call it in each environment asked for, and in no other."""
        return [getattr(row, method_name)(*method_args, **method_kwargs) for row in self._rows(indices)]

    def _rows(self, indices: Any) -> list[RowView]:
        return self.env.rows(list(self._get_indices(indices)))

    def __reduce__(self) -> tuple[Any, ...]:
        """The class is made where stable-baselines3 is loaded: a copy asks for it anew."""
        state = {name: value for name, value in vars(self).items() if name not in ("env", "info_keys")}
        return _adapted, (self.env, self.info_keys), state

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No single environment is wrapped, there is none."""
        return [False] * len(self._get_indices(indices))


def _adapted(env: GridVectorEnv, info_keys: tuple[str, ...]) -> Any:
    return _adapter_class()(env, info_keys)


@lru_cache(maxsize=1)
def _adapter_class() -> Any:
    base = importlib.import_module("stable_baselines3.common.vec_env").VecEnv
    return type("DistGridVecEnv", (_Adapter, base), {})


def _earned(infos: dict[str, Any], keys: Sequence[str], done: Any) -> dict[str, Any]:
    """Arrays by key, of the interval that was played: in ``final_info`` for what has ended."""
    final = infos.get("final_info", {})
    unknown = [key for key in keys if not isinstance(infos.get(key, final.get(key)), np.ndarray)]
    if unknown:
        raise ValueError(f"info key {unknown[0]!r} is not one number for each environment")
    if not final:
        return {key: infos[key] for key in keys}
    return {key: _mixed(infos[key], final[key], done) if key in infos else final[key] for key in keys}


def _mixed(going: Any, ended: Any, done: Any) -> Any:
    """A copy of ``going`` with the rows of ``ended`` where ``done``; masked arrays stay masked."""
    mixed = going.copy()
    mixed[done] = ended[done]
    return mixed


def _numbers(infos: dict[str, Any], keys: Sequence[str]) -> list[str]:
    """Those of the keys that are one number for each environment; the first step refuses the others."""
    return [key for key in keys if isinstance(infos.get(key), np.ndarray)]


def _picked(infos: dict[str, Any], keys: Sequence[str], num_envs: int) -> list[dict[str, Any]]:
    """One dict for each environment."""
    columns = [infos[key].tolist() if infos[key].ndim == 1 else list(infos[key]) for key in keys]
    if not columns:
        return [{} for _ in range(num_envs)]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]
