"""Independent PPO for many agents (de Witt et al., 2020), on the batched form.

To be read from top to bottom, as `ppo`: `play` an episode in every row, then `learn` from it. Agents of a
kind share an actor and a critic, which see what the agent sees; what tells unlike devices of a kind apart is
a vector of each agent's own in the first layer. Columns that an agent lacks are masked, and nothing is
learned from an agent that has no device present.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..policy import scenario_of
from .learner import Learner, Settings, layers_of
from .policy_file import Actor
from .potential import agent_potential_of
from .torch_parts import Moments, advantages, perceptron, run

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Kind:
    """Agents of a kind, and what they share.

    Attributes:
        members: (agents,) rows in the arrays of all agents.
        size: Entries of what each of them sees.
        real: (agents, n_act) which columns of the action each has.
    """

    def __init__(
        self, torch: Any, name: str, vec: Any, members: list[int], settings: Settings, gain: float,
        neutral: bool,
    ) -> None:  # fmt: skip
        """``gain`` of the last layer; ``neutral``: whether first actions lie around doing nothing."""
        self.name, self.members = name, np.array(members)
        self.size = int(vec.observation_sizes[members[0]])
        self.n_act = int(vec.action_sizes[members].max())
        self.sees = vec.table.observation[members, : self.size]
        self.acts = vec.table.action[members, : self.n_act]
        self.real = torch.from_numpy(self.acts >= 0)
        widths = settings.widths(self.size, self.n_act)
        self.actor = perceptron(torch, widths, gain)
        self.own = torch.nn.Parameter(torch.zeros(len(members), widths[1]))
        self.log_std = torch.nn.Parameter(torch.full((self.n_act,), float(np.log(settings.std))))
        rest = np.where(self.acts >= 0, vec.table.neutral[np.maximum(self.acts, 0)], 0.0)
        if neutral:
            with torch.no_grad():
                self.actor[-1].bias.copy_(torch.from_numpy(rest.mean(axis=0)))
        self.seen = Moments(self.size)

    def normalised(self, torch: Any, obs: NDArray[np.float32]) -> Any:
        """What the members see (..., agents, size), of observations of all agents (..., agents, width)."""
        return torch.from_numpy(self.seen.normalise(obs[..., self.members, : self.size]))

    def density(self, draws: Any) -> Any:
        """(..., agents) logarithm of the density of `draws`, over the columns that each agent has."""
        each = -0.5 * draws.square() - self.log_std
        return (each * self.real).sum(-1)


class Played(NamedTuple):
    """An iteration's episodes.

    `obs` (steps, rows, agents, width), `states` (steps, rows, n_state), `draws` by kind (steps, rows,
    members, n_act), `rewards` (steps, rows, agents), `valid` (steps, rows), `active` (steps, rows, agents).
    """

    obs: NDArray[np.float32]
    states: NDArray[np.float32]
    draws: list[Any]
    rewards: FloatArray
    valid: BoolArray
    active: BoolArray


class IPPO(Learner):
    """A training that is going on.

    Args:
        vec: The batched form (`envs.ParallelVec`), autoreset NEXT_STEP.
        settings: Of the training; `rows` is that of `vec`, `batch` counts environment steps.
        seed: Of everything that is drawn.
    """

    def __init__(self, vec: Any, settings: Settings, seed: int) -> None:
        super().__init__(vec, scenario_of(vec), settings, seed)
        kinds = vec.table.parts.kinds
        members = {name: [k for k, kind in enumerate(kinds) if kind == name] for name in dict.fromkeys(kinds)}
        self.kinds = [
            Kind(self.torch, name, vec, own, settings, self.first_gain, self.begins_neutral)
            for name, own in members.items()
        ]
        self.potential = agent_potential_of(self.scenario, vec.table)
        self.moments["earned"] = Moments(vec.num_agents)
        self.moments |= {f"seen.{kind.name}": kind.seen for kind in self.kinds}
        own = [[*kind.actor.parameters(), kind.own, kind.log_std] for kind in self.kinds]
        self.learn_with([parameter for each in own for parameter in each] + self.make_critics())

    def make_critics(self) -> list[Any]:
        """Make what tells the value of what agents see; its parameters."""
        width, torch = self.settings.hidden, self.torch
        self.critics = [perceptron(torch, (kind.size, width, width, 1), 1.0) for kind in self.kinds]
        self.critics_own = [torch.nn.Parameter(torch.zeros(len(k.members), width)) for k in self.kinds]
        return [*(p for critic in self.critics for p in critic.parameters()), *self.critics_own]

    def values(self, seen: list[Any], states: Any) -> Any:
        """(steps, agents) of what members see, by kind (steps, members, size), or of states (steps, n)."""
        found = self.torch.empty(states.shape[0], self.envs.num_agents)
        for kind, critic, own, mine in zip(self.kinds, self.critics, self.critics_own, seen, strict=True):
            found[:, kind.members] = run(critic, mine, own).squeeze(-1)
        return found

    def actors(self) -> tuple[Actor, ...]:
        """One network for each kind."""
        return tuple(
            Actor(
                kind.name, kind.seen.mean, kind.seen.std, layers_of(kind.actor), kind.sees, kind.acts,
                kind.own.detach().numpy().copy(),
            )
            for kind in self.kinds
        )  # fmt: skip

    def play_and_learn(self) -> None:
        """One iteration."""
        played = self.play()
        started = time.perf_counter()
        self.learn(played)
        self.clock.learning_s += time.perf_counter() - started

    def play(self) -> Played:
        """One episode in every row."""
        torch, steps, rows, vec = self.torch, self.episode_steps, self.settings.rows, self.envs
        started = time.perf_counter()
        obs, infos = vec.reset(seed=self.seeds())
        self.clock.sampling_s += time.perf_counter() - started
        self.first_look(obs)
        if self.rules is not None:
            self.rules.reset(vec.state(), infos)
        kept = np.empty((steps, *obs.shape), dtype=np.float32)
        states = np.empty((steps, rows, vec.state_width), dtype=np.float32)
        active, rewards = np.empty((steps, *obs.shape[:2]), dtype=np.bool_), np.zeros((steps, *obs.shape[:2]))
        valid, playing = np.zeros((steps, rows), dtype=np.bool_), np.ones(rows, dtype=np.bool_)
        draws = [torch.randn(steps, rows, *kind.real.shape) for kind in self.kinds]
        action = np.zeros((rows, vec.num_agents, vec.action_width), dtype=np.float32)
        worth, begun = np.zeros((steps + 1, rows, vec.num_agents)), infos["t_index"].copy()
        for t in range(steps):
            started = time.perf_counter()
            kept[t], states[t], active[t], valid[t] = obs, vec.state(), vec.active, playing
            worth[t] = np.where(playing[:, None], self.potential(states[t], begun + t), 0.0)
            base = None if self.rules is None else self.rules.act(states[t], infos)
            with torch.no_grad():
                for kind, drawn in zip(self.kinds, draws, strict=True):
                    mean = run(kind.actor, kind.normalised(torch, obs), kind.own)
                    one = (mean + kind.log_std.exp() * drawn[t]).numpy()
                    if base is not None:
                        one += base[:, np.maximum(kind.acts, 0)]
                    action[:, kind.members, : kind.n_act] = np.clip(one, -1.0, 1.0)
            between = time.perf_counter()
            obs, reward, terminated, truncated, infos = vec.step(action)
            rewards[t] = np.where(playing[:, None], reward, 0.0)
            playing = playing & ~(terminated | truncated)
            self.clock.inference_s += between - started
            self.clock.sampling_s += time.perf_counter() - between
        self.episode_return = float(rewards.sum(axis=(0, 2)).mean())
        return Played(kept, states, draws, rewards + np.diff(worth, axis=0), valid, active)

    def first_look(self, obs: NDArray[np.float32]) -> None:
        """Moments of the first observations of a training."""
        for kind in self.kinds:
            if not kind.seen.count:
                kind.seen.update(obs[:, kind.members, : kind.size].reshape(-1, kind.size))

    def learn(self, played: Played) -> None:
        """From what was played."""
        torch, settings = self.torch, self.settings
        counts = played.valid.ravel()
        seen = [kind.normalised(torch, played.obs).flatten(0, 1)[counts] for kind in self.kinds]
        states = self.normalised_states(played.states).flatten(0, 1)[counts]
        mask = torch.from_numpy(played.active[played.valid]).float()
        found, values = self._advantages(played, seen, states)
        gain = torch.from_numpy(found[played.valid]).float()
        target = torch.from_numpy((found + values)[played.valid]).float()
        gain = (gain - gain.mean(0)) / (gain.std(0) + 1e-8) * mask
        with torch.no_grad():
            drawn = [draws.flatten(0, 1)[counts] for draws in played.draws]
            action = [
                run(kind.actor, mine, kind.own) + kind.log_std.exp() * draws
                for kind, mine, draws in zip(self.kinds, seen, drawn, strict=True)
            ]
            before = [kind.density(draws) for kind, draws in zip(self.kinds, drawn, strict=True)]
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(states)).split(settings.batch):
                mine = [each[rows] for each in seen]
                loss = 0.5 * ((self.values(mine, states[rows]) - target[rows]).square()).mean()
                for kind, saw, took, was in zip(self.kinds, mine, action, before, strict=True):
                    draws = (took[rows] - run(kind.actor, saw, kind.own)) * (-kind.log_std).exp()
                    ratio = (kind.density(draws) - was[rows]).exp()
                    clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
                    own = gain[rows][:, kind.members]
                    loss = loss - torch.min(ratio * own, clipped * own).sum() / (len(rows) * gain.shape[1])
                self.descend(loss)
        self._look(played)

    def normalised_states(self, states: NDArray[np.float32]) -> Any:
        """(steps, rows, n) as the critic sees them; this one sees what agents see, and no states."""
        return self.torch.zeros(*states.shape[:2], 1)

    def _advantages(self, played: Played, seen: list[Any], states: Any) -> tuple[FloatArray, FloatArray]:
        """(steps, rows, agents) each, in units of the spread of what an agent earns: with values."""
        settings, scaled = self.settings, self.lessons(played.rewards, played.valid)
        values = np.zeros(scaled.shape)
        with self.torch.no_grad():
            values[played.valid] = self.values(seen, states).numpy()
        goes_on = np.concatenate([played.valid[1:], np.zeros_like(played.valid[:1])])[:, :, None]
        return advantages(scaled, values, goes_on, settings.gamma, settings.lam), values

    def _look(self, played: Played) -> None:
        """Moments of what was seen."""
        for kind in self.kinds:
            obs = played.obs[played.valid][:, kind.members, : kind.size]
            kind.seen.update(obs.reshape(-1, kind.size))
