"""Many agents in many environments: the batched form, which other faces of agents are cut from."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from .agents import AgentTable, Credit, Cut
from .agents.codes import CodedActions, FloatActions
from .core.outcome import Outcome
from .core.terms import FAILURE
from .kernels.agents import gather_agents, shared_rewards, spread_actions
from .vector import GridVectorEnv
from .vectorised.info_arrays import InfoArrays
from .vectorised.shards import Shard

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
SteppedAgents = tuple[FloatArray, NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]


class AgentArrays(InfoArrays):
    """Infos of a vector environment, and beside them what is on each agent's own account."""

    def __init__(self, rows: int, like: Shard, books: dict[int, Credit], n_agents: int) -> None:
        super().__init__(rows, like)
        self._books = books
        self.own, self.failed = np.zeros((rows, n_agents)), np.zeros(rows, dtype=np.bool_)

    def write_outcome(self, shard: Shard, outcome: Outcome) -> None:
        """See `InfoArrays`."""
        super().write_outcome(shard, outcome)
        np.not_equal(outcome.rewards[FAILURE], 0.0, out=self.failed[shard.rows])
        self._books[shard.lo].write(shard.lo, self.own, self.failed[shard.rows])

    def write_state(self, shard: Shard) -> None:
        """See `InfoArrays`."""
        super().write_state(shard)
        self._books[shard.lo].begin()

    def forget(self, rows: BoolArray, reward: bool) -> None:
        """See `InfoArrays`."""
        super().forget(rows, reward)
        if reward:
            self.own[rows], self.failed[rows] = 0.0, False


class ParallelVec:
    """``num_envs`` independent environments, each cut into the same agents; all advance together.

    It lies on a vector environment, balanced or per phase: one transition, then gathers over index tables.
    Arrays have the environment first and the agent second. Rows of agents with fewer entries than the largest
    are padded with zeros; agents of a kind have the same block in the same columns, with zeros in the holes.

    Attributes:
        possible_agents: names, "battery_0"; the same in every environment and step.
        num_envs, num_agents: how many.
        observation_sizes: (agent,) entries of each agent's observation space.
        action_sizes: (agent,) entries of each agent's action.
        observation_width, action_width: the largest of these, to which rows are padded.
        state_width: entries of the state: the flat observation of the environment.
        observation_columns: (agent, observation_width) which columns are real: neither padding nor holes.
        action_columns: (agent, action_width) which columns are real.
        active: (env, agent) who has a device present to act on in the coming interval: a charging station
            without a car has none, and what it does is of no effect.
        actions: what is handed over: numbers, or numbers of joint actions.
        table: who decides, sees and earns what, as index tables.
        unwrapped: the vector environment below.

    Args:
        env: the vector environment, with continuous actions. It belongs to this one from now on.
        cut: how it is cut into agents.

    Raises:
        ValueError: what was asked for does not fit the devices; see `agents.partition`.
        TypeError: ``env`` is no vector environment of this package, or its actions are not continuous.
    """

    def __init__(self, env: GridVectorEnv, cut: Cut) -> None:
        if not isinstance(env, GridVectorEnv) or not isinstance(env.single_action_space, spaces.Box):
            raise TypeError(f"agents are cut from a vector environment with continuous actions, got {env!r}")
        self.unwrapped = env
        self.table = table = AgentTable(env, cut)
        self.actions: FloatActions | CodedActions = (
            FloatActions(table) if cut.discrete is None else CodedActions(table, env.fleet, cut.discrete)
        )
        self.possible_agents: tuple[str, ...] = table.parts.agents
        self.num_envs, self.num_agents = env.num_envs, table.n_agents
        self.observation_sizes, self.action_sizes = table.observation_sizes, table.action_sizes
        self.observation_width, self.action_width = table.observation.shape[1], table.action.shape[1]
        self.state_width = env.layout.size
        self.observation_columns: BoolArray = table.observation >= 0
        self.action_columns: BoolArray = table.action >= 0
        self.active: BoolArray = np.ones((self.num_envs, self.num_agents), dtype=np.bool_)
        books = {shard.lo: Credit(shard.grid, table.unit_agent) for shard in env.shards}
        self._arrays: AgentArrays | None = None

        def make(rows: int, like: Shard) -> AgentArrays:
            self._arrays = AgentArrays(rows, like, books, table.n_agents)
            return self._arrays

        env.make_infos = make
        self._buffers = [self._empty(self.num_envs) for _ in range(0 if env.copy else 2)]
        self._flat = np.zeros((self.num_envs, self.state_width), dtype=np.float32)
        self._asked = np.zeros((self.num_envs, len(table.neutral)), dtype=np.float32)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin episodes; ``seed`` and ``options`` as those of the vector environment.

        Returns:
            Observations (env, agent, observation_width) float32, and the infos of the vector environment.
        """
        flat, infos = self.unwrapped.reset(seed=seed, options=options)
        shown = self._shown(flat)
        return shown, self._masked(infos)

    def step(self, actions: ArrayLike) -> SteppedAgents:
        """One interval in every environment.

        Args:
            actions: (env, agent, action_width) in [-1, 1]; what stands in padding is of no effect. Of a
                discrete one (env, agent) whole numbers.

        Returns:
            Observations (env, agent, observation_width) float32, rewards (env, agent) float64, terminations
            and truncations (env,), and the infos of the vector environment. All arrays are fresh; with the
            vector environment's ``copy=False`` observations go to two buffers in turn. What has ended begins
            anew as ``autoreset_mode`` of the vector environment says; with "SameStep", ``infos["final_obs"]``
            has observations (agent, observation_width).

        Raises:
            ValueError: a wrong shape, or a number outside [-1, 1].
        """
        given = self.actions.decode(actions)
        if len(given) != self.num_envs:
            raise ValueError(f"actions are for {len(given)} environments, there are {self.num_envs}")
        table = self.table
        spread_actions(given, table.action_agent, table.action_column, table.neutral, self._asked)
        flat, team, terminated, truncated, infos = self.unwrapped.step(self._asked)
        arrays = self._arrays
        assert arrays is not None
        rewards = np.empty((self.num_envs, self.num_agents))
        if table.share is None:
            rewards[:] = team[:, None]
        else:
            shared_rewards(arrays.own, team, table.share, arrays.failed, rewards)
        if "final_obs" in infos:
            self._cut_final(infos["final_obs"])
        shown = self._shown(flat)
        return shown, rewards, terminated, truncated, self._masked(infos)

    def action_spaces(self) -> dict[str, spaces.Space[Any]]:
        """The space of each agent's action; agents of a kind share one object."""
        kinds = self.table.parts.kinds
        return dict(zip(self.possible_agents, self.actions.spaces(kinds), strict=True))

    def observation_spaces(self) -> dict[str, spaces.Box]:
        """The box of each agent's observation; agents of a kind share one object."""
        return self.table.observation_spaces()

    def state(self) -> FloatArray:
        """(env, state_width) float32: the whole observation of each environment; a fresh array."""
        return self._flat.copy()

    def close(self) -> None:
        """Close the vector environment."""
        self.unwrapped.close()

    def _masked(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Infos with ``action_mask`` (env, agent, most codes), where actions are discrete."""
        found = []
        for shard in self.unwrapped.shards:
            grid = shard.grid
            mask = self.actions.mask(grid.fleet, grid.t_index, self.active[shard.rows])
            if mask is None:
                return infos
            found.append(mask)
        infos["action_mask"] = np.concatenate(found)
        return infos

    def _shown(self, flat: FloatArray) -> FloatArray:
        """(env, agent, observation_width) of flat observations, which become the state."""
        self._flat = flat
        self.active = self.table.active(flat)
        if not self._buffers:
            return self._gathered(flat, self._empty(self.num_envs))
        self._buffers.reverse()
        return self._gathered(flat, self._buffers[0])

    def _empty(self, rows: int) -> FloatArray:
        return np.empty((rows, self.num_agents, self.observation_width), dtype=np.float32)

    def _gathered(self, flat: FloatArray, out: FloatArray) -> FloatArray:
        gather_agents(flat, self.table.observation, out)
        return out

    def _cut_final(self, final: NDArray[Any]) -> None:
        """The last observations of episodes, (env,) of flat ones or None, as agents have them."""
        for row, flat in enumerate(final):
            if flat is not None:
                final[row] = self._gathered(flat[None], self._empty(1))[0]
