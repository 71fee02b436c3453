"""Scripted rules that act together, as what a trained policy adds its actions to.

Residual policies (Johannink et al., Residual reinforcement learning for robot control, ICRA 2019; Silver et
al., Residual policy learning, 2018): the network learns what to do otherwise than the rules, and begins
with their actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..errors import RunError, unknown
from ..policy import AnyEnv, FloatArray, neutral_action, plays_batches, scenario_of
from ..scripted.catalogue import SCRIPTED

#: Those that are none: nothing is added to nothing, or to chance.
_NONE = ("do-nothing", "random")


class Rules:
    """Rules that each move their own devices away from rest; where several move one, their moves add up.

    Args:
        names: Of `scripted.catalogue.SCRIPTED`.
        env: The environment, single or vector.

    Raises:
        RunError: An unknown rule, one that finds nothing to control here or plays no batches, or an
            environment with other actions than floats.
    """

    def __init__(self, names: Sequence[str], env: AnyEnv) -> None:
        self._neutral = neutral_action(env)
        if not isinstance(scenario_of(env).codec.space, spaces.Box):
            raise RunError("what is added to rules are floats, and this environment has discrete actions")
        for name in names:
            if name not in SCRIPTED or name in _NONE:
                raise unknown("rule", name, [known for known in SCRIPTED if known not in _NONE])
        self._members = [SCRIPTED[name](env) for name in names]
        if late := [member.name for member in self._members if not plays_batches(member)]:
            raise RunError(
                f"the rule {late[0]} plays one day at a time; choose one that plays many side by side"
            )

    def reset(self, obs: FloatArray, info: Mapping[str, Any]) -> None:
        """Episodes begin in all rows of `obs` (rows, n_obs)."""
        for member in self._members:
            member.reset(obs, info)

    def restart(self, rows: NDArray[np.bool_]) -> None:
        """Episodes begin in `rows` (rows,)."""
        for member in self._members:
            member.restart(rows)

    def act(self, obs: FloatArray, info: Mapping[str, Any]) -> NDArray[np.float32]:
        """(rows, n_act) in [-1, 1] for observations (rows, n_obs)."""
        found = np.repeat(self._neutral[None], obs.shape[0], axis=0)
        for member in self._members:
            acted = np.asarray(member.act(obs, info), dtype=np.float32)
            # What one rule alone moves has the bits that this rule gives.
            found = np.where(found == self._neutral, acted, found + (acted - self._neutral))
        return np.clip(found, -1.0, 1.0, out=found)
