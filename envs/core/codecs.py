"""From the code of an action to floats and back: what stands between an action space and the fleet.

Below a codec everything is floats in [-1, 1], one column for each action dimension. A codec is bound to the
dimensions of one fleet; `ActionSpace` (`action_spaces`) is what people write, and makes one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .action_checks import checked, checked_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Action = Any  # an element of an action space: floats, whole numbers, a dict of them


class ActionCodec(ABC):
    """Codes of one action space for the action dimensions of one fleet.

    Attributes:
        names: one for each action dimension.
        space: of one environment, a `gymnasium.spaces.Space`.
        values: (most levels, n_actions) the values that codes can give to each dimension, padded with the
            last; None where any value can be given. `mask` is told which of them are allowed.
    """

    names: tuple[str, ...]
    space: Any
    values: Floats | None = None

    @abstractmethod
    def decode(self, codes: Action, rows: int, unused: Bools | None = None) -> Floats:
        """Floats (rows, n_actions) in [-1, 1] of a batch of codes; where ``rows`` is 1, of one code, too.

        Args:
            codes: an element of ``space`` for each row.
            rows: of the batch.
            unused: (rows,) rows that may hold any code, and become 0.

        Raises:
            ValueError: a code of a wrong shape or type, or outside the space; the message names the
                dimension and what is allowed.
        """

    @abstractmethod
    def encode(self, action: NDArray[np.floating[Any]]) -> Action:
        """The batch of codes whose floats are nearest to ``action`` (rows, n_actions)."""

    def mask(self, allowed: Bools | None, rows: int) -> Bools:
        """Which codes are allowed: (rows, number of codes, dimension after dimension).

        Args:
            allowed: (rows, most levels, n_actions), for each of ``values``; None: all.
            rows: of the batch.
        """
        return np.ones((rows, 0), dtype=np.bool_)

    def batched(self, rows: int) -> Any:
        """The space of ``rows`` environments."""
        return batch_space(self.space, rows)

    def one(self, codes: Action) -> Action:
        """The first code of a batch."""
        return codes[0]


class BoxCodec(ActionCodec):
    """Floats as they are."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.space = spaces.Box(-1.0, 1.0, (len(self.names),), dtype=np.float32)

    def decode(self, codes: Action, rows: int, unused: Bools | None = None) -> Floats:
        """See `ActionCodec.decode`."""
        return checked(codes, (rows, len(self.names)), self.names, unused)

    def encode(self, action: NDArray[np.floating[Any]]) -> Action:
        """See `ActionCodec.encode`."""
        return np.array(action, dtype=np.float32)

    def batched(self, rows: int) -> spaces.Box:
        """Gymnasium's ``batch_space``, its bounds one row shown ``rows`` times: they would be the largest
        arrays of all.
        """
        return batched_box(self.space, rows)


class LevelsCodec(ActionCodec):
    """One whole number for each dimension, that of its level: gymnasium's ``MultiDiscrete``."""

    values: Floats

    def __init__(self, names: Sequence[str], levels: Sequence[Floats]) -> None:
        self.names = tuple(names)
        self.counts = np.array([level.size for level in levels], dtype=np.int64)
        self.values = _padded(levels)
        self.space = spaces.MultiDiscrete(self.counts)
        self._dims = np.arange(len(self.names))

    def decode(self, codes: Action, rows: int, unused: Bools | None = None) -> Floats:
        """See `ActionCodec.decode`."""
        known = checked_codes(codes, (rows, len(self.names)), self.counts, self.names, unused)
        return _unused(self.values[known, self._dims], unused)

    def encode(self, action: NDArray[np.floating[Any]]) -> Action:
        """See `ActionCodec.encode`."""
        gaps = np.abs(self.values[None] - np.asarray(action, dtype=np.float64)[:, None])
        return gaps.argmin(axis=1)

    def mask(self, allowed: Bools | None, rows: int) -> Bools:
        """See `ActionCodec.mask`; where nothing of a dimension is allowed, all is."""
        if allowed is None:
            return np.ones((rows, int(self.counts.sum())), dtype=np.bool_)
        parts = [_some(allowed[:, :count, dim]) for dim, count in enumerate(self.counts.tolist())]
        return np.concatenate(parts, axis=1) if parts else super().mask(allowed, rows)


class TableCodec(ActionCodec):
    """One whole number, the row of a table of joint actions: gymnasium's ``Discrete``."""

    values: Floats

    def __init__(self, names: Sequence[str], table: Floats) -> None:
        """``table`` (n, n_actions) of floats in [-1, 1]."""
        self.names, self.table = tuple(names), table
        self.space = spaces.Discrete(table.shape[0])
        found = [np.unique(column, return_inverse=True) for column in table.T]
        self.values = _padded([levels for levels, _ in found])
        self._level = [level.reshape(-1) for _, level in found]  # of each row of the table, by dimension
        listed = f"a row of the table of joint actions ({', '.join(self.names[:6])})"
        self._known = (np.array([table.shape[0]]), (listed,))

    def decode(self, codes: Action, rows: int, unused: Bools | None = None) -> Floats:
        """See `ActionCodec.decode`."""
        known = checked_codes(codes, (rows,), *self._known, unused)
        return _unused(self.table[known], unused)

    def encode(self, action: NDArray[np.floating[Any]]) -> Action:
        """See `ActionCodec.encode`; of joint actions equally near the first."""
        apart = np.zeros((action.shape[0], self.table.shape[0]))
        for dim, column in enumerate(self.table.T):
            apart += (np.asarray(action[:, dim], dtype=np.float64)[:, None] - column) ** 2
        return apart.argmin(axis=1)

    def mask(self, allowed: Bools | None, rows: int) -> Bools:
        """See `ActionCodec.mask`; where no joint action is allowed, all are."""
        found = np.ones((rows, self.table.shape[0]), dtype=np.bool_)
        if allowed is not None:
            for dim, level in enumerate(self._level):
                if not allowed[:, :, dim].all():
                    found &= allowed[:, level, dim]
        return _some(found)


class HybridCodec(ActionCodec):
    """A dict of ``continuous`` and ``discrete`` dimensions: gymnasium's ``Box`` and ``MultiDiscrete``."""

    values: Floats

    def __init__(self, names: Sequence[str], levels: Sequence[Floats | None]) -> None:
        """``levels``: those of each dimension; None for one that takes any value."""
        self.names = tuple(names)
        which = np.array([level is not None for level in levels], dtype=np.bool_)
        self._dims = {"continuous": np.flatnonzero(~which), "discrete": np.flatnonzero(which)}
        named = {key: [self.names[dim] for dim in dims] for key, dims in self._dims.items()}
        self._box = BoxCodec(named["continuous"])
        self._levels = LevelsCodec(named["discrete"], [level for level in levels if level is not None])
        self._parts: dict[str, ActionCodec] = {"continuous": self._box, "discrete": self._levels}
        self.space = spaces.Dict({key: part.space for key, part in self._parts.items()})
        self.values = np.zeros((self._levels.values.shape[0], len(self.names)))
        self.values[:, self._dims["discrete"]] = self._levels.values

    def decode(self, codes: Action, rows: int, unused: Bools | None = None) -> Floats:
        """See `ActionCodec.decode`."""
        if not isinstance(codes, Mapping) or set(codes) != set(self._parts):
            raise ValueError(f"action must be a dict of 'continuous' and 'discrete', got {codes!r}")
        out = np.empty((rows, len(self.names)))
        for key, part in self._parts.items():
            out[:, self._dims[key]] = part.decode(codes[key], rows, unused)
        return out

    def encode(self, action: NDArray[np.floating[Any]]) -> Action:
        """See `ActionCodec.encode`."""
        return {key: part.encode(action[:, self._dims[key]]) for key, part in self._parts.items()}

    def mask(self, allowed: Bools | None, rows: int) -> Bools:
        """See `ActionCodec.mask`: of the discrete part."""
        mine = None if allowed is None else allowed[:, :, self._dims["discrete"]]
        return self._levels.mask(mine, rows)

    def one(self, codes: Action) -> Action:
        """See `ActionCodec.one`."""
        return {key: part[0] for key, part in codes.items()}


def batched_box(space: spaces.Box, rows: int) -> spaces.Box:
    """The box of ``rows`` environments, its bounds one row shown so many times."""
    many = batch_space(space, 1)
    assert isinstance(many, spaces.Box)
    shape = (rows, *space.shape)
    many._shape = shape
    for name in ("low", "high", "bounded_below", "bounded_above"):
        setattr(many, name, np.broadcast_to(getattr(many, name), shape))
    return many


def _padded(levels: Sequence[Floats]) -> Floats:
    """(most levels, dimensions), columns padded with their last value; of no dimensions one empty row."""
    most = max((level.size for level in levels), default=1)
    out = np.empty((most, len(levels)))
    for dim, level in enumerate(levels):
        out[: level.size, dim], out[level.size :, dim] = level, level[-1]
    return out


def _unused(action: Floats, unused: Bools | None) -> Floats:
    if unused is not None:
        action[unused] = 0.0
    return action


def _some(mask: Bools) -> Bools:
    """All of a row where nothing of it is allowed: devices then go as far as they get."""
    return mask | ~mask.any(axis=1, keepdims=True)
