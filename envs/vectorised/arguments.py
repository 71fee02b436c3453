"""What the methods of a vector environment are given, as arrays over its environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
DRAWN = -1  # in place of a start: the environment draws one


def checked_mask(mask: Any, every: BoolArray, started: bool) -> BoolArray:
    """The environments that a reset is for; ``every`` of them where no mask is given."""
    if mask is None:
        return every
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"reset_mask must be a bool array, got {getattr(mask, 'dtype', type(mask))}")
    if mask.shape != every.shape or not mask.any():
        raise ValueError(
            f"reset_mask must have shape {every.shape} and one True at least, "
            f"got shape {mask.shape} with {int(mask.sum())} True"
        )
    if not started and not mask.all():
        raise RuntimeError("call reset() without a reset_mask first: the environments are new")
    return mask


def checked_row_starts(name: str, value: Any, num_envs: int, check: Callable[[str, Any], int]) -> IntArray:
    """(num_envs,) of one day or start, or of one for each environment; None among them: ``DRAWN``."""
    listed = isinstance(value, list | tuple | np.ndarray) and np.ndim(value)
    several = list(value) if listed else [value] * num_envs
    if len(several) != num_envs:
        raise ValueError(f"{name} must be one number or {num_envs} of them, got {len(several)}")
    return np.array([DRAWN if v is None else check(name, v) for v in several], dtype=np.int64)


def checked_rows(rows: Any, num_envs: int) -> IntArray:
    """Environments by number, each once; None: all of them."""
    if rows is None:
        return np.arange(num_envs)
    found = np.atleast_1d(np.asarray(rows))
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
        raise TypeError(f"rows must be numbers of environments, got {rows!r}")
    if found.min() < 0 or found.max() >= num_envs or np.unique(found).size < found.size:
        raise ValueError(f"rows must be different numbers in 0..{num_envs - 1}, got {found.tolist()}")
    return found.astype(np.int64)


def checked_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """A seed for each environment: ``seed + i``, or the entries of a list; None leaves a generator alone."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        return [int(seed) + i for i in range(num_envs)]
    seeds = list(seed)
    if len(seeds) != num_envs:
        raise ValueError(f"seed must be a number, None, or a list of {num_envs} entries, got {len(seeds)}")
    return seeds


def checked_max_steps(max_episode_steps: object) -> int | None:
    """Where episodes are cut, as `gymnasium.make` has it: None and -1 for nowhere."""
    if max_episode_steps is None or max_episode_steps == -1:
        return None
    steps = max_episode_steps
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"max_episode_steps must be a whole number above 0, -1 or None, got {steps!r}")
    return int(steps)
