"""What the learners of this package have in common: networks, running moments, advantages.

PyTorch is loaded when a learner begins, not with the package.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from .policy_file import Arrays, array_of

FloatArray = NDArray[np.float64]
CLIP = 10.0  # standard deviations beyond which an observation says no more
_LEAST_STD = 1e-4  # of a column that hardly moves; one that never does says nothing


def torch_or_error() -> Any:
    """The library; RunError with what to install where it is missing."""
    try:
        import torch
    except ImportError as error:
        raise RunError("training needs PyTorch: pip install 'distgrid[rl]'") from error
    return torch


@contextmanager
def threads_of(torch: Any, count: int) -> Iterator[None]:
    """`count` threads for what PyTorch does inside; what was set before is set again."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def perceptron(torch: Any, sizes: Sequence[int], gain: float) -> Any:
    """Dense layers (in, hidden, ..., out), orthogonal as in Andrychowicz et al. (2021); see `run`.

    Args:
        torch: The library.
        sizes: Of the layers.
        gain: Of the last layer; small for an actor, whose first actions are then its bias.
    """
    gains = [2.0**0.5] * (len(sizes) - 2) + [gain]
    pairs = zip(itertools.pairwise(sizes), gains, strict=True)
    return torch.nn.ModuleList(_dense(torch, n_in, n_out, scale) for (n_in, n_out), scale in pairs)


def run(layers: Any, seen: Any, own: Any = None) -> Any:
    """The last layer's numbers (..., n_out) for inputs (..., n_in), with tanh between the layers.

    Args:
        layers: A `perceptron`.
        seen: Inputs.
        own: Is added to the first layer: what tells agents that share the layers apart.
    """
    values = layers[0](seen)
    if own is not None:
        values = values + own
    for layer in layers[1:]:
        values = layer(values.tanh())
    return values


def log_density(draws: Any, log_std: Any) -> Any:
    """(...,) logarithm of a normal density at `draws` (..., n), in standard deviations, up to a constant."""
    return -0.5 * draws.square().sum(-1) - log_std.sum(-1)


def _dense(torch: Any, n_in: int, n_out: int, gain: float) -> Any:
    layer = torch.nn.Linear(n_in, n_out)
    torch.nn.init.orthogonal_(layer.weight, gain)
    torch.nn.init.zeros_(layer.bias)
    return layer


class Moments:
    """Mean and variance of columns over everything seen so far (Chan et al., 1979)."""

    def __init__(self, size: int) -> None:
        """Nothing seen: mean 0, variance 1."""
        self.count = 0.0
        self.mean: FloatArray = np.zeros(size)
        self.var: FloatArray = np.ones(size)

    @property
    def std(self) -> FloatArray:
        """(size,) standard deviations, 1 for columns that never moved."""
        std = np.sqrt(self.var)
        return np.where(std < _LEAST_STD, 1.0, std)

    def update(self, values: NDArray[np.floating[Any]]) -> None:
        """Take over (n, size) more."""
        count = float(values.shape[0])
        mean, var = values.mean(axis=0, dtype=np.float64), values.var(axis=0, dtype=np.float64)
        total = self.count + count
        apart = mean - self.mean
        within = self.var * self.count + var * count
        self.mean = self.mean + apart * (count / total)
        self.var = (within + apart**2 * (self.count * count / total)) / total
        self.count = total

    def normalise(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """`values` (..., size) in standard deviations from the mean, clipped at `CLIP`."""
        mean, scale = self.mean.astype(np.float32), (1.0 / self.std).astype(np.float32)
        found = (values - mean) * scale
        return np.clip(found, -CLIP, CLIP, out=found).astype(np.float32, copy=False)

    def arrays(self, prefix: str) -> dict[str, FloatArray]:
        """Everything, by name, for a checkpoint."""
        return {
            f"{prefix}.count": np.array([self.count]), f"{prefix}.mean": self.mean, f"{prefix}.var": self.var,
        }  # fmt: skip

    def load(self, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave."""
        self.count = float(arrays[f"{prefix}.count"][0])
        self.mean, self.var = arrays[f"{prefix}.mean"].copy(), arrays[f"{prefix}.var"].copy()


def against_twins(rewards: FloatArray, twins: int) -> FloatArray:
    """(steps, rows, ...) what each row earns more than the others of its day do in the same interval.

    Most of a bill is load that must be served, whatever anybody does. Rows that share a day and its chances
    differ by their actions alone, so that the mean of the others is a baseline that depends on the inputs
    and not on the row's own actions (H. Mao, S. B. Venkatakrishnan, M. Schwarzkopf and M. Alizadeh, Variance
    reduction for reinforcement learning in input-driven environments, ICLR 2019).

    Args:
        rewards: (steps, rows, ...), rows of a day side by side.
        twins: Rows of a day; 1: the rewards as they are.
    """
    if twins == 1:
        return rewards
    days = rewards.reshape(rewards.shape[0], -1, twins, *rewards.shape[2:])
    others = (days.sum(axis=2, keepdims=True) - days) / (twins - 1)
    return (days - others).reshape(rewards.shape)


def returns_to_go(rewards: FloatArray, gamma: float) -> FloatArray:
    """(steps, ...) discounted sums of the rewards from each step on; nothing follows the last one."""
    found = np.empty_like(rewards)
    following = np.zeros(rewards.shape[1:])
    for t in range(rewards.shape[0] - 1, -1, -1):
        following = rewards[t] + gamma * following
        found[t] = following
    return found


def advantages(
    rewards: FloatArray, values: FloatArray, goes_on: NDArray[np.bool_], gamma: float, lam: float
) -> FloatArray:
    """(steps, ...) generalised advantages (Schulman et al., 2016) of whole episodes.

    Args:
        rewards: (steps, ...).
        values: (steps, ...) of the observation before each step.
        goes_on: (steps, ...) whether the episode goes on after the step: what follows its end is not its own.
        gamma: Discount.
        lam: Share of later errors.
    """
    found = np.empty_like(rewards)
    following = np.zeros(rewards.shape[1:])
    value = np.zeros(rewards.shape[1:])
    for t in range(rewards.shape[0] - 1, -1, -1):
        error = rewards[t] + gamma * goes_on[t] * value - values[t]
        following = error + gamma * lam * goes_on[t] * following
        found[t], value = following, values[t]
    return found


def tensor_of(torch: Any, arrays: Arrays, name: str, shape: tuple[int, ...]) -> Any:
    """A tensor out of a checkpoint; ValueError where it is not there, or of another shape."""
    return torch.from_numpy(array_of(arrays, name, shape).copy())


def adam_state(torch: Any, arrays: Arrays, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Step and moments of a parameter of that shape, as Adam keeps them, out of a checkpoint."""
    wanted = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
    return {part: tensor_of(torch, arrays, f"{name}.{part}", size) for part, size in wanted.items()}
