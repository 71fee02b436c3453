"""What the days of a certificate have in common: the environment, who plays it, how much is searched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import registry
from ..errors import RunError
from ..optimal.bracket import played
from ..optimal.day import check_covered
from ..optimal.phase_day.plan import check_phase_day
from ..policy import scenario_of
from ..rollouts.env_source import episode_day, make_source
from ..search.arena import Arena, BoolArray, FloatArray
from ..search.day_search import momentary

#: Policies that solve power flows ahead of each step, or know the day.
PLANNERS = ("host-sweep", "host-bisection", "optimal")
#: Row steps of a search: so many voltages are solved for, within these ends.
_VOLTAGES, _FEWEST, _MOST = 5_000_000, 30_000, 80_000


class CertifySession:
    """An environment on the days of a split.

    Attributes:
        arena: Where it is played; day ``k`` of the order in which runs play a split has seed ``seed + k``.
        covered: Whether the relaxation covers it, so that there are bounds.
        per_phase: Whether days are planned on the power flow of a per-phase feeder.
        rules, planners: Names of the policies that have something to do here.
        search_steps: Intervals that the search of a day plays.
    """

    def __init__(self, env: str, split: str, seed: int, search_steps: int | None, days: int = 0) -> None:
        """``days``: only the first so many; 0: all."""
        source = make_source(env, split)
        single: Any = source.open()
        every = np.asarray(single.unwrapped.days, dtype=np.int64)
        source.close(single)
        self.seeds = {episode_day(every, k): seed + k for k in range(every.size)}
        self.days = tuple(sorted(self.seeds)[: days or None])
        self.played_days = np.array(self.days, dtype=np.int64)
        self.arena = Arena(env, split, seed, threads=1, seeds=self.seeds)
        scenario = scenario_of(self.arena.env)
        self.covered = _passes(check_covered, scenario)
        self.per_phase = _passes(check_phase_day, scenario)
        fitting = registry.fitting(self.arena.env)
        self.rules = registry.rules_among(fitting)
        self.planners = tuple(name for name in PLANNERS if name in fitting and not self.covered)
        voltages = int(scenario.network.n_bus) * (1 if scenario.feeder.phases == "balanced" else 3)
        most = int(np.clip(_VOLTAGES // voltages, _FEWEST, _MOST))
        self.search_steps = most if search_steps is None else search_steps

    @property
    def env(self) -> Any:
        """The single environment."""
        return self.arena.env

    def rng(self, day: int) -> np.random.Generator:
        """Of the search of a day."""
        return np.random.default_rng([self.arena.seed, day])

    @functools.cached_property
    def momentary(self) -> BoolArray:
        """Which dimensions of the action matter in their own interval alone."""
        return momentary(self.arena, self.days[0], np.random.default_rng(self.arena.seed))

    @functools.cached_property
    def drawn(self) -> bool:
        """Whether a day depends on the seed of the reset."""
        rng = np.random.default_rng(0)
        actions: FloatArray = rng.uniform(-1.0, 1.0, (self.arena.steps, self.arena.n_actions))
        first = [played(self.env, actions, self.days[0], seed) for seed in (0, 1)]
        return first[0] != first[1]

    @functools.cached_property
    def plans(self) -> dict[str, FloatArray]:
        """What rules and planners do on all days, by name; (days, steps, n_actions), in the order of days.

        All days side by side: a row has the bits that it has alone.
        """
        found = {}
        kinds = [("rule", name) for name in self.rules] + [("planner", name) for name in self.planners]
        for kind, name in kinds:
            played = self.arena.policy(self.played_days, partial(registry.make, name), self.arena.seed)
            assert played.actions is not None
            found[f"{kind} {name}"] = played.actions
        return found

    def close(self) -> None:
        """Close the environments."""
        self.arena.close()


def _passes(check: Callable[[Any], None], scenario: Any) -> bool:
    try:
        check(scenario)
    except RunError:
        return False
    return True
