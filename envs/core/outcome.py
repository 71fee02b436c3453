"""What a step of a grid brings, and what a grid keeps aside."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .ending import Ending
from .opening import Opening
from .settling import Settling

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class Outcome:
    """What one step brought, batch first. Arrays may be live: read them before the next step."""

    reward: FloatArray
    rewards: dict[str, FloatArray]
    costs: dict[str, FloatArray]
    cost: FloatArray
    resource_costs: dict[str, FloatArray]
    unserved_mw: FloatArray
    terminated: BoolArray
    truncated: BoolArray


@dataclass(slots=True)
class Aside:
    """What no step needs: Python finds the attributes of a grid faster while they are thirty at most."""

    episode_steps: int  # of the task
    max_steps: int | None  # where a limit of time cuts episodes
    goes_round: bool  # whether the first interval of the data follows the last
    ending: Ending  # by the task
    settling: Settling | None  # what the fleet has that controls by voltage
    first_row: int = 0  # where the rows of the grid stand in a larger batch, for messages
    openings: dict[bool, Opening] = field(default_factory=dict)  # for few rows and for many
