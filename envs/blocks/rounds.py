"""How many steps an episode still has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...cases.profiles import ONE_DAY, Duration, checked_duration
from .base import BlockContext, FloatArray, SeriesBlock


@dataclass(frozen=True)
class StepsLeft(SeriesBlock):
    """Steps until an episode that began at midnight is over.

    ``episode``: that of the task.
    """

    episode: Duration = ONE_DAY

    name, unit = "steps_left", "1"
    meaning = "steps until an episode that began at midnight is over, that which is decided included"

    def __post_init__(self) -> None:
        object.__setattr__(self, "episode", checked_duration("episode", self.episode))

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        """All of them at first."""
        return 0.0, float(self.episode.steps(context.profiles.dt_h))

    def series(self, context: BlockContext) -> FloatArray:
        """(n_steps, 1). ValueError for an episode of more than a day."""
        calendar = context.profiles.calendar
        steps, per_day = self.episode.steps(calendar.dt_h), calendar.steps_per_day
        if steps > per_day:
            raise ValueError(f"steps_left counts from midnight: an episode of {self.episode} is too long")
        gone = np.arange(calendar.n_steps) % per_day
        return np.maximum(steps - gone, 0).astype(np.float64)[:, None]
