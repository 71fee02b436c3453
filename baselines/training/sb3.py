"""Learners of stable-baselines3 for one agent: SAC, DQN, and its PPO, as trainings of this package.

They see observations and rewards that are normalised by what they have met so far. A piece of a training
begins with new episodes and new draws, seeded by its number: so a training that is taken up behind a piece
ends with the bytes of one that was never interrupted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from ...envs.sb3 import sb3_vec_env
from ..errors import RunError
from ..learned.learner import Settings
from ..learned.policy_file import Actor, from_safetensors, to_safetensors
from ..learned.torch_parts import CLIP, threads_of, torch_or_error
from .sb3_state import arrays_of, take_over

#: Steps of a piece.
_PIECE = 20_000
_FORMAT = "distgrid stable-baselines3 checkpoint 1"


class StableBaselines:
    """A training that is going on; see `learner.Learner` for its attributes.

    Args:
        name: "sac", "dqn" or "ppo-sb3".
        envs: Vector environment, autoreset SAME_STEP.
        settings: Of the training.
        seed: Of everything that is drawn.

    Raises:
        RunError: stable-baselines3 is not installed, or has no such algorithm for these actions.
    """

    def __init__(self, name: str, envs: Any, settings: Settings, seed: int) -> None:
        self.torch = torch_or_error()
        try:
            import stable_baselines3 as sb3
            from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
        except ImportError as error:
            raise RunError(
                f"{name} needs the package stable-baselines3: pip install 'distgrid[rl]'"
            ) from error
        self.name, self.settings, self.seed, self.scenario = name, settings, seed, envs.scenario
        wanted = spaces.Discrete if name == "dqn" else spaces.Box
        if not isinstance(envs.single_action_space, wanted):
            raise RunError(
                f"{name} acts on {wanted.__name__} actions, this environment has "
                f"{type(envs.single_action_space).__name__}: choose another algorithm or another action_space"
            )
        self._env = VecNormalize(VecMonitor(sb3_vec_env(envs)), gamma=settings.gamma, clip_obs=CLIP)
        self._model: Any = _model(sb3, name, self._env, settings, seed)
        self.iterations = max(-(-settings.steps // _PIECE), 1)
        self.iterations_done = 0

    @property
    def steps(self) -> int:
        """Environment steps played so far."""
        return int(self._model.num_timesteps)

    @property
    def episode_return(self) -> float:
        """Mean over the last hundred episodes, with actions drawn; NaN before the first."""
        found = [episode["r"] for episode in self._model.ep_info_buffer or ()]
        return float(np.mean(found)) if found else float("nan")

    def iterate(self) -> None:
        """Play and learn for a piece."""
        own = np.random.SeedSequence([self.seed, self.iterations_done])
        with threads_of(self.torch, self.settings.threads):
            piece = -(-self.settings.steps // self.iterations)
            self._model.set_random_seed(int(own.generate_state(1)[0]))
            self._model._last_obs = None  # its word for: begin with new episodes
            self._model.learn(piece, reset_num_timesteps=False)
        self.iterations_done += 1

    def checkpoint(self, note: str = "") -> bytes:
        """All that the rest of the training depends on, and a note beside it."""
        arrays = {"done": np.array([self.iterations_done], dtype="<i8"), **arrays_of(self._model, self._env)}
        return to_safetensors(arrays, {"format": _FORMAT, "algorithm": self.name, "note": note})

    def go_on(self, checkpoint: bytes) -> str:
        """Take over what `checkpoint` gave; its note. ValueError where it is none of this training."""
        arrays, texts = from_safetensors(checkpoint)
        if (texts.get("format"), texts.get("algorithm")) != (_FORMAT, self.name) or "done" not in arrays:
            raise ValueError("it is no checkpoint of this training")
        take_over(self.torch, self._model, self._env, arrays)
        self.iterations_done = int(arrays["done"][0])
        return texts.get("note", "")

    def actors(self) -> tuple[Actor, ...]:
        """The network as it is now, for a policy file."""
        policy: Any = self._model.policy
        moments: Any = self._env.obs_rms
        if self.name == "sac":
            layers = [*policy.actor.latent_pi, policy.actor.mu]
        elif self.name == "dqn":
            layers = [*policy.q_net.q_net]
        else:
            layers = [*policy.mlp_extractor.policy_net, policy.action_net]
        kept = [layer for layer in layers if isinstance(layer, self.torch.nn.Linear)]
        weights = tuple((x.weight.detach().numpy().copy(), x.bias.detach().numpy().copy()) for x in kept)
        n_act = 1 if self.name == "dqn" else weights[-1][1].size
        std = np.sqrt(moments.var + self._env.epsilon)
        sees, acts = np.arange(moments.mean.size)[None], np.arange(n_act)[None]
        return (Actor("all", np.array(moments.mean), std, weights, sees, acts),)


def _model(sb3: Any, name: str, env: Any, settings: Settings, seed: int) -> Any:
    layers = [settings.hidden, settings.hidden]
    common = {"seed": seed, "device": "cpu", "gamma": settings.gamma}
    if name == "ppo-sb3":
        kwargs = {"net_arch": layers, "log_std_init": float(np.log(settings.std))}
        return sb3.PPO(
            "MlpPolicy", env, n_steps=96, n_epochs=settings.epochs, batch_size=settings.batch,
            learning_rate=settings.learning_rate, gae_lambda=settings.lam, clip_range=settings.clip,
            policy_kwargs=kwargs, **common,
        )  # fmt: skip
    shared = {
        "learning_rate": settings.learning_rate, "batch_size": settings.batch, "train_freq": 1,
        "learning_starts": min(3000, settings.steps // 4), "gradient_steps": settings.epochs,
        "policy_kwargs": {"net_arch": layers}, "buffer_size": 200_000,
    }  # fmt: skip
    return (sb3.SAC if name == "sac" else sb3.DQN)("MlpPolicy", env, **shared, **common)
