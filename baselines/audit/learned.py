"""PPO and SAC of stable-baselines3 as contenders: fixed seeds, budgets in the configuration, test days.

Both see observations and rewards that are normalised by what they have met so far (``VecNormalize``), learn
on train days of the environment's own vector face for what they earn more than doing nothing does
(`against_rest`), and act by the mean of their distribution on test days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ..errors import RunError
from ..rollouts.rows import open_rows
from ..search.arena import Act, Arena, FloatArray, IntArray, Played
from .against_rest import INFO_KEYS, against_rest
from .config import AuditConfig, Budget
from .session import AuditSession
from .tables import DetailRow, detail_rows, episode_rows, tables

#: Spaces of actions that each of them can learn on.
_SPACES: dict[str, tuple[type[spaces.Space[Any]], ...]] = {
    "ppo": (spaces.Box, spaces.Discrete, spaces.MultiDiscrete),
    "sac": (spaces.Box,),
}

PPO: dict[str, Any] = {"n_steps": 96, "n_epochs": 6, "batch_size": 1536}
SAC: dict[str, Any] = {
    "batch_size": 256, "learning_rate": 1e-3, "gamma": 0.99, "train_freq": 1, "gradient_steps": 16,
    "policy_kwargs": {"net_arch": [64, 64]},
}  # fmt: skip
#: Layers of PPO's networks and the learning rate to begin with, by the kind of its actor.
ACTORS: dict[str, tuple[Any, float]] = {
    "mlp": ([64, 64], 1e-3),
    "linear": ({"pi": [], "vf": [64, 64]}, 3e-3),
}


def can_learn(name: str, space: spaces.Space[Any]) -> bool:
    """Whether stable-baselines3 has this algorithm for a space of actions."""
    return isinstance(space, _SPACES[name])


class Learned:
    """A trained model with the normalisation of observations that it was trained under."""

    def __init__(self, model: Any, normalise: Any) -> None:
        self._model = model
        self._mean = normalise.obs_rms.mean
        self._deviation = np.sqrt(normalise.obs_rms.var + normalise.epsilon)
        self._clip = normalise.clip_obs

    def codes(self, obs: NDArray[Any]) -> Any:
        """(rows,) actions in the code of the environment's space."""
        seen = np.clip((obs - self._mean) / self._deviation, -self._clip, self._clip)
        return self._model.predict(seen.astype(np.float32), deterministic=True)[0]


def play_learner(session: AuditSession, name: str) -> Mapping[str, pa.Table]:
    """Train one of them, play the test days, and once more without each dimension of the action."""
    model = train(session.train, name, session.budget, session.config)
    played = _play(session.test, session.days, model)
    steps = getattr(session.budget, f"{name}_steps")
    details = detail_rows(name, "training", {f"{name} steps": float(steps)})
    if name == "ppo":
        details += _ablations(session, model, played)
    rows = episode_rows(name, "learned", session.days, session.config.seed, played)
    return tables(rows, details)


def train(arena: Arena, name: str, budget: Budget, config: AuditConfig) -> Learned:
    """A model that was trained on the days of ``arena``; RunError without stable-baselines3."""
    try:
        import stable_baselines3 as sb3
        from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
    except ImportError as error:
        raise RunError(
            'learners need the package stable-baselines3: pip install "distgrid[rl]", or --learners none'
        ) from error
    from ...envs.sb3 import sb3_vec_env

    steps, n_envs = getattr(budget, f"{name}_steps"), budget.envs
    gamma = config.ppo_gamma if name == "ppo" else SAC["gamma"]
    made: Any = open_rows(arena.env, n_envs, arena.threads, AutoresetMode.SAME_STEP)
    bare = against_rest(sb3_vec_env(made, info_keys=INFO_KEYS), made, arena)
    env = VecNormalize(VecMonitor(bare), gamma=gamma)
    with _one_torch_thread():
        if name == "ppo":
            settings = _ppo_settings(config, n_envs)
            model: Any = sb3.PPO("MlpPolicy", env, seed=config.seed, device="cpu", **settings)
            _begin(model, arena, config.ppo_begin)
        else:
            first = min(3000, steps // 4)
            model = sb3.SAC("MlpPolicy", env, seed=config.seed, device="cpu", learning_starts=first, **SAC)
        model.learn(steps)
    env.close()
    return Learned(model, env)


def _ppo_settings(config: AuditConfig, n_envs: int) -> dict[str, Any]:
    layers, rate = ACTORS[config.ppo_actor]
    return {
        **PPO,
        "batch_size": min(PPO["n_steps"] * n_envs, PPO["batch_size"]),
        "gamma": config.ppo_gamma,
        "gae_lambda": config.ppo_gae_lambda,
        "learning_rate": lambda left: rate * left,  # to 0 with what is left of the training
        "policy_kwargs": {"net_arch": layers, "log_std_init": config.ppo_log_std},
    }


def _begin(model: Any, arena: Arena, where: str) -> None:
    """Learning begins around the action that does nothing, or in the middle, where an actor gives floats."""
    import torch

    layer = model.policy.action_net
    if isinstance(arena.env.action_space, spaces.Box):
        first = arena.neutral if where == "neutral" else np.zeros(arena.n_actions)
        with torch.no_grad():
            layer.bias.copy_(torch.as_tensor(first, dtype=layer.bias.dtype))


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Networks this small are fastest on one thread, and their sums do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _play(arena: Arena, days: IntArray, model: Learned, frozen: int | None = None) -> Played:
    def act(_rows: slice) -> Act:
        def one(_step: int, obs: NDArray[Any], _infos: Mapping[str, Any]) -> FloatArray:
            floats: FloatArray = np.array(arena.codec.decode(model.codes(obs), obs.shape[0]))
            if frozen is not None:
                floats[:, frozen] = arena.neutral[frozen]
            return floats

        return one

    with _one_torch_thread():
        return arena.candidates(days, 1, act)


def _ablations(session: AuditSession, model: Learned, played: Played) -> list[DetailRow]:
    """For each dimension, the share of what PPO gains over do-nothing that is lost where it stays neutral."""
    arena, days = session.test, session.days
    rest = arena.constants(days, arena.neutral[None]).returns.mean()
    own = played.returns.mean()
    if not own > rest:
        return []
    lost = {}
    for dim, name in enumerate(arena.names):
        frozen = _play(arena, days, model, dim).returns.mean()
        lost[name] = float((own - frozen) / (own - rest))
    return detail_rows("ppo", "ablation", lost)
