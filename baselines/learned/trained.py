"""A policy out of a file: the network in NumPy, without the library that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ...envs.core.planning import PlannedScenario
from ..errors import RunError
from ..policy import Action, AnyEnv, FloatArray, Policy, as_batch, neutral_action, scenario_of
from .policy_file import Actor, PolicyFile, read_policy
from .rules import Rules
from .trained_for import check_fits

PREFIX = "file:"
_SHOWN_DIGITS = 8


class Trained(Policy):
    """What a policy file holds, on an environment like the one that it was trained on.

    It acts by the mean of its distribution, or the best of its values: nothing is drawn.

    Args:
        env: The environment.
        path: Of the file.
        name: In tables; None: the algorithm and the first digits of the content's hash, so that another
            training has another name.

    Raises:
        RunError: The file cannot be read, is none, or was trained for another environment.
    """

    plays_batches = True

    def __init__(self, env: AnyEnv, path: str | Path, name: str | None = None) -> None:
        content, self.sha256 = read_policy(path)
        scenario = scenario_of(env)
        check_fits(content.fits, scenario, str(path), content.environment)
        _check_columns(content, scenario, str(path))
        self.name = f"{content.algorithm}-{self.sha256[:_SHOWN_DIGITS]}" if name is None else name
        self.actors = Actors(content, neutral_action(env))
        self.rules = Rules(content.rules, env) if content.rules else None
        self._told = {"algorithm": content.algorithm, "environment": content.environment}

    def config(self) -> Mapping[str, str | int | float | bool | None]:
        """Where it comes from; the weights are its attributes."""
        return {**self._told, "sha256": self.sha256}

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """The networks have no memory; rules may have."""
        if self.rules is not None:
            self.rules.reset(as_batch(obs)[0], info)

    def restart(self, rows: NDArray[np.bool_]) -> None:
        """As `reset`, in some rows."""
        if self.rules is not None:
            self.rules.restart(rows)

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The actions of the networks, added to those of the rules where there are any."""
        batch, single = as_batch(obs)
        action = self.actors.act(batch, None if self.rules is None else self.rules.act(batch, info))
        return action[0] if single else action


class Actors:
    """The networks of a policy file: each row of a batch gets the bits that the row alone would get.

    Args:
        content: Of the file.
        neutral: (n_act,) what columns that nobody decides get.
    """

    def __init__(self, content: PolicyFile, neutral: NDArray[np.float32]) -> None:
        self.networks = [Network(actor, content.clip, content.activation) for actor in content.actors]
        self.output, self.neutral = content.output, neutral

    def act(self, obs: FloatArray, base: NDArray[np.float32] | None = None) -> Any:
        """(rows, n_act) floats in [-1, 1], float32, or (rows,) codes, for (rows, n_obs) observations.

        The floats are added to `base` (rows, n_act), the actions of rules, where it is given.
        """
        if self.output == "argmax":
            return self.networks[0].values(obs)[:, 0].argmax(axis=1)
        found = np.repeat(self.neutral[None], obs.shape[0], axis=0) if base is None else base.copy()
        for network in self.networks:
            values, acts = network.values(obs)[:, network.real], network.acts[network.real]
            floats = np.tanh(values) if self.output == "tanh" else values
            found[:, acts] = np.clip(floats if base is None else floats + base[:, acts], -1.0, 1.0)
        return found


class Network:
    """A perceptron that acts for some agents alike.

    Sums are added up in the order of the inputs, one input for all rows at a time. A matrix product of a
    library adds in an order that depends on how many rows there are.
    """

    def __init__(self, actor: Actor, clip: float, activation: str) -> None:
        self.mean, self.std, self.clip = actor.mean.astype(np.float64), actor.std.astype(np.float64), clip
        self.weights = [weight.astype(np.float64).T.copy() for weight, _ in actor.layers]  # (n_in, n_out)
        self.biases = [bias.astype(np.float64) for _, bias in actor.layers]
        self.own = None if actor.own is None else actor.own.astype(np.float64)
        self.sees, self.hidden, self.acts = np.maximum(actor.sees, 0), actor.sees < 0, actor.acts
        self.real, self.activation = actor.acts >= 0, activation

    def values(self, obs: FloatArray) -> FloatArray:
        """(rows, agents, n_out) numbers of the last layer for observations (rows, n_obs)."""
        seen = np.where(self.hidden, 0.0, obs[:, self.sees])
        values = np.clip((seen - self.mean) / self.std, -self.clip, self.clip)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = _dense(values.reshape(-1, weight.shape[0]), weight, bias)
            if k == 0 and self.own is not None:
                values = (values.reshape(-1, *self.own.shape) + self.own).reshape(values.shape)
            if k < last:
                values = np.tanh(values) if self.activation == "tanh" else np.maximum(values, 0.0)
        return values.reshape(obs.shape[0], self.sees.shape[0], -1)


def _dense(rows: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    """`rows` (rows, n_in) times `weight` (n_in, n_out) plus `bias`, in one order of sums."""
    found = np.repeat(bias[None], rows.shape[0], axis=0)
    term = np.empty_like(found)
    for column, row in zip(rows.T[:, :, None], weight, strict=True):
        np.multiply(column, row, out=term)
        found += term
    return found


def _check_columns(content: PolicyFile, scenario: PlannedScenario, path: str) -> None:
    """RunError where networks see or decide columns that the environment has not, or give other codes."""
    n_obs, n_act = scenario.layout.size, len(scenario.action_layout)
    for actor in content.actors:
        for what, columns, size in (("sees", actor.sees, n_obs), ("decides", actor.acts, n_act)):
            if columns.size and int(columns.max()) >= size:
                raise RunError(
                    f"{path}: its network {actor.name!r} {what} column {int(columns.max())}, "
                    f"this environment has {size}"
                )
    codes = int(scenario.codec.space.n) if isinstance(scenario.codec.space, spaces.Discrete) else None
    given = content.actors[0].layers[-1][0].shape[0] if content.output == "argmax" else None
    if given != codes:
        raise RunError(
            f"{path}: its network gives values of {given} codes, this environment has "
            f"{'no codes' if codes is None else codes}"
        )


def path_of(name: str) -> Path | None:
    """The path in a name "file:PATH"; None where it is another name. RunError for an empty path."""
    if not name.startswith(PREFIX):
        return None
    path = name.removeprefix(PREFIX)
    if not path:
        raise RunError(f"{name!r} names no file; expected file:PATH of a trained policy")
    return Path(path)
