"""One environment cut into agents, by name: what PettingZoo's faces show. Thin on the batched form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from .agents.codes import CodedActions
from .agents.graph import AgentGraph
from .parallel import ParallelVec
from .rendering.window import View

Dicts = dict[str, Any]
_KNOWN = ("day", "start")


class AgentDicts:
    """The first environment of a :class:`ParallelVec`, whose rows go by names.

    All agents live from reset to the end of the episode. A charging station without a car stays: its
    ``info["active"]`` is False, its action is of no effect and may be left out, and nobody's episode ends.

    Attributes:
        possible_agents: names, the same in every episode.
        agents: those that live: all of them, or none before the first reset and behind the end.
        vec: the batched form below.
        state_space: box of :meth:`state`.
        graph: buses, branches, and where agents stand on them.
        render_mode: "rgb_array", "human" or None.

    Args:
        vec: one environment that does not begin anew by itself (``autoreset_mode="Disabled"``).
        name: for ``metadata["name"]``.
        render_mode: see above; ValueError for another one.
    """

    def __init__(self, vec: ParallelVec, name: str, render_mode: str | None = None) -> None:
        modes = ["rgb_array", "human"]
        if render_mode not in (None, *modes):
            raise ValueError(f"render_mode {render_mode!r} is unknown; expected 'rgb_array', 'human' or None")
        self.vec, self.render_mode = vec, render_mode
        self.metadata: dict[str, Any] = {
            "name": name, "render_modes": modes, "render_fps": 8, "is_parallelizable": True,
        }  # fmt: skip
        self.possible_agents: list[str] = list(vec.possible_agents)
        self.agents: list[str] = []
        self._observation_spaces = vec.observation_spaces()
        self._action_spaces = vec.action_spaces()
        low, high = vec.table.box
        self.state_space = spaces.Box(low, high, dtype=np.float32)
        self.graph = AgentGraph(vec.unwrapped.feeder, vec.table)
        self._view: View | None = None
        self._shown = [
            (k, agent, int(size))
            for k, (agent, size) in enumerate(zip(vec.possible_agents, vec.observation_sizes, strict=True))
        ]

    @property
    def unwrapped(self) -> AgentDicts:
        """Itself."""
        return self

    def observation_space(self, agent: str) -> spaces.Box:
        """The box of an agent; agents of a kind have one and the same."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The space of an agent: a box [-1, 1], or with ``discrete`` the numbers of its joint actions."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Dicts, Dicts]:
        """Begin an episode; ``options`` may have ``day`` or ``start``, as those of ``DistGridEnv.reset``.

        Other keys are for other environments and of no effect, as PettingZoo has it.
        """
        asked = {key: value for key, value in (options or {}).items() if key in _KNOWN}
        observations, infos = self.vec.reset(seed=seed, options=asked)
        self.agents = list(self.possible_agents)
        if self._view is not None:
            self._view.restart()
        if self.render_mode == "human":
            self.render()
        return self._rows(observations), self._infos(infos, 0.0)

    def step(self, actions: Mapping[str, Any]) -> tuple[Dicts, Dicts, Dicts, Dicts, Dicts]:
        """One interval: observations, rewards, terminations, truncations and infos by name.

        Each info has ``active`` (whether a device is there to act on in the coming interval), ``cost`` (that
        of the environment) and, with ``discrete``, ``action_mask``.

        Raises:
            RuntimeError: the episode has not begun, or is over.
            ValueError: an agent that there is not, or one without an action that has a device present; an
                action of a wrong shape or value.
        """
        if not self.agents:
            raise RuntimeError("call reset() first: the environment is new, or its episode is over")
        given = self.vec.actions.of_agents(actions, self.possible_agents, self.vec.active[0])
        observations, rewards, terminated, truncated, infos = self.vec.step(given)
        over = bool(terminated[0]), bool(truncated[0])
        if self.render_mode is not None:
            self._draw(self.render_mode)
        names = self.possible_agents
        out = (
            self._rows(observations),
            dict(zip(names, rewards[0].tolist(), strict=True)),
            dict.fromkeys(names, over[0]),
            dict.fromkeys(names, over[1]),
            self._infos(infos, float(infos["cost"][0])),
        )
        if any(over):
            self.agents = []
        return out

    def state(self) -> NDArray[np.float32]:
        """(state_width,) the whole observation of the environment."""
        return self.vec.state()[0]

    def render(self) -> NDArray[np.uint8] | None:
        """Picture of feeder, fleet and the day so far: (H, W, 3) uint8; a window in ``human`` mode."""
        if self.render_mode is None:
            raise ValueError("nothing to render: make it with render_mode='rgb_array' or 'human'")
        return self._picture(self.render_mode).show(self.vec.unwrapped.shards.grid)

    def close(self) -> None:
        """Close the window, if there is one, and what is below."""
        if self._view is not None:
            self._view.close()
            self._view = None
        self.vec.close()

    def _picture(self, mode: str) -> View:
        if self._view is None:
            self._view = View(self.vec.unwrapped.shards.grid, mode)
        return self._view

    def _draw(self, mode: str) -> None:
        self._picture(mode).remember(self.vec.unwrapped.shards.grid)
        if mode == "human":
            self.render()

    def _rows(self, observations: NDArray[np.float32]) -> Dicts:
        """Each agent its own entries: views of one fresh array."""
        rows = observations[0]
        return {agent: rows[k, :size] for k, agent, size in self._shown}

    def _infos(self, infos: Mapping[str, Any], cost: float) -> Dicts:
        found = {
            agent: {"active": active, "cost": cost}
            for agent, active in zip(self.possible_agents, self.vec.active[0].tolist(), strict=True)
        }
        coded = self.vec.actions
        if isinstance(coded, CodedActions):
            masks = infos["action_mask"][0]
            for k, agent in enumerate(self.possible_agents):
                found[agent]["action_mask"] = masks[k, : coded.counts[k]]
        return found
