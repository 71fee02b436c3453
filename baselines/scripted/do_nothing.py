"""Hold the neutral action: the reference that every other policy has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..policy import Action, AnyEnv, Policy, RuleActions, RuleObservations


class DoNothing(Policy):
    """Storage idle, PV at full output and unity power factor, cars charge at once, taps and banks stand."""

    name = "do-nothing"
    plays_batches = True

    def __init__(self, env: AnyEnv) -> None:
        """Look up the neutral action of `env`."""
        self._actions, self._observations = RuleActions(env), RuleObservations(env)

    def reset(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> None:
        """Nothing to forget."""

    def act(self, obs: NDArray[np.floating[Any]], info: Mapping[str, Any]) -> Action:
        """A fresh copy of the neutral action for each row of `obs`."""
        batch, single = self._observations.batch(obs)
        return self._actions.coded(self._actions.neutral(batch.shape[0]), single)
