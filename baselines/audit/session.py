"""What the items of an audit have in common in one process; what is expensive is found once, when needed."""

from __future__ import annotations

import functools
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import registry
from ..search.arena import Arena, FloatArray, IntArray, Played
from ..search.constants import best_constant, extremes
from ..search.day_search import momentary
from .affine import Affine, best_affine
from .config import BUDGETS, AuditConfig, Budget


class AuditSession:
    """One environment on its train and its test days.

    Attributes:
        train, test: Where searches and scores are played.
        budget: How much is done.
        days: (n,) test days that everybody plays; the first ``reference_days`` of them have a reference.
    """

    def __init__(self, config: AuditConfig) -> None:
        self.config = config
        self.test = Arena(config.env, "test", config.seed, config.threads)
        self.budget = budget_of(config, self.test.steps)
        self.train = Arena(config.env, "train", config.seed, config.threads)
        self.days: IntArray = self.test.chosen_days(config.days)
        wanted = self.budget.reference_days or self.days.size
        self.reference_days: IntArray = self.days[:wanted]

    def close(self) -> None:
        """Close the environments."""
        self.test.close()
        self.train.close()

    def rng(self, *of: str | int) -> np.random.Generator:
        """The generator of a part of the audit: draws of one part do not move those of another."""
        words = [zlib.crc32(str(word).encode()) for word in of]
        return np.random.default_rng([self.config.seed, *words])

    @functools.cached_property
    def rules(self) -> tuple[str, ...]:
        """The scripted policies that have something to control here."""
        return registry.rules_among(registry.fitting(self.test.env))

    @functools.cached_property
    def extremes(self) -> dict[str, FloatArray]:
        """Constant actions at the ends."""
        return extremes(self.test)

    @functools.cached_property
    def constant(self) -> FloatArray:
        """The best constant action."""
        days, more = self._search_days()
        return best_constant(self.train, days, more, self.rng("constant"), self.budget.constant_generations)

    @functools.cached_property
    def affine(self) -> Affine:
        """The best affine policy."""
        return best_affine(
            self.train, self._search_days()[1], self.rng("affine"), self.constant, self.momentary,
            self.config.affine_features, self.budget.affine_generations, self.budget.search_days,
        )  # fmt: skip

    @functools.cached_property
    def momentary(self) -> NDArray[np.bool_]:
        """Which dimensions of the action matter in their own interval alone."""
        return momentary(self.train, int(self._search_days()[0][0]), self.rng("momentary"))

    def _search_days(self) -> tuple[IntArray, IntArray]:
        more = self.train.chosen_days(self.budget.choice_days)
        return more[: self.budget.search_days], more

    # -- sequences that the reference of a day begins with ---------------------------------------------------

    def starts(self, day: int) -> FloatArray:
        """(n, steps, n_actions) what the contenders that need no training do on ``day``."""
        one = np.array([day])
        constant = [self.test.neutral, self.constant, *self.extremes.values()]
        found = [np.repeat(action[None], self.test.steps, axis=0) for action in constant]
        found.append(_actions(self.affine.play(self.test, one)))
        found += [_actions(self.play_rule(name, one)) for name in self.rules]
        return np.array(found)

    def play_rule(self, name: str, days: IntArray) -> Played:
        """A scripted policy on ``days``."""
        return self.test.policy(days, lambda env: registry.make(name, env), self.config.seed)


def _actions(played: Played) -> FloatArray:
    assert played.actions is not None
    return played.actions[0]


def budget_of(config: AuditConfig, steps: int) -> Budget:
    """The budget of episodes of ``steps``, with what the configuration says otherwise.

    Budgets are those of days of quarter hours: of longer episodes fewer are searched, each for longer.
    """
    budget, days = BUDGETS[config.budget], max(steps / 96.0, 1.0)
    budget = replace(
        budget,
        reference_days=budget.reference_days and max(round(budget.reference_days / days), 1),
        reference_row_steps=round(budget.reference_row_steps * days),
        search_days=max(round(budget.search_days / days), 2),
        choice_days=max(round(budget.choice_days / days), 2),
    )
    names = ("reference_days", "ppo_steps", "sac_steps")
    said: dict[str, Any] = {name: getattr(config, name) for name in names}
    return replace(budget, **{k: v for k, v in said.items() if v is not None})
