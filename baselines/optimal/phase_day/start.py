"""What somebody did on a day, as a search for a plan may begin with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..affine import FloatArray
from ..bracket import steps_of
from .network import Setpoints

_POSITIONS = ("tap_pos", "cap_on")


@dataclass(frozen=True, eq=False)
class Start:
    """A day that was played.

    Attributes:
        setpoints: What devices did.
        actions: (steps, n_actions) floats in [-1, 1] that asked for it.
        value: Its return.
    """

    setpoints: Setpoints
    actions: FloatArray
    value: float


def started(env: Any, actions: FloatArray, day: int, seed: int) -> Start | None:
    """Play actions on a single environment; None where its power flow fails before the day ends.

    Args:
        env: As it is or wrapped.
        actions: (steps, n_actions) floats in [-1, 1]; of a discrete space the nearest codes are played.
        day: Of its data; ``seed`` of its reset.
        seed: With ``day``.
    """
    played = list(steps_of(env, actions, day, seed))
    if len(played) < len(actions) or any(terminated for _, terminated, _ in played):
        return None
    p, q, position, value = [], [], [], 0.0
    for reward, _, info in played:
        did = info["delivered"]
        p.append(did["p_mw"])
        q.append(did["q_mvar"])
        position.append(np.concatenate([np.empty(0), *(did[name] for name in _POSITIONS if name in did)]))
        value += float(reward)
    return Start(Setpoints(np.array(p), np.array(q), np.array(position)), actions, value)
