"""A learner by its name, on the train days of an environment."""

from __future__ import annotations

from typing import Any, Protocol

from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from ...envs import parallel_vec
from ..errors import RunError
from ..learned.ippo import IPPO
from ..learned.learner import Settings, told
from ..learned.mappo import MAPPO
from ..learned.policy_file import Actor, PolicyFile, names_of
from ..learned.ppo import PPO
from ..learned.torch_parts import CLIP
from ..learned.trained_for import fingerprints
from ..rollouts.env_source import EnvSource
from ..rollouts.rows import open_rows
from .config import OF_AGENTS
from .sb3 import StableBaselines

#: What each algorithm's last layer gives, and what stands between its layers.
_NETWORKS = {"sac": ("tanh", "relu"), "dqn": ("argmax", "relu")}


class AnyLearner(Protocol):
    """What a training is to the job."""

    scenario: Any
    iterations_done: int

    @property
    def iterations(self) -> int:
        """Of the whole training."""

    @property
    def steps(self) -> int:
        """Environment steps played so far."""

    @property
    def episode_return(self) -> float:
        """Of the last episodes of the training."""

    def iterate(self) -> None:
        """Play and learn for a while."""

    def actors(self) -> tuple[Actor, ...]:
        """The networks as they are now."""

    def checkpoint(self, note: str = "") -> bytes:
        """All that the rest of the training depends on, and a note beside it."""

    def go_on(self, checkpoint: bytes) -> str:
        """Take over what `checkpoint` gave; its note. ValueError where it is none of this training."""


def open_learner(source: EnvSource, algo: str, settings: Settings, seed: int) -> Any:
    """The training that has not begun, on the days of `source`.

    Raises:
        RunError: A library that it needs is not installed, or it has no such actions or observations.
    """
    if algo in OF_AGENTS:
        if not isinstance(source.given, str):
            raise RunError(f"{algo} trains on a registered environment, by its id")
        reward = _number_or_word(settings.reward)
        try:
            vec = parallel_vec(
                source.given, settings.rows, reward=reward, split=source.split, threads=settings.threads
            )
        except ValueError as error:
            raise RunError(str(error)) from error
        return (IPPO if algo == "ippo" else MAPPO)(vec, settings, seed)
    env = source.open()
    if not isinstance(env.observation_space, spaces.Box):
        raise RunError(f"{algo} needs flat observations: choose another level than observation='graph'")
    if algo in ("ppo", "ppo-sb3") and not isinstance(env.action_space, spaces.Box):
        raise RunError(
            f"{algo} acts on continuous actions, this environment has {type(env.action_space).__name__}: "
            "choose another environment or action_space"
        )
    mode = AutoresetMode.NEXT_STEP if algo == "ppo" else AutoresetMode.SAME_STEP
    rows: Any = open_rows(env, settings.rows, settings.threads, mode)
    source.close(env)
    return PPO(rows, settings, seed) if algo == "ppo" else StableBaselines(algo, rows, settings, seed)


def _number_or_word(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def policy_of(learner: AnyLearner, algo: str, env_id: str, settings: Settings, seed: int) -> PolicyFile:
    """The policy as it is now."""
    output, activation = _NETWORKS.get(algo, ("clip", "tanh"))
    return PolicyFile(
        algorithm=algo, environment=env_id, fits=fingerprints(learner.scenario),
        training=told(settings, seed), actors=learner.actors(), clip=CLIP, activation=activation,
        output=output, rules=names_of(settings.rules),
    )  # fmt: skip
