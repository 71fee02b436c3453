"""The balanced environment, one feeder at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..cases import Feeder
from .actions import checked
from .info import state_info, step_info
from .layout import Layout
from .load import LoadSource
from .resources import Fleet, place
from .resources.base import ActionDim, Resource, ResourceSpec, UnitInfo
from .scenario import scenario
from .tasks import Task
from .view import View

Observation = NDArray[np.float32]
Action = NDArray[np.float32]


class DistGridEnv(gym.Env[Observation, Action]):
    """One balanced feeder, 15-minute steps, solved by AC power flow.

    ## Description
    A feeder with loads that follow real shapes, and resources (batteries, PV inverters, charging stations of
    electric vehicles, your own) that the agent drives. Every step solves the AC power flow of the whole
    feeder (backward-forward sweep, equal to Newton's solution to 1e-9 pu). An episode is one day of 96 steps,
    from midnight.

    The feeder is balanced: positive-sequence, single-phase equivalent. Unbalance is zero by assumption.

    ## Timeline of a step
    At decision time *t* the observation shows the exogenous values that hold during interval *t* and the
    grid state solved at the end of interval *t - 1*; the action acts during interval *t*; the reward is for
    interval *t*.

    ## Action Space
    ``Box(-1, 1, (n,), float32)``, one entry per controlled quantity of each resource, see
    ``env.unwrapped.action_layout``. A battery's ``p``: +1 discharges at rated power, -1 charges. A PV unit's
    ``q``: +1 injects, -1 absorbs ``q_max_mvar``; its ``p``: +1 is all available power, -1 none.
    A charging station's ``p``: -1 charges at its power, +1 discharges at ``v2g_mw`` (rests where that is 0).
    ``info["delivered"]`` tells what flowed. NaN, a wrong shape or a value outside [-1, 1] by more than 1e-6
    raises ValueError naming the dimension.

    ## Observation Space
    A flat float32 ``Box`` with finite bounds; blocks and units in ``env.unwrapped.layout``. Which blocks
    there are is the task's choice; the observations of the resources follow them.

    ## Rewards
    The task's weighted terms, in ``info["rewards"]``; they add up to the reward. The bare task:
    ``-0.1 * p_loss_MW``.

    ## Costs
    ``info["costs"]`` by name, ``info["cost"]`` their sum: pu outside the voltage band summed over nodes, MVA
    above rating summed over branches, resource costs. All are >= 0, and 0 exactly when the limit holds.

    ## Episode End
    1. Termination: the power flow failed (``is_diverged`` or ``voltage_collapse``). The reward of that step
       is the worst that the rest of the episode could have brought, so that failing early never pays; the
       cost likewise. Resources have still stepped; ``info`` holds the last iterate as diagnostics.
    2. Truncation: the day is over.

    ## Arguments
    - ``case``: name of a shipped feeder, a path, or a ``Feeder``.
    - ``resources``: ``Battery``, ``PV``, ``EV`` or your own ``Resource``; more by ``register_resource``.
    - ``task``: what is observed and rewarded; default ``LossMinimisation()``.
    - ``split``: ``train``, ``val``, ``test``, ``summer-pv`` or ``winter-peak``: the days that
      ``reset`` draws.
    - ``load``: a ``LoadSource`` (``SeriesLoad`` for your own series); default: the shipped year.
    - ``load_scale``: growth of all nominal loads over the case, 1.0 = as in the case.
    - ``v_source_pu``: voltage of the substation; default as in the case.
    - ``allow_mesh_pruning``: cut loops to a tree with a warning (True, the default) or raise ValueError
      (False). Parallel branches are no loop.
    - ``render_mode``: ``"rgb_array"``, ``"human"`` or None.

    ``reset(options={"day": 200})`` starts on a given day of the data.

    ## Version History
    - v0: first release.
    """

    # Gymnasium types a space by its dtype, Box does not.
    observation_space: spaces.Box  # type: ignore[assignment]
    action_space: spaces.Box  # type: ignore[assignment]
    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 8}  # noqa: RUF012 - Gymnasium's API

    def __init__(
        self,
        case: str | Feeder = "case33bw",
        resources: Sequence[ResourceSpec | Resource] = (),
        task: Task | None = None,
        split: str = "train",
        *,
        load: LoadSource | None = None,
        load_scale: float = 1.0,
        v_source_pu: float | None = None,
        allow_mesh_pruning: bool | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array", "human"):
            raise ValueError(f"render_mode {render_mode!r} is unknown; expected 'rgb_array', 'human' or None")
        self.metadata = copy.deepcopy(type(self).metadata)
        self.render_mode = render_mode
        played = scenario(case, task, split, load, load_scale, v_source_pu, allow_mesh_pruning)
        self._check_phases(played.feeder)
        self._scenario, self.split = played, split
        self.feeder, self.net, self.load, self.days = played.feeder, played.net, played.load, played.days
        self.task, self.profiles = played.task, played.profiles
        self._resources = list(resources)
        self._view: View | None = None
        self._build()

    @staticmethod
    def _check_phases(feeder: Feeder) -> None:
        if feeder.phases != "balanced":
            raise ValueError(f"feeder {feeder.name!r} has phases: make it with DistGrid3PhaseEnv")

    def _build(self) -> None:
        self.grid = self._scenario.grid(self._resources, 1)
        fleet = self.grid.fleet
        self.observation_space = self.grid.observer.space
        self.action_space = spaces.Box(-1.0, 1.0, (fleet.n_actions,), dtype=np.float32)
        self._action_names = tuple(d.name for d in fleet.action_dims)
        self._action_shape = (1, fleet.n_actions)
        self._ready = False
        self.close()  # a picture of the old fleet

    # -- what there is ---------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """All resources, in the order of ``info["delivered"]``."""
        return self.grid.fleet

    @property
    def resources(self) -> tuple[ResourceSpec | Resource, ...]:
        """What was attached, as it was written."""
        return tuple(self._resources)

    @property
    def v_limits_pu(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n_nodes,) lowest and highest voltage allowed: the task's band, or the feeder's own limits.

        The source, whose voltage nobody here controls, is not judged: 0 and infinity.
        """
        return self.grid.stepper.v_min.copy(), self.grid.stepper.v_max.copy()

    @property
    def layout(self) -> Layout:
        """Names, units and bounds of the observation."""
        return self.grid.observer.layout

    @property
    def action_layout(self) -> tuple[ActionDim, ...]:
        """What each entry of the action drives."""
        return self.grid.fleet.action_dims

    @property
    def units(self) -> tuple[UnitInfo, ...]:
        """Every unit of every resource, with its node, ratings and columns."""
        return self.grid.fleet.units()

    @property
    def neutral_action(self) -> Action:
        """The action that leaves every resource alone: no battery power, all PV, no reactive power, cars that
        charge as soon as they come.
        """
        return self.grid.fleet.neutral_action.astype(np.float32)

    @property
    def day(self) -> int:
        """Day of the data, counted from 0."""
        return int(self.grid.day[0])

    @property
    def step_index(self) -> int:
        """Steps taken in this episode."""
        return int(self.grid.step_index[0])

    def register_resource(
        self, resource: ResourceSpec | Resource, bus: str | int | None = None, phase: str | None = None
    ) -> None:
        """Attach one more resource; ``bus`` and ``phase`` override its own. Call ``reset`` afterwards.

        The action and observation spaces grow; wrappers made before keep the old ones.
        """
        self._resources.append(place(resource, bus, phase))
        try:
            self._build()
        except (TypeError, ValueError):
            self._resources.pop()
            self._build()
            raise

    # -- Gymnasium -------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a day: one of the split at random, or ``options={"day": d}``."""
        super().reset(seed=seed)
        day = self._chosen_day(options or {})
        self.grid.reset(np.zeros(1, dtype=np.int64), np.array([day]), [self.np_random])
        self._ready = True
        if self._view is not None:
            self._view.restart()
        if self.render_mode == "human":
            self.render()
        return self.obs(), state_info(self.grid)

    def _chosen_day(self, options: Mapping[str, Any]) -> int:
        unknown = set(options) - {"day"}
        if unknown:
            raise ValueError(f"unknown reset option {sorted(unknown)[0]!r}; the only option is 'day'")
        if "day" not in options:
            return int(self.np_random.choice(self.days))
        return self._scenario.checked_day(options["day"])

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One interval of 15 minutes; see the class for reward, costs and the end of an episode."""
        if not self._ready:
            raise RuntimeError("call reset() first: the environment is new, has ended, or got a new resource")
        grid = self.grid
        outcome = grid.step(checked(action, self._action_shape, self._action_names))
        terminated, truncated = outcome.terminated.item(0), outcome.truncated.item(0)
        self._ready = not (terminated or truncated)
        if self.render_mode is not None:
            self._draw_step(self.render_mode)
        return grid.observe()[0], float(outcome.reward[0]), terminated, truncated, step_info(grid, outcome)

    def _draw_step(self, mode: str) -> None:
        if self._view is None:
            self._view = View(self.grid, mode)
        self._view.remember(self.grid)
        if mode == "human":
            self.render()

    def obs(self) -> Observation:
        """The current observation, (n_obs,) float32, a fresh array; blocks in ``layout``."""
        return self.grid.observe()[0]

    # -- planning --------------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on, random generator included; restore with ``set_state``."""
        state = self.grid.state()
        state["rng"] = copy.deepcopy(self.np_random.bit_generator.state)
        state["ready"] = self._ready
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to exactly where ``get_state`` was called, on this or an equal environment."""
        self.grid.load_state(state)
        self.np_random.bit_generator.state = copy.deepcopy(state["rng"])
        self._ready = state["ready"]
        if self._view is not None:
            self._view.restart()

    # -- drawing ---------------------------------------------------------------------------------------------

    def render(self) -> NDArray[np.uint8] | None:
        """Picture of feeder, fleet and the day so far: (H, W, 3) uint8; a window in ``human`` mode."""
        if self.render_mode is None:
            raise ValueError(
                "nothing to render: make the environment with render_mode='rgb_array' or 'human'"
            )
        if self._view is None:
            self._view = View(self.grid, self.render_mode)
        return self._view.show(self.grid)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._view is not None:
            self._view.close()
            self._view = None
