"""Other conventions for the same environments: a vector of rewards, a cost beside the reward."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class MOWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Multi-objective: ``step`` returns the terms of the reward as a float32 vector, as mo-gymnasium does.

    The objectives are the terms in ``info["rewards"]``, in their order, the price of load that is not
    supplied and that of a failed power flow among them; their sum is the scalar reward. They are weighted as
    the task weighs them: a task with weights of 1 gives them in their units.

    Attributes:
        reward_names: Names of the objectives.
        reward_space: Their bounds, ``Box((n,), float32)``.
        reward_dim: How many there are.

    Raises:
        TypeError: The environment is none of this package, or a vector environment.
    """

    reward_names: tuple[str, ...]
    reward_space: spaces.Box
    reward_dim: int

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        inner: Any = getattr(env, "unwrapped", env)
        if not isinstance(env, gym.Env) or not hasattr(inner, "reward_space"):
            raise TypeError(
                f"MOWrapper takes a single environment of distgrid, whose reward has terms; got {inner!r}"
            )
        gym.Wrapper.__init__(self, env)
        self.reward_names = inner.reward_names
        self.reward_space, self.reward_dim = inner.reward_space, inner.reward_dim

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As ``step`` of the environment, the reward a vector (n,)."""
        observation, _, terminated, truncated, info = self.env.step(action)
        rewards = info["rewards"]
        reward = np.array([rewards[name] for name in self.reward_names], dtype=np.float32)
        return observation, reward, terminated, truncated, info


class CostWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Safe reinforcement learning: ``step`` returns the cost after the reward, as Safety-Gymnasium does.

    ``observation, reward, cost, terminated, truncated, info``; the cost is ``info["cost"]``, the sum of
    ``info["costs"]``: 0 exactly where every limit is kept.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(  # type: ignore[override]
        self, action: Any
    ) -> tuple[Any, SupportsFloat, float, bool, bool, dict[str, Any]]:
        """One interval; six values."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, float(info["cost"]), terminated, truncated, info


class VectorCostWrapper(VectorWrapper):
    """`CostWrapper` of a vector environment: rewards and costs are (num_envs,).

    Where an episode ends and the next begins in the same step, the cost is that of the episode that ended,
    as the reward is.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)

    def step(  # type: ignore[override]
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.float64], Any, Any, dict[str, Any]]:
        """One interval; six values."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        costs = infos["cost"]
        if "final_info" in infos:
            costs = np.where(infos["_final_info"], infos["final_info"]["cost"], costs)
        return observations, rewards, costs, terminated, truncated, infos
