"""The balanced environment, one feeder at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..cases import Feeder
from .core.arguments import checked_options, checked_resources
from .core.face import MadeWithOptions, takes_options
from .core.fixed import Fixed
from .core.info import reset_info, step_info
from .core.masks import action_masks, info_mask
from .core.observation_layout import Layout
from .core.options import EnvOptions, OptionKeywords
from .core.planning import PlannedScenario
from .core.reward_space import reward_space
from .core.shown import form_of
from .core.time_axis import chosen_start
from .rendering.window import View
from .resources import Fleet, place
from .resources.base import ActionDim, Resource, ResourceSpec, UnitInfo
from .tasks import Task
from .tasks.base import unpriced

Observation = NDArray[np.float32]


@takes_options
class DistGridEnv(MadeWithOptions, gym.Env[Observation, Any]):
    """One balanced feeder, step by step through time, solved by AC power flow.

    ## Description
    A feeder with loads that follow real shapes, and resources (batteries, PV inverters, charging stations of
    electric vehicles, your own) that the agent drives. Every step solves the AC power flow of the whole
    feeder (backward-forward sweep, equal to Newton's solution to 1e-9 pu). Steps are those of the
    data, quarter hours in the shipped year; an episode is as long as ``task.episode`` says, one day from
    midnight by default.

    The feeder is balanced: positive-sequence, single-phase equivalent. Unbalance is zero by assumption.

    ## Timeline of a step
    At decision time *t* the observation shows the grid state solved at the end of interval *t - 1*, and what
    is known of interval *t*: clock, prices, cars that are there. Loads and sun are those of interval *t*
    where ``observation`` is None or "oracle"; at the other levels they are those of *t - 1*, and forecasts.
    The action acts during interval *t*; the reward is for interval *t*.

    ## Action Space
    ``Box(-1, 1, (n,), float32)``, one entry per controlled quantity of each resource, see
    ``env.unwrapped.action_layout``. A battery's ``p``: +1 discharges at rated power, -1 charges. A PV unit's
    ``q``: +1 injects, -1 absorbs ``q_max_mvar``; its ``p``: +1 is all available power, -1 none.
    A charging station's ``p``: -1 charges at its power, +1 discharges at ``v2g_mw`` (rests where that is 0).
    ``info["delivered"]`` tells what flowed. NaN, a wrong shape or a value outside [-1, 1] by more than 1e-6
    raises ValueError naming the dimension. ``action_space=`` makes it ``MultiDiscrete``, ``Discrete`` or a
    ``Dict`` of both kinds, with ``action_masks()``.

    ## Observation Space
    A flat float32 ``Box`` with finite bounds; blocks and units in ``env.unwrapped.layout``. Which blocks
    there are is the choice of the task and of the level, ``observation=``; the observations of the resources
    follow them. The level "graph" is a ``gymnasium.spaces.Graph`` (of a vector environment a ``Dict`` of
    ``nodes`` and ``edges``). ``normalise=True`` scales every entry by its bounds to [-1, 1].

    ## Rewards
    The task's weighted terms, in ``info["rewards"]``; they add up to the reward. The bare task:
    ``-0.1 * p_loss_MW``.

    ## Costs
    ``info["costs"]`` by name, ``info["cost"]`` their sum: pu outside the voltage band summed over nodes, MVA
    above rating summed over branches, resource costs. All are >= 0, and 0 exactly when the limit holds.

    ## Episode End
    1. Termination: the power flow failed (``is_diverged`` or ``voltage_collapse``). The reward of that step
       is ``-failure_price`` of the task, its cost ``failure_cost``: stated numbers that are above all that a
       day brought in a search for the worst, so that failing never pays. With ``"bound"``, the default of
       tasks of your own, it is the worst that the rest of the episode could bring by a proof, which is many
       times more. Resources have still stepped; ``info`` holds the last iterate as diagnostics.
    2. Termination: the task ends the episode (``Task.ends``), as ``HostingCapacity`` does at the first
       violation; that has no price beside the terms of the reward.
    3. Truncation: the time of the task's episode is over.

    ## Arguments
    - every field of ``EnvOptions``, or ``options=EnvOptions(...)``
    - ``render_mode``: ``"rgb_array"``, ``"human"`` or None.

    ``reset(options={"day": 200})`` starts on a given day of the data, ``{"start": "2016-06-21 06:00"}`` at a
    given interval, so that the episode stays inside the split.

    ## Version History
    - v0: first release.
    """

    render_mode = Fixed["str | None"]("make another with render_mode=")

    # Gymnasium types a space by its dtype, Box does not.
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 8}  # noqa: RUF012 - Gymnasium's API

    def __init__(
        self,
        case: str | Path | Feeder = "case33bw",
        resources: Sequence[ResourceSpec | Resource] = (),
        task: Task | None = None,
        split: str | None = None,
        *,
        render_mode: str | None = None,
        options: EnvOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        if render_mode not in (None, *type(self).metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r} is unknown; expected 'rgb_array', 'human' or None")
        self.metadata = copy.deepcopy(type(self).metadata)
        self.render_mode = self._mode = render_mode  # the second is read in every step: a plain attribute
        given = EnvOptions(case, resources, task, split, **keywords) if options is None else options
        self._check_phases(self._settle(given).feeder)
        self._view: View | None = None
        self._build()

    @staticmethod
    def _check_phases(feeder: Feeder) -> None:
        if feeder.phases != "balanced":
            raise ValueError(f"feeder {feeder.name!r} has phases: make it with DistGrid3PhaseEnv")

    def _build(self) -> None:
        self.grid = self._scenario.grid(self.resources, 1)
        self._form = form_of(self)
        self.observation_space = self._form.space
        self._codec = codec = self._bound_codec(self.grid.fleet)
        self.action_space, self._decode = codec.space, codec.decode
        self._masked = isinstance(codec.space, spaces.Discrete)
        self._ready = False
        self.close()  # a picture of the old fleet

    # -- what there is ---------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """All resources, in the order of ``info["delivered"]``."""
        return self.grid.fleet

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
    def reward_names(self) -> tuple[str, ...]:
        """The terms of the reward, in the order of ``info["rewards"]``."""
        return self.grid.reward_names()

    @property
    def reward_space(self) -> spaces.Box:
        """Bounds of these terms, ``Box((n,), float32)``: what ``MOWrapper`` returns as reward."""
        return reward_space(self.grid)

    @property
    def reward_dim(self) -> int:
        """How many terms there are."""
        return len(self.reward_names)

    @property
    def neutral_action(self) -> Any:
        """The action that leaves every resource alone: no battery power, all PV, no reactive power, cars that
        charge as soon as they come. In the code of ``action_space``.
        """
        return self._codec.one(self._codec.encode(self.grid.fleet.neutral_action[None]))

    @property
    def day(self) -> int:
        """Day of the data, counted from 0."""
        return int(self.grid.day[0])

    @day.setter
    def day(self, _value: object) -> None:
        raise AttributeError("day cannot be set: start on a day by reset(options={'day': d})")

    @property
    def step_index(self) -> int:
        """Steps taken in this episode."""
        return int(self.grid.step_index[0])

    def register_resource(
        self, resource: ResourceSpec | Resource, bus: str | int | None = None, phase: str | None = None
    ) -> None:
        """Attach one more resource; ``bus`` and ``phase`` override its own. Call ``reset`` afterwards.

        The action and observation spaces grow; wrappers made before keep the old ones. The failure price that
        a registered id states is for its own fleet: with another one the task's is the bound.
        """
        (one,) = checked_resources([resource])
        before, played = self.options, self._scenario
        task = played.task
        if self.spec is not None and self.spec.kwargs.get("task") is None:
            task = unpriced(task)
        more = [*self.resources, place(one, bus, phase)]
        self._settle(replace(before, resources=more, task=task), replace(played, task=task))
        try:
            self._build()
        except (TypeError, ValueError):
            self._settle(before, played)
            self._build()
            raise

    # -- Gymnasium -------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode: at midnight of a day of the split at random, or where ``options`` say: ``{"day":
        200}`` of any split, ``{"start": "2016-06-21 06:00"}`` or a number of the interval inside its own.
        """
        asked = chosen_start(checked_options(options, ("day", "start")))
        super().reset(seed=seed)
        if asked is None:
            start = int(self.np_random.choice(self._scenario.starts))
        else:
            start = self._scenario.start_of(*asked)
        self.grid.reset(np.zeros(1, dtype=np.int64), np.array([start]), [self.np_random])
        self._ready = True
        if self._view is not None:
            self._view.restart()
        if self.render_mode == "human":
            self.render()
        return self.obs(), self._with_mask(reset_info(self.grid))

    def _with_mask(self, info: dict[str, Any]) -> dict[str, Any]:
        """``info`` with the ``action_mask`` that Gymnasium has for discrete spaces."""
        if self._masked:
            info["action_mask"] = info_mask(self._codec, self.grid.fleet, self.grid.t_index)[0]
        return info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which codes can be followed in the next interval, as sb3-contrib asks for them.

        Flat: one for each code of a ``Discrete`` space, or of each dimension of a ``MultiDiscrete`` one, one
        after the other. Taps and banks that a code would move further than they get in one interval are
        masked; asked for all the same, they go as far as they can.
        """
        return action_masks(self._codec, self.grid.fleet, self.grid.t_index)[0]

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One interval of the data; see the class for reward, costs and the end of an episode."""
        if not self._ready:
            raise RuntimeError("call reset() first: the environment is new, has ended, or got a new resource")
        grid = self.grid
        outcome = grid.step(self._decode(action, 1))
        terminated, truncated = outcome.terminated.item(0), outcome.truncated.item(0)
        self._ready = not (terminated or truncated)
        if self._mode is not None:
            self._draw_step(self._mode)
        info = step_info(grid, outcome)
        if self._masked:
            self._with_mask(info)
        return self._form.one(grid.observe()[0]), float(outcome.reward[0]), terminated, truncated, info

    def _draw_step(self, mode: str) -> None:
        if self._view is None:
            self._view = View(self.grid, mode)
        self._view.remember(self.grid)
        if mode == "human":
            self.render()

    def obs(self) -> Observation:
        """The current observation, (n_obs,) float32, a fresh array; blocks in ``layout``. Or a graph."""
        shown: Observation = self._form.one(self.grid.observe()[0])
        return shown

    # -- planning --------------------------------------------------------------------------------------------

    @property
    def scenario(self) -> PlannedScenario:
        """What is played, and what comes."""
        return PlannedScenario(lambda _row: (self.grid, 0), self._codec, self._scenario)

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on, random generator included; restore with ``set_state``.

        It holds for an equal environment, and for rows of an equal vector environment.
        """
        rng = copy.deepcopy(self.np_random.bit_generator.state)
        return {**self.grid.state(), "rngs": [rng], "done": np.array([not self._ready])}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to exactly where ``get_state`` was called, on this or an equal environment."""
        self.grid.load_state(state)
        (rng,) = state["rngs"]
        self.np_random.bit_generator.state = copy.deepcopy(rng)
        self._ready = not state["done"].item()
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
