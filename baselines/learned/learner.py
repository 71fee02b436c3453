"""What a training keeps between iterations, and how it is taken up again: the same for PPO, IPPO and MAPPO.

An iteration depends on the weights, the moments and its number alone: rows begin with seeds of the iteration,
and what is drawn is drawn anew. A training that goes on from a checkpoint ends with the bytes of one that was
never interrupted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .policy_file import Actor, from_safetensors, names_of, to_safetensors
from .rules import Rules
from .torch_parts import (
    Moments,
    adam_state,
    against_twins,
    returns_to_go,
    tensor_of,
    threads_of,
    torch_or_error,
)

FloatArray = NDArray[np.float64]
_REWARD_CLIP = 20.0  # standard deviations of returns: a failed power flow is no lesson for everything else


@dataclass(frozen=True)
class Settings:
    """What decides a training by PPO, IPPO or MAPPO, beside environment and seed.

    Attributes:
        steps: Environment steps in all, rounded up to whole iterations.
        rows: Environments side by side; an iteration is an episode in each.
        twins: Of these, so many play the same day with the same draws: `rows` is a multiple of it.
        gamma, lam: Discount, and the share of later errors in advantages.
        learning_rate: At first; it falls to 0 with the steps.
        epochs, batch: Passes over what an iteration has played, and steps that are learned from at once.
        clip: How far the ratio of probabilities counts.
        std: Standard deviation of the first actions, in units of the action space.
        begin: Where the first actions lie: around doing nothing ("neutral"), or in the "middle" of the box.
        hidden: Width of the two hidden layers of actor and critic.
        actor: "mlp" (as `hidden` says) or "linear": one layer, which learns faster where it is enough.
        rules: Names of scripted rules, with commas between them: actions are added to theirs, and begin
            around 0 whatever `begin` says. "": none.
        reward: Of many agents, who is paid for what; see `envs.agents.credit.share_of`.
        threads: Of PyTorch.
    """

    steps: int = 2_000_000
    rows: int = 256
    twins: int = 8
    gamma: float = 0.99
    lam: float = 0.95
    learning_rate: float = 2e-3
    epochs: int = 2
    batch: int = 1024
    clip: float = 0.2
    std: float = 0.5
    begin: str = "neutral"
    hidden: int = 64
    actor: str = "mlp"
    rules: str = ""
    reward: str = "own"
    threads: int = 1

    def widths(self, n_in: int, n_out: int) -> tuple[int, ...]:
        """Sizes of the actor's layers."""
        return (n_in, n_out) if self.actor == "linear" else (n_in, self.hidden, self.hidden, n_out)


@dataclass
class Clock:
    """Seconds of a loop by what they went into."""

    sampling_s: float = 0.0
    inference_s: float = 0.0
    learning_s: float = 0.0

    @property
    def wall_s(self) -> float:
        """All together."""
        return self.sampling_s + self.inference_s + self.learning_s


class Learner(ABC):
    """A training that is going on.

    Args:
        envs: The environments, `settings.rows` of them.
        scenario: What they play.
        settings: Of the training.
        seed: Of everything that is drawn.

    Attributes: `iterations_done` of `iterations`; `steps` played; `clock`; `episode_return`: mean over the
    last iteration's episodes, with actions drawn.
    """

    parameters: list[Any]

    def __init__(self, envs: Any, scenario: Any, settings: Settings, seed: int) -> None:
        self.torch = torch_or_error()
        self.envs, self.scenario, self.settings, self.seed = envs, scenario, settings, seed
        self.torch.manual_seed(seed)
        self.episode_steps = int(scenario.episode_steps)
        names = names_of(settings.rules)
        self.rules = Rules(names, envs) if names else None
        self.iterations_done, self.clock, self.episode_return = 0, Clock(), float("nan")
        self.moments: dict[str, Moments] = {"earned": Moments(1)}

    def learn_with(self, parameters: list[Any]) -> None:
        """These are what the optimiser moves."""
        self.parameters = parameters
        self.optimiser = self.torch.optim.Adam(parameters, lr=self.settings.learning_rate, eps=1e-5)

    @property
    def begins_neutral(self) -> bool:
        """Whether the first actions lie around doing nothing; otherwise around 0."""
        return self.settings.begin == "neutral" and self.rules is None

    @property
    def first_gain(self) -> float:
        """Of an actor's last layer: first actions hardly depend on what is seen, and add nothing to rules."""
        return 0.01 if self.rules is None else 0.0

    @property
    def steps(self) -> int:
        """Environment steps played so far."""
        return self.iterations_done * self.episode_steps * self.settings.rows

    @property
    def iterations(self) -> int:
        """Of the whole training."""
        return -(-self.settings.steps // (self.episode_steps * self.settings.rows))

    def iterate(self) -> None:
        """Play an episode in every row and learn from it."""
        with threads_of(self.torch, self.settings.threads):
            self.torch.manual_seed(self.seed * 1_000_003 + self.iterations_done)
            left = 1.0 - self.iterations_done / self.iterations
            for group in self.optimiser.param_groups:
                group["lr"] = self.settings.learning_rate * left
            self.play_and_learn()
        self.iterations_done += 1

    @abstractmethod
    def play_and_learn(self) -> None:
        """One iteration."""

    @abstractmethod
    def actors(self) -> tuple[Actor, ...]:
        """The networks as they are now, for a policy file."""

    def seeds(self) -> list[int]:
        """(rows,) of the iteration that begins: the same for twins, side by side."""
        own = np.random.SeedSequence([self.seed, self.iterations_done])
        twins = self.settings.twins
        return [int(s) for s in np.repeat(own.generate_state(self.settings.rows // twins), twins)]

    def lessons(self, rewards: FloatArray, valid: NDArray[np.bool_]) -> FloatArray:
        """(steps, rows, ...) rewards against those of twins, in units of the spread of what is earned.

        Args:
            rewards: (steps, rows), or (steps, rows, agents) where each has a spread of its own.
            valid: (steps, rows) which steps count; their returns are taken over into the spread.
        """
        relative, earned = against_twins(rewards, self.settings.twins), self.moments["earned"]
        returns = returns_to_go(relative, self.settings.gamma)[valid]
        earned.update(returns.reshape(len(returns), earned.mean.size))
        return np.clip(relative / earned.std, -_REWARD_CLIP, _REWARD_CLIP)

    def descend(self, loss: Any) -> None:
        """One step of the optimiser."""
        self.optimiser.zero_grad()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.parameters, 0.5)
        self.optimiser.step()

    def checkpoint(self, note: str = "") -> bytes:
        """All that the rest of the training depends on, and a note beside it."""
        arrays: dict[str, NDArray[Any]] = {"done": np.array([self.iterations_done], dtype="<i8")}
        for k, parameter in enumerate(self.parameters):
            arrays[f"parameter.{k}"] = parameter.detach().numpy()
            for name, value in self.optimiser.state[parameter].items():
                arrays[f"optimiser.{k}.{name}"] = value.numpy()
        for name, moments in self.moments.items():
            arrays |= moments.arrays(name)
        return to_safetensors(arrays, {"format": "distgrid checkpoint 1", "note": note})

    def go_on(self, checkpoint: bytes) -> str:
        """Take over what `checkpoint` gave; its note. ValueError where it is none of this training."""
        arrays, texts = from_safetensors(checkpoint)
        wanted = {"done", *(f"{name}.{part}" for name in self.moments for part in ("count", "mean", "var"))}
        if not wanted <= arrays.keys():
            raise ValueError("it is no checkpoint of this training")
        with self.torch.no_grad():
            for k, parameter in enumerate(self.parameters):
                parameter.copy_(tensor_of(self.torch, arrays, f"parameter.{k}", tuple(parameter.shape)))
                self.optimiser.state[parameter] = adam_state(
                    self.torch, arrays, f"optimiser.{k}", tuple(parameter.shape)
                )
        for name, moments in self.moments.items():
            moments.load(name, arrays)
        self.iterations_done = int(arrays["done"][0])
        return str(texts.get("note", ""))


def layers_of(network: Any) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
    """Weights and biases of a `torch_parts.perceptron`."""
    return tuple(
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in network
    )


def told(settings: Settings, seed: int) -> Mapping[str, Any]:
    """Settings and seed, as a policy file has them."""
    return {**vars(settings), "seed": seed}
