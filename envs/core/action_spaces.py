"""How actions are encoded: floats, levels, joint actions, or a mixture. Frozen specs that people write.

A dimension that has whole positions (taps, banks) has one level for each of them; any other one has as many
as asked for, its neutral value among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..resources.base import ActionDim
from ..resources.class_names import made_of, name_of_class
from .codecs import ActionCodec, BoxCodec, Floats, HybridCodec, LevelsCodec, TableCodec

#: The most joint actions that are made of levels.
MAX_JOINT_ACTIONS = 4096


@dataclass(frozen=True)
class ActionSpace(ABC):
    """Base of all action spaces; ``codec`` binds it to the action dimensions of a fleet."""

    class_name: str = field(default="", init=False, repr=False, compare=False)  # as in JSON

    def __init_subclass__(cls) -> None:
        cls.class_name = name_of_class(cls)

    @abstractmethod
    def codec(self, dims: Sequence[ActionDim], neutral: Floats) -> ActionCodec:
        """What encodes actions on these dimensions; ``neutral`` (n_actions,) is the action that does nothing.

        Raises:
            ValueError: this space does not fit these dimensions.
        """


@dataclass(frozen=True)
class Continuous(ActionSpace):
    """``Box(-1, 1, (n_actions,), float32)``, the default."""

    def codec(self, dims: Sequence[ActionDim], neutral: Floats) -> ActionCodec:
        """See `ActionSpace.codec`."""
        return BoxCodec([dim.name for dim in dims])


@dataclass(frozen=True)
class MultiDiscrete(ActionSpace):
    """``MultiDiscrete``: the number of a level for each dimension.

    Attributes:
        levels: of each dimension that has no positions of its own, evenly from -1 to 1; the inner level that
            is nearest to the neutral value is moved to it. Or a mapping from names of dimensions
            ("battery_18.p") to levels; 5 for the others.
    """

    levels: int | Mapping[str, int] = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _checked_levels(self.levels))

    def codec(self, dims: Sequence[ActionDim], neutral: Floats) -> ActionCodec:
        """See `ActionSpace.codec`."""
        return LevelsCodec([dim.name for dim in dims], _levels(dims, neutral, self.levels, 5))


@dataclass(frozen=True)
class Discrete(ActionSpace):
    """``Discrete``: the number of a joint action.

    Attributes:
        levels: as in `MultiDiscrete`; every combination is a joint action, the last dimension running
            fastest, and there may be 4096 of them. 3 for those that a mapping does not name.
        table: (n, n_actions) joint actions of your own, numbers in [-1, 1], in place of combinations.
    """

    levels: int | Mapping[str, int] = 3
    table: Sequence[Sequence[float]] | NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _checked_levels(self.levels))
        if self.table is not None:
            object.__setattr__(self, "table", _checked_table(self.table))

    def codec(self, dims: Sequence[ActionDim], neutral: Floats) -> ActionCodec:
        """See `ActionSpace.codec`."""
        names = [dim.name for dim in dims]
        if self.table is None:
            return TableCodec(names, _product(_levels(dims, neutral, self.levels, 3)))
        given = np.array(self.table, dtype=np.float64)
        if given.shape[1] != len(names):
            raise ValueError(
                f"the table of Discrete has {given.shape[1]} columns for {len(names)} action dimensions: "
                f"expected one for each of {', '.join(names) or 'none'}"
            )
        return TableCodec(names, given)


@dataclass(frozen=True)
class Hybrid(ActionSpace):
    """``Dict(continuous=Box, discrete=MultiDiscrete)``: floats where values are continuous, numbers of levels
    where they are not.

    Attributes:
        levels: names of dimensions that are to have levels, beside those with positions of their own, and
            how many.
    """

    levels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.levels, Mapping):
            raise TypeError(f"levels must be a dict of levels by dimension, got {self.levels!r}")
        object.__setattr__(self, "levels", _checked_levels(self.levels))

    def codec(self, dims: Sequence[ActionDim], neutral: Floats) -> ActionCodec:
        """See `ActionSpace.codec`."""
        found = _levels(dims, neutral, self.levels, 3)
        discrete = [dim.positions is not None or dim.name in self.levels for dim in dims]
        chosen = [level if is_one else None for level, is_one in zip(found, discrete, strict=True)]
        return HybridCodec([dim.name for dim in dims], chosen)


#: Action spaces by the names that stand for them where all is left as it is.
NAMED: Mapping[str, type[ActionSpace]] = {
    "continuous": Continuous,
    "multi-discrete": MultiDiscrete,
    "discrete": Discrete,
    "hybrid": Hybrid,
}


def checked_action_space(given: object) -> ActionSpace:
    """The action space; a name, or a mapping as JSON has it, becomes what it stands for."""
    if isinstance(given, ActionSpace):
        return given
    if isinstance(given, Mapping):
        return made_of(ActionSpace, "an action space", given)  # type: ignore[type-abstract]
    if isinstance(given, str) and given in NAMED:
        return NAMED[given]()
    if isinstance(given, type) and issubclass(given, ActionSpace):
        raise TypeError(f"action_space is the class {given.__name__}: write {given.__name__}()")
    raise TypeError(
        f"action_space must be Continuous(), MultiDiscrete(), Discrete(), Hybrid() or one of "
        f"{', '.join(map(repr, NAMED))}, got {given!r}"
    )


def _checked_levels(levels: object) -> int | dict[str, int]:
    if isinstance(levels, Mapping):
        return {str(name): _checked_count(f"levels of {name}", count) for name, count in levels.items()}
    return _checked_count("levels", levels)


def _checked_count(what: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 2:
        raise ValueError(f"{what} must be a whole number of at least 2, got {count!r}")
    return int(count)


def _checked_table(table: object) -> tuple[tuple[float, ...], ...]:
    try:
        array = np.array(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"table must be rows of numbers, one for each action dimension: {error}") from error
    if array.ndim != 2 or not array.shape[0]:
        raise ValueError(f"table must be (n, n_actions) with n of 1 or more, got shape {array.shape}")
    bad = np.argwhere(~((array >= -1.0) & (array <= 1.0)))
    if bad.size:
        row, dim = bad[0].tolist()
        raise ValueError(f"table[{row}][{dim}] is {array[row, dim]}: expected a number in [-1, 1]")
    return tuple(tuple(row) for row in array.tolist())


def _levels(
    dims: Sequence[ActionDim], neutral: Floats, asked: int | Mapping[str, int], default: int
) -> list[Floats]:
    """The levels of each dimension, rising."""
    if isinstance(asked, Mapping):
        free = [dim.name for dim in dims if dim.positions is None]
        for name in asked:
            if name not in free:
                raise ValueError(
                    f"levels name {name!r}, which is no action dimension without positions of its own; those "
                    f"are {', '.join(free) or 'none'}"
                )
    found = []
    for dim, rest in zip(dims, neutral.tolist(), strict=True):
        if dim.positions is not None:
            found.append(_even(dim.positions))
        else:
            count = asked.get(dim.name, default) if isinstance(asked, Mapping) else asked
            found.append(_with_neutral(dim.name, _even(count), rest))
    return found


def _even(count: int) -> Floats:
    """``count`` numbers evenly from -1 to 1, as devices scale their positions; 0 where there is one."""
    return 2.0 * np.arange(count, dtype=np.float64) / (count - 1) - 1.0 if count > 1 else np.zeros(1)


def _with_neutral(name: str, levels: Floats, neutral: float) -> Floats:
    if neutral not in levels:
        if levels.size < 3:
            raise ValueError(
                f"levels of {name} must be at least 3: its neutral action {neutral:g} is neither end"
            )
        levels[1 + np.abs(levels[1:-1] - neutral).round(9).argmin()] = neutral  # of two as near the lower
    return levels


def _product(levels: Sequence[Floats]) -> Floats:
    """(n, dimensions) every combination, the last dimension running fastest."""
    counts = [level.size for level in levels]
    total = int(np.prod(np.array(counts, dtype=object), initial=1))
    if total > MAX_JOINT_ACTIONS:
        raise ValueError(
            f"{' x '.join(map(str, counts))} levels make {total} joint actions, more than "
            f"{MAX_JOINT_ACTIONS}: use MultiDiscrete(), ask for fewer levels, or give a table= of your own"
        )
    grid = np.indices(counts).reshape(len(counts), total)
    columns = [level[which] for level, which in zip(levels, grid, strict=True)]
    return np.stack(columns, axis=1) if columns else np.zeros((1, 0))
