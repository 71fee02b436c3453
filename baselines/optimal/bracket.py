"""The bracket of a day: a value that was reached, and a bound that nobody can pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..policy import scenario_of
from .affine import FloatArray
from .day import check_covered, plan_day


@dataclass(frozen=True, eq=False)
class Bracket:
    """What an episode can bring, in its own reward.

    Attributes:
        do_nothing: Return of the neutral action.
        best_known: Return of the plan, played on the environment itself.
        bound: No policy has a return above it, with whatever knowledge: the dual of the relaxation.
        actions: (steps, n_actions) the plan, as floats in [-1, 1].
        seconds: Of the solver.
    """

    do_nothing: float
    best_known: float
    bound: float
    actions: FloatArray
    seconds: float

    @property
    def gap(self) -> float:
        """Between bound and best known, in units of what the plan gains over doing nothing."""
        gained = self.best_known - self.do_nothing
        return (self.bound - self.best_known) / gained if gained > 0.0 else float("inf")


def bracket(env: Any, day: int, *, seed: int = 0) -> Bracket:
    """The bracket of a day of an environment on a balanced radial feeder.

    The relaxation sees the true loads, sun and prices of the episode. Its plan is played on the environment;
    what that brings is the value, whether the relaxation was exact or not.

    Args:
        env: A single environment with a continuous action space.
        day: Of its data; ``seed`` of its reset.
        seed: With ``day``.

    Raises:
        RunError: a feeder, a device or a term of the reward that the relaxation does not cover.
    """
    scenario = scenario_of(env)
    check_covered(scenario)
    env.reset(seed=seed, options={"day": int(day)})
    plan = plan_day(scenario)
    nothing = np.repeat(scenario.neutral_action[None].astype(np.float64), len(plan.actions), axis=0)
    return Bracket(
        played(env, nothing, day, seed), played(env, plan.actions, day, seed), plan.bound, plan.actions,
        plan.seconds,
    )  # fmt: skip


def played(env: Any, actions: FloatArray, day: int, seed: int) -> float:
    """The return of a plan on a single environment.

    Args:
        env: As it is or wrapped.
        actions: (steps, n_actions) floats in [-1, 1]; of a discrete space the nearest codes are played.
        day: Of its data; ``seed`` of its reset.
        seed: With ``day``.
    """
    total = 0.0
    for reward, _, _ in steps_of(env, actions, day, seed):
        total += float(reward)
    return total


def steps_of(
    env: Any, actions: FloatArray, day: int, seed: int
) -> Iterator[tuple[float, bool, dict[str, Any]]]:
    """(reward, terminated, info) of each interval of a plan as it is `played`, until the episode ends."""
    codec = scenario_of(env).codec
    env.reset(seed=seed, options={"day": int(day)})
    for action in actions:
        code = codec.one(codec.encode(action[None].astype(np.float32)))
        _, reward, terminated, truncated, info = env.step(code)
        yield reward, terminated, info
        if terminated or truncated:
            return
