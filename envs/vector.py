"""Many balanced environments at once: Gymnasium's vector interface on compiled kernels."""

from __future__ import annotations

import copy as copying
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ..cases import Feeder
from .core.arguments import checked_count, checked_flag, checked_options
from .core.columns import sizes
from .core.face import MadeWithOptions, takes_options
from .core.fixed import Fixed
from .core.grid import Grid
from .core.masks import action_masks, info_mask
from .core.observation_layout import Layout
from .core.options import EnvOptions, OptionKeywords
from .core.planning import PlannedScenario
from .core.scenario import Scenario
from .core.shown import form_of
from .core.time_axis import chosen_start
from .resources import Fleet
from .resources.base import ActionDim, Resource, ResourceSpec, UnitInfo
from .tasks import Task
from .vectorised.arguments import (
    DRAWN,
    checked_mask,
    checked_max_steps,
    checked_row_starts,
    checked_rows,
    checked_seeds,
)
from .vectorised.info_arrays import InfoArrays, blank, copied, masked
from .vectorised.row_view import RowDoors
from .vectorised.shards import Restart, Shard, Shards

Observations = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Stepped = tuple[Observations, NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]


class GridVectorEnv(MadeWithOptions, RowDoors, VectorEnv[Observations, NDArray[Any], NDArray[Any]]):
    """The vector environment of any grid; :class:`DistGridVectorEnv` says what it does.

    Args:
        played: the scenario that all environments play.
        make: makes a grid of so many rows with a fleet of its own, like another one if there is one.
        num_envs, autoreset_mode, threads, copy: see :class:`DistGridVectorEnv`.
    """

    single_observation_space: spaces.Space[Any]
    single_action_space: spaces.Space[Any]
    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's API
    num_envs = Fixed[int]("make another with num_envs=")
    copy = Fixed[bool]("make another with copy=")
    autoreset_mode = Fixed[AutoresetMode]("make another with autoreset_mode=")

    def __init__(
        self,
        played: Scenario,
        make: Callable[[int, Grid | None], Grid],
        num_envs: int,
        autoreset_mode: str | AutoresetMode,
        threads: int | None,
        copy: bool,
    ) -> None:
        self.num_envs, self.copy = checked_count("num_envs", num_envs), checked_flag("copy", copy)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self._scenario, self._starts = played, played.starts
        self.make_infos: Callable[[int, Shard], InfoArrays] = InfoArrays  # faces of agents take down more
        workers = os.cpu_count() or 1 if threads is None else checked_count("threads", threads)
        self._shards = Shards(make, self.num_envs, sizes(played.feeder)["node"], workers)
        self._lead = self._shards.shards[0]
        self._form = form_of(self)
        self.single_observation_space = self._form.row_space
        self._codec = self._bound_codec(self.fleet)
        self.single_action_space = self._codec.space
        self.observation_space = self._form.batched(self.num_envs)
        self.action_space = self._codec.batched(self.num_envs)
        self._rngs: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        self._started = False
        self._all = np.ones(self.num_envs, dtype=np.bool_)
        self._all.setflags(write=False)  # the mask of most infos: shared, so nobody may change it
        self._buffers = [self._new_observations() for _ in range(0 if copy else 2)]

    # -- what there is ---------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The resources of one environment; all have the same."""
        return self._lead.grid.fleet

    @property
    def layout(self) -> Layout:
        """Names, units and bounds of one environment's observation."""
        return self._lead.grid.observer.layout

    @property
    def action_layout(self) -> tuple[ActionDim, ...]:
        """What each entry of an action drives."""
        return self.fleet.action_dims

    @property
    def units(self) -> tuple[UnitInfo, ...]:
        """Every unit of every resource of one environment."""
        return self.fleet.units()

    @property
    def neutral_action(self) -> Any:
        """That of every environment, (num_envs, n_actions) or codes: leaves every resource alone."""
        return self._codec.encode(np.tile(self.fleet.neutral_action, (self.num_envs, 1)))

    @property
    def threads(self) -> int:
        """Threads that share the batch; results do not depend on them."""
        return self._shards.threads

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator of each environment; empty before the first reset."""
        return tuple(self._rngs)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each environment's generator."""
        return tuple(self._seeds)

    @property
    def shards(self) -> Shards:
        """The grids that play the rows: for those who look inside."""
        return self._shards

    # -- Gymnasium -------------------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every environment, or in those of ``options={"reset_mask": mask}``.

        ``seed``: environment *i* gets ``seed + i``, or its entry of a list (None leaves its generator alone).
        ``options={"day": d}`` or ``{"start": t}``, one or one for each environment, instead of starts drawn,
        as in ``DistGridEnv``; None among them is drawn.
        """
        chosen = checked_options(options, ("day", "start", "reset_mask"))
        mask = checked_mask(chosen.get("reset_mask"), self._all, self._started)
        given = None
        if (asked := chosen_start(chosen)) is not None:
            given = checked_row_starts(*asked, self.num_envs, self._scenario.start_of)
        self._seed(seed, mask)
        rows = np.flatnonzero(mask)
        restart = self._restart(rows, None if given is None else given[rows])
        self._shards.reset(restart)
        self._done[rows], self._started = False, True
        arrays = self._new_infos()
        observations = self._observed(arrays)
        if rows.size == self.num_envs:
            return self._form.many(observations), masked(arrays.all(), self._all)
        return self._form.many(observations), masked(blank(arrays.all(), ~mask), mask)

    def step(self, actions: Any) -> Stepped:
        """One interval in every environment; what has ended is begun anew as ``autoreset_mode`` says."""
        if not self._started:
            raise RuntimeError("call reset() first: the environments are new")
        ended = self._done if self._done.any() else None
        if ended is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise RuntimeError(
                f"environment {int(ended.argmax())} has ended: call reset(options={{'reset_mask': mask}}) "
                "first, as autoreset_mode is DISABLED"
            )
        action = self._codec.decode(actions, self.num_envs, ended)
        restart = None if ended is None else self._restart(np.flatnonzero(ended), None)
        arrays, observations = self._new_infos(), self._buffer()
        self._shards.step(action, restart, arrays.write_outcome, self._shower(arrays, observations))
        if ended is not None:
            arrays.terminated[ended] = arrays.truncated[ended] = False
            arrays.forget(ended, reward=True)
        self._done = arrays.terminated | arrays.truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._done.any():
            infos = self._begin_in_the_same_step(arrays, observations)
        else:
            infos = masked(arrays.all(), self._all)
        return self._form.many(observations), arrays.reward, arrays.terminated, arrays.truncated, infos

    def _begin_in_the_same_step(self, arrays: InfoArrays, observations: Observations) -> dict[str, Any]:
        """Reset what has ended; its last observation and info go to ``final_obs`` and ``final_info``."""
        done, going = self._done, ~self._done
        rows = np.flatnonzero(done)
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row, last in zip(rows.tolist(), observations[rows], strict=True):
            final_obs[row] = self._form.many(last)
        final = blank(copied(arrays.all()), going)
        self._shards.reset(self._restart(rows, None), self._shower(arrays, observations))
        self._done = np.zeros(self.num_envs, dtype=np.bool_)
        arrays.forget(done, reward=False)
        infos = masked(arrays.all(), self._all)
        return infos | masked({"final_obs": final_obs}, done) | masked({"final_info": final}, done)

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is held open."""

    def action_masks(self) -> BoolArray:
        """(num_envs, codes) which codes can be followed next; see ``DistGridEnv.action_masks``."""
        grids = [shard.grid for shard in self._shards.shards]
        return np.concatenate([action_masks(self._codec, grid.fleet, grid.t_index) for grid in grids])

    # -- planning --------------------------------------------------------------------------------------------

    @property
    def scenario(self) -> PlannedScenario:
        """What is played, and what comes; `window(row=...)` for one environment."""
        return PlannedScenario(self._shards.at, self._codec, self._scenario)

    def obs(self) -> Observations:
        """(num_envs, n_obs) the current observations, a fresh array."""
        observations = self._new_observations()

        def show(shard: Shard) -> None:
            shard.grid.observe(observations[shard.rows])

        self._shards.visit(show)
        shown: Observations = self._form.many(observations)
        return shown

    def get_state(self, rows: Sequence[int] | None = None) -> dict[str, Any]:
        """Everything that the future of ``rows`` (None: all) depends on, random generators included.

        It holds for the same environment with another number of rows, and for the single one.
        """
        chosen = checked_rows(rows, self.num_envs)
        if not self._started:
            raise RuntimeError("call reset() first: the environments are new")
        state = self._shards.state(chosen)
        rngs = [copying.deepcopy(self._rngs[row].bit_generator.state) for row in chosen.tolist()]
        return {**state, "rngs": rngs, "done": self._done[chosen]}

    def set_state(self, state: Mapping[str, Any], rows: Sequence[int] | None = None) -> None:
        """Put ``rows`` (None: all) exactly where ``get_state`` was called, here or in an equal environment.

        A state of one environment goes to each of them: one branches into many, which would all draw alike.
        """
        chosen = checked_rows(rows, self.num_envs)
        if not self._started and chosen.size < self.num_envs:
            raise RuntimeError("call reset() first, or give a state to every row: the environments are new")
        self._shards.load_state(state, chosen)
        self._seed(None, np.zeros(self.num_envs, dtype=np.bool_))
        saved = state["rngs"] * chosen.size if len(state["rngs"]) == 1 else state["rngs"]
        for row, rng in zip(chosen.tolist(), saved, strict=True):
            self._rngs[row].bit_generator.state = copying.deepcopy(rng)
        self._done[chosen], self._started = state["done"], True

    # -- parts -----------------------------------------------------------------------------------------------

    def _new_observations(self) -> Observations:
        return np.empty((self.num_envs, self.layout.size), dtype=np.float32)

    def _new_infos(self) -> InfoArrays:
        arrays = self.make_infos(self.num_envs, self._lead)
        space = self.single_action_space
        if isinstance(space, spaces.Discrete):
            arrays.more["action_mask"] = np.ones((self.num_envs, int(space.n)), dtype=np.int8)
        return arrays

    def _buffer(self) -> Observations:
        """Where the next observations go: a fresh array, or the older of two."""
        if self.copy:
            return self._new_observations()
        self._buffers.reverse()
        return self._buffers[0]

    def _shower(self, arrays: InfoArrays, observations: Observations) -> Callable[[Shard], None]:
        """What a shard does at last: show itself."""

        def show(shard: Shard) -> None:
            shard.grid.observe(observations[shard.rows])
            arrays.write_state(shard)
            if arrays.more:
                mask = info_mask(self._codec, shard.grid.fleet, shard.grid.t_index)
                arrays.more["action_mask"][shard.rows] = mask

        return show

    def _observed(self, arrays: InfoArrays) -> Observations:
        """Observations of all environments as they stand; ``arrays`` is filled beside."""
        observations = self._buffer()
        self._shards.visit(self._shower(arrays, observations))
        return observations

    def _restart(self, rows: NDArray[np.int64], starts: NDArray[np.int64] | None) -> Restart:
        """``rows`` begin anew: at ``starts``, or at some that each draws from its own generator."""
        everyone = rows.size == self.num_envs
        rngs = self._rngs if everyone else [self._rngs[row] for row in rows.tolist()]
        n = self._starts.size  # Generator.choice draws the same integer, five times slower
        if starts is None:
            starts = self._starts[[rng.integers(n) for rng in rngs]]
        elif (starts == DRAWN).any():
            own = enumerate(starts.tolist())
            chosen = [int(self._starts[rngs[k].integers(n)]) if t == DRAWN else t for k, t in own]
            starts = np.array(chosen, dtype=np.int64)
        return Restart(rows, starts, rngs)

    def _seed(self, seed: int | Sequence[int | None] | None, mask: BoolArray) -> None:
        """Seed the generators of ``mask``; those of a new environment that gets no seed at random."""
        n, seeds = self.num_envs, checked_seeds(seed, self.num_envs)
        new = not self._rngs
        if new:
            self._rngs, self._seeds = [np.random.default_rng(0)] * n, [-1] * n
        for i in np.flatnonzero(mask | new).tolist():
            wanted = seeds[i] if mask[i] else None
            if new or wanted is not None:
                self._rngs[i], self._seeds[i] = seeding.np_random(wanted)


@takes_options
class DistGridVectorEnv(GridVectorEnv):
    """``num_envs`` independent :class:`DistGridEnv`, advanced together by compiled kernels on all cores.

    Every environment has the same feeder, fleet and task, its own day, resources and random generator, and
    gives the numbers that a single ``DistGridEnv`` with its seed and actions gives, to the last bit, whatever
    ``num_envs`` and ``threads`` are.

    ## Arguments
    Those of ``DistGridEnv``, except pictures (``render_mode``: None; draw a single environment):

    - every field of ``EnvOptions``, or ``options=EnvOptions(...)``
    - ``num_envs``: how many.
    - ``max_episode_steps``: episodes are cut there, as `gymnasium.make` has it; None or -1: nowhere.
    - ``autoreset_mode``: ``NEXT_STEP`` (default), ``SAME_STEP`` (``final_obs``, ``final_info``) or
      ``DISABLED`` (``reset(options={"reset_mask": mask})``), as Gymnasium defines them.
    - ``threads``: that share the batch, default all cores.
    - ``copy``: True (default): every step returns a fresh array of observations. False: two internal buffers
      in turn, so that an array is overwritten by the second call after the one that returned it. All other
      arrays are always fresh.

    ## Infos
    The keys of ``DistGridEnv``, each an array over the environments with a mask ``_key`` beside it, nested
    where the single info is (``infos["rewards"]["loss"]``, ``infos["costs"]``, ``infos["delivered"]``). Masks
    may be shared and read-only.

    Your own ``LoadSource`` and ``Task`` are called from several threads at once; with ``threads=1`` from one.
    """

    render_mode = Fixed["str | None"]("a vector environment draws no pictures")

    def __init__(
        self,
        case: str | Path | Feeder = "case33bw",
        resources: Sequence[ResourceSpec | Resource] = (),
        task: Task | None = None,
        split: str | None = None,
        *,
        num_envs: int = 1,
        render_mode: None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        copy: bool = True,
        max_episode_steps: int | None = None,
        options: EnvOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        if render_mode is not None:
            raise ValueError(
                f"render_mode {render_mode!r}: a vector environment draws no pictures; use gymnasium.make"
            )
        self.render_mode = None
        given = EnvOptions(case, resources, task, split, **keywords) if options is None else options
        self._check_phases(self._settle(given).feeder)
        most = checked_max_steps(max_episode_steps)
        make = functools.partial(self._scenario.grid, self.resources, max_steps=most)
        super().__init__(
            self._scenario, lambda rows, like: make(rows, like=like), num_envs, autoreset_mode, threads, copy
        )

    @staticmethod
    def _check_phases(feeder: Feeder) -> None:
        if feeder.phases != "balanced":
            raise ValueError(f"feeder {feeder.name!r} has phases: make it with DistGrid3PhaseVectorEnv")
