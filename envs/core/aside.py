"""What a grid keeps that no step needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ending import Ending
from .opening import Opening
from .settling import Settling


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
