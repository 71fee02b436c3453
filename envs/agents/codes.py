"""What agents hand over: numbers in [-1, 1], or the number of a joint action of their own devices."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from ..core.action_spaces import MAX_JOINT_ACTIONS, MultiDiscrete
from ..core.codecs import LevelsCodec
from ..core.masks import allowed_values

if TYPE_CHECKING:
    from ..resources import Fleet
    from .table import AgentTable

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class FloatActions:
    """Numbers in [-1, 1], (env, agent, action_width); padding is of no effect."""

    def __init__(self, table: AgentTable) -> None:
        self._shape = table.action.shape
        self._sizes = table.action_sizes.tolist()
        self._where = np.flatnonzero(table.action >= 0)
        self._shapes = [(size,) for size in self._sizes]
        self._none = [np.zeros(size, dtype=np.float32) for size in self._sizes]

    def decode(self, actions: ArrayLike) -> FloatArray:
        """As float32; ValueError for a wrong shape."""
        given = np.ascontiguousarray(actions, dtype=np.float32)
        if given.shape[1:] != self._shape or given.ndim != 3:
            raise ValueError(
                f"actions have shape {given.shape}, expected (environments, {self._shape[0]} agents, "
                f"{self._shape[1]} columns)"
            )
        return given

    def of_agents(
        self, actions: Mapping[str, Any], agents: Sequence[str], active: BoolArray
    ) -> NDArray[np.float32]:
        """(1, agent, action_width) from arrays by name; those of ``agents`` that are not ``active`` may lack.

        ValueError for an agent that there is not, one that lacks, and an array of another size.
        """
        parts = named_actions(actions, agents, active, self._none)
        for k, (part, shape) in enumerate(zip(parts, self._shapes, strict=True)):
            if getattr(part, "shape", None) != shape:
                parts[k] = _flat(part, shape, agents[k])
        out = np.zeros((1, *self._shape), dtype=np.float32)
        out.reshape(-1)[self._where] = np.concatenate(parts)
        return out

    def spaces(self, kinds: Sequence[str]) -> list[spaces.Space[Any]]:
        """Of each agent [-1, 1]; agents of a kind share one object."""
        known: dict[tuple[str, int], spaces.Space[Any]] = {}
        for kind, size in zip(kinds, self._sizes, strict=True):
            known.setdefault((kind, size), spaces.Box(-1.0, 1.0, (size,), dtype=np.float32))
        return [known[key] for key in zip(kinds, self._sizes, strict=True)]

    def mask(self, fleet: Fleet, t_index: IntArray, active: BoolArray) -> NDArray[np.int8] | None:
        """None: any number is allowed."""
        return None


class CodedActions:
    """For each agent the number of one of its joint actions, (env, agent) integers.

    A joint action is a combination of levels of its action columns, the last of which runs fastest. Taps and
    banks have a level for each position; others so many, evenly from -1 to 1, their neutral value among them.

    Attributes:
        counts: (agent,) joint actions of each.

    Args:
        table: the agents.
        fleet: their devices.
        levels: of a column that has no positions of its own.

    Raises:
        ValueError: an agent has too many joint actions.
    """

    def __init__(self, table: AgentTable, fleet: Fleet, levels: int) -> None:
        found = MultiDiscrete(levels).codec(fleet.action_dims, fleet.neutral_action)
        assert isinstance(found, LevelsCodec)
        self._codec = found
        agents, width = table.action.shape
        self.counts: IntArray = np.array([self._joint(own) for own in table.parts.actions], dtype=np.int64)
        if (self.counts > MAX_JOINT_ACTIONS).any():
            k = int((self.counts > MAX_JOINT_ACTIONS).argmax())
            raise ValueError(
                f"agent {table.parts.agents[k]!r} has {self.counts[k]} joint actions of "
                f"{table.action_sizes[k]} columns, more than {MAX_JOINT_ACTIONS}: take fewer levels, or cut "
                "the fleet into smaller agents"
            )
        self._level = np.zeros((agents, int(self.counts.max()), width), dtype=np.int64)
        for k, own in enumerate(table.parts.actions):
            combined = itertools.product(*(range(int(found.counts[c])) for c in own))
            self._level[k, : self.counts[k], : len(own)] = list(combined)
        self._column, self._real = np.maximum(table.action, 0), table.action >= 0
        values = found.values[self._level, self._column[:, None, :]]
        self._value = np.where(self._real[:, None, :], values, 0.0).astype(np.float32)
        self._each = np.arange(agents)
        neutral = np.where(self._real, fleet.neutral_action[self._column], 0.0)
        apart = np.abs(self._value - neutral[:, None, :]).sum(axis=2)
        self._exists: BoolArray = np.arange(int(self.counts.max())) < self.counts[:, None]
        apart[~self._exists] = np.inf
        self._neutral = apart.argmin(axis=1).tolist()
        self._idle: BoolArray = self._exists & (np.arange(apart.shape[1]) == apart.argmin(axis=1)[:, None])

    def _joint(self, own: tuple[int, ...]) -> int:
        return int(np.prod([float(self._codec.counts[c]) for c in own]))

    def decode(self, actions: ArrayLike) -> FloatArray:
        """(env, agent, action_width) numbers; ValueError for a wrong shape or a code that there is not."""
        codes = np.asarray(actions)
        if codes.ndim != 2 or codes.shape[1] != self.counts.size or codes.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be whole numbers (environments, {self.counts.size} agents), got {codes.dtype} "
                f"of shape {codes.shape}"
            )
        bad = (codes < 0) | (codes >= self.counts)
        if bad.any():
            env, agent = np.argwhere(bad)[0]
            raise ValueError(
                f"agent number {agent} has actions 0 to {self.counts[agent] - 1}, got {codes[env, agent]}"
            )
        return self._value[self._each, codes]

    def mask(self, fleet: Fleet, t_index: IntArray, active: BoolArray) -> NDArray[np.int8]:
        """(env, agent, most codes) which can be followed in interval ``t_index`` (env,); 0 behind the last.

        An agent that is not ``active`` (env, agent) has its neutral action alone.
        """
        allowed = allowed_values(self._codec, fleet, t_index)
        out: BoolArray = np.broadcast_to(self._exists, (t_index.size, *self._exists.shape))
        if allowed is not None:
            each = allowed[:, self._level, self._column[:, None, :]] | ~self._real[:, None, :]
            some = out & each.all(axis=3)
            out = np.where(some.any(axis=2, keepdims=True), some, out)
        return np.where(active[:, :, None], out, self._idle).astype(np.int8)

    def of_agents(
        self, actions: Mapping[str, Any], agents: Sequence[str], active: BoolArray
    ) -> NDArray[np.int64]:
        """(1, agent) from codes by name; those of ``agents`` that are not ``active`` may lack.

        ValueError for an agent that there is not, one that lacks, and what is no whole number.
        """
        parts = named_actions(actions, agents, active, self._neutral)
        codes = np.array([np.reshape(part, -1) for part in parts])
        if codes.shape != (len(agents), 1) or codes.dtype.kind not in "iu":
            raise ValueError(f"each agent needs one whole number as its action, got {dict(actions)!r}")
        return codes.T.astype(np.int64)

    def spaces(self, kinds: Sequence[str]) -> list[spaces.Space[Any]]:
        """Of each agent the numbers of its joint actions; agents of a kind share one object."""
        counts = self.counts.tolist()
        known: dict[tuple[str, int], spaces.Space[Any]] = {}
        for kind, count in zip(kinds, counts, strict=True):
            known.setdefault((kind, count), spaces.Discrete(count))
        return [known[key] for key in zip(kinds, counts, strict=True)]


def _flat(action: Any, shape: tuple[int, ...], agent: str) -> NDArray[Any]:
    """What is no array of the right shape as one, such as a list; ValueError where it has another size."""
    found = np.reshape(action, -1)
    if found.shape != shape:
        raise ValueError(f"agent {agent!r} needs an action of {shape[0]} numbers, got {action!r}")
    return found


def named_actions(
    actions: Mapping[str, Any], agents: Sequence[str], active: BoolArray, instead: Sequence[Any]
) -> list[Any]:
    """The actions of ``agents`` in their order; ``instead`` of what those lack that are not ``active``.

    ValueError for an agent that there is not, and for an active one without an action.
    """
    try:
        parts = [actions[agent] for agent in agents]
    except KeyError:
        absent = [k for k, agent in enumerate(agents) if agent not in actions and active[k]]
        if absent:
            raise ValueError(f"agent {agents[absent[0]]!r} has a device present and no action") from None
        parts = [actions.get(agent, instead[k]) for k, agent in enumerate(agents)]
    if len(actions) > len(agents) or not actions.keys() <= set(agents):
        strange = next(name for name in actions if name not in agents)
        raise ValueError(
            f"actions name agent {strange!r}, which there is not; there are {', '.join(agents[:8])}"
        )
    return parts
