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
from .against_rest import INFO_KEYS, against_rest
from .arena import Act, Arena, FloatArray, IntArray, Played
from .config import Budget
from .session import AuditSession
from .tables import DetailRow, detail_rows, episode_rows, tables

#: Spaces of actions that each of them can learn on.
_SPACES: dict[str, tuple[type[spaces.Space[Any]], ...]] = {
    "ppo": (spaces.Box, spaces.Discrete, spaces.MultiDiscrete),
    "sac": (spaces.Box,),
}

_GAMMA = 0.99  # of the eight to thirty hours for which storage and cars remember what was done
PPO: dict[str, Any] = {
    "n_steps": 96, "n_epochs": 6, "batch_size": 1536, "gamma": _GAMMA, "gae_lambda": 0.95,
    "policy_kwargs": {"net_arch": [64, 64]},
}  # fmt: skip
SAC: dict[str, Any] = {
    "batch_size": 256, "learning_rate": 1e-3, "gamma": _GAMMA, "train_freq": 1, "gradient_steps": 16,
    "policy_kwargs": {"net_arch": [64, 64]},
}  # fmt: skip


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
    model = train(session.train, name, session.budget, session.config.seed, session.config.ppo_log_std)
    played = _play(session.test, session.days, model)
    steps = getattr(session.budget, f"{name}_steps")
    details = detail_rows(name, "training", {f"{name} steps": float(steps)})
    if name == "ppo":
        details += _ablations(session, model, played)
    rows = episode_rows(name, "learned", session.days, session.config.seed, played)
    return tables(rows, details)


def train(arena: Arena, name: str, budget: Budget, seed: int, log_std: float) -> Learned:
    """A model that was trained on the days of ``arena``; RunError without stable-baselines3.

    ``log_std`` is the logarithm of the deviation with which PPO begins.
    """
    try:
        import stable_baselines3 as sb3
        from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
    except ImportError as error:
        raise RunError(
            'learners need the package stable-baselines3: pip install "distgrid[rl]", or --learners none'
        ) from error
    from ...envs.sb3 import sb3_vec_env

    steps, n_envs = getattr(budget, f"{name}_steps"), budget.envs
    made: Any = open_rows(arena.env, n_envs, arena.threads, AutoresetMode.SAME_STEP)
    bare = against_rest(sb3_vec_env(made, info_keys=INFO_KEYS), arena, _GAMMA)
    env = VecNormalize(VecMonitor(bare), gamma=_GAMMA)
    with _one_torch_thread():
        if name == "ppo":
            size = min(PPO["n_steps"] * n_envs, PPO["batch_size"])
            policy = {**PPO["policy_kwargs"], "log_std_init": log_std}
            settings = {**PPO, "batch_size": size, "learning_rate": _falling_rate, "policy_kwargs": policy}
            model: Any = sb3.PPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
        else:
            first = min(3000, steps // 4)
            model = sb3.SAC("MlpPolicy", env, seed=seed, device="cpu", learning_starts=first, **SAC)
        _begin_neutral(model, arena)
        model.learn(steps)
    env.close()
    return Learned(model, env)


def _falling_rate(left: float) -> float:
    """The learning rate of PPO, to 0 as what is ``left`` of the training."""
    return 1e-3 * left


def _begin_neutral(model: Any, arena: Arena) -> None:
    """Learning begins around the action that does nothing, where an actor's last layer gives floats."""
    import torch

    layer = getattr(model.policy, "action_net", None)
    if isinstance(arena.env.action_space, spaces.Box) and layer is not None:
        with torch.no_grad():
            layer.bias.copy_(torch.as_tensor(arena.neutral, dtype=layer.bias.dtype))


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
