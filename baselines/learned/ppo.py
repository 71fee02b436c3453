"""Proximal policy optimisation (Schulman et al., 2017) for one agent, on the vector face.

To be read from top to bottom: `play` an episode in every row, then `learn` from it. It is fast where the
environment is: rows are many and networks small, per step only the actor is asked (values and probabilities
come later, for all steps at once), and an iteration has few, large steps of the optimiser. Two things make
it learn where most of a reward is load that must be served: rows that play the same day are each other's
baseline, and energy that is stored or owed counts at once (`potential`) and not when it is settled. An
episode ends with its day, as its score does: the clock is observed.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .learner import Learner, Settings, layers_of
from .policy_file import Actor
from .potential import potential_of
from .torch_parts import Moments, advantages, log_density, perceptron, run

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class PPO(Learner):
    """A training that is going on.

    Args:
        envs: Vector environment of flat observations and continuous actions, autoreset NEXT_STEP.
        settings: Of the training; `rows` is that of `envs`.
        seed: Of everything that is drawn.
    """

    def __init__(self, envs: Any, settings: Settings, seed: int) -> None:
        super().__init__(envs, envs.scenario, settings, seed)
        torch, width, neutral = self.torch, settings.hidden, self.scenario.neutral_action
        n_obs, n_act = self.scenario.layout.size, len(neutral)
        self.actor = perceptron(torch, settings.widths(n_obs, n_act), self.first_gain)
        self.critic = perceptron(torch, (n_obs, width, width, 1), 1.0)
        self.log_std = torch.nn.Parameter(torch.full((n_act,), float(np.log(settings.std))))
        if self.begins_neutral:
            with torch.no_grad():
                self.actor[-1].bias.copy_(torch.from_numpy(neutral))
        self.seen = self.moments["seen"] = Moments(n_obs)
        self.potential = potential_of(self.scenario)
        self.learn_with([*self.actor.parameters(), *self.critic.parameters(), self.log_std])

    def actors(self) -> tuple[Actor, ...]:
        """The actor; it sees and decides everything."""
        sees, acts = (np.arange(n)[None] for n in (self.seen.mean.size, self.log_std.numel()))
        return (Actor("all", self.seen.mean, self.seen.std, layers_of(self.actor), sees, acts),)

    def play_and_learn(self) -> None:
        """One iteration."""
        obs, noise, rewards, valid = self.play()
        started = time.perf_counter()
        self.learn(obs, noise, rewards, valid)
        self.clock.learning_s += time.perf_counter() - started

    def play(self) -> tuple[NDArray[np.float32], Any, FloatArray, BoolArray]:
        """One episode in every row.

        Returns observations (steps, rows, n_obs) and draws (steps, rows, n_act), rewards with the potential
        (steps, rows), and which steps count: a row that ended early has begun another day.
        """
        torch, steps, rows = self.torch, self.episode_steps, self.settings.rows
        started = time.perf_counter()
        obs, infos = self.envs.reset(seed=self.seeds())
        self.clock.sampling_s += time.perf_counter() - started
        if not self.seen.count:
            self.seen.update(obs)
        if self.rules is not None:
            self.rules.reset(obs, infos)
        kept = np.empty((steps, rows, obs.shape[1]), dtype=np.float32)
        noise = torch.randn(steps, rows, self.log_std.numel())
        rewards, valid = np.zeros((steps, rows)), np.zeros((steps, rows), dtype=np.bool_)
        worth, begun = np.zeros((steps + 1, rows)), infos["t_index"].copy()
        playing, std = np.ones(rows, dtype=np.bool_), self.log_std.detach().exp()
        for t in range(steps):
            started = time.perf_counter()
            kept[t], valid[t] = obs, playing
            worth[t] = np.where(playing, self.potential(obs, begun + t), 0.0)
            with torch.no_grad():
                mean = run(self.actor, torch.from_numpy(self.seen.normalise(kept[t])))
                action = (mean + std * noise[t]).numpy()
            if self.rules is not None:
                action += self.rules.act(obs, infos)
            between = time.perf_counter()
            obs, reward, terminated, truncated, infos = self.envs.step(np.clip(action, -1.0, 1.0))
            rewards[t] = np.where(playing, reward, 0.0)
            playing = playing & ~(terminated | truncated)
            self.clock.inference_s += between - started
            self.clock.sampling_s += time.perf_counter() - between
        self.episode_return = float(rewards.sum(axis=0).mean())
        return kept, noise, rewards + np.diff(worth, axis=0), valid

    def learn(self, kept: NDArray[np.float32], noise: Any, rewards: FloatArray, valid: BoolArray) -> None:
        """From what was played."""
        torch, settings = self.torch, self.settings
        counts = torch.from_numpy(valid.ravel())
        obs = torch.from_numpy(self.seen.normalise(kept)).flatten(0, 1)[counts]
        scaled = self.lessons(rewards, valid)
        values = np.zeros(valid.shape)
        with torch.no_grad():
            draws = noise.flatten(0, 1)[counts]
            action = run(self.actor, obs) + self.log_std.exp() * draws
            before = log_density(draws, self.log_std)
            values[valid] = run(self.critic, obs).squeeze(-1).numpy()
        goes_on = np.concatenate([valid[1:], np.zeros((1, valid.shape[1]), dtype=np.bool_)])
        found = advantages(scaled, values, goes_on, settings.gamma, settings.lam)
        gain = torch.from_numpy(found[valid]).float()
        target = torch.from_numpy((found + values)[valid]).float()
        gain = (gain - gain.mean()) / (gain.std() + 1e-8)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(obs)).split(settings.batch):
                seen = obs[rows]
                draws = (action[rows] - run(self.actor, seen)) * (-self.log_std).exp()
                ratio = (log_density(draws, self.log_std) - before[rows]).exp()
                clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
                loss = -torch.min(ratio * gain[rows], clipped * gain[rows]).mean()
                error = run(self.critic, seen).squeeze(-1) - target[rows]
                self.descend(loss + 0.5 * error.square().mean())
        self.seen.update(kept[valid])
