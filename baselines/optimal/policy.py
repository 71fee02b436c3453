"""The policy that knows the day: the relaxation's plan, made when an episode begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..policy import Action, AnyEnv, FloatArray, Policy, RuleActions, RuleObservations, scenario_of
from .conic import clarabel
from .day import check_covered, plan_day

IntArray = NDArray[np.int64]


class Optimal(Policy):
    """Perfect foresight: loads, sun and prices of the whole episode are known to it.

    It plays the plan of the branch flow relaxation, blindly. How far that is from what nobody can pass is
    what `bracket.bracket` tells. It must be played on the environment that it was made for, whose rows it
    looks at.
    """

    name = "optimal"
    transient = ("_plan", "_step", "_new")

    def __init__(self, env: AnyEnv) -> None:
        """Look at feeder, fleet and reward. RunError for what the relaxation does not cover."""
        clarabel()
        self._scenario = scenario_of(env)
        self._check()
        self._actions, self._observations = RuleActions(env), RuleObservations(env)

    def _check(self) -> None:
        """RunError for what no plan covers."""
        check_covered(self._scenario)

    def _planned(self, row: int) -> FloatArray:
        """(steps, n_actions) the plan of a row."""
        return plan_day(self._scenario, row).actions

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Forget the plans: each is made when its row is asked for the first action."""
        rows = self._observations.batch(obs)[0].shape[0]
        self._plan: list[FloatArray] = [np.empty(0)] * rows
        self._step: IntArray = np.zeros(rows, dtype=np.int64)
        self._new: NDArray[np.bool_] = np.ones(rows, dtype=np.bool_)

    def restart(self, rows: NDArray[np.bool_]) -> None:
        """These rows begin another episode."""
        self._new |= rows

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """The next action of each row's plan; where it has ended, the neutral one."""
        batch, single = self._observations.batch(obs)
        for row in np.flatnonzero(self._new).tolist():
            self._plan[row] = self._planned(row).astype(np.float32)
        self._step[self._new] = 0
        self._new[:] = False
        action = self._actions.neutral(len(batch))
        for k, plan in enumerate(self._plan):
            if self._step[k] < len(plan):
                action[k] = plan[self._step[k]]
        self._step += 1
        return self._actions.coded(action, single)
